/* SPDX-License-Identifier: Apache-2.0 */
/* What a tap that stands in for the real one need not do, where only its frames matter. One .c file of a program includes it. */
#ifndef PINVM_TESTS_STILL_TAP_H
#define PINVM_TESTS_STILL_TAP_H

#include "vmm/tap.h"

void tap_unwatch(struct tap *tap)
{
}

int tap_offload(struct tap *tap, unsigned offload)
{
	return 0;
}

int tap_active(struct tap *tap, unsigned pairs)
{
	return 0;
}

int tap_filter(struct tap *tap, const uint8_t (*mac)[6], unsigned n, bool all_multicast)
{
	return 0;
}

#endif
