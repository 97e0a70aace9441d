// SPDX-License-Identifier: Apache-2.0
/* What this host has to give for guest RAM, against what the plan wants; see supply.h. */
#include "vmm/memory/supply.h"

#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"
#include "vmm/memory/memcg.h"
#include "vmm/memory/pages.h"
#include "vmm/options/values.h"
#include "vmm/place/place.h"

/* Sizes in messages. */
struct text {
	char s[24];
};

static struct text size_text(uint64_t bytes)
{
	struct text t = {""};

	value_format_size(bytes, t.s, sizeof(t.s));
	return t;
}

/* ---- nodes ---- */

static int check_nodes(const struct mem_block *b, const node_set *online, const node_set *allowed)
{
	char have[256], wrong[256];
	node_set rest;

	CPU_AND(&rest, &b->nodes, online);
	if (!CPU_EQUAL(&rest, &b->nodes)) {
		CPU_XOR(&rest, &rest, &b->nodes);
		place_format_cpus(&rest, wrong, sizeof(wrong));
		place_format_cpus(online, have, sizeof(have));
		log_err("%s%s: this host has no node %s; it has %s", mem_nodes_option(b), b->nodes_why, wrong, have);
		return -EINVAL;
	}
	CPU_AND(&rest, &b->nodes, allowed);
	if (!CPU_EQUAL(&rest, &b->nodes)) {
		CPU_XOR(&rest, &rest, &b->nodes);
		place_format_cpus(&rest, wrong, sizeof(wrong));
		place_format_cpus(allowed, have, sizeof(have));
		log_err("%s%s: memory of node %s is outside what this process may use (%s); widen cpuset.mems of its cgroup",
			mem_nodes_option(b), b->nodes_why, wrong, have);
		return -EINVAL;
	}
	return 0;
}

/* ---- a ledger: what each node has left while the blocks take their share ---- */

struct ledger {
	uint64_t left[CPU_SETSIZE]; /* bytes */
};

static uint64_t ledger_sum(const struct ledger *ledger, const node_set *nodes)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, nodes) && __builtin_add_overflow(sum, ledger->left[i], &sum))
			return UINT64_MAX;
	return sum;
}

static void ledger_take(struct ledger *ledger, const node_set *nodes, uint64_t size)
{
	for (unsigned i = 0; i < CPU_SETSIZE && size; i++) {
		uint64_t part = ledger->left[i] < size ? ledger->left[i] : size;

		if (!CPU_ISSET(i, nodes))
			continue;
		ledger->left[i] -= part;
		size -= part;
	}
}

static bool same_wish(const struct mem_block *a, const struct mem_block *b)
{
	return a->policy == b->policy && CPU_EQUAL(&a->nodes, &b->nodes);
}

/* Bytes of all blocks with this one's wish; 0: one before it has the same, and was asked. */
static uint64_t wish_size(const struct mem_plan *plan, const struct mem_block *b)
{
	uint64_t sum = 0;

	for (const struct mem_block *o = plan->block; o < plan->block + plan->n; o++) {
		if (!same_wish(o, b))
			continue;
		if (o < b)
			return 0;
		sum += o->size;
	}
	return sum;
}

struct shortage {
	const struct mem_block *block; /* NULL: none */
	uint64_t needs, has;	       /* bytes, of its nodes */
	unsigned node;		       /* where to add some */
};

/* What is interleaved takes the same from each node; the kernel would take it elsewhere without a word. */
static struct shortage settle_interleaved(const struct mem_plan *plan, struct ledger *ledger, const struct mem_block *b)
{
	uint64_t all = wish_size(plan, b), share = all / CPU_COUNT(&b->nodes) / plan->page * plan->page;

	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &b->nodes))
			continue;
		if (ledger->left[i] < share)
			return (struct shortage){b, share, ledger->left[i], i};
		ledger->left[i] -= share;
	}
	return (struct shortage){0};
}

static unsigned first_of(const node_set *nodes)
{
	unsigned i = 0;

	while (i < CPU_SETSIZE && !CPU_ISSET(i, nodes))
		i++;
	return i;
}

