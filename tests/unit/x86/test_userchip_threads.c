// SPDX-License-Identifier: Apache-2.0
/*
 * The whole way of an interrupt in --irqchip user, from irq_raise() on a device's thread to the vCPU that is kicked or woken,
 * with vCPUs' real threads (vcpu.c, userchip*.c, lapic*.c) and a KVM made here: KVM_RUN is a guest that takes what was
 * injected, halts, sends IPIs, holds interrupts back by CR8, or runs on until it is kicked. Meanwhile main masks and re-routes
 * sources, pauses the vCPUs, and changes how long they poll. What is lost is waited for, for ever: nothing here depends on how fast anything is.
 */
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "arch/x86/userchip_priv.h"
#include "arch/x86/vm.h"
#include "tests/unit/fake_ioctl.h"
#include "tests/unit/x86/lapic_unit.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/util.h"

#define CPUS	2
#define DEVICES 3
#define SOURCES 4 /* of each device */
#define FD	100
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 1000u
#else
#define ROUNDS 20000u
#endif
#define BATCH	   4 /* raised by a device, before it waits until all were taken */
#define IPI	   0x29 /* and the next, of the other CPU */
#define TIMER	   0x4a
#define DEADLINES  (ROUNDS / 4)
#define FEW	   64	  /* deadlines, which are too many for all to find a guest that runs */
#define RANGE	   200000 /* cycles: of the deadlines */

enum job { BUSY, TICKING, QUIET }; /* what guests do besides taking interrupts */

static struct cpu {
	struct vcpu vcpu;
	uint8_t run[4096];
	int injected; /* -1: none */
	bool holds;   /* interrupts back, by CR8 */
	unsigned seed;
	unsigned armed;
	bool ticked; /* all its deadlines have come */
	_Atomic uint64_t halts;
	struct poller poller; /* as it was in the end */
} cpu[CPUS];
static struct guest guest;
static struct haltpoll polling; /* max_ns 0: it does not */
static struct guest_config cfg = {.cpus = {.count = CPUS}};
static struct arch_vm arch;
static struct irq_src source[DEVICES][SOURCES];
static _Atomic uint64_t raised[256]; /* how often, counted before it is raised */
static _Atomic uint64_t seen[256];   /* that count, when it was taken */
static _Atomic unsigned done;
static _Atomic int job;

