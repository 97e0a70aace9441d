// SPDX-License-Identifier: Apache-2.0
/*
 * A guest from configuration to exit status. guest_create() builds in the order a reader can follow, guest_destroy()
 * takes down in the reverse order; both run on main. See guest.h.
 */
#include "vmm/guest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "arch/arch.h"
#include "devices/power.h"
#include "devices/virtio/virtio.h"
#include "vmm/cgroup/cgroup.h"
#include "vmm/console/console.h"
#include "vmm/control/control.h"
#include "vmm/devices.h"
#include "vmm/disk.h"
#include "vmm/guardian.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/iothread.h"
#include "vmm/log.h"
#include "vmm/memory/fill.h"
#include "vmm/memory/proof.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/profile/profile.h"
#include "vmm/sandbox.h"
#include "vmm/series/series.h"
#include "vmm/signals.h"
#include "vmm/util.h"
#include "vmm/vcpu_loop.h"

#define MEMORY_LOOK_NS 1000000000ULL /* nobody waits longer for the end because of it */

void guest_end(struct guest *guest, int status, const char *cause, ...)
{
	va_list ap;

	if (atomic_exchange(&guest->ending, true))
		return;
	guest->status = status;
	va_start(ap, cause);
	vsnprintf(guest->cause, sizeof(guest->cause), cause, ap);
	va_end(ap);
	atomic_store_explicit(&guest->ended, true, memory_order_release);
	loop_stop(guest->loop);
}

bool guest_is_ending(const struct guest *guest)
{
	return atomic_load_explicit(&guest->ending, memory_order_acquire);
}

bool guest_is_crashed(const struct guest *guest)
{
	return atomic_load_explicit(&guest->ended, memory_order_acquire) && guest->status == END_CRASH;
}

/* ---- signals and time limits, all on main's loop ---- */

static void grace_over(struct loop_timer *timer)
{
	struct guest *guest = container_of(timer, struct guest, grace);

	guest_end(guest, END_STOPPED, "stopped on request; the guest did not power off within the grace time");
}

static void timeout_over(struct loop_timer *timer)
{
	struct guest *guest = container_of(timer, struct guest, timeout);

	guest_end(guest, END_TIMEOUT, "time limit of %g s reached", guest->cfg->timeout_ns / 1e9);
}

void guest_stop_within(struct guest *guest, const char *why, uint64_t grace_ns)
{
	if (guest->stop_asked || !grace_ns) {
		guest_end(guest, END_STOPPED, "stopped on request (%s)", why);
		return;
	}
	guest->stop_asked = true;
	log_note("%s: asking the guest to power off; a second time, or %g s, ends it at once", why, grace_ns / 1e9);
	guest_resume(guest);
	power_button(guest->power);
	loop_timer_set(guest->loop, &guest->grace, grace_ns);
}

void guest_stop(struct guest *guest, const char *why)
{
	guest_stop_within(guest, why, guest->cfg->grace_ns);
}

static void on_signal(struct loop_ev *ev, uint32_t events)
{
	struct guest *guest = container_of(ev, struct guest, signal_ev);
	int sig = signals_take(guest->signal_fd);

	if (sig)
		guest_stop(guest, sigabbrev_np(sig));
}

static int watch_signals(struct guest *guest)
{
	int err = signals_open(&guest->signal_fd);

	guest->signal_ev.fn = on_signal;
	return err ? err : loop_watch(guest->loop, &guest->signal_ev, guest->signal_fd, EPOLLIN);
}

/* ---- the machine ---- */

/* The VM and its vCPUs: slots, interrupt controller, vCPUs, statistics, in the order that keeps KVM from waiting (vm.h). */
static int machine_open(struct guest *guest)
{
	int err = vm_open(&guest->vm);

	if (!err)
		err = haltpoll_apply(guest->haltpoll);
	for (unsigned i = 0; !err && i < guest->cfg->cpus.count; i++)
		err = vcpu_open(&guest->vcpu[i]);
	if (!err)
		kvmstats_open(guest->kvmstats, guest->vm.fd, guest->vcpu);
	if (!err)
		err = arch_vm_ready(&guest->vm);
	return err;
}

