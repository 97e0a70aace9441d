// SPDX-License-Identifier: Apache-2.0
/* What guest RAM is made of, in the kernel's words; see proof.h. proc(5) for smaps. */
#include "vmm/memory/proof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/options_values.h"
#include "vmm/place.h"

#define BATCH 1024 /* pages a call asks about */

struct text {
	char s[128];
};

static struct text policy_text(enum mem_policy policy, const node_set *nodes)
{
	struct text t;

	mem_format_policy(policy, nodes, t.s, sizeof(t.s));
	return t;
}

static struct text range_text(const struct mem_block *b)
{
	struct text t;

	snprintf(t.s, sizeof(t.s), "guest memory %#" PRIx64 "-%#" PRIx64, b->gpa, b->gpa + b->size - 1);
	return t;
}

/* ---- policy and nodes ---- */

static int ask_policy(struct mem_block *b, const uint8_t *host)
{
	int err = numa_policy_at(host, &b->actual_policy, &b->actual_nodes);

	if (err)
		return log_errno(err, "%s: get_mempolicy", range_text(b).s);
	if (b->actual_policy == b->policy && CPU_EQUAL(&b->actual_nodes, &b->nodes))
		return 0;
	log_err("%s: wanted %s, the kernel says %s", range_text(b).s, policy_text(b->policy, &b->nodes).s,
		policy_text(b->actual_policy, &b->actual_nodes).s);
	return -EXDEV;
}

static void count_nodes(struct mem_block *b, const int *status, unsigned n, uint64_t page)
{
	for (unsigned i = 0; i < n; i++) {
		if (status[i] < 0) /* -ENOENT: not there yet */
			continue;
		b->present += page;
		CPU_SET(status[i], &b->on);
		if (status[i] < NODES_MAX)
			b->on_node[status[i]] += page;
	}
}

/* The node of every page that is there. */
static int ask_nodes(struct mem_block *b, uint8_t *host, uint64_t page)
{
	void *at[BATCH];
	int status[BATCH];

	for (uint64_t off = 0; off < b->size;) {
		unsigned n = 0;

		for (; n < BATCH && off < b->size; n++, off += page)
			at[n] = host + off;
		if (syscall(SYS_move_pages, 0, (unsigned long)n, at, NULL, status, 0) < 0)
			return log_errno(-errno, "%s: move_pages", range_text(b).s);
		count_nodes(b, status, n, page);
	}
	return 0;
}

static int check_nodes(const struct mem_plan *plan, const struct mem_block *b)
{
	char where[256];
	node_set in;

	CPU_AND(&in, &b->on, &b->nodes);
	if (b->policy != MEM_POLICY_PREFERRED && !CPU_EQUAL(&in, &b->on)) {
		place_format_cpus(&b->on, where, sizeof(where));
		log_err("%s: wanted on %s, its pages lie on nodes %s", range_text(b).s, policy_text(b->policy, &b->nodes).s, where);
		return -EXDEV;
	}
	if (plan->prealloc && b->present < b->size) {
		log_err("%s: only %" PRIu64 " of %" PRIu64 " MiB are there after preallocation", range_text(b).s,
			b->present >> 20, b->size >> 20);
		return -EXDEV;
	}
	return 0;
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

/* Transparent huge pages are a wish that the kernel may not fulfil: said, and refused only where that was asked for. */
static int check_huge(const struct mem_plan *plan, const struct mem_block *b)
{
	const char *says = "too little of the host's memory is in one piece; echo 1 > /proc/sys/vm/compact_memory may help";

	if (plan->pages != MEM_PAGES_THP || !plan->prealloc || b->huge >= b->size / 100 * 90)
		return 0;
	if (!plan->cfg->strict_placement) {
		log_warn("%s: %" PRIu64 " of %" PRIu64 " MiB lie on huge pages: %s", range_text(b).s, b->huge >> 20,
			b->size >> 20, says);
		return 0;
	}
	log_err("%s: %" PRIu64 " of %" PRIu64 " MiB lie on huge pages: %s (--strict-placement)", range_text(b).s, b->huge >> 20,
		b->size >> 20, says);
	return -EXDEV;
}

static int check_pages(const struct mem_plan *plan, const struct mem_block *b)
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
	return check_huge(plan, b);
}

/* ---- */

static int prove_nodes(struct mem_plan *plan, const struct guest_mem *mem, struct mem_block *b)
{
	uint8_t *host = mem_at(mem, b->gpa, b->size);
	int err;

	if (!b->nodes_why)
		return 0;
	err = ask_policy(b, host);
	if (!err)
		err = ask_nodes(b, host, plan->page);
	return err ? err : check_nodes(plan, b);
}

int mem_prove(struct mem_plan *plan, const struct guest_mem *mem)
{
	bool pages = plan->pages != MEM_PAGES_DEFAULT || plan->lock;
	int err = 0;

	for (unsigned i = 0; !err && i < plan->n; i++)
		err = prove_nodes(plan, mem, &plan->block[i]);
	if (!err && pages)
		err = read_smaps(plan, mem);
	for (unsigned i = 0; !err && i < plan->n; i++) {
		struct mem_block *b = &plan->block[i];

		if (pages)
			err = check_pages(plan, b);
		else
			b->actual_page = plan->page;
		b->proven = pages || b->nodes_why;
	}
	return err;
}
