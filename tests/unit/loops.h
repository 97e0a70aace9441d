/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of loops share: running each case over both engines, and a watch that counts. */
#ifndef PINVM_TESTS_LOOPS_H
#define PINVM_TESTS_LOOPS_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/loop/loop.h"
#include "vmm/util.h"

/* A loop over engine 0 (plain) or 1 (io_uring), or NULL when this host has no io_uring. */
static inline struct loop *make(int engine, unsigned depth)
{
	struct loop *loop;
	const char *why;

	ck_assert_int_eq(loop_create(&loop, "test", engine ? IO_AUTO : IO_PLAIN, depth), 0);
	if (!strcmp(loop_engine(loop, &why), engine ? "io_uring" : "plain"))
		return loop;
	printf("skip: %s\n", why);
	loop_destroy(loop);
	return NULL;
}

static inline void kick(int fd)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

struct counted {
	struct loop_ev ev;
	struct loop *loop;
	struct counted *victim;
	int hits;
	uint32_t events;
};

static inline void count_ev(struct loop_ev *ev, uint32_t events)
{
	struct counted *c = (struct counted *)ev;

	c->hits++;
	c->events = events;
	if (c->victim)
		loop_unwatch(c->loop, &c->victim->ev);
}

/* A program that runs `once`, and each of `both` for either engine (_i). */
static inline int run_both(
	const char *name, const TTest *const *both, size_t nboth, const TTest *const *once, size_t nonce)
{
	TCase *tc = unit_case(name);

	for (size_t i = 0; i < nonce; i++)
		tcase_add_test(tc, once[i]);
	for (size_t i = 0; i < nboth; i++)
		tcase_add_loop_test(tc, both[i], 0, 2);
	return unit_run_case(name, tc);
}

#endif
