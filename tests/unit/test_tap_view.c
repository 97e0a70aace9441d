// SPDX-License-Identifier: Apache-2.0
/* A report asks for a tap while its loop's thread follows it: down, renamed, gone and back. For ThreadSanitizer. */
#include <pthread.h>

#include "tests/unit/tap_unit.h"

#define ROUNDS 10

static void *follow(void *loop)
{
	ck_assert_int_eq(loop_run(loop), 0);
	return NULL;
}

/* Look until it is so, as reports do; a look is all of one moment. */
static void until(const char *nic, enum tap_link link)
{
	struct tap_view view;
	struct rtlink_counts n;

	do {
		tap_look(&tap, &view);
		ck_assert(!strcmp(view.name, "t0") || !strcmp(view.name, "renamed"));
		ck_assert_int_ne(view.index, 0);
		tap_counts(&view, &n);
	} while (strcmp(view.name, nic) != 0 || view.link != link);
}

START_TEST(looks_while_it_changes)
{
	struct loop *loop;
	pthread_t thread;

	if (!alone())
		return;
	loop = opened(_i);
	if (!loop)
		return;
	ck_assert_int_eq(pthread_create(&thread, NULL, follow, loop), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		ip("link set t0 down");
		until("t0", TAP_DOWN);
		ip("link set t0 name renamed");
		ip("link set renamed up");
		until("renamed", TAP_UP);
		ip("link set renamed down");
		ip("link set renamed name t0");
		ip("link set t0 up");
		until("t0", TAP_UP);
		ip("link del t0");
		until("t0", TAP_GONE);
		ip("tuntap add t0 mode tap");
		ip("link set t0 up");
		until("t0", TAP_UP);
	}
	loop_stop(loop);
	pthread_join(thread, NULL);
	closed(loop);
}
END_TEST

int main(void)
{
	const TTest *both[] = {looks_while_it_changes};

	return run_both("tap_view", both, COUNT(both), NULL, 0);
}
