/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of real taps share: a network namespace of the test's own, a packet socket as the host at
 * the other end, and frames both ways. Included by one .c file.
 */
#ifndef PINVM_TESTS_TAP_UNIT_H
#define PINVM_TESTS_TAP_UNIT_H

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

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0) {
		ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
		close(fd);
	}
}

static inline int ip(const char *args)
{
	char line[256];

	snprintf(line, sizeof(line), "PATH=$PATH:/usr/sbin:/sbin exec ip %s 2>/dev/null", args);
	return system(line);
}

/* A namespace without anything; false, and the reason said, when there is none to be had. */
static inline bool alone(void)
{
	char map[64];
	uid_t uid = getuid();
	int fd;

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET)) {
		printf("skip: no network namespace: %s\n", strerror(errno));
		return false;
	}
	if (uid) {
		snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
		write_file("/proc/self/uid_map", map);
	}
	fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0 || ip("link set lo up")) {
		printf("skip: %s\n", fd < 0 ? "/dev/net/tun can not be opened" : "no program 'ip'");
		return false;
	}
	close(fd);
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"); /* no frames but ours */
	log_set_level(LOG_ERROR);
	cfg = (struct net_config){.tap = name, .pairs = 1};
	return true;
}

static inline int ask(unsigned long request, struct ifreq *ifr, const char *nic)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), r;

	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", nic);
	r = ioctl(fd, request, ifr) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static inline bool is_up(const char *nic)
{
	struct ifreq ifr = {0};

	return !ask(SIOCGIFFLAGS, &ifr, nic) && ifr.ifr_flags & IFF_UP;
}

static inline bool is_there(const char *nic)
{
	struct ifreq ifr = {0};

	return !ask(SIOCGIFFLAGS, &ifr, nic);
}

static inline int mtu_of(const char *nic)
{
	struct ifreq ifr = {0};

	ck_assert_int_eq(ask(SIOCGIFMTU, &ifr, nic), 0);
	return ifr.ifr_mtu;
}

/* A descriptor of a tap as somebody else would open it. */
static inline int open_tap(const char *nic, unsigned flags)
{
	struct ifreq ifr = {.ifr_flags = (short)flags};
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", nic);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	return fd;
}

/* The host's end. */
static inline int wire(const char *nic)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(TYPE));

	addr.sll_ifindex = (int)if_nametoindex(nic);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static inline void make_frame(uint8_t frame[100], uint8_t to, uint8_t mark)
{
	memset(frame, mark, 100);
	memcpy(frame, (uint8_t[]){2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, 99, TYPE >> 8, TYPE & 0xff}, 14);
}

static inline void host_sends(int fd, uint8_t to, uint8_t mark)
{
	uint8_t frame[100];

	make_frame(frame, to, mark);
	ck_assert_int_eq(send(fd, frame, sizeof(frame), 0), 100);
}

/* The mark of the next frame that came out of that pair, or -errno. */
static inline int guest_gets(unsigned pair)
{
	uint8_t data[200];
	ssize_t len = tap_receive(&tap, pair, &(struct iovec){data, sizeof(data)}, 1);

	if (len < 0)
		return (int)len;
	ck_assert_int_eq(len, TAP_HDR + 100);
	return data[TAP_HDR + 50];
}

static inline ssize_t guest_sends(uint8_t mark)
{
	uint8_t data[TAP_HDR + 100] = {0};

	make_frame(data + TAP_HDR, 9, mark);
	return tap_send(&tap, 0, &(struct iovec){data, sizeof(data)}, 1);
}

static inline int host_gets(int fd)
{
	uint8_t data[200];
	ssize_t len = recv(fd, data, sizeof(data), 0);

	return len < 0 ? -errno : data[50];
}

static inline void on_change(struct tap *t, enum tap_link was)
{
	ck_assert_ptr_eq(t, &tap);
	ck_assert_int_ne(t->link, was);
	changes++;
	last = t->link;
}

/* Open and watch it over that engine: main's two steps. NULL: this host has not got the engine. */
static inline struct loop *opened(int engine)
{
	struct loop *loop = make(engine, 0);

	if (!loop)
		return NULL;
	ck_assert_int_eq(tap_open(&tap, &cfg), 0);
	ck_assert_int_eq(tap_watch(&tap, loop, on_change), 0);
	return loop;
}

static inline void closed(struct loop *loop)
{
	tap_close(&tap);
	loop_destroy(loop);
}

/* Frames that came out, of both pairs. */
static inline unsigned drain(unsigned got[2])
{
	got[0] = got[1] = 0;
	for (unsigned pair = 0; pair < 2; pair++)
		while (guest_gets(pair) >= 0)
			got[pair]++;
	return got[0] + got[1];
}

/* Frames of one flow arrive, all of them, at the first of two pairs. */
static inline void one_flow(int host)
{
	unsigned got[2];

	for (unsigned i = 0; i < 50; i++)
		host_sends(host, 9, i);
	ck_assert_uint_eq(drain(got), 50);
	ck_assert_uint_eq(got[1], 0);
}

#endif
