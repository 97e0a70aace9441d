// SPDX-License-Identifier: Apache-2.0
/* perf(1)'s command line for a guest; see record.h. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/perf/pmu.h"
#include "vmm/perf/record.h"

#define SECOND 1000000000ULL

static void __attribute__((format(printf, 2, 3))) add(struct perf_words *words, const char *fmt, ...)
{
	char **grown = words->failed ? NULL : reallocarray(words->word, words->n + 2, sizeof(*grown));
	va_list ap;

	if (!grown) {
		words->failed = true;
		return;
	}
	words->word = grown;
	va_start(ap, fmt);
	if (vasprintf(&grown[words->n], fmt, ap) < 0)
		words->failed = true;
	else
		words->n++;
	va_end(ap);
	grown[words->n] = NULL;
}

void perf_words_free(struct perf_words *words)
{
	for (unsigned i = 0; i < words->n; i++)
		free(words->word[i]);
	free(words->word);
	*words = (struct perf_words){.n = 0};
}

static bool is_safe(const char *word)
{
	for (const char *p = word; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_./=:,+@%", *p))
			return false;
	return *word;
}

static void print_word(FILE *out, const char *word)
{
	if (is_safe(word)) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, out);
	fputc('\'', out);
}

void perf_words_print(FILE *out, const struct perf_words *words)
{
	for (unsigned i = 0; i < words->n; i++) {
		fputs(i ? " " : "", out);
		print_word(out, words->word[i]);
	}
	fputc('\n', out);
}

const char *perf_record_event(const char *root, const struct perf_machine *machine, char *why, size_t n)
{
	const char *tracer = perf_tracer(root);

	why[0] = '\0';
	if (tracer && !strcmp(tracer, "intel_pt"))
		return "intel_pt//";
	if (tracer) {
		snprintf(why, n, "%s: how much of the guest it sees depends on the CPU and the host's kernel",
			tracer);
		return !strcmp(tracer, "cs_etm") ? "cs_etm//" : "arm_spe_0//";
	}
	if (*machine->pmu) {
		snprintf(why, n, "no trace of the CPU here (intel_pt, arm_spe, cs_etm): sampling cycles");
		return "cycles:GH";
	}
	snprintf(why, n,
		"no trace of the CPU here, and no PMU (a virtual machine without a vPMU?): sampling by a "
		"clock, "
		"which sees little of the guest's own code");
	return "cpu-clock";
}

/* With symbols of the guest it is perf kvm's, which takes them before the action. */
static void add_symbols(struct perf_words *words, const struct perf_record *r)
{
	if (!r->kallsyms && !r->modules && !r->vmlinux)
		return;
	add(words, "kvm");
	add(words, "--host");
	add(words, "--guest");
	if (r->kallsyms)
		add(words, "--guestkallsyms=%s", r->kallsyms);
	if (r->modules)
		add(words, "--guestmodules=%s", r->modules);
	if (r->vmlinux)
		add(words, "--guestvmlinux=%s", r->vmlinux);
}

static void add_threads(struct perf_words *words, const struct perf_guest *guest)
{
	size_t size = guest->n * 12 + 1, len = 0;
	char *list = malloc(size);

	if (!list) {
		words->failed = true;
		return;
	}
	list[0] = '\0';
	for (unsigned i = 0; i < guest->n; i++)
		len += snprintf(list + len, size - len, "%s%d", i ? "," : "", (int)guest->thread[i].tid);
	add(words, "%s", list);
	free(list);
}

/* A command that perf starts when all is set up: then the time is that of the recording. */
static void add_duration(struct perf_words *words, uint64_t ns)
{
	add(words, "--");
	add(words, "sleep");
	if (ns % SECOND)
		add(words, "%" PRIu64 ".%09" PRIu64, (uint64_t)(ns / SECOND), (uint64_t)(ns % SECOND));
	else
		add(words, "%" PRIu64, (uint64_t)(ns / SECOND));
}

int perf_record_words(struct perf_words *words, const struct perf_record *r, const struct perf_guest *guest,
	const char *event)
{
	*words = (struct perf_words){.n = 0};
	add(words, "perf");
	add_symbols(words, r);
	add(words, "record");
	add(words, "-o");
	add(words, "%s", r->output);
	add(words, "-e");
	add(words, "%s", event);
	if (r->frequency) {
		add(words, "-F");
		add(words, "%u", r->frequency);
	}
	add(words, "-t");
	add_threads(words, guest);
	for (int i = 0; i < r->nmore; i++)
		add(words, "%s", r->more[i]);
	if (r->duration_ns)
		add_duration(words, r->duration_ns);
	return words->failed ? -ENOMEM : 0;
}

int perf_report_words(struct perf_words *words, const struct perf_record *r)
{
	*words = (struct perf_words){.n = 0};
	add(words, "perf");
	add_symbols(words, r);
	add(words, "report");
	add(words, "-i");
	add(words, "%s", r->output);
	add(words, "--sort");
	add(words, "comm,symbol");
	return words->failed ? -ENOMEM : 0;
}

void perf_record_map(FILE *out, const struct perf_guest *guest)
{
	fprintf(out, "# guest %s, pid %d: tid, vCPU, name\n", guest->name, (int)guest->pid);
	for (unsigned i = 0; i < guest->n; i++) {
		const struct perf_thread *t = &guest->thread[i];

		if (t->vcpu >= 0)
			fprintf(out, "%d %d %s\n", (int)t->tid, t->vcpu, t->name);
		else
			fprintf(out, "%d - %s\n", (int)t->tid, t->name);
	}
}
