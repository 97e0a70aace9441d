// SPDX-License-Identifier: Apache-2.0
/* What guest RAM is made of, in the kernel's words; see proof.h. proc(5) for smaps. */
#include "vmm/memory/proof.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/memory/fill.h"
#include "vmm/memory/pages.h"
#include "vmm/options/values.h"
#include "vmm/place/place.h"

#define BATCH	  1024 /* pages a call asks about */
#define ASK_TIMES 3
#define ROUNDING  4 /* pages that a node may have more or less than its share */
#define GIB	  (1ULL << 30)

struct text {
	char s[128];
};

static struct text policy_text(enum mem_policy policy, const node_set *nodes)
{
	struct text t = {""};

	mem_format_policy(policy, nodes, t.s, sizeof(t.s));
	return t;
}

static struct text range_text(const struct mem_block *b)
{
	struct text t = {""};

	snprintf(t.s, sizeof(t.s), "guest memory %#" PRIx64 "-%#" PRIx64, b->gpa, b->gpa + b->size - 1);
	return t;
}

/* ---- policy and nodes ---- */

/* The node of a page that is there for sure: a page that is not would be made. */
static int node_at(void *addr)
{
	int node;

	return syscall(SYS_get_mempolicy, &node, NULL, 0UL, addr, (unsigned long)(MPOL_F_NODE | MPOL_F_ADDR)) < 0 ? -errno : node;
}

static void count_node(const struct mem_plan *plan, struct mem_block *b, void *at, int node)
{
	/* Some kernels of 2022 and 2023 do not find the largest pages. */
	if (node == -ENOENT && plan->prealloc && plan->page >= GIB)
		node = node_at(at);
	b->checked += plan->page;
	if (node < 0 || node >= MEM_HOST_NODES) /* -ENOENT: not there yet */
		return;
	b->present += plan->page;
	CPU_SET(node, &b->on);
	b->on_node[node] += plan->page;
	if ((b->policy == MEM_POLICY_BIND || b->policy == MEM_POLICY_INTERLEAVE) && !CPU_ISSET(node, &b->nodes))
		b->misplaced += plan->page;
}

/* The node of every page that is there. 0, -errno, or what ends it early, not logged. */
static int ask_nodes(const struct mem_plan *plan, struct mem_block *b, uint8_t *host, const struct fill_limits *limits)
{
	void *at[BATCH];
	int status[BATCH];

	for (uint64_t off = 0; off < b->size;) {
		unsigned n = 0;
		int err = fill_is_over(limits);

		if (err)
			return err;
		for (; n < BATCH && off < b->size; n++, off += plan->page)
			at[n] = host + off;
		if (syscall(SYS_move_pages, 0, (unsigned long)n, at, NULL, status, 0) < 0)
			return -errno;
		for (unsigned i = 0; i < n; i++)
			count_node(plan, b, at[i], status[i]);
	}
	return 0;
}

static int compare_policy(const struct mem_block *b)
{
	if (b->actual_policy == b->policy && CPU_EQUAL(&b->actual_nodes, &b->nodes))
		return 0;
	log_err("%s: wanted %s, the kernel says %s", range_text(b).s, policy_text(b->policy, &b->nodes).s,
		policy_text(b->actual_policy, &b->actual_nodes).s);
	return -EXDEV;
}

/*
 * Each node has its share of what is interleaved. The kernel deals out pages in turn, of whatever size it takes, and falls
 * back to another node without a word where one has none left.
 */
static int compare_shares(const struct mem_plan *plan, const struct mem_block *b)
{
	bool fixed = plan->pages == MEM_PAGES_HUGETLB || plan->pages == MEM_PAGES_SMALL;
	uint64_t slack = ROUNDING * (fixed ? plan->page : pages_thp_size()), share = b->size / CPU_COUNT(&b->nodes);

	for (unsigned i = 0; i < MEM_HOST_NODES; i++) {
		if (!CPU_ISSET(i, &b->nodes) || (b->on_node[i] + slack >= share && b->on_node[i] <= share + slack))
			continue;
		log_err("%s: wanted %s, node %u has %" PRIu64 " of %" PRIu64 " MiB and its share is %" PRIu64, range_text(b).s,
			policy_text(b->policy, &b->nodes).s, i, b->on_node[i] >> 20, b->size >> 20, share >> 20);
		return -EXDEV;
	}
	return 0;
}

