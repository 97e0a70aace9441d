/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exit profile of one vCPU: its returns from KVM_RUN by what the guest reached for (port, address, MSR,
 * hypercall), and, where that was asked for, how long the handlers took. The vCPU's thread is the only
 * writer, with relaxed atomics on cache lines of its own: no lock, no allocation, and no system call where
 * the clock needs none. Any thread reads while it runs; numbers read together may be a few exits apart, and
 * of times what is not over yet is missing. A guest that restarts goes on counting.
 */
#ifndef PINVM_PROFILE_H
#define PINVM_PROFILE_H

#include <jansson.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/util.h"

struct bus;
struct kvm_run;

#define PROFILE_SLOTS	512 /* a power of two */
#define PROFILE_PROBES	16  /* slots an address may be in: what a guest can make one exit cost has a bound */
#define PROFILE_REASONS 64  /* KVM_EXIT_*; the last one stands for those above it */
#define PROFILE_BUCKETS 32  /* of nanoseconds: log2_bucket() */

enum profile_kind { PROFILE_PIO, PROFILE_MMIO, PROFILE_MSR, PROFILE_HYPERCALL, PROFILE_KINDS };

/* What a guest reached for, and how many exits that made. */
struct profile_access {
	enum profile_kind kind;
	bool write;
	unsigned size;	  /* bytes; 0: has none */
	uint64_t address; /* port, guest-physical address, MSR index, hypercall number */
	uint64_t exits;
};

struct profile_times {
	uint64_t since;		    /* CLOCK_MONOTONIC, ns: what is open began then */
	int reason;		    /* exit that is being handled, -1: none */
	_Atomic uint64_t inside_ns; /* in KVM_RUN: guest and kernel */
	_Atomic uint64_t vmm_ns;    /* between two of them */
	_Atomic uint64_t handler_ns[PROFILE_REASONS];
	_Atomic uint64_t histogram[PROFILE_REASONS][PROFILE_BUCKETS];
};

/* On pages of its own, which its vCPU's thread is the first to touch: they are on that thread's node. */
struct profile {
	uint64_t whole, whole_size;	       /* an MMIO range that counts as one address (struct bus_ops) */
	struct profile_times *times;	       /* NULL: the clock is not read */
	_Atomic uint64_t other[PROFILE_KINDS]; /* exits whose address found no slot */
	struct {
		_Atomic uint64_t key, exits; /* key 0: free; set once */
	} slot[PROFILE_SLOTS];
};

/* Those of all vCPUs, in one mapping. */
struct profiles {
	char *map; /* NULL: there are none */
	size_t stride, n;
};

/* Main. 0 or -errno; all-zero is all right for destroy. */
int profiles_create(struct profiles *profiles, unsigned n, bool times);
void profiles_destroy(struct profiles *profiles);

static inline struct profile *profiles_at(const struct profiles *profiles, unsigned i)
{
	return (struct profile *)(profiles->map + profiles->stride * i);
}

/* The vCPU's thread, where it is to stay, before it runs; the bus is frozen. times: as for profiles_create(). Before
 * that, others read zeros. */
void profile_settle(struct profile *profile, const struct bus *bus, bool times);

/* The vCPU's thread: a return from KVM_RUN that is to be handled. */
void profile_exit(struct profile *profile, const struct kvm_run *run);

/* The vCPU's thread: a return without one, of which only the time until the next is of interest. */
static inline void profile_interrupted(struct profile *profile)
{
	if (profile->times)
		profile->times->reason = KVM_EXIT_INTR;
}

/* Slot i (below PROFILE_SLOTS). False: it is free. Any thread. */
bool profile_read(const struct profile *profile, unsigned i, struct profile_access *access);

/* profile_json.c: for reports, the busiest PROFILE_LISTED addresses, and of the others the sums; bus tells whose
 * they are. NULL: null. Any thread but a vCPU's. */
#define PROFILE_LISTED 64
json_t *profile_json(const struct profile *profile, const struct bus *bus);

/* Put the time since the last call on an account, and on that of the exit which was being handled. */
void profile_close(struct profile_times *times, _Atomic uint64_t *account);

/* The vCPU's thread: it begins to run the guest; is about to enter KVM_RUN; has left it; has ended running
 * the guest. */
static inline void profile_begin(struct profile *profile)
{
	if (!profile->times)
		return;
	profile->times->since = now_ns();
	profile->times->reason = -1;
}

static inline void profile_enter(struct profile *profile)
{
	if (profile->times)
		profile_close(profile->times, &profile->times->vmm_ns);
}

static inline void profile_leave(struct profile *profile)
{
	if (profile->times)
		profile_close(profile->times, &profile->times->inside_ns);
}

static inline void profile_end(struct profile *profile)
{
	profile_enter(profile);
}

#endif
