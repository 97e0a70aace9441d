// SPDX-License-Identifier: Apache-2.0
/* `pinvm stat --csv`; see export.h. Pure. */
#include <stdlib.h>
#include <string.h>

#include "vmm/stat/export.h"
#include "vmm/stat/text.h"

struct writer {
	FILE *out;
	const struct subjects *subjects;
	double time;
};

const char *export_number(double n, char out[EXPORT_NUMBER])
{
	const double whole = 1LL << 53; /* beyond that, not every whole number is a double */

	if (n >= -whole && n <= whole && n == (double)(long long)n)
		snprintf(out, EXPORT_NUMBER, "%lld", (long long)n);
	else
		snprintf(out, EXPORT_NUMBER, "%.15g", n);
	return out;
}

static void field(FILE *out, const char *text)
{
	char *safe = text_safe(text ? text : "");
	bool quoted = safe && strpbrk(safe, ",\"");

	if (quoted)
		putc('"', out);
	for (const char *p = safe ? safe : ""; *p; p++) {
		if (*p == '"')
			putc('"', out);
		putc(*p, out);
	}
	fputs(quoted ? "\"," : ",", out);
	free(safe);
}

static void row(const struct writer *w, const struct sample *s, const char *suffix, double value,
	bool has_rate, double rate)
{
	const struct subject *subject = s->subject;
	char name[METRIC_NAME], full[METRIC_NAME + 8], number[EXPORT_NUMBER];

	fprintf(w->out, "%.3f,", w->time);
	field(w->out, json_text_at(w->subjects->now, "name"));
	field(w->out, metric_scopes[subject->scope]);
	field(w->out, subject->id[0]);
	field(w->out, subject->id[1]);
	snprintf(full, sizeof(full), "%s%s", metric_name(s->m, name), suffix);
	field(w->out, full);
	field(w->out, s->member);
	fprintf(w->out, "%s,", export_number(value, number));
	if (has_rate)
		fprintf(w->out, "%.9g", rate);
	fputs("\n", w->out);
}

static void write_sample(void *arg, const struct sample *s)
{
	static const struct {
		const char *suffix;
		double q;
	} part[] = {{"_p50", 0.50}, {"_p99", 0.99}};
	const struct writer *w = arg;
	uint64_t n;

	if (s->m->type != HISTOGRAM) {
		row(w, s, "", s->value, s->has_rate, s->rate);
		return;
	}
	n = histogram_count(&s->lately);
	row(w, s, "_count", histogram_count(&s->histogram), s->has_rate, n / s->interval_s);
	if (s->histogram.sum_s >= 0)
		row(w, s, "_sum", s->histogram.sum_s, s->has_rate && s->lately.sum_s >= 0,
			s->lately.sum_s / s->interval_s);
	for (unsigned i = 0; s->has_rate && n && i < 2; i++)
		row(w, s, part[i].suffix, histogram_quantile(&s->lately, part[i].q), false, 0);
}

void csv_header(FILE *out)
{
	fputs("time,guest,of,id,queue,metric,label,value,per_second\n", out);
}

void csv_write(const struct subjects *s, FILE *out)
{
	struct writer w = {.out = out, .subjects = s};

	json_number_at(s->now, "time", &w.time);
	for (unsigned i = 0; i < metrics; i++)
		metric_walk(&metric_table[i], s, write_sample, &w);
}
