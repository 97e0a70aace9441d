// SPDX-License-Identifier: Apache-2.0
/* `pinvm perf`: its actions, and what they share; see perf.h. */
#include "vmm/perf/perf.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "vmm/control/ask.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/perf/priv.h"
#include "vmm/util.h"

static const struct perf_action *const actions[] = {&perf_stat_action, &perf_record_action};

#define ACTIONS COUNT(actions)

int perf_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? log_errno(-errno, "perf: signalfd") : fd;
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

/* NULL: there is none of that name. */
static const struct perf_action *find_action(const char *name)
{
	for (size_t i = 0; i < ACTIONS; i++)
		if (!strcmp(actions[i]->name, name))
			return actions[i];
	return NULL;
}

int perf_main(int argc, char **argv)
{
	const struct perf_action *action;

	if (asks_help(argc, argv)) {
		perf_help(stdout);
		return 0;
	}
	if (argc < 3) {
		log_err("perf: give the guest's name and what to do, as in pinvm perf NAME stat");
		return END_USAGE;
	}
	action = find_action(argv[2]);
	if (action)
		return action->run(argv[1], argc - 2, argv + 2);
	if (find_action(argv[1]))
		log_err("perf: the name comes first: pinvm perf %.60s %s", argv[2], argv[1]);
	else
		log_err("perf: %.60s: unknown action; there are stat and record", argv[2]);
	return END_USAGE;
}

void perf_help(FILE *out)
{
	fputs("Usage: pinvm perf NAME ACTION [OPTIONS]\n\nLook at a running guest's vCPUs with the kernel's "
	      "performance events.\n" ASK_NAME_HELP,
		out);
	for (size_t i = 0; i < ACTIONS; i++) {
		fprintf(out, "\n%s %s: %s\n", actions[i]->name, actions[i]->args, actions[i]->help);
		command_help(out, actions[i]->options);
		if (actions[i]->more)
			actions[i]->more(out);
	}
	fprintf(out,
		"\nStatus: 0 done, 2 the command line is wrong, 4 no such guest, or it could not be done.\n");
}

void perf_man(FILE *out)
{
	for (size_t i = 0; i < ACTIONS; i++) {
		fprintf(out, ".SS ");
		options_man_text(out, actions[i]->name);
		fprintf(out, "\n");
		options_man_text(out, actions[i]->help);
		fprintf(out, "\n");
		command_man(out, actions[i]->options);
	}
	fprintf(out, ".SS Events\n");
	perf_events_man(out);
}

void perf_words(FILE *out)
{
	for (size_t i = 0; i < ACTIONS; i++)
		fprintf(out, "%s%s", i ? " " : "", actions[i]->name);
}

/* Of all actions: one list is enough to complete a word. */
void perf_flags(FILE *out)
{
	for (size_t i = 0; i < ACTIONS; i++) {
		fputs(i ? " " : "", out);
		command_words(out, actions[i]->options);
	}
}

void perf_values(FILE *out)
{
	perf_events_words(out);
}
