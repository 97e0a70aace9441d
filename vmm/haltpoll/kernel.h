/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of its own halt polling: parameters of the module kvm. Any thread. */
#ifndef PINVM_HALTPOLL_KERNEL_H
#define PINVM_HALTPOLL_KERNEL_H

#include <stdint.h>

/* halt_poll_ns with `which` behind it: "", "_grow", "_grow_start", "_shrink". 0 or -errno; then *value is as
 * it was. */
int kernel_haltpoll(const char *which, uint64_t *value);

#endif
