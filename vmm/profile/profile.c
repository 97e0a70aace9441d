// SPDX-License-Identifier: Apache-2.0
/*
 * Counting exits; see profile.h. The vCPU's thread, but for mapping and reading.
 *
 * The table is open addressing by a key that packs what was reached for. A key stands for good once it is
 * there, so a reader that sees it may use it. One that finds none of its slots free is counted by its kind
 * only.
 */
#include "vmm/profile/profile.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/bus.h"
#include "vmm/util.h"

#define CACHE_LINE 64

/* Of a key: used, kind, write, size, address. Guest-physical addresses have 52 bits. */
#define KEY_USED	(1ULL << 63)
#define KEY_KIND	61
#define KEY_WRITE	60
#define KEY_SIZE	56
#define KEY_ADDRESS	((1ULL << KEY_SIZE) - 1)
#define HASH_MULTIPLIER 0x9e3779b97f4a7c15ULL /* 2^64 by the golden ratio: neighbours land far apart */
#define HASH_SHIFT	(64 - __builtin_ctz(PROFILE_SLOTS))

_Static_assert((PROFILE_SLOTS & (PROFILE_SLOTS - 1)) == 0, "slots are found by a mask");
_Static_assert(PROFILE_KINDS <= 4, "two bits of a key");

/* A profile, and the times behind it. */
struct timed_profile {
	struct profile profile;
	_Alignas(CACHE_LINE) struct profile_times times;
};

static size_t size_of(bool times)
{
	return times ? sizeof(struct timed_profile) : sizeof(struct profile);
}

int profiles_create(struct profiles *p, unsigned n, bool times)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *map;

	p->n = n;
	p->stride = (size_of(times) + page - 1) / page * page;
	map = mmap(NULL, p->stride * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (n > 1)
		madvise(map, p->stride * n, MADV_NOHUGEPAGE); /* or one page would be that of many threads */
	p->map = map;
	return 0;
}

void profiles_destroy(struct profiles *p)
{
	if (p->map)
		munmap(p->map, p->stride * p->n);
	p->map = NULL;
}

void profile_settle(struct profile *p, const struct bus *bus, bool times)
{
	memset(p, 0, size_of(times));
	if (times)
		p->times = &((struct timed_profile *)p)->times;
	for (unsigned i = 0; i < bus->space[BUS_MMIO].n; i++) {
		const struct bus_range *r = &bus->space[BUS_MMIO].range[i];

		if (r->ops->whole) {
			p->whole = r->base;
			p->whole_size = r->size;
		}
	}
}

static uint64_t make_key(enum profile_kind kind, bool write, unsigned size, uint64_t address)
{
	return KEY_USED | (uint64_t)kind << KEY_KIND | (uint64_t)write << KEY_WRITE |
	       (uint64_t)size << KEY_SIZE | (address & KEY_ADDRESS);
}

/* The slots behind the one that is right for the key. */
__attribute__((noinline, cold)) static void count_far(struct profile *p, uint64_t key, unsigned at)
{
	for (unsigned i = 0; i < PROFILE_PROBES; i++, at = (at + 1) % PROFILE_SLOTS) {
		uint64_t there = atomic_load_explicit(&p->slot[at].key, memory_order_relaxed);

		if (there && there != key)
			continue;
		count_add(&p->slot[at].exits, 1);
		if (!there)
			atomic_store_explicit(&p->slot[at].key, key, memory_order_release);
		return;
	}
	count_add(&p->other[key >> KEY_KIND & 3], 1);
}

static inline void count(struct profile *p, uint64_t key)
{
	unsigned at = key * HASH_MULTIPLIER >> HASH_SHIFT;

	if (__builtin_expect(atomic_load_explicit(&p->slot[at].key, memory_order_relaxed) == key, 1))
		count_add(&p->slot[at].exits, 1);
	else
		count_far(p, key, at);
}

static uint64_t memory_key(const struct profile *p, const struct kvm_run *run)
{
	uint64_t gpa = run->mmio.phys_addr;

	return make_key(PROFILE_MMIO, run->mmio.is_write, run->mmio.len,
		gpa - p->whole < p->whole_size ? p->whole : gpa);
}

/* What the exit was about; 0: nothing in particular. */
static inline uint64_t key_of(const struct profile *p, const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		return memory_key(p, run);
	case KVM_EXIT_IO:
		return make_key(
			PROFILE_PIO, run->io.direction == KVM_EXIT_IO_OUT, run->io.size, run->io.port);
	case KVM_EXIT_X86_RDMSR:
		return make_key(PROFILE_MSR, false, 8, run->msr.index);
	case KVM_EXIT_X86_WRMSR:
		return make_key(PROFILE_MSR, true, 8, run->msr.index);
	case KVM_EXIT_HYPERCALL:
		return make_key(PROFILE_HYPERCALL, false, 0, run->hypercall.nr);
	default:
		return 0;
	}
}

void profile_exit(struct profile *p, const struct kvm_run *run)
{
	uint64_t key = key_of(p, run);

	if (p->times)
		p->times->reason =
			run->exit_reason < PROFILE_REASONS ? (int)run->exit_reason : PROFILE_REASONS - 1;
	if (key)
		count(p, key);
}

void profile_close(struct profile_times *t, _Atomic uint64_t *account)
{
	uint64_t now = now_ns(), ns = now - t->since;

	count_add(account, ns);
	if (t->reason >= 0) {
		count_add(&t->handler_ns[t->reason], ns);
		count_add(&t->histogram[t->reason][log2_bucket(ns, PROFILE_BUCKETS)], 1);
	}
	t->since = now;
	t->reason = -1;
}

bool profile_read(const struct profile *p, unsigned i, struct profile_access *access)
{
	uint64_t key = atomic_load_explicit(&p->slot[i].key, memory_order_acquire);

	*access = (struct profile_access){
		.kind = key >> KEY_KIND & 3,
		.write = key >> KEY_WRITE & 1,
		.size = key >> KEY_SIZE & 15,
		.address = key & KEY_ADDRESS,
		.exits = atomic_load_explicit(&p->slot[i].exits, memory_order_relaxed),
	};
	return key != 0;
}
