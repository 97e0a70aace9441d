// SPDX-License-Identifier: Apache-2.0
/* virtio-mmio: what the registers let a driver do, and what they do not (virtio 1.2, section 4.2). */
#include "tests/unit/virtio_mmio_guest.h"
#include "tests/unit/virtio_regs_cases.h"

#define NONE 0xffffffff

static void odd_kicks(void)
{
	kick(NVQ);
	kick(0x10000);
	kick(~0u);
}

START_TEST(linux_finds_and_starts_the_device)
{
	build();
	ck_assert_uint_eq(get(VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLK);
	ck_assert_uint_eq(get(VIRTIO_MMIO_VENDOR_ID), 0x564e4950);
	drive();
	expect_started();
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(kicks.gpa[i], BASE + 0x50);
		ck_assert_int_eq(kicks.value[i], i);
		ck_assert_int_eq(kicks.fd[i], queues[i].kick_fd);
	}
	tear_down();
}
END_TEST

START_TEST(status_has_eight_bits)
{
	static const struct status_step step[] = {
		{0, 0x100 | ACK, 0}, {ACK | DRIVER, 0x100, ACK | DRIVER}, /* not a 0 */
	};

	expect_steps(step, sizeof(step) / sizeof(step[0]));
}
END_TEST

START_TEST(registers_take_32_bits_at_multiples_of_4)
{
	build();
	drive();
	for (uint32_t off = 0; off < CONFIG; off++)
		for (unsigned len = 1; len <= 8; len++) {
			if (len == 4 && off % 4 == 0)
				continue;
			ck_assert_msg(rd(off, len) == (len < 8 ? (1ull << 8 * len) - 1 : ~0ull), "%#x, %u",
				off, len);
			wr(off, 0, len);
			wr(off, 1, len);
		}
	ck_assert_msg(status() == ALL && model.stops == 1, "nothing was written");
	ck_assert(!kicked(0) && !kicked(1));
	tear_down();
}
END_TEST

START_TEST(what_is_not_there)
{
	static const uint32_t shm[] = {0xb0, 0xb4, 0xb8, 0xbc};
	static const uint32_t zero[] = {0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64, 0x80, 0x84, 0x90, 0x94,
		0xa0, 0xa4, 0xac, 0x18, 0x1c, 0x2c, 0x48, 0x6c, 0xc0 /* QueueReset */};
	static const uint32_t legacy[] = {0x28, 0x3c, 0x40};

	build();
	set_up();
	for (unsigned id = 0; id < 2; id++) {
		put(VIRTIO_MMIO_SHM_SEL, id);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_uint_eq(get(shm[i]), NONE);
	}
	for (unsigned i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
		ck_assert_msg(get(zero[i]) == 0, "%#x", zero[i]);
	put(VIRTIO_MMIO_QUEUE_SEL, 2);
	for (unsigned i = 0; i < 3; i++) {
		put(legacy[i], 4096);
		ck_assert_msg(get(legacy[i]) == 0, "a register of version 1");
	}
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	ck_assert_uint_eq(io->regs.queue[2].cfg.desc, 0x100120000);
	ck_assert_msg(rd(0x1000 - 4, 4) == NONE, "behind the configuration");
	tear_down();
}
END_TEST

START_TEST(queue_registers_are_checked)
{
	static const uint32_t bad[] = {0, 3, 100, QMAX + 1, QMAX * 2, 0x10000, 0x10080, ~0u};

	build();
	probe();
	put(VIRTIO_MMIO_QUEUE_NUM, 64);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(VIRTIO_MMIO_QUEUE_NUM, bad[i]);
		ck_assert_uint_eq(io->regs.queue[0].cfg.num, 64);
	}
	for (unsigned i = 0; i < 3; i++) { /* selectors: just behind, 16 bits more, all */
		put(VIRTIO_MMIO_QUEUE_SEL, i == 0 ? NVQ : i == 1 ? 0x10000 : ~0u);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
		put(VIRTIO_MMIO_QUEUE_NUM, 8);
		set_addresses(0x5000);
		put(VIRTIO_MMIO_QUEUE_READY, 1);
		ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	}
	for (unsigned q = 0; q < NVQ; q++)
		ck_assert(!io->regs.queue[q].cfg.ready && !io->regs.queue[q].cfg.desc);
	put(VIRTIO_MMIO_QUEUE_SEL, 0);
	put(VIRTIO_MMIO_QUEUE_READY, 2);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	tear_down();
}
END_TEST

