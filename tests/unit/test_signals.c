// SPDX-License-Identifier: Apache-2.0
/* vmm/signals.c: what is sent to the process is read from a descriptor, whatever the process did with it before. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/signals.h"

static int fd;

static bool readable(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(each_of_them_arrives)
{
	static const int all[] = {SIGTERM, SIGINT, SIGHUP};

	ck_assert_int_eq(signals_open(&fd), 0);
	ck_assert(!readable());
	ck_assert_int_eq(signals_take(fd), 0);
	for (unsigned i = 0; i < 3; i++) {
		raise(all[i]);
		ck_assert(readable());
		ck_assert_int_eq(signals_take(fd), all[i]);
		ck_assert(!readable());
	}
	raise(SIGINT);
	raise(SIGINT);
	ck_assert_int_eq(signals_take(fd), SIGINT);
	ck_assert_int_eq(signals_take(fd), 0);
	signals_close(&fd);
	ck_assert_int_eq(fd, -1);
}
END_TEST

/* As a shell leaves SIGINT in the background, and as a parent may leave any of them. */
START_TEST(ignored_or_blocked_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	signal(SIGINT, SIG_IGN);
	ck_assert_int_eq(signals_open(&fd), 0);
	raise(SIGINT);
	ck_assert_int_eq(signals_take(fd), SIGINT);
	raise(SIGTERM);
	ck_assert_int_eq(signals_take(fd), SIGTERM);
	signals_close(&fd);
}
END_TEST

/* One that comes while the guest is taken apart does not end the process in the middle of it. */
START_TEST(closed_they_do_nothing)
{
	ck_assert_int_eq(signals_open(&fd), 0);
	signals_close(&fd);
	raise(SIGTERM);
	signals_close(&fd);
}
END_TEST

/* What a program does with a counter that nobody reads. */
START_TEST(a_full_counter_is_readable)
{
	uint64_t most = UINT64_MAX - 1;

	ck_assert_int_eq(signals_open(&fd), 0);
	ck_assert_int_eq(write(fd, &most, sizeof(most)), sizeof(most));
	raise(SIGHUP);
	ck_assert(readable());
	ck_assert_int_eq(signals_take(fd), SIGHUP);
	signals_close(&fd);
}
END_TEST

UNIT_MAIN("signals", each_of_them_arrives, ignored_or_blocked_before, closed_they_do_nothing, a_full_counter_is_readable)