static void machine_close(struct guest *guest)
{
	kvmstats_close(guest->kvmstats);
	for (unsigned i = 0; guest->vcpu && i < guest->cfg->cpus.count; i++)
		vcpu_close(&guest->vcpu[i]);
	vm_close(&guest->vm);
}

/* Image and tables into RAM, and the boot CPU at its entry. */
static int load(struct guest *guest)
{
	int err = arch_boot_load(guest->boot, guest->cfg, &guest->mem);

	if (!err)
		err = arch_describe(guest, guest->boot);
	if (!err)
		err = arch_board_start(guest);
	return err ? err : arch_vcpu_boot(&guest->vcpu[0], guest->boot);
}

static int vcpus_alloc(struct guest *guest)
{
	size_t size = guest->cfg->cpus.count * sizeof(*guest->vcpu);

	guest->vcpu = aligned_alloc(_Alignof(struct vcpu), size);
	if (!guest->vcpu)
		return -ENOMEM;
	memset(guest->vcpu, 0, size);
	for (unsigned i = 0; i < guest->cfg->cpus.count; i++) {
		guest->vcpu[i].index = i;
		guest->vcpu[i].guest = guest;
		guest->vcpu[i].fd = -1;
	}
	return kvmstats_create(&guest->kvmstats, guest->cfg->cpus.count);
}

static void vcpus_free(struct guest *guest)
{
	profiles_destroy(&guest->profiles);
	free(guest->vcpu);
}

static int vcpus_start(struct guest *guest)
{
	int err = profiles_create(&guest->profiles, guest->cfg->cpus.count, guest->cfg->profile_times);

	for (unsigned i = 0; !err && i < guest->cfg->cpus.count; i++) {
		guest->vcpu[i].profile = profiles_at(&guest->profiles, i);
		err = vcpu_start(&guest->vcpu[i]);
	}
	return err;
}

/* RAM. Much of it takes long to fill, so a signal or the time limit ends that. */
static int memory_open(struct guest *guest)
{
	struct fill_limits limits = {.stop_fd = guest->signal_fd};

	for (unsigned i = 0; i < guest->place.n; i++)
		if (guest->place.row[i].role == PLACE_VCPU && guest->place.row[i].pinned)
			CPU_OR(&limits.users, &limits.users, &guest->place.row[i].cpus);
	if (guest->cfg->timeout_ns)
		limits.deadline_ns = guest->start_ns + guest->cfg->timeout_ns;
	return mem_create(&guest->mem, &guest->memory, &limits);
}

/*
 * What needs privileges for as long as the guest lives goes to a child, while there is one thread and all of them are here.
 * Before everything else: the cgroup decides which CPUs there are, and is charged for what is allocated.
 */
static int guard(struct guest *guest)
{
	struct guardian_plan plan = {.name = guest->cfg->name};
	int err = cgroup_open(&guest->cgroup, guest->cfg, &plan);

	if (!err && plan.n)
		err = guardian_start(&guest->guardian, &plan);
	return err ? err : cgroup_enter(guest->cgroup, guest->guardian);
}

static int build(struct guest *guest)
{
	int err;

	err = guard(guest);
	if (err)
		return err;
	err = place_plan(&guest->place, guest->cfg);
	if (err)
		return err;
	err = mem_plan(&guest->memory, guest->cfg, "");
	if (err)
		return err;
	err = arch_boot_open(&guest->boot, guest->cfg);
	if (err)
		return err;
	err = loop_create(&guest->loop, "emulator", IO_PLAIN, 0);
	if (err)
		return err;
	err = watch_signals(guest);
	if (err)
		return err;
	err = series_open(&guest->series, guest);
	if (err)
		return err;
	err = vm_init(&guest->vm, guest->cfg, &guest->mem);
	if (err)
		return err;
	err = arch_vm_check(&guest->vm, guest->cfg);
	if (err)
		return err;
	err = control_open(&guest->control, guest);
	if (err)
		return err;
	err = memory_open(guest);
	if (err)
		return err;
	err = vcpus_alloc(guest);
	if (err)
		return err;
	err = haltpoll_create(&guest->haltpoll, guest);
	if (err)
		return err;
	err = machine_open(guest);
	if (err)
		return err;
	err = iothreads_open(guest);
	if (!err)
		err = vcpu_loops_open(guest);
	if (err)
		return err;
	err = board_open(guest);
	if (err)
		return err;
	err = devices_open(guest);
	if (err)
		return err;
	err = load(guest);
	if (err)
		return err;
	bus_freeze(&guest->bus);
	err = iothreads_start(guest);
	if (err)
		return err;
	err = vcpus_start(guest);
	if (err)
		return err;
	/* Main last: its children needed its rights to take their places, and were not to inherit its policy. */
	err = place_apply(place_find(&guest->place, PLACE_EMULATOR, 0));
	if (err)
		return err;
	err = place_helpers(&guest->place);
	if (!err)
		err = haltpoll_start(guest->haltpoll);
	return err ? err : sandbox_drop();
}

