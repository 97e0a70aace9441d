// SPDX-License-Identifier: Apache-2.0
/* `pinvm perf NAME record`: start perf(1) on the guest's threads, and end it. The client's one thread. */
#include "vmm/perf/record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/perf/priv.h"
#include "vmm/util.h"

#define SECOND	  1000000000ULL
#define NOT_FOUND 127

#define SYMBOLS(field) OPT_STRING, offsetof(struct perf_record, field), .min = 1, .max = PATH_MAX - 1

static const struct command_option option[] = {
	{'o', {"output", "FILE",
		      "perf's data; FILE.vcpus says which thread is which vCPU (default perf.data)",
		      OPT_STRING, offsetof(struct perf_record, output), .min = 1, .max = PATH_MAX - 16}},
	{'d', {"duration", "TIME", "end after that; without it at the guest's end or by Ctrl-C", OPT_DURATION,
		      offsetof(struct perf_record, duration_ns), .min = 1000000, .max = 86400 * SECOND}},
	{'e', {"event", "EVENT", "as perf(1) writes it; without it the best that this host has", OPT_STRING,
		      offsetof(struct perf_record, event), .min = 1, .max = 512}},
	{'F', {"frequency", "N", "samples a second; without it perf's choice", OPT_UINT,
		      offsetof(struct perf_record, frequency), .min = 1, .max = 1000000}},
	{'a', {"all", NULL, "the threads that run no guest, too", OPT_BOOL,
		      offsetof(struct perf_record, all)}},
	{0, {"guestkallsyms", "FILE", "a copy of the guest's /proc/kallsyms, read by its root",
		    SYMBOLS(kallsyms)}},
	{0, {"guestmodules", "FILE", "a copy of the guest's /proc/modules", SYMBOLS(modules)}},
	{0, {"guestvmlinux", "FILE",
		    "the guest's vmlinux with symbols, as of its distribution's debug package",
		    SYMBOLS(vmlinux)}},
	{0, {"dry-run", NULL, "print perf's command line, and start nothing", OPT_BOOL,
		    offsetof(struct perf_record, dry_run)}},
};

static const struct command_options table = {"perf", option, COUNT(option)};

/* ---- perf(1) as a child ---- */

/* Where perf is; false: nowhere in PATH. */
static bool find_perf(char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");

	for (const char *p = dirs ? dirs : "/usr/bin:/bin"; *p;) {
		size_t len = strcspn(p, ":");

		if (len && snprintf(path, PATH_MAX, "%.*s/perf", (int)len, p) < PATH_MAX &&
			!access(path, X_OK))
			return true;
		p += len + !!p[len];
	}
	return false;
}

/* In a group of its own: a Ctrl-C reaches it from here only, and once. It goes when this process does. */
static void child(const char *path, char **argv, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	if (null >= 0)
		dup2(null, STDIN_FILENO);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGINT);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_DFL); /* ignored in what a shell started in the background */
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (getppid() == parent)
		execv(path, argv);
	_exit(NOT_FOUND);
}

struct recording {
	pid_t pid;
	int pidfd, signals;
	bool asked; /* it was told to end, or the guest has: it may die of the signal, its way to pass that on
		     */
};

static void interrupt(struct recording *r)
{
	kill(r->pid, r->asked ? SIGTERM : SIGINT);
	r->asked = true;
}

/* Until perf has ended. */
static void watch(struct recording *r, int guest)
{
	struct pollfd pfd[3] = {{.fd = r->pidfd, .events = POLLIN}, {.fd = r->signals, .events = POLLIN},
		{.fd = guest, .events = POLLIN}};
	struct signalfd_siginfo info;

	while (!pfd[0].revents) {
		if (poll(pfd, 3, -1) < 0)
			continue;
		if (pfd[1].revents && read(r->signals, &info, sizeof(info)) == sizeof(info))
			interrupt(r);
		if (!pfd[2].revents)
			continue;
		log_note("the guest has ended");
		if (!r->asked)
			interrupt(r);
		pfd[2].fd = -1;
	}
}

static int outcome(int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	/* Its way to pass on what ended it, or the sleep of --duration when its threads ended before; the
	 * data is written. */
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGINT || WTERMSIG(status) == SIGTERM))
		return 0;
	if (WIFSIGNALED(status))
		log_err("perf: perf(1) ended by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == NOT_FOUND)
		log_err("perf: perf(1) cannot be executed");
	else
		log_err("perf: perf(1) ended with status %d", WEXITSTATUS(status));
	return END_SETUP;
}

