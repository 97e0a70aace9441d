/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done about a cgroup, and how it is undone, in the order of the guardian's table. Prepared by main,
 * run in the guardian.
 */
#ifndef PINVM_CGROUP_STEPS_H
#define PINVM_CGROUP_STEPS_H

#include <sys/types.h>

#include "vmm/cgroup/find.h"
#include "vmm/guardian.h"

enum cgroup_step {
	CGROUP_MAKE,   /* answer: 1 it was made, 0 it was there */
	CGROUP_WEIGHT, /* the weight */
	CGROUP_MAX,    /* the quota (CGROUP_NO_QUOTA: none) and the period, in microseconds */
	CGROUP_JOIN,   /* the VMM's whole process */
	CGROUP_STEPS
};

/* A file whose content is set, and put back unless somebody else has set it since. */
struct cgroup_kept {
	const char *file;
	char before[64], ours[64];
};

struct cgroup_work {
	const struct cgroup_plan *plan;
	pid_t vmm;
	int parent; /* directory it is made in */
	int home;   /* cgroup.procs of the one the VMM came from; -1: it can not go back there */
	int dir;    /* the guardian's */
	bool made;
	struct cgroup_kept weight, max;
};

/* Open what is needed, and add the steps to the guardian's plan; the first one's number is *first. 0 or
 * -errno, logged. Main. */
int cgroup_steps(struct cgroup_work *work, const struct cgroup_plan *plan, struct guardian_plan *guardian,
	unsigned *first);
/* Main's copies of the descriptors, once the guardian has its own. */
void cgroup_steps_close(struct cgroup_work *work);

#endif
