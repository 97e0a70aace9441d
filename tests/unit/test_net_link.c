// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-net and what comes over it with time: buffers of a driver that has few, limits, a tap that fails,
 * goes and comes back, and memory that runs out while a device is made.
 */
#include <errno.h>

#include "devices/virtio/limits.h"
#include "tests/unit/fake_alloc.h"
#include "tests/unit/net_unit.h"
#include "vmm/log.h"

#define RX   0
#define F2   (NET_HDR + 60)
#define LINK VIRTIO_NET_S_LINK_UP
#define NEWS VIRTIO_NET_S_ANNOUNCE

static void post(unsigned n, uint32_t len)
{
	for (unsigned i = 0; i < n; i++)
		ring_offer(&drv[RX],
			(uint16_t)ring_chain(&drv[RX], &(struct ring_seg){BUF + 4096 * i, len, true}, 1));
	submit(RX);
	run();
}

static void arrive(unsigned n)
{
	uint8_t frame[60] = {[12] = 8};

	for (unsigned i = 0; i < n; i++)
		fake_tap_arrive(&loop[0], 0, NULL, frame, sizeof(frame));
}

/* Frames that the guest has got by then. */
static unsigned got_at(uint64_t ns)
{
	loop[0].now = loop[1].now = 1000 * MS + ns;
	run();
	return used(RX);
}

static unsigned got(void)
{
	run();
	return used(RX);
}

static unsigned status(void)
{
	struct virtio_net_config c;

	memcpy(&c, dev->config, sizeof(c) < sizeof(dev->config) ? sizeof(c) : sizeof(dev->config));
	return c.status;
}

/* ---- too few buffers for the largest frame ---- */

START_TEST(a_driver_with_few_buffers_has_its_frames)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post(4, 4096);
	arrive(3);
	ck_assert_uint_eq(got_at(MS), 0);
	ck_assert_uint_eq(got_at(2 * MS), 3);
	arrive(1);
	ck_assert_uint_eq(got(), 1); /* and no more waiting, */
	arrive(1);
	ck_assert_uint_eq(got(), 0);
	post(1, 4096);
	ck_assert_uint_eq(got(), 1);
	ck_assert_ptr_null(loop[0].timers);
	post(64, 4096); /* until it has given enough, once */
	arrive(1);
	ck_assert_uint_eq(got(), 1);
	destroy();
}
END_TEST

START_TEST(a_flood_does_not_make_them_wait_longer)
{
	unsigned n = 0;

	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post(4, 4096);
	for (unsigned i = 0; i <= 20 && !n; i++) {
		arrive(1);
		n = got_at(i * MS / 10);
	}
	ck_assert_uint_eq(n, 4);
	destroy();
}
END_TEST

/* It gave enough once: what is missing is on its way, and frames need not be read into too little room. */
START_TEST(a_slow_driver_is_waited_for_longer)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post(20, 4096);
	arrive(10);
	ck_assert_uint_eq(got_at(0), 4); /* 16 buffers are less than the largest frame */
	ck_assert_uint_eq(got_at(99 * MS), 0);
	post(10, 4096);
	ck_assert_uint_eq(used(RX), 6);
	ck_assert_ptr_null(loop[0].timers);
	arrive(10);
	ck_assert_uint_eq(got_at(100 * MS), 4);
	ck_assert_uint_eq(got_at(199 * MS), 0);
	ck_assert_uint_eq(got_at(200 * MS), 6); /* but not for ever */
	ck_assert_uint_eq(dev->dropped, 0);
	destroy();
}
END_TEST

START_TEST(one_that_keeps_half_of_its_ring_is_not)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post(NUM, 300);
	arrive(40);
	ck_assert_uint_gt(got_at(0), 0);
	ck_assert_ptr_nonnull(loop[0].timers);
	ck_assert_uint_eq(got_at(MS), 0);
	ck_assert_uint_gt(got_at(2 * MS), 0);
	destroy();
}
END_TEST

START_TEST(the_waiting_ends_with_a_reset)
{
	build((struct net_config){0});
	start(BASE | GUEST | F(MRG_RXBUF));
	post(4, 4096);
	ck_assert_ptr_nonnull(loop[0].timers);
	reset();
	ck_assert_ptr_null(loop[0].timers);
	start(BASE | GUEST | F(MRG_RXBUF));
	post(4, 4096);
	arrive(1);
	ck_assert_uint_eq(got_at(2 * MS), 1);
	post(1, 4096);
	reset();
	start(BASE | GUEST | F(MRG_RXBUF));
	post(4, 4096);
	destroy();
}
END_TEST