static int run_perf(const struct perf_words *words, const struct perf_guest *guest)
{
	struct recording r = {.pidfd = -1, .signals = -1};
	char path[PATH_MAX];
	pid_t self = getpid();
	int status = 0, ret = END_SETUP;

	if (!find_perf(path)) {
		log_err("perf: there is no perf(1) in PATH: on Debian it is the package linux-perf");
		return END_SETUP;
	}
	fflush(NULL);
	r.signals = perf_signals();
	if (r.signals < 0)
		return END_SETUP;
	r.pid = fork();
	if (!r.pid)
		child(path, words->word, self);
	r.pidfd = r.pid > 0 ? (int)syscall(SYS_pidfd_open, r.pid, 0) : -1;
	if (r.pid < 0 || r.pidfd < 0) {
		log_errno(-errno, "perf: starting perf(1)");
		if (r.pid > 0)
			kill(r.pid, SIGKILL);
	} else {
		watch(&r, guest->pidfd);
	}
	if (r.pid > 0 && waitpid(r.pid, &status, 0) == r.pid && r.pidfd >= 0)
		ret = outcome(status);
	if (r.pidfd >= 0)
		close(r.pidfd);
	close(r.signals);
	return ret;
}

/* ---- what stays ---- */

static int write_map(const struct perf_record *record, const struct perf_guest *guest)
{
	char path[PATH_MAX];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s.vcpus", record->output);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		log_errno(-errno, "perf: %s", path);
		if (fd >= 0)
			close(fd);
		return END_SETUP;
	}
	perf_record_map(f, guest);
	if (!fclose(f))
		return 0;
	log_errno(-errno, "perf: %s", path);
	return END_SETUP;
}

/* Its inode; 0: there is none. perf moves an older file aside. */
static ino_t file_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

static int finish(const struct perf_record *record, const struct perf_guest *guest, ino_t before)
{
	struct perf_words report;
	int status;

	if (!file_of(record->output) || file_of(record->output) == before) {
		log_err("perf: perf(1) was ended before it had recorded anything");
		return END_SETUP;
	}
	status = write_map(record, guest);
	if (status)
		return status;
	perf_record_map(stdout, guest);
	printf("# the names are those of the threads: ");
	if (!perf_report_words(&report, record))
		perf_words_print(stdout, &report);
	perf_words_free(&report);
	return 0;
}

static int record_guest(const struct perf_record *record, const struct perf_guest *guest)
{
	struct perf_machine machine;
	const char *event = record->event;
	ino_t before = file_of(record->output);
	struct perf_words words;
	char why[160];
	int status;

	if (!event) {
		perf_machine_read("", &machine);
		event = perf_record_event("", &machine, why, sizeof(why));
		if (*why)
			log_note("%s", why);
	}
	if (perf_record_words(&words, record, guest, event)) {
		log_errno(-ENOMEM, "perf: record");
		status = END_SETUP;
	} else if (record->dry_run) {
		perf_words_print(stdout, &words);
		status = 0;
	} else {
		status = run_perf(&words, guest);
		if (!status)
			status = finish(record, guest, before);
	}
	perf_words_free(&words);
	return status;
}

/* Symbols that cannot be read would only show in the report. */
static int check_files(const struct perf_record *record)
{
	const char *const file[] = {record->kallsyms, record->modules, record->vmlinux};
	static const char *const name[] = {"guestkallsyms", "guestmodules", "guestvmlinux"};
	static const char *const from[] = {"a copy of the guest's /proc/kallsyms", "a copy of the guest's /proc/modules",
		"its kernel's, with symbols"};

	for (unsigned i = 0; i < 3; i++)
		if (file[i] && access(file[i], R_OK)) {
			log_err("perf: --%s %s: %s; it is %s%s", name[i], file[i], strerror(errno), from[i],
				i < 2 ? ", made by its root after each boot" : "");
			return END_SETUP;
		}
	return 0;
}

static int record_run(const char *name, int argc, char **argv)
{
	struct perf_record record = {.output = NULL};
	struct perf_guest guest = {.pidfd = -1};
	int status = END_USAGE, err = command_parse(&table, &argc, argv, &record);

	if (err)
		return END_USAGE;
	if (argc > 1 && strcmp(argv[1], "--")) {
		log_err("perf: record %.60s: it takes options; those of perf record go behind --", argv[1]);
		goto out;
	}
	record.more = argv + 2;
	record.nmore = argc > 2 ? argc - 2 : 0;
	if (!record.output)
		record.output = strdup("perf.data");
	status = record.output ? check_files(&record) : END_SETUP;
	if (!status)
		status = perf_guest_find(&guest, name, record.all);
	if (!status)
		status = record_guest(&record, &guest);
	perf_guest_free(&guest);
out:
	command_free(&table, &record);
	return status;
}

static void record_more(FILE *out)
{
	fputs("\nWithout -e the first of these that this host has: intel_pt// (Intel PT), arm_spe_0//, "
	      "cs_etm//, cycles:GH, "
	      "cpu-clock.\nOptions of perf record stand behind --, as in `-- -g`. Symbols of the guest come "
	      "from the guest: "
	      "there, as\nroot, copy /proc/kallsyms and /proc/modules.\n",
		out);
}

const struct perf_action perf_record_action = {"record", "[OPTIONS] [-- PERF-RECORD-OPTIONS]",
	"have perf(1) trace or sample the vCPUs, and say which thread is which", &table, record_run,
	record_more};