static unsigned dice(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* A vCPU whose first turn comes late is waited for: something is to have happened to each. */
static bool soaked(void)
{
	for (unsigned i = 0; i < CPUS; i++)
		if (!atomic_load(&cpu[i].halts))
			return false;
	return unit_enough();
}

/* ---- the guest, in KVM_RUN ---- */

static int wrmsr_exit(struct kvm_run *run, uint32_t index, uint64_t data)
{
	run->exit_reason = KVM_EXIT_X86_WRMSR;
	run->msr.index = index;
	run->msr.data = data;
	return 0;
}

/* Several CPUs may take the same vector, when it moves: the latest counts. */
static void take(uint8_t vector)
{
	uint64_t now = atomic_load(&raised[vector]), was = atomic_load(&seen[vector]);

	ck_assert_msg(now, "vector %#x was never raised", vector);
	while (was < now && !atomic_compare_exchange_weak(&seen[vector], &was, now))
		;
}

static int interrupted(void)
{
	errno = EINTR;
	return -1;
}

static int set_cr8(struct cpu *c, struct kvm_run *run, bool holds)
{
	c->holds = holds;
	run->cr8 = holds ? 15 : 0;
	run->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

static int halt(struct cpu *c, struct kvm_run *run)
{
	atomic_fetch_add(&c->halts, 1);
	run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* Only a kick ends this. (A sanitizer lets a signal's handler run in the calls it knows.) */
static int run_on(volatile struct kvm_run *run)
{
	while (!run->immediate_exit) {
		sched_yield();
		now_ns();
	}
	return interrupted();
}

static int send_ipi(struct cpu *c, struct kvm_run *run)
{
	unsigned to = !c->vcpu.index;

	atomic_fetch_add(&raised[IPI + to], 1);
	return wrmsr_exit(run, X_ICR, (uint64_t)to << 32 | (IPI + to));
}

static int next_deadline(struct cpu *c, struct kvm_run *run)
{
	struct userchip_vcpu *uv = c->vcpu.arch;

	c->armed++;
	atomic_fetch_add(&raised[TIMER + c->vcpu.index], 1);
	return wrmsr_exit(run, MSR_TSC_DEADLINE, userchip_tsc(uv) + dice(&c->seed) % RANGE);
}

static int idle(struct cpu *c, struct kvm_run *run)
{
	return dice(&c->seed) % 2 ? halt(c, run) : run_on(run);
}

static int live(struct cpu *c, struct kvm_run *run)
{
	uint8_t timer = TIMER + c->vcpu.index;

	switch (atomic_load(&job)) {
	case BUSY:
		switch (dice(&c->seed) % 8) {
		case 0:
			return send_ipi(c, run);
		case 1:
			return set_cr8(c, run, true);
		default:
			return idle(c, run);
		}
	case TICKING:
		if (atomic_load(&seen[timer]) == atomic_load(&raised[timer])) {
			if (c->armed < DEADLINES && !c->ticked && (c->armed < FEW || !unit_enough()))
				return next_deadline(c, run);
			if (!c->ticked)
				atomic_fetch_add(&done, 1);
			c->ticked = true;
		}
		return idle(c, run);
	default:
		return halt(c, run);
	}
}

static int kvm_run(struct cpu *c)
{
	struct kvm_run *run = c->vcpu.run;
	int vector = c->injected;

	run->if_flag = 1;
	run->ready_for_interrupt_injection = vector < 0;
	if (run->immediate_exit)
		return interrupted();
	if (vector >= 0) {
		c->injected = -1;
		run->ready_for_interrupt_injection = 1;
		take(vector);
		return wrmsr_exit(run, X_EOI, 0);
	}
	if (c->holds)
		return set_cr8(c, run, false);
	if (run->request_interrupt_window) {
		run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		return 0;
	}
	return live(c, run);
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct cpu *c = &cpu[fd - FD];

	switch (request) {
	case KVM_RUN:
		return kvm_run(c);
	case KVM_INTERRUPT:
		ck_assert_msg(c->injected < 0, "a second vector before the first was taken");
		c->injected = ((struct kvm_interrupt *)arg)->irq;
		return 0;
	case KVM_GET_TSC_KHZ:
		return TSC_KHZ;
	case KVM_GET_DEVICE_ATTR:
		*(uint64_t *)(uintptr_t)((struct kvm_device_attr *)arg)->addr = 0;
		return 0;
	case KVM_GET_MSRS:
		((struct kvm_msrs *)arg)->entries[0].data = __builtin_ia32_rdtsc();
		return 1;
	case KVM_SET_MSRS:
		return 1;
	default: /* registers, capabilities */
		return 0;
	}
}

/* ---- the machine ---- */

static struct irq_msg msg_to(unsigned index, uint8_t vector)
{
	return (struct irq_msg){.addr = 0xfee00000 | index << 12, .data = vector};
}

static uint8_t vector_of(unsigned device, unsigned i)
{
	return 0x30 + (i * DEVICES + device) * 0x0d;
}

static void make_cpu(struct userchip *chip, unsigned i)
{
	struct vcpu *vcpu = &cpu[i].vcpu;

	cpu[i].injected = -1;
	cpu[i].seed = i + 1;
	vcpu->index = i;
	vcpu->fd = FD + i;
	vcpu->run = (struct kvm_run *)cpu[i].run;
	vcpu->guest = &guest;
	vcpu->profile = profiles_at(&guest.profiles, i);
	ck_assert_int_eq(userchip_vcpu(chip, vcpu), 0);
	set = chip->lapics;
	started(i);
	x2(i);
	ck_assert_int_eq(wr(i, X_TIMER, 2 << 17 | (TIMER + i)), 0);
}

static struct userchip *power_up(enum job first)
{
	struct userchip *chip = NULL;

	arch.cpuid = calloc(1, sizeof(*arch.cpuid) + sizeof(struct kvm_cpuid_entry2));
	arch.cpuid->nent = 1;
	arch.cpuid->entries[0] = (struct kvm_cpuid_entry2){.function = 1, .ecx = 1u << 21 | 1u << 24};
	guest.cfg = guest.vm.cfg = &cfg;
	guest.vm.arch = &arch;
	guest.haltpoll = &polling;
	guest.vm.fd = FD;
	pthread_mutex_init(&guest.vm.irq_lock, NULL);
	job = first;
	ck_assert_int_eq(profiles_create(&guest.profiles, CPUS, false), 0);
	bus_freeze(&guest.bus);
	ck_assert_int_eq(userchip_open(&chip, &guest.vm), 0);
	arch.userchip = chip;
	for (unsigned i = 0; i < CPUS; i++)
		make_cpu(chip, i);
	for (unsigned i = 0; i < CPUS; i++) {
		ck_assert_int_eq(vcpu_start(&cpu[i].vcpu), 0);
		vcpu_want(&cpu[i].vcpu, VCPU_RUNNING);
	}
	return chip;
}

/* Everything that was raised has been taken, and the vCPUs, wherever they wait, come back. */
static void power_down(struct userchip *chip)
{
	atomic_store(&job, QUIET);
	for (unsigned v = 0; v < 256; v++)
		while (atomic_load(&seen[v]) != atomic_load(&raised[v]))
			sched_yield();
	for (unsigned i = 0; i < CPUS; i++)
		vcpu_join(&cpu[i].vcpu);
	for (unsigned i = 0; i < CPUS; i++) {
		cpu[i].poller = *cpu[i].vcpu.poller;
		ck_assert_uint_gt(cpu[i].halts, 0);
		ck_assert_int_eq(cpu[i].injected, -1);
		ck_assert(!lapic_wants(lapics_at(chip->lapics, i)));
	}
	ck_assert(!guest_is_ending(&guest));
	userchip_destroy(chip);
	profiles_destroy(&guest.profiles);
	free(arch.cpuid);
}

static void pause_one(struct vcpu *vcpu)
{
	vcpu_want(vcpu, VCPU_PAUSED);
	vcpu_wait(vcpu);
	vcpu_want(vcpu, VCPU_RUNNING);
}

/* ---- devices ---- */

static void *device(void *arg)
{
	unsigned me = (uintptr_t)arg, seed = me;

	for (unsigned n = 1; n <= ROUNDS && (n % BATCH != 1 || !soaked()); n++) {
		unsigned i = dice(&seed) % SOURCES;

		atomic_fetch_add(&raised[vector_of(me, i)], 1);
		irq_raise(&source[me][i], NULL);
		if (n % BATCH)
			continue;
		for (i = 0; i < SOURCES; i++)
			while (atomic_load(&seen[vector_of(me, i)]) != atomic_load(&raised[vector_of(me, i)]))
				sched_yield();
	}
	atomic_fetch_add(&done, 1);
	return NULL;
}

/* As a driver that moves an interrupt to another CPU. */
static void move_source(unsigned n)
{
	struct irq_src *src = &source[n % DEVICES][n / DEVICES % SOURCES];
	struct irq_msg msg = msg_to((n / DEVICES + n / (DEVICES * SOURCES)) % CPUS, vector_of(n % DEVICES, n / DEVICES % SOURCES));

	irq_mask(src, true);
	ck_assert_int_eq(irq_route(src, &msg), 0);
	irq_mask(src, false);
}

/* From not at all to whatever comes; between them what ends while something is brought. */
static void poll_for(unsigned n)
{
	static const uint64_t max[] = {4000000000, 0, 2000, 50000};
	struct poll_rules rules = {.max_ns = max[n % 4], .grow_start_ns = max[n % 4], .grow = 1, .shrink = 1};

	poll_live_set(&polling.live, &rules);
}

/* pauses: they kick, and so may hide what was lost. */
static void soak(bool pauses, bool polls)
{
	struct userchip *chip = power_up(BUSY);
	pthread_t thread[DEVICES];

	for (unsigned n = 0; n < DEVICES * SOURCES; n++) {
		ck_assert_int_eq(irq_open(&source[n % DEVICES][n / DEVICES], &guest.vm, -1), 0);
		move_source(n);
	}
	for (uintptr_t i = 0; i < DEVICES; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, device, (void *)i), 0);
	for (unsigned n = 0; atomic_load(&done) < DEVICES; n++) {
		move_source(n);
		if (pauses && n % 64 == 0)
			pause_one(&cpu[n / 64 % CPUS].vcpu);
		if (polls && n % 16 == 0)
			poll_for(n / 16);
		sched_yield();
	}
	for (unsigned i = 0; i < DEVICES; i++)
		pthread_join(thread[i], NULL);
	power_down(chip);
	for (unsigned n = 0; n < DEVICES * SOURCES; n++)
		irq_close(&source[n % DEVICES][n / DEVICES]);
}

START_TEST(none_is_lost)
{
	soak(false, false);
}
END_TEST

START_TEST(none_is_lost_around_pauses)
{
	soak(true, false);
}
END_TEST

START_TEST(none_is_lost_by_polls)
{
	soak(false, true);
	for (unsigned i = 0; i < CPUS; i++) {
		const struct poller *p = &cpu[i].poller;

		ck_assert(p->hits <= p->polls && p->polls <= p->halts && p->waits <= p->halts);
	}
}
END_TEST

static void all_came(void)
{
	for (unsigned i = 0; i < CPUS; i++) {
		ck_assert_uint_gt(cpu[i].armed, 0);
		ck_assert_uint_eq(seen[TIMER + i], cpu[i].armed);
	}
}

START_TEST(each_deadline_is_polled_for)
{
	struct userchip *chip;

	poll_for(0);
	chip = power_up(TICKING);
	while (atomic_load(&done) < CPUS)
		sched_yield();
	power_down(chip);
	all_came();
	ck_assert_uint_gt(cpu[0].poller.hits + cpu[1].poller.hits, 0);
}
END_TEST

/* Nothing else wakes or kicks these: each deadline comes, and the next one is set when it has been taken. */
START_TEST(each_deadline_comes)
{
	struct userchip *chip = power_up(TICKING);

	while (atomic_load(&done) < CPUS)
		sched_yield();
	power_down(chip);
	all_came();
}
END_TEST

UNIT_MAIN("userchip_threads", none_is_lost, none_is_lost_around_pauses, none_is_lost_by_polls, each_deadline_comes,
	each_deadline_is_polled_for)