int guest_create(struct guest **out, const struct guest_config *cfg)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	int err;

	*out = NULL;
	if (!guest)
		return -ENOMEM;
	guest->cfg = cfg;
	guest->start_ns = now_ns();
	guest->signal_fd = -1;
	guest->vm.fd = guest->vm.kvm_fd = -1;
	guest->grace.fn = grace_over;
	guest->timeout.fn = timeout_over;
	err = build(guest);
	if (err) {
		guest_destroy(guest);
		guest = NULL;
	}
	*out = guest;
	return err;
}

/* ---- running ---- */

static void vcpus_go(struct guest *guest)
{
	for (unsigned i = 0; !guest->paused && i < guest->cfg->cpus.count; i++)
		vcpu_want(&guest->vcpu[i], VCPU_RUNNING);
}

static void vcpus_pause(struct guest *guest)
{
	for (unsigned i = 0; i < guest->cfg->cpus.count; i++)
		vcpu_want(&guest->vcpu[i], VCPU_PAUSED);
	for (unsigned i = 0; i < guest->cfg->cpus.count; i++)
		vcpu_wait(&guest->vcpu[i]);
}

void guest_pause(struct guest *guest)
{
	if (guest->paused || guest_is_ending(guest))
		return;
	guest->paused = true;
	vcpus_pause(guest);
	log_info("guest paused");
}

void guest_resume(struct guest *guest)
{
	if (!guest->paused || guest_is_ending(guest))
		return;
	guest->paused = false;
	for (unsigned i = 0; i < guest->cfg->cpus.count; i++)
		vcpu_was_paused(&guest->vcpu[i]);
	vcpus_go(guest);
	log_info("guest resumed");
}

void guest_reset(struct guest *guest)
{
	guest->reset_asked = true;
	guest_end(guest, END_RESET, "reset on request");
}

/*
 * Power-on state in a new VM; RAM, threads, loops and open files stay. A new VM because a reset of the old one would
 * leave KVM's own writers (kvmclock, steal time) pointed at RAM the next kernel uses for other things.
 */
static int restart(struct guest *guest)
{
	int err;

	guest->restarts++;
	log_info("guest reset, restart %u", guest->restarts);
	err = devices_reset(guest);
	if (err)
		return err;
	kvmstats_keep(guest->kvmstats);
	machine_close(guest);
	err = machine_open(guest);
	if (!err)
		err = load(guest);
	if (!err)
		err = vcpu_prime(&guest->vcpu[0]);
	if (!err)
		err = place_helpers(&guest->place);
	if (err)
		return err;
	guest->reset_asked = false;
	atomic_store(&guest->ended, false);
	atomic_store(&guest->ending, false);
	for (unsigned i = 0; !err && i < guest->niothreads; i++)
		err = atomic_load(&guest->iothread[i].err);
	return err ? err : vcpu_loops_error(guest);
}

/* From guest_create() on, so that a set-up that takes long counts too. */
static void timeout_start(struct guest *guest)
{
	uint64_t limit = guest->cfg->timeout_ns, used = now_ns() - guest->start_ns;

	if (limit)
		loop_timer_set(guest->loop, &guest->timeout, limit > used ? limit - used : 0);
}

