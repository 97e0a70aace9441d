// SPDX-License-Identifier: Apache-2.0
/* Debug exit port; see debugexit.h. Accessed by vCPU threads; it has no state, so its device is the guest
 * itself. */
#include "devices/debugexit.h"

#include <string.h>

#include "vmm/guest.h"

static void debugexit_read(void *dev, uint64_t off, uint8_t *data, unsigned len)
{
	memset(data, 0, len);
}

static void debugexit_write(void *dev, uint64_t off, const uint8_t *data, unsigned len)
{
	uint64_t value = bus_get(data, len);

	guest_end(dev, (value & 0x7f) << 1 | 1, "guest ended the run with debug exit value %llu",
		(unsigned long long)value);
}

const struct bus_ops debugexit_bus_ops = {debugexit_read, debugexit_write};
