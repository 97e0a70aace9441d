// SPDX-License-Identifier: Apache-2.0
/*
 * A guest from its first instruction to its exit status: run, pause, reset, stop, and how it comes to its end. Main, but for
 * guest_end() and what asks for its outcome. See guest.h.
 */
#include "vmm/guest_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/power.h"
#include "devices/virtio/virtio.h"
#include "vmm/console/console.h"
#include "vmm/devices.h"
#include "vmm/disk.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/log.h"
#include "vmm/memory/fill.h"
#include "vmm/memory/proof.h"
#include "vmm/profile/kvmstats.h"
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

int guest_watch(struct guest *guest)
{
	int err = signals_open(&guest->signal_fd);

	guest->grace.fn = grace_over;
	guest->timeout.fn = timeout_over;
	guest->signal_ev.fn = on_signal;
	return err ? err : loop_watch(guest->loop, &guest->signal_ev, guest->signal_fd, EPOLLIN);
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
	guest_machine_close(guest);
	err = guest_machine_open(guest);
	if (!err)
		err = guest_load(guest);
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
void guest_settle(struct guest *guest)
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
	guest_settle(guest);
	left_out(guest, "--stats", "its end could not be written", series_end(guest->series));
	place_look(&guest->place);
	haltpoll_look(guest->haltpoll);
	memory_look(guest);
	return guest->status;
}