/* ---- limits ---- */

START_TEST(packets_a_second)
{
	build((struct net_config){.pps = 10, .pps_burst = 2});
	start(BASE);
	post(NUM, 1600);
	arrive(6);
	ck_assert_uint_eq(got_at(0), 2);
	ck_assert_uint_eq(got_at(99 * MS), 0);
	ck_assert_uint_eq(got_at(100 * MS), 1);
	ck_assert_uint_eq(got_at(300 * MS), 2);
	ck_assert_uint_gt(dev->queue[RX].limited, 0);
	ck_assert_uint_eq(dev->dropped, 0);
	arrive(1);
	run();
	reset();
	ck_assert_ptr_null(loop[0].timers);
	destroy();
}
END_TEST

START_TEST(bytes_a_second_of_each_direction)
{
	struct ring_seg seg = {BUF + 0x100000, F2, false};

	build((struct net_config){.bps = 10 * (F2 - NET_HDR), .bps_burst = 1});
	start(BASE);
	post(NUM, 1600);
	memset(at(seg.gpa), 0, F2);
	for (unsigned i = 0; i < 4; i++)
		ring_offer(&drv[1], (uint16_t)ring_chain(&drv[1], &seg, 1));
	submit(1);
	arrive(4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(got_at(i * 100 * MS), 1);
		ck_assert_uint_eq(fake_tap.nsent, i + 1);
		ck_assert_uint_eq(got_at(i * 100 * MS + 99 * MS), 0);
	}
	destroy();
}
END_TEST

/* Both directions go over to other limits, and what waited goes on. */
START_TEST(limits_that_change)
{
	struct limit_rates fast = {.ops = 1000, .ops_burst = 1}, none = {0};
	struct ring_seg seg = {BUF + 0x100000, F2, false};

	build((struct net_config){.pps = 1, .pps_burst = 1});
	start(BASE);
	post(NUM, 1600);
	memset(at(seg.gpa), 0, F2);
	for (unsigned i = 0; i < 6; i++)
		ring_offer(&drv[1], (uint16_t)ring_chain(&drv[1], &seg, 1));
	submit(1);
	arrive(6);
	ck_assert_uint_eq(got_at(0), 1);
	ck_assert_uint_eq(fake_tap.nsent, 1);
	ck_assert_int_eq(virtio_limits_begin(dev, &fast), 0);
	ck_assert_uint_eq(got_at(0), 0);
	ck_assert_int_eq(virtio_limits_wait(dev, 0), 0);
	for (unsigned i = 1; i <= 2; i++) {
		ck_assert_uint_eq(got_at(i * MS), 1);
		ck_assert_uint_eq(fake_tap.nsent, i + 1);
	}
	ck_assert_int_eq(virtio_limits_begin(dev, &none), 0);
	ck_assert_uint_eq(got_at(2 * MS), 3);
	ck_assert_uint_eq(fake_tap.nsent, 6);
	ck_assert_ptr_null(dev->queue[RX].limits);
	destroy();
}
END_TEST

/* Whether frames pass or not, reading them is what is limited. */
START_TEST(pairs_share_the_limit)
{
	struct ring_seg seg = {BUF, 1600, true};
	uint8_t frame[60] = {0};

	build((struct net_config){.pairs = 2, .pps = 10, .pps_burst = 2});
	start(BASE | F(MQ));
	fake_tap.active = 2;
	for (unsigned pair = 0; pair < 2; pair++)
		for (unsigned i = 0; i < 4; i++) {
			ring_offer(&drv[2 * pair], (uint16_t)ring_chain(&drv[2 * pair], &seg, 1));
			submit(2 * pair);
			fake_tap_arrive(&loop[pair], pair, NULL, frame, sizeof(frame));
		}
	run();
	ck_assert_uint_eq(used(0) + used(2), 2);
	loop[0].now = loop[1].now += 200 * MS;
	run();
	ck_assert_uint_eq(used(0) + used(2), 2);
	destroy();
}
END_TEST

/* ---- the tap ---- */

START_TEST(what_the_tap_cannot_give_is_dropped)
{
	build((struct net_config){0});
	start(BASE);
	post(8, 1600);
	fake_tap.receive_err = -EINVAL;
	fake_tap.receive_errs = 3;
	arrive(2);
	ck_assert_uint_eq(got(), 2);
	ck_assert_uint_eq(dev->dropped, 3);
	destroy();
}
END_TEST

