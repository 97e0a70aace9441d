// SPDX-License-Identifier: Apache-2.0
/* The plan of guest RAM and its table; see plan.h. What the host can give is supply.c's question. */
#include "vmm/memory/plan.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/memory/pages.h"
#include "vmm/memory/supply.h"
#include "vmm/options/values.h"
#include "vmm/place/place.h"

const char *mem_parse_hugepages(const char *text, enum mem_pages *pages, uint64_t *size)
{
	*size = getpagesize();
	if (!strcmp(text, "off") || !strcmp(text, "thp")) {
		*pages = text[0] == 'o' ? MEM_PAGES_SMALL : MEM_PAGES_THP;
		return NULL;
	}
	*pages = MEM_PAGES_HUGETLB;
	if (text[0] == '/')
		return NULL;
	if (value_size(text, 1, size) || *size <= (uint64_t)getpagesize() || *size & (*size - 1))
		return "give off, thp, a page size (2M, 1G) or the directory of a hugetlbfs mount (/...)";
	return NULL;
}

/* ---- what the pages are ---- */

static int check_size_exists(const struct mem_plan *plan, const char *root)
{
	uint64_t sizes[16];
	unsigned n = pages_sizes(root, sizes, 16);
	char have[160] = "", one[24];

	for (unsigned i = 0; i < n; i++) {
		if (sizes[i] == plan->page)
			return 0;
		value_format_size(sizes[i], one, sizeof(one));
		snprintf(have + strlen(have), sizeof(have) - strlen(have), " %s", one);
	}
	if (n)
		log_err("--memory hugepages=%s: this host has no pages of that size; it has%s", plan->cfg->memory.hugepages,
			have);
	else
		log_err("--memory hugepages=%s: this kernel has no huge pages (hugetlb)", plan->cfg->memory.hugepages);
	return -EINVAL;
}

static int check_mount(struct mem_plan *plan)
{
	uint64_t left;
	int err = pages_mount(plan->dir, &plan->page, &left);

	if (err == -ENOTSUP) {
		log_err("--memory hugepages=%s: not on a hugetlbfs mount; /dev/hugepages is one as a rule, or give a page size, 2M",
			plan->dir);
		return err;
	}
	return err ? log_errno(err, "--memory hugepages=%s", plan->dir) : 0;
}

static int check_thp(const struct mem_plan *plan, const char *root)
{
	const char *file = pages_thp_off(root, plan->shared);

	if (!file)
		return 0;
	log_err("--memory hugepages=thp: %s does not allow it; echo %s > %s", file, plan->shared ? "advise" : "madvise", file);
	return -EINVAL;
}

static int plan_pages(struct mem_plan *plan, const char *root)
{
	const struct memory_config *m = &plan->cfg->memory;

	plan->page = getpagesize();
	if (m->hugepages && mem_parse_hugepages(m->hugepages, &plan->pages, &plan->page))
		return -EINVAL; /* the parser said why */
	if (plan->pages == MEM_PAGES_THP)
		return check_thp(plan, root);
	if (plan->pages != MEM_PAGES_HUGETLB || !m->hugepages)
		return 0;
	plan->dir = m->hugepages[0] == '/' ? m->hugepages : NULL;
	return plan->dir ? check_mount(plan) : check_size_exists(plan, root);
}

/* ---- the pieces ---- */

static int plan_block(struct mem_plan *plan, const struct node_range *range)
{
	const struct memory_config *m = &plan->cfg->memory;
	const struct numa_config *numa = plan->guest.n ? &plan->cfg->numas[range->node] : NULL;
	struct mem_block *b = &plan->block[plan->n++];
	char size[24], page[24];

	memset(b, 0, sizeof(*b));
	b->gpa = range->gpa;
	b->size = range->size;
	b->guest_node = range->node;
	b->from_numa = numa && numa->host_node;
	b->nodes_why = b->from_numa ? numa->host_node : m->host_node;
	if (b->nodes_why) {
		b->policy = MEM_POLICY_BIND + m->policy;
		if (value_cpulist(b->nodes_why, &b->nodes, sizeof(b->nodes)))
			return -EINVAL; /* the parser said why */
	}
	if (b->gpa % plan->page || b->size % plan->page) {
		value_format_size(b->size, size, sizeof(size));
		value_format_size(plan->page, page, sizeof(page));
		log_err("%s %s: not a whole number of %s pages; make it a multiple of %s, or take smaller pages",
			plan->guest.n ? "--numa memory" : "--memory", size, page, page);
		return -EINVAL;
	}
	return 0;
}

static int plan_blocks(struct mem_plan *plan)
{
	int err = guest_nodes(&plan->guest, plan->cfg);

	for (unsigned i = 0; !err && i < plan->guest.nranges; i++)
		err = plan_block(plan, &plan->guest.range[i]);
	return err;
}

