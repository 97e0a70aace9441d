/* SPDX-License-Identifier: Apache-2.0 */
/* What tap.c and tap_link.c share; the threads are those of tap.h. All give 0 or -errno, and log nothing. */
#ifndef PINVM_TAP_PRIV_H
#define PINVM_TAP_PRIV_H

#include "vmm/tap.h"

/* Make a pair's descriptor one of the tap of that name. */
int tap_attach(struct tap *tap, unsigned pair);
/* The kernel's answer of what a pair's descriptor is attached to. */
bool tap_is_attached(const struct tap *tap, unsigned pair, struct ifreq *ifr);
/* -EBUSY: more than n queues of the tap of that name are in use, its disabled ones included. Else 0. */
int tap_expect_queues(const struct tap *tap, unsigned n);
/* The length of the header on that descriptor. */
int tap_set_header(const struct tap *tap, unsigned pair);
/* TAP_*, on all of them. */
int tap_set_offload(const struct tap *tap, unsigned offload);
/* An ioctl about the interface by its name; -ENODEV where that may be another one's. */
int tap_ask(const struct tap *tap, unsigned long request, struct ifreq *ifr);

#endif
