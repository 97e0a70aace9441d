// SPDX-License-Identifier: Apache-2.0
/*
 * virtio-net against a driver that mostly keeps the rules, over a tap that is full, fails, goes and comes
 * back. Oracle: every chain of the transmit and control queues is used or the device wants a reset; what the
 * tap was sent are frames the driver offered, whole and in order, with headers it may have; what the driver
 * gets are frames that arrived, whole and in order, in num_buffers buffers that are published together;
 * nothing is written but the buffers that were posted, and, while no frame is dropped, no more of them than
 * used.len says; readable buffers and descriptors stay as they are; a reset ends at once, and then memory is
 * left alone.
 */
#include <errno.h>

#include "tests/fuzz/net_driver.h"
#include "vmm/log.h"

#define FRAMES 512

/* Frames that came from the network, by number. */
static struct frame {
	uint32_t len;
	unsigned pair;
	struct virtio_net_hdr_v1 hdr;
} frame[FRAMES];
static unsigned nframes, seen[2]; /* a pair's next is no older than that */

/* ---- what comes of it ---- */

/* Byte `off` of the chain's readable or writable part. */
static uint8_t *byte_of(const struct chain *ch, bool write, uint32_t off)
{
	for (unsigned i = 0; i < ch->n; i++) {
		if (ch->seg[i].write != write)
			continue;
		if (off < ch->seg[i].len)
			return at(ch->seg[i].gpa + off);
		off -= ch->seg[i].len;
	}
	must(!"within the chain");
	return NULL;
}

