/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest: everything built from one configuration, in visible order, and torn down in reverse. The entry of libpinvm.
 * All calls are main's unless said otherwise.
 */
#ifndef PINVM_GUEST_H
#define PINVM_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/config.h"
#include "vmm/irq.h"
#include "vmm/loop/errand.h"
#include "vmm/loop/loop.h"
#include "vmm/memory/mem.h"
#include "vmm/memory/plan.h"
#include "vmm/place/place.h"
#include "vmm/profile/profile.h"
#include "vmm/thread.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* How a guest ended: the exit status of `pinvm run` (even numbers are pinvm's, odd ones the guest's own). */
enum guest_status {
	END_POWEROFF = 0,
	END_USAGE = 2,
	END_SETUP = 4,
	END_HOST_FAILURE = 6,
	END_RESET = 8,
	END_PANIC = 10,
	END_CRASH = 12, /* triple fault, KVM internal error */
	END_STOPPED = 14,
	END_TIMEOUT = 124,
};

struct arch_board;
struct arch_boot;
struct cgroup;
struct console;
struct control;
struct disk;
struct guardian;
struct haltpoll;
struct kvmstats;
struct pci_bus;
struct power;
struct serial;
struct series;
struct tap;
struct virtio_dev;
struct virtio_transport;

struct iothread {
	const char *name; /* as the user typed it; the thread is io:NAME */
	struct loop *loop;
	struct thread thread;
	struct guest *guest;
	bool started;
	_Atomic int err; /* what ended its loop */
	struct errand move; /* of its ring's workers, to `cpus` */
	cpu_set_t cpus;
	struct iothread_config poll; /* as it polls now; no name */
	struct errand repoll;	     /* to `next` */
	struct iothread_config next;
};

struct guest {
	const struct guest_config *cfg;
	struct guardian *guardian; /* NULL: nothing was asked for that needs one */
	struct cgroup *cgroup;	   /* NULL: it stays in the one it was started in */
	struct arch_boot *boot;
	struct place place;
	struct guest_mem mem;
	struct mem_plan memory; /* what RAM was wanted to be, and is */
	struct vm vm;
	struct bus bus;
	struct loop *loop; /* main's own: signals, timers, console */
	struct iothread *iothread;
	unsigned niothreads;
	struct vcpu *vcpu;
	struct profiles profiles;
	struct series *series; /* NULL: none */
	struct kvmstats *kvmstats;
	struct haltpoll *haltpoll;

	struct control *control; /* NULL: no socket */
	struct console *console;
	struct serial *serial;
	struct power *power;
	struct irq_src serial_irq, power_irq;
	struct arch_board *board;
	struct pci_bus *pci; /* NULL: devices are behind virtio-mmio */
	struct virtio_dev *device[CONFIG_MAX_DEVICES]; /* in the order of their slots */
	struct virtio_transport *transport[CONFIG_MAX_DEVICES];
	struct disk *disk[CONFIG_MAX_DEVICES]; /* the back end of a disk, its device's own; NULL: another device */
	struct tap *tap[CONFIG_MAX_DEVICES]; /* likewise of a network device */
	unsigned ndevices;

	struct loop_ev signal_ev;
	int signal_fd;
	struct loop_timer timeout, grace;
	bool stop_asked, reset_asked; /* from outside the guest */
	bool paused;
	bool settled, stuck; /* devices were stopped at the end; one did not drain */
	unsigned restarts;
	uint64_t start_ns; /* CLOCK_MONOTONIC at guest_create() */

	/* How it ends: the first guest_end() takes `ending`, fills the rest, then says `ended`. */
	_Atomic bool ending, ended;
	int status;
	char cause[160];
};

/* Say that the guest has come to its end; the first caller wins. Any thread (devices, vCPUs). cause: words for the report. */
void guest_end(struct guest *guest, int status, const char *cause, ...) __attribute__((format(printf, 3, 4)));

/* True from the first guest_end() on: vCPUs do not enter the guest any more. Any thread. */
bool guest_is_ending(const struct guest *guest);
/* The end was a crash: KVM_RUN must not be called again, not even to complete an exit. Any thread. */
bool guest_is_crashed(const struct guest *guest);
/* Stop in good order: the first time by power button and --grace, the second time at once. Main. */
void guest_stop(struct guest *guest, const char *why);
/* The same with another grace time; 0: at once. A paused guest goes on, or it could not power off. */
void guest_stop_within(struct guest *guest, const char *why, uint64_t grace_ns);

/*
 * While guest_run() runs, from main's loop. guest_pause() returns when no vCPU runs the guest; devices finish what they were
 * given, clocks and --timeout go on. guest_reset() asks for the power-on state, whatever --on-reset says; a paused guest
 * stays paused. All are harmless when there is nothing to do.
 */
void guest_pause(struct guest *guest);
void guest_resume(struct guest *guest);
void guest_reset(struct guest *guest);

/*
 * Build everything up to the first guest instruction. 0, or -errno after one logged line; nothing is left behind. Who
 * embeds this ignores SIGPIPE and SIGXFSZ, as main.c does: they are errors of a write here.
 */
int guest_create(struct guest **guest, const struct guest_config *cfg);
/*
 * Run to the end; --timeout counts from guest_create(). Returns the exit status, with vCPUs parked, devices drained and
 * what they wrote synced.
 */
int guest_run(struct guest *guest);
/*
 * Take it all down. A device whose requests did not drain in bounded time is not waited for: then the terminal and the
 * socket are put in order, and the memory those requests may still touch stays until the process ends.
 */
void guest_destroy(struct guest *guest);

#endif
