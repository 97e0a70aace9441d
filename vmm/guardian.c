// SPDX-License-Identifier: Apache-2.0
/* The guardian, and the VMM's end of it; see guardian.h. Main, and a process of its own. */
#include "vmm/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/sandbox.h"
#include "vmm/util.h"

#define ANSWER_NS 2000000000ULL
#define SECOND_NS 1000000000ULL
#define STEP_END  UINT32_MAX

/* Both ways. In a request err is 0; an answer has the request's seq, 0 where there was none to be read. */
struct message {
	uint32_t seq, step;
	int32_t err;
	uint32_t zero;
	uint64_t arg[GUARDIAN_ARGS];
};

struct guardian {
	pid_t pid;
	int fd;
	uint32_t seq;
};

/* ---- in the guardian ---- */

struct watch {
	const struct guardian_plan *plan;
	int vmm;		   /* pidfd */
	int fd;			   /* the VMM's messages; -1: it sends no more */
	bool done[GUARDIAN_STEPS]; /* applied, and not undone */
	bool ended;		   /* the VMM said so: nothing is applied any more */
	unsigned heard;		   /* messages since window_ns */
	uint64_t window_ns;
};

/* The last applied first. Without the VMM nobody else is told of what fails. Returns the first error. */
static int undo_all(struct watch *w, bool alive)
{
	int first = 0;

	for (unsigned i = w->plan->n; i-- > 0;) {
		const struct guardian_step *step = &w->plan->step[i];
		const char *why = "something is left behind";
		int err;

		if (!w->done[i])
			continue;
		err = step->undo(step->ctx, alive, &why);
		w->done[i] = err && alive;
		if (err && !alive)
			log_errno(err, "guardian of %s: %s", w->plan->name, why);
		first = first ? first : err;
	}
	return first;
}

static int perform(struct watch *w, struct message *m)
{
	const struct guardian_step *step;
	int err;

	if (m->err || m->zero)
		return -EPROTO;
	if (m->step == STEP_END) {
		w->ended = true;
		return undo_all(w, true);
	}
	if (m->step >= w->plan->n)
		return -EPROTO;
	if (w->ended)
		return -ESHUTDOWN;
	step = &w->plan->step[m->step];
	err = step->apply(step->ctx, m->arg);
	w->done[m->step] = w->done[m->step] || !err;
	return err;
}

