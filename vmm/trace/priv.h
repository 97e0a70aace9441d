/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the tracer share; see trace.h. One thread. */
#ifndef PINVM_TRACE_PRIV_H
#define PINVM_TRACE_PRIV_H

#include <sys/types.h>

#include "vmm/trace/trace.h"

struct perf_event_mmap_page;

/* ---- format.c: where the fields of an event are, by its file in tracefs ---- */

#define TRACE_FIELDS	 4
#define TRACE_FORMAT_MAX 65536 /* bytes of a format file that are read at most */

struct trace_field {
	uint16_t offset; /* in the record's raw data */
	uint8_t size;	 /* 1, 2, 4 or 8; 0: the event has no such field */
	bool is_signed;
	bool is_text; /* __data_loc: the four bytes say where a string is */
};

struct trace_format {
	uint16_t id; /* in each record; 0: the event is not traced */
	struct trace_field field[TRACE_FIELDS];
};

/*
 * Find the event's id and the fields `name` in its format file's text; a name NULL ends the list early. A
 * field that is not there has size 0. 0 or -EPROTO: the text is no such file, or places a field where none
 * can be.
 */
int trace_format_parse(const char *text, const char *const name[TRACE_FIELDS], struct trace_format *format);
/* The field's value out of len bytes of raw data. False: there is no such field, or it is not inside. */
bool trace_field_get(const struct trace_field *field, const uint8_t *raw, size_t len, int64_t *value);
/* The field's string, what is not printable ASCII as '?', cut to n bytes. False as above; out is then "". */
bool trace_field_text(const struct trace_field *field, const uint8_t *raw, size_t len, char *out, size_t n);

/* ---- events.c: which tracepoints there are, and what is read of each ---- */

struct trace_event_kind {
	const char *name;  /* system:event */
	const char *cause; /* the interrupt it tells of; NULL: none */
	bool only_counted; /* no record of it is needed */
	uint8_t needed;	   /* bit n: field n must be there */
	const char *field[TRACE_FIELDS];
};

extern const struct trace_event_kind trace_kinds[TRACE_EVENTS];

struct trace_formats {
	struct trace_format event[TRACE_EVENTS];
	char why[TRACE_EVENTS][96]; /* not "": why the event is not traced */
	enum trace_isa isa;	    /* of an exit whose record does not say */
	bool by_vendor;		    /* records do not say */
};

/* Read the format of each event below root. 0, or as trace_open(), with `why`. */
int trace_formats_read(struct trace_formats *formats, const char *root, char *why, size_t n);
/* The event of a record, by the id in it; TRACE_EVENTS: none of ours. */
enum trace_event trace_event_of(const struct trace_formats *formats, uint16_t id);

/* ---- ring.c: the ring that the kernel fills ---- */

#define TRACE_RECORD_MAX 1024 /* bytes of the longest record that is understood */

struct trace_ring {
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	size_t size; /* of data, a power of two */
};

/* What a record is. */
enum trace_record {
	TRACE_RECORD_SAMPLE,	/* time_ns, raw[len] */
	TRACE_RECORD_LOST,	/* lost */
	TRACE_RECORD_OTHER,	/* nothing to us */
	TRACE_RECORD_MALFORMED, /* its sizes contradict each other */
};

struct trace_sample {
	uint64_t time_ns, lost;
	const uint8_t *raw;
	size_t len;
};

/* What `size` bytes of a record are; sample points into it. */
enum trace_record trace_record_parse(const uint8_t *record, size_t size, struct trace_sample *sample);

struct trace_account;
/*
 * Take all records out that are in the ring now, into the account. 0 or -EPROTO: what is in it cannot be a
 * ring; it was emptied.
 */
int trace_ring_drain(struct trace_ring *ring, struct trace_account *account);

/* ---- account.c: what the records of a vCPU come to ---- */

struct trace_account {
	struct trace_vcpu *vcpu;
	const struct trace_formats *formats;
	uint64_t ring_lost;		/* by the ring's own records of it */
	uint64_t records[TRACE_EVENTS]; /* that were taken out of the ring */
	uint64_t exit_ns;		/* when the guest was left last */
	int reason;			/* its row; -1: none that time is to be taken of */
	int hit;			/* row of the first interrupt since the guest was entered; -1: none */
	bool in_guest;			/* entered, and not left by what was seen */
	bool owed;			/* the next interrupt is the one that ended the guest's run */
};

void trace_account_begin(
	struct trace_account *account, struct trace_vcpu *vcpu, const struct trace_formats *formats);
/* A record's raw data. False: it contradicts the event's format. */
bool trace_account_sample(struct trace_account *account, const struct trace_sample *sample);
/* Records are missing here: what was open is left alone. */
void trace_account_gap(struct trace_account *account);

/* ---- refusal.c: what to say where something is not permitted ---- */

/* perf_event_open failed with err for a thread. */
void trace_say_open(int err, int tid, const char *root, char *why, size_t n);
/* Rings of so many vCPUs cannot be locked in memory, not even of a page each. */
void trace_say_locked(int err, unsigned vcpus, const char *root, char *why, size_t n);

/* reasons.c: is it that an interrupt of the host came? */
bool trace_is_external(enum trace_isa isa, uint32_t code);

#endif
