// SPDX-License-Identifier: Apache-2.0
/* Questions to rtnetlink about one interface; see rtlink.h. Any thread. */
#include "vmm/rtlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 16384 /* bytes; longer ones come cut off, and what is asked for stands in front */

/* A message being made, or one that came. */
struct message {
	union {
		struct nlmsghdr head;
		char bytes[ANSWER_MAX];
	};
};

static void put(struct message *m, unsigned short type, const void *data, unsigned short len)
{
	struct rtattr *a = (struct rtattr *)(m->bytes + NLMSG_ALIGN(m->head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + RTA_LENGTH(len);
}

/* Sends m and leaves the answer in it. *len: bytes of it. */
static int ask(struct message *m, size_t *len)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = sendto(fd, m, m->head.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
	if (n >= 0)
		do
			n = recv(fd, m, sizeof(*m), 0);
		while (n < 0 && errno == EINTR);
	if (n < 0)
		err = -errno;
	else if ((size_t)n < sizeof(m->head) || m->head.nlmsg_len < sizeof(m->head))
		err = -EPROTO;
	close(fd);
	if (err)
		return err;
	*len = (size_t)n < m->head.nlmsg_len ? (size_t)n : m->head.nlmsg_len;
	if (m->head.nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr e;

		if (*len < NLMSG_HDRLEN + sizeof(e.error))
			return -EPROTO;
		memcpy(&e.error, m->bytes + NLMSG_HDRLEN, sizeof(e.error));
		return e.error ? e.error : -EPROTO;
	}
	return 0;
}

/* The attribute of that type among those in the len bytes at `at`. *len: bytes of it; NULL: there is none. */
static const char *find(const char *at, size_t *len, unsigned type)
{
	struct rtattr a;

	for (size_t left = *len; left >= sizeof(a);) {
		size_t step;

		memcpy(&a, at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > left)
			break;
		if ((a.rta_type & NLA_TYPE_MASK) == type) {
			*len = a.rta_len - RTA_LENGTH(0);
			return at + RTA_LENGTH(0);
		}
		step = RTA_ALIGN(a.rta_len);
		if (step > left)
			break;
		at += step;
		left -= step;
	}
	return NULL;
}

/* What of an answer comes behind its head of `size` bytes. */
static const char *attributes(const struct message *m, size_t size, size_t *len)
{
	size_t front = NLMSG_HDRLEN + NLMSG_ALIGN(size);

	*len = *len > front ? *len - front : 0;
	return m->bytes + front;
}

int rtlink_counts(int index, struct rtlink_counts *out)
{
	struct if_stats_msg what = {
		.ifindex = (unsigned)index, .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)};
	struct message m = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(what)), .nlmsg_type = RTM_GETSTATS,
				    .nlmsg_flags = NLM_F_REQUEST}};
	struct rtnl_link_stats64 all = {0};
	const char *at;
	size_t len;
	int err;

	memcpy(m.bytes + NLMSG_HDRLEN, &what, sizeof(what));
	err = ask(&m, &len);
	if (err)
		return err;
	at = attributes(&m, sizeof(what), &len);
	at = find(at, &len, IFLA_STATS_LINK_64);
	if (!at || len < offsetof(struct rtnl_link_stats64, rx_errors))
		return -ENODATA;
	memcpy(&all, at, len < sizeof(all) ? len : sizeof(all));
	*out = (struct rtlink_counts){.rx_packets = all.rx_packets, .rx_bytes = all.rx_bytes,
		.tx_packets = all.tx_packets, .tx_bytes = all.tx_bytes};
	return 0;
}

static int number(const char *info, size_t info_len, unsigned type, unsigned *out)
{
	const char *at = find(info, &info_len, type);
	uint32_t n;

	if (!at || info_len < sizeof(n))
		return -ENODATA;
	memcpy(&n, at, sizeof(n));
	*out += n;
	return 0;
}

int rtlink_tap_queues(const char *name, unsigned *out)
{
	struct ifinfomsg what = {0};
	struct message m = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(what)), .nlmsg_type = RTM_GETLINK,
				    .nlmsg_flags = NLM_F_REQUEST}};
	const uint32_t brief = RTEXT_FILTER_SKIP_STATS;
	const char *at;
	size_t len = 0;
	int err;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	put(&m, IFLA_IFNAME, name, (unsigned short)(strlen(name) + 1));
	put(&m, IFLA_EXT_MASK, &brief, sizeof(brief));
	err = ask(&m, &len);
	if (err)
		return err;
	at = attributes(&m, sizeof(what), &len);
	at = find(at, &len, IFLA_LINKINFO);
	at = at ? find(at, &len, IFLA_INFO_DATA) : NULL;
	if (!at)
		return -ENODATA;
	*out = 0;
	err = number(at, len, IFLA_TUN_NUM_QUEUES, out);
	return err ? err : number(at, len, IFLA_TUN_NUM_DISABLED_QUEUES, out);
}