/* Blocks without a choice of nodes first; those with one take what they leave. */
static struct shortage ledger_settle(const struct mem_plan *plan, struct ledger *ledger)
{
	struct shortage s = {0};

	for (const struct mem_block *b = plan->block; b < plan->block + plan->n && !s.block; b++)
		if (b->policy == MEM_POLICY_INTERLEAVE)
			s = settle_interleaved(plan, ledger, b);
	if (s.block)
		return s;
	for (int wide = 0; wide < 2; wide++) {
		for (const struct mem_block *b = plan->block; b < plan->block + plan->n; b++) {
			uint64_t needs = wish_size(plan, b), has;

			if (b->policy != MEM_POLICY_BIND || (CPU_COUNT(&b->nodes) > 1) != wide)
				continue;
			has = ledger_sum(ledger, &b->nodes);
			if (has < needs)
				return (struct shortage){b, needs, has, first_of(&b->nodes)};
			ledger_take(ledger, &b->nodes, needs);
		}
	}
	return (struct shortage){0};
}

/* ---- hugetlb ---- */

static void per_node(const struct mem_plan *plan, const char *root, char *out, size_t n)
{
	node_set online;
	size_t len = 0;

	numa_online(root, &online);
	out[0] = '\0';
	for (unsigned i = 0; i < CPU_SETSIZE && len < n; i++)
		if (CPU_ISSET(i, &online))
			len += snprintf(out + len, n - len, "%snode %u: %llu", len ? ", " : "", i,
				(unsigned long long)pages_free_on(root, plan->page, i));
}

/* The one line about missing pages: who needs how many, how many there are, and what to type. node < 0: anywhere. */
static int too_few(const struct mem_plan *plan, const char *root, const char *who, uint64_t needs, uint64_t has, int node)
{
	char nodes[256], dir[64] = "/sys/kernel/mm", at_boot[96] = "";
	unsigned long long want = needs - has;
	struct page_pool pool = {0};

	pages_pool(root, plan->page, &pool);
	want += node < 0 ? pool.total : pages_total_on(root, plan->page, node);
	if (node >= 0)
		snprintf(dir, sizeof(dir), "/sys/devices/system/node/node%d", node);
	if (plan->page >= 1ULL << 30 && node < 0)
		snprintf(at_boot, sizeof(at_boot), ", or at boot: hugepagesz=%s hugepages=%llu", size_text(plan->page).s, want);
	else if (plan->page >= 1ULL << 30)
		snprintf(at_boot, sizeof(at_boot), ", or at boot: hugepagesz=%s hugepages=%d:%llu", size_text(plan->page).s, node,
			want);
	per_node(plan, root, nodes, sizeof(nodes));
	log_err("%s: needs %llu pages of %s%s, %llu are free (%s); reserve them: echo %llu > "
		"%s/hugepages/hugepages-%llukB/nr_hugepages%s",
		who, (unsigned long long)needs, size_text(plan->page).s, node < 0 ? "" : " there", (unsigned long long)has, nodes,
		want, dir, (unsigned long long)(plan->page >> 10), at_boot);
	return -ENOMEM;
}

/* All pages of the plan against the host's pool. */
static int check_pool(const struct mem_plan *plan, const char *root)
{
	uint64_t need = plan->cfg->memory.size / plan->page, usable;
	struct page_pool pool;
	char who[PATH_MAX + 32];

	if (pages_pool(root, plan->page, &pool))
		return log_errno(-ENOENT, "--memory hugepages=%s", plan->cfg->memory.hugepages);
	usable = pages_usable(&pool);
	if (need <= usable)
		return 0;
	snprintf(who, sizeof(who), "--memory hugepages=%s", plan->cfg->memory.hugepages);
	return too_few(plan, root, who, need, usable, -1);
}

