// SPDX-License-Identifier: Apache-2.0
/*
 * The guardian with a real fork, pidfd and SIGKILL. A test's steps write what happens to a file; the VMM is a
 * child of the test, and the guardian's next parent is the test itself, so that both can be waited for.
 */
#include <fcntl.h>

#include "tests/unit/unit.h"
#include "vmm/guardian.c"

static char journal[] = "/tmp/pinvm-guardian-XXXXXX";
static int extra, extra_high = 900; /* descriptors that are none of the guardian's business */

struct step {
	const char *name;
	int fd;
	int busy; /* undoing fails as long as the VMM lives */
};

static int apply(void *ctx, uint64_t arg[GUARDIAN_ARGS])
{
	const struct step *s = ctx;

	if (arg[0] == 666)
		return -EINVAL;
	dprintf(s->fd, "+%s%u ", s->name, (unsigned)arg[0]);
	arg[1] = arg[0] + 1;
	return 0;
}

static int undo(void *ctx, bool alive, const char **why)
{
	const struct step *s = ctx;

	dprintf(s->fd, "-%s%s ", s->name, alive ? "" : "!");
	return alive && s->busy ? -EBUSY : 0;
}

/* What it became: whether it may gain privileges, and whether it has what it was not given. */
static int look(void *ctx, uint64_t arg[GUARDIAN_ARGS])
{
	arg[0] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	arg[1] = (fcntl(extra, F_GETFD) >= 0) | (fcntl(extra_high, F_GETFD) >= 0) << 1 |
		 (prctl(PR_GET_DUMPABLE) > 0) << 2 | (getsid(0) != getpid()) << 3;
	return 0;
}

static int look_undo(void *ctx, bool alive, const char **why)
{
	return 0;
}

static struct step a = {"a"}, b = {"b"};
static struct guardian_plan plan = {
	.name = "unit", .step = {{apply, undo, &a}, {apply, undo, &b}, {look, look_undo, NULL}}, .n = 3};

static void open_journal(void)
{
	a.fd = b.fd = mkstemp(journal);
	ck_assert_int_ge(a.fd, 0);
	guardian_plan_fd(&plan, a.fd);
	guardian_plan_fd(&plan, -1);
	ck_assert_uint_eq(plan.nfds, 1);
}

