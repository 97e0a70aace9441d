// SPDX-License-Identifier: Apache-2.0
/*
 * The split virtqueue against a driver that mostly keeps the rules. Oracle: chains are inside RAM and add up;
 * every chain of a driver that kept the rules is taken, once, in order, and its used entry says what was
 * pushed; otherwise the queue breaks and stays so. The device never writes to descriptors or to the available
 * ring.
 */
#include <errno.h>

#include "tests/fuzz/fuzz_ring.h"

#define RAM	 0x10000ULL
#define RAM_SIZE 0x10000ULL
#define TABLES	 (RAM + 0x4000)
#define DATA	 (RAM + 0x8000)
#define MAX	 16

static struct guest_mem mem;
static uint8_t *ram;
static struct virtq vq;
static struct ring_driver drv;
static bool flipped;

static struct {
	uint16_t head;
	uint32_t len;
} sent[65536], pushed[65536]; /* heads in the order offered; what was pushed, in order */
static unsigned nsent, ntaken, npushed, nused;
static struct virtq_chain held[MAX];
static unsigned nheld;

static void offer(struct choices *c, bool indirect)
{
	struct ring_seg seg[MAX];
	unsigned n = 1 + pick(c, drv.cfg.num), out = pick(c, n + 1), total = 0;
	int head;

	for (unsigned i = 0; i < n; i++) {
		uint32_t len = pick(c, 16) ? 1 + pick(c, 200) : 0;

		seg[i] = (struct ring_seg){DATA + pick32(c) % (RAM_SIZE / 2 - 256), len, i >= out};
		total += len;
	}
	if (indirect && n > 1)
		head = ring_chain_indirect(
			&drv, seg, pick(c, n), n, TABLES + 0x101 * (drv.avail_idx % MAX) * 2);
	else
		head = ring_chain(&drv, seg, n);
	if (head < 0 || nsent == 65536)
		return;
	sent[nsent].head = head;
	sent[nsent++].len = total;
	ring_offer(&drv, head);
}

static void check(const struct virtq_chain *ch)
{
	uint64_t sum[2] = {0, 0};

	must(ch->nread + ch->nwrite <= drv.cfg.num && ch->head < drv.cfg.num);
	for (unsigned i = 0; i < ch->nread + ch->nwrite; i++) {
		const uint8_t *p = ch->iov[i].iov_base;

		must(p >= ram && ch->iov[i].iov_len && ch->iov[i].iov_len <= (size_t)(ram + RAM_SIZE - p));
		sum[i >= ch->nread] += ch->iov[i].iov_len;
	}
	must(sum[0] == ch->read_len && sum[1] == ch->write_len && sum[0] + sum[1] <= 1ULL << 32);
	if (flipped)
		return;
	must(ntaken < nsent && sent[ntaken].head == ch->head && sent[ntaken].len == sum[0] + sum[1]);
	ntaken++;
}

static void take(struct choices *c)
{
	static struct iovec iov[MAX];
	unsigned n = 0;

	virtq_wake(&vq);
	while (nheld < MAX && n++ <= MAX) {
		struct virtq_chain ch = {.iov = iov, .cap = MAX};
		int r = virtq_pop(&vq, &ch);

		if (r <= 0) {
			must(!r || (flipped && r == -EPROTO && virtq_pop(&vq, &ch) == -EPROTO &&
					   virtq_sleep(&vq)));
			return;
		}
		check(&ch);
		held[nheld++] = ch;
	}
	must(n <= MAX + 1);
}

static void give_back(struct choices *c)
{
	unsigned i;
	uint32_t len;

	if (!nheld)
		return;
	i = pick(c, nheld);
	len = held[i].write_len ? pick32(c) % (held[i].write_len + 1) : 0;
	virtq_push(&vq, held[i].head, len);
	if (npushed < 65536) {
		pushed[npushed].head = held[i].head;
		pushed[npushed++].len = len;
	}
	held[i] = held[--nheld];
	must(virtq_inflight(&vq) == nheld);
}

static void look(void)
{
	uint32_t head, len;

	if (flipped)
		return;
	while (ring_used(&drv, &head, &len)) {
		must(nused < npushed && pushed[nused].head == head && pushed[nused].len == len);
		nused++;
	}
}

static void step(struct choices *c)
{
	switch (pick(c, 9)) {
	case 0:
	case 1:
		if (!flipped)
			offer(c, false);
		break;
	case 2:
		if (!flipped)
			offer(c, true);
		break;
	case 3:
		ring_publish(&drv);
		break;
	case 4:
		take(c);
		break;
	case 5:
		give_back(c);
		break;
	case 6:
		virtq_flush(&vq);
		look();
		break;
	case 7:
		ring_arm(&drv);
		virtq_sleep(&vq);
		break;
	case 8:
		if (pick(c, 4) == 3) {
			fuzz_flip(c, &drv);
			flipped = true;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[RING_SPACE(MAX)];
	struct choices c = {data, data + size};
	uint64_t features = RING_FEATURES | (pick(&c, 2) ? RING_EVENT_IDX : 0);
	uint16_t num = 1 << pick(&c, 5), base = pick32(&c);
	size_t driver_owned;

	ram = fuzz_ram(&mem, RAM, RAM_SIZE);
	memset(&vq, 0, sizeof(vq));
	nsent = ntaken = npushed = nused = nheld = 0;
	flipped = false;
	ring_init(&drv, &mem, RAM, num, base, features);
	must(!virtq_start(&vq, &mem, &drv.cfg, features));
	driver_owned = drv.cfg.used - drv.cfg.desc;
	for (unsigned n = 0; c.p < c.end && n < 4096; n++) {
		bool device = *c.p % 9 >= 4 && *c.p % 9 <= 6;

		memcpy(before, drv.desc, driver_owned);
		step(&c);
		must(!device || !memcmp(before, drv.desc, driver_owned));
	}
	ring_publish(&drv);
	while (!vq.broken && (ntaken < nsent || nheld) && !flipped) {
		take(&c);
		while (nheld)
			give_back(&c);
	}
	take(&c);
	while (nheld)
		give_back(&c);
	virtq_flush(&vq);
	look();
	must(flipped || (!vq.broken && nused == nsent));
	must(virtq_inflight(&vq) == 0);
	virtq_stop(&vq);
	return 0;
}
