// SPDX-License-Identifier: Apache-2.0
/*
 * Each kind of ending, chosen by the command line: poweroff, reset, triple, debug=N, panic, hang (halted for
 * ever with interrupts off), spin (never leaves the guest), button (power off when the power button is pressed),
 * kvm (an instruction fetch that KVM can not make).
 */
#include "tests/guest/lib/guest.h"

#define RESET_VALUE 1
#define PANICKED    1
#define BUTTON_VECTOR 0x60
#define GED_BUTTON  1

/* An exception that finds no handler, nor one for that: the CPU shuts down. */
static void triple_fault(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static volatile uint32_t presses;

static void on_ged(struct frame *f)
{
	if (inl(PIO_GED) & GED_BUTTON)
		presses++;
	check(!inl(PIO_GED)); /* reading cleared it */
}

/* Power off when the button is pressed. */
static void wait_for_button(void)
{
	lapic_init();
	irq_on(BUTTON_VECTOR, on_ged);
	ioapic_set(PIN_GED, BUTTON_VECTOR);
	print("waiting\n");
	while (!presses)
		wait_irq();
	print("pressed\n");
	power_off();
}

static void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	if (arg("debug"))
		return arg_number("debug", 0);
	if (arg("poweroff"))
		power_off();
	if (arg("reset"))
		outb(PIO_RESET, RESET_VALUE);
	if (arg("triple"))
		triple_fault();
	if (arg("panic"))
		outb(PIO_PVPANIC, PANICKED);
	if (arg("button"))
		wait_for_button();
	if (arg("kvm"))
		((void (*)(void))PCI_ECAM_BASE)();
	if (arg("hang")) {
		print("hanging\n");
		halt();
	}
	if (arg("spin")) {
		print("spinning\n");
		for (;;)
			pause_cpu();
	}
	/* The vCPU may run on for a moment after an ending was asked for. */
	if (arg("reset") || arg("panic"))
		halt();
	print("FAIL: no ending on the command line: poweroff reset triple debug=N panic hang spin button kvm\n");
	return 1;
}
