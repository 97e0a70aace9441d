// SPDX-License-Identifier: Apache-2.0
/* The program: subcommands, and what their ends mean as exit statuses. The only file that exits. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/control/control.h"
#include "vmm/dry_run.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/command.h"
#include "vmm/options/options.h"
#include "vmm/options/typed.h"
#include "vmm/outputs.h"
#include "vmm/perf/perf.h"
#include "vmm/printed.h"
#include "vmm/report/report.h"
#include "vmm/stat/stat.h"
#include "vmm/util.h"
#include "version.h"

static const struct command *find_command(const char *name);
static void complete(FILE *out);
static int cmd_help(int argc, char **argv);

static int cmd_version(int argc, char **argv)
{
	printf("pinvm %s\n", PINVM_VERSION);
	return 0;
}

static int cmd_man(int argc, char **argv)
{
	const struct command *command = find_command(argc > 1 ? argv[1] : "run");

	if (argc > 1 && !strcmp(argv[1], "metrics")) { /* no command, a part of stat's */
		metrics_man(stdout);
		return 0;
	}
	if (!command || !command->man) {
		log_err("man: there is none of %.60s", argv[1]);
		return END_USAGE;
	}
	command->man(stdout);
	return 0;
}

static int cmd_completion(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "bash")) {
		log_err("completion: give the shell; only bash is known");
		return END_USAGE;
	}
	complete(stdout);
	return 0;
}

/* With -v. */
static void say_irqchip(const struct guest *guest)
{
	struct irqchip_words words = arch_irqchip(&guest->vm);

	log_info("interrupts: %s; MSIs: %s", words.controller, words.msi ? words.msi : "none");
}

/* With -v: every thread and every piece of memory as the kernel says it is placed. */
static void say_placement(const struct guest *guest)
{
	char line[1024];

	place_head(line, sizeof(line), true);
	log_info("%s", line);
	for (unsigned i = 0; i < guest->place.n; i++) {
		place_line(&guest->place.row[i], true, line, sizeof(line));
		log_info("%s", line);
	}
	mem_plan_head(line, sizeof(line), true);
	log_info("%s", line);
	for (unsigned i = 0; i < guest->memory.n; i++) {
		mem_plan_line(&guest->memory, i, true, line, sizeof(line));
		log_info("%s", line);
	}
	if (guest->memory.fill_ns)
		log_info("memory: %llu MiB preallocated in %.2f s, threads: %u", (unsigned long long)guest->memory.filled >> 20,
			guest->memory.fill_ns / 1e9, guest->memory.fill_threads);
}

/* The status of a set-up that ended early. */
static int setup_status(int err, const char **cause)
{
	*cause = log_first_error();
	if (err == -ECANCELED) {
		*cause = "stopped on request while memory was prepared";
		return END_STOPPED;
	}
	if (err == -ETIME) {
		*cause = "time limit reached while memory was prepared";
		return END_TIMEOUT;
	}
	return END_SETUP;
}

/* Build the guest and run it to its end; the report gets what is known at each way out. */
static int run_guest(const struct guest_config *cfg, struct report *report)
{
	struct guest *guest;
	const char *cause;
	int status, err;

	err = guest_create(&guest, cfg);
	if (err) {
		status = setup_status(err, &cause);
		if (!*cause)
			log_errno(err, "the guest could not be built");
		else if (status != END_SETUP)
			log_note("%s (status %d)", cause, status);
		report_close(report, status, cause);
		return status;
	}
	say_irqchip(guest);
	say_placement(guest);
	status = guest_run(guest);
	log_line(status == END_POWEROFF || status % 2 ? LOG_INFO : LOG_NOTICE, "%s (status %d)", guest->cause, status);
	report_guest(report, guest);
	err = report_close(report, status, guest->cause);
	if (err && !status)
		status = END_HOST_FAILURE;
	guest_destroy(guest);
	return status;
}

static int run_config(const struct guest_config *cfg)
{
	struct report *report;

	log_set_level(LOG_NOTICE + cfg->verbose);
	if (outputs_check(cfg) || (cfg->log && log_open(cfg->log)))
		return END_SETUP;
	if (cfg->dry_run)
		return dry_run(cfg) ? END_SETUP : 0;
	return report_open(&report, cfg) ? END_SETUP : run_guest(cfg, report);
}

static int cmd_run(int argc, char **argv)
{
	struct guest_config cfg;
	int status, ret;

	ret = options_parse_run(argc, argv, &cfg);
	if (ret)
		status = ret > 0 ? 0 : END_USAGE;
	else
		status = run_config(&cfg);
	config_free(&cfg);
	log_close();
	return status;
}

