// SPDX-License-Identifier: Apache-2.0
/*
 * The look at every task of this process, those included that the kernel made in it: io_uring's workers (iou-wrk-TID) and
 * KVM's helpers (kvm-...). See place.h. Main.
 */
#include "vmm/place/place.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/place/priv.h"

#define TASKS	   "/proc/self/task"
#define IOU_WORKER "iou-wrk-"
#define KVM_HELPER "kvm-"
#define IO_WORKER  0x10 /* PF_IO_WORKER of linux/sched.h, in the flags of stat */

struct task {
	pid_t tid;
	char name[32];
	cpu_set_t cpus;
	struct place_sched sched;
};

/* Calls fn for the id of every task, until one returns other than 0. */
static int each_task(int (*fn)(void *arg, pid_t tid), void *arg)
{
	struct dirent *entry;
	DIR *dir = opendir(TASKS);
	int err = 0;

	if (!dir)
		return log_errno(-errno, TASKS);
	while (!err && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			err = fn(arg, (pid_t)strtol(entry->d_name, NULL, 10));
	closedir(dir);
	return err;
}

static int note_foreign(void *arg, pid_t tid)
{
	struct place *place = arg;
	pid_t *more;

	if (tid == gettid())
		return 0;
	more = realloc(place->foreign, (place->nforeign + 1) * sizeof(*more));
	if (!more)
		return log_errno(-ENOMEM, "placement");
	more[place->nforeign++] = tid;
	place->foreign = more;
	return 0;
}

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__
#endif
#endif

#ifdef __SANITIZE_THREAD__
static void *nothing(void *arg)
{
	return NULL;
}
#endif

/* ThreadSanitizer has a thread of its own, from the first pthread_create() on. */
static void wake_sanitizer(void)
{
#ifdef __SANITIZE_THREAD__
	pthread_t id;

	if (!pthread_create(&id, NULL, nothing, NULL))
		pthread_join(id, NULL);
#endif
}

int place_foreign(struct place *place)
{
	struct stat st;

	wake_sanitizer();
	if (!stat(TASKS, &st) && st.st_nlink == 3) /* ., .. and the calling thread */
		return 0;
	return each_task(note_foreign, place);
}

static bool is_foreign(const struct place *place, pid_t tid)
{
	for (unsigned i = 0; i < place->nforeign; i++)
		if (place->foreign[i] == tid)
			return true;
	return false;
}

static bool has_prefix(const struct task *task, const char *prefix)
{
	return !strncmp(task->name, prefix, strlen(prefix));
}

/* proc(5): the flags are the seventh behind the name, which may have parentheses of its own. */
static bool flagged_as_worker(pid_t tid)
{
	char path[64], text[512], *behind;
	unsigned flags;

	snprintf(path, sizeof(path), TASKS "/%d/stat", tid);
	behind = hostfile_text("", path, text, sizeof(text)) ? NULL : strrchr(text, ')');
	return behind && sscanf(behind, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && flags & IO_WORKER;
}

/*
 * A worker of io_uring names itself when it first runs; until then, on a busy host for long, it has the name of the thread
 * whose ring it serves.
 */
static bool is_worker(const struct task *task)
{
	return has_prefix(task, IOU_WORKER) || (!has_prefix(task, KVM_HELPER) && flagged_as_worker(task->tid));
}

/* False: it ended since its id was read. */
static bool read_name(struct task *task)
{
	char path[64];

	snprintf(path, sizeof(path), TASKS "/%d/comm", task->tid);
	return !hostfile_text("", path, task->name, sizeof(task->name));
}

/* Who is not pinned may be wherever this process may now, which can be more than when the plan was made. */
static bool stands_right(const struct place *place, const struct placement *row, const cpu_set_t *cpus)
{
	return is_subset(&row->cpus, cpus) || (!row->pinned && is_subset(&place->allowed_now, cpus));
}

static struct placement *row_of(struct place *place, pid_t tid)
{
	for (unsigned i = 0; i < place->n; i++)
		if (place->row[i].tid == tid && !place->row[i].by_kernel)
			return &place->row[i];
	return NULL;
}

static bool is_owner(const struct placement *row, const struct task *task)
{
	if (has_prefix(task, IOU_WORKER))
		return row->tid == (pid_t)strtol(task->name + strlen(IOU_WORKER), NULL, 10);
	return !strcmp(row->name, task->name);
}

/*
 * The name ends with the id of the thread whose ring it serves, as the first PID namespace counts: in a container it is
 * no id we know, and then any iothread's row will do that the worker's CPUs fit into.
 */
static struct placement *row_of_worker(struct place *place, const struct task *task)
{
	struct placement *fits = NULL, *some = NULL;

	for (unsigned i = 0; i < place->planned; i++) {
		struct placement *row = &place->row[i];

		if (!row->by_kernel)
			continue;
		if (is_owner(place_owner(place, row), task))
			return row;
		some = row;
		if (stands_right(place, row, &task->cpus))
			fits = row;
	}
	return fits ? fits : some;
}

/* NULL: there is no room left. */
static struct placement *add_found(struct place *place, enum place_role role, const struct task *task)
{
	const struct placement *emulator = place_find(place, PLACE_EMULATOR, 0);
	struct placement *row;

	if (place->n == place->room)
		return NULL;
	row = &place->row[place->n++];
	memset(row, 0, sizeof(*row));
	row->role = role;
	row->tid = task->tid;
	row->cpus = emulator->cpus;
	row->pinned = emulator->pinned;
	snprintf(row->name, sizeof(row->name), "%s", task->name);
	return row;
}

static void take_answer(struct placement *row, const struct task *task)
{
	if (row->by_kernel && row->tasks++) {
		CPU_OR(&row->actual_cpus, &row->actual_cpus, &task->cpus);
		return;
	}
	row->actual_cpus = task->cpus;
	row->actual_sched = task->sched;
	row->applied = true;
}

/* ---- before the guest runs ---- */

/*
 * It inherits from the vCPU what reset-on-fork does not reset (batch, idle, a nice value), and all when pinvm itself was
 * started so. The kernel's housekeeping is to be neither urgent nor put off. Who may not give it nice 0 gives it the
 * policy at least, and who may not even do that leaves it.
 */
static int make_ordinary(struct task *task)
{
	const struct sched_param none = {0};

	if (task->sched.policy != SCHED_OTHER)
		sched_setscheduler(task->tid, SCHED_OTHER, &none);
	else if (!task->sched.prio)
		return 0;
	setpriority(PRIO_PROCESS, task->tid, 0);
	return place_ask(task->tid, &task->cpus, &task->sched);
}

static int move_helper(struct place *place, struct task *task)
{
	struct placement *row = add_found(place, PLACE_HELPER, task);
	int err;

	if (!row)
		return log_errno(-ENOSPC, "%s: KVM made more tasks than were thought of", task->name);
	if (sched_setaffinity(task->tid, sizeof(row->cpus), &row->cpus) < 0)
		return errno == ESRCH ? 0 : log_errno(-errno, "%s: sched_setaffinity", task->name);
	err = place_ask(task->tid, &task->cpus, &task->sched);
	if (!err)
		err = make_ordinary(task);
	if (err)
		return err == -ESRCH ? 0 : log_errno(err, "%s: what the kernel says of its place", task->name);
	take_answer(row, task);
	if ((!row->pinned || CPU_EQUAL(&row->cpus, &task->cpus)) && !place_is_realtime(task->sched.policy))
		return 0;
	log_err("%s, a task that KVM made, does not go to the emulator's CPUs", task->name);
	return -EXDEV;
}

static int settle_task(void *arg, pid_t tid)
{
	struct place *place = arg;
	struct task task = {.tid = tid};

	if (row_of(place, tid) || is_foreign(place, tid) || !read_name(&task))
		return 0;
	return has_prefix(&task, KVM_HELPER) ? move_helper(place, &task) : 0;
}

int place_helpers(struct place *place)
{
	place->n = place->planned; /* a new VM has new ones */
	place_find(place, PLACE_EMULATOR, 0)->tid = gettid();
	return each_task(settle_task, place);
}

/* ---- later, and at the end ---- */

/* One answer of the kernel, and who wants to hear of a wrong one. */
struct look {
	struct place *place;
	bool quiet;
};

static unsigned found_stray(const struct look *look, const struct task *task)
{
	struct placement *row = add_found(look->place, PLACE_STRAY, task);
	char is[CPUS_TEXT];

	if (row)
		take_answer(row, task);
	if (look->quiet)
		return 1;
	place_format_cpus(&task->cpus, is, sizeof(is));
	log_err("%s (task %d, CPUs %s): a thread of this process that nobody planned", task->name, task->tid, is);
	return 1;
}

static void say_misplaced(const struct placement *row, const struct task *task, bool on_cpus)
{
	char is[CPUS_TEXT], planned[CPUS_TEXT];

	if (!on_cpus) {
		place_format_cpus(&task->cpus, is, sizeof(is));
		place_format_cpus(&row->cpus, planned, sizeof(planned));
		log_err("%s (task %d): planned on CPUs %s, at the end the kernel says %s", row->name, task->tid, planned, is);
		return;
	}
	place_format_sched(&task->sched, is, sizeof(is));
	place_format_sched(&row->home, planned, sizeof(planned));
	log_err("%s (task %d): under %s since a change that failed, and could not be put back under %s", row->name, task->tid, is,
		planned);
}

/* How many tasks are not where they should be: 0 or 1. */
static unsigned look_at(const struct look *look, struct task *task)
{
	bool on_cpus;
	struct placement *row = row_of(look->place, task->tid);

	if (!row && is_worker(task))
		row = row_of_worker(look->place, task);
	else if (!row && has_prefix(task, KVM_HELPER))
		row = add_found(look->place, PLACE_HELPER, task);
	if (!row)
		return found_stray(look, task);
	take_answer(row, task);
	on_cpus = stands_right(look->place, row, &task->cpus);
	if (on_cpus && place_is_back(row, &task->sched))
		return 0;
	if (!look->quiet)
		say_misplaced(row, task, on_cpus);
	return 1;
}

static int look_task(void *arg, pid_t tid)
{
	const struct look *look = arg;
	struct task task = {.tid = tid};

	if (!is_foreign(look->place, tid) && read_name(&task) && !place_ask(tid, &task.cpus, &task.sched))
		look->place->misplaced += look_at(look, &task);
	return 0;
}

/* What the kernel lets our threads have that were never given CPUs, beside what it was when the plan was made. */
static void see_allowed(struct place *place)
{
	struct place_sched sched;
	cpu_set_t cpus;

	place->allowed_now = place->allowed;
	for (unsigned i = 0; i < place->planned; i++) {
		const struct placement *row = &place->row[i];

		if (!row->pinned && !row->by_kernel && row->tid && !place_ask(row->tid, &cpus, &sched))
			CPU_OR(&place->allowed_now, &place->allowed_now, &cpus);
	}
}

static unsigned look_around(struct place *place, bool quiet)
{
	struct look look = {.place = place, .quiet = quiet};

	place->n = place->planned; /* what else there is, is found anew */
	for (unsigned i = 0; i < place->n; i++)
		place->row[i].tasks = 0;
	place->misplaced = 0;
	place_find(place, PLACE_EMULATOR, 0)->tid = gettid();
	see_allowed(place);
	if (each_task(look_task, &look))
		place->misplaced++;
	return place->misplaced;
}

unsigned place_look(struct place *place)
{
	return look_around(place, false);
}

unsigned place_read(struct place *place)
{
	if (!place->planned)
		return 0;
	return look_around(place, true);
}

/* ---- moving what the kernel made ---- */

#define MOVE_ROUNDS 16

struct move {
	struct place *place;
	const struct placement *row;
	const cpu_set_t *cpus;
	const struct place_sched *sched;
	unsigned moved;
};

static int move_task(void *arg, pid_t tid)
{
	struct move *m = arg;
	struct task task = {.tid = tid};
	int err = 0;

	if (row_of(m->place, tid) || is_foreign(m->place, tid) || !read_name(&task) || !is_worker(&task) ||
		place_ask(tid, &task.cpus, &task.sched) || row_of_worker(m->place, &task) != m->row)
		return 0;
	if (m->cpus && !CPU_EQUAL(&task.cpus, m->cpus)) {
		m->moved++;
		err = sched_setaffinity(tid, sizeof(*m->cpus), m->cpus) < 0 ? -errno : 0;
	}
	if (!err && m->sched && !place_same_sched(&task.sched, m->sched)) {
		m->moved++;
		err = place_set_sched(tid, m->row, m->sched);
	}
	return err == -ESRCH ? 0 : err;
}

/*
 * A worker may have a child while its CPUs are changed: again, until all were right before anything was done. What does not
 * become right is seen by who reads it back.
 */
int place_move_tasks(struct place *place, const struct placement *row, const cpu_set_t *cpus, const struct place_sched *sched)
{
	struct move m = {.place = place, .row = row, .cpus = cpus, .sched = sched};
	int err = 0;

	for (unsigned round = 0; round < MOVE_ROUNDS && !err; round++) {
		m.moved = 0;
		err = each_task(move_task, &m);
		if (!m.moved)
			break;
	}
	return err;
}
