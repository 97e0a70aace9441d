/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a cgroup is, and whether this process may use it: cgroup-v2.rst. Reads /proc and the tree of cgroups,
 * changes nothing; `root` is put in front of every path: "" is this host, tests build their own. Main.
 */
#ifndef PINVM_CGROUP_FIND_H
#define PINVM_CGROUP_FIND_H

#include <limits.h>
#include <stdbool.h>

#include "vmm/cgroup/limits.h"
#include "vmm/config.h"

struct cgroup_plan {
	const char *root;
	const char *typed;    /* the configuration's */
	char mount[PATH_MAX]; /* where cgroup v2 is mounted */
	char dir[PATH_MAX];   /* the cgroup */
	char home[PATH_MAX];  /* the one that this process is in; "": it is not to be seen from here */
	bool exists;
	bool cpu;	 /* its CPU time can be shared out: the controller is on for children of its parent */
	bool cpuset;	 /* likewise its CPUs and nodes: then who moves a process needs its capabilities, or CAP_SYS_NICE */
	bool override;	 /* what it is made in can be written by CAP_DAC_OVERRIDE only, if at all */
	uint64_t weight; /* 0: is left as it is */
	struct cgroup_max max; /* period 0: is left as it is */
};

/*
 * Find what --cgroup names and check all that can be checked beforehand. 0, or -errno after one logged line
 * that says what would work. cfg->cgroup.path is set.
 */
int cgroup_find(struct cgroup_plan *plan, const struct guest_config *cfg, const char *root);

/* The parent of plan->dir, and the cgroup's own name behind it. */
void cgroup_parent(const struct cgroup_plan *plan, char parent[PATH_MAX], const char **name);

/* A path that cannot be one, in words that follow "--cgroup PATH: "; NULL: it can. Pure. */
const char *cgroup_check_path(const char *text);

/* The ways to a permission, for messages. */
extern const char cgroup_delegation[];

#endif
