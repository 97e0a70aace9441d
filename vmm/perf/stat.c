// SPDX-License-Identifier: Apache-2.0
/* `pinvm perf NAME stat`: count for a time, print, and again. The client's one thread. */
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/perf/priv.h"
#include "vmm/perf/show.h"
#include "vmm/printed.h"
#include "vmm/util.h"

#define SECOND 1000000000ULL
#define DAY    (86400 * SECOND)

struct options {
	char *events;
	uint64_t interval_ns; /* 0: not given */
	unsigned count;	      /* 0: not given */
	bool json, all;
};

static const struct command_option option[] = {
	{'e', {"event", "LIST", "events, names with commas between; without it the usual ones", OPT_STRING,
		      offsetof(struct options, events), .min = 1, .max = 512}},
	{'i', {"interval", "TIME", "time of one table, at least 10ms; without it 1s", OPT_DURATION,
		      offsetof(struct options, interval_ns), .min = SECOND / 100, .max = DAY}},
	{'c', {"count", "N", "tables; without it one, or with --interval those until Ctrl-C", OPT_UINT,
		      offsetof(struct options, count), .min = 1, .max = 1000000000}},
	{'a', {"all", NULL, "the threads that run no guest, too", OPT_BOOL, offsetof(struct options, all)}},
	{0, {"json", NULL, "JSON, a line for each table", OPT_BOOL, offsetof(struct options, json)}},
};

static const struct command_options table = {"perf", option, COUNT(option)};

struct run {
	const struct options *options;
	struct perf_machine machine;
	struct perf_selection events;
	struct perf_guest guest;
	struct perf_counters counters;
	struct perf_count *before;
	struct perf_value *value;
	int signals;
};

/* What is not counted, one line for each reason. */
static void say_missing(const struct perf_selection *events)
{
	for (unsigned i = 0; i < events->nmissing; i++) {
		const char *why = events->missing[i].why;
		char names[256];
		size_t len = 0;
		unsigned first = 0;

		while (strcmp(events->missing[first].why, why))
			first++;
		if (first < i)
			continue; /* said */
		for (unsigned j = i; j < events->nmissing && len < sizeof(names); j++)
			if (!strcmp(events->missing[j].why, why))
				len += snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
					events->missing[j].name);
		log_note("not counted: %s: %s", names, why);
	}
}

static void say_machine(const struct run *r)
{
	bool unsplit = false, hard = false;

	for (unsigned i = 0; i < r->events.n; i++) {
		unsplit |= !r->events.event[i].split && r->events.event[i].type != PERF_TYPE_SOFTWARE;
		hard |= r->events.event[i].split;
	}
	if (unsplit)
		log_note("this CPU cannot count guest and host apart: such events are of both");
	if (hard && r->machine.hybrid)
		log_note("this host has several kinds of cores: counted on CPUs %s (%s) only",
			r->machine.cpus, r->machine.pmu);
}

/* 0: the time is over; 1: the guest has ended, or somebody wants an end; -errno. */
static int wait_until(const struct run *r, uint64_t deadline, bool *ended)
{
	struct pollfd pfd[2] = {
		{.fd = r->signals, .events = POLLIN}, {.fd = r->guest.pidfd, .events = POLLIN}};

	for (;;) {
		uint64_t now = now_ns();
		struct timespec left;
		int n;

		if (now >= deadline)
			return 0;
		left = timespec_of(deadline - now);
		n = ppoll(pfd, 2, &left, NULL);
		if (n < 0 && errno != EINTR)
			return log_errno(-errno, "perf: poll");
		*ended = n > 0 && pfd[1].revents;
		if (n > 0)
			return 1;
	}
}

static int print(struct run *r, double seconds)
{
	struct perf_interval interval = {&r->guest, &r->events, &r->machine, r->value, seconds};
	size_t n = perf_at(&r->events, r->guest.n, 0, 0);
	json_t *json;

	for (size_t i = 0; i < n; i++) {
		struct perf_count since = perf_count_since(&r->counters.count[i], &r->before[i]);

		r->value[i] = perf_scale(&since);
	}
	memcpy(r->before, r->counters.count, n * sizeof(*r->before));
	if (r->options->json) {
		json = perf_json(&interval);
		if (!json)
			return log_errno(-ENOMEM, "perf: JSON");
		json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		puts("");
		json_decref(json);
	} else {
		perf_show(stdout, &interval);
	}
	return printed_flush(); /* main says why */
}

static int count(struct run *r)
{
	uint64_t step = r->options->interval_ns ? r->options->interval_ns : SECOND, last = now_ns(),
		 next = last;
	unsigned times = r->options->count ? r->options->count : r->options->interval_ns ? 0 : 1;
	bool ended = false;
	int stop = 0;

	for (unsigned i = 0; (!times || i < times) && !stop; i++) {
		uint64_t now;
		int err;

		next += step;
		stop = wait_until(r, next, &ended);
		if (stop < 0)
			return stop;
		err = perf_counters_read(&r->counters);
		now = now_ns();
		if (!err)
			err = print(r, (now - last) / 1e9);
		if (err)
			return err;
		last = now;
		next = next + step < now ? now : next; /* this process was held up */
	}
	if (ended)
		log_note("the guest has ended");
	return 0;
}

static int allocate(struct run *r)
{
	size_t n = perf_at(&r->events, r->guest.n, 0, 0) + 1;

	r->before = calloc(n, sizeof(*r->before));
	r->value = calloc(n, sizeof(*r->value));
	return r->before && r->value ? 0 : log_errno(-ENOMEM, "perf: counters");
}

static int run(struct run *r)
{
	int err;

	r->signals = perf_signals();
	if (r->signals < 0)
		return r->signals;
	err = perf_counters_open(&r->counters, &r->guest, &r->events, r->options->events);
	if (err == -ESRCH)
		log_err("perf: %s: the guest has ended", r->guest.name);
	if (err)
		return err;
	say_missing(&r->events);
	say_machine(r);
	err = allocate(r);
	return err ? err : count(r);
}

static int stat_options(const struct options *options, const char *name)
{
	struct run r = {.options = options, .guest.pidfd = -1, .signals = -1};
	int status, err;

	perf_machine_read("", &r.machine);
	err = perf_select("", &r.machine, options->events, &r.events);
	if (err)
		return err == -EINVAL ? END_USAGE : END_SETUP;
	status = perf_guest_find(&r.guest, name, options->all);
	if (!status)
		status = run(&r) ? END_SETUP : 0;
	perf_counters_close(&r.counters);
	perf_guest_free(&r.guest);
	if (r.signals >= 0)
		close(r.signals);
	free(r.before);
	free(r.value);
	return status;
}

static int stat_run(const char *name, int argc, char **argv)
{
	struct options options = {.events = NULL};
	int status, err = command_parse(&table, &argc, argv, &options);

	if (err)
		return END_USAGE;
	if (argc > 1) {
		log_err("perf: stat %.60s: it takes options only", argv[1]);
		status = END_USAGE;
	} else {
		status = stat_options(&options, name);
	}
	command_free(&table, &options);
	return status;
}

static void stat_more(FILE *out)
{
	fprintf(out, "\nEvents (* the usual ones); rNNN, hexadecimal, is one of the CPU by its number\n");
	perf_events_help(out);
}

const struct perf_action perf_stat_action = {"stat", "[OPTIONS]",
	"count events of each vCPU, of the guest and of the host apart", &table, stat_run, stat_more};
