// SPDX-License-Identifier: Apache-2.0
/* Interrupts, the local APIC in x2APIC mode, other CPUs and high mappings of a bare-metal guest. */
#include "tests/guest/lib/guest.h"

#define MSR_APIC_BASE	0x1b
#define APIC_BASE_X2	(1 << 10 | 1 << 11)
#define X2_ID		0x802
#define X2_EOI		0x80b
#define X2_SPURIOUS	0x80f
#define X2_ICR		0x830
#define X2_LVT_TIMER	0x832
#define MSR_TSC_DEADLINE 0x6e0
#define LVT_TSC_DEADLINE (2 << 17)
#define X2_SELF_IPI	0x83f
#define ICR_ALL		0x80000
#define ICR_OTHERS	0xc0000
#define IOAPIC_WINDOW	0x10
#define X2_TIMER_INIT	0x838
#define X2_TIMER_DIVIDE 0x83e
#define SPURIOUS_VECTOR 0xff
#define ICR_INIT	0x4500
#define ICR_STARTUP	0x4600

#define AP_PAGE	   0x8000 /* RAM nobody else uses once the guest runs */
#define AP_STACK   8192
#define MAX_APS	   255
#define STUB_SIZE  16
#define PAGE_2M	   0x200000
#define HIGH_TABLE 8

void trap(struct frame *f);
void ap_main(void);

extern uint8_t trap_stubs[], ap_trampoline[], ap_trampoline_end[];
extern uint64_t page_tables[];
extern uint32_t ap_stack;

static struct {
	uint16_t off0, cs;
	uint8_t ist, type;
	uint16_t off1;
	uint32_t off2, zero;
} idt[256] __attribute__((aligned(16)));

static void (*handler[256])(struct frame *);
static uint8_t stacks[MAX_APS][AP_STACK] __attribute__((aligned(16)));
static unsigned naps;
static void (*ap_fn)(unsigned id);
static volatile uint32_t ap_begun;
static uint64_t high[HIGH_TABLE][512] __attribute__((aligned(4096)));
static unsigned nhigh;

static void load_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) p = {sizeof(idt) - 1, (uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(p));
}

void irq_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uintptr_t stub = (uintptr_t)trap_stubs + i * STUB_SIZE;

		idt[i].off0 = stub;
		idt[i].off1 = stub >> 16;
		idt[i].cs = 0x08;
		idt[i].type = 0x8e; /* interrupt gate, present */
	}
	load_idt();
}

void irq_on(unsigned vector, void (*fn)(struct frame *))
{
	handler[vector] = fn;
}

void trap(struct frame *f)
{
	uint64_t cr2;

	if (handler[f->vector]) {
		handler[f->vector](f);
	} else if (f->vector != SPURIOUS_VECTOR) {
		__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
		print("TRAP %lu error %lx rip %lx rsp %lx cr2 %lx\n", f->vector, f->error, f->rip, f->rsp,
			cr2);
		debug_exit(1);
	}
	if (f->vector >= 32 && f->vector != SPURIOUS_VECTOR)
		wrmsr(X2_EOI, 0);
}

void lapic_init(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	check(r[2] & 1 << 21); /* x2APIC */
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
	wrmsr(X2_SPURIOUS, 0x100 | SPURIOUS_VECTOR);
}

unsigned lapic_id(void)
{
	return rdmsr(X2_ID);
}

void lapic_send(unsigned id, unsigned vector)
{
	wrmsr(X2_ICR, (uint64_t)id << 32 | vector);
}

void lapic_send_self(unsigned vector)
{
	wrmsr(X2_SELF_IPI, vector);
}

void lapic_send_all(unsigned vector)
{
	wrmsr(X2_ICR, ICR_ALL | vector);
}

void lapic_send_others(unsigned vector)
{
	wrmsr(X2_ICR, ICR_OTHERS | vector);
}

static void ioapic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)IOAPIC_BASE = reg;
	*(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_WINDOW) = v;
}

void ioapic_set(unsigned pin, unsigned vector)
{
	ioapic_write(0x11 + 2 * pin, lapic_id() << 24);
	ioapic_write(0x10 + 2 * pin, vector);
}

bool lapic_deadline(unsigned vector, uint64_t tsc)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1 << 24))
		return false;
	wrmsr(X2_LVT_TIMER, LVT_TSC_DEADLINE | vector);
	wrmsr(MSR_TSC_DEADLINE, tsc);
	return true;
}

void lapic_timer(unsigned vector, uint32_t ticks)
{
	wrmsr(X2_LVT_TIMER, vector);
	wrmsr(X2_TIMER_DIVIDE, 3); /* by 16 */
	wrmsr(X2_TIMER_INIT, ticks);
}

void ap_main(void)
{
	void (*fn)(unsigned) = ap_fn;

	load_idt();
	lapic_init();
	ap_begun = 1;
	fn(lapic_id());
}

bool cpu_start(unsigned id, void (*fn)(unsigned id))
{
	check(naps < MAX_APS);
	memcpy((void *)AP_PAGE, ap_trampoline, ap_trampoline_end - ap_trampoline);
	ap_stack = (uintptr_t)stacks[naps++] + AP_STACK;
	ap_fn = fn;
	ap_begun = 0;
	wrmsr(X2_ICR, (uint64_t)id << 32 | ICR_INIT);
	wrmsr(X2_ICR, (uint64_t)id << 32 | ICR_STARTUP | AP_PAGE >> 12);
	/* A bound for a CPU that never comes; one that does takes far less. */
	for (uint64_t start = rdtsc(); !ap_begun && rdtsc() - start < GIVE_UP;)
		pause_cpu();
	return ap_begun;
}

/* The page directory of a GiB, taken from a few set aside. */
static uint64_t *directory(uint64_t gib)
{
	uint64_t *pdpt = page_tables + 512;

	if (!pdpt[gib]) {
		check(nhigh < HIGH_TABLE);
		pdpt[gib] = (uintptr_t)high[nhigh++] | 3;
	}
	return (uint64_t *)(pdpt[gib] & ~0xfffULL);
}

void map_high(uint64_t gpa, uint64_t size)
{
	check(gpa >= 0x100000000 && gpa + size <= 0x8000000000); /* what one PDPT reaches */
	for (uint64_t at = gpa & ~(uint64_t)(PAGE_2M - 1); at < gpa + size; at += PAGE_2M)
		directory(at >> 30)[at >> 21 & 511] = at | 0x83;
}
