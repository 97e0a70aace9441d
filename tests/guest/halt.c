// SPDX-License-Identifier: Apache-2.0
/*
 * Halts, each ended by the LAPIC timer after gap=TICKS of it (16 ns with KVM) or, every other time,
 * long=TICKS; every count=N of them a line, lines=N of those. polls: it tells KVM first that it polls by
 * itself (MSR_KVM_POLL_CONTROL, Documentation/virt/kvm/x86/msr.rst).
 */
#include "tests/guest/lib/guest.h"

#define TIMER		     0x51
#define MSR_KVM_POLL_CONTROL 0x4b564d05

static volatile uint32_t timers;

static void on_timer(struct frame *f)
{
	timers++;
}

static void halt(uint32_t ticks)
{
	uint32_t before = timers;

	lapic_timer(TIMER, ticks);
	while (timers == before)
		wait_irq();
}

int main(void)
{
	uint32_t gap = arg_number("gap", 2000), other = arg_number("long", gap),
		 count = arg_number("count", 500), lines = arg_number("lines", 1);

	irq_on(TIMER, on_timer);
	lapic_init();
	if (arg("polls"))
		wrmsr(MSR_KVM_POLL_CONTROL, 0);
	for (uint32_t line = 1; line <= lines; line++) {
		for (uint32_t i = 0; i < count; i++)
			halt(i & 1 ? other : gap);
		print("halted %u\n", line * count);
	}
	print("SUCCESS\n");
	return 0;
}