START_TEST(queues_freeze)
{
	struct virtq_cfg was;

	build();
	set_up();
	put(VIRTIO_MMIO_QUEUE_SEL, 0);
	was = io->regs.queue[0].cfg;
	put(VIRTIO_MMIO_QUEUE_NUM, 8);
	set_addresses(0x5000);
	ck_assert_mem_eq(&was, &io->regs.queue[0].cfg, sizeof(was));
	/* A driver that gives up before DRIVER_OK takes its queues back, and may set them up anew. */
	put(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	put(VIRTIO_MMIO_QUEUE_NUM, 8);
	ck_assert_uint_eq(io->regs.queue[0].cfg.num, 8);
	put(VIRTIO_MMIO_QUEUE_READY, 1);
	add_status(OK);
	for (unsigned q = 0; q < NVQ; q++) {
		put(VIRTIO_MMIO_QUEUE_SEL, q);
		put(VIRTIO_MMIO_QUEUE_NUM, 16);
		set_addresses(0x7000);
		put(VIRTIO_MMIO_QUEUE_READY, q == 2);
		ck_assert_msg(get(VIRTIO_MMIO_QUEUE_READY) == (q < 2),
			"what is used reads as ready, the rest does not");
		ck_assert_mem_eq(&model.cfg[q], &vdev.queue[q].cfg, sizeof(model.cfg[q]));
	}
	ck_assert_uint_eq(kicks.n, 2);
	tear_down();
}
END_TEST

START_TEST(configuration_takes_any_width)
{
	uint8_t all[24];

	build();
	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = 0x80 + i;
	for (unsigned len = 1; len <= 8; len++)
		for (unsigned off = 0; off < 40; off++) {
			uint64_t want = off + len <= sizeof(all)
						? bus_get(all + off, len)
						: bus_get((uint8_t[8]){-1, -1, -1, -1, -1, -1, -1, -1}, len);

			ck_assert_msg(rd(CONFIG + off, len) == want, "%u bytes at %u", len, off);
		}
	wr(CONFIG + 3, 0x0102030405060708, 8);
	ck_assert_uint_eq(rd(CONFIG + 3, 8), 0x0102030405060708);
	wr(CONFIG + 23, 0, 2);
	wr(CONFIG + 24, 0, 1);
	wr(0xffc, 0, 4);
	ck_assert_msg(model.writes == 1, "what is not all inside is not there");
	/* An access that begins below configuration space. */
	wr(CONFIG - 4, 0, 8);
	ck_assert_uint_eq(rd(CONFIG - 4, 8), ~0ull);
	ck_assert_uint_eq(model.writes, 1);
	tear_down();
}
END_TEST

START_TEST(config_generation_moves)
{
	uint32_t gen;

	build();
	drive();
	gen = get(VIRTIO_MMIO_CONFIG_GENERATION);
	ck_assert_uint_eq(get(VIRTIO_MMIO_CONFIG_GENERATION), gen);
	atomic_fetch_add(&vdev.config_gen, 1);
	transport->config_changed(transport);
	ck_assert_uint_ne(get(VIRTIO_MMIO_CONFIG_GENERATION), gen);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	tear_down();
}
END_TEST

START_TEST(a_bit_is_held_until_it_is_acknowledged)
{
	build();
	drive();
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	notify(0);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	notify(1);
	notify(0);
	ck_assert_msg(fake_irq.delivered == 1, "an edge is on its way");
	put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	notify(0);
	ck_assert_uint_eq(fake_irq.delivered, 2);
	tear_down();
}
END_TEST

START_TEST(what_an_ack_leaves_interrupts_again)
{
	build();
	drive();
	notify(0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	transport->config_changed(transport); /* between the driver's read and its ACK */
	ck_assert_uint_eq(fake_irq.delivered, 1);
	put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	ck_assert_uint_eq(fake_irq.delivered, 2);
	/* Acknowledging what is not set is no reason for another. */
	put(VIRTIO_MMIO_INTERRUPT_ACK, 0);
	put(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	put(VIRTIO_MMIO_INTERRUPT_ACK, ~3u);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	ck_assert_uint_eq(fake_irq.delivered, 2);
	put(VIRTIO_MMIO_INTERRUPT_ACK, ~0u);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ck_assert_uint_eq(fake_irq.delivered, 2);
	tear_down();
}
END_TEST

START_TEST(a_masked_pin_keeps_its_edge)
{
	build();
	drive();
	irq_mask(&io->irq, true);
	notify(0);
	ck_assert_uint_eq(fake_irq.delivered, 0);
	irq_mask(&io->irq, false);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	tear_down();
}
END_TEST

/* A change of configuration that met a reset: its bit must not keep the first interrupt of the next driver
 * away. */
START_TEST(a_bit_from_before_is_not_in_the_way)
{
	build();
	drive();
	probe();
	atomic_store(&io->regs.isr, VIRTIO_MMIO_INT_CONFIG);
	drive();
	notify(0);
	ck_assert_uint_eq(fake_irq.delivered, 1);
	tear_down();
}
END_TEST

UNIT_MAIN("mmio", linux_finds_and_starts_the_device, VIRTIO_REGS_CASES, status_has_eight_bits,
	registers_take_32_bits_at_multiples_of_4, what_is_not_there, queue_registers_are_checked,
	queues_freeze, configuration_takes_any_width, config_generation_moves,
	a_bit_is_held_until_it_is_acknowledged, what_an_ack_leaves_interrupts_again,
	a_masked_pin_keeps_its_edge, a_bit_from_before_is_not_in_the_way)
