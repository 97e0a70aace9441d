// SPDX-License-Identifier: Apache-2.0
/* `pinvm stat --prometheus`: text format 0.0.4; see export.h. Pure. */
#include <stdlib.h>
#include <string.h>

#include "vmm/options/options.h"
#include "vmm/stat/export.h"
#include "vmm/stat/stat.h"
#include "vmm/stat/text.h"
#include "vmm/util.h"

/* Bounds of buckets: 2^k ns, the same for all histograms, so that they can be summed. */
#define LEAST_BITS 8
#define MOST_BITS  32
#define STEP_BITS  2

struct writer {
	FILE *out;
	const char *guest;
	char family[METRIC_NAME]; /* whose HELP and TYPE were written last */
};

static void label(FILE *out, const char *name, const char *value, const char *before)
{
	char *safe = text_safe(value);

	fprintf(out, "%s%s=\"", before, name);
	for (const char *p = safe ? safe : ""; *p; p++) {
		if (*p == '\\' || *p == '"')
			putc('\\', out);
		putc(*p, out);
	}
	putc('"', out);
	free(safe);
}

/* NAMEsuffix{guest="...",vcpu="0",extra="value"} without its value. */
static void series(const struct writer *w, const struct sample *s, const char *suffix, const char *le)
{
	const struct subject *subject = s->subject;
	char name[METRIC_NAME];

	fprintf(w->out, "%s%s{", metric_prometheus_name(s->m, name), suffix);
	label(w->out, "guest", w->guest, "");
	for (unsigned i = 0; i < 2; i++)
		if (subject->id[i])
			label(w->out, metric_labels[subject->scope][i], subject->id[i], ",");
	if (s->member)
		label(w->out, s->m->label, s->member, ",");
	if (le)
		label(w->out, "le", le, ",");
	fputs("} ", w->out);
}

/* Once for each name: rows that differ in a label only stand one behind the other. */
static void family(struct writer *w, const struct metric *m)
{
	static const char *const types[] = {
		[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
	char name[METRIC_NAME];

	if (!strcmp(w->family, metric_prometheus_name(m, name)))
		return;
	snprintf(w->family, sizeof(w->family), "%s", name);
	fprintf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, m->help, name, types[m->type]);
}

static void bucket(const struct writer *w, const struct sample *s, const char *le, uint64_t n)
{
	series(w, s, "_bucket", le);
	fprintf(w->out, "%llu\n", (unsigned long long)n);
}

static void histogram(const struct writer *w, const struct sample *s)
{
	char le[32], number[EXPORT_NUMBER];

	for (unsigned k = LEAST_BITS; k <= MOST_BITS; k += STEP_BITS) {
		snprintf(le, sizeof(le), "%.10g", (double)(1ULL << k) * 1e-9);
		bucket(w, s, le, s->histogram.below[k]);
	}
	bucket(w, s, "+Inf", histogram_count(&s->histogram));
	series(w, s, "_sum", NULL);
	fprintf(w->out, "%s\n", export_number(s->histogram.sum_s, number));
	series(w, s, "_count", NULL);
	fprintf(w->out, "%llu\n", (unsigned long long)histogram_count(&s->histogram));
}

static void write_sample(void *arg, const struct sample *s)
{
	struct writer *w = arg;
	char number[EXPORT_NUMBER];

	/* One whose values nobody summed would not be a histogram there. */
	if (s->m->type == HISTOGRAM && s->histogram.sum_s < 0)
		return;
	family(w, s->m);
	if (s->m->type == HISTOGRAM) {
		histogram(w, s);
		return;
	}
	series(w, s, "", NULL);
	fprintf(w->out, "%s\n", export_number(s->value, number));
}

static void info(const struct writer *w, const json_t *doc)
{
	static const char *const of[] = {"version", "state", "boot_protocol"};

	fputs("# HELP pinvm_guest_info What the guest is; the value is 1.\n# TYPE pinvm_guest_info gauge\n"
	      "pinvm_guest_info{",
		w->out);
	label(w->out, "guest", w->guest, "");
	for (unsigned i = 0; i < COUNT(of); i++)
		if (json_text_at(doc, of[i]))
			label(w->out, of[i], json_text_at(doc, of[i]), ",");
	fputs("} 1\n", w->out);
}

void prometheus_write(const struct subjects *s, FILE *out)
{
	const char *name = json_text_at(s->now, "name");
	struct writer w = {.out = out, .guest = name ? name : ""};

	info(&w, s->now);
	for (unsigned i = 0; i < metrics; i++)
		if (metric_table[i].type != SHARE)
			metric_walk(&metric_table[i], s, write_sample, &w);
}

static void man_row(FILE *out, const struct metric *m)
{
	char name[METRIC_NAME];

	fprintf(out, ".TP\n\\fB%s\\fR", metric_prometheus_name(m, name));
	if (m->label)
		fprintf(out, " (%s)", m->label);
	fputc('\n', out);
	options_man_text(out, m->help);
	fputc('\n', out);
}

void metrics_man(FILE *out)
{
	char name[METRIC_NAME], last[METRIC_NAME] = "";

	for (unsigned i = 0; i < metrics; i++) {
		const struct metric *m = &metric_table[i];

		metric_prometheus_name(m, name);
		/* Rows that differ in a label only have one name. */
		if (m->type != SHARE && strcmp(last, name) != 0)
			man_row(out, m);
		snprintf(last, sizeof(last), "%s", name);
	}
}
