// SPDX-License-Identifier: Apache-2.0
/* The link of a real tap, over both engines: it goes down, away, and comes back. */
#include "tests/unit/tap_unit.h"

/* Until that has been told. */
static void until(struct loop *loop, enum tap_link link)
{
	while (!changes || last != link)
		ck_assert_int_ge(loop_step(loop, false), 0);
}

static struct loop *watched(int engine)
{
	return alone() ? opened(engine) : NULL;
}

START_TEST(down_and_up)
{
	struct loop *loop = watched(_i);

	if (!loop)
		return;
	for (unsigned i = 0; i < 3; i++) {
		ip("link set t0 down");
		until(loop, TAP_DOWN);
		ck_assert_int_eq(tap.link, TAP_DOWN);
		ip("link set t0 up");
		until(loop, TAP_UP);
	}
	ck_assert_uint_eq(changes, 6);
	closed(loop);
}
END_TEST

START_TEST(gone_and_back)
{
	struct loop *loop;
	int host;

	loop = watched(_i);
	if (!loop)
		return;
	ck_assert_int_eq(tap_offload(&tap, TAP_CSUM | TAP_TSO4), 0);
	for (unsigned i = 0; i < 3; i++) {
		ip("link del t0");
		ck_assert_int_eq(guest_gets(0), -EBADFD);
		ck_assert_int_eq(guest_sends(1), -EBADFD);
		ck_assert_msg(!tap_offload(&tap, 0), "it is remembered, before it is known to be gone, too");
		until(loop, TAP_GONE);
		ck_assert_int_eq(tap_offload(&tap, TAP_CSUM), 0);
		ck_assert_int_eq(tap_active(&tap, 1), 0);
		ip("tuntap add t0 mode tap");
		ip("link set t0 up");
		until(loop, TAP_UP);
		host = wire("t0");
		host_sends(host, 9, 40 + i);
		ck_assert_int_eq(guest_gets(0), 40 + (int)i);
		ck_assert_int_eq(guest_sends(50 + i), TAP_HDR + 100);
		ck_assert_int_eq(host_gets(host), 50 + (int)i);
		close(host);
	}
	closed(loop);
}
END_TEST

/* Both pairs are in use when the interface goes. */
static struct loop *two_pairs_gone(int engine)
{
	struct loop *loop;

	if (!alone())
		return NULL;
	cfg.pairs = 2;
	loop = opened(engine);
	if (!loop)
		return NULL;
	ck_assert_int_eq(tap_active(&tap, 2), 0);
	ip("link del t0");
	until(loop, TAP_GONE);
	return loop;
}

START_TEST(pairs_gone_and_back)
{
	struct loop *loop;
	int host;

	loop = two_pairs_gone(_i);
	if (!loop)
		return;
	ck_assert_msg(!tap_active(&tap, 1), "a driver that starts meanwhile has one pair");
	ip("tuntap add t0 mode tap multi_queue");
	ip("link set t0 up");
	until(loop, TAP_UP);
	host = wire("t0");
	one_flow(host);
	ck_assert_int_eq(tap_active(&tap, 2), 0);
	closed(loop);
}
END_TEST

static bool attached(unsigned pair)
{
	struct ifreq ifr = {0};

	return !ioctl(tap.fd[pair], TUNGETIFF, &ifr);
}

/* The tap is back, and another program was quicker: what is for the guest would be dealt out to both. */
START_TEST(a_return_to_somebody_else)
{
	struct loop *loop = two_pairs_gone(_i);
	int other, host;

	if (!loop)
		return;
	ip("tuntap add t0 mode tap multi_queue");
	other = open_tap("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	ip("link set t0 up");
	while (loop_step(loop, true) > 0)
		;
	for (unsigned i = 0; i < 3; i++) { /* told again and again */
		ip("link set t0 down");
		ip("link set t0 up");
		while (loop_step(loop, true) > 0)
			;
	}
	if (attached(0)) { /* it came before the other one */
		close(other);
		closed(loop);
		return;
	}
	ck_assert(!attached(1));
	ck_assert_int_eq(tap.link, TAP_GONE);
	ck_assert_msg(!tap_active(&tap, 1) && !tap_active(&tap, 2), "remembered, as of one that is gone");
	close(other);
	ip("link set t0 down");
	ip("link set t0 up");
	until(loop, TAP_UP);
	ck_assert(attached(0) && attached(1));
	ck_assert_int_eq(tap_active(&tap, 1), 0);
	host = wire("t0");
	one_flow(host);
	close(host);
	closed(loop);
}
END_TEST

START_TEST(another_name)
{
	struct loop *loop = watched(_i);
	struct tap_view view;

	if (!loop)
		return;
	ip("link set t0 down");
	until(loop, TAP_DOWN);
	ip("link set t0 name other");
	ip("link set other up");
	until(loop, TAP_UP);
	ck_assert_str_eq(tap.name, "other");
	tap_look(&tap, &view);
	ck_assert_str_eq(view.name, "other");
	ck_assert_int_eq(view.link, TAP_UP);
	ip("link set other down");
	until(loop, TAP_DOWN);
	closed(loop);
}
END_TEST

/* A watch that was begun while the tap was gone hears nothing; one that is begun anew does. */
START_TEST(readiness_after_it_is_back)
{
	struct counted c = {.ev.fn = count_ev};
	struct loop *loop = watched(_i);
	int host;

	if (!loop)
		return;
	ip("link del t0");
	until(loop, TAP_GONE);
	ip("tuntap add t0 mode tap");
	ip("link set t0 up");
	until(loop, TAP_UP);
	ck_assert_int_eq(loop_watch(loop, &c.ev, tap.fd[0], EPOLLIN), 0);
	host = wire("t0");
	loop_step(loop, true);
	c.hits = 0;
	host_sends(host, 9, 1);
	while (!c.hits)
		ck_assert_int_ge(loop_step(loop, false), 0);
	ck_assert_int_eq(guest_gets(0), 1);
	loop_unwatch(loop, &c.ev);
	closed(loop);
}
END_TEST

int main(void)
{
	const TTest *both[] = {down_and_up, gone_and_back, pairs_gone_and_back, a_return_to_somebody_else,
		another_name, readiness_after_it_is_back};

	return run_both("tap_link", both, COUNT(both), NULL, 0);
}