/* Blocks bound to nodes against what those nodes have. */
static int check_pool_nodes(const struct mem_plan *plan, const char *root)
{
	node_set online;
	struct ledger ledger;
	struct shortage s;
	char who[300];

	if (!mem_is_bound(plan))
		return 0;
	numa_online(root, &online);
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		ledger.left[i] = CPU_ISSET(i, &online) ? pages_free_on(root, plan->page, i) * plan->page : 0;
	s = ledger_settle(plan, &ledger);
	if (!s.block)
		return 0;
	snprintf(who, sizeof(who), "%s%s", mem_nodes_option(s.block), s.block->nodes_why);
	return too_few(plan, root, who, s.needs / plan->page, s.has / plan->page, s.node);
}

/* A cpuset narrower than the host: only its nodes' pages are to be had, and none of them is reserved. */
static int check_pool_cpuset(const struct mem_plan *plan, const char *root)
{
	uint64_t need = plan->cfg->memory.size / plan->page, has = 0, all = 0;
	struct page_pool pool = {0};
	char list[256];
	node_set online, allowed;

	pages_pool(root, plan->page, &pool);
	numa_online(root, &online);
	numa_allowed(root, &allowed);
	for (unsigned i = 0; i < CPU_SETSIZE; i++) {
		uint64_t here = CPU_ISSET(i, &online) ? pages_free_on(root, plan->page, i) : 0;

		all += here;
		has += CPU_ISSET(i, &allowed) ? here : 0;
	}
	if (all != has && has < need && need - has > (pool.overcommit > pool.surplus ? pool.overcommit - pool.surplus : 0)) {
		place_format_cpus(&allowed, list, sizeof(list));
		log_err("--memory hugepages=%s: needs %llu pages of %s, %llu are free on node %s, where this process may use "
			"memory; reserve more there, or widen cpuset.mems of its cgroup",
			plan->cfg->memory.hugepages, (unsigned long long)need, size_text(plan->page).s, (unsigned long long)has,
			list);
		return -ENOMEM;
	}
	return 0;
}

static int check_pool_mount(const struct mem_plan *plan)
{
	uint64_t page, left, need = plan->cfg->memory.size / plan->page;

	if (!plan->dir || pages_mount(plan->dir, &page, &left) || need <= left)
		return 0;
	log_err("--memory hugepages=%s: needs %llu pages of %s, the mount's own limit leaves %llu; remount it with a larger "
		"size=",
		plan->dir, (unsigned long long)need, size_text(page).s, (unsigned long long)left);
	return -ENOMEM;
}

/*
 * What mmap() reserves is pages of the host as a whole. The node, the cpuset, the cgroup (of either version, of the
 * hugetlb or the memory controller) are asked when a page is touched, and what they refuse then is a SIGBUS.
 */
static int refuse_late(const struct mem_plan *plan)
{
	const char *why = "--memory prealloc=off: a huge page that a node, cpuset or cgroup refuses while the guest runs "
			  "kills it; leave prealloc on";

	if (plan->cfg->force) {
		log_warn("%s (--force)", why);
		return 0;
	}
	log_err("%s; --force starts it all the same", why);
	return -EINVAL;
}

/* The hugetlb cgroup. */
static int check_pool_cgroup(const struct mem_plan *plan, const char *root)
{
	char where[256];
	uint64_t room = pages_cgroup_room(root, plan->page, where, sizeof(where));

	if (room < plan->cfg->memory.size) {
		log_err("--memory hugepages=%s: needs %s, the hugetlb cgroup %s leaves %s; raise its hugetlb.*.max",
			plan->cfg->memory.hugepages, size_text(plan->cfg->memory.size).s, where, size_text(room).s);
		return -ENOMEM;
	}
	return plan->prealloc ? 0 : refuse_late(plan);
}

static int check_hugetlb(const struct mem_plan *plan, const char *root)
{
	/* The nodes first: pages that are missing there must be reserved there, and not wherever the kernel likes. */
	int err = check_pool_nodes(plan, root);

	if (!err)
		err = check_pool(plan, root);
	if (!err)
		err = check_pool_cpuset(plan, root);
	if (!err)
		err = check_pool_mount(plan);
	return err ? err : check_pool_cgroup(plan, root);
}

/* ---- ordinary memory that is to be there from the start ---- */

