// SPDX-License-Identifier: Apache-2.0
/*
 * Packets in batches, for counting what they cost: total=N batch=N way=send|receive, as Linux drives a
 * network device: EVENT_IDX, merged buffers, one interrupt a queue; an interrupt reaps until the queue is
 * empty, and only then asks for the next one. Sent frames: a batch is made available, one kick if the device
 * asked, and an interrupt when the last of them came back. Received ones: asked for from host/reflect, which
 * hands the kernel a batch at once. Prints "kicks interrupts" of its own count; the report has the device's.
 */
#include "tests/guest/lib/net.h"

#define VECTOR 0x42
#define ENTRY  1
#define WAIT   60000000000

static struct net net;
static volatile uint64_t interrupts;
static uint8_t frame[64], got[2048];

static void on_interrupt(struct frame *f)
{
	interrupts++;
}

static void make(unsigned copies)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, "\x02\xff\xff\xff\xff\xff\x02\x01\x01\x01\x01\x01\x88\xb6", 14);
	if (copies) {
		frame[13] = 0xb5;
		memcpy(frame + 14, &(uint16_t[]){copies, 64}, 4);
	}
}

/* An interrupt when all that is on its way has come back, as who waits for room would want it. */
static void send(unsigned batch)
{
	uint16_t *used_event = &net.tx.avail->ring[net.tx.num];

	make(0);
	for (unsigned i = 0; i < batch; i++)
		net_send(&net, NULL, frame, sizeof(frame));
	*(volatile uint16_t *)used_event = net.tx.added - 1;
	vq_publish(&net.tx);
	while (net.busy) {
		uint64_t start = rdtsc();

		while (*(volatile uint16_t *)&net.tx.used->idx != net.tx.added) {
			wait_irq();
			check(rdtsc() - start < WAIT);
		}
		net_sent(&net);
	}
}

static void receive(unsigned batch)
{
	struct virtio_net_hdr_v1 hdr;
	unsigned n = 0;

	make(batch);
	net_send(&net, NULL, frame, sizeof(frame));
	vq_publish(&net.tx);
	while (n < batch) {
		uint64_t start = rdtsc();

		while (*(volatile uint16_t *)&net.rx.used->idx == net.rx.taken) {
			if (vq_arm(&net.rx))
				wait_irq();
			check(rdtsc() - start < WAIT);
		}
		while (n < batch && *(volatile uint16_t *)&net.rx.used->idx != net.rx.taken)
			if (net_take(&net, &hdr, got, sizeof(got)) == 64 && got[12] == 0x88)
				n++;
		vq_disarm(&net.rx);
		vq_publish(&net.rx);
	}
	net_drain(&net);
}

int main(void)
{
	unsigned total = arg_number("total", 1024), batch = arg_number("batch", 16);

	irq_init();
	lapic_init();
	irq_on(VECTOR, on_interrupt);
	check(net_open(&net, F_EVENT_IDX | F_NET(MRG_RXBUF), 1536, ENTRY));
	msix_set(&net.v, ENTRY, VECTOR);
	vq_disarm(&net.rx);
	vq_disarm(&net.tx);
	for (unsigned i = 0; i < total; i += batch)
		if (arg_is("way", "receive"))
			receive(batch);
		else
			send(batch);
	print("kicks %lu %lu interrupts %lu\n", net.rx.kicks, net.tx.kicks, interrupts);
	print("SUCCESS\n");
	return 0;
}
