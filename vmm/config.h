/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole guest as plain data. options.c fills it, main.c hands it to guest.c; nobody writes it after that.
 * Strings and arrays are owned by the struct; config_free() releases them.
 */
#ifndef PINVM_CONFIG_H
#define PINVM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_MAX_DEVICES 31 /* slots of the PCI bus, beside the host bridge's */

/* Bytes of RAM a guest can have, and has when nobody says how much. */
#define CONFIG_MEMORY_MIN     (2ULL << 20)
#define CONFIG_MEMORY_MAX     (16ULL << 40)
#define CONFIG_MEMORY_DEFAULT (512ULL << 20)

/* A switch whose default is decided where it is used. */
enum tristate { TRI_DEFAULT = 0, TRI_OFF, TRI_ON };

enum irqchip_kind { IRQCHIP_SPLIT, IRQCHIP_ITS, IRQCHIP_USER };
enum transport_kind { TRANSPORT_PCI, TRANSPORT_MMIO };
enum on_reset { ON_RESET_EXIT, ON_RESET_RESTART };
enum serial_kind { SERIAL_STDIO, SERIAL_OFF, SERIAL_PTY, SERIAL_FILE, SERIAL_SOCKET };
enum io_engine { IO_AUTO, IO_URING, IO_PLAIN };

enum cpu_model { CPU_HOST };

struct cpu_config {
	unsigned count;                   /* 1.. */
	unsigned sockets, cores, threads; /* 0: derived from the others */
	enum cpu_model model;
	char *features; /* "-feat,+feat" in the order typed, /proc/cpuinfo names; NULL: host as it is */
};

/* Where pages come from: numa_memory_policy.rst. */
enum mem_policy { MEM_POLICY_DEFAULT, MEM_POLICY_BIND, MEM_POLICY_PREFERRED, MEM_POLICY_INTERLEAVE };

struct memory_config {
	uint64_t size;          /* bytes; 0: config_check() takes what --numa adds up to, or the default */
	char *hugepages;        /* as typed: off, thp, a size, or a hugetlbfs directory; NULL: the kernel's own default */
	enum tristate prealloc; /* default: on with hugetlb pages */
	bool lock;              /* mlock */
	bool shared;            /* other processes can map it: memfd or file, MAP_SHARED */
	char *host_node;        /* list of host nodes as typed; NULL: any */
	int policy;             /* enum mem_policy; with host_node the default is bind */
};

/* One --numa: a node of the guest. */
struct numa_config {
	char *cpus;	 /* list of vCPUs as typed */
	uint64_t size;	 /* bytes */
	char *host_node; /* as in memory_config; NULL: --memory's */
	char *distance;	 /* [N:D,...] as typed; NULL: 20 to the others */
};

struct disk_config {
	char *path;
	bool ro, direct;
	unsigned queues;     /* 1.. */
	unsigned queue_size; /* power of two */
	char *serial;        /* at most 20 bytes; NULL: derived */
	char *iothread;      /* vcpuN: that vCPU's thread; NULL: the default one, "main" */
	uint64_t bps, bps_burst;   /* bytes a second, and at once; 0: no limit, a tenth of a second's worth */
	unsigned iops, iops_burst; /* the same of requests */
};

/* One --net. Exactly one of tap and fd is given. */
struct net_config {
	char *tap;           /* name of the interface */
	char *fd;            /* open descriptors of a tap, one a pair: a list as typed */
	uint8_t mac[6];      /* zeros: derived from the machine-id and the host's and the tap's name */
	unsigned pairs;      /* 1.. */
	unsigned queue_size; /* power of two */
	enum tristate offload; /* default: on */
	unsigned mtu;        /* 0: the tap's */
	unsigned speed;      /* Mbit/s, what the guest is told; 0: nothing */
	char *iothread;      /* one, or [A,B]: pair i is served by the i-th, in turn; NULL: "main" */
	uint64_t bps, bps_burst; /* bytes a second, bytes; in each direction; 0: no limit */
	unsigned pps, pps_burst; /* packets */
};

