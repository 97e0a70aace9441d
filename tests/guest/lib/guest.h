/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bare-metal guest has: port I/O, a serial console, its command line, interrupts, other CPUs, and ways
 * to end. A guest is one file with main(); what main() returns is given to the debug exit port (0: "SUCCESS"
 * was true). The boot CPU runs main() in long mode with interrupts off; the low 4 GiB are mapped onto
 * themselves.
 */
#ifndef PINVM_TESTS_GUEST_H
#define PINVM_TESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/layout.h"

int main(void);

/* Any failed check says where, and ends the guest with debug exit code 1. */
#define check(cond)                                      \
	do {                                             \
		if (!(cond))                             \
			fail(__FILE__, __LINE__, #cond); \
	} while (0)
__attribute__((noreturn)) void fail(const char *file, int line, const char *what);

/* Serial port: %s %c %d %u %x %lu %lx %p, nothing else. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The command line without the kernel's name. arg("x"): the text behind "x=", "" for a bare "x", NULL without
 * it. */
const char *arg(const char *name);
uint64_t arg_number(const char *name, uint64_t otherwise);
bool arg_is(const char *name, const char *value);

/* Endings. debug_exit() goes on to power off where there is no such port. */
__attribute__((noreturn)) void debug_exit(uint32_t code);
__attribute__((noreturn)) void power_off(void);

/* Interrupts. irq_on(vector, fn): fn runs with interrupts off, before the EOI for vectors from 32 up. */
struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};
void irq_init(void);
void irq_on(unsigned vector, void (*fn)(struct frame *));
/* Local APIC in x2APIC mode, enabled for the CPU that calls. */
void lapic_init(void);
unsigned lapic_id(void);
void lapic_send(unsigned id, unsigned vector);
/* The shorthands; the sender is not told who is there. */
void lapic_send_self(unsigned vector);
void lapic_send_all(unsigned vector);
void lapic_send_others(unsigned vector);
/* Route an IOAPIC pin, edge-triggered, to this CPU. */
void ioapic_set(unsigned pin, unsigned vector);
/* One interrupt after about that many LAPIC timer ticks (bus clock / 16). 0 stops it. */
void lapic_timer(unsigned vector, uint32_t ticks);
/* One interrupt when the TSC reaches that. False: the CPU has no such timer. */
bool lapic_deadline(unsigned vector, uint64_t tsc);

/* Start the CPU with that LAPIC id: fn(id) runs there on a stack of its own. Returns when it has begun, false
 * when it has not. */
bool cpu_start(unsigned id, void (*fn)(unsigned id));

/* Map size bytes at a guest-physical address from 4 GiB up onto itself, in 2 MiB pages (up to 8 GiB apart in
 * all). */
void map_high(uint64_t gpa, uint64_t size);

void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}

/* TSC cycles, two minutes or so. Bounds a wait for what must come, to say what did not; no measure of how soon. */
#define GIVE_UP 300000000000

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

static inline void irqs_on(void)
{
	__asm__ volatile("sti" ::: "memory");
}

static inline void irqs_off(void)
{
	__asm__ volatile("cli" ::: "memory");
}

/* Wait for an interrupt; no interrupt can slip in between the two instructions. */
static inline void wait_irq(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

static inline void pause_cpu(void)
{
	__asm__ volatile("pause" ::: "memory");
}

#endif
