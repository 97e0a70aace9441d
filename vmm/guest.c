// SPDX-License-Identifier: Apache-2.0
/*
 * A guest from configuration to its first instruction, and away again: guest_create() builds in the order a reader can
 * follow, guest_destroy() takes down in the reverse order; both run on main. See guest.h; what lies between is guest_run.c.
 */
#include "vmm/guest_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/cgroup/cgroup.h"
#include "vmm/control/control.h"
#include "vmm/devices.h"
#include "vmm/guardian.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/iothread.h"
#include "vmm/memory/fill.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/profile/profile.h"
#include "vmm/sandbox.h"
#include "vmm/series/series.h"
#include "vmm/signals.h"
#include "vmm/util.h"
#include "vmm/vcpu_loop.h"

/* ---- the machine ---- */

/* The VM and its vCPUs: slots, interrupt controller, vCPUs, statistics, in the order that keeps KVM from waiting (vm.h). */
int guest_machine_open(struct guest *guest)
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

void guest_machine_close(struct guest *guest)
{
	kvmstats_close(guest->kvmstats);
	for (unsigned i = 0; guest->vcpu && i < guest->cfg->cpus.count; i++)
		vcpu_close(&guest->vcpu[i]);
	vm_close(&guest->vm);
}

/* Image and tables into RAM, and the boot CPU at its entry. */
int guest_load(struct guest *guest)
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
	err = guest_watch(guest);
	if (err)
		return err;
	err = series_open(&guest->series, guest);
	if (err)
		return err;
	err = vm_init(&guest->vm, guest->cfg, &guest->mem);
	if (err)
		return err;
	err = arch_vm_check(&guest->vm, guest->cfg);
	if (!err)
		err = haltpoll_check(&guest->vm);
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
	err = guest_machine_open(guest);
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
	err = guest_load(guest);
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
	err = build(guest);
	if (err) {
		guest_destroy(guest);
		guest = NULL;
	}
	*out = guest;
	return err;
}

void guest_destroy(struct guest *guest)
{
	bool drained;

	for (unsigned i = 0; guest->vcpu && i < guest->cfg->cpus.count; i++)
		vcpu_join(&guest->vcpu[i]);
	if (!guest->settled)
		guest_settle(guest);
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
	guest_machine_close(guest);
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
