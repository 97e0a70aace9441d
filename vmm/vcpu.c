// SPDX-License-Identifier: Apache-2.0
/*
 * The vCPU thread. It runs the guest while it is wanted to, and parks otherwise; see vcpu.h.
 *
 * A kick is a signal whose handler sets this vCPU's immediate_exit: before KVM_RUN it makes the next call return at
 * once, inside KVM_RUN it interrupts it. The flag is cleared before `want` is looked at, so no kick is lost.
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/profile/profile.h"
#include "vmm/util.h"
#include "vmm/vcpu_loop.h"

static __thread struct kvm_run *my_run;

static void on_kick(int sig)
{
	if (my_run)
		my_run->immediate_exit = 1;
}

int vcpu_open(struct vcpu *vcpu)
{
	struct vm *vm = &vcpu->guest->vm;
	int err;

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, arch_vcpu_id(vm->cfg, vcpu->index));
	if (vcpu->fd < 0)
		return log_errno(-errno, "KVM_CREATE_VCPU %u", vcpu->index);
	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		err = log_errno(-errno, "vCPU %u: mmap of kvm_run", vcpu->index);
		vcpu->run = NULL;
	} else {
		err = arch_vcpu_init(vcpu);
	}
	if (err)
		vcpu_close(vcpu);
	return err;
}

void vcpu_close(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->guest->vm.run_size);
	vcpu->run = NULL;
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->fd = -1;
}

int vcpu_prime(struct vcpu *vcpu)
{
	int err;

	vcpu->run->immediate_exit = 1;
	err = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
	vcpu->run->immediate_exit = 0;
	vcpu_count_exit(vcpu, KVM_EXIT_INTR);
	return err && err != EINTR ? log_errno(-err, "vCPU %u: first KVM_RUN", vcpu->index) : 0;
}

/* Once a process, where the thread is to stay; the first one also does what is done once a VM, and first. */
static int settle(void *arg)
{
	struct vcpu *vcpu = arg;
	int err = vcpu->loop ? vcpu_loop_settle(vcpu) : 0;

	profile_settle(vcpu->profile, &vcpu->guest->bus, vcpu->guest->cfg->profile_times);
	return !err && vcpu->index == 0 ? vcpu_prime(vcpu) : err;
}

/* The guest can not go on: leave what is known in the log, and never enter it again. */
static void fatal_exit(struct vcpu *vcpu, const char *what, uint64_t detail)
{
	const char *name = vcpu_exit_name(vcpu->run->exit_reason);

	log_err("vCPU %u: %s (exit reason %u, %s, detail %#llx)", vcpu->index, what, vcpu->run->exit_reason,
		name ? name : "unknown", (unsigned long long)detail);
	arch_vcpu_dump(vcpu);
	guest_end(vcpu->guest, END_CRASH, "vCPU %u: %s", vcpu->index, what);
}

