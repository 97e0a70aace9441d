/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APICs of a VM whose interrupts end in this process: xAPIC and x2APIC registers, priorities, timer, IPIs. A
 * model without system calls; what it needs of the world is in struct lapic_ops. Intel SDM 3A, chapter 11.
 *
 * Any thread may send (lapics_send(), lapics_msi()): it sets bits in atomic words of the target and calls wake(). All else
 * of a local APIC is its vCPU thread's own. No function locks, allocates or waits, but for lapics_create().
 *
 *	device, IOAPIC ----msi--+                        +- pending, ack, eoi -- the vCPU
 *	another vCPU's ICR -----+--> IRR, events (words) +
 *	own timer, own ICR -----+                        +- take: NMI, INIT, SIPI
 */
#ifndef PINVM_X86_LAPIC_H
#define PINVM_X86_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define LAPIC_PAGE_SIZE 0x1000
#define LAPIC_NEVER	UINT64_MAX
#define LAPIC_ALL	UINT32_MAX /* a destination: every local APIC */
#define LAPIC_BUS_NS	1	   /* what the timer's counter counts, before it is divided: 1 GHz, as KVM's does */
#define LAPIC_MIN_PERIOD_NS 200000 /* no periodic timer is faster: as KVM's kvm.min_timer_period_us */

#define MSR_APIC_BASE	 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC	 0x800
#define MSR_X2APIC_END	 0x8ff

struct lapic;  /* one vCPU's */
struct lapics; /* all of a VM */

struct lapic_ops {
	/* A vCPU other than the caller's own has something to look at. Any thread; comes after the bits are set (seq_cst). */
	void (*wake)(void *arg, unsigned index);
	/* The guest ended a level-triggered interrupt. That vCPU's thread. */
	void (*eoi)(void *arg, uint8_t vector);
	/* The clocks: the guest's TSC of that vCPU, and CLOCK_MONOTONIC. That vCPU's thread. */
	uint64_t (*tsc)(void *arg, unsigned index);
	uint64_t (*ns)(void *arg);
};

struct lapic_config {
	unsigned n;	     /* vCPUs; the first one is the boot CPU */
	const uint32_t *id;  /* their APIC ids: ascending, no two alike, below 65536 */
	unsigned phys_bits;  /* width of the guest's physical addresses */
	uint32_t tsc_khz;    /* of the guest's TSC, > 0 */
	bool no_x2apic;	     /* CPUID has none: its bits are reserved */
	bool no_deadline;    /* likewise the TSC deadline */
	struct lapic_ops ops;
	void *arg; /* for the ops */
};

/* Delivery modes of a message (SDM 3A, 11.6.1). Others are dropped: SMI has no use here, ExtINT no PIC. */
enum lapic_mode { LAPIC_FIXED = 0, LAPIC_LOWEST = 1, LAPIC_NMI = 4, LAPIC_INIT = 5, LAPIC_SIPI = 6 };

struct lapic_msg {
	uint32_t dest; /* LAPIC_ALL, an APIC id, or a logical destination as wide as the sender's mode has it */
	uint8_t vector;
	uint8_t mode;  /* enum lapic_mode, or what a guest wrote there */
	bool logical;
	bool level;  /* trigger mode, for the TMR */
	bool lowest; /* to one of those that match (MSI redirection hint) */
};

/* 0, -ENOMEM, -EINVAL (config). All are as after power-up. Main. */
int lapics_create(struct lapics **out, const struct lapic_config *cfg);
void lapics_destroy(struct lapics *set);
/* Power-up state of all (SDM 3A, 11.4.7.1). While no vCPU runs and no device sends. */
void lapics_reset(struct lapics *set);
struct lapic *lapics_at(struct lapics *set, unsigned index);

/* ---- lapic_ipi.c: any thread ---- */

/*
 * Deliver a message to all that match. self: the caller's own local APIC, which needs no wake(); NULL on other threads.
 * Returns how many took it: one that is off, or has been disabled by its software, takes no vector.
 */
unsigned lapics_send(struct lapics *set, const struct lapic_msg *msg, struct lapic *self);

/*
 * What an MSI's address and data mean (SDM 3A, 11.11). Bits 63:40 of the address are bits 31:8 of the destination, as
 * KVM_CAP_X2APIC_API has it. 0, or -EINVAL: no MSI.
 */
