/* SPDX-License-Identifier: Apache-2.0 */
/* The files a run writes, before the first of them is opened, and emptied with that. One thread. */
#ifndef PINVM_OUTPUTS_H
#define PINVM_OUTPUTS_H

#include "vmm/config.h"

/*
 * No file may be written that the guest is made of, nor one for two purposes: what is the same by whatever name counts.
 * 0, or -EINVAL after one logged line. Devices, pipes and sockets are not looked at.
 */
int outputs_check(const struct guest_config *cfg);

#endif
