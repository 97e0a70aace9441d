/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup that a guest runs in (--cgroup), cgroup v2: its whole process, so that what the guest costs the
 * host, in iothreads too, has one weight and one limit, and its memory is charged there. pinvm is in it
 * before it allocates RAM, asks which CPUs it may use, or makes a thread. What is done to it is done, and
 * undone, by the guardian (guardian.h), which stays outside. Main.
 */
#ifndef PINVM_CGROUP_CGROUP_H
#define PINVM_CGROUP_CGROUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "vmm/cgroup/find.h"

struct cgroup;
struct guardian;
struct guardian_plan;

/*
 * Find the cgroup that the configuration names, and add to the guardian's plan what is to be done about it.
 * *cgroup is NULL where none is named. 0, or -errno after one logged line.
 */
int cgroup_open(struct cgroup **cgroup, const struct guest_config *cfg, struct guardian_plan *plan);
int cgroup_open_at(
	struct cgroup **cgroup, const struct guest_config *cfg, struct guardian_plan *plan, const char *root);
/*
 * Make it, or take the one that is there; set weight and max; move this process into it; read all of it back.
 * 0, or -errno after one logged line. NULL is fine.
 */
int cgroup_enter(struct cgroup *cgroup, struct guardian *guardian);
/* Close what was open. What was done is the guardian's to undo. NULL is fine. */
void cgroup_free(struct cgroup *cgroup);

/*
 * Another weight (0: as it is) and quota (period 0: as it is), read back. 0, or -errno with the reason in
 * why[n].
 */
int cgroup_set(struct cgroup *cgroup, uint64_t weight, const struct cgroup_max *max, char *why, size_t n);
/* What the kernel says of it, a new object; JSON null: the guest has none. */
json_t *cgroup_json(const struct cgroup *cgroup);

/* For --dry-run: a table of what would be done; nothing where no cgroup is named. 0, or -errno after one
 * logged line. */
int cgroup_print_plan(FILE *out, const struct guest_config *cfg);

#endif
