/* SPDX-License-Identifier: Apache-2.0 */
/* What speaks against a plan of threads, between the files that look for it, and for nobody else. All is main's. */
#ifndef PINVM_PLACE_CHECK_H
#define PINVM_PLACE_CHECK_H

#include "vmm/place/priv.h"

struct check {
	const struct place *place;
	const struct guest_config *cfg;
	const char *root; /* place_plan_at() */
};

/* Each logs one line. Something to be warned of; with --strict-placement a refusal. 0 or -EINVAL. */
int check_doubt(const struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A refusal that --force turns into a doubt. 0 or -EINVAL. */
int check_refuse(const struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Of the whole plan, each: 0, or -EINVAL after check_doubt() or check_refuse(). */
int check_no_exits(const struct check *c); /* check_cpus.c */
int check_vcpus(const struct check *c);
int check_hang(const struct check *c); /* check_policies.c */
int check_realtime(const struct check *c);

static inline int first_cpu(const cpu_set_t *set)
{
	int cpu = 0;

	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, set))
		cpu++;
	return cpu;
}

#endif
