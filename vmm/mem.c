// SPDX-License-Identifier: Apache-2.0
/* Guest RAM; see mem.h. One reservation holds all of it, so that ranges that touch in the guest touch in the host. */
#include "vmm/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/log.h"

#define MIB            (1ULL << 20)
#define HUGE_ALIGN     (2 * MIB) /* transparent huge pages need guest and host addresses congruent modulo this */

static int shared_fd(uint64_t size)
{
	int fd = memfd_create("pinvm-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return log_errno(-errno, "--memory shared=on: memfd_create");
	if (ftruncate(fd, size) < 0) {
		int err = log_errno(-errno, "--memory %lluM,shared=on: ftruncate", (unsigned long long)(size / MIB));

		close(fd);
		return err;
	}
	return fd;
}

/* Address space for size bytes, aligned for huge pages; mapped later. */
static uint8_t *reserve(uint64_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE_ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t skip;

	if (p == MAP_FAILED)
		return NULL;
	skip = -(uintptr_t)p & (HUGE_ALIGN - 1);
	if (skip)
		munmap(p, skip);
	munmap(p + skip + size, HUGE_ALIGN - skip);
	return p + skip;
}

int mem_create(struct guest_mem *mem, const struct memory_config *cfg)
{
	int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, n;
	struct ram_range range[MEM_MAX_REGIONS];
	uint64_t at = 0;
	uint8_t *base;

	memset(mem, 0, sizeof(*mem));
	n = arch_ram_ranges(cfg->size, range, MEM_MAX_REGIONS);
	if (n < 0) {
		log_err("--memory %lluM: more than this host's CPU can address (%u bits); give less",
			(unsigned long long)(cfg->size / MIB), arch_phys_bits());
		return n;
	}
	if (cfg->shared) {
		fd = shared_fd(cfg->size);
		if (fd < 0)
			return fd;
		flags = MAP_SHARED;
	}
	base = reserve(cfg->size);
	if (!base || mmap(base, cfg->size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int err = -errno;

		log_err("--memory %lluM: the host has no room to map it (%s); give less, or raise its limit (ulimit -v, "
			"cgroup, vm.overcommit_memory)",
			(unsigned long long)(cfg->size / MIB), strerror(-err));

		if (base)
			munmap(base, cfg->size);
		if (fd >= 0)
			close(fd);
		return err;
	}
	madvise(base, cfg->size, MADV_DONTDUMP);
	for (int i = 0; i < n; i++) {
		mem->region[i] = (struct mem_region){
			.gpa = range[i].gpa, .size = range[i].size, .host = base + at, .fd = fd, .fd_offset = at};
		at += range[i].size;
	}
	mem->n = n;
	return 0;
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
