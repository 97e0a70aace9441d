// SPDX-License-Identifier: Apache-2.0
/*
 * Real taps, in a network namespace of the test's own: how they are opened and refused, what passes, and a
 * link that goes down, away, and comes back. A packet socket is the host at their other end.
 */
#include "vmm/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tests/unit/loops.h"
#include "vmm/log.h"

#define TYPE 0x88b5

static struct tap tap;
static struct net_config cfg;
static char name[] = "t0";
static unsigned changes;
static enum tap_link last;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
		close(fd);
	}
}

static int ip(const char *args)
{
	char line[256];

	snprintf(line, sizeof(line), "PATH=$PATH:/usr/sbin:/sbin exec ip %s 2>/dev/null", args);
	return system(line);
}

/* A namespace without anything; false, and the reason said, when there is none to be had. */
static bool alone(void)
{
	char map[64];
	uid_t uid = getuid();
	int fd;

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET)) {
		printf("skipped: no network namespace: %s\n", strerror(errno));
		return false;
	}
	if (uid) {
		snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
		write_file("/proc/self/uid_map", map);
	}
	fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0 || ip("link set lo up")) {
		printf("skipped: %s\n", fd < 0 ? "/dev/net/tun can not be opened" : "no program 'ip'");
		return false;
	}
	close(fd);
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"); /* no frames but ours */
	log_set_level(LOG_ERROR);
	cfg = (struct net_config){.tap = name, .pairs = 1};
	return true;
}

static int ask(unsigned long request, struct ifreq *ifr, const char *nic)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), r;

	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", nic);
	r = ioctl(fd, request, ifr) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static bool is_up(const char *nic)
{
	struct ifreq ifr = {0};

	return !ask(SIOCGIFFLAGS, &ifr, nic) && ifr.ifr_flags & IFF_UP;
}

static bool is_there(const char *nic)
{
	struct ifreq ifr = {0};

	return !ask(SIOCGIFFLAGS, &ifr, nic);
}

static int mtu_of(const char *nic)
{
	struct ifreq ifr = {0};

	ck_assert_int_eq(ask(SIOCGIFMTU, &ifr, nic), 0);
	return ifr.ifr_mtu;
}

/* A descriptor of a tap as somebody else would open it. */
static int open_tap(const char *nic, unsigned flags)
{
	struct ifreq ifr = {.ifr_flags = (short)flags};
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", nic);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

/* The host's end. */
static int wire(const char *nic)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(TYPE));

	addr.sll_ifindex = (int)if_nametoindex(nic);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void make_frame(uint8_t frame[100], uint8_t to, uint8_t mark)
{
	memset(frame, mark, 100);
	memcpy(frame, (uint8_t[]){2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, 99, TYPE >> 8, TYPE & 0xff}, 14);
}

static void host_sends(int fd, uint8_t to, uint8_t mark)
{
	uint8_t frame[100];

	make_frame(frame, to, mark);
	ck_assert_int_eq(send(fd, frame, sizeof(frame), 0), 100);
}

/* The mark of the next frame that came out of that pair, or -errno. */
static int guest_gets(unsigned pair)
{
	uint8_t data[200];
	ssize_t len = tap_receive(&tap, pair, &(struct iovec){data, sizeof(data)}, 1);

	if (len < 0)
		return (int)len;
	ck_assert_int_eq(len, TAP_HDR + 100);
	return data[TAP_HDR + 50];
}

static ssize_t guest_sends(uint8_t mark)
{
	uint8_t data[TAP_HDR + 100] = {0};

	make_frame(data + TAP_HDR, 9, mark);
	return tap_send(&tap, 0, &(struct iovec){data, sizeof(data)}, 1);
}

static int host_gets(int fd)
{
	uint8_t data[200];
	ssize_t len = recv(fd, data, sizeof(data), 0);

	return len < 0 ? -errno : data[50];
}

static void on_change(struct tap *t, enum tap_link was)
{
	ck_assert_ptr_eq(t, &tap);
	ck_assert_int_ne(t->link, was);
	changes++;
	last = t->link;
}

/* Open and watch it over that engine: main's two steps. NULL: this host has not got the engine. */
static struct loop *opened(int engine)
{
	struct loop *loop = make(engine, 0);

	if (!loop)
		return NULL;
	ck_assert_int_eq(tap_open(&tap, &cfg), 0);
	ck_assert_int_eq(tap_watch(&tap, loop, on_change), 0);
	return loop;
}

static void closed(struct loop *loop)
{
	tap_close(&tap);
	loop_destroy(loop);
}

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

START_TEST(descriptors_are_taken_over)
{
	struct loop *loop;
	char text[16];
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

/* Frames that came out, of both pairs. */
static unsigned drain(unsigned got[2])
{
	got[0] = got[1] = 0;
	for (unsigned pair = 0; pair < 2; pair++)
		while (guest_gets(pair) >= 0)
			got[pair]++;
	return got[0] + got[1];
}

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
	for (unsigned i = 0; i < 50; i++)
		host_sends(host, 9, i);
	ck_assert_uint_eq(drain(got), 50);
	ck_assert_msg(got[1] == 0, "the second is not in use yet");
	ck_assert_int_eq(tap_active(&tap, 2), 0);
	for (unsigned i = 0; i < 50; i++) /* one flow, one pair; and nothing is lost */
		host_sends(host, 9, i);
	ck_assert_uint_eq(drain(got), 50);
	ck_assert_int_eq(tap_active(&tap, 1), 0);
	ck_assert_int_eq(tap_active(&tap, 1), 0);
	for (unsigned i = 0; i < 50; i++)
		host_sends(host, 9, i);
	ck_assert_uint_eq(drain(got), 50);
	ck_assert_uint_eq(got[1], 0);
	closed(loop);
	ck_assert(!is_there("t0"));
}
END_TEST

/* ---- the link, over both engines ---- */

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

START_TEST(pairs_gone_and_back)
{
	struct loop *loop;
	unsigned got[2];
	int host;

	if (!alone())
		return;
	cfg.pairs = 2;
	loop = opened(_i);
	if (!loop)
		return;
	ck_assert_int_eq(tap_active(&tap, 2), 0);
	ip("link del t0");
	until(loop, TAP_GONE);
	ck_assert_msg(!tap_active(&tap, 1), "a driver that starts meanwhile has one pair");
	ip("tuntap add t0 mode tap multi_queue");
	ip("link set t0 up");
	until(loop, TAP_UP);
	host = wire("t0");
	for (unsigned i = 0; i < 50; i++)
		host_sends(host, 9, i);
	ck_assert_uint_eq(drain(got), 50);
	ck_assert_uint_eq(got[1], 0);
	ck_assert_int_eq(tap_active(&tap, 2), 0);
	closed(loop);
}
END_TEST

START_TEST(another_name)
{
	struct loop *loop = watched(_i);

	if (!loop)
		return;
	ip("link set t0 down");
	until(loop, TAP_DOWN);
	ip("link set t0 name other");
	ip("link set other up");
	until(loop, TAP_UP);
	ck_assert_str_eq(tap.name, "other");
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
	const TTest *once[] = {one_that_is_not_there_is_made, one_that_is_there_stays_as_it_is,
		what_is_refused, descriptors_are_taken_over, a_tap_of_another_namespace, mtu, frames_go_both_ways, the_filter_filters,
		pairs};
	const TTest *both[] = {
		down_and_up, gone_and_back, pairs_gone_and_back, another_name, readiness_after_it_is_back};

	return run_both("tap", both, COUNT(both), once, COUNT(once));
}