static void check_header(const struct virtio_net_hdr_v1 *h)
{
	unsigned type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	must(!(h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
	must(has(VIRTIO_NET_F_CSUM) || (!h->flags && !h->gso_type));
	must(type != VIRTIO_NET_HDR_GSO_TCPV4 || has(VIRTIO_NET_F_HOST_TSO4));
	must(type != VIRTIO_NET_HDR_GSO_TCPV6 || has(VIRTIO_NET_F_HOST_TSO6));
	must(type != NET_HDR_GSO_UDP_L4 || has(NET_F_HOST_USO));
	must(!(h->gso_type & VIRTIO_NET_HDR_GSO_ECN) || has(VIRTIO_NET_F_HOST_ECN));
}

/* Is it what that chain holds? The header may have been put right. */
static bool same_frame(const struct fake_frame *f, const struct chain *ch)
{
	uint32_t off = 0;

	if (f->len != ch->readable)
		return false;
	for (unsigned i = 0; i < ch->n && !ch->seg[i].write; i++) {
		uint32_t skip = off < NET_HDR ? NET_HDR - off : 0, len = ch->seg[i].len;

		if (skip < len && memcmp(f->data + off + skip, at(ch->seg[i].gpa + skip), len - skip) != 0)
			return false;
		off += len;
	}
	return true;
}

/* All that was sent is among the chains that were used, in their order. */
static void check_sent(unsigned pair, const unsigned *heads, unsigned n)
{
	unsigned i = 0;

	for (unsigned s = 0; s < fake_tap.nsent; s++) {
		const struct fake_frame *f = &fake_tap.sent[s];

		if (f->pair != pair || flipped)
			continue;
		must(f->len <= NET_HDR + NET_FRAME_MAX);
		check_header((const struct virtio_net_hdr_v1 *)f->data);
		while (i < n && !same_frame(f, &queue[2 * pair + 1].chain[heads[i]]))
			i++;
		must(i++ < n);
	}
}

static uint8_t frame_byte(unsigned id, uint32_t i)
{
	return i < 2 ? id >> 8 * i : i == 12 ? 0x08 : i * 11 + id;
}

/* Byte off of what the guest gets of a frame: the header's first 10 bytes are the tap's. */
static void check_bytes(const struct chain *ch, uint32_t off, uint32_t len, unsigned id)
{
	for (uint32_t i = 0; i < len; i++)
		if (off + i >= NET_HDR)
			must(*byte_of(ch, true, i) == frame_byte(id, off + i - NET_HDR));
}

/* 5.1.6.4.1: nothing the driver did not take. */
static void check_rx_header(uint8_t flags, uint8_t gso)
{
	unsigned type = gso & ~VIRTIO_NET_HDR_GSO_ECN;

	must(!(flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)));
	must(has(VIRTIO_NET_F_GUEST_CSUM) || (!flags && !gso));
	must(type != VIRTIO_NET_HDR_GSO_TCPV4 || has(VIRTIO_NET_F_GUEST_TSO4));
	must(type != VIRTIO_NET_HDR_GSO_TCPV6 || has(VIRTIO_NET_F_GUEST_TSO6));
	must(type != NET_HDR_GSO_UDP_L4 || has(NET_F_GUEST_USO4) || has(NET_F_GUEST_USO6));
	must(!(gso & VIRTIO_NET_HDR_GSO_ECN) || has(VIRTIO_NET_F_GUEST_ECN));
}

/* A frame that begins in used chain *i of n. */
static void check_received(unsigned q, const unsigned *heads, const uint32_t *lens, unsigned n, unsigned *i)
{
	const struct chain *ch = &queue[q].chain[heads[*i]];
	unsigned buffers = *byte_of(ch, true, 10) | *byte_of(ch, true, 11) << 8, id;
	uint32_t off = 0;

	must(buffers && buffers <= n - *i && (buffers == 1 || has(VIRTIO_NET_F_MRG_RXBUF)));
	check_rx_header(*byte_of(ch, true, 0), *byte_of(ch, true, 1));
	/* the frame's number is in its first two bytes, wherever they are */
	for (unsigned b = 0, skip = NET_HDR; b < 2; b++) {
		unsigned k = *i;

		for (skip = NET_HDR + b; skip >= lens[k]; k++)
			skip -= lens[k];
		if (!b)
			id = *byte_of(&queue[q].chain[heads[k]], true, skip);
		else
			id |= *byte_of(&queue[q].chain[heads[k]], true, skip) << 8;
	}
	must(id < nframes && id >= seen[q / 2] && frame[id].pair == q / 2);
	seen[q / 2] = id + 1;
	for (; buffers; buffers--, (*i)++) {
		check_bytes(&queue[q].chain[heads[*i]], off, lens[*i], id);
		off += lens[*i];
		/* each but the last is full (5.1.6.4) */
		must(buffers == 1 || lens[*i] == queue[q].chain[heads[*i]].writable);
	}
	must(off == frame[id].len + NET_HDR);
}

/* Bring the shadow up to date with what the device wrote to a chain it gave back: len bytes, or any. */
static void adopt(const struct chain *ch, uint32_t len, bool any)
{
	for (unsigned i = 0; i < ch->n; i++) {
		const struct ring_seg *s = &ch->seg[i];
		uint32_t part = any || s->len < len ? s->len : len;

		if (!s->write)
			continue;
		memcpy(shadow + (s->gpa - RAM), at(s->gpa), part);
		len -= part < len ? part : len;
	}
}

/* What is posted for the device to write may hold anything while it is out. */
static void check_memory(void)
{
	for (unsigned q = 0; q < QUEUES; q++)
		for (unsigned h = 0; is_rx(q) && h < NUM; h++)
			if (queue[q].chain[h].out)
				adopt(&queue[q].chain[h], 0, true);
	must(!memcmp(shadow + (TABLES - RAM), at(TABLES), sizeof(shadow) - (TABLES - RAM)));
}

static void look(unsigned q)
{
	uint32_t head, lens[NUM];
	unsigned heads[NUM], n = 0;
	struct queue *qu = &queue[q];

	if (flipped)
		return;
	while (ring_used(&qu->drv, &head, &lens[n])) {
		struct chain *ch = &qu->chain[head];

		must(ch->out && qu->outstanding && lens[n] <= ch->writable);
		if (!is_rx(q) || lens[n]) {
			must(ch->number > qu->last);
			qu->last = ch->number;
		}
		qu->outstanding--;
		ch->out = false;
		heads[n++] = head;
	}
	for (unsigned i = 0; is_rx(q) && i < n;)
		if (lens[i])
			check_received(q, heads, lens, n, &i);
		else
			must(qu->chain[heads[i++]].writable < NET_HDR);
	for (unsigned i = 0; i < n; i++) {
		struct chain *ch = &qu->chain[heads[i]];

		if (q == ctrl_queue())
			must(lens[i] == (ch->writable ? 1 : 0) &&
				(!lens[i] || *byte_of(ch, true, 0) <= VIRTIO_NET_ERR));
		else if (!is_rx(q))
			must(!lens[i]);
		adopt(ch, lens[i], ch->drops != dev->dropped);
	}
	if (!is_rx(q) && q != ctrl_queue())
		check_sent(q / 2, heads, n);
}

static void look_all(void)
{
	for (unsigned q = 0; q < dev->nvq; q++)
		look(q);
	fake_tap_forget_sent();
	if (!flipped)
		check_memory();
}

/* Round by round, so that frames are never seen in part. */
static void run(void)
{
	for (unsigned rounds = 0; fake_step(&loop); rounds++) {
		must(rounds < 100000);
		look_all();
	}
	look_all();
}

/* ---- the network ---- */

static void arrive(struct choices *c, unsigned pair)
{
	static uint8_t body[70000];
	static const uint8_t gso[] = {0, 0, 0, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6,
		NET_HDR_GSO_UDP_L4, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN};
	static const uint16_t lens[] = {14, 60, 1514, 1518, 13, 5000, 300, 0};
	uint32_t len = pick(c, 4) ? lens[pick(c, 8)] : pick32(c) % (pick(c, 16) ? 3000 : sizeof(body));
	struct frame *f = &frame[nframes];

	if (nframes == FRAMES || fake_tap_waiting() > 200)
		return;
	*f = (struct frame){.len = len, .pair = pair};
	if (!pick(c, 4)) {
		f->hdr.flags = pick(c, 4);
		f->hdr.gso_type = gso[pick(c, 8)];
		f->hdr.hdr_len = pick(c, 256);
	}
	for (uint32_t i = 0; i < len; i++)
		body[i] = frame_byte(nframes, i);
	fake_tap_arrive(&loop, pair, &f->hdr, body, len);
	nframes++;
}

static void tap_event(struct choices *c)
{
	static const int errs[] = {-EAGAIN, -EINVAL, -EIO, -ENOBUFS};

	switch (pick(c, 4)) {
	case 0:
		fake_tap_link(pick(c, 3));
		break;
	case 1:
		fake_tap.send_err = errs[pick(c, 4)];
		fake_tap.send_errs = pick(c, 4);
		break;
	case 2:
		fake_tap.receive_err = errs[pick(c, 4)];
		fake_tap.receive_errs = pick(c, 3);
		break;
	default:
		fake_tap.active_err = pick(c, 4) ? 0 : -EINVAL;
		fake_tap.offload_err = pick(c, 4) ? 0 : -EINVAL;
		fake_tap.filter_err = pick(c, 4) ? 0 : -EINVAL;
	}
}

static void ready_all(void)
{
	for (unsigned i = 0; i < dev->nvq / 2; i++)
		fake_ready(&loop, FAKE_TAP_FD + (int)i);
}

static void reset(struct choices *c)
{
	struct fake_done done;

	fake_reset(dev, &done);
	while (fake_step(&loop)) /* the rings are the device's no more: nobody looks */
		;
	must(done.fired == 1);
	memset(ram, pick(c, 256), RAM_SIZE);
	memcpy(shadow, ram, sizeof(shadow));
	ready_all();
	loop.now += 10 * MS;
	fake_run(&loop);
	must(!memcmp(shadow, ram, sizeof(shadow)));
	fake_tap_forget_sent();
	start();
	run();
}

static void step(struct choices *c)
{
	unsigned pair = pick(c, dev->nvq / 2), q;

	switch (pick(c, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		for (unsigned n = 1 + pick(c, 4); n; n--)
			offer_rx(c, 2 * pair);
		break;
	case 4:
	case 5:
	case 6:
		offer_tx(c, 2 * pair + 1);
		break;
	case 7:
		offer_ctrl(c, ctrl_queue());
		break;
	case 8:
	case 9:
	case 10:
		arrive(c, pair);
		break;
	case 11:
		q = pick(c, dev->nvq);
		fake_submit(dev, q, &queue[q].drv);
		run();
		break;
	case 12:
		loop.now += pick(c, 64) * MS / 4;
		run();
		break;
	case 13:
		tap_event(c);
		break;
	case 14:
		ready_all();
		run();
		break;
	default:
		if (pick(c, 8) == 7) {
			flipped = true;
			fuzz_flip(c, &queue[pick(c, dev->nvq)].drv);
		} else if (pick(c, 16) == 15) {
			reset(c);
		}
	}
}

static bool busy(void)
{
	for (unsigned q = 0; q < used_queues(); q++)
		if (!is_rx(q) ? queue[q].outstanding
			      : queue[q].outstanding && q / 2 < fake_tap.active && fake_tap_find(q / 2))
			return true;
	return false;
}

static void recover(void)
{
	fake_tap.send_errs = fake_tap.receive_errs = 0;
	fake_tap.active_err = fake_tap.offload_err = fake_tap.filter_err = 0;
	fake_tap_link(TAP_UP);
	for (unsigned i = 0; i < 4 || (i < 400 && !flipped && busy()); i++) {
		for (unsigned q = 0; q < dev->nvq; q++) {
			fake_submit(dev, q, &queue[q].drv);
			fake_ready(&loop, dev->queue[q].kick_fd);
		}
		ready_all();
		loop.now += 100 * MS;
		run();
	}
	must(flipped || (!busy() && !transport.resets_wanted));
	must(transport.resets_wanted <= 1);
	/* A driver that wrote nonsense: what is in the ring has been used, or the device has said so. */
	for (unsigned q = 0; q < used_queues(); q++)
		must(is_rx(q) || transport.resets_wanted || virtq_sleep(&dev->queue[q].vq));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = {data, data + size};
	struct loop *loops[] = {&loop};
	struct net_config cfg = {.pairs = 1 + !pick(&c, 3), .queue_size = NUM};
	static uint8_t rings[QUEUES * RING_AREA];

	if (!ram)
		must(!log_open("/dev/null"));
	ram = fuzz_ram(&mem, RAM, RAM_SIZE);
	log_set_level(LOG_ERROR);
	memset(&loop, 0, sizeof(loop));
	loop.now = 1000 * MS;
	memset(ram, 0, RAM_SIZE);
	nframes = seen[0] = seen[1] = 0;
	if (!pick(&c, 4)) {
		cfg.bps = pick(&c, 2) ? 1 << 20 : 0;
		cfg.pps = pick(&c, 2) ? 1000 : 0;
	}
	cfg.offload = pick(&c, 4) ? TRI_DEFAULT : TRI_OFF;
	must(!virtio_net_create(&dev, "net0", &mem, loops, 1, &cfg));
	fake_plug(&transport, dev);
	features = dev->offered;
	for (unsigned i = pick(&c, 6); i; i--) /* some are not acked */
		features &= ~(1ULL << pick(&c, 32));
	if (!pick(&c, 3))
		features &= ~(1ULL << VIRTIO_NET_F_MRG_RXBUF);
	for (int i = 0; i < 2; i++) /* nor those that need them; two steps lead to all */
		for (const struct virtio_need *need = dev->ops->needs; need->any; need++)
			if (!(features & need->any))
				features &= ~(1ULL << need->feature);
	start();
	run();
	for (unsigned n = 0; c.p < c.end && n < 1024; n++) {
		bool device = *c.p && c.p + 1 < c.end && c.p[1] % 16 >= 11 && c.p[1] % 16 <= 14;

		for (unsigned q = 0; q < QUEUES; q++)
			memcpy(rings + q * RING_AREA, queue[q].drv.desc, 16 * NUM);
		step(&c);
		for (unsigned q = 0; q < QUEUES && device && !flipped; q++)
			must(!memcmp(rings + q * RING_AREA, queue[q].drv.desc, 16 * NUM));
	}
	recover();
	reset(&c);
	fake_reset(dev, &(struct fake_done){0});
	fake_run(&loop);
	dev->ops->destroy(dev);
	must(!loop.timers);
	fake_tap_reset();
	return 0;
}
