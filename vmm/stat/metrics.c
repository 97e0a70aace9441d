// SPDX-License-Identifier: Apache-2.0
/* Numbers in documents; see metrics.h. Pure. One thread. */
#include "vmm/stat/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/stat/text.h"

const char *metric_name(const struct metric *m, char out[METRIC_NAME])
{
	snprintf(out, METRIC_NAME, "%s%s%s", m->name, m->unit ? "_" : "", m->unit ? m->unit : "");
	return out;
}

const char *metric_prometheus_name(const struct metric *m, char out[METRIC_NAME])
{
	char name[METRIC_NAME];

	snprintf(out, METRIC_NAME, "pinvm_%s_%.60s%s", metric_scopes[m->scope], metric_name(m, name),
		m->type == COUNTER ? "_total" : "");
	return out;
}

/* ---- subjects ---- */

static char *text_of(const json_t *value)
{
	char number[32];

	if (json_is_string(value))
		return text_safe(json_string_value(value));
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return strdup(number);
}

static bool is_taken(const struct subjects *s, enum metric_scope scope, const char *id)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->subject[i].scope == scope && s->subject[i].id[0] && !strcmp(s->subject[i].id[0], id))
			return true;
	return false;
}

static bool is_same(const json_t *a, const json_t *b, const char *key)
{
	const json_t *l = json_object_get(a, key), *r = json_object_get(b, key);

	return (!l && !r) || json_equal(l, r);
}

/* The element of `list` with the same `key` (and task) as `now`; without a key, the one at its place. */
static const json_t *counterpart(const json_t *list, const json_t *now, size_t at, const char *key)
{
	json_t *element;
	size_t i;

	if (!key)
		return json_array_get(list, at);
	json_array_foreach(list, i, element)
	{
		if (is_same(element, now, key) && is_same(element, now, "tid"))
			return element;
	}
	return NULL;
}

static struct subject *add(struct subjects *s, enum metric_scope scope, json_t *now, const json_t *before)
{
	struct subject *grown = s->subject;

