// SPDX-License-Identifier: Apache-2.0
/* The IOAPIC; see ioapic.h. */
#include "arch/x86/ioapic.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "arch/x86/layout.h"
#include "vmm/irq.h"
#include "vmm/pi_mutex.h"

#define REG_SELECT 0x00
#define REG_WINDOW 0x10
#define REG_EOI    0x40

#define IDX_ID      0x00
#define IDX_VERSION 0x01
#define IDX_ARB     0x02
#define IDX_PINS    0x10

#define VERSION 0x20

#define RTE_VECTOR     0xffULL
#define RTE_LOGICAL    (1ULL << 11)
#define RTE_READ_ONLY  ((1ULL << 12) | (1ULL << 14)) /* delivery status, remote IRR */
#define RTE_REMOTE_IRR (1ULL << 14)
#define RTE_LEVEL      (1ULL << 15)
#define RTE_MASKED     (1ULL << 16)
#define RTE_WRITABLE   0xff0000000001ffffULL

struct ioapic {
	pthread_mutex_t lock;
	uint8_t select;
	uint32_t id;
	uint64_t rte[IOAPIC_PINS];
	struct irq_src *src[IOAPIC_PINS];
	uint64_t served[IOAPIC_PINS]; /* raises of the source at the last EOI: more, and one is in service */
};

int ioapic_create(struct ioapic **out)
{
	struct ioapic *ioapic = calloc(1, sizeof(*ioapic));
	int err;

	if (!ioapic)
		return -ENOMEM;
	err = pi_mutex_init(&ioapic->lock);
	if (err) {
		free(ioapic);
		return err;
	}
	ioapic_reset(ioapic);
	*out = ioapic;
	return 0;
}

void ioapic_connect(struct ioapic *ioapic, unsigned pin, struct irq_src *src)
{
	ioapic->src[pin] = src;
}

void ioapic_reset(struct ioapic *ioapic)
{
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		ioapic->rte[i] = RTE_MASKED;
		if (ioapic->src[i])
			irq_reset(ioapic->src[i]);
	}
}

void ioapic_destroy(struct ioapic *ioapic)
{
	if (!ioapic)
		return;
	pthread_mutex_destroy(&ioapic->lock);
	free(ioapic);
}

/* A redirection entry as the MSI it stands for (Intel SDM 3A, 11.11). */
static struct irq_msg rte_msg(uint64_t rte)
{
	return (struct irq_msg){
		.addr = LAPIC_BASE | (rte >> 56) << 12 | (rte & RTE_LOGICAL ? 1 << 2 : 0),
		.data = (rte & 0x7ff) | (rte & RTE_LEVEL ? 3 << 14 : 0),
	};
}

static bool is_level(const struct ioapic *ioapic, unsigned pin)
{
	return ioapic->rte[pin] & RTE_LEVEL && ioapic->src[pin] && ioapic->src[pin]->line;
}

static bool line_is_high(const struct irq_src *src)
{
	return src->line(src->line_arg);
}

/* Accepted by a local APIC and not ended yet (82093AA, 3.2.4): what was raised, and is not kept back by the mask. */
static bool remote_irr(const struct ioapic *ioapic, unsigned pin)
{
	const struct irq_src *src = ioapic->src[pin];

	return is_level(ioapic, pin) && atomic_load_explicit(&src->raised, memory_order_relaxed) != ioapic->served[pin] &&
	       !(src->masked && irq_pending(src));
}

/* Unmasked, a level-triggered pin goes by its line: what came before it went down is gone, and what is high comes. */
static void unmask(struct ioapic *ioapic, unsigned pin)
{
	struct irq_src *src = ioapic->src[pin];
	bool level = is_level(ioapic, pin) && src->masked;

	if (level)
		irq_forget(src);
	irq_mask(src, false);
	if (!level)
		return;
	ioapic->served[pin] = atomic_load_explicit(&src->raised, memory_order_relaxed);
	if (line_is_high(src))
		irq_raise(src, NULL);
}

static void rte_changed(struct ioapic *ioapic, unsigned pin)
{
	struct irq_src *src = ioapic->src[pin];
	struct irq_msg msg = rte_msg(ioapic->rte[pin]);
	bool masked = ioapic->rte[pin] & RTE_MASKED;

	if (!src)
		return;
	if (masked)
		irq_mask(src, true);
	else if (irq_route(src, &msg) == 0)
		unmask(ioapic, pin);
}

static uint32_t window_read(struct ioapic *ioapic)
{
	unsigned idx = ioapic->select, pin = (idx - IDX_PINS) / 2;

	if (idx == IDX_ID || idx == IDX_ARB)
		return ioapic->id;
	if (idx == IDX_VERSION)
		return VERSION | (IOAPIC_PINS - 1) << 16;
	if (idx < IDX_PINS || pin >= IOAPIC_PINS)
		return 0;
	return (ioapic->rte[pin] | (remote_irr(ioapic, pin) ? RTE_REMOTE_IRR : 0)) >> (idx & 1 ? 32 : 0);
}

static void window_write(struct ioapic *ioapic, uint32_t value)
{
	unsigned idx = ioapic->select, pin = (idx - IDX_PINS) / 2;
	uint64_t rte;

	if (idx == IDX_ID)
		ioapic->id = value & 0x0f000000;
	if (idx < IDX_PINS || pin >= IOAPIC_PINS)
		return;
	rte = ioapic->rte[pin];
	if (idx & 1)
		rte = (rte & 0xffffffffULL) | (uint64_t)value << 32;
	else
		rte = (rte & ~0xffffffffULL) | value;
	rte = (rte & RTE_WRITABLE & ~RTE_READ_ONLY) | (ioapic->rte[pin] & RTE_READ_ONLY);
	if (rte == ioapic->rte[pin])
		return;
	ioapic->rte[pin] = rte;
	rte_changed(ioapic, pin);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	pthread_mutex_lock(&ioapic->lock);
	for (unsigned i = 0; i < IOAPIC_PINS; i++) {
		struct irq_src *src = ioapic->src[i];

		if (!is_level(ioapic, i) || (ioapic->rte[i] & RTE_VECTOR) != vector)
			continue;
		ioapic->served[i] = atomic_load_explicit(&src->raised, memory_order_relaxed);
		/* What is raised from here on is on its way by itself. While it is masked, its unmasking looks. */
		if (!(ioapic->rte[i] & RTE_MASKED) && line_is_high(src))
			irq_raise(src, NULL);
	}
	pthread_mutex_unlock(&ioapic->lock);
}

static void reg_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	struct ioapic *ioapic = dev;
	uint32_t value = 0;

	pthread_mutex_lock(&ioapic->lock);
	if (off == REG_SELECT)
		value = ioapic->select;
	else if (off == REG_WINDOW)
		value = window_read(ioapic);
	pthread_mutex_unlock(&ioapic->lock);
	bus_put(data, len, value);
}

static void reg_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct ioapic *ioapic = dev;
	uint32_t value = bus_get(data, len);

	if (off == REG_EOI) {
		ioapic_eoi(ioapic, value);
		return;
	}
	pthread_mutex_lock(&ioapic->lock);
	if (off == REG_SELECT)
		ioapic->select = value;
	else if (off == REG_WINDOW)
		window_write(ioapic, value);
	pthread_mutex_unlock(&ioapic->lock);
}

const struct bus_ops ioapic_bus_ops = {.read = reg_read, .write = reg_write};