START_TEST(a_failing_tap_is_not_asked_again)
{
	static const int errs[] = {-EBADFD, -EIO, -EFAULT, -EAGAIN};

	build((struct net_config){0});
	start(BASE);
	post(64, 1600);
	for (unsigned i = 0; i < 4; i++) {
		unsigned receives = fake_tap.receives;

		fake_tap.receive_err = errs[i];
		fake_tap.receive_errs = 1;
		arrive(1);
		ck_assert_uint_eq(got(), 0);
		ck_assert_uint_eq(fake_tap.receives, receives + 1);
		fake_ready(&loop[0], FAKE_TAP_FD);
		ck_assert_uint_eq(got(), 1);
	}
	ck_assert_uint_eq(transport.resets_wanted, 0);
	destroy();
}
END_TEST

static void forget_watches(void)
{
	for (unsigned i = 0; i < FAKE_WATCHES; i++)
		if (loop[0].watch[i] && loop[0].watch[i]->fd == FAKE_TAP_FD)
			loop[0].watch[i] = NULL;
}

START_TEST(the_link_goes_and_comes)
{
	uint32_t gen;

	build((struct net_config){0});
	ck_assert_uint_eq(status(), LINK);
	start(BASE | F(GUEST_ANNOUNCE));
	post(64, 1600);
	for (int link = TAP_DOWN; link <= TAP_GONE; link++) {
		unsigned changes = transport.config_changes, filters = fake_tap.filters;

		gen = dev->config_gen;
		fake_tap_link(link);
		ck_assert_uint_eq(status(), 0);
		ck_assert_uint_eq(transport.config_changes, changes + 1);
		ck_assert_uint_ne(dev->config_gen, gen);
		arrive(1);
		ck_assert_uint_eq(got(), 0);
		gen = dev->config_gen;
		if (link == TAP_GONE)
			forget_watches();
		fake_tap_link(TAP_UP);
		ck_assert_uint_eq(status(), LINK | NEWS);
		ck_assert_uint_eq(transport.config_changes, changes + 2);
		ck_assert_uint_ne(dev->config_gen, gen);
		ck_assert_msg(
			(fake_tap.filters > filters) == (link == TAP_GONE), "a new tap is told what passes");
		ck_assert_msg(got() == 1, "what waited in it came");
		arrive(1);
		ck_assert_msg(got() == 1, "and it is heard of");
	}
	fake_tap_link(TAP_DOWN);
	fake_tap_link(TAP_GONE);
	ck_assert_uint_eq(transport.config_changes, 5);
	destroy();
}
END_TEST

START_TEST(a_driver_that_did_not_ask_is_not_told)
{
	build((struct net_config){0});
	start(BASE & ~F(STATUS));
	fake_tap_link(TAP_DOWN);
	fake_tap_link(TAP_UP);
	ck_assert_uint_eq(status(), LINK);
	ck_assert_uint_eq(transport.config_changes, 0);
	reset();
	start(BASE);
	fake_tap_link(TAP_DOWN);
	fake_tap_link(TAP_UP);
	ck_assert_uint_eq(status(), LINK);
	ck_assert_uint_eq(transport.config_changes, 2);
	destroy();
	build((struct net_config){0});
	fake_tap_link(TAP_DOWN); /* nobody drives it yet */
	run();
	start(BASE);
	ck_assert_uint_eq(status(), 0);
	destroy();
}
END_TEST

START_TEST(a_guest_that_starts_while_the_tap_is_gone)
{
	build((struct net_config){0});
	fake_tap_link(TAP_GONE);
	start(BASE);
	post(8, 1600);
	ck_assert_uint_eq(transport.resets_wanted, 0);
	forget_watches();
	fake_tap_link(TAP_UP);
	arrive(2);
	ck_assert_uint_eq(got(), 2);
	destroy();
}
END_TEST

START_TEST(news_ends_with_the_driver)
{
	build((struct net_config){0});
	start(BASE | F(GUEST_ANNOUNCE));
	fake_tap_link(TAP_DOWN);
	fake_tap_link(TAP_UP);
	ck_assert_uint_eq(status(), LINK | NEWS);
	reset();
	ck_assert_uint_eq(status(), LINK);
	destroy();
}
END_TEST

START_TEST(no_watch_no_frames)
{
	build((struct net_config){0});
	start(BASE);
	loop[0].watch_err = -ENOSPC;
	post(8, 1600);
	ck_assert_uint_eq(transport.resets_wanted, 1);
	loop[0].watch_err = 0;
	reset();
	start(BASE);
	post(8, 1600);
	arrive(1);
	ck_assert_uint_eq(got(), 1);
	destroy();
}
END_TEST