	if (!(s->n & (s->n - 1)))
		grown = realloc(s->subject, (s->n ? 2 * s->n : 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	s->subject = grown;
	s->subject[s->n] = (struct subject){.scope = scope, .now = now, .before = before};
	return &s->subject[s->n++];
}

/* Tell a second thread of the same name by its task. */
static int distinguish(struct subjects *s, enum metric_scope scope, char **id, const json_t *now, size_t at)
{
	json_t *tid = json_object_get(now, "tid");
	char *longer = NULL;

	if (!*id || !is_taken(s, scope, *id))
		return *id ? 0 : -ENOMEM;
	if (asprintf(&longer, "%s %lld", *id,
		    json_is_integer(tid) ? (long long)json_integer_value(tid) : (long long)at) < 0)
		return -ENOMEM;
	free(*id);
	*id = longer;
	return 0;
}

/* All in a list; their ids are at `key`. */
static int find(struct subjects *s, enum metric_scope scope, const char *list, const char *key)
{
	json_t *now;
	size_t i;

	json_array_foreach(json_object_get(s->now, list), i, now)
	{
		const json_t *before = counterpart(json_object_get(s->before, list), now, i, key);
		char *id = text_of(json_object_get(now, key));
		struct subject *subject;

		if (distinguish(s, scope, &id, now, i)) {
			free(id);
			return -ENOMEM;
		}
		subject = json_is_object(now) ? add(s, scope, now, before) : NULL;
		if (subject)
			subject->id[0] = id;
		else
			free(id);
		if (!subject && json_is_object(now))
			return -ENOMEM;
	}
	return 0;
}

static int find_queues(struct subjects *s)
{
	unsigned n = s->n;

	for (unsigned d = 0; d < n; d++) {
		const char *name = s->subject[d].id[0]; /* subjects move when one is added, their names do not */
		json_t *now;
		size_t i;

		if (s->subject[d].scope != OF_DEVICE || !name)
			continue;
		json_array_foreach(json_object_get(s->subject[d].now, "queues"), i, now)
		{
			const json_t *before =
				json_array_get(json_object_get(s->subject[d].before, "queues"), i);
			struct subject *queue = add(s, OF_QUEUE, now, before);
			char number[24];

			snprintf(number, sizeof(number), "%zu", i);
			if (!queue)
				return -ENOMEM;
			queue->id[0] = strdup(name);
			queue->id[1] = strdup(number);
			if (!queue->id[0] || !queue->id[1])
				return -ENOMEM;
		}
	}
	return 0;
}

int subjects_find(struct subjects *s, json_t *now, const json_t *before)
{
	int err;

	*s = (struct subjects){.now = now, .before = before};
	if (before && (!is_same(now, before, "pid") || !is_same(now, before, "name")))
		s->before = NULL;
	if (!add(s, OF_GUEST, now, s->before))
		return -ENOMEM;
	err = find(s, OF_VCPU, "vcpus", "index");
	if (!err)
		err = find(s, OF_THREAD, "threads", "name");
	if (!err)
		err = find(s, OF_MEMORY, "memory", "gpa");
	if (!err)
		err = find(s, OF_DEVICE, "devices", "name");
	return err ? err : find_queues(s);
}

void subjects_free(struct subjects *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		free(s->subject[i].id[0]);
		free(s->subject[i].id[1]);
	}
	free(s->subject);
	*s = (struct subjects){0};
}

/* ---- histograms ---- */

static uint64_t count_of(const json_t *value)
{
	return json_is_integer(value) && json_integer_value(value) > 0 ? json_integer_value(value) : 0;
}

/* n values that are less than 2^bits; the last bucket of a histogram has no such bound. */
static void put(struct histogram *h, unsigned bits, uint64_t n)
{
	for (unsigned k = bits; k <= HISTOGRAM_BITS; k++)
		h->below[k] += n;
}

/*
 * Bucket i ends below 2^(i + `first`), the last one has no end. KVM's: bucket 0 counts values of 0, bucket i
 * those from 2^(i-1) on; pinvm's: bucket i those from 2^i on.
 */
static void read_array(const json_t *array, unsigned first, struct histogram *h)
{
	size_t n = json_array_size(array);

	for (size_t i = 0; i < n; i++)
		put(h, i + 1 < n && i + first < HISTOGRAM_BITS ? i + first : HISTOGRAM_BITS,
			count_of(json_array_get(array, i)));
}

/* pinvm's, without the empty ones: the key is the least of the values; those from 2^31 on have no bound. */
static void read_object(json_t *object, struct histogram *h)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		unsigned bits = 64 - __builtin_clzll(strtoull(key, NULL, 10) | 1);

		put(h, bits < 32 ? bits : HISTOGRAM_BITS, count_of(value));
	}
}

/* False: there is none. */
static bool read_histogram(
	const struct metric *m, const json_t *object, const char *member, struct histogram *h)
{
	json_t *at = json_at(object, m->path), *inner;
	double sum;

	memset(h, 0, sizeof(*h));
	h->sum_s = -1;
	if (member)
		at = json_object_get(at, member);
	inner = json_object_get(at, "histogram");
	if (m->sum ? json_number_at(object, m->sum, &sum)
		   : json_number_at(at, "ns", &sum) || json_number_at(at, "sum", &sum))
		h->sum_s = sum * 1e-9;
	if (json_is_array(at))
		read_array(at, 0, h);
	else if (json_is_array(inner))
		read_array(inner, 1, h);
	else if (json_is_object(inner))
		read_object(inner, h);
	else
		return false;
	return true;
}

/* now - before, false where something became less. */
static bool subtract(const struct histogram *now, const struct histogram *before, struct histogram *out)
{
	uint64_t last = 0;

	for (unsigned k = 0; k <= HISTOGRAM_BITS; k++) {
		out->below[k] = now->below[k] - before->below[k];
		if (now->below[k] < before->below[k] || out->below[k] < last)
			return false;
		last = out->below[k];
	}
	out->sum_s = now->sum_s < 0 || now->sum_s < before->sum_s ? -1 : now->sum_s - before->sum_s;
	return true;
}

