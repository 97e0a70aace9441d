// SPDX-License-Identifier: Apache-2.0
/* Calls that are waited for; see errand.h. */
#include "vmm/loop/errand.h"

#include <errno.h>
#include <time.h>

#include "vmm/util.h"

enum { IDLE, WAITED_FOR, CALLED_OFF, LATE };

static void arrive(struct loop_call *call)
{
	struct errand *e = container_of(call, struct errand, private.call);
	int state = WAITED_FOR;

	/* From here on whoever waits waits for the end of fn. */
	if (atomic_compare_exchange_strong(&e->private.state, &state, IDLE)) {
		atomic_store(&e->private.err, e->fn(e));
		sem_post(&e->private.back);
		return;
	}
	if (state == LATE)
		e->fn(e);
	atomic_store(&e->private.state, IDLE);
}

void errand_init(struct errand *e, int (*fn)(struct errand *e))
{
	*e = (struct errand){.fn = fn, .private.call.fn = arrive};
	sem_init(&e->private.back, 0, 0);
}

static int wait_until(sem_t *back, uint64_t ns)
{
	const struct timespec at = timespec_of(ns);

	while (sem_clockwait(back, CLOCK_MONOTONIC, &at))
		if (errno != EINTR)
			return -errno;
	return 0;
}

bool errand_idle(const struct errand *e)
{
	return atomic_load(&e->private.state) == IDLE;
}

void errand_begin(struct errand *e, struct loop *loop)
{
	atomic_store(&e->private.state, WAITED_FOR);
	loop_post(loop, &e->private.call);
}

int errand_wait(struct errand *e, uint64_t until, bool insist)
{
	int state = WAITED_FOR;

	if (!wait_until(&e->private.back, until))
		return atomic_load(&e->private.err);
	if (atomic_compare_exchange_strong(&e->private.state, &state, insist ? LATE : CALLED_OFF))
		return -ETIMEDOUT;
	while (sem_wait(&e->private.back))
		;
	return atomic_load(&e->private.err);
}

int errand_run(struct errand *e, struct loop *loop, uint64_t ns, bool insist)
{
	if (!errand_idle(e))
		return -EBUSY;
	errand_begin(e, loop);
	return errand_wait(e, now_ns() + ns, insist);
}
