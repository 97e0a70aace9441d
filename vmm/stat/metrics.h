/* SPDX-License-Identifier: Apache-2.0 */
/*
 * THE table of what `pinvm stat` counts: it makes the names in Prometheus' text, in CSV, and of the rates in
 * JSON, and says where in a document each number is. A document is a report (vmm/report) that sample.h has
 * added what /proc knows to. Pure: no clock, no file. One thread.
 */
#ifndef PINVM_STAT_METRICS_H
#define PINVM_STAT_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Whose number it is; and so its labels besides guest. */
enum metric_scope {
	OF_GUEST,
	OF_VCPU,   /* vcpu */
	OF_THREAD, /* thread */
	OF_MEMORY, /* region: its guest-physical address */
	OF_DEVICE, /* device */
	OF_QUEUE,  /* device, queue */
	METRIC_SCOPES,
};

enum metric_type {
	COUNTER,   /* only grows, or begins anew */
	GAUGE,	   /* is what it is now */
	HISTOGRAM, /* of powers of two; see struct histogram */
	SHARE,	   /* percent of the last interval, made from other numbers: not for Prometheus */
};

struct metric {
	enum metric_scope scope;
	enum metric_type type;
	const char *name, *unit; /* unit: base unit, part of the name; NULL: it has none */
	const char *help;
	const char *path;  /* in the scope's object */
	double scale;	   /* what a number there is multiplied with for `unit`; 0: 1 */
	const char *label; /* another label; NULL: none */
	const char
		*value;	 /* its value; NULL: `path` leads to an object, whose members' names are its values */
	const char *sum; /* of a histogram: where in the scope's object the sum of all values is */
	bool (*skip)(const json_t *doc, const char *member); /* leave such a member out */
	const char *rather; /* of a number: taken from there where there is one; NULL: `path` is the only place */
};

extern const struct metric metric_table[];
extern const unsigned metrics;

extern const char *const metric_scopes[METRIC_SCOPES]; /* "guest", "vcpu", ... */

/* name_unit, as in JSON and CSV; Prometheus has it as pinvm_SCOPE_name_unit, counters with _total. */
#define METRIC_NAME 96
const char *metric_name(const struct metric *m, char out[METRIC_NAME]);
const char *metric_prometheus_name(const struct metric *m, char out[METRIC_NAME]);

/* One thing that has numbers, now and (NULL: unknown) an interval ago. */
struct subject {
	enum metric_scope scope;
	json_t *now;
	const json_t *before;
	char *id[2]; /* values of the labels of its scope; NULL: it has no such */
};

struct subjects {
	json_t *now;
	const json_t *before; /* NULL: none, or of another guest of that name */
	struct subject *subject;
	unsigned n;
};

extern const char *const metric_labels[METRIC_SCOPES][2];

/*
 * Find what two documents of a guest speak of; they must stay, `before` may be NULL. Subjects of the same
 * scope have different ids. 0 or -ENOMEM; subjects_free() in any case.
 */
int subjects_find(struct subjects *s, json_t *now, const json_t *before);
void subjects_free(struct subjects *s);

#define HISTOGRAM_BITS 64

/* Values that are whole nanoseconds. */
struct histogram {
	uint64_t below[HISTOGRAM_BITS + 1]; /* [k]: how many are less than 2^k; the last one: all */
	double sum_s;			    /* seconds; < 0: not known */
};

/* How large, in seconds, the q-th part of them is at most; 0 of an empty one, infinite where nobody knows. */
double histogram_quantile(const struct histogram *h, double q);
static inline uint64_t histogram_count(const struct histogram *h)
{
	return h->below[HISTOGRAM_BITS];
}

/* One number of a subject. */
struct sample {
	const struct metric *m;
	const struct subject *subject;
	const char *member; /* value of the metric's label; NULL: it has none */
	double value;	    /* in the metric's unit; not of histograms */
	bool has_rate;
	double rate;			    /* of counters: a second */
	struct histogram histogram, lately; /* lately: what the interval added, if has_rate */
	double interval_s;		    /* if has_rate */
};

/* Call fn for each number there is of a metric, in a stable order. */
void metric_walk(const struct metric *m, const struct subjects *s,
	void (*fn)(void *arg, const struct sample *sample), void *arg);

#endif
