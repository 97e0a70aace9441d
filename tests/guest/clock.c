// SPDX-License-Identifier: Apache-2.0
/*
 * The TSC under an armed deadline: set by IA32_TIME_STAMP_COUNTER and by IA32_TSC_ADJUST, ahead, past the deadline, and
 * back. What is asserted is order, by the guest's own TSC: no interrupt before its deadline, and one when it has passed.
 * Some hosts can not move a guest's TSC; there a deadline is as it was. cpus=2: on the second CPU as well. deadlines=N: only
 * so many deadlines. Intel SDM 3A, 11.5.4.1; 3B, 18.17.
 */
#include "tests/guest/lib/guest.h"

#define MSR_TSC		 0x10
#define MSR_TSC_ADJUST	 0x3b
#define MSR_TSC_DEADLINE 0x6e0
#define X2_LVT_TIMER	 0x832
#define DEADLINE	 (2 << 17)
#define VECTOR		 0x51
#define FAR		 (1ULL << 50) /* cycles: days */
#define NEAR		 20000000     /* some milliseconds */

static volatile uint32_t got, others_end;
static volatile uint64_t due; /* of what is armed */
static bool moves;

static void on_timer(struct frame *f)
{
	check(rdtsc() >= due);
	got++;
}

static void arm(uint64_t tsc)
{
	due = tsc;
	wrmsr(MSR_TSC_DEADLINE, tsc);
}

/* For as long as an interrupt that is due takes to come. */
static bool comes(uint32_t before)
{
	irqs_on();
	for (unsigned i = 0; i < 10; i++)
		inb(PIO_SERIAL + 5);
	irqs_off();
	return got != before;
}

static void await(uint32_t count)
{
	while (got != count)
		wait_irq();
	check(rdmsr(MSR_TSC_DEADLINE) == 0);
}

/* Does a write reach the TSC at all, as rdtsc and rdmsr say it? */
static bool tsc_moves(void)
{
	uint64_t to = rdtsc() + FAR;

	wrmsr(MSR_TSC, to);
	if (rdtsc() < to)
		return false;
	check(rdmsr(MSR_TSC) >= to);
	return true;
}

/* No clock is as quick as that: it is still to come. */
static void stays_armed(uint32_t before)
{
	check(!comes(before) && rdmsr(MSR_TSC_DEADLINE) == due);
}

static void set_ahead(void)
{
	uint32_t before = got;

	arm(rdtsc() + FAR);
	stays_armed(before);
	wrmsr(MSR_TSC, due - FAR / 2);
	stays_armed(before);
	wrmsr(MSR_TSC, due - NEAR);
	await(before + 1);
	arm(rdtsc() + FAR);
	wrmsr(MSR_TSC, due);
	await(before + 2);
	arm(rdtsc() + FAR);
	wrmsr(MSR_TSC, due + FAR);
	await(before + 3);
}

/* What was near is far, until the clock is put right again. */
static void set_back(void)
{
	uint32_t before = got;
	uint64_t now = rdtsc();

	arm(now + FAR / 2);
	wrmsr(MSR_TSC, now - FAR);
	stays_armed(before);
	wrmsr(MSR_TSC, now);
	stays_armed(before);
	wrmsr(MSR_TSC, 0);
	check(rdtsc() < now);
	arm(rdtsc() + NEAR);
	await(before + 1);
	wrmsr(MSR_TSC, now);
}

static void adjust(void)
{
	uint64_t was = rdmsr(MSR_TSC_ADJUST), at;
	uint32_t before = got;

	arm(rdtsc() + FAR);
	wrmsr(MSR_TSC_ADJUST, was + FAR / 2);
	check(rdmsr(MSR_TSC_ADJUST) == was + FAR / 2);
	stays_armed(before);
	wrmsr(MSR_TSC_ADJUST, was + FAR);
	await(before + 1);
	/* Back, and the same again, which moves nothing. */
	at = rdtsc();
	wrmsr(MSR_TSC_ADJUST, was);
	check(rdtsc() < at);
	at = rdtsc();
	wrmsr(MSR_TSC_ADJUST, was);
	check(rdtsc() > at && rdtsc() < at + FAR / 2);
	/* The adjustment is the sum of all that was written to either. */
	at = rdtsc();
	wrmsr(MSR_TSC, at + FAR);
	check(rdmsr(MSR_TSC_ADJUST) - was <= FAR && rdmsr(MSR_TSC_ADJUST) - was > FAR / 2);
	wrmsr(MSR_TSC_ADJUST, was);
}

/* On a host where nothing moves: writes harm nothing. */
static void stands(void)
{
	uint32_t before = got;

	arm(rdtsc() + FAR);
	wrmsr(MSR_TSC, due);
	wrmsr(MSR_TSC_ADJUST, rdmsr(MSR_TSC_ADJUST));
	stays_armed(before);
	arm(rdtsc() + NEAR);
	wrmsr(MSR_TSC, 1);
	await(before + 1);
}

static void run(unsigned id)
{
	uint32_t r[4], before = got;

	wrmsr(X2_LVT_TIMER, DEADLINE | VECTOR);
	arm(rdtsc() + NEAR);
	await(before + 1);
	if (moves) {
		cpuid(7, 0, r);
		set_ahead();
		set_back();
		if (r[1] & 1 << 1)
			adjust();
	} else {
		stands();
	}
	wrmsr(X2_LVT_TIMER, 1 << 16);
	print("CPU %u: deadlines go by the TSC that is\n", id);
	others_end = id;
}

static void deadlines(uint64_t n)
{
	wrmsr(X2_LVT_TIMER, DEADLINE | VECTOR);
	while (n--) {
		uint32_t before = got;

		arm(rdtsc() + 1000);
		await(before + 1);
	}
}

int main(void)
{
	irq_on(VECTOR, on_timer);
	lapic_init();
	if (arg("deadlines")) {
		deadlines(arg_number("deadlines", 0));
	} else {
		moves = tsc_moves();
		if (!moves)
			print("this host does not move a TSC\n");
		run(0);
		if (arg_number("cpus", 1) == 2) {
			check(cpu_start(1, run));
			while (!others_end)
				pause_cpu();
		}
	}
	print("SUCCESS\n");
	return 0;
}