int mem_plan(struct mem_plan *plan, const struct guest_config *cfg, const char *root)
{
	const struct memory_config *m = &cfg->memory;
	int err;

	memset(plan, 0, offsetof(struct mem_plan, block));
	plan->cfg = cfg;
	plan->shared = m->shared;
	plan->lock = m->lock;
	err = plan_pages(plan, root);
	if (!err)
		err = plan_blocks(plan);
	if (err)
		return err;
	/* A hugetlb page that is missing later is a SIGBUS, so they are all taken now unless that was refused. */
	plan->prealloc = m->prealloc == TRI_DEFAULT ? plan->pages == MEM_PAGES_HUGETLB || m->lock : m->prealloc == TRI_ON;
	return mem_supply_check(plan, root);
}

/* ---- what it says ---- */

bool mem_is_bound(const struct mem_plan *plan)
{
	for (unsigned i = 0; i < plan->n; i++)
		if (plan->block[i].nodes_why)
			return true;
	return false;
}

const char *mem_nodes_option(const struct mem_block *b)
{
	return b->from_numa ? "--numa host-node=" : "--memory host-node=";
}

/* ---- the table ---- */

const char *mem_plan_backing(const struct mem_plan *plan)
{
	if (plan->dir)
		return "hugetlbfs";
	if (plan->pages == MEM_PAGES_HUGETLB)
		return plan->shared ? "hugetlb memfd" : "hugetlb";
	return plan->shared ? "memfd" : "anonymous";
}

void mem_format_policy(enum mem_policy policy, const node_set *nodes, char *out, size_t n)
{
	static const char *const name[] = {"any", "bind:", "preferred:", "interleave:"};
	size_t len;

	snprintf(out, n, "%s", name[policy]);
	len = strlen(out);
	if (policy != MEM_POLICY_DEFAULT)
		place_format_cpus(nodes, out + len, n - len);
}

void mem_plan_head(char *line, size_t n, bool with_actual)
{
	snprintf(line, n, "%-25s %-5s %-18s %-16s %s", "memory", "node", "pages", "host nodes",
		with_actual ? "as read back" : "because");
}

/* Add a reason to a list of them. */
static void because(char *out, size_t n, const char *what, const char *value)
{
	size_t len = strlen(out);

	snprintf(out + len, n - len, "%s%s%s", len ? ", " : "", what, value);
}

static void format_why(const struct mem_plan *plan, const struct mem_block *b, char *out, size_t n)
{
	const struct memory_config *m = &plan->cfg->memory;

	out[0] = '\0';
	if (m->hugepages)
		because(out, n, "--memory hugepages=", m->hugepages);
	if (b->nodes_why)
		because(out, n, mem_nodes_option(b), b->nodes_why);
	if (!out[0])
		because(out, n, "the kernel's choice", "");
	if (plan->prealloc)
		because(out, n, "all of it before the start", "");
	if (plan->lock)
		because(out, n, "locked", "");
}

static void format_actual(const struct mem_plan *plan, const struct mem_block *b, char *out, size_t n)
{
	char page[24], policy[64], size[24];
	size_t len;

	value_format_size(b->actual_page, page, sizeof(page));
	mem_format_policy(b->actual_policy, &b->actual_nodes, policy, sizeof(policy));
	len = snprintf(out, n, "%s %s", page, policy);
	for (unsigned i = 0; i < MEM_HOST_NODES && len < n; i++) {
		if (!b->on_node[i])
			continue;
		value_format_size(b->on_node[i], size, sizeof(size));
		len += snprintf(out + len, n - len, " node%u=%s", i, size);
	}
	if (plan->pages == MEM_PAGES_THP && len < n) {
		value_format_size(b->huge, size, sizeof(size));
		len += snprintf(out + len, n - len, " huge=%s", size);
	}
	if (plan->lock && len < n) {
		value_format_size(b->locked, size, sizeof(size));
		snprintf(out + len, n - len, " locked=%s", size);
	}
}

void mem_plan_line(const struct mem_plan *plan, unsigned block, bool with_actual, char *line, size_t n)
{
	const struct mem_block *b = &plan->block[block];
	char range[40], page[24], pages[48], policy[64], tail[512];

	snprintf(range, sizeof(range), "%#llx-%#llx", (unsigned long long)b->gpa, (unsigned long long)(b->gpa + b->size - 1));
	value_format_size(plan->page, page, sizeof(page));
	snprintf(pages, sizeof(pages), "%s %s%s", page, plan->pages == MEM_PAGES_THP ? "thp " : "", mem_plan_backing(plan));
	mem_format_policy(b->policy, &b->nodes, policy, sizeof(policy));
	if (with_actual && b->proven)
		format_actual(plan, b, tail, sizeof(tail));
	else
		format_why(plan, b, tail, sizeof(tail));
	snprintf(line, n, "%-25s %-5u %-18s %-16s %s", range, b->guest_node, pages, policy, tail);
}