/* --halt-poll; vmm/haltpoll/spec.c reads it. */
struct haltpoll_config {
	char *mode; /* as typed: default, off, a duration, auto, vmm; NULL: default */
	/* 0 and NULL: not given. */
	uint64_t max_ns;	 /* with auto or vmm */
	unsigned budget, weight; /* with auto */
	char *trace;
	uint64_t grow_start_ns; /* with vmm */
	unsigned grow, shrink;
};

struct exits_config {
	enum tristate hlt, pause, mwait, cstate; /* TRI_OFF: the guest keeps the core */
};

/* KVM's paravirtual features: KVM_CPUID_FEATURES and HINTS on x86, stolen time alone on arm64. */
struct kvm_config {
	enum tristate kvmclock, steal_time, pv_eoi, pv_unhalt, pv_tlb_flush, pv_ipi, async_pf, poll_control, sched_yield,
		realtime_hint;
};

/* The cgroup v2 that the guest runs in: cgroup/cgroup.h. */
struct cgroup_config {
	char *path;	 /* below the root of cgroup v2, or absolute; NULL: the one it was started in */
	unsigned weight; /* 0: as it is */
	char *max;	 /* as typed; NULL: as it is */
};

struct iothread_config {
	char *name;
	uint64_t poll_max_ns; /* longest time it polls before it sleeps; 0: it does not */
	unsigned poll_weight; /* vmm/loop/patience.h */
};

/* --stats: series/series.h. */
struct series_config {
	char *path; /* NULL: none */
	uint64_t interval_ns, max; /* max: bytes */
};

struct guest_config {
	char *name;
	char *kernel, *initrd, *append;
	struct cpu_config cpus;
	struct memory_config memory;
	struct numa_config *numas; /* in the order of guest nodes */
	unsigned nnumas;
	struct disk_config *disks;
	unsigned ndisks;
	struct net_config *nets;
	unsigned nnets;
	bool rng;
	struct iothread_config *iothreads; /* those of --iothread, after config_check() without "main" */
	unsigned niothreads;
	struct iothread_config main_iothread; /* it exists without being named; its name is not filled in */
	char **pins, **scheds; /* --pin and --sched as typed; place.c reads them */
	unsigned npins, nscheds;
	bool strict_placement;
	struct cgroup_config cgroup;
	struct haltpoll_config halt_poll;
	struct exits_config exits;
	enum irqchip_kind irqchip; /* config_check() makes it the one that --halt-poll vmm needs, unless it was given */
	bool irqchip_given;
	enum transport_kind transport;
	bool pmu;
	struct kvm_config kvm;
	enum serial_kind serial;
	char *serial_path; /* file= and socket= */
	enum io_engine io_engine;
	char *control; /* a path, or "off"; NULL: by the guest's name */
	char *report, *log;
	struct series_config stats;
	bool profile_times;   /* read the clock at each exit */
	bool profile_unknown; /* what KVM does not know comes here to be refused */
	unsigned verbose;
	uint64_t timeout_ns; /* 0: none */
	uint64_t grace_ns;   /* default 10 s */
	enum on_reset on_reset;
	bool debug_exit, force, dry_run;
};

/* Every option at its default (1 vCPU, ...). A field that could not be allocated is NULL. Main. */
void config_defaults(struct guest_config *cfg);
/* Release what the struct owns and leave it zeroed; a zeroed struct may be released again. Main. */
void config_free(struct guest_config *cfg);

/*
 * The rules that bind several options together; options_parse_run() ends with it, an embedder calls it itself. Fills in
 * what was left out and follows from the others: the topology (sockets, cores, threads), the size of memory. 0, or -EINVAL
 * after one logged line. Main.
 */
int config_check(struct guest_config *cfg);

/* iothread=vcpuN. The N of such a name, -1: it is none. Pure. */
int config_vcpu_of(const char *name);
/* Does that vCPU's thread serve a disk or a net? After config_check(). Pure. */
bool config_vcpu_serves(const struct guest_config *cfg, unsigned vcpu);

#endif