static void json_flag(FILE *out)
{
	fputs("--json", out);
}

static void bash_word(FILE *out)
{
	fputs("bash", out);
}

static void command_names(FILE *out);

static const struct command commands[] = {
	{"run", "[KERNEL] [OPTIONS]", "run a guest to its end", cmd_run, options_help, options_man},
	{"stat", "NAME [OPTIONS]", "what a running guest does: exits, times, devices", stat_command, stat_help, stat_man, true,
		.flags = stat_flags},
	{"ctl", "NAME COMMAND [...]", "pause, resume, stop, reset a running guest, and the like", control_ctl, control_ctl_help,
		control_man, true, control_words, json_flag},
	{"list", "", "the running guests", control_list, control_list_help, .flags = json_flag},
	{"perf", "NAME stat|record", "count, trace or sample what a guest's vCPUs do", perf_main, perf_help, perf_man, true,
		perf_words, perf_flags, perf_values},
	{"help", "[COMMAND]", "print the commands, or a command's options", cmd_help, .words = command_names},
	{"version", "", "print the version", cmd_version},
	{"completion", "bash", "print a completion script for the shell", cmd_completion, .words = bash_word},
	{"man", "", NULL, cmd_man},
};

#define COMMANDS COUNT(commands)

static void command_names(FILE *out)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].help)
			fprintf(out, "%s%s", i ? " " : "", commands[i].name);
}

static void complete(FILE *out)
{
	options_completion(out, commands, COMMANDS);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void usage(FILE *out)
{
	fprintf(out, "Usage: pinvm COMMAND [ARGUMENTS]\n\nCommands\n");
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].help)
			fprintf(out, "  %-10s %-20s %s\n", commands[i].name, commands[i].args,
				commands[i].help);
	fprintf(out, "\nEach command knows --help; `pinvm --version` prints the version.\n");
}

static int unknown_command(const char *name)
{
	const char *near = options_nearest(name, &commands[0].name, COMMANDS, sizeof(commands[0]));
	char list[256];
	size_t len = 0;

	if (control_knows(name) || !strcmp(name, "trace")) {
		log_err("%s: unknown command; did you mean pinvm %s%s?", name, control_knows(name) ? "ctl NAME " : "stat NAME --",
			name);
		return END_USAGE;
	}
	list[0] = '\0';
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].help)
			len += snprintf(
				list + len, sizeof(list) - len, "%s%s", len ? ", " : "", commands[i].name);
	if (near)
		log_err("%.60s: unknown command; did you mean %s? (%s)", name, near, list);
	else
		log_err("%.60s: unknown command; there are %s", name, list);
	return END_USAGE;
}

static int cmd_help(int argc, char **argv)
{
	const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;

	if (argc > 1 && !command)
		return unknown_command(argv[1]);
	if (command && command->usage)
		command->usage(stdout);
	else
		usage(stdout);
	return 0;
}

static bool is_one_of(const char *arg, const char *a, const char *b)
{
	return !strcmp(arg, a) || !strcmp(arg, b);
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		usage(stderr);
		return END_USAGE;
	}
	if (is_one_of(argv[1], "--help", "-h"))
		return cmd_help(1, argv);
	if (is_one_of(argv[1], "--version", "-V"))
		return cmd_version(1, argv);
	command = find_command(argv[1]);
	if (!command)
		return unknown_command(argv[1]);
	if (argc > 2 && is_one_of(argv[2], "--help", "-h"))
		return cmd_help(2, argv);
	if (argc > 2 && is_one_of(argv[2], "--version", "-V"))
		return cmd_version(1, argv);
	return command->run(argc - 1, argv + 1);
}

/*
 * A standard descriptor that is closed would be the next one opened: a disk as standard output. /dev/null takes its
 * place, opened the wrong way round, so that using it still fails.
 */
static void fill_standard_fds(void)
{
	int lowest = open("/dev/null", O_PATH | O_CLOEXEC); /* of those that are free */

	close(lowest);
	if (lowest > STDERR_FILENO)
		return;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			exit(END_SETUP);
}

/* What was printed must have arrived. A reader that left had enough. */
static int close_output(int status)
{
	int err = printed_flush();

	if (!err || err == -EPIPE)
		return status;
	log_errno(err, "standard output");
	return status ? status : END_SETUP;
}

int main(int argc, char **argv)
{
	static char out[1 << 16]; /* holds the longest text, so that close_output() hears of every failure */

	mallopt(M_ARENA_MAX, 1); /* threads allocate while they start, if at all: an arena each would be 4 calls and a page */
	fill_standard_fds();
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return close_output(dispatch(argc, argv));
}