/* Beyond its limit the kernel would not say no, but kill. */
static int check_memcg(const struct mem_plan *plan, const char *root)
{
	char where[256];
	uint64_t room = memcg_room(root, where, sizeof(where));

	if (plan->cfg->memory.size <= room)
		return 0;
	log_err("--memory %s: all of it is wanted before the start, the memory cgroup %s leaves about %s; give less, raise its "
		"limit, or prealloc=off,lock=off",
		size_text(plan->cfg->memory.size).s, where, size_text(room >> 20 << 20).s);
	return -ENOMEM;
}

static int check_ordinary(const struct mem_plan *plan, const char *root)
{
	node_set online, allowed;
	struct ledger ledger;
	struct shortage s;
	uint64_t has;

	numa_online(root, &online);
	numa_allowed(root, &allowed);
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		ledger.left[i] = CPU_ISSET(i, &allowed) ? numa_available(root, i) : 0;
	has = CPU_EQUAL(&online, &allowed) ? numa_available_all(root) : UINT64_MAX;
	if (has == UINT64_MAX)
		has = ledger_sum(&ledger, &allowed);
	if (has < plan->cfg->memory.size) {
		log_err("--memory %s: all of it is wanted before the start, the host has about %s to give; give less, or "
			"prealloc=off,lock=off",
			size_text(plan->cfg->memory.size).s, size_text(has >> 20 << 20).s);
		return -ENOMEM;
	}
	s = ledger_settle(plan, &ledger);
	if (!s.block)
		return check_memcg(plan, root);
	log_err("%s%s: %s is wanted from there, about %s is to be had; give less, or more nodes", mem_nodes_option(s.block),
		s.block->nodes_why, size_text(s.needs).s, size_text(s.has >> 20 << 20).s);
	return -ENOMEM;
}

static int check_lock(const struct mem_plan *plan)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	capng_get_caps_process();
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) || limit.rlim_cur >= plan->cfg->memory.size)
		return 0;
	log_err("--memory lock=on: %s to lock, RLIMIT_MEMLOCK is %s; raise it (ulimit -l %llu, memlock in limits.conf, "
		"LimitMEMLOCK=) or give CAP_IPC_LOCK",
		size_text(plan->cfg->memory.size).s, size_text(limit.rlim_cur).s,
		(unsigned long long)(plan->cfg->memory.size >> 10));
	return -EPERM;
}

/* The pages of a memfd are charged as they come when the kernel never overcommits, and one that it refuses is a SIGBUS. */
static int check_late_charge(const struct mem_plan *plan, const char *root)
{
	uint64_t mode = 0;

	if (!plan->shared || plan->prealloc || hostfile_uint(root, "/proc/sys/vm/overcommit_memory", &mode) || mode != 2)
		return 0;
	log_err("--memory shared=on: with vm.overcommit_memory=2 a page refused while the guest runs would kill it; add prealloc=on");
	return -EINVAL;
}

/* Pages that come when the guest touches them can be promised without end; the kernel's way out is to kill. */
static void warn_of_excess(const struct mem_plan *plan)
{
	uint64_t size = 0, has;
	struct sysinfo info;

	for (unsigned i = 0; i < plan->n; i++)
		size += plan->block[i].size;
	if (sysinfo(&info) < 0)
		return;
	has = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (size > has)
		log_warn("--memory %s: this host has %s with its swap; a guest that uses more will be killed",
			size_text(size).s, size_text(has & ~((1ull << 20) - 1)).s);
}

int mem_supply_check(const struct mem_plan *plan, const char *root)
{
	node_set online, allowed;
	int err = 0;

	if (mem_is_bound(plan)) {
		numa_online(root, &online);
		numa_allowed(root, &allowed);
		for (unsigned i = 0; !err && i < plan->n; i++)
			err = check_nodes(&plan->block[i], &online, &allowed);
	}
	if (err)
		return err;
	if (plan->pages == MEM_PAGES_HUGETLB)
		return check_hugetlb(plan, root);
	err = check_late_charge(plan, root);
	if (!err && (plan->prealloc || plan->lock))
		err = check_ordinary(plan, root);
	else if (!err)
		warn_of_excess(plan);
	return !err && plan->lock ? check_lock(plan) : err;
}
