// SPDX-License-Identifier: Apache-2.0
/* Taps: opening them, what they can, what passes; see tap.h. tap_link.c has their links. */
#include "vmm/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/options/values.h"
#include "vmm/pi_mutex.h"
#include "vmm/tap_priv.h"
#include "vmm/util.h"

#define DEVICE	   "/dev/net/tun"
#define FILTER_MAX 512 /* addresses: the kernel takes a page of them */

ssize_t tap_send(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n)
{
	ssize_t r;

	do
		r = writev(tap->fd[pair], iov, (int)n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t tap_receive(const struct tap *tap, unsigned pair, const struct iovec *iov, unsigned n)
{
	ssize_t r;

	do
		r = readv(tap->fd[pair], iov, (int)n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* ---- queues ---- */

static unsigned wanted_flags(const struct tap *tap)
{
	return IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (tap->private.multi ? IFF_MULTI_QUEUE : 0);
}

int tap_attach(struct tap *tap, unsigned pair)
{
	struct ifreq ifr = {.ifr_flags = (short)wanted_flags(tap)};

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", tap->name);
	return ioctl(tap->fd[pair], TUNSETIFF, &ifr) < 0 ? -errno : 0;
}

int tap_set_header(const struct tap *tap, unsigned pair)
{
	int size = TAP_HDR;

	return ioctl(tap->fd[pair], TUNSETVNETHDRSZ, &size) < 0 ? -errno : 0;
}

int tap_ask(const struct tap *tap, unsigned long request, struct ifreq *ifr)
{
	if (tap->private.elsewhere)
		return -ENODEV;
	memset(ifr, 0, sizeof(*ifr));
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", tap->name);
	return ioctl(tap->private.netlink, request, ifr) < 0 ? -errno : 0;
}

/* One line for each way the kernel says no. */
static int refuse_attach(const struct tap *tap, unsigned pairs, int err)
{
	switch (err) {
	case -EPERM:
		if (tap->made)
			log_err("--net tap=%s: there is none, and making one takes CAP_NET_ADMIN; as root: ip tuntap add "
				"%s mode tap%s user %u",
				tap->name, tap->name, tap->private.multi ? " multi_queue" : "", (unsigned)getuid());
		else
			log_err("--net tap=%s: it belongs to another user or group; take another, or have root make it "
				"anew: ip tuntap add %s mode tap%s user %u",
				tap->name, tap->name, tap->private.multi ? " multi_queue" : "", (unsigned)getuid());
		break;
	case -EBUSY:
		log_err("--net tap=%s: another program has it open", tap->name);
		break;
	case -EINVAL:
		if (tap->made)
			log_err("--net tap=%s: Linux lets no interface have that name", tap->name);
		else if (tap->private.multi)
			log_err("--net tap=%s,pairs=%u: it is no tap with several queues: ip tuntap add %s "
				"mode tap "
				"multi_queue",
				tap->name, pairs, tap->name);
		else
			log_err("--net tap=%s: an interface of that name is there, and it is no tap",
				tap->name);
		break;
	case -E2BIG:
		log_err("--net tap=%s: all of its queues are in use", tap->name);
		break;
	default:
		log_errno(err, "--net tap=%s", tap->name);
	}
	return err;
}

static int open_device(struct tap *tap)
{
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0) {
		tap->fd[tap->pairs++] = fd;
		return 0;
	}
	if (errno == ENOENT || errno == ENODEV)
		return log_errno(-errno, "--net tap=%s: " DEVICE " (modprobe tun)", tap->name);
	if (errno == EACCES || errno == EPERM)
		return log_errno(-errno, "--net tap=%s: " DEVICE " (as root: chmod 666 " DEVICE ", as on most systems)", tap->name);
	return log_errno(-errno, "--net tap=%s: " DEVICE, tap->name);
}

/* A tap made for several queues takes one, too, but must be told so. */
static int attach_first(struct tap *tap)
{
	int err = tap_attach(tap, 0);

	if (err == -EINVAL && !tap->private.multi) {
		tap->private.multi = true;
		err = tap_attach(tap, 0);
		tap->private.multi = !err;
	}
	return err;
}

/*
 * Of a tap with several queues the kernel lets anybody who may attach have some, and deals out the packets. -EBUSY: there
 * are more than n; of others the kernel itself says so.
 */
int tap_expect_queues(const struct tap *tap, unsigned n)
{
	unsigned now;

	return !rtlink_tap_queues(tap->name, &now) && now > n ? -EBUSY : 0;
}

static int open_named(struct tap *tap, const struct net_config *cfg)
{
	struct ifreq ifr;
	int err = 0;

	if (strlen(cfg->tap) >= sizeof(tap->name)) {
		log_err("--net tap=%s: names of interfaces have at most %zu characters", cfg->tap,
			sizeof(tap->name) - 1);
		return -EINVAL;
	}
	snprintf(tap->name, sizeof(tap->name), "%s", cfg->tap);
	tap->private.named = true;
	tap->made = tap_ask(tap, SIOCGIFFLAGS, &ifr) == -ENODEV;
	tap->private.multi = cfg->pairs > 1;
	err = tap_expect_queues(tap, 0); /* before a packet of somebody else's comes here */
	for (unsigned i = 0; !err && i < cfg->pairs; i++) {
		err = open_device(tap);
		if (err)
			return err;
		err = i ? tap_attach(tap, i) : attach_first(tap);
	}
	if (!err)
		err = tap_expect_queues(tap, cfg->pairs);
	return err ? refuse_attach(tap, cfg->pairs, err) : 0;
}

/* A descriptor that somebody else opened: is it what we would have made? */
static int adopt(struct tap *tap, int fd)
{
	const unsigned need = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq ifr = {0};
	int own, flags;

	/* Those that pinvm opened itself are closed on exec; one that came with it cannot be. */
	if (fcntl(fd, F_GETFD) != 0) {
		log_err("--net fd=%d: no such descriptor was open when pinvm was started", fd);
		return -EBADF;
	}
	if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
		log_err("--net fd=%d: not a tap's descriptor", fd);
		return -EBADF;
	}
	if (((unsigned)ifr.ifr_flags & need) != need) {
		log_err("--net fd=%d: %s was opened without IFF_TAP, IFF_NO_PI or IFF_VNET_HDR", fd,
			ifr.ifr_name);
		return -EINVAL;
	}
	if (tap->pairs && memcmp(tap->name, ifr.ifr_name, sizeof(tap->name)) != 0) {
		log_err("--net fd=%d: of the tap %s, and the one before of %s", fd, ifr.ifr_name, tap->name);
		return -EINVAL;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	flags = own < 0 ? -1 : fcntl(own, F_GETFL);
	if (flags < 0 || fcntl(own, F_SETFL, flags | O_NONBLOCK) < 0)
		return log_errno(-errno, "--net fd=%d", fd);
	tap->fd[tap->pairs++] = own;
	tap->private.multi = (unsigned)ifr.ifr_flags & IFF_MULTI_QUEUE;
	memcpy(tap->name, ifr.ifr_name, sizeof(tap->name));
	return 0;
}

/* Is the interface of that name in our network namespace this one? Its address is asked of both. */
static bool is_here(const struct tap *tap)
{
	struct ifreq own = {0}, named;

	return !ioctl(tap->fd[0], SIOCGIFHWADDR, &own) && !tap_ask(tap, SIOCGIFHWADDR, &named) &&
	       !memcmp(own.ifr_hwaddr.sa_data, named.ifr_hwaddr.sa_data, ETH_ALEN);
}

static int open_fds(struct tap *tap, const struct net_config *cfg)
{
	cpu_set_t fds; /* the set of numbers at hand */
	int err = 0;

	if (value_cpulist(cfg->fd, &fds, sizeof(fds)))
		return -EINVAL;
	for (int fd = 0; !err && fd < CPU_SETSIZE; fd++)
		if (CPU_ISSET(fd, &fds))
			err = adopt(tap, fd);
	for (int fd = 0; !err && fd < CPU_SETSIZE; fd++)
		if (CPU_ISSET(fd, &fds))
			close(fd);
	if (!err)
		tap->private.elsewhere = !is_here(tap);
	return err;
}

/* ---- what it can ---- */

int tap_set_offload(const struct tap *tap, unsigned offload)
{
	return ioctl(tap->fd[0], TUNSETOFFLOAD, (unsigned long)offload) < 0 ? -errno : 0;
}

/* Kernels refuse flags they do not know: USO came with Linux 6.2. */
static unsigned probe_offloads(const struct tap *tap)
{
	const unsigned tso = TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN, uso = TAP_USO4 | TAP_USO6;

	if (!tap_set_offload(tap, tso | uso))
		return tso | uso;
	return tap_set_offload(tap, tso) ? 0 : tso;
}

/* mtu= is the tap's, too, or frames of that size would not get through. */
static int settle_mtu(struct tap *tap, const struct net_config *cfg)
{
	struct ifreq ifr;
	int err = tap_ask(tap, SIOCGIFMTU, &ifr);

	tap->mtu = err ? 1500 : (unsigned)ifr.ifr_mtu; /* in another network namespace it cannot be seen */
	if (err || !cfg->mtu || cfg->mtu == tap->mtu)
		goto out;
	ifr.ifr_mtu = (int)cfg->mtu;
	if (!ioctl(tap->private.netlink, SIOCSIFMTU, &ifr))
		goto out;
	if (cfg->mtu > tap->mtu) {
		log_err("--net tap=%s,mtu=%u: its own MTU is %u: ip link set %s mtu %u", tap->name, cfg->mtu,
			tap->mtu, tap->name, cfg->mtu);
		return -EPERM;
	}
	log_warn("--net tap=%s,mtu=%u: its own MTU stays %u, and longer packets are dropped: ip link set %s "
		 "mtu %u",
		tap->name, cfg->mtu, tap->mtu, tap->name, cfg->mtu);
out:
	tap->mtu = cfg->mtu ? cfg->mtu : tap->mtu;
	return 0;
}

static int settle(struct tap *tap, const struct net_config *cfg)
{
	int err = 0;

	for (unsigned i = 0; !err && i < tap->pairs; i++)
		err = tap_set_header(tap, i);
	if (err)
		return log_errno(err, "--net tap=%s: TUNSETVNETHDRSZ", tap->name);
	tap->can = cfg->offload == TRI_OFF ? 0 : probe_offloads(tap);
	tap->private.active = tap->pairs;
	err = tap_active(tap, 1);
	if (err)
		return log_errno(err, "--net tap=%s: TUNSETQUEUE", tap->name);
	return settle_mtu(tap, cfg);
}

static int open_netlink(struct tap *tap)
{
	tap->private.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	return tap->private.netlink < 0 ? log_errno(-errno, "--net: netlink") : 0;
}

int tap_open(struct tap *tap, const struct net_config *cfg)
{
	int err;

	memset(tap, 0, sizeof(*tap));
	tap->private.netlink = -1;
	err = pi_mutex_init(&tap->private.lock);
	if (err)
		return log_errno(err, "--net: mutexes with priority inheritance; this kernel needs CONFIG_FUTEX_PI");
	err = open_netlink(tap);
	if (!err)
		err = cfg->fd ? open_fds(tap, cfg) : open_named(tap, cfg);
	if (!err)
		err = settle(tap, cfg);
	if (err)
		tap_close(tap);
	return err;
}

void tap_close(struct tap *tap)
{
	tap_unwatch(tap);
	for (unsigned i = 0; i < tap->pairs; i++)
		close(tap->fd[i]);
	tap->pairs = 0;
	if (tap->private.netlink >= 0)
		close(tap->private.netlink);
	tap->private.netlink = -1;
	pthread_mutex_destroy(&tap->private.lock);
}

bool tap_is_attached(const struct tap *tap, unsigned pair, struct ifreq *ifr)
{
	memset(ifr, 0, sizeof(*ifr));
	return !ioctl(tap->fd[pair], TUNGETIFF, ifr);
}

/* Deleted, though link_message() may not have run yet. */
static bool is_gone(const struct tap *tap)
{
	struct ifreq ifr;

	return tap->private.partly || !tap_is_attached(tap, 0, &ifr);
}

int tap_offload(struct tap *tap, unsigned offload)
{
	int err = tap_set_offload(tap, offload);

	if (err && is_gone(tap))
		err = 0;
	if (!err)
		tap->private.offload = offload;
	return err;
}

static int set_queue(struct tap *tap, unsigned pair, bool on)
{
	struct ifreq ifr = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(tap->fd[pair], TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

int tap_active(struct tap *tap, unsigned pairs)
{
	unsigned *active = &tap->private.active;
	int err = tap->private.partly ? -EAGAIN : 0; /* what is attached is turned off when all are */

	while (!err && *active < pairs) {
		err = set_queue(tap, *active, true);
		*active += !err;
	}
	while (!err && *active > pairs) {
		err = set_queue(tap, *active - 1, false);
		*active -= !err;
	}
	if (err && is_gone(tap)) {
		*active = pairs;
		err = 0;
	}
	return err;
}

int tap_filter(struct tap *tap, const uint8_t (*mac)[6], unsigned n, bool all_multicast)
{
	struct { /* tun_filter, with room for its addresses */
		uint16_t flags, count;
		uint8_t mac[FILTER_MAX][6];
	} filter;

	if (n > FILTER_MAX)
		n = 0;
	filter.flags = all_multicast ? TUN_FLT_ALLMULTI : 0;
	filter.count = (uint16_t)n;
	for (unsigned i = 0; i < n; i++)
		memcpy(filter.mac[i], mac[i], 6);
	return ioctl(tap->fd[0], TUNSETTXFILTER, &filter) < 0 ? -errno : 0;
}