/* ---- making one ---- */

static void config_says(struct net_config cfg, unsigned mtu, uint32_t speed, uint8_t duplex)
{
	struct virtio_net_config c = {0};

	build(cfg);
	ck_assert_uint_eq(dev->config_len, offsetof(struct virtio_net_config, rss_max_key_size));
	memcpy(&c, dev->config, dev->config_len);
	ck_assert_uint_eq(c.mtu, mtu);
	ck_assert_uint_eq(c.speed, speed);
	ck_assert_uint_eq(c.duplex, duplex);
	ck_assert_uint_eq(c.max_virtqueue_pairs, cfg.pairs ? cfg.pairs : 1);
	ck_assert_msg((c.mac[0] & 3) == 2, "an address of our own, of one station");
	ck_assert(!(dev->offered & F(MQ)) == (cfg.pairs < 2));
	ck_assert(!(dev->offered & F(SPEED_DUPLEX)) == !cfg.speed);
	ck_assert_uint_eq(dev->nvq, 2 * c.max_virtqueue_pairs + 1u);
	destroy();
}

static uint64_t default_mac(const char *machine, const char *host, const char *tap)
{
	uint8_t mac[6];
	uint64_t n = 0;

	net_default_mac(mac, machine, host, tap);
	ck_assert_msg((mac[0] & 3) == 2, "an address of our own, of one station");
	memcpy(&n, mac, sizeof(mac));
	return n;
}

START_TEST(an_address_that_nobody_gave)
{
	const char *const id = "0123456789abcdef0123456789abcdef", *const other = "0123456789abcdef0123456789abcdee";
	uint64_t mac = default_mac(id, "host", "tap0");

	ck_assert_uint_eq(default_mac(id, "host", "tap0"), mac);
	ck_assert_uint_ne(default_mac(id, "host", "tap1"), mac);
	ck_assert_uint_ne(default_mac(id, "tsoh", "tap0"), mac);
	ck_assert_msg(default_mac(other, "host", "tap0") != mac, "a clone that got an id of its own");
	ck_assert_uint_ne(default_mac("", "host", "tap0"), mac);
}
END_TEST

START_TEST(what_the_configuration_says)
{
	config_says((struct net_config){0}, 1500, UINT32_MAX, 0xff);
	config_says((struct net_config){.mtu = 68, .pairs = 3}, 68, UINT32_MAX, 0xff);
	config_says((struct net_config){.mtu = 9000, .speed = 10000}, 9000, 10000, 1);
	fake_tap.mtu = 1400;
	config_says((struct net_config){0}, 1400, UINT32_MAX, 0xff);
}
END_TEST

START_TEST(offloads_are_those_of_the_tap)
{
	static const struct {
		unsigned can;
		enum tristate offload;
		uint64_t offered;
	} with[] = {
		{FAKE_TAP_ALL, TRI_DEFAULT, GUEST | HOST | USO | F(CTRL_GUEST_OFFLOADS)},
		{FAKE_TAP_ALL, TRI_OFF, 0},
		{FAKE_TAP_ALL & ~(TAP_USO4 | TAP_USO6), TRI_ON, GUEST | HOST | F(CTRL_GUEST_OFFLOADS)},
		{TAP_CSUM, TRI_ON, F(GUEST_CSUM) | F(CSUM) | F(CTRL_GUEST_OFFLOADS)},
	};

	for (unsigned i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
		fake_tap.can = with[i].can;
		build((struct net_config){.offload = with[i].offload});
		ck_assert_uint_eq(
			dev->offered & (GUEST | HOST | USO | F(CTRL_GUEST_OFFLOADS)), with[i].offered);
		destroy();
	}
}
END_TEST

/* What the tap may come with follows from what the driver took: any subset of it. */
START_TEST(any_set_of_offloads_starts)
{
	static const unsigned bit[] = {VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_ECN, NET_F_GUEST_USO4, NET_F_GUEST_USO6};

	bool valid;

	build((struct net_config){0});
	for (unsigned set = 0; set < 64; set++) {
		uint64_t features = BASE;

		for (unsigned i = 0; i < 6; i++)
			features |= set & 1u << i ? 1ull << bit[i] : 0;
		fake_tap.offload = 0xff;
		/* All but checksums need those, ECN a kind of TSO (5.1.3.1). */
		valid = (!(set & ~1u) || set & 1) && (!(set & 8) || set & 6);
		ck_assert_int_eq(virtio_features_ok(dev, features), valid);
		if (!valid)
			continue;
		start(features);
		ck_assert_msg(!transport.resets_wanted, "features 0x%lx", features);
		if (!(set & 1))
			ck_assert_uint_eq(fake_tap.offload, 0);
		else
			ck_assert_uint_eq(fake_tap.offload & 7, set & 7);
		reset();
	}
	fake_tap.offload_err = -EINVAL;
	start(BASE);
	ck_assert_uint_eq(transport.resets_wanted, 1);
	destroy();
}
END_TEST