/* One message. The answer is not waited for: who does not take it has none. */
static void serve(struct watch *w)
{
	struct message m;
	ssize_t n = recv(w->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(w->fd);
		w->fd = -1;
	}
	if (n <= 0)
		return;
	w->heard++;
	if (n != sizeof(m)) {
		memset(&m, 0, sizeof(m));
		m.err = -EPROTO;
	} else {
		m.err = perform(w, &m);
	}
	send(w->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Milliseconds until it listens again, 0: it does. */
static int deaf_ms(struct watch *w)
{
	uint64_t now = now_ns();

	if (now - w->window_ns >= SECOND_NS) {
		w->window_ns = now;
		w->heard = 0;
	}
	return w->heard < GUARDIAN_RATE ? 0 : (SECOND_NS - (now - w->window_ns)) / 1000000 + 1;
}

static bool has_work(const struct watch *w)
{
	for (unsigned i = 0; i < w->plan->n; i++)
		if (w->done[i])
			return true;
	return false;
}

/* Until the VMM is dead, or has said that it is at its end and nothing was left to undo. */
static void watch_vmm(struct watch *w)
{
	for (;;) {
		int wait = w->fd < 0 ? 0 : deaf_ms(w);
		struct pollfd fds[2] = {
			{.fd = w->vmm, .events = POLLIN}, {.fd = wait ? -1 : w->fd, .events = POLLIN}};

		if (w->ended && !has_work(w))
			return;
		if (poll(fds, 2, wait ? wait : -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents)
			break;
		if (fds[1].revents)
			serve(w);
	}
	undo_all(w, false);
}

/* The words of the command line, which are the VMM's, make room for what it is. proc(5): arg_start and
 * arg_end. */
static void set_title(const char *name)
{
	char stat[2048], *field;
	uintptr_t start = 0, end = 0;

	prctl(PR_SET_NAME, "pinvm-guardian");
	if (hostfile_text("", "/proc/self/stat", stat, sizeof(stat)))
		return;
	field = strrchr(stat, ')');
	for (int i = 2; field && i < 48; i++)
		field = strchr(field + 1, ' ');
	if (!field || sscanf(field, " %" SCNuPTR " %" SCNuPTR, &start, &end) != 2)
		return;
	if (start != (uintptr_t)program_invocation_name || end <= start)
		return;
	memset((void *)start, 0, end - start);
	snprintf((char *)start, end - start, "pinvm: guardian of %s", name);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* All but these, standard error and the log; /dev/null stands for what a program expects to have. */
static int close_others(const struct watch *w)
{
	int keep[GUARDIAN_FDS + 4] = {STDERR_FILENO, log_output(), w->vmm, w->fd}, n = 4,
				from = STDERR_FILENO;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; i < w->plan->nfds; i++)
		keep[n++] = w->plan->fd[i];
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -errno;
	qsort(keep, n, sizeof(keep[0]), by_number);
	for (int i = 0; i < n; i++) {
		if (keep[i] > from && close_range(from, keep[i] - 1, 0) < 0)
			return -errno;
		from = keep[i] >= from ? keep[i] + 1 : from;
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}

static int settle(const struct watch *w)
{
	int err = close_others(w);

	if (err)
		return log_errno(err, "guardian: descriptors");
	set_title(w->plan->name);
	setsid();
	if (chdir("/") < 0)
		return log_errno(-errno, "guardian: /");
	err = sandbox_keep(w->plan->caps);
	if (!err && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		err = log_errno(-errno, "guardian: dumpable");
	return err;
}

static void guard(const struct guardian_plan *plan, int vmm, int fd)
{
	struct watch w = {.plan = plan, .vmm = vmm, .fd = fd, .window_ns = now_ns()};

	if (settle(&w))
		_exit(1);
	watch_vmm(&w);
	_exit(0);
}

/* ---- in the VMM ---- */

unsigned guardian_plan_step(struct guardian_plan *plan, const struct guardian_step *step)
{
	plan->step[plan->n] = *step;
	return plan->n++;
}

void guardian_plan_fd(struct guardian_plan *plan, int fd)
{
	if (fd >= 0)
		plan->fd[plan->nfds++] = fd;
}

/* With every signal blocked in the child from its first instruction: SIGKILL alone ends it before its work is
 * done. */
static int fork_guardian(struct guardian *g, const struct guardian_plan *plan, int vmm, int theirs)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	g->pid = fork();
	if (!g->pid)
		guard(plan, vmm, theirs);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return g->pid < 0 ? -errno : 0;
}

int guardian_start(struct guardian **out, const struct guardian_plan *plan)
{
	struct guardian *g = calloc(1, sizeof(*g));
	int fd[2] = {-1, -1}, vmm = -1, err = g ? 0 : -ENOMEM;

	*out = NULL;
	if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		err = -errno;
	if (!err) {
		vmm = pidfd_open(getpid(), 0);
		err = vmm < 0 ? -errno : fork_guardian(g, plan, vmm, fd[1]);
	}
	if (vmm >= 0)
		close(vmm);
	if (fd[1] >= 0)
		close(fd[1]);
	if (!err) {
		g->fd = fd[0];
		*out = g;
		return 0;
	}
	if (fd[0] >= 0)
		close(fd[0]);
	free(g);
	return log_errno(err, "guardian");
}

/* Its next message; an empty one is its end. */
static int receive(struct guardian *g, struct message *m, uint64_t deadline)
{
	for (;;) {
		struct pollfd pfd = {.fd = g->fd, .events = POLLIN};
		uint64_t now = now_ns();
		ssize_t n;

		if (poll(&pfd, 1, deadline > now ? (deadline - now) / 1000000 + 1 : 0) == 0)
			return -ETIMEDOUT;
		n = recv(g->fd, m, sizeof(*m), MSG_DONTWAIT);
		if (n == sizeof(*m))
			return 0;
		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
	}
}

static int transact(struct guardian *g, uint32_t step, uint64_t arg[GUARDIAN_ARGS])
{
	struct message m = {.seq = ++g->seq, .step = step};
	uint64_t deadline = now_ns() + ANSWER_NS;
	int err = 0;

	if (arg)
		memcpy(m.arg, arg, sizeof(m.arg));
	if (send(g->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	do { /* an answer that came too late for its question is nobody's */
		err = receive(g, &m, deadline);
	} while (!err && m.seq != g->seq);
	if (err)
		return err;
	if (arg)
		memcpy(arg, m.arg, sizeof(m.arg));
	return m.err;
}

int guardian_ask(struct guardian *g, unsigned step, uint64_t arg[GUARDIAN_ARGS])
{
	return transact(g, step, arg);
}

int guardian_end(struct guardian *g)
{
	struct message m;
	int err;

	if (!g)
		return 0;
	err = transact(g, STEP_END, NULL);
	if (err == -EPIPE)
		log_warn("the guardian (process %d) was ended before the guest: what it did is not undone", (int)g->pid);
	/* It ends by itself, unless it has to wait for this process's end. */
	if (!err || err == -EPIPE) {
		while (!receive(g, &m, now_ns() + ANSWER_NS))
			;
		waitpid(g->pid, NULL, 0);
	}
	close(g->fd);
	free(g);
	return err;
}

pid_t guardian_pid(const struct guardian *g)
{
	return g->pid;
}
