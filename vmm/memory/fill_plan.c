// SPDX-License-Identifier: Apache-2.0
/* What preallocation decides before it starts a thread, and what it says meanwhile; see fill_priv.h. Pure, any thread. */
#include <stdio.h>

#include "vmm/memory/fill_priv.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

uint64_t fill_chunk(const struct fill_area *area)
{
	return area->page > FILL_CHUNK ? area->page : FILL_CHUNK / area->page * area->page;
}

unsigned fill_choice(const struct fill_area *area)
{
	unsigned nodes = CPU_COUNT(&area->nodes);

	if (nodes && area->policy == MEM_POLICY_INTERLEAVE)
		return 1;
	return nodes && area->policy == MEM_POLICY_BIND ? nodes : FILL_LAST;
}

static bool takes_more(const struct fill_group *group)
{
	return group->threads < group->chunks && group->threads < (unsigned)CPU_COUNT(&group->cpus);
}

/* What each thread of the group would have to do with one more of them. */
static uint64_t load(const struct fill_group *group)
{
	return group->bytes / (group->threads + 1);
}

unsigned fill_share(struct fill_group *group, unsigned n, unsigned most)
{
	unsigned total = 0;
	cpu_set_t all;

	CPU_ZERO(&all);
	for (unsigned i = 0; i < n; i++)
		CPU_OR(&all, &all, &group[i].cpus);
	if (most > (unsigned)CPU_COUNT(&all))
		most = CPU_COUNT(&all);
	while (total < most) {
		struct fill_group *best = NULL;

		for (unsigned i = 0; i < n; i++)
			if (takes_more(&group[i]) && (!best || load(&group[i]) > load(best)))
				best = &group[i];
		if (!best)
			break;
		best->threads++;
		total++;
	}
	return total;
}

static void format_size(char *out, size_t n, uint64_t bytes, bool in_gib)
{
	if (in_gib)
		snprintf(out, n, "%.1fG", (double)bytes / GIB);
	else
		snprintf(out, n, "%lluM", (unsigned long long)(bytes / MIB));
}

void fill_progress(char *out, size_t n, uint64_t done, uint64_t total, unsigned threads, uint64_t ns)
{
	char have[32], all[32];

	format_size(have, sizeof(have), done, total >= GIB);
	format_size(all, sizeof(all), total, total >= GIB);
	/* Bytes in a nanosecond are gigabytes in a second. */
	snprintf(out, n, "memory: %s of %s, %u thread%s, %.1f GB/s", have, all, threads, threads == 1 ? "" : "s",
		ns ? (double)done / (double)ns : 0.0);
}