/* What is told through the control queue needs one; what is left to the host's cutting, its checksums. */
START_TEST(features_need_others)
{
	static const uint64_t commands = F(CTRL_RX) | F(CTRL_VLAN) | F(GUEST_ANNOUNCE) | F(MQ) |
					 F(CTRL_MAC_ADDR) | F(CTRL_GUEST_OFFLOADS);
	static const uint64_t cut = F(HOST_TSO4) | F(HOST_TSO6) | 1ull << NET_F_HOST_USO;

	build((struct net_config){.pairs = 2});
	for (unsigned f = 0; f < 64; f++) {
		if (commands >> f & 1) {
			ck_assert(virtio_features_ok(dev, BASE | 1ull << f));
			ck_assert(!virtio_features_ok(dev, (BASE & ~F(CTRL_VQ)) | 1ull << f));
		}
		if (cut >> f & 1) {
			ck_assert(virtio_features_ok(dev, BASE | F(CSUM) | 1ull << f));
			ck_assert(!virtio_features_ok(dev, BASE | 1ull << f));
		}
	}
	ck_assert(!virtio_features_ok(dev, BASE | F(CSUM) | F(HOST_ECN)));
	ck_assert(virtio_features_ok(dev, BASE | F(CSUM) | F(HOST_TSO6) | F(HOST_ECN)));
	destroy();
}
END_TEST

START_TEST(creation_that_fails_leaves_nothing)
{
	struct net_config cfg = {.pairs = 1, .queue_size = NUM};
	struct loop *loops[] = {&loop[0]};

	fake_tap.open_err = -EBUSY;
	ck_assert_int_eq(virtio_net_create(&dev, "net0", &mem, loops, 1, &cfg), -EBUSY);
	fake_tap.open_err = 0;
	fake_tap.watch_err = -ENOSPC;
	ck_assert_int_eq(virtio_net_create(&dev, "net0", &mem, loops, 1, &cfg), -ENOSPC);
	ck_assert_ptr_null(fake_tap.tap);
}
END_TEST

START_TEST(any_allocation_may_fail)
{
	struct net_config cfg = {.pairs = 3, .queue_size = NUM};
	struct loop *loops[] = {&loop[0], &loop[1]};
	int err = -ENOMEM;
	long n;

	if (!OWN_ALLOCATOR) {
		printf("skipped: a sanitizer's allocator can not be made to fail\n");
		return;
	}
	log_set_level(LOG_ERROR);
	for (n = 0; err; n++) {
		alloc_counting = true;
		alloc_left = n;
		alloc_live = 0;
		err = virtio_net_create(&dev, "net0", &mem, loops, 2, &cfg);
		if (!err)
			dev->ops->destroy(dev);
		alloc_counting = false;
		ck_assert_msg(alloc_live == 0, "allocation %ld failed: %ld are left", n, alloc_live);
		ck_assert_msg(!err || err == -ENOMEM, "allocation %ld failed: error %d", n, err);
		ck_assert_ptr_null(fake_tap.tap);
	}
	ck_assert_msg(n > 3 * 3 + 4, "there were allocations to fail: %ld", n);
}
END_TEST

UNIT_MAIN("net_link", a_driver_with_few_buffers_has_its_frames, a_slow_driver_is_waited_for_longer,
	one_that_keeps_half_of_its_ring_is_not, a_flood_does_not_make_them_wait_longer,
	the_waiting_ends_with_a_reset, packets_a_second, limits_that_change, bytes_a_second_of_each_direction,
	pairs_share_the_limit, what_the_tap_cannot_give_is_dropped, a_failing_tap_is_not_asked_again,
	the_link_goes_and_comes, a_driver_that_did_not_ask_is_not_told,
	a_guest_that_starts_while_the_tap_is_gone, news_ends_with_the_driver, no_watch_no_frames,
	an_address_that_nobody_gave, what_the_configuration_says, offloads_are_those_of_the_tap, any_set_of_offloads_starts,
	features_need_others, creation_that_fails_leaves_nothing, any_allocation_may_fail)
