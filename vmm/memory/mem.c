// SPDX-License-Identifier: Apache-2.0
/* Guest RAM; see mem.h. One reservation holds all of it, so that ranges that touch in the guest touch in the host. */
#include "vmm/memory/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/log.h"
#include "vmm/memory/fill.h"
#include "vmm/memory/pages.h"
#include "vmm/memory/plan.h"
#include "vmm/memory/proof.h"
#include "vmm/options/values.h"

#define MIB	   (1ULL << 20)
#define LOCK_CHUNK (1024 * MIB) /* between two of these, a signal or the time limit is heard */

/* ---- the mapping ---- */

/* A file without a name on the user's hugetlbfs mount. */
static int hugetlb_file(const struct mem_plan *plan)
{
	int fd = open(plan->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *path;

	if (fd >= 0 || errno == EACCES)
		return fd < 0 ? log_errno(-errno, "--memory hugepages=%s", plan->dir) : fd;
	if (asprintf(&path, "%s/pinvm-XXXXXX", plan->dir) < 0) /* hugetlbfs learned O_TMPFILE only in Linux 5.13 */
		return -ENOMEM;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = log_errno(-errno, "--memory hugepages=%s", plan->dir);
	else
		unlink(path);
	free(path);
	return fd;
}

/* What RAM is mapped from: -1 for anonymous memory, or -errno (below -1). */
static int backing_open(const struct mem_plan *plan, bool *anonymous)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	uint64_t size = plan->cfg->memory.size;
	int fd;

	*anonymous = !plan->dir && !plan->shared;
	if (*anonymous)
		return -1;
	if (plan->pages == MEM_PAGES_HUGETLB)
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(plan->page) << MFD_HUGE_SHIFT;
	fd = plan->dir ? hugetlb_file(plan) : memfd_create("pinvm-ram", flags);
	if (fd < 0)
		return plan->dir ? fd : log_errno(-errno, "--memory shared=on: memfd_create");
	if (ftruncate(fd, size) < 0) {
		int err = log_errno(-errno, "--memory: a file of %llu MiB for RAM", (unsigned long long)(size / MIB));

		close(fd);
		return err;
	}
	/* Whoever it is shared with must not make it shorter: that would be a SIGBUS here. */
	if (!plan->dir && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int err = log_errno(-errno, "--memory shared=on: sealing its file");

		close(fd);
		return err;
	}
	return fd;
}

