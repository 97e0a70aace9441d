/* SPDX-License-Identifier: Apache-2.0 */
/* The arm64 board: pins of the GIC, and what sits at the fixed addresses of layout.h. Built by main. */
#ifndef PINVM_ARM64_BOARD_H
#define PINVM_ARM64_BOARD_H

#include "arch/arm64/layout.h"

#include "devices/pl031.h"

struct irq_src;

struct arch_board {
	struct pl031 rtc;
	struct irq_src *pin[BOARD_PINS]; /* NULL: nothing is connected */
};

#endif
