/* SPDX-License-Identifier: Apache-2.0 */
/* Between guest.c and guest_run.c, for nobody else. Main. */
#ifndef PINVM_GUEST_PRIV_H
#define PINVM_GUEST_PRIV_H

#include "vmm/guest.h"

/* guest.c: the VM and its vCPUs, which a reset of the guest makes anew, and what the boot CPU starts with. 0 or -errno. */
int guest_machine_open(struct guest *guest);
void guest_machine_close(struct guest *guest);
int guest_load(struct guest *guest);

/* guest_run.c: the signals that stop a guest come to its loop from now on. 0 or -errno. */
int guest_watch(struct guest *guest);
/* No vCPU runs any more: let the devices finish what they have, and make what was written stable. */
void guest_settle(struct guest *guest);

#endif