/* The whole journal; the file goes. */
static const char *journal_text(void)
{
	static char text[8192];
	ssize_t n = pread(a.fd, text, sizeof(text) - 1, 0);

	unlink(journal);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static struct guardian *start(void)
{
	struct guardian *g;

	ck_assert_int_eq(guardian_start(&g, &plan), 0);
	return g;
}

static int ask(struct guardian *g, unsigned step, uint64_t arg)
{
	uint64_t args[GUARDIAN_ARGS] = {arg};
	int err = guardian_ask(g, step, args);

	if (!err)
		ck_assert_uint_eq(args[1], arg + 1);
	return err;
}

/* Run fn as the VMM, which it ends by; both are dead and waited for when this returns. Returns the VMM's
 * status. */
static int with_vmm(void (*fn)(void))
{
	int status = 0, other;
	pid_t vmm;

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	vmm = fork();
	if (!vmm) {
		fn();
		_exit(99);
	}
	ck_assert_int_eq(waitpid(vmm, &status, 0), vmm);
	while (wait(&other) > 0)
		ck_assert_msg(other == 0, "the guardian ended with %x", other);
	return status;
}

static void killed(void)
{
	struct guardian *g = start();

	ask(g, 0, 1);
	ask(g, 1, 2);
	ask(g, 1, 3);
	kill(getpid(), SIGKILL);
}

START_TEST(sigkill_is_undone)
{
	open_journal();
	ck_assert(WIFSIGNALED(with_vmm(killed)));
	ck_assert_str_eq(journal_text(), "+a1 +b2 +b3 -b! -a! ");
}
END_TEST

static void killed_early(void)
{
	start();
	kill(getpid(), SIGKILL);
}

START_TEST(nothing_done_is_nothing_undone)
{
	open_journal();
	with_vmm(killed_early);
	ck_assert_str_eq(journal_text(), "");
}
END_TEST

static void ends(void)
{
	struct guardian *g = start();

	ask(g, 0, 1);
	_exit(guardian_end(g) ? 1 : 0);
}

START_TEST(the_end_is_undone_once)
{
	open_journal();
	ck_assert_int_eq(with_vmm(ends), 0);
	ck_assert_str_eq(journal_text(), "+a1 -a ");
}
END_TEST

/* What fails while the VMM lives is done after it, and nothing else a second time. */
START_TEST(what_waits_for_the_death)
{
	open_journal();
	a.busy = 1;
	ck_assert_int_eq(WEXITSTATUS(with_vmm(ends)), 1);
	ck_assert_str_eq(journal_text(), "+a1 -a -a! ");
}
END_TEST

static void refused_step(void)
{
	struct guardian *g = start();

	ck_assert_int_eq(ask(g, 0, 666), -EINVAL);
	kill(getpid(), SIGKILL);
}

START_TEST(what_was_refused_is_not_undone)
{
	open_journal();
	with_vmm(refused_step);
	ck_assert_str_eq(journal_text(), "");
}
END_TEST

static int raw(struct guardian *g, const void *text, size_t len)
{
	struct message m = {0};

	ck_assert_int_eq(send(g->fd, text, len, 0), (int)len);
	ck_assert_int_eq(receive(g, &m, now_ns() + 30 * SECOND_NS), 0);
	return m.err;
}

/* Whatever comes, it is refused, and the guardian goes on. */
START_TEST(hostile_messages)
{
	struct guardian *g;
	struct message m = {.seq = 9};
	char long_one[2 * sizeof(m)] = "";

	open_journal();
	g = start();
	ck_assert_int_eq(raw(g, "x", 1), -EPROTO);
	ck_assert_int_eq(raw(g, &m, sizeof(m) - 1), -EPROTO);
	ck_assert_int_eq(raw(g, long_one, sizeof(long_one)), -EPROTO);
	m.step = 3;
	ck_assert_int_eq(raw(g, &m, sizeof(m)), -EPROTO);
	m.step = STEP_END - 1;
	ck_assert_int_eq(raw(g, &m, sizeof(m)), -EPROTO);
	m = (struct message){.err = 1};
	ck_assert_int_eq(raw(g, &m, sizeof(m)), -EPROTO);
	m = (struct message){.step = STEP_END, .zero = 1};
	ck_assert_int_eq(raw(g, &m, sizeof(m)), -EPROTO);
	ck_assert_int_eq(ask(g, 0, 5), 0);
	/* Descriptors that come along are dropped. */
	{
		char control[CMSG_SPACE(sizeof(int))] = "";
		struct iovec iov = {&(struct message){.step = 2}, sizeof(m)};
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &a.fd, sizeof(int));
		ck_assert_int_eq(sendmsg(g->fd, &msg, 0), sizeof(m));
		ck_assert_int_eq(receive(g, &m, now_ns() + 30 * SECOND_NS), 0);
	}
	ck_assert_int_eq(guardian_end(g), 0);
	ck_assert_str_eq(journal_text(), "+a5 -a ");
}
END_TEST

static void end_then_ask(void)
{
	struct guardian *g = start();

	a.busy = 1; /* the guardian's copy is from before */
	ask(g, 0, 1);
	ck_assert_int_eq(transact(g, STEP_END, NULL), -EBUSY);
	ck_assert_int_eq(ask(g, 1, 1), -ESHUTDOWN);
	_exit(0);
}

START_TEST(nothing_is_done_after_the_end)
{
	open_journal();
	a.busy = 1;
	ck_assert_int_eq(with_vmm(end_then_ask), 0);
	ck_assert_str_eq(journal_text(), "+a1 -a -a! ");
}
END_TEST

