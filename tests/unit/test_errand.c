// SPDX-License-Identifier: Apache-2.0
/* Calls into a loop that somebody waits for, and does not wait for without end. */
#include <errno.h>
#include <pthread.h>

#include "tests/unit/loops.h"
#include "vmm/loop/errand.h"
#include "vmm/util.h"

#define LONG_NS 60000000000ull

static struct loop *loop;
static pthread_t thread, ran_on;
static unsigned ran;
static struct errand errand;

static int work(struct errand *e)
{
	ck_assert_ptr_eq(e, &errand);
	ran_on = pthread_self();
	return ran++ ? -EIO : 0;
}

static void *run(void *arg)
{
	loop_run(loop);
	return NULL;
}

static bool begin(int engine)
{
	loop = make(engine, 0);
	errand_init(&errand, work);
	return loop;
}

START_TEST(waits_for_the_answer)
{
	if (!begin(_i))
		return;
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	ck_assert_int_eq(errand_run(&errand, loop, LONG_NS, false), 0);
	ck_assert(pthread_equal(ran_on, thread));
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(errand_run(&errand, loop, LONG_NS, i % 2), -EIO);
	ck_assert_uint_eq(ran, 101);
	loop_stop(loop);
	pthread_join(thread, NULL);
	loop_destroy(loop);
}
END_TEST

/* Nobody runs the loop: called off, it does not happen later, and insisted on it does; until then there is no other one. */
START_TEST(does_not_wait_for_ever)
{
	if (!begin(_i))
		return;
	for (int insist = 0; insist < 2; insist++) {
		ck_assert_int_eq(errand_run(&errand, loop, 1000000, insist), -ETIMEDOUT);
		ck_assert_uint_eq(ran, 0);
		ck_assert_int_eq(errand_run(&errand, loop, 1000000, insist), -EBUSY);
		while (loop_step(loop, true) > 0)
			;
		ck_assert_uint_eq(ran, insist);
	}
	ck_assert(errand_idle(&errand));
	errand_begin(&errand, loop);
	while (loop_step(loop, true) > 0)
		;
	ck_assert_int_eq(errand_wait(&errand, 0, false), -EIO);
	loop_destroy(loop);
}
END_TEST

int main(void)
{
	const TTest *both[] = {waits_for_the_answer, does_not_wait_for_ever};

	return run_both("errand", both, COUNT(both), NULL, 0);
}
