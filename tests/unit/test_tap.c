// SPDX-License-Identifier: Apache-2.0
/* Real taps, in a network namespace of the test's own: how they are opened and refused, and what passes.
 * test_tap_link.c has links that go and come. */
#include "tests/unit/tap_unit.h"

START_TEST(one_that_is_not_there_is_made)
{
	struct loop *loop;
	if (!alone())
		return;
	loop = opened(0);
	ck_assert_str_eq(tap.name, "t0");
	ck_assert(is_up("t0"));
	ck_assert_int_eq(tap.link, TAP_UP);
	ck_assert_uint_eq(tap.mtu, 1500);
	ck_assert_uint_eq(tap.can & (TAP_CSUM | TAP_TSO4 | TAP_TSO6), TAP_CSUM | TAP_TSO4 | TAP_TSO6);
	closed(loop);
	ck_assert_msg(!is_there("t0"), "it goes with us");
}
END_TEST

START_TEST(one_that_is_there_stays_as_it_is)
{
	struct loop *loop;
	if (!alone())
		return;
	ip("tuntap add t0 mode tap");
	loop = opened(0);
	ck_assert(!is_up("t0"));
	ck_assert_int_eq(tap.link, TAP_DOWN);
	ck_assert_int_eq(guest_sends(1), -EIO);
	ck_assert_int_eq(guest_gets(0), -EAGAIN);
	closed(loop);
	ck_assert(is_there("t0"));
	ip("tuntap del t0 mode tap");
	ip("tuntap add t0 mode tap multi_queue");
	ip("link set t0 up");
	loop = opened(0);
	ck_assert_msg(tap.private.multi, "one made for several queues takes one");
	ck_assert_int_eq(tap.link, TAP_UP);
	closed(loop);
}
END_TEST

static int opens_as(const char *nic, unsigned pairs)
{
	char text[64];
	int err;

	snprintf(text, sizeof(text), "%s", nic);
	cfg.tap = text;
	cfg.pairs = pairs;
	err = tap_open(&tap, &cfg);
	if (!err)
		tap_close(&tap);
	return err;
}