static void closes(void)
{
	struct guardian *g = start();
	struct pollfd pfd = {.events = POLLIN};

	ask(g, 0, 1);
	/* As a VMM on its way out does before it is dead. */
	send(g->fd, NULL, 0, 0);
	pfd.fd = g->fd;
	poll(&pfd, 1, -1); /* the guardian has hung up */
	dprintf(a.fd, "closed ");
	close(g->fd);
	kill(getpid(), SIGKILL);
}

/* That the VMM says nothing more does not mean that it is dead. */
START_TEST(eof_waits_for_the_death)
{
	open_journal();
	with_vmm(closes);
	ck_assert_str_eq(journal_text(), "+a1 closed -a! ");
}
END_TEST

static void floods(void)
{
	struct guardian *g = start();
	struct message m = {.step = 99};

	ask(g, 0, 1);
	for (int i = 0; i < 4 * GUARDIAN_RATE; i++)
		send(g->fd, &m, sizeof(m), MSG_DONTWAIT);
	kill(getpid(), SIGKILL);
}

/* Answers that nobody takes, and more messages than it listens to: it still sees the death. */
START_TEST(a_flood_holds_nothing_up)
{
	open_journal();
	with_vmm(floods);
	ck_assert_str_eq(journal_text(), "+a1 -a! ");
}
END_TEST

static uint64_t comm_of(pid_t pid, char *comm, size_t n, char *words, size_t m)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	ck_assert_int_eq(hostfile_text("", path, comm, n), 0);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	return hostfile_text("", path, words, m);
}

START_TEST(it_keeps_what_it_needs)
{
	uint64_t arg[GUARDIAN_ARGS] = {0};
	char comm[32], words[4096];
	struct guardian *g;

	open_journal();
	extra = open("/dev/null", O_RDONLY);
	ck_assert_int_eq(dup2(extra, extra_high), extra_high);
	g = start();
	ck_assert_int_eq(guardian_ask(g, 2, arg), 0);
	ck_assert_uint_eq(arg[0], 1);
	ck_assert_uint_eq(arg[1], 0);
	comm_of(guardian_pid(g), comm, sizeof(comm), words, sizeof(words));
	ck_assert_str_eq(comm, "pinvm-guardian");
	ck_assert_msg(
		!strncmp(words, "pinvm: guardian of unit", strlen(words)) && strlen(words) > 12, "%s", words);
	/* A terminal's signals, and those of a shell's kill, are the VMM's. */
	ck_assert_int_eq(kill(guardian_pid(g), SIGTERM), 0);
	ck_assert_int_eq(kill(guardian_pid(g), SIGINT), 0);
	ck_assert_int_eq(kill(guardian_pid(g), SIGHUP), 0);
	ck_assert_int_eq(ask(g, 0, 1), 0);
	ck_assert_int_eq(guardian_end(g), 0);
	ck_assert_str_eq(journal_text(), "+a1 -a ");
}
END_TEST

START_TEST(a_dead_one_is_noticed)
{
	struct guardian *g;

	open_journal();
	g = start();
	ck_assert_int_eq(ask(g, 0, 1), 0);
	ck_assert_int_eq(kill(guardian_pid(g), SIGKILL), 0);
	ck_assert_int_eq(ask(g, 0, 2), -EPIPE);
	ck_assert_int_eq(guardian_end(g), -EPIPE);
	ck_assert_str_eq(journal_text(), "+a1 ");
}
END_TEST

UNIT_MAIN("guardian", sigkill_is_undone, nothing_done_is_nothing_undone, the_end_is_undone_once,
	what_waits_for_the_death, what_was_refused_is_not_undone, hostile_messages,
	nothing_is_done_after_the_end, eof_waits_for_the_death, a_flood_holds_nothing_up,
	it_keeps_what_it_needs, a_dead_one_is_noticed)
