/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of the options table. A row is one option; its plain value and each of its keys are a `struct
 * opt_key`: the type, the place in the configuration, the range, the default and the help of one value.
 * Constant data, any thread.
 */
#ifndef PINVM_OPTIONS_TABLE_H
#define PINVM_OPTIONS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/config.h"

enum opt_type {
	OPT_NONE,     /* the option has keys only */
	OPT_STRING,   /* char *; min and max bound its length */
	OPT_NAME,     /* char *, value_name() */
	OPT_UINT,     /* unsigned; with a `unit`, K, M and G count by 1000 */
	OPT_COUNT,    /* unsigned: how often the option stands there */
	OPT_SIZE,     /* uint64_t bytes; a bare number counts MiB, with a `unit` bytes */
	OPT_DURATION, /* uint64_t nanoseconds; a bare number counts seconds */
	OPT_BOOL,     /* bool, on or off */
	OPT_TRI,      /* enum tristate, on or off; left alone: decided where it is used */
	OPT_CHOICE,   /* an enum whose values are the indices of `names` */
	OPT_MAC,      /* uint8_t[6]: an Ethernet address; zeros: none was given */
	OPT_FEATURES, /* char *: any number of items -NAME and +NAME */
};

/* One of an option's choices that only one architecture has. Arrays of them end with one without name. */
struct opt_only {
	const char *name, *arch, *help;
	const char *why; /* reason why others lack it */
};

struct opt_key {
	const char *name; /* NULL: the option's plain value */
	const char
		*meta; /* what stands for the value in the help; NULL: the bare name is enough and means on */
	const char *help;
	enum opt_type type;
	size_t at;     /* offset in guest_config, or in the element of a repeatable option */
	size_t arg_at; /* OPT_CHOICE: char * that takes ARG of a name written "name=ARG" */
	size_t given_at; /* OPT_CHOICE, unless 0: bool that becomes true when it is set */
	uint64_t min, max, def;
	const char *(*check)(const char *text); /* of a text, and ARG of OPT_CHOICE: NULL, or why it is refused */
	bool pow2;
	bool live;  /* `pinvm ctl` changes it while the guest runs: limits, iothread */
	const char *of; /* "auto|vmm": the plain values it goes with; NULL: any. For the completion */
	bool at_start;	/* never `pinvm ctl`'s, though the rest of the option is. Likewise */
	bool rides; /* it says more of the key before it: nothing without that, and off with it */
	const char *unit; /* what is counted, where that is not obvious: "bytes a second" */
	const char *const *names;    /* NULL at the end; of OPT_STRING: for the completion, and with `only` what `meta` would say */
	const struct opt_only *only; /* of these names, up to one without name; NULL: all are everywhere */
	const char *arch, *why;	     /* as of a row: which architecture has it, and why others lack it */
};

enum opt_flags {
	OPT_REPEAT = 1,	  /* an array that each occurrence adds an element to (OPT_COUNT: adds one) */
	OPT_POSITION = 2, /* also the argument without a name */
	OPT_JOIN = 4, /* a configuration file may continue the value on indented lines, joined by a space */
	OPT_OUTSIDE = 8, /* acts on the parser: not part of the configuration, not allowed in a file */
};

struct opt_row {
	const char *name;
	char letter;	   /* 0: none */
	const char *group; /* heading that starts here in the help */
	const char *arch;  /* NULL: every architecture; else arch_name() of the one that has it */
	const char *why;   /* reason why others lack it */
	unsigned flags;
	size_t count_at, size; /* OPT_REPEAT: offset of the unsigned count; size of an element */
	struct opt_key value;  /* its `at` is that of the array's pointer when OPT_REPEAT */
	size_t value_at;       /* OPT_REPEAT: offset of the plain value in the element */
	const struct opt_key *keys;
	unsigned nkeys;
};

extern const struct opt_row opt_table[];
extern const unsigned opt_rows;

/* NULL: there is none of that name. */
const struct opt_row *opt_find(const char *name);

/* Is the row's option, or choice i of a key, there on this architecture? */
bool opt_here(const struct opt_row *row);
bool opt_key_here(const struct opt_key *key);
bool opt_choice_here(const struct opt_key *key, unsigned i);
/* Only a value, never keys: commas in it mean nothing. */
static inline bool opt_plain(const struct opt_row *row)
{
	return row->nkeys == 0;
}

/* The array's elements in cfg: 1 (the configuration itself) unless OPT_REPEAT. OPT_COUNT is no array. */
unsigned opt_elements(const struct opt_row *row, const struct guest_config *cfg);
void *opt_element(const struct opt_row *row, const struct guest_config *cfg, unsigned i);
/* Append an element at its defaults. NULL: out of memory. Main. */
void *opt_append(const struct opt_row *row, struct guest_config *cfg);
/* Key i of a row, the plain value first; the offset is in the element. False behind the last. */
bool opt_key_at(const struct opt_row *row, unsigned i, struct opt_key *out);

void opt_key_default(const struct opt_key *key, void *base);
void opt_key_free(const struct opt_key *key, void *base);
/* 0, -ENOMEM, -EINVAL: then `why` says what is wrong, in words that follow "OPTION VALUE: ". */
int opt_key_set(const struct opt_key *key, void *base, const char *text, char *why, size_t n);
/* The value as it would be typed; empty where nothing was. */
void opt_key_format(const struct opt_key *key, const void *base, char *out, size_t n);
/* Its default, or a range such as "1 to 16", as it would be typed; empty where there is none. */
void opt_key_default_text(const struct opt_key *key, char *out, size_t n);
void opt_key_range_text(const struct opt_key *key, char *out, size_t n);
/* A time of at most a few seconds: one without unit is refused, and the help has its range. */
bool opt_key_short(const struct opt_key *key);
/* Its help, with the range and the default. */
void opt_key_describe(const struct opt_key *key, char *out, size_t n);
/* What stands for the value: `meta`, of choices those that are there; empty without. */
void opt_key_meta_text(const struct opt_key *key, char *out, size_t n);

#endif