double histogram_quantile(const struct histogram *h, double q)
{
	uint64_t all = histogram_count(h);
	unsigned k = 0;

	if (!all)
		return 0;
	while (k < HISTOGRAM_BITS && (double)h->below[k] < q * (double)all)
		k++;
	return k < HISTOGRAM_BITS ? (double)(1ULL << k) * 1e-9 : __builtin_inf();
}

/* ---- walking ---- */

/* Seconds between two readings of a subject's metric: what is of /proc has a clock of its own. 0: unknown. */
static double interval(const struct metric *m, const struct subjects *s, const struct subject *subject)
{
	bool task = !strncmp(m->path, "task.", 5);
	const char *path = task ? "task.at_s" : "duration_s";
	double now, before;

	if (!json_number_at(task ? subject->now : s->now, path, &now) ||
		!json_number_at(task ? subject->before : s->before, path, &before))
		return 0;
	return now > before ? now - before : 0;
}

static bool value_at(const struct metric *m, const json_t *object, const char *member, double *out)
{
	json_t *at = json_at(object, m->path);
	bool found = m->rather && json_number_at(object, m->rather, out);

	if (!found && !json_number_at(member ? json_object_get(at, member) : at, "", out))
		return false;
	*out *= m->scale ? m->scale : 1;
	return true;
}

static void number(
	struct sample *sample, double interval_s, void (*fn)(void *, const struct sample *), void *arg)
{
	const struct metric *m = sample->m;
	const char *member = m->value ? NULL : sample->member;
	double before;

	if (!value_at(m, sample->subject->now, member, &sample->value) || sample->value < 0)
		return;
	sample->has_rate = m->type == COUNTER && interval_s > 0;
	/* A member that is new has counted from 0. */
	if (sample->has_rate && !value_at(m, sample->subject->before, member, &before)) {
		before = 0;
		sample->has_rate = member && json_is_object(json_at(sample->subject->before, m->path));
	}
	if (sample->has_rate && sample->value < before)
		sample->has_rate = false;
	if (sample->has_rate)
		sample->rate = (sample->value - before) / interval_s;
	fn(arg, sample);
}

static void histogram(
	struct sample *sample, double interval_s, void (*fn)(void *, const struct sample *), void *arg)
{
	const struct metric *m = sample->m;
	struct histogram before;

	if (!read_histogram(m, sample->subject->now, sample->member, &sample->histogram))
		return;
	sample->has_rate = interval_s > 0 && sample->subject->before;
	if (sample->has_rate && !read_histogram(m, sample->subject->before, sample->member, &before)) {
		memset(&before, 0, sizeof(before));
		sample->has_rate =
			sample->member && json_is_object(json_at(sample->subject->before, m->path));
	}
	if (sample->has_rate)
		sample->has_rate = subtract(&sample->histogram, &before, &sample->lately);
	fn(arg, sample);
}

static void one(const struct metric *m, const struct subjects *s, const struct subject *subject,
	const char *member, void (*fn)(void *, const struct sample *), void *arg)
{
	struct sample sample = {.m = m, .subject = subject, .member = member};

	sample.interval_s = interval(m, s, subject);
	if (m->type == HISTOGRAM)
		histogram(&sample, sample.interval_s, fn, arg);
	else
		number(&sample, sample.interval_s, fn, arg);
}

void metric_walk(const struct metric *m, const struct subjects *s,
	void (*fn)(void *arg, const struct sample *sample), void *arg)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct subject *subject = &s->subject[i];
		const char *member;
		json_t *value;

		if (subject->scope != m->scope)
			continue;
		if (!m->label || m->value) {
			one(m, s, subject, m->value, fn, arg);
			continue;
		}
		json_object_foreach(json_at(subject->now, m->path), member, value)
		{
			if (!m->skip || !m->skip(s->now, member))
				one(m, s, subject, member, fn, arg);
		}
	}
}
