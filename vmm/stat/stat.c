// SPDX-License-Identifier: Apache-2.0
/* `pinvm stat`; see stat.h. One thread. */
#include "vmm/stat/stat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/command.h"
#include "vmm/printed.h"
#include "vmm/stat/document.h"
#include "vmm/stat/export.h"
#include "vmm/stat/screen.h"
#include "vmm/stat/terminal.h"
#include "vmm/stat/traced.h"
#include "vmm/util.h"

#define CUT_TRIES 3 /* of a connection that the guest cut */
#define CUT_NS	  100000000ULL

struct settings {
	bool watch, json, csv, prometheus, trace;
	uint64_t interval_ns;
};

static const struct command_option option[] = {
	{'w', {"watch", NULL,
		      "again and again, until the guest ends or Ctrl-C; a terminal is drawn on in place",
		      OPT_BOOL, offsetof(struct settings, watch)}},
	{'i', {"interval", "TIME", "how long to look; with --watch also how often", OPT_DURATION,
		      offsetof(struct settings, interval_ns), .min = 10000000, .max = 86400000000000,
		      .def = 1000000000}},
	{'t', {"trace", NULL,
		      "exits in the kernel and interrupts by cause, from tracepoints (CAP_PERFMON, tracefs)",
		      OPT_BOOL, offsetof(struct settings, trace)}},
	{0, {"json", NULL, "one JSON object: the report, and rates; with --watch one a line", OPT_BOOL,
		    offsetof(struct settings, json)}},
	{0, {"csv", NULL, "a header, and a line for each number; with --watch more lines each time", OPT_BOOL,
		    offsetof(struct settings, csv)}},
	{0, {"prometheus", NULL, "counters in Prometheus' text format 0.0.4, at once", OPT_BOOL,
		    offsetof(struct settings, prometheus)}},
};

static const struct command_options options = {"stat", option, COUNT(option)};

/* A look at a guest: what it was asked for, and what is known of it by now. */
struct look {
	struct settings set;
	struct ask ask;
	struct terminal terminal;
	json_t *before, *now; /* before: NULL at first */
	bool header;	      /* of CSV: it is written */
	struct traced traced; /* with --trace */
};

/* ---- what is written ---- */

