// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against the IOAPIC. An input is a byte that says which pins have a source, then steps of eight
 * bytes: what, where, how wide, whether KVM refuses the next route, a value. Beside it runs a model after the
 * data sheet (82093AA, 3.2): every read gives what the model says and stays in its buffer, and after each
 * step every source is masked and routed as the model's entry says. Routes are told only when an entry
 * changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/ioapic.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/ring_driver.h"
#include "vmm/irq.h"

#define PINS 24

static struct ioapic *ioapic;

/* What irq.c was told. */
static struct {
	struct irq_src irq;
	bool connected, refused; /* the last route was */
} src[PINS];
static bool refuse;
static unsigned routes;

/* Entries as their fields. */
static struct {
	uint8_t select, id;
	struct pin {
		uint8_t vector, delivery, dest;
		bool logical, low, level, masked;
	} pin[PINS];
} model;

int irq_route(struct irq_src *irq, const struct irq_msg *msg)
{
	unsigned pin = irq->gsi;

	must(pin < PINS && src[pin].connected);
	routes++;
	irq->msg = *msg;
	irq->routed = true;
	src[pin].refused = refuse;
	return refuse ? -EINVAL : 0;
}

int irq_mask(struct irq_src *irq, bool masked)
{
	must((unsigned)irq->gsi < PINS && src[irq->gsi].connected);
	must(masked || !src[irq->gsi].refused);
	irq->masked = masked;
	return 0;
}

void irq_reset(struct irq_src *irq)
{
	irq->masked = true;
	irq->routed = src[irq->gsi].refused = false;
}

/* These sources have no line: nothing is raised again for them, and nothing forgotten. */
void irq_raise(struct irq_src *irq, struct loop *loop)
{
	must(irq->line);
}

bool irq_pending(const struct irq_src *irq)
{
	must(irq->line);
	return false;
}

void irq_forget(struct irq_src *irq)
{
	must(irq->line);
}

static uint32_t model_low(const struct pin *p)
{
	return p->vector | p->delivery << 8 | p->logical << 11 | p->low << 13 | p->level << 15 |
	       p->masked << 16;
}

static uint32_t model_window(void)
{
	const struct pin *p = &model.pin[(model.select - 0x10u) / 2 % PINS];

	if (model.select == 0 || model.select == 2)
		return (uint32_t)model.id << 24;
	if (model.select == 1)
		return 0x00170020;
	if (model.select < 0x10 || model.select >= 0x10 + 2 * PINS)
		return 0;
	return model.select % 2 ? (uint32_t)p->dest << 24 : model_low(p);
}

static void model_write(uint32_t v)
{
	struct pin *p = &model.pin[(model.select - 0x10u) / 2 % PINS];

	if (model.select == 0)
		model.id = v >> 24 & 0xf;
	if (model.select < 0x10 || model.select >= 0x10 + 2 * PINS)
		return;
	if (model.select % 2) {
		p->dest = v >> 24;
		return;
	}
	*p = (struct pin){.vector = v,
		.delivery = v >> 8 & 7,
		.dest = p->dest,
		.logical = v >> 11 & 1,
		.low = v >> 13 & 1,
		.level = v >> 15 & 1,
		.masked = v >> 16 & 1};
}

/* An access of any width is one of the low 32 bits: narrower ones count as filled up with zeroes. */
static void wr(uint64_t off, uint64_t v, unsigned len)
{
	uint8_t *b = malloc(len); /* of exactly this size, for ASan */
	uint32_t low = len < 4 ? v & ((1u << 8 * len) - 1) : v;

	must(b);
	bus_put(b, len, v);
	ioapic_bus_ops.write(ioapic, off, b, len);
	free(b);
	if (off == 0)
		model.select = low;
	else if (off == 0x10)
		model_write(low);
}

static void rd(uint64_t off, unsigned len)
{
	uint64_t want = off == 0 ? model.select : off == 0x10 ? model_window() : 0;
	uint8_t b[16];

	memset(b, 0xc5, sizeof(b));
	ioapic_bus_ops.read(ioapic, off, b, len);
	for (unsigned i = len; i < sizeof(b); i++)
		must(b[i] == 0xc5);
	must(bus_get(b, len) == (len < 4 ? want & ((1u << 8 * len) - 1) : want));
}

/* Intel SDM 3A, 11.11: what the entry says, as a message. */
static void check_pin(const struct pin *p, const struct irq_src *irq, bool refused)
{
	uint32_t addr = 0xfee00000 | (uint32_t)p->dest << 12 | (p->logical ? 4 : 0);
	uint32_t data = p->vector | p->delivery << 8 | (p->level ? 0xc000 : 0);

	if (p->masked) {
		must(irq->masked);
		return;
	}
	must(irq->routed && irq->msg.addr == addr && irq->msg.data == data);
	must(refused || !irq->masked);
}

static void check(void)
{
	for (unsigned i = 0; i < PINS; i++)
		if (src[i].connected)
			check_pin(&model.pin[i], &src[i].irq, src[i].refused);
}

static void step(uint8_t what, uint8_t where, unsigned len, uint32_t v)
{
	static const uint8_t regs[] = {0x00, 0x10, 0x40, 0x20};
	uint64_t wide = v | (uint64_t)~v << 32;

	switch (what % 8) {
	case 0:
		wr(where, wide, len);
		break;
	case 1:
		rd(where, len);
		break;
	case 2:
		wr(regs[where % 4], wide, len);
		break;
	case 3:
		rd(regs[where % 4], len);
		break;
	case 4: /* as drivers do */
		wr(0x00, 0x10 + where % (2 * PINS + 2), 4);
		wr(0x10, v, 4);
		rd(0x10, 4);
		break;
	case 5:
		wr(0x00, where, 1);
		rd(0x10, 4);
		break;
	case 6:
		ioapic_eoi(ioapic, v);
		break;
	default:
		ioapic_reset(ioapic);
		memset(&model, 0, sizeof(model));
		for (unsigned i = 0; i < PINS; i++)
			model.pin[i].masked = true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t connected = size ? data[0] : 0;

	must(!ioapic_create(&ioapic));
	memset(&model, 0, sizeof(model));
	for (unsigned i = 0; i < PINS; i++) {
		memset(&src[i], 0, sizeof(src[i]));
		src[i].irq.gsi = i;
		src[i].irq.masked = model.pin[i].masked = true;
		src[i].connected = i % 8 == 4 || connected >> i % 8 & 1;
		if (src[i].connected)
			ioapic_connect(ioapic, i, &src[i].irq);
	}
	for (data++; size >= 9; data += 8, size -= 8) {
		struct pin before[PINS];
		unsigned changed = 0;

		memcpy(before, model.pin, sizeof(before));
		routes = 0;
		refuse = data[3] & 1;
		step(data[0], data[1], 1 + data[2] % 8, bus_get(data + 4, 4));
		for (unsigned i = 0; i < PINS; i++)
			changed += memcmp(&before[i], &model.pin[i], sizeof(before[i])) != 0;
		must(routes <= changed);
		check();
	}
	refuse = false;
	for (unsigned i = 0; i < PINS;
		i++) { /* a driver that does it right gets what it wants, whatever was before */
		wr(0x00, 0x10 + 2 * i, 4);
		wr(0x10, 0x10000, 4);
		wr(0x00, 0x11 + 2 * i, 4);
		wr(0x10, (uint32_t)i << 24, 4);
		wr(0x00, 0x10 + 2 * i, 4);
		wr(0x10, 0x30 + i, 4);
		check();
		must(!src[i].connected || !src[i].irq.masked);
	}
	ioapic_destroy(ioapic);
	return 0;
}
