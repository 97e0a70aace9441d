// SPDX-License-Identifier: Apache-2.0
/* What threads inherit, which loops need a thread, and the names of exits. */
#include <dirent.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/loop/loop.h"
#include "vmm/thread.h"
#include "vmm/vcpu.h"

static sigset_t blocked;
static pid_t tid;

static void look(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	tid = gettid();
}

static void run(bool kickable)
{
	struct thread thread = {.name = "test", .kickable = kickable, .fn = look};

	ck_assert_int_eq(thread_start(&thread), 0);
	thread_join(&thread);
}

/* main takes what is sent to the process; a crash is the thread's own, and restores the terminal. */
START_TEST(blocks_signals_of_the_process)
{
	static const int sent[] = {SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGALRM, SIGPIPE};
	static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

	for (int kickable = 0; kickable < 2; kickable++) {
		run(kickable);
		for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
			ck_assert_msg(sigismember(&blocked, sent[i]) == 1, "%s", strsignal(sent[i]));
		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			ck_assert_msg(sigismember(&blocked, own[i]) == 0, "%s", strsignal(own[i]));
		ck_assert_int_eq(sigismember(&blocked, THREAD_KICK_SIGNAL), !kickable);
	}
}
END_TEST

static _Atomic unsigned caught;

static void catch(int sig)
{
	caught++;
}

static void await(void *arg)
{
	while (!caught)
		sched_yield();
}

/* Signals of the same user wait everywhere, and there is no room for one more. */
START_TEST(a_kick_needs_no_room_for_signals)
{
	const struct sigaction action = {.sa_handler = catch};
	const struct rlimit none = {0, 0};
	struct thread thread = {.name = "test", .kickable = true, .fn = await};

	sigaction(THREAD_KICK_SIGNAL, &action, NULL);
	ck_assert_int_eq(thread_start(&thread), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_SIGPENDING, &none), 0);
	ck_assert_int_eq(pthread_kill(thread.id, THREAD_KICK_SIGNAL), 0);
	thread_join(&thread);
	ck_assert_uint_eq(caught, 1);
}
END_TEST

static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void stop(struct loop_timer *timer)
{
	loop_stop(*(struct loop **)(timer + 1));
}

START_TEST(a_loop_without_file_operations_has_no_thread)
{
	struct {
		struct loop_timer timer;
		struct loop *loop;
	} end = {.timer.fn = stop};
	unsigned before;

	run(false); /* with the first thread comes a sanitizer's own */
	while (tgkill(getpid(), tid, 0) == 0)
		sched_yield(); /* the kernel still counts a thread for a moment after it was joined */
	before = threads();
	ck_assert_int_eq(loop_create(&end.loop, "idle", IO_PLAIN, 0), 0);
	ck_assert_uint_eq(threads(), before);
	loop_timer_set(end.loop, &end.timer, 1000);
	ck_assert_int_eq(loop_run(end.loop), 0);
	ck_assert_uint_eq(threads(), before);
	loop_destroy(end.loop);
	ck_assert_int_eq(loop_create(&end.loop, "busy", IO_PLAIN, 1), 0);
	ck_assert_int_eq(loop_own(end.loop), 0);
	ck_assert_uint_eq(threads(), before + 1);
	loop_destroy(end.loop);
}
END_TEST

START_TEST(exits_have_names)
{
	ck_assert_str_eq(vcpu_exit_name(KVM_EXIT_IO), "io");
	ck_assert_str_eq(vcpu_exit_name(KVM_EXIT_INTERNAL_ERROR), "internal_error");
	ck_assert_ptr_null(vcpu_exit_name(VCPU_EXIT_REASONS - 1));
	ck_assert_ptr_null(vcpu_exit_name(VCPU_EXIT_REASONS));
	ck_assert_ptr_null(vcpu_exit_name(~0u));
	for (unsigned i = 0; i < VCPU_EXIT_REASONS; i++)
		for (unsigned j = 0; j < i; j++)
			ck_assert_msg(!vcpu_exit_name(i) || !vcpu_exit_name(j) ||
					      strcmp(vcpu_exit_name(i), vcpu_exit_name(j)),
				"%u and %u share a name", i, j);
}
END_TEST

UNIT_MAIN("thread", blocks_signals_of_the_process, a_kick_needs_no_room_for_signals,
	a_loop_without_file_operations_has_no_thread, exits_have_names)
