// SPDX-License-Identifier: Apache-2.0
/* Threads as /proc knows them; see task.h. One thread. */
#include "vmm/stat/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/util.h"

#define FILE_MAX 8192 /* sched and status have some 3 KiB */

/* Fields of a task's stat, counted from the one behind its name (proc_pid_stat(5) has that as 3). */
#define STAT_UTIME     (14 - 3)
#define STAT_STIME     (15 - 3)
#define STAT_PROCESSOR (39 - 3)
#define STAT_GUEST     (43 - 3)
#define STAT_FIELDS    (STAT_GUEST + 1)

static bool read_file(const char *proc, pid_t pid, pid_t tid, const char *name, char text[FILE_MAX])
{
	char path[PATH_MAX];
	ssize_t n, len = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/task/%d/%s", proc, (int)pid, (int)tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	do {
		n = read(fd, text + len, FILE_MAX - 1 - len);
		len += n > 0 ? n : 0;
	} while (n > 0 && len < FILE_MAX - 1);
	close(fd);
	text[len] = '\0';
	return len > 0;
}

static void set(json_t *task, const char *name, unsigned long long value)
{
	json_object_set_new(task, name, json_integer(value > LLONG_MAX ? LLONG_MAX : (json_int_t)value));
}

/* The name may hold anything, parentheses too; numbers follow the last one. */
static void read_stat(json_t *task, const char *text)
{
	unsigned long long field[STAT_FIELDS] = {0}, tick = 1000000000ULL / sysconf(_SC_CLK_TCK);
	const char *p = strrchr(text, ')');
	unsigned n = 0;

	for (p = p ? p + 1 : ""; n < STAT_FIELDS; n++) {
		p += strspn(p, " ");
		if (!*p || *p == '\n')
			break;
		field[n] = strtoull(p, NULL, 10);
		p += strcspn(p, " \n");
	}
	if (n < STAT_FIELDS)
		return;
	set(task, "cpu", field[STAT_PROCESSOR]);
	/* utime has the guest's time in it; the kernel smooths the one and not the other. */
	if (field[STAT_GUEST] > field[STAT_UTIME])
		field[STAT_UTIME] = field[STAT_GUEST];
	set(task, "guest_ns", field[STAT_GUEST] * tick);
	set(task, "user_ns", (field[STAT_UTIME] - field[STAT_GUEST]) * tick);
	set(task, "kernel_ns", field[STAT_STIME] * tick);
}

static void read_schedstat(json_t *task, const char *text)
{
	unsigned long long run, delay;

	if (sscanf(text, "%llu %llu", &run, &delay) != 2)
		return;
	set(task, "run_ns", run);
	set(task, "run_delay_ns", delay);
}

static void read_key(json_t *task, const char *text, const char *key, const char *name)
{
	uint64_t value;

	if (hostfile_number(text, key, &value))
		set(task, name, value);
}

json_t *task_read(const char *proc, pid_t pid, pid_t tid)
{
	char text[FILE_MAX];
	json_t *task;

	if (pid <= 0 || tid <= 0 || !read_file(proc, pid, tid, "stat", text))
		return NULL;
	task = json_object();
	read_stat(task, text);
	if (read_file(proc, pid, tid, "status", text)) {
		read_key(task, text, "voluntary_ctxt_switches", "voluntary_switches");
		read_key(task, text, "nonvoluntary_ctxt_switches", "involuntary_switches");
	}
	if (read_file(proc, pid, tid, "sched", text))
		read_key(task, text, "se.nr_migrations", "migrations");
	/* Last, and the clock with it: that is what times are compared with. */
	if (read_file(proc, pid, tid, "schedstat", text))
		read_schedstat(task, text);
	json_object_set_new(task, "at_s", json_real((double)now_ns() / 1e9));
	return task;
}

/* The number of a task in its own PID namespace: the last one of the line. */
static pid_t inside(const char *proc, pid_t pid, pid_t tid)
{
	char text[FILE_MAX], *end;
	const char *value;
	pid_t last = 0;

	if (!read_file(proc, pid, tid, "status", text))
		return 0;
	for (value = hostfile_value(text, "NSpid"); value && *value >= '0' && *value <= '9'; value = end) {
		last = strtol(value, &end, 10);
		end += strspn(end, " \t");
	}
	return last;
}

pid_t task_here(const char *proc, pid_t pid, pid_t own_pid, pid_t tid)
{
	char path[PATH_MAX];
	struct dirent *entry;
	pid_t found = 0;
	DIR *dir;

	if (pid == own_pid || tid <= 0)
		return tid;
	if (own_pid <= 0) /* what it says is not to be trusted */
		return 0;
	/* Threads that began one after the other mostly have numbers in a row on either side. */
	if (pid + (tid - own_pid) > 0 && inside(proc, pid, pid + (tid - own_pid)) == tid)
		return pid + (tid - own_pid);
	snprintf(path, sizeof(path), "%s/%d/task", proc, (int)pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		pid_t here = strtol(entry->d_name, NULL, 10);

		if (here > 0 && inside(proc, pid, here) == tid)
			found = here;
	}
	if (dir)
		closedir(dir);
	return found;
}
