/* SPDX-License-Identifier: Apache-2.0 */
/* The x86 board: what sits at the fixed addresses of layout.h. Built by main; see arch_board_create(). */
#ifndef PINVM_X86_BOARD_H
#define PINVM_X86_BOARD_H

struct ioapic;
struct pvpanic;

struct arch_board {
	struct ioapic *ioapic;
	struct pvpanic *pvpanic;
};

#endif
