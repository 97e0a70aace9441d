/* SPDX-License-Identifier: Apache-2.0 */
/* A guest whose threads are threads that wait, for the tests that give running threads another place. */
#ifndef PINVM_TESTS_PLACE_LIVE_UNIT_H
#define PINVM_TESTS_PLACE_LIVE_UNIT_H

#include "tests/unit/place_unit.h"
#include "vmm/log.h"
#include "vmm/place/live.h"
#include "vmm/place/priv.h"

#define VCPUS 3

static struct guest_config cfg;
static struct place place;
static struct place_env env;
static struct log_catch said;
static struct place_change change;

/* What the rings were told. */
static cpu_set_t ring;
static unsigned rings;
static int ring_err;

static struct actor io, vcpu[VCPUS];

static inline int tell_ring(void *arg, unsigned iothread, const cpu_set_t *cpus)
{
	ck_assert_ptr_eq(arg, &rings);
	ck_assert_uint_eq(iothread, 0);
	if (rings++ == 0 && ring_err)
		return ring_err;
	ring = *cpus;
	return 0;
}

/* A guest of VCPUS vCPUs and an iothread, none of them pinned, on two CPUs. False, said: there is one. */
static inline bool begin(bool strict, bool force)
{
	if (!only_two_cpus())
		return false;
	cfg = (struct guest_config){.cpus = {.count = VCPUS, .threads = 1}, .strict_placement = strict, .force = force};
	ck_assert_int_eq(place_plan(&place, &cfg), 0);
	env = (struct place_env){.cfg = &cfg, .root = "", .workers = tell_ring, .arg = &rings};
	actor_start(&io, "io:main");
	place_find(&place, PLACE_IOTHREAD, 0)->tid = io.tid;
	for (int i = 0; i < VCPUS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "vcpu%d", i);
		actor_start(&vcpu[i], name);
		place_find(&place, PLACE_VCPU, i)->tid = vcpu[i].tid;
	}
	ck_assert_uint_eq(place_read(&place), 0);
	return true;
}

static inline void end(void)
{
	for (int i = 0; i < VCPUS; i++)
		if (vcpu[i].id)
			actor_end(&vcpu[i]);
	actor_end(&io);
	free(change.move);
	place_free(&place);
}

static inline int again(bool pin, const char *rules)
{
	char text[2048];
	int err;

	spell(rules, text, sizeof(text));
	free(change.move);
	log_catch(&said);
	err = place_again(&place, &env, pin, text, &change);
	log_catch(NULL);
	memset(text, 'x', sizeof(text)); /* nobody refers to it any more */
	ck_assert_msg(!err == !said.error[0], "%d %s", err, said.error);
	return err;
}

static inline int only_cpu(pid_t tid)
{
	cpu_set_t set;

	ck_assert_int_eq(sched_getaffinity(tid, sizeof(set), &set), 0);
	return CPU_COUNT(&set) != 1 ? -1 : CPU_ISSET(lo, &set) ? lo : hi;
}

static inline int policy(pid_t tid)
{
	return sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK;
}

static inline void refused(bool pin, const char *rules, const char *why)
{
	ck_assert_int_lt(again(pin, rules), 0);
	ck_assert_msg(strstr(said.error, why), "%s: %s", rules, said.error);
	ck_assert_uint_eq(change.n, 0);
}

#endif