/* A guest that comes back up instead of powering off does not get away from being stopped. */
static bool wants_restart(struct guest *guest)
{
	if (guest->status != END_RESET || !guest->stop_asked)
		return guest->status == END_RESET && (guest->reset_asked || guest->cfg->on_reset == ON_RESET_RESTART);
	guest->status = END_STOPPED;
	snprintf(guest->cause, sizeof(guest->cause), "stopped on request; %s",
		guest->reset_asked ? "it came while a reset was being made" : "the guest reset itself instead of powering off");
	return false;
}

/* A guest that powered off did well; the host did not. */
static void left_out(struct guest *guest, const char *of, const char *what, int err)
{
	if (!err || guest->status != END_POWEROFF)
		return;
	guest->status = END_HOST_FAILURE;
	snprintf(guest->cause, sizeof(guest->cause), "%s: %s: %s", of, what, strerror(-err));
}

/* No vCPU runs any more: let the devices finish what they have, and make what was written stable. */
static void settle(struct guest *guest)
{
	guest->settled = true;
	guest->stuck = devices_drain(guest) != 0;
	for (unsigned i = 0; !guest->stuck && i < guest->ndevices; i++)
		if (guest->disk[i])
			left_out(guest, guest->device[i]->name, "what the guest wrote last may be lost", disk_sync(guest->disk[i]));
}

/* Where RAM lies at the end, for whoever asked where it is to lie, or for a report. A second signal cuts it short. */
static void memory_look(struct guest *guest)
{
	struct fill_limits limits = {.stop_fd = guest->signal_fd, .deadline_ns = now_ns() + MEMORY_LOOK_NS};

	if (guest->cfg->report || guest->memory.prealloc || mem_is_bound(&guest->memory))
		mem_look(&guest->memory, &guest->mem, &limits);
}

int guest_run(struct guest *guest)
{
	int err;

	timeout_start(guest);
	err = series_begin(guest->series);
	if (err)
		guest_end(guest, END_HOST_FAILURE, "--stats %s: %s", guest->cfg->stats.path, strerror(-err));
	for (;;) {
		vcpus_go(guest);
		err = loop_run(guest->loop);
		if (err)
			guest_end(guest, END_HOST_FAILURE, "main loop: %s", strerror(-err));
		vcpus_pause(guest);
		if (!wants_restart(guest))
			break;
		err = restart(guest);
		if (err) {
			guest->status = END_HOST_FAILURE;
			snprintf(guest->cause, sizeof(guest->cause), "restart after a guest reset: %s", strerror(-err));
			break;
		}
	}
	console_flush(guest->console); /* the verdict comes behind the guest's last word */
	settle(guest);
	left_out(guest, "--stats", "its end could not be written", series_end(guest->series));
	place_look(&guest->place);
	haltpoll_look(guest->haltpoll);
	memory_look(guest);
	return guest->status;
}

void guest_destroy(struct guest *guest)
{
	bool drained;

	for (unsigned i = 0; guest->vcpu && i < guest->cfg->cpus.count; i++)
		vcpu_join(&guest->vcpu[i]);
	if (!guest->settled)
		settle(guest);
	drained = !guest->stuck;
	iothreads_stop(guest);
	/*
	 * Requests that the host does not end keep what they use: the kernel, or the plain engine's worker, still writes
	 * there. Devices, loops and RAM then stay until the process ends.
	 */
	if (drained)
		devices_close(guest);
	board_close(guest);
	for (unsigned i = guest->niothreads; drained && i-- > 0;)
		loop_destroy(guest->iothread[i].loop);
	if (drained)
		vcpu_loops_close(guest);
	control_close(guest->control);
	series_close(guest->series);
	haltpoll_destroy(guest->haltpoll);
	signals_close(&guest->signal_fd);
	loop_destroy(guest->loop);
	machine_close(guest);
	kvmstats_destroy(guest->kvmstats);
	vcpus_free(guest);
	vm_exit(&guest->vm);
	arch_boot_close(guest->boot);
	if (drained)
		mem_destroy(&guest->mem);
	guardian_end(guest->guardian);
	cgroup_free(guest->cgroup);
	if (!drained)
		return;
	free(guest->iothread);
	place_free(&guest->place);
	free(guest);
}
