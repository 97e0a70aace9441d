// SPDX-License-Identifier: Apache-2.0
/* What the plain engine's worker hands back together, and what it hands back first, with system calls that
 * take as long as a test says. */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/loop/loop.h"
#include "vmm/util.h"

#define BATCH 32
#define LEN   512

/* Of the operation at this offset. */
static enum kind {
	HOT,	/* at hand */
	COLD,	/* has to wait, and says so when it must not */
	LYING,	/* the same, says 0 */
	STUCK,	/* waits even when it must not */
	SYNCING /* not a read */
} plan[BATCH];
static sem_t gate; /* what those that wait wait for */
static atomic_uint waited;
static atomic_bool clock_jumps, clock_stands;
static time_t stood; /* when it was stopped: time that runs back would confuse Check */

/* In the place of the C library's: by the worker. */

static ssize_t end_wait(ssize_t ret)
{
	while (sem_wait(&gate))
		;
	return ret;
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t off)
{
	atomic_fetch_add(&waited, 1);
	return plan[off] == COLD || plan[off] == STUCK ? end_wait(LEN) : LEN;
}

ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t off, int flags)
{
	ck_assert_int_eq(flags, RWF_NOWAIT);
	errno = EAGAIN;
	return plan[off] == HOT ? LEN : plan[off] == STUCK ? end_wait(LEN) : plan[off] == LYING ? 0 : -1;
}

int fdatasync(int fd)
{
	return (int)end_wait(0);
}

/* By everybody. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	static atomic_int calls;

	if (!atomic_load(&clock_stands))
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){
		.tv_sec = stood + (atomic_load(&clock_jumps) ? atomic_fetch_add(&calls, 1) : 0)};
	return 0;
}

static struct loop *loop;
static struct loop_io io[BATCH];
static struct iovec iov = {.iov_len = LEN};
static int ended;

static void on_end(struct loop_io *this, int res)
{
	ck_assert_ptr_eq(this, &io[ended]);
	ck_assert_int_eq(res, plan[ended] == SYNCING ? 0 : LEN);
	ended++;
}

static void submit(int n)
{
	ck_assert_int_eq(sem_init(&gate, 0, 0), 0);
	ck_assert_int_eq(loop_create(&loop, "test", IO_PLAIN, BATCH), 0);
	stood = (time_t)(now_ns() / 1000000000 + 1);
	atomic_store(&clock_stands, true);
	for (int i = 0; i < n; i++) {
		io[i].fn = on_end;
		if (plan[i] == SYNCING)
			loop_fdatasync(loop, &io[i], -1);
		else
			loop_readv(loop, &io[i], -1, &iov, 1, (uint64_t)i);
	}
}

/* Until some more have ended; returns how many did at once. */
static int next(void)
{
	int before = ended;

	while (ended == before)
		ck_assert_int_ge(loop_step(loop, false), 0);
	return ended - before;
}

START_TEST(a_batch_comes_back_at_once)
{
	struct loop_stats stats;

	submit(BATCH);
	ck_assert_int_eq(next(), BATCH);
	loop_stats(loop, &stats);
	ck_assert_uint_le(stats.wakeups, 1);
	ck_assert_msg(waited == 1, "the first may wait: nothing is done yet");
	loop_destroy(loop);
}
END_TEST

START_TEST(nothing_waits_for_what_takes_long)
{
	static const enum kind third[] = {COLD, SYNCING, STUCK};

	plan[2] = third[_i];
	atomic_store(&clock_jumps, third[_i] == STUCK);
	submit(4);
	while (ended < 2)
		next();
	ck_assert_int_eq(ended, 2);
	sem_post(&gate);
	while (ended < 4)
		next();
	loop_destroy(loop);
}
END_TEST

START_TEST(no_data_at_hand_is_not_the_end_of_the_file)
{
	plan[1] = LYING;
	submit(2);
	while (ended < 2)
		next();
	ck_assert_uint_eq(waited, 2);
	loop_destroy(loop);
}
END_TEST

UNIT_MAIN_TIMES("loop_plain", {a_batch_comes_back_at_once, 1},
	{nothing_waits_for_what_takes_long, 3}, {no_data_at_hand_is_not_the_end_of_the_file, 1})
