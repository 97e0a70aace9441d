// SPDX-License-Identifier: Apache-2.0
/* What the kernel had counted of a thread when it was placed; see place.h. The thread itself, or main. */
#include <stdio.h>

#include "vmm/hostfile.h"
#include "vmm/place/priv.h"

void place_count(struct placement *p, pid_t tid)
{
	char path[64], text[HOSTFILE_MAX];

	snprintf(path, sizeof(path), "/proc/self/task/%d/sched", (int)tid);
	p->counted = !hostfile_text("", path, text, sizeof(text)) &&
		     hostfile_number(text, "nr_involuntary_switches", &p->switches_before) &&
		     hostfile_number(text, "se.nr_migrations", &p->migrations_before);
}
