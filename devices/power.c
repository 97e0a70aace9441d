// SPDX-License-Identifier: Apache-2.0
/*
 * Power registers; see power.h. Registers are read and written by vCPU threads, the button is pressed by any
 * thread: the pending events are one atomic word.
 */
#include "devices/power.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "vmm/guest.h"
#include "vmm/irq.h"
#include "vmm/log.h"

struct power {
	struct guest *guest;
	struct irq_src *irq;
	_Atomic uint32_t events;
	atomic_bool complained;
};

int power_create(struct power **power, struct guest *guest, struct irq_src *irq)
{
	struct power *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->guest = guest;
	p->irq = irq;
	*power = p;
	return 0;
}

void power_reset(struct power *p)
{
	atomic_store(&p->events, 0);
	atomic_store(&p->complained, false);
}

void power_destroy(struct power *p)
{
	free(p);
}

void power_button(struct power *p)
{
	/* The bit first: the guest's handler reads it as soon as the interrupt arrives. */
	atomic_fetch_or(&p->events, POWER_GED_BUTTON);
	irq_raise(p->irq, NULL);
}

static void sleep_control(struct power *p, uint8_t value)
{
	unsigned type = value >> 2 & 7;

	if (!(value & POWER_SLP_EN))
		return;
	if (type == POWER_SLP_TYP_S5)
		guest_end(p->guest, END_POWEROFF, "guest powered off");
	else if (!atomic_exchange(&p->complained, true))
		log_warn("power: the guest asked for sleep type %u, which it was not offered; ignored", type);
}

static void power_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct power *p = dev;

	for (unsigned i = 0; i < len; i++) {
		if (off + i == POWER_SLEEP_CTL)
			sleep_control(p, data[i]);
		else if (off + i == POWER_RESET && data[i] == POWER_RESET_VALUE)
			guest_end(p->guest, END_RESET, "guest reset");
	}
}

static void power_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	struct power *p = dev;

	for (unsigned i = 0; i < len; i++)
		data[i] = off + i == POWER_GED ? atomic_exchange(&p->events, 0) : 0;
}

const struct bus_ops power_bus_ops = {power_read, power_write};