int lapic_msi_decode(struct lapic_msg *msg, uint64_t addr, uint32_t data);
/* Both in one; an address that is none's reaches nobody. self as above. */
unsigned lapics_msi(struct lapics *set, uint64_t addr, uint32_t data, struct lapic *self);

/* ---- the vCPU's own thread from here on ---- */

/* Is there anything that was not looked at: a vector of any priority, an NMI, INIT, SIPI? The cheap question. */
bool lapic_wants(const struct lapic *lapic);

/* What came besides vectors. */
struct lapic_events {
	bool nmi;
	bool init;    /* the local APIC has been reset already; the CPU's registers shall be, and it waits for a SIPI */
	bool sipi;    /* it was waiting, and begins at page * 4096 */
	uint8_t page;
};
/* Take them all; false: there are none. A SIPI that nobody waits for is dropped, and so is an NMI to one that waits. */
bool lapic_take(struct lapic *lapic, struct lapic_events *ev);
/* It waits for a SIPI: the vCPU runs nothing. All but the boot CPU begin so; INIT brings the boot CPU to its reset vector. */
bool lapic_waits(const struct lapic *lapic);

/* The vector that may interrupt the CPU now, by priority alone (SDM 3A, 11.8.3); -1: none. */
int lapic_pending(struct lapic *lapic);
/* The CPU takes it: from the IRR into service. The spurious vector when there is none (any more): nothing is in service. */
uint8_t lapic_ack(struct lapic *lapic);

/*
 * The next step of injection. ready: the CPU can take a vector now (RFLAGS.IF, no shadow, none injected before).
 * LAPIC_INJECT: *vector was acknowledged and must be injected. LAPIC_WINDOW: ask to be told when the CPU is ready.
 */
enum lapic_step { LAPIC_NOTHING, LAPIC_INJECT, LAPIC_WINDOW };
enum lapic_step lapic_inject(struct lapic *lapic, bool ready, uint8_t *vector);

/* CR8 is bits 7:4 of the TPR (SDM 3A, 11.8.6). */
void lapic_set_cr8(struct lapic *lapic, uint8_t cr8);
uint8_t lapic_cr8(const struct lapic *lapic);

/* ---- lapic_regs.c: the guest's doors ---- */

/* IA32_APIC_BASE, the x2APIC's MSRs and IA32_TSC_DEADLINE; *value or 0, -EINVAL: #GP(0). Other MSRs: -EINVAL. */
int lapic_msr_read(struct lapic *lapic, uint32_t msr, uint64_t *value);
int lapic_msr_write(struct lapic *lapic, uint32_t msr, uint64_t value);
/*
 * The xAPIC's page; off + len <= LAPIC_PAGE_SIZE, len 1..8. In x2APIC mode, when off, or moved, nobody answers: ones. (Where
 * the guest has moved it, there is what was there before: no system that pinvm knows of moves it.)
 */
void lapic_page_read(struct lapic *lapic, uint64_t off, uint8_t *data, unsigned len);
void lapic_page_write(struct lapic *lapic, uint64_t off, const uint8_t *data, unsigned len);
uint64_t lapic_base(const struct lapic *lapic); /* IA32_APIC_BASE */

/* ---- lapic_timer.c ---- */

/* Raise the timer's vector if its time has come. True: it has. */
bool lapic_timer_run(struct lapic *lapic);
/*
 * When lapic_timer_run() will be wanted next: CLOCK_MONOTONIC in ns, or the guest's TSC; LAPIC_NEVER: not before the guest
 * programs it again (off, or masked). Right after lapic_timer_run() both are in the future. One converted from the other
 * may be early by what the clocks drift: run, ask again.
 */
uint64_t lapic_timer_ns(struct lapic *lapic);
uint64_t lapic_timer_tsc(struct lapic *lapic);
/* Was it programmed, or has it fired, since this was last asked? If not, what the two above said still holds. */
bool lapic_timer_moved(struct lapic *lapic);
/*
 * Who arms something for the timer is to ask again: the guest's TSC has been set, and it is due by the new one (after
 * lapic_timer_run() by the old one), or nothing is armed any more.
 */
void lapic_timer_reclock(struct lapic *lapic);

#endif