static void system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		guest_end(vcpu->guest, END_POWEROFF, "guest powered off");
		break;
	case KVM_SYSTEM_EVENT_RESET:
		guest_end(vcpu->guest, END_RESET, "guest reset");
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		guest_end(vcpu->guest, END_PANIC, "guest reported a crash");
		break;
	default:
		fatal_exit(vcpu, "unknown system event", vcpu->run->system_event.type);
	}
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		if (run->mmio.is_write)
			bus_write(&vcpu->guest->bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
		else
			bus_read(&vcpu->guest->bus, BUS_MMIO, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(vcpu);
		break;
	case KVM_EXIT_SHUTDOWN:
		fatal_exit(vcpu, "triple fault", 0);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fatal_exit(vcpu, run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION ?
				"KVM can not emulate an instruction" : "KVM internal error", run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fatal_exit(vcpu, "the CPU refused to enter the guest", run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		ret = arch_vcpu_exit(vcpu);
		if (ret < 0)
			fatal_exit(vcpu, "an exit that nobody handles", 0);
	}
}

/* KVM_RUN came back with an exit to handle. */
static void exited(struct vcpu *vcpu)
{
	vcpu_count_exit(vcpu, vcpu->run->exit_reason);
	profile_exit(vcpu->profile, vcpu->run);
	handle_exit(vcpu);
}

bool vcpu_is_wanted(struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->want, memory_order_acquire) == VCPU_RUNNING && !guest_is_ending(vcpu->guest);
}

/* An I/O exit is complete only when KVM_RUN is entered again: do that without running the guest. */
static void complete_exit(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	/* An access in several fragments exits once for each. */
	while (!guest_is_crashed(vcpu->guest)) {
		if (ioctl(vcpu->fd, KVM_RUN, 0)) {
			vcpu_count_exit(vcpu, KVM_EXIT_INTR);
			break;
		}
		exited(vcpu);
	}
	vcpu->run->immediate_exit = 0;
}

/* What main wants to know and only this thread can ask KVM without waiting; after a kick. */
static void answer(struct vcpu *vcpu)
{
	if (!atomic_exchange_explicit(&vcpu->polls_asked, false, memory_order_acquire))
		return;
	atomic_store_explicit(&vcpu->guest_polls, arch_vcpu_guest_polls(vcpu), memory_order_relaxed);
}

/*
 * KVM_RUN came back with nothing to handle: by a kick or a timer's signal, by what came for queues that this thread serves, or
 * because the guest started this CPU.
 */
static void interrupted(struct vcpu *vcpu)
{
	vcpu_count_exit(vcpu, KVM_EXIT_INTR);
	profile_interrupted(vcpu->profile);
	answer(vcpu);
}

static void run_guest(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	bool incomplete = false;

	my_run = run;
	profile_begin(vcpu->profile);
	if (vcpu->loop)
		vcpu_loop_begin(vcpu);
	while (run->immediate_exit = 0, atomic_signal_fence(memory_order_seq_cst), vcpu_is_wanted(vcpu)) {
		int err;

		if (vcpu->loop)
			vcpu_loop_serve(vcpu);
		if (vcpu->hooks && !vcpu->hooks->enter(vcpu))
			continue;
		profile_enter(vcpu->profile);
		err = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
		profile_leave(vcpu->profile);
		if (vcpu->hooks)
			vcpu->hooks->left(vcpu);
		incomplete = false;
		if (err == EINTR || err == EAGAIN) {
			interrupted(vcpu);
			continue;
		}
		if (err) {
			vcpu_count_exit(vcpu, KVM_EXIT_INTR);
			log_errno(-err, "vCPU %u: KVM_RUN", vcpu->index);
			arch_vcpu_dump(vcpu);
			guest_end(vcpu->guest, END_HOST_FAILURE, "vCPU %u: KVM_RUN: %s", vcpu->index, strerror(err));
			break;
		}
		exited(vcpu);
		incomplete = true;
	}
	if (vcpu->loop)
		vcpu_loop_end(vcpu);
	profile_end(vcpu->profile);
	if (incomplete)
		complete_exit(vcpu);
	my_run = NULL;
}

/* Until `want` may have changed. One that serves queues finishes what it was given meanwhile. Holds the lock again. */
static void park(struct vcpu *vcpu)
{
	if (!vcpu->loop || !vcpu_loop_works(vcpu)) {
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
		return;
	}
	pthread_mutex_unlock(&vcpu->lock);
	vcpu_loop_sleep(vcpu, UINT64_MAX);
	pthread_mutex_lock(&vcpu->lock);
}

static void vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->want != VCPU_ENDED) {
		if (vcpu_is_wanted(vcpu)) {
			vcpu->is = VCPU_RUNNING;
			pthread_mutex_unlock(&vcpu->lock);
			run_guest(vcpu);
			pthread_mutex_lock(&vcpu->lock);
		}
		vcpu->is = VCPU_PAUSED;
		pthread_cond_broadcast(&vcpu->changed);
		if (vcpu->want != VCPU_ENDED && !vcpu_is_wanted(vcpu))
			park(vcpu);
	}
	pthread_mutex_unlock(&vcpu->lock);
}

int vcpu_start(struct vcpu *vcpu)
{
	struct sigaction action = {.sa_handler = on_kick};
	int err;

	if (vcpu->index == 0) /* once for the process */
		sigaction(THREAD_KICK_SIGNAL, &action, NULL);
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->changed, NULL);
	vcpu->want = vcpu->is = VCPU_PAUSED;
	snprintf(vcpu->thread.name, sizeof(vcpu->thread.name), "vcpu%u", vcpu->index);
	vcpu->thread.kickable = true;
	vcpu->thread.place = place_find(&vcpu->guest->place, PLACE_VCPU, vcpu->index);
	vcpu->thread.settle = settle;
	vcpu->thread.fn = vcpu_thread;
	vcpu->thread.arg = vcpu;
	err = thread_start(&vcpu->thread);
	vcpu->started = !err;
	return err;
}

void vcpu_want(struct vcpu *vcpu, enum vcpu_state want)
{
	bool runs;

	if (!vcpu->started)
		return;
	pthread_mutex_lock(&vcpu->lock);
	atomic_store_explicit(&vcpu->want, want, memory_order_release);
	runs = vcpu->is == VCPU_RUNNING;
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
	if (runs) /* a parked one looks at `want` before it enters the guest */
		vcpu_kick(vcpu);
	else if (vcpu->loop)
		vcpu_loop_wake(vcpu);
}

void vcpu_wait(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->is == VCPU_RUNNING)
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_was_paused(struct vcpu *vcpu)
{
	ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0); /* fails for a guest that does not use that clock */
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	vcpu_want(vcpu, VCPU_ENDED);
	thread_join(&vcpu->thread);
	vcpu->started = false;
	pthread_cond_destroy(&vcpu->changed);
	pthread_mutex_destroy(&vcpu->lock);
}

void vcpu_kick(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	if (vcpu->hooks)
		vcpu->hooks->wake(vcpu);
	pthread_kill(vcpu->thread.id, THREAD_KICK_SIGNAL);
}