static void write_json(json_t *doc, bool a_line)
{
	json_dumpf(doc, stdout,
		(a_line ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	fputs("\n", stdout);
}

static int write_screen(struct look *look)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	screen_write(look->now, out, terminal_columns());
	fclose(out);
	if (look->set.watch)
		terminal_show(&look->terminal, text);
	else
		fputs(text, stdout);
	free(text);
	return 0;
}

/* What two documents say, in the form that was asked for. 0 or -ENOMEM. */
static int show(struct look *look)
{
	struct subjects subjects;
	int err = subjects_find(&subjects, look->now, look->before);

	if (!err && !look->set.prometheus)
		document_rates(&subjects);
	if (err)
		;
	else if (look->set.prometheus)
		prometheus_write(&subjects, stdout);
	else if (look->set.json)
		write_json(look->now, look->set.watch);
	else if (!look->set.csv)
		err = write_screen(look);
	else {
		if (!look->header)
			csv_header(stdout);
		look->header = true;
		csv_write(&subjects, stdout);
	}
	subjects_free(&subjects);
	printed_flush();
	return err;
}

/* ---- how often ---- */

static int take(struct look *look)
{
	json_t *doc;
	int err = document_take(&look->ask, &doc);

	if (err)
		return err;
	json_decref(look->before);
	look->before = look->now;
	look->now = doc;
	terminal_follow(&look->terminal, look->ask.pid);
	if (look->set.trace && !look->before)
		err = traced_begin(&look->traced, &look->ask, doc) ? -ENOTRECOVERABLE : 0;
	if (look->set.trace && !err)
		traced_add(&look->traced, &look->ask, doc);
	return err;
}

/* The guest that was looked at is no more. */
static bool has_ended(const struct look *look, int err)
{
	if (err)
		return err == -ENOENT || err == -ECONNREFUSED || err == -ECONNRESET || err == -EPIPE;
	return look->before &&
	       !json_equal(json_object_get(look->before, "pid"), json_object_get(look->now, "pid"));
}

/*
 * Wait until then, or the guest's end, and draw again where the window changed. The rings of --trace are emptied meanwhile:
 * nothing else of --watch takes long.
 */
static enum terminal_event pass(struct look *look, uint64_t until_ns)
{
	enum terminal_event event;

	do {
		if (look->set.trace)
			traced_wait(&look->traced, until_ns, look->terminal.wake_fd);
		event = terminal_wait(&look->terminal, until_ns);
		if (event == TERMINAL_RESIZED && look->set.watch && look->before && look->terminal.is_one &&
			!look->set.json && !look->set.csv)
			write_screen(look);
	} while (event == TERMINAL_RESIZED || (event == TERMINAL_TIME && now_ns() < until_ns));
	return event;
}

/* Again, where a connection was cut: the guest is at its end, which the next try says, or had no time for it.
 */
static int take_again(struct look *look)
{
	int err = take(look);

	for (int i = 0; i < CUT_TRIES && (err == -ECONNRESET || err == -EPIPE); i++)
		err = pass(look, now_ns() + CUT_NS) == TERMINAL_END ? -ECANCELED : take(look);
	return err;
}

/* One look, an interval long. 0 or -errno; -ECANCELED: a signal ended it. */
static int look_once(struct look *look)
{
	int err = take(look);

	/* Counters are of one moment; what was traced is of an interval. */
	if (!err && (!look->set.prometheus || look->set.trace)) {
		if (pass(look, now_ns() + look->set.interval_ns) == TERMINAL_END)
			return -ECANCELED;
		err = take_again(look);
	}
	return err ? err : show(look);
}

/* Until the guest ends (1), or a signal or a reader that left ends it (0), or -errno. */
static int look_on(struct look *look)
{
	uint64_t next = now_ns();
	int err = take(look);

	if (err)
		return err;
	for (;;) {
		/* A time that has passed is left out: what is slow must not be made slower. */
		next += look->set.interval_ns;
		if (next < now_ns())
			next = now_ns();
		if (pass(look, next) == TERMINAL_END)
			return 0;
		err = take_again(look);
		if (err == -ECANCELED)
			return 0;
		if (has_ended(look, err))
			return 1;
		if (!err)
			err = show(look);
		if (err)
			return err;
		if (ferror(stdout))
			return 0; /* main says why */
	}
}

static int status_of(struct look *look, int result)
{
	if (result >= 0 || result == -ECANCELED) {
		if (result > 0)
			log_note("%s: the guest ended", look->ask.name);
		return 0;
	}
	if (result == -ENOTRECOVERABLE || result == -ASK_REFUSED)
		return END_SETUP; /* it was said why */
	if (look->now && has_ended(look, result)) {
		log_err("%s: the guest ended meanwhile", look->ask.name);
		return END_SETUP;
	}
	return ask_no_answer(&look->ask, result);
}

static int look_at(struct look *look, const char *name)
{
	int result = ask_open(&look->ask, name);

	if (result)
		return result;
	if (terminal_begin(&look->terminal))
		return END_SETUP;
	look->ask.stop_fd = look->terminal.signal_fd;
	result = look->set.watch ? look_on(look) : look_once(look);
	terminal_end(&look->terminal);
	traced_end(&look->traced);
	json_decref(look->before);
	result = status_of(look, result);
	json_decref(look->now);
	return result;
}

static int wrong(const struct settings *set, int words)
{
	if (words != 2)
		log_err("stat: give one guest's name, as in pinvm stat NAME; pinvm list shows those there "
			"are");
	else if (set->json + set->csv + set->prometheus > 1)
		log_err("stat: only one of --json, --csv and --prometheus");
	else if (set->prometheus && set->watch)
		log_err("stat: --prometheus is of one moment: leave out --watch");
	else
		return 0;
	return END_USAGE;
}

int stat_command(int argc, char **argv)
{
	struct look look = {0};
	int status, err = command_parse(&options, &argc, argv, &look.set);

	if (err > 0)
		stat_help(stdout);
	if (err)
		return err > 0 ? 0 : END_USAGE;
	status = wrong(&look.set, argc);
	return status ? status : look_at(&look, argv[1]);
}

/* ---- what people read ---- */

void stat_help(FILE *out)
{
	fputs("Usage: pinvm stat NAME [OPTIONS]\n\n"
	      "Show what a running guest does: its vCPUs, why they leave the guest, its devices, memory and "
	      "threads.\n" ASK_NAME_HELP "\nOptions\n",
		out);
	command_help(out, &options);
	fputs("\nColumns\n"
	      "  CPU, WANTED, POLICY         where the thread is, where it may be, and its scheduling "
	      "policy\n"
	      "  %GUEST %KERN %VMM           where its time went: in the guest, the host's kernel, pinvm\n"
	      "  %HALT %STEAL                idle (halted or paused); ready, but another thread had the CPU\n"
	      "  USER/s KVM/s                exits to pinvm; all exits, most of which KVM handles itself\n"
	      "  PREEMPT, MOVED              how often, since it was placed, its CPU was taken away, or another "
	      "one given\n"
	      "  COST                        mean time to handle the exit, with --profile times=on\n"
	      "  KICKS/s, INTR/s             how often the guest woke the device, and the device the guest\n"
	      "  BATCH, P50, P99             requests taken at a time; half of them, and 99 of 100, took at "
	      "most so long\n"
	      "  TRACED, MEAN                with --trace: what it was, and the time until the guest ran "
	      "again\n"
	      "  -                           not known\n"
	      "\nStatus: 0 shown, or with --watch the guest ended, 2 the command line is wrong, 4 no such "
	      "guest.\n",
		out);
}

void stat_man(FILE *out)
{
	command_man(out, &options);
}

void stat_flags(FILE *out)
{
	command_words(out, &options);
}
