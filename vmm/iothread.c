// SPDX-License-Identifier: Apache-2.0
/* The threads that run device loops; see iothread.h. Made and ended by main. */
#include "vmm/iothread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/util.h"
#include "vmm/vcpu_loop.h"

#define LOOP_DEPTH  256 /* file operations in flight at once */
#define MOVE_NS	    2000000000ULL /* an iothread that gets no CPU for so long is not waited for */

static void iothread_main(void *arg)
{
	struct iothread *io = arg;
	int err = loop_run(io->loop);

	if (!err)
		return;
	atomic_store(&io->err, err); /* for a restart that is under way and hears of no end */
	guest_end(io->guest, END_HOST_FAILURE, "iothread %s: %s", io->name, strerror(-err));
}

/* On the thread itself: its ring or worker is where it belongs before the first request. */
static int iothread_settle(void *arg)
{
	struct iothread *io = arg;

	return loop_own(io->loop);
}

static int move_workers(struct errand *errand)
{
	struct iothread *io = container_of(errand, struct iothread, move);

	return loop_move_workers(io->loop, &io->cpus, sizeof(io->cpus));
}

int iothread_move_workers(struct guest *guest, unsigned i, const cpu_set_t *cpus)
{
	struct iothread *io = &guest->iothread[i];

	io->cpus = *cpus;
	return errand_run(&io->move, io->loop, MOVE_NS, false);
}

/* On the loop's thread, or while it has none. */
static int poll_like_next(struct errand *errand)
{
	struct iothread *io = container_of(errand, struct iothread, repoll);
	unsigned weight = io->next.poll_weight;

	loop_poll(io->loop, io->next.poll_max_ns, weight ? weight : IOTHREAD_POLL_WEIGHT);
	return 0;
}

int iothread_poll(struct iothread *io, const struct iothread_config *how)
{
	int err = errand_idle(&io->repoll) ? 0 : -EBUSY;

	if (err)
		return err;
	io->next = *how;
	err = errand_run(&io->repoll, io->loop, MOVE_NS, false);
	if (!err)
		io->poll = *how;
	return err;
}

static int iothread_open(struct guest *guest, const char *name, const struct iothread_config *cfg)
{
	struct iothread *io = &guest->iothread[guest->niothreads];
	const char *engine, *why;
	char role[32];
	int err;

	io->name = name;
	io->guest = guest;
	errand_init(&io->move, move_workers);
	errand_init(&io->repoll, poll_like_next);
	snprintf(role, sizeof(role), "io:%s", name);
	err = loop_create(&io->loop, role, guest->cfg->io_engine, LOOP_DEPTH);
	if (err)
		return err;
	engine = loop_engine(io->loop, &why);
	io->poll = (struct iothread_config){.poll_max_ns = cfg->poll_max_ns, .poll_weight = cfg->poll_weight};
	io->next = io->poll;
	poll_like_next(&io->repoll);
	loop_place_worker(io->loop, place_worker(&guest->place, guest->niothreads, strcmp(engine, "plain") != 0));
	guest->niothreads++;
	log_info("iothread %s: %s engine%s%s", name, engine, why ? "; " : "", why ? why : "");
	return 0;
}

int iothreads_open(struct guest *guest)
{
	const struct guest_config *cfg = guest->cfg;
	int err;

	guest->iothread = calloc(cfg->niothreads + 1, sizeof(*guest->iothread));
	if (!guest->iothread)
		return -ENOMEM;
	err = iothread_open(guest, "main", &cfg->main_iothread);
	for (unsigned i = 0; !err && i < cfg->niothreads; i++)
		err = iothread_open(guest, cfg->iothreads[i].name, &cfg->iothreads[i]);
	return err;
}

int iothreads_start(struct guest *guest)
{
	for (unsigned i = 0; i < guest->niothreads; i++) {
		struct iothread *io = &guest->iothread[i];
		int err;

		snprintf(io->thread.name, sizeof(io->thread.name), "io:%s", io->name);
		io->thread.place = place_find(&guest->place, PLACE_IOTHREAD, i);
		io->thread.settle = iothread_settle;
		io->thread.fn = iothread_main;
		io->thread.arg = io;
		err = thread_start(&io->thread);
		if (err)
			return err;
		io->started = true;
		place_find(&guest->place, PLACE_WORKER, i)->applied = true;
	}
	return 0;
}

void iothreads_stop(struct guest *guest)
{
	for (unsigned i = 0; i < guest->niothreads; i++) {
		if (!guest->iothread[i].started)
			continue;
		loop_stop(guest->iothread[i].loop);
		thread_join(&guest->iothread[i].thread);
		guest->iothread[i].started = false;
	}
}

struct loop *iothread_loop(struct guest *guest, const char *name)
{
	struct loop *loop = vcpu_loop_named(guest, name);

	if (loop)
		return loop;
	for (unsigned i = 0; i < guest->niothreads; i++)
		if (strcmp(guest->iothread[i].name, name ? name : "main") == 0)
			return guest->iothread[i].loop;
	return NULL;
}