START_TEST(what_is_refused)
{
	int fd;

	if (!alone())
		return;
	log_set_level(LOG_ERROR);
	ck_assert_int_eq(opens_as("lo", 1), -EINVAL);
	ck_assert_int_eq(opens_as("a-name-of-sixteen", 1), -EINVAL);
	fd = open_tap("tun0", IFF_TUN | IFF_NO_PI);
	ck_assert_int_eq(opens_as("tun0", 1), -EINVAL);
	close(fd);
	ip("tuntap add single mode tap");
	ck_assert_int_eq(opens_as("single", 2), -EINVAL);
	fd = open_tap("single", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	ck_assert_int_eq(opens_as("single", 1), -EBUSY);
	close(fd);
	ck_assert_int_eq(opens_as("single", 1), 0);
}
END_TEST

/* Of a tap with several queues anybody may have some: the kernel does not refuse that, and we do. */
START_TEST(one_with_queues_of_another)
{
	struct ifreq ifr = {.ifr_flags = IFF_DETACH_QUEUE};
	struct loop *loop;
	unsigned n;
	int fd;

	if (!alone())
		return;
	log_set_level((enum log_level)-1);
	ip("tuntap add t0 mode tap multi_queue");
	ck_assert_int_eq(rtlink_tap_queues("t0", &n), 0);
	ck_assert_uint_eq(n, 0);
	fd = open_tap("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	ck_assert_int_eq(rtlink_tap_queues("t0", &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(opens_as("t0", 2), -EBUSY);
	ck_assert_int_eq(opens_as("t0", 1), -EBUSY);
	ck_assert_int_eq(ioctl(fd, TUNSETQUEUE, &ifr), 0);
	ck_assert_msg(opens_as("t0", 2) == -EBUSY, "one that takes no packets now may take them again");
	close(fd);
	cfg.pairs = 2;
	loop = opened(0);
	ck_assert_int_eq(rtlink_tap_queues("t0", &n), 0);
	ck_assert_uint_eq(n, 2);
	closed(loop);
	ck_assert_int_eq(rtlink_tap_queues("lo", &n), -ENODATA);
	ck_assert_int_eq(rtlink_tap_queues("none", &n), -ENODEV);
}
END_TEST

static int passed(struct rtlink_counts *n)
{
	struct tap_view view;

	tap_look(&tap, &view);
	return tap_counts(&view, n);
}

START_TEST(what_passed_is_counted)
{
	struct rtlink_counts n;
	struct loop *loop;
	int host;

	if (!alone())
		return;
	ip("tuntap add t0 mode tap");
	ip("link set t0 up");
	loop = opened(0);
	host = wire("t0");
	host_sends(host, 9, 1);
	ck_assert_int_eq(guest_gets(0), 1);
	closed(loop);
	loop = opened(0);
	ck_assert_int_eq(passed(&n), 0);
	ck_assert_msg(!n.tx_packets && !n.rx_packets && !n.tx_bytes && !n.rx_bytes, "what was before is not ours");
	for (unsigned i = 0; i < 3; i++)
		host_sends(host, 9, 1);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(guest_gets(0), 1);
	ck_assert_int_eq(guest_sends(7), TAP_HDR + 100);
	ck_assert_int_eq(passed(&n), 0);
	ck_assert_uint_eq(n.tx_packets, 3);
	ck_assert_uint_eq(n.tx_bytes, 300);
	ck_assert_uint_eq(n.rx_packets, 1);
	ck_assert_uint_eq(n.rx_bytes, 100);
	ip("link del t0");
	ck_assert_int_eq(passed(&n), -ENODEV);
	closed(loop);
}
END_TEST

START_TEST(descriptors_are_taken_over)
{
	struct loop *loop;
	char text[32];
	int fd;

	if (!alone())
		return;
	cfg.fd = text;
	fd = open_tap("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	ip("link set t0 up");
	snprintf(text, sizeof(text), "%d", fd);
	loop = opened(0);
	ck_assert_str_eq(tap.name, "t0");
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(tap.link, TAP_UP);
	ck_assert(fcntl(tap.fd[0], F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(tap.fd[0], F_GETFD) & FD_CLOEXEC);
	closed(loop);

	fd = open_tap("t1", IFF_TAP | IFF_NO_PI);
	snprintf(text, sizeof(text), "%d", fd);
	ck_assert_msg(tap_open(&tap, &cfg) == -EINVAL, "without a header");
	fd = open_tap("t2", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	snprintf(text, sizeof(text), "%d", fd);
	ck_assert_msg(tap_open(&tap, &cfg) == -EINVAL, "packets, not frames");
	fd = open("/dev/null", O_RDWR);
	snprintf(text, sizeof(text), "%d", fd);
	ck_assert_int_eq(tap_open(&tap, &cfg), -EBADF);
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1); /* what is refused stays open */
	strcpy(text, "999");
	ck_assert_int_eq(tap_open(&tap, &cfg), -EBADF);

	fd = open_tap("t3", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	ck_assert_int_eq(fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
	snprintf(text, sizeof(text), "%d", fd);
	ck_assert_msg(tap_open(&tap, &cfg) == -EBADF, "one of our own");
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	fcntl(fd, F_SETFD, 0);
	snprintf(text, sizeof(text), "[%d,%d]", fd, open_tap("t4", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
	cfg.pairs = 2;
	ck_assert_msg(tap_open(&tap, &cfg) == -EINVAL, "of two taps");
}
END_TEST

/* Its name means another interface here, or none: that one is left alone. */
START_TEST(a_tap_of_another_namespace)
{
	struct loop *loop;
	char text[16];

	if (!alone())
		return;
	cfg.fd = text;
	cfg.mtu = 4000;
	snprintf(text, sizeof(text), "%d", open_tap("t0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_int_eq(ip("tuntap add t0 mode tap"), 0);
	loop = opened(0);
	ck_assert_int_eq(mtu_of("t0"), 1500);
	ck_assert_int_eq(tap.link, TAP_UP);
	ck_assert_uint_eq(tap.mtu, 4000);
	closed(loop);
}
END_TEST

START_TEST(mtu)
{
	struct loop *loop;
	if (!alone())
		return;
	cfg.mtu = 9000;
	loop = opened(0);
	ck_assert_uint_eq(tap.mtu, 9000);
	ck_assert_int_eq(mtu_of("t0"), 9000);
	closed(loop);
	ip("tuntap add t0 mode tap");
	ip("link set t0 mtu 1400");
	cfg.mtu = 0;
	loop = opened(0);
	ck_assert_uint_eq(tap.mtu, 1400);
	closed(loop);
}
END_TEST

START_TEST(frames_go_both_ways)
{
	struct loop *loop;
	static uint8_t data[TAP_HDR + 100];
	int host;

	if (!alone())
		return;
	loop = opened(0);
	host = wire("t0");
	ck_assert_int_eq(guest_gets(0), -EAGAIN);
	for (unsigned i = 0; i < 5; i++)
		host_sends(host, 9, i);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(guest_gets(0), (int)i);
	ck_assert_int_eq(guest_gets(0), -EAGAIN);
	ck_assert_int_eq(guest_sends(7), TAP_HDR + 100);
	ck_assert_int_eq(host_gets(host), 7);
	/* More than there is room for: the room is full, and the rest is lost. */
	host_sends(host, 9, 1);
	ck_assert_int_eq(tap_receive(&tap, 0, &(struct iovec){data, 60}, 1), 60);
	ck_assert_int_eq(guest_gets(0), -EAGAIN);
	/* What is no frame, and a header that is nonsense. */
	ck_assert_int_eq(tap_send(&tap, 0, &(struct iovec){data, TAP_HDR - 1}, 1), -EINVAL);
	ck_assert_int_eq(tap_send(&tap, 0, &(struct iovec){data, TAP_HDR + 13}, 1), -EINVAL);
	data[1] = 0x7f;
	ck_assert_int_eq(tap_send(&tap, 0, &(struct iovec){data, sizeof(data)}, 1), -EINVAL);
	closed(loop);
}
END_TEST

START_TEST(the_filter_filters)
{
	struct loop *loop;
	uint8_t mac[10][6] = {{2, 0, 0, 0, 0, 5}};
	int host;

	if (!alone())
		return;
	loop = opened(0);
	host = wire("t0");
	host_sends(host, 7, 1);
	ck_assert_int_eq(guest_gets(0), 1);
	ck_assert_int_eq(tap_filter(&tap, mac, 1, false), 0);
	host_sends(host, 7, 2);
	host_sends(host, 5, 3);
	ck_assert_int_eq(guest_gets(0), 3);
	ck_assert_int_eq(guest_gets(0), -EAGAIN);
	for (unsigned i = 0; i < 10; i++)
		mac[i][0] = 2, mac[i][5] = i;
	ck_assert_int_eq(tap_filter(&tap, mac, 8, false), 0);
	host_sends(host, 8, 4);
	host_sends(host, 7, 5);
	ck_assert_int_eq(guest_gets(0), 5);
	ck_assert_int_eq(tap_filter(&tap, mac, 10, false), 0);
	host_sends(host, 77, 6);
	ck_assert_msg(guest_gets(0) == 6, "more than it compares: all pass");
	ck_assert_int_eq(tap_filter(&tap, mac, 0, false), 0);
	host_sends(host, 77, 7);
	ck_assert_int_eq(guest_gets(0), 7);
	closed(loop);
}
END_TEST

START_TEST(pairs)
{
	struct loop *loop;
	unsigned got[2];
	int host;

	if (!alone())
		return;
	cfg.pairs = 2;
	loop = opened(0);
	ck_assert_uint_eq(tap.pairs, 2);
	host = wire("t0");
	one_flow(host); /* the second is not in use yet */
	ck_assert_int_eq(tap_active(&tap, 2), 0);
	for (unsigned i = 0; i < 50; i++) /* one flow, one pair; and nothing is lost */
		host_sends(host, 9, i);
	ck_assert_uint_eq(drain(got), 50);
	ck_assert_int_eq(tap_active(&tap, 1), 0);
	ck_assert_int_eq(tap_active(&tap, 1), 0);
	one_flow(host);
	closed(loop);
	ck_assert(!is_there("t0"));
}
END_TEST

UNIT_MAIN("tap", one_that_is_not_there_is_made, one_that_is_there_stays_as_it_is, what_is_refused,
	one_with_queues_of_another, what_passed_is_counted, descriptors_are_taken_over, a_tap_of_another_namespace, mtu, frames_go_both_ways, the_filter_filters,
	pairs)
