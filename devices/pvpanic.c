// SPDX-License-Identifier: Apache-2.0
/* Panic notifier; see pvpanic.h. Accessed by vCPU threads. */
#include "devices/pvpanic.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/log.h"

struct pvpanic {
	struct guest *guest;
	atomic_bool crash_seen;
};

int pvpanic_create(struct pvpanic **pvpanic, struct guest *guest)
{
	struct pvpanic *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->guest = guest;
	*pvpanic = p;
	return 0;
}

void pvpanic_reset(struct pvpanic *p)
{
	atomic_store(&p->crash_seen, false);
}

void pvpanic_destroy(struct pvpanic *p)
{
	free(p);
}

/* The events this device understands; a guest sends no others. */
static void pvpanic_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	memset(data, 0, len);
	data[0] = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	struct pvpanic *p = dev;

	if (data[0] & PVPANIC_PANICKED)
		guest_end(p->guest, END_PANIC, "guest panic");
	else if (data[0] & PVPANIC_CRASH_LOADED && !atomic_exchange(&p->crash_seen, true))
		log_warn("the guest panicked; its crash kernel takes over");
}

const struct bus_ops pvpanic_bus_ops = {pvpanic_read, pvpanic_write};