/* Address space for size bytes, aligned; mapped later. */
static uint8_t *reserve(uint64_t size, uint64_t align)
{
	uint8_t *p = mmap(NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t skip;

	if (p == MAP_FAILED)
		return NULL;
	skip = -(uintptr_t)p & (align - 1);
	if (skip)
		munmap(p, skip);
	munmap(p + skip + size, align - skip);
	return p + skip;
}

static int map_flags(const struct mem_plan *plan, bool anonymous)
{
	if (!anonymous)
		return plan->shared ? MAP_SHARED : MAP_PRIVATE;
	if (plan->pages != MEM_PAGES_HUGETLB)
		return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	return MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | __builtin_ctzll(plan->page) << MAP_HUGE_SHIFT;
}

static int not_mapped(const struct mem_plan *plan, int err)
{
	char size[24];

	value_format_size(plan->cfg->memory.size, size, sizeof(size));
	if (plan->pages == MEM_PAGES_HUGETLB)
		log_err("--memory %s,hugepages=%s: the pages are no longer free (%s); somebody else took them meanwhile", size,
			plan->cfg->memory.hugepages, strerror(-err));
	else
		log_err("--memory %s: the host has no room to map it (%s); give less, or raise its limit (ulimit -v, cgroup, "
			"vm.overcommit_memory)",
			size, strerror(-err));
	return err;
}

/* All of RAM as one mapping, cut into the address map's ranges. */
static int map(struct guest_mem *mem, const struct mem_plan *plan, const struct ram_range *range, int n)
{
	/* Transparent huge pages need guest and host addresses that are congruent modulo their size. */
	uint64_t at = 0, size = plan->cfg->memory.size, thp = pages_thp_size(), align = plan->page > thp ? plan->page : thp;
	bool anonymous;
	int fd = backing_open(plan, &anonymous);
	uint8_t *base;

	if (fd < 0 && !anonymous)
		return fd;
	base = reserve(size, align);
	if (!base || mmap(base, size, PROT_READ | PROT_WRITE, map_flags(plan, anonymous) | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int err = not_mapped(plan, -errno);

		if (base)
			munmap(base, size);
		if (fd >= 0)
			close(fd);
		return err;
	}
	for (int i = 0; i < n; i++) {
		mem->region[i] = (struct mem_region){
			.gpa = range[i].gpa, .size = range[i].size, .host = base + at, .fd = fd, .fd_offset = at};
		at += range[i].size;
	}
	mem->n = n;
	madvise(base, size, MADV_DONTDUMP);
	madvise(base, size, MADV_DONTFORK); /* a child would make every page copy-on-write again */
	return 0;
}

/* ---- its pages ---- */

static int advise(const struct mem_plan *plan, void *host, uint64_t size)
{
	int advice = plan->pages == MEM_PAGES_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;

	if (plan->pages != MEM_PAGES_THP && plan->pages != MEM_PAGES_SMALL)
		return 0;
	if (madvise(host, size, advice) < 0 && plan->pages == MEM_PAGES_THP) /* without THP all pages are small anyway */
		return log_errno(-errno, "--memory hugepages=thp: MADV_HUGEPAGE");
	return 0;
}

/* Whoever says where memory is to be, or that it is to be there, wants no page of it unmapped to look who touches it. */
static void stay(const struct mem_plan *plan)
{
	int ret = plan->prealloc || plan->lock || mem_is_bound(plan) ? numa_stay("") : 0;

	if (ret < 0)
		log_warn("--memory: automatic NUMA balancing will cause host faults and can not be kept away (%s); echo 0 > "
			 "/proc/sys/kernel/numa_balancing",
			strerror(-ret));
	else if (ret)
		log_debug("automatic NUMA balancing is kept off this process");
}

static int bind_block(const struct mem_block *b, void *host)
{
	int err = numa_bind(host, b->size, b->policy, &b->nodes);

	if (err == -EPERM)
		log_err("%s%s: mbind is not permitted here (a container's seccomp profile? CAP_SYS_NICE lifts it)",
			mem_nodes_option(b), b->nodes_why);
	else if (err == -EINVAL && b->policy == MEM_POLICY_PREFERRED && CPU_COUNT(&b->nodes) > 1)
		log_err("%s%s,policy=preferred: this kernel takes one node there (several need Linux 5.15); give one",
			mem_nodes_option(b), b->nodes_why);
	else if (err)
		log_errno(err, "%s%s: mbind", mem_nodes_option(b), b->nodes_why);
	return err;
}

static int fill(const struct guest_mem *mem, struct mem_plan *plan, const struct fill_limits *limits)
{
	struct fill_area area[NODES_MAX_RANGES];
	struct fill_result result;
	const void *where = NULL;
	int err;

	for (unsigned i = 0; i < plan->n; i++)
		area[i] = (struct fill_area){
			.host = mem_at(mem, plan->block[i].gpa, plan->block[i].size),
			.size = plan->block[i].size,
			.page = plan->page,
			.nodes = plan->block[i].nodes,
			.policy = plan->block[i].policy,
		};
	err = mem_fill(area, plan->n, limits, &result, &where);
	plan->filled = result.bytes;
	plan->fill_ns = result.ns;
	plan->fill_threads = result.threads;
	if (err == -ENOMEM)
		log_err("--memory: the host ran out of %s after %llu of %llu MiB; somebody else took them meanwhile",
			plan->pages == MEM_PAGES_HUGETLB ? "huge pages" : "memory", (unsigned long long)(result.bytes / MIB),
			(unsigned long long)(plan->cfg->memory.size / MIB));
	else if (err && err != -ECANCELED && err != -ETIME)
		log_errno(err, "--memory: preallocation");
	return err;
}

static int lock(const struct mem_plan *plan, const struct mem_region *r, const struct fill_limits *limits)
{
	int err = 0;

	if (!plan->lock || plan->pages == MEM_PAGES_HUGETLB) /* huge pages are never swapped */
		return 0;
	for (uint64_t off = 0; !err && off < r->size; off += LOCK_CHUNK) {
		uint64_t len = r->size - off < LOCK_CHUNK ? r->size - off : LOCK_CHUNK;

		err = fill_is_over(limits);
		if (!err && mlock2(r->host + off, len, plan->prealloc ? 0 : MLOCK_ONFAULT) < 0)
			err = log_errno(-errno, "--memory lock=on: mlock2");
	}
	return err;
}

int mem_create(struct guest_mem *mem, struct mem_plan *plan, const struct fill_limits *limits)
{
	struct ram_range range[MEM_MAX_REGIONS];
	int err, n;

	memset(mem, 0, sizeof(*mem));
	n = arch_ram_ranges(plan->cfg->memory.size, range, MEM_MAX_REGIONS);
	if (n < 0)
		return log_errno(n, "--memory");
	stay(plan);
	err = map(mem, plan, range, n);
	for (unsigned i = 0; !err && i < plan->n; i++)
		err = bind_block(&plan->block[i], mem_at(mem, plan->block[i].gpa, plan->block[i].size));
	for (unsigned i = 0; !err && i < mem->n; i++)
		err = advise(plan, mem->region[i].host, mem->region[i].size);
	if (!err && plan->prealloc)
		err = fill(mem, plan, limits);
	for (unsigned i = 0; !err && i < mem->n; i++)
		err = lock(plan, &mem->region[i], limits);
	if (!err)
		err = mem_prove(plan, mem, limits);
	if (err)
		mem_destroy(mem);
	return err;
}

void mem_destroy(struct guest_mem *mem)
{
	for (unsigned i = 0; i < mem->n; i++)
		munmap(mem->region[i].host, mem->region[i].size);
	if (mem->n && mem->region[0].fd >= 0)
		close(mem->region[0].fd);
	mem->n = 0;
}

void *mem_at(const struct guest_mem *mem, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < mem->n; i++) {
		const struct mem_region *r = &mem->region[i];
		uint64_t off = gpa - r->gpa;

		if (gpa >= r->gpa && off < r->size)
			return len <= r->size - off ? r->host + off : NULL;
	}
	return NULL;
}

int mem_write(const struct guest_mem *mem, uint64_t gpa, const void *src, size_t len)
{
	void *p = mem_at(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, src, len);
	return 0;
}

int mem_read(const struct guest_mem *mem, uint64_t gpa, void *dst, size_t len)
{
	const void *p = mem_at(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(dst, p, len);
	return 0;
}

uint64_t mem_top(const struct guest_mem *mem)
{
	return mem->n ? mem->region[mem->n - 1].gpa + mem->region[mem->n - 1].size : 0;
}
