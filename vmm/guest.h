/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest: everything built from one configuration, in visible order, and torn down in reverse. The entry of libpinvm.
 * All calls are main's unless said otherwise.
 */
#ifndef PINVM_GUEST_H
#define PINVM_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/config.h"
#include "vmm/irq.h"
#include "vmm/loop.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* How a guest ended: the exit status of `pinvm run` (even numbers are pinvm's, odd ones the guest's own). */
enum guest_status {
	END_POWEROFF = 0,
	END_USAGE = 2,
	END_SETUP = 4,
	END_HOST_FAILURE = 6,
	END_RESET = 8,
	END_PANIC = 10,
	END_CRASH = 12, /* triple fault, KVM internal error */
	END_STOPPED = 14,
	END_TIMEOUT = 124,
};

struct guest;

/* Say that the guest has come to its end; the first caller wins. Any thread (devices, vCPUs). cause: words for the report. */
void guest_end(struct guest *guest, int status, const char *cause, ...) __attribute__((format(printf, 3, 4)));

/* Build everything up to the first guest instruction. 0, or -errno after one logged line; nothing is left behind. */
int guest_create(struct guest **guest, const struct guest_config *cfg);
/* Run to the end. Returns the exit status. */
int guest_run(struct guest *guest);
void guest_destroy(struct guest *guest);

#endif