static int compare_nodes(const struct mem_plan *plan, const struct mem_block *b)
{
	char where[256];

	if (b->misplaced) {
		place_format_cpus(&b->on, where, sizeof(where));
		log_err("%s: wanted on %s, its pages lie on nodes %s", range_text(b).s, policy_text(b->policy, &b->nodes).s, where);
		return -EXDEV;
	}
	if (plan->prealloc && b->present < b->size) {
		log_err("%s: only %" PRIu64 " of %" PRIu64 " MiB are there after preallocation", range_text(b).s,
			b->present >> 20, b->size >> 20);
		return -EXDEV;
	}
	return plan->prealloc && b->policy == MEM_POLICY_INTERLEAVE ? compare_shares(plan, b) : 0;
}

/* ---- page size, transparent huge pages, locks ---- */

struct vma {
	uint64_t start, end;
	uint64_t page, huge, locked; /* bytes */
};

/* Take a finished mapping into the blocks it is part of. Figures of one that holds several blocks are shared out. */
static void take_vma(struct mem_plan *plan, const struct guest_mem *mem, const struct vma *vma)
{
	for (unsigned i = 0; i < plan->n; i++) {
		struct mem_block *b = &plan->block[i];
		uint64_t host = (uintptr_t)mem_at(mem, b->gpa, b->size), end = host + b->size, part;
		uint64_t from = host > vma->start ? host : vma->start, to = end < vma->end ? end : vma->end;

		if (from >= to)
			continue;
		part = to - from;
		/* The smallest page decides: a block on pages of two sizes is not what anybody wanted. */
		if (!b->actual_page || vma->page < b->actual_page)
			b->actual_page = vma->page;
		b->huge += (double)vma->huge * part / (vma->end - vma->start);
		b->locked += (double)vma->locked * part / (vma->end - vma->start);
	}
}

static int read_smaps(struct mem_plan *plan, const struct guest_mem *mem)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	struct vma vma = {0};
	char line[512], key[64];
	uint64_t start, end, kb;

	if (!f)
		return log_errno(-errno, "/proc/self/smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
			take_vma(plan, mem, &vma);
			vma = (struct vma){.start = start, .end = end};
		} else if (sscanf(line, "%63[A-Za-z]: %" SCNu64 " kB", key, &kb) == 2) {
			if (!strcmp(key, "KernelPageSize"))
				vma.page = kb << 10;
			else if (!strcmp(key, "AnonHugePages") || !strcmp(key, "ShmemPmdMapped"))
				vma.huge += kb << 10;
			else if (!strcmp(key, "Locked"))
				vma.locked = kb << 10;
		}
	}
	take_vma(plan, mem, &vma);
	fclose(f);
	return 0;
}

/* Why transparent huge pages were not given. */
static const char *huge_why(void)
{
	char enabled[8];

	if (!hostfile_line("", "/proc/self/status", "THP_enabled:", enabled, sizeof(enabled)) && !strcmp(enabled, "0"))
		return "they are switched off for this process (PR_SET_THP_DISABLE of whoever started it)";
	return "too little of the host's memory is in one piece; echo 1 > /proc/sys/vm/compact_memory may help";
}

/* Transparent huge pages are a wish that the kernel may not fulfil: said, and refused only where that was asked for. */
static int compare_huge(const struct mem_plan *plan, const struct mem_block *b)
{
	bool strict = plan->cfg->strict_placement;

	if (plan->pages != MEM_PAGES_THP || !plan->prealloc || b->huge >= b->huge_room / 10 * 9)
		return 0;
	log_line(strict ? LOG_ERROR : LOG_WARN, "%s: %" PRIu64 " of %" PRIu64 " MiB lie on huge pages: %s%s", range_text(b).s,
		b->huge >> 20, b->huge_room >> 20, huge_why(), strict ? " (--strict-placement)" : "");
	return strict ? -EXDEV : 0;
}

static int compare_pages(const struct mem_plan *plan, const struct mem_block *b)
{
	if (b->actual_page != plan->page) {
		log_err("%s: wanted on pages of %" PRIu64 " KiB, the kernel says %" PRIu64, range_text(b).s, plan->page >> 10,
			b->actual_page >> 10);
		return -EXDEV;
	}
	if (plan->lock && plan->prealloc && plan->pages != MEM_PAGES_HUGETLB && b->locked < b->size) {
		log_err("%s: only %" PRIu64 " of %" PRIu64 " MiB are locked", range_text(b).s, b->locked >> 20, b->size >> 20);
		return -EXDEV;
	}
	return compare_huge(plan, b);
}

