// SPDX-License-Identifier: Apache-2.0
/*
 * A tap's link: down, gone, back; see tap.h. The kernel's messages about links are only a reason to look: what is
 * true is asked for by ioctl, so that nothing is parsed and a message that got lost does no harm. The thread of the
 * loop given to tap_watch(), but for what is said to be any thread's.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vmm/log.h"
#include "vmm/tap.h"
#include "vmm/tap_priv.h"
#include "vmm/util.h"

static int bring_up(struct tap *tap, const struct ifreq *now)
{
	struct ifreq ifr = *now;

	ifr.ifr_flags |= IFF_UP;
	return ioctl(tap->private.netlink, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

/* One that was made here is brought up; another stays as it is. */
static void settle_link(struct tap *tap)
{
	struct ifreq ifr;

	if (tap_ask(tap, SIOCGIFFLAGS, &ifr) || ifr.ifr_flags & IFF_UP)
		return;
	if (tap->made && !bring_up(tap, &ifr))
		return;
	log_warn("--net tap=%s: it is down, and so is the guest's link: ip link set %s up", tap->name,
		tap->name);
	tap->link = TAP_DOWN;
}

/*
 * A tap of that name is there, and not ours, or not all of it: one that came back. Nothing undoes an
 * attachment, so what a failure leaves is not touched before the next time, which does the rest.
 */
static int attach_again(struct tap *tap)
{
	unsigned active = tap->private.active, ours = 0;
	struct ifreq ifr;
	int err;

	for (unsigned i = 0; i < tap->pairs; i++)
		ours += tap_is_attached(tap, i, &ifr);
	err = tap_expect_queues(tap, ours); /* as at the start: a packet would be theirs or ours */
	if (err) {
		if (!tap->private.said)
			log_warn("--net tap=%s: it is back, but another program has it open; it is down for the guest until that ends",
				tap->name);
		tap->private.said = true;
		return err;
	}
	tap->private.said = false;
	tap->private.partly = true;
	for (unsigned i = 0; !err && i < tap->pairs; i++) {
		err = tap_is_attached(tap, i, &ifr) ? 0 : tap_attach(tap, i);
		if (!err)
			err = tap_set_header(tap, i);
	}
	if (!err)
		err = tap_set_offload(tap, tap->private.offload);
	if (err)
		return err;
	tap->private.partly = false;
	tap->private.active = tap->pairs;
	return tap_active(tap, active);
}

static void learn_index(struct tap *tap)
{
	struct ifreq ifr;

	tap->private.index = tap_ask(tap, SIOCGIFINDEX, &ifr) ? 0 : ifr.ifr_ifindex;
	if (!tap->private.index || rtlink_counts(tap->private.index, &tap->private.before))
		tap->private.before = (struct rtlink_counts){0};
}

/* Reports are made by main, whatever the tap is going through. */
static void publish(struct tap *tap)
{
	struct tap_view view = {.link = tap->link, .index = tap->private.index, .before = tap->private.before};

	memcpy(view.name, tap->name, sizeof(view.name));
	pthread_mutex_lock(&tap->private.lock);
	tap->private.view = view;
	pthread_mutex_unlock(&tap->private.lock);
}

void tap_look(struct tap *tap, struct tap_view *view)
{
	pthread_mutex_lock(&tap->private.lock);
	*view = tap->private.view;
	pthread_mutex_unlock(&tap->private.lock);
}

int tap_counts(const struct tap_view *view, struct rtlink_counts *out)
{
	const struct rtlink_counts *before = &view->before;
	int err = view->index ? rtlink_counts(view->index, out) : -ENODEV;

	if (err)
		return err;
	out->rx_packets -= before->rx_packets;
	out->rx_bytes -= before->rx_bytes;
	out->tx_packets -= before->tx_packets;
	out->tx_bytes -= before->tx_bytes;
	return 0;
}

/* *again: it was gone meanwhile. */
static enum tap_link look(struct tap *tap, bool *again)
{
	struct ifreq ifr;
	bool gone = !tap_is_attached(tap, 0, &ifr);

	if (!gone)
		memcpy(tap->name, ifr.ifr_name, sizeof(tap->name)); /* it may have got another */
	if (gone || tap->private.partly) {
		if (!tap->private.named || tap_ask(tap, SIOCGIFFLAGS, &ifr) || attach_again(tap))
			return TAP_GONE;
		*again = true;
		learn_index(tap);
	}
	if (tap_ask(tap, SIOCGIFFLAGS, &ifr))
		return TAP_UP; /* another network namespace's: no way to know */
	return ifr.ifr_flags & IFF_UP ? TAP_UP : TAP_DOWN;
}

/*
 * The interface's number is all that is read of a message, so that other interfaces' coming and going costs
 * nobody a look. When ours is gone, any may be its return.
 */
static bool any_for_us(const struct tap *tap)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} m;
	bool any = false;
	ssize_t n;

	for (;;) {
		n = recv(tap->private.netlink, &m, sizeof(m), MSG_DONTWAIT);
		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			return any;
		if (n < (ssize_t)sizeof(m) || tap->link == TAP_GONE || !tap->private.index ||
			m.info.ifi_index == tap->private.index)
			any = true;
	}
}

static void link_message(struct loop_ev *ev, uint32_t events)
{
	struct tap *tap = container_of(ev, struct tap, private.ev);
	enum tap_link was = tap->link;
	bool again = false;

	if (!any_for_us(tap))
		return;
	tap->link = look(tap, &again);
	publish(tap);
	if (again)
		was = TAP_GONE;
	if (tap->link != was)
		tap->private.changed(tap, was);
}

int tap_watch(struct tap *tap, struct loop *loop, void (*changed)(struct tap *tap, enum tap_link was))
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = tap->private.netlink, err;

	tap->private.changed = changed;
	tap->private.ev.fn = link_message;
	err = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	if (!err)
		err = loop_watch(loop, &tap->private.ev, fd, EPOLLIN);
	if (err)
		return log_errno(err, "--net tap=%s: netlink", tap->name);
	tap->private.loop = loop;
	learn_index(tap);
	settle_link(tap); /* from here on, messages tell */
	publish(tap);
	return 0;
}

void tap_unwatch(struct tap *tap)
{
	if (tap->private.loop)
		loop_unwatch(tap->private.loop, &tap->private.ev);
	tap->private.loop = NULL;
}
