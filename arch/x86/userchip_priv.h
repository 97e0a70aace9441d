/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of --irqchip user: userchip.c (main, devices, MSRs), userchip_run.c (the vCPU's thread around KVM_RUN),
 * userchip_sleep.c (where there is nothing to run) and userchip_clock.c (the TSC).
 */
#ifndef PINVM_X86_USERCHIP_PRIV_H
#define PINVM_X86_USERCHIP_PRIV_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include "arch/x86/lapic.h"
#include "arch/x86/userchip.h"
#include "vmm/haltpoll/poller.h"
#include "vmm/irq.h"

/* Where a vCPU's thread is, for who brings it something: userchip_sleep.c has the protocol. */
enum { AWAY, IN_GUEST, AWAKE, ASLEEP };

/* The halt that goes on; times are of the host's TSC. */
struct userchip_halt {
	uint64_t begun; /* 0: there is none */
	uint64_t due;	/* when the timer is */
	uint64_t polled, waited;
	bool cut; /* another thread had the CPU in the poll */
};

struct userchip_vcpu {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic pid_t tid; /* for the signal; written by the thread */
	_Atomic uint64_t brought; /* host's TSC: when it was woken last from ASLEEP; 0: since it fell asleep it was not */
	/* The thread's own from here on. */
	struct vcpu *vcpu;
	struct lapic *lapic;
	bool halted;
	bool faulted;	  /* the last exit ends in #GP: no vector may go with it */
	bool has_timer;
	timer_t timer;	  /* ends guest mode */
	uint64_t armed;	  /* when, CLOCK_MONOTONIC in ns */
	uint64_t tsc_offset; /* of the guest's TSC to this host's: never too large */
	uint64_t host_tsc;   /* when it was last looked at */
	bool tsc_moves;	     /* KVM may change the offset at any time */
	uint32_t tsc_khz;
	struct userchip_halt halt;
	struct poller poller;
	/* At power-up, for INIT. */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
};

struct userchip {
	struct irq_direct direct;
	struct vm *vm;
	struct guest *guest;
	struct lapics *lapics;
	uint32_t *ids;
	uint32_t tsc_khz;
	unsigned n;
	struct userchip_vcpu vcpu[];
};

/* userchip_run.c */
extern const struct vcpu_hooks userchip_hooks;
struct userchip_vcpu *userchip_self(void);    /* of the thread that asks; NULL: it is no vCPU's */
/* No signal for the timer until guest mode is entered again. The vCPU's thread. */
void userchip_disarm(struct userchip_vcpu *uv);

/* userchip_clock.c: the vCPU's thread, or main while it does not run */
#define MSR_TSC	       0x10
#define MSR_TSC_ADJUST 0x3b
/* At power-up. 0, or -ENOTSUP, logged: the guest's TSC has another speed than this host's. */
int userchip_clock_start(struct userchip_vcpu *uv);
/* The guest's TSC now; no system call. */
uint64_t userchip_tsc(struct userchip_vcpu *uv);
/* Ask KVM where it is. */
void userchip_learn_tsc(struct userchip_vcpu *uv);
/* The guest's WRMSR of the two; a deadline that is armed is due by the new TSC. 0, or -errno: #GP. */
int userchip_write_tsc(struct userchip_vcpu *uv, uint64_t value);
int userchip_write_tsc_adjust(struct userchip_vcpu *uv, uint64_t value);
/* An MSR that KVM has, as main or who emulates writes it. 0 or -errno. */
int userchip_set_msr(const struct userchip_vcpu *uv, uint32_t index, uint64_t value);

/* userchip_sleep.c */
/* It was brought something, whose bits are set. Any thread. */
void userchip_wake(struct userchip_vcpu *uv);
/* From AWAKE to that state; false: something was brought since it was AWAKE, and the thread is to look again. */
bool userchip_goes(struct userchip_vcpu *uv, uint32_t state);
/* AWAKE, and it looked: until something is brought, or the timer is due. The vCPU's thread. */
void userchip_sleep(struct userchip_vcpu *uv);
/* It goes on to run the guest, since the timer fired or something was brought. The vCPU's thread. */
void userchip_slept(struct userchip_vcpu *uv, bool timer);

static inline uint64_t host_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

#endif
