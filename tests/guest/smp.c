// SPDX-License-Identifier: Apache-2.0
/*
 * CPUs: cpus=N are started one by one; ipi: each kind of inter-processor interrupt among them; timer: HLT ends by the
 * LAPIC timer and by the TSC deadline.
 */
#include "tests/guest/lib/guest.h"

#define MAX_CPUS 255
#define VECTOR	 0x50
#define TIMER	 0x51
#define STOP	 0x52

static volatile uint32_t got[MAX_CPUS], timers[MAX_CPUS], stopped[MAX_CPUS], ready, over;
static unsigned cpus;

static void on_ipi(struct frame *f)
{
	got[lapic_id()]++;
}

static void on_timer(struct frame *f)
{
	timers[lapic_id()]++;
}

static void on_stop(struct frame *f)
{
	stopped[lapic_id()] = 1;
}

static void count_up(volatile uint32_t *n)
{
	__asm__ volatile("lock; incl %0" : "+m"(*n) : : "memory", "cc");
}

static void other_cpu(unsigned id)
{
	check(id < cpus && id == lapic_id());
	count_up(&ready);
	while (!stopped[id])
		wait_irq();
	count_up(&over);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void wait_for(volatile uint32_t *n, uint32_t value)
{
	uint64_t start = rdtsc();

	while (*n != value) {
		check(rdtsc() - start < GIVE_UP);
		pause_cpu();
	}
}

static void start_all(void)
{
	for (unsigned id = 1; id < cpus; id++)
		check(cpu_start(id, other_cpu));
	wait_for(&ready, cpus - 1);
	print("%u CPUs\n", cpus);
}

static void stop_all(void)
{
	if (cpus > 1)
		lapic_send_others(STOP);
	wait_for(&over, cpus - 1);
	check(!stopped[0]);
}

/* Every CPU must have had exactly so many. */
static void expect(uint32_t self, uint32_t others)
{
	for (unsigned id = 0; id < cpus; id++)
		wait_for(&got[id], id ? others : self);
}

static void ipis(void)
{
	irqs_on();
	for (unsigned id = 0; id < cpus; id++)
		lapic_send(id, VECTOR);
	expect(1, 1);
	lapic_send_self(VECTOR);
	expect(2, 1);
	lapic_send_others(VECTOR);
	expect(2, 2);
	lapic_send_all(VECTOR);
	expect(3, 3);
	/* To one, again and again: it halts in between, and none is lost. */
	for (uint32_t i = 1; cpus > 1 && i <= 200; i++) {
		lapic_send(cpus - 1, VECTOR);
		wait_for(&got[cpus - 1], 3 + i);
	}
	irqs_off();
	print("IPIs arrived\n");
}

static void timer(void)
{
	uint64_t start = rdtsc();

	for (unsigned i = 1; i <= 10; i++) {
		lapic_timer(TIMER, 10000);
		while (timers[0] != i)
			wait_irq();
	}
	print("LAPIC timer ended HLT\n");
	check(lapic_deadline(TIMER, rdtsc() + 1000000));
	while (timers[0] != 11)
		wait_irq();
	for (unsigned i = 12; i <= 20; i++) {
		uint64_t at = rdtsc() + 100000;

		check(lapic_deadline(TIMER, at));
		while (timers[0] != i)
			wait_irq();
		check(rdtsc() >= at);
	}
	check(rdtsc() > start);
	print("TSC deadline ended HLT\n");
}

int main(void)
{
	uint32_t r[4];

	cpus = arg_number("cpus", 1);
	check(cpus && cpus <= MAX_CPUS);
	irq_on(VECTOR, on_ipi);
	irq_on(TIMER, on_timer);
	irq_on(STOP, on_stop);
	lapic_init();
	check(lapic_id() == 0);
	cpuid(0xb, 1, r);
	check((r[1] & 0xffff) == cpus); /* logical CPUs of this package */
	start_all();
	if (arg("ipi"))
		ipis();
	if (arg("timer"))
		timer();
	stop_all();
	print("SUCCESS\n");
	return 0;
}