/* ---- the whole ---- */

int mem_compare(const struct mem_plan *plan, const struct mem_block *b)
{
	int err = b->nodes_why ? compare_policy(b) : 0;

	/* Where nobody cares which node it is, the kernel need not tell. */
	if (!err && (b->nodes_why || b->checked))
		err = compare_nodes(plan, b);
	return err ? err : compare_pages(plan, b);
}

static void forget_nodes(struct mem_block *b)
{
	b->checked = b->present = b->misplaced = 0;
	CPU_ZERO(&b->on);
	memset(b->on_node, 0, sizeof(b->on_node));
}

static void forget(const struct guest_mem *mem, struct mem_block *b)
{
	uint64_t thp = pages_thp_size(), host = (uintptr_t)mem_at(mem, b->gpa, b->size);
	uint64_t from = (host + thp - 1) & -thp, to = (host + b->size) & -thp;

	b->huge_room = from < to ? to - from : 0;
	b->actual_page = b->huge = b->locked = 0;
	forget_nodes(b);
}

/* All of it is there. A page that the kernel moves just now (compaction) is not found, so a gap is looked at again. */
static int ask_filled(const struct mem_plan *plan, struct mem_block *b, uint8_t *host, const struct fill_limits *limits)
{
	int err = 0;

	for (int i = 0; !err && i < ASK_TIMES && b->present < b->size; i++) {
		forget_nodes(b);
		err = ask_nodes(plan, b, host, limits);
	}
	return err;
}

/* Without preallocation nothing is there yet, so there is nothing to ask for but the policy. */
static int ask_block(const struct mem_plan *plan, const struct guest_mem *mem, struct mem_block *b,
	const struct fill_limits *limits)
{
	uint8_t *host = mem_at(mem, b->gpa, b->size);
	int err = b->nodes_why ? numa_policy_at(host, &b->actual_policy, &b->actual_nodes) : 0;

	if (err)
		return log_errno(err, "%s: get_mempolicy", range_text(b).s);
	err = plan->prealloc ? ask_filled(plan, b, host, limits) : 0;
	if (!err || err == -ECANCELED || err == -ETIME)
		return err;
	if (b->nodes_why)
		return log_errno(err, "%s: move_pages", range_text(b).s);
	log_debug("%s: the kernel does not tell its nodes (move_pages: %s)", range_text(b).s, strerror(-err));
	return 0;
}

int mem_prove(struct mem_plan *plan, const struct guest_mem *mem, const struct fill_limits *limits)
{
	int err = 0;

	if (!plan->prealloc && !plan->lock && plan->pages == MEM_PAGES_DEFAULT && !mem_is_bound(plan))
		return 0;
	for (unsigned i = 0; !err && i < plan->n; i++) {
		forget(mem, &plan->block[i]);
		err = ask_block(plan, mem, &plan->block[i], limits);
	}
	if (!err)
		err = read_smaps(plan, mem);
	for (unsigned i = 0; !err && i < plan->n; i++) {
		err = mem_compare(plan, &plan->block[i]);
		plan->block[i].proven = !err;
	}
	return err;
}

uint64_t mem_look(struct mem_plan *plan, const struct guest_mem *mem, const struct fill_limits *limits)
{
	uint64_t misplaced = 0;

	for (unsigned i = 0; i < plan->n; i++) {
		struct mem_block *b = &plan->block[i];
		uint8_t *host = mem_at(mem, b->gpa, b->size);
		int err;

		forget(mem, b);
		err = ask_nodes(plan, b, host, limits);
		if (err)
			log_debug("%s: %" PRIu64 " of %" PRIu64 " MiB looked at: %s", range_text(b).s, b->checked >> 20,
				b->size >> 20, strerror(-err));
		if (b->nodes_why)
			numa_policy_at(host, &b->actual_policy, &b->actual_nodes);
		if (b->misplaced)
			log_err("%s: wanted on %s, at the end %" PRIu64 " KiB lie on other nodes", range_text(b).s,
				policy_text(b->policy, &b->nodes).s, b->misplaced >> 10);
		misplaced += b->misplaced;
	}
	if (!read_smaps(plan, mem))
		for (unsigned i = 0; i < plan->n; i++)
			plan->block[i].proven = true;
	return misplaced;
}
