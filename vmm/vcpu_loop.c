// SPDX-License-Identifier: Apache-2.0
/* The loops of vCPUs that serve queues; see vcpu_loop.h. */
#include "vmm/vcpu_loop.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/loop/errand.h"
#include "vmm/loop/loop.h"
#include "vmm/util.h"

#define LOOP_DEPTH 256		 /* file operations in flight at once */
#define MOVE_NS	   2000000000ULL /* a vCPU that gets no CPU for so long is not waited for */

struct vcpu_loop {
	struct loop *loop;
	_Atomic int err; /* the thread's: the guest ends because of it */
	struct errand move; /* of its ring's workers, to `cpus` */
	cpu_set_t cpus;
};

/* ---- main ---- */

static int move_workers(struct errand *errand)
{
	struct vcpu_loop *l = container_of(errand, struct vcpu_loop, move);

	return loop_move_workers(l->loop, &l->cpus, sizeof(l->cpus));
}

int vcpu_loop_move_workers(struct guest *guest, unsigned vcpu, const cpu_set_t *cpus)
{
	struct vcpu_loop *l = guest->vcpu[vcpu].loop;

	l->cpus = *cpus;
	return errand_run(&l->move, l->loop, MOVE_NS, false);
}

static int open_one(struct vcpu *vcpu)
{
	const struct placement *worker = place_find(&vcpu->guest->place, PLACE_WORKER, PLACE_OF_VCPU + vcpu->index);
	struct vcpu_loop *l = calloc(1, sizeof(*l));
	char name[16];
	int err;

	if (!l)
		return log_errno(-ENOMEM, "vCPU %u: event loop", vcpu->index);
	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	l->cpus = worker->cpus;
	errand_init(&l->move, move_workers);
	err = loop_create_passing(&l->loop, name, LOOP_DEPTH, &l->cpus, sizeof(l->cpus));
	if (err)
		free(l);
	else
		vcpu->loop = l;
	return err;
}

int vcpu_loops_open(struct guest *guest)
{
	int err = 0;

	for (unsigned i = 0; !err && i < guest->cfg->cpus.count; i++)
		err = config_vcpu_serves(guest->cfg, i) ? open_one(&guest->vcpu[i]) : 0;
	return err;
}

void vcpu_loops_close(struct guest *guest)
{
	for (unsigned i = 0; guest->vcpu && i < guest->cfg->cpus.count; i++) {
		struct vcpu_loop *l = guest->vcpu[i].loop;

		guest->vcpu[i].loop = NULL;
		if (l)
			loop_destroy(l->loop);
		free(l);
	}
}

struct loop *vcpu_loop_named(struct guest *guest, const char *name)
{
	int n = config_vcpu_of(name);

	return n >= 0 && (unsigned)n < guest->cfg->cpus.count && guest->vcpu[n].loop ? guest->vcpu[n].loop->loop : NULL;
}

int vcpu_loops_error(struct guest *guest)
{
	int err = 0;

	for (unsigned i = 0; !err && i < guest->cfg->cpus.count; i++)
		err = guest->vcpu[i].loop ? atomic_load(&guest->vcpu[i].loop->err) : 0;
	return err;
}

/* ---- the thread ---- */

static void check(struct vcpu *vcpu, int ret)
{
	if (ret >= 0)
		return;
	atomic_store(&vcpu->loop->err, ret);
	guest_end(vcpu->guest, END_HOST_FAILURE, "vCPU %u: its event loop: %s", vcpu->index, strerror(-ret));
}

int vcpu_loop_settle(struct vcpu *vcpu)
{
	struct vcpu_loop *l = vcpu->loop;
	int err = loop_own(l->loop);

	loop_hold(l->loop, true);
	if (!err)
		place_find(&vcpu->guest->place, PLACE_WORKER, PLACE_OF_VCPU + vcpu->index)->applied = true;
	return err;
}

void vcpu_loop_begin(struct vcpu *vcpu)
{
	loop_hold(vcpu->loop->loop, false);
}

void vcpu_loop_serve(struct vcpu *vcpu)
{
	if (!atomic_load_explicit(&vcpu->loop->err, memory_order_relaxed))
		check(vcpu, loop_serve(vcpu->loop->loop, &vcpu->run->immediate_exit));
}

void vcpu_loop_end(struct vcpu *vcpu)
{
	check(vcpu, loop_release(vcpu->loop->loop));
	loop_hold(vcpu->loop->loop, true);
}

void vcpu_loop_sleep(struct vcpu *vcpu, uint64_t until)
{
	if (!atomic_load_explicit(&vcpu->loop->err, memory_order_relaxed))
		check(vcpu, loop_sleep(vcpu->loop->loop, until));
}

bool vcpu_loop_look(struct vcpu *vcpu)
{
	return loop_look(vcpu->loop->loop);
}

bool vcpu_loop_works(const struct vcpu *vcpu)
{
	return !atomic_load_explicit(&vcpu->loop->err, memory_order_relaxed);
}

void vcpu_loop_wake(struct vcpu *vcpu)
{
	loop_nudge(vcpu->loop->loop);
}
