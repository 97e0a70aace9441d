// SPDX-License-Identifier: Apache-2.0
/*
 * THE table of options. A new option is a field in config.h and a row here; parser, configuration file, help,
 * man page, completion, defaults and release follow. Only options that work stand here. Constant data, any
 * thread.
 */
#include "vmm/options/table.h"

#include <limits.h>
#include <string.h>

#include "vmm/cgroup/find.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/listener.h"
#include "vmm/memory/nodes.h"
#include "vmm/memory/plan.h"
#include "vmm/options/values.h"
#include "vmm/place/place.h"
#include "vmm/series/series.h"
#include "vmm/util.h"

#define DAYS(n)	   ((n)*86400ULL * 1000000000)
#define SECONDS(n) ((n)*1000000000ULL)

/* Of rate limits and their bursts: bytes, and operations. */
#define RATE_MIN 1024
#define RATE_MAX (1ULL << 40)
#define OPS_MAX	 1000000000
#define A_SECOND " a second"

/* The offset of a field, which must be of this type: the parser writes through it. */
#define AT(s, f, type)    \
	(offsetof(s, f) + \
		0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((s *)0)->f), type) ? 1 : -1]))
/* Enumerations are stored as int. */
#define AT_ENUM(s, f) (offsetof(s, f) + 0 * sizeof(char[sizeof(((s *)0)->f) == sizeof(int) ? 1 : -1]))

#define STRING(s, f, lo, hi) .type = OPT_STRING, .at = AT(s, f, char *), .min = (lo), .max = (hi)
#define NAME(s, f, hi)	     .type = OPT_NAME, .at = AT(s, f, char *), .min = 1, .max = (hi)
#define UINT(s, f, lo, hi, dfl) \
	.type = OPT_UINT, .at = AT(s, f, unsigned), .min = (lo), .max = (hi), .def = (dfl)
#define BOOL(s, f)	   .type = OPT_BOOL, .at = AT(s, f, bool)
#define TRI(s, f)	   .type = OPT_TRI, .at = AT(s, f, enum tristate)
#define CHOICE(s, f, list) .type = OPT_CHOICE, .at = AT_ENUM(s, f), .names = (list)
#define SIZE(s, f, lo, hi, dfl) \
	.type = OPT_SIZE, .at = AT(s, f, uint64_t), .min = (lo), .max = (hi), .def = (dfl)
#define BYTES(s, f, what)	SIZE(s, f, RATE_MIN, RATE_MAX, 0), .unit = (what), .live = true
#define OPS(s, f, what)		UINT(s, f, 1, OPS_MAX, 0), .unit = (what), .live = true
#define DURATION(s, f, hi, dfl) .type = OPT_DURATION, .at = AT(s, f, uint64_t), .max = (hi), .def = (dfl)
#define MAC(s, f)		.type = OPT_MAC, .at = AT(s, f, uint8_t[6])
#define KEYS(list)		.keys = (list), .nkeys = COUNT(list)
#define ONOFF			"on|off"
#define NO_WFI			"KVM handles WFI itself"

typedef struct guest_config G;
typedef struct disk_config D;
typedef struct numa_config N;
typedef struct net_config T;
typedef struct iothread_config I;

static const char *check_control(const char *text)
{
	return strlen(text) >= sizeof(((struct own_file *)0)->path) ? "a socket's path has at most 107 bytes" : NULL;
}

static const char *const model_names[] = {"host", NULL};
static const char *const irqchip_names[] = {"split", "its", "user", NULL};
static const struct opt_only irqchip_only[] = {
	{"its", "arm64", "MSIs by KVM's ITS, by which a guest could reach its host (CVE-2026-46316)", "an MSI goes to a local APIC"},
	{"user", "x86", "local APICs in pinvm too, where vCPUs then halt; experimental", NO_WFI},
	{NULL},
};
static const char *const halt_poll_names[] = {"default", "off", "DURATION", "auto", "vmm", NULL};
static const struct opt_only halt_poll_only[] = {
	{"vmm", "x86", "each vCPU's thread polls by itself; makes --irqchip user the default", NO_WFI},
	{NULL},
};
static const char *const role_names[] = {"vcpu=", "iothread=", "emulator=", NULL};
static const char *const transport_names[] = {"pci", "mmio", NULL};
static const char *const on_reset_names[] = {"exit", "restart", NULL};
static const char *const serial_names[] = {"stdio", "off", "pty", "file=PATH", "socket=PATH", NULL};
static const char *const policy_names[] = {"bind", "preferred", "interleave", NULL};
static const char *const engine_names[] = {"auto", "io_uring", "plain", NULL};

static const char *check_pin(const char *text)
{
	struct place_rule rule;

	return place_parse_pin(text, &rule);
}

static const char *check_sched(const char *text)
{
	struct place_rule rule;

	return place_parse_sched(text, &rule);
}

static const char *check_one_name(const char *text)
{
	return *text == '[' ? "give one name: a disk has one thread; only --net takes a list, for its pairs" : NULL;
}

static const char *check_halt_poll(const char *text)
{
	return haltpoll_parse(text, NULL);
}

static const char *check_hugepages(const char *text)
{
	enum mem_pages pages;
	uint64_t size;

	return mem_parse_hugepages(text, &pages, &size);
}

static const char *check_vcpus(const char *text)
{
	cpu_set_t set;

	return value_cpulist(text, &set, sizeof(set));
}

static const char *check_host_nodes(const char *text)
{
	cpu_set_t set;

	return value_cpulist(text, &set, sizeof(set)) ? "not a list of host nodes: write it as 0 or [0,2-3]" : NULL;
}

static const char *check_distance(const char *text)
{
	uint8_t to[NODES_MAX];

	return nodes_parse_distance(text, to);
}

/* Nobody has a file of that name on purpose. */
static const char *check_output(const char *text)
{
	return strcmp(text, "-") ? NULL : "would be a file of that name: give /dev/stdout, or ./- if that is meant";
}

static const char *check_image(const char *text)
{
	if (strncmp(text, "file=", 5) && strncmp(text, "path=", 5))
		return NULL;
	return "the PATH stands first, by itself: leave out what is before it, or write ./ before a file of such a name";
}

static const char *check_cgroup_max(const char *text)
{
	struct cgroup_max max;

	return cgroup_parse_max(text, &max);
}

/* A key: its name, what stands for its value in the help, the help, then one of the types above. */
static const struct opt_key cpu_keys[] = {
	{"sockets", "N", "sockets the guest sees", UINT(G, cpus.sockets, 1, 255, 0)},
	{"cores", "N", "cores of a socket", UINT(G, cpus.cores, 1, 255, 0)},
	{"threads", "N", "threads of a core", UINT(G, cpus.threads, 1, 255, 0)},
	{"cpu", "host", "the host's CPU as KVM can give it", CHOICE(G, cpus.model, model_names)},
	{"-FEAT,+FEAT", NULL, "hide or demand a CPU feature, named as in /proc/cpuinfo; any number of them",
		.type = OPT_FEATURES, .at = AT(G, cpus.features, char *)},
};

static const struct opt_key memory_keys[] = {
	{"hugepages", "off|thp|2M|1G|/DIR", "pages it is made of: small, transparent huge, of a size, of a hugetlbfs mount",
		STRING(G, memory.hugepages, 1, PATH_MAX - 1), .check = check_hugepages},
	{"prealloc", ONOFF, "all pages are there before the start; without: on with huge pages and lock",
		TRI(G, memory.prealloc)},
	{"lock", ONOFF, "never swapped (mlock)", BOOL(G, memory.lock)},
	{"shared", ONOFF, "RAM that other processes can map (memfd, or the mount's file)", BOOL(G, memory.shared)},
	{"host-node", "LIST", "host nodes its pages come from", STRING(G, memory.host_node, 1, 255),
		.check = check_host_nodes},
	{"policy", "bind|preferred|interleave", "only those nodes, those if they can, or those in turn",
		CHOICE(G, memory.policy, policy_names)},
};

static const struct opt_key numa_keys[] = {
	{"cpus", "LIST", "its vCPUs, as in 0-3 or [0,4-7]; every vCPU is in one node",
		STRING(N, cpus, 1, 1023), .check = check_vcpus},
	{"memory", "SIZE", "its RAM", SIZE(N, size, CONFIG_MEMORY_MIN, CONFIG_MEMORY_MAX, 0)},
	{"host-node", "LIST", "host nodes its pages come from; without: those of --memory",
		STRING(N, host_node, 1, 255), .check = check_host_nodes},
	{"distance", "[N:D,...]", "how far guest node N is, 11 to 254; without: 20",
		STRING(N, distance, 1, 255), .check = check_distance},
};

static const struct opt_key disk_keys[] = {
	{"ro", NULL, "read-only", BOOL(D, ro)},
	{"direct", NULL, "without the host's page cache (O_DIRECT)", BOOL(D, direct)},
	{"queues", "N", "request queues", UINT(D, queues, 1, 16, 1)},
	{"queue-size", "N", "entries of a queue", UINT(D, queue_size, 4, 1024, 256), .pow2 = true},
	{"serial", "S", "serial number the guest reads", STRING(D, serial, 1, 20)},
	{"iothread", "NAME", "the iothread that serves it, or vcpuN: that vCPU itself; without: main", NAME(D, iothread, 12),
		.check = check_one_name},
	{"bps", "BYTES", "bytes a second, of reads and writes together", BYTES(D, bps, "bytes" A_SECOND)},
	{"bps-burst", "BYTES", "bytes at once after a quiet time; without: a tenth of a second's worth",
		BYTES(D, bps_burst, "bytes"), .rides = true},
	{"iops", "N", "requests a second", OPS(D, iops, "requests" A_SECOND)},
	{"iops-burst", "N", "requests at once after a quiet time; without: a tenth of a second's worth",
		OPS(D, iops_burst, "requests"), .rides = true},
};

static const char *check_ifname(const char *text)
{
	if (strpbrk(text, "/%: \t\n") || !strcmp(text, ".") || !strcmp(text, ".."))
		return "not a name the kernel gives an interface";
	return NULL;
}

/* Plain numbers: neither ranges nor what CPU lists leave out. */
static const char *check_fds(const char *text)
{
	cpu_set_t set;
	int n = 1;

	if (strpbrk(text, "-^") || value_cpulist(text, &set, sizeof(set)))
		return "not a descriptor, or a list of them: write it as 3 or [3,4]";
	for (const char *p = text; *p; p++)
		n += *p == ',';
	return CPU_COUNT(&set) == n ? NULL : "a descriptor stands there twice; each pair needs its own";
}

static const char *check_names(const char *text)
{
	char name[16];

	for (unsigned i = 0;; i++) {
		const char *why = value_name_at(text, i, name, sizeof(name));

		if (why || !*name)
			return why;
	}
}

static const struct opt_key net_keys[] = {
	{"tap", "NAME", "the host's tap it is the other end of; made when there is none and that is allowed",
		STRING(T, tap, 1, 15), .check = check_ifname},
	{"fd", "N", "open descriptor of a tap instead, or [N,M,...]: one a pair", STRING(T, fd, 1, 255),
		.check = check_fds},
	{"mac", "MAC", "the guest's address; without: of the tap's and the host's name", MAC(T, mac)},
	{"pairs", "N", "pairs of queues", UINT(T, pairs, 1, 16, 1)},
	{"queue-size", "N", "entries of a queue", UINT(T, queue_size, 4, 1024, 256), .pow2 = true},
	{"offload", ONOFF, "checksums and segmentation left to the other side, both ways; without: on",
		TRI(T, offload)},
	{"mtu", "N", "the largest packet, in bytes, on both sides; without: the tap's", UINT(T, mtu, 68, 65521, 0)},
	{"speed", "N", "what the guest is told, in Mbit/s; without: nothing", UINT(T, speed, 1, 2147483647, 0)},
	{"iothread", "NAME", "the iothread that serves it, or vcpuN, or [A,B,...]: pairs in turn; without: main",
		STRING(T, iothread, 1, 255), .check = check_names},
	{"bps", "BYTES", "bytes (not bits) a second, in each direction", BYTES(T, bps, "bytes" A_SECOND)},
	{"bps-burst", "BYTES", "bytes at once after a quiet time; without: a tenth of a second's worth",
		BYTES(T, bps_burst, "bytes"), .rides = true},
	{"pps", "N", "packets a second, in each direction", OPS(T, pps, "packets" A_SECOND)},
	{"pps-burst", "N", "packets at once after a quiet time; without: a tenth of a second's worth",
		OPS(T, pps_burst, "packets"), .rides = true},
};

#define X86(reason) .arch = "x86", .why = (reason)

static const struct opt_key cgroup_keys[] = {
	{"weight", "N", "its share beside its siblings, whose default is 100",
		UINT(G, cgroup.weight, 1, CGROUP_WEIGHT_MAX, 0)},
	{"max", "50%|50ms/100ms|off", "CPU time it may have: of one CPU, or in each period",
		STRING(G, cgroup.max, 1, 63), .check = check_cgroup_max},
};

static const struct opt_key iothread_keys[] = {
	{"poll-max", "TIME", "poll for at most so long before sleeping, where that pays; without: do not poll",
		DURATION(I, poll_max_ns, 10000000, 0), .live = true},
	{"poll-weight", "N", "what a wake-up's delay counts, in its own CPU time; without: 4",
		UINT(I, poll_weight, 1, 1000, 0), .live = true, .rides = true},
};

static const struct opt_key halt_poll_keys[] = {
	{"max", "DURATION", "the longest it may become; without: 1ms (auto), 200us (vmm)", .type = OPT_DURATION,
		.at = AT(G, halt_poll.max_ns, uint64_t), .min = 1000, .max = HALTPOLL_MAX_NS, .of = "auto|vmm"},
	{"budget", "PCT", "auto: percent of its time that a vCPU may poll; without: 100",
		UINT(G, halt_poll.budget, 1, 100, 0), .of = "auto"},
	{"weight", "N", "auto: the CPU time that as much latency is worth; without: 4",
		UINT(G, halt_poll.weight, 1, 1000, 0), .of = "auto"},
	{"trace", "FILE", "auto, at the start: what it saw and decided, as text that can be replayed",
		STRING(G, halt_poll.trace, 1, PATH_MAX - 1), .check = check_output, .of = "auto", .at_start = true},
	{"grow", "N", "vmm: a window that was too short is multiplied by it; without: 2",
		UINT(G, halt_poll.grow, 1, 1000000, 0), .of = "vmm", X86(NO_WFI)},
	{"grow-start", "DURATION", "vmm: the shortest window; without: 10us, or max below that", .type = OPT_DURATION,
		.at = AT(G, halt_poll.grow_start_ns, uint64_t), .min = 100, .max = HALTPOLL_MAX_NS, .of = "vmm", X86(NO_WFI)},
	{"shrink", "N", "vmm: a window that nothing came in is divided by it; without: 2",
		UINT(G, halt_poll.shrink, 1, 1000000, 0), .of = "vmm", X86(NO_WFI)},
};

static const struct opt_key exits_keys[] = {
	{"hlt", ONOFF, "HLT leaves the guest", TRI(G, exits.hlt)},
	{"pause", ONOFF, "PAUSE loops leave the guest", TRI(G, exits.pause)},
	{"mwait", ONOFF, "MWAIT leaves the guest", TRI(G, exits.mwait)},
	{"cstate", ONOFF, "C-state changes leave the guest", TRI(G, exits.cstate)},
};

static const struct opt_key stats_keys[] = {
	{"interval", "TIME", "between two lines",
		DURATION(G, stats.interval_ns, DAYS(365), SECONDS(1)), .min = SERIES_INTERVAL_MIN},
	{"max", "SIZE", "of FILE and FILE.1, its older half, together",
		SIZE(G, stats.max, SERIES_MAX_MIN, 1ULL << 50, SERIES_MAX_DEFAULT)},
};

static const struct opt_key profile_keys[] = {
	{"times", ONOFF, "read the clock twice an exit and a batch of disk requests: times, histograms",
		BOOL(G, profile_times)},
	{"unknown", ONOFF, "MSRs and calls that KVM does not know are counted and refused here",
		BOOL(G, profile_unknown), X86("KVM itself refuses registers and calls that it does not know")},
};

#define NO_PV	    X86("KVM has no such feature there")

static const struct opt_key kvm_keys[] = {
	{"kvmclock", ONOFF, "paravirtual clock", TRI(G, kvm.kvmclock),
		X86("the guest reads the CPU's own counter, which KVM keeps right")},
	{"steal-time", ONOFF, "stolen time, shown in the guest's top", TRI(G, kvm.steal_time)},
	{"pv-eoi", ONOFF, "end of interrupt without an exit", TRI(G, kvm.pv_eoi),
		X86("the interrupt controller ends interrupts without an exit")},
	{"pv-unhalt", ONOFF, "paravirtual spinlocks", TRI(G, kvm.pv_unhalt), NO_PV},
	{"pv-tlb-flush", ONOFF, "no TLB flush for vCPUs that do not run", TRI(G, kvm.pv_tlb_flush),
		X86("one instruction flushes the TLBs of all CPUs, without an exit")},
	{"pv-ipi", ONOFF, "many IPIs by one call", TRI(G, kvm.pv_ipi), NO_PV},
	{"async-pf", ONOFF, "asynchronous page faults", TRI(G, kvm.async_pf), NO_PV},
	{"poll-control", ONOFF, "the guest may turn host polling off", TRI(G, kvm.poll_control), NO_PV},
	{"sched-yield", ONOFF, "yield to a vCPU that was preempted", TRI(G, kvm.sched_yield), NO_PV},
	{"realtime-hint", ONOFF, "tell the guest that its vCPUs are never preempted",
		TRI(G, kvm.realtime_hint), NO_PV},
};

const struct opt_row opt_table[] = {
	{.name = "kernel",
		.letter = 'k',
		.flags = OPT_POSITION,
		.group = "Guest",
		.value = {NULL, "FILE",
			"the kernel, also given without -k: bzImage, PVH or Multiboot ELF; arm64: Image or Image.gz",
			STRING(G, kernel, 1, PATH_MAX - 1)}},
	{.name = "initrd",
		.letter = 'i',
		.value = {NULL, "FILE", "initial RAM disk", STRING(G, initrd, 1, PATH_MAX - 1)}},
	{.name = "append",
		.letter = 'p',
		.flags = OPT_JOIN,
		.value = {NULL, "STR", "the kernel's command line", STRING(G, append, 0, 65535)}},
	{.name = "name",
		.letter = 'n',
		.value = {NULL, "NAME", "what to call this guest (default pinvm-PID)", NAME(G, name, 64)}},

	{.name = "cpus",
		.letter = 'c',
		.group = "CPUs and memory",
		.value = {NULL, "N", "number of vCPUs", UINT(G, cpus.count, 1, 255, 1)},
		KEYS(cpu_keys)},
	{.name = "memory",
		.letter = 'm',
		.value = {NULL, "SIZE", "guest RAM (default 512M), or what --numa adds up to; a bare number is MiB",
			SIZE(G, memory.size, CONFIG_MEMORY_MIN, CONFIG_MEMORY_MAX, 0)},
		KEYS(memory_keys)},
	{.name = "numa",
		.flags = OPT_REPEAT,
		.count_at = AT(G, nnumas, unsigned),
		.size = sizeof(N),
		.value = {NULL, NULL, "a NUMA node of the guest, numbered from 0", .type = OPT_NONE,
			.at = AT(G, numas, N *)},
		KEYS(numa_keys)},
	{.name = "pin",
		.group = "Placement",
		.flags = OPT_REPEAT,
		.count_at = AT(G, npins, unsigned),
		.size = sizeof(char *),
		.value = {NULL, "ROLE=CPULIST",
			"CPUs of vcpu, vcpuN, iothread[:NAME], emulator; vcpu=LIST/each spreads",
			.type = OPT_STRING, .at = AT(G, pins, char **), .min = 1, .max = 1023, .check = check_pin,
			.names = role_names}},
	{.name = "sched",
		.flags = OPT_REPEAT,
		.count_at = AT(G, nscheds, unsigned),
		.size = sizeof(char *),
		.value = {NULL, "ROLE=POLICY",
			"other:NICE, batch:NICE, idle, fifo:PRIO, rr:PRIO, deadline=[R,D,P]",
			.type = OPT_STRING, .at = AT(G, scheds, char **), .min = 1, .max = 255,
			.check = check_sched, .names = role_names}},
	{.name = "cgroup",
		.value = {NULL, "PATH", "cgroup v2 the guest runs in, below its root; made and removed if there is none",
			STRING(G, cgroup.path, 1, PATH_MAX - 1), .check = cgroup_check_path},
		KEYS(cgroup_keys)},
	{.name = "strict-placement",
		.value = {NULL, NULL, "refuse where a placement would only be warned of", BOOL(G, strict_placement)}},

	{.name = "halt-poll",
		.value = {NULL, "default|off|DURATION|auto",
			"the longest a halted vCPU polls before it blocks, at most 4s; default: the kernel's own",
			STRING(G, halt_poll.mode, 1, 32), .check = check_halt_poll, .names = halt_poll_names,
			.only = halt_poll_only},
		KEYS(halt_poll_keys)},

	{.name = "exits",
		.group = "CPU features",
		.arch = "x86",
		.why = "KVM has no such switches",
		.value = {NULL, NULL, "off: the guest keeps the core",
			.type = OPT_NONE},
		KEYS(exits_keys)},
	{.name = "irqchip",
		.value = {NULL, "split|its", "local APICs or GIC in KVM; IOAPIC, or what takes MSIs, in pinvm",
			CHOICE(G, irqchip, irqchip_names), .given_at = AT(G, irqchip_given, bool),
			.only = irqchip_only}},
	{.name = "pmu", .value = {NULL, ONOFF, "performance counters in the guest", BOOL(G, pmu)}},
	{.name = "kvm",
		.value = {NULL, NULL, "paravirtual features, each on or off", .type = OPT_NONE},
		KEYS(kvm_keys)},

	{.name = "disk",
		.letter = 'd',
		.group = "Devices",
		.flags = OPT_REPEAT,
		.count_at = AT(G, ndisks, unsigned),
		.size = sizeof(D),
		.value_at = offsetof(D, path),
		.value = {NULL, "PATH", "virtio disk on a raw image or block device", .type = OPT_STRING,
			.at = AT(G, disks, D *), .min = 1, .max = PATH_MAX - 1, .check = check_image},
		KEYS(disk_keys)},
	{.name = "net",
		.letter = 'N',
		.flags = OPT_REPEAT,
		.count_at = AT(G, nnets, unsigned),
		.size = sizeof(T),
		.value = {NULL, NULL, "virtio network device over a tap", .type = OPT_NONE, .at = AT(G, nets, T *)},
		KEYS(net_keys)},
	{.name = "rng", .value = {NULL, NULL, "virtio entropy device", BOOL(G, rng)}},
	{.name = "iothread",
		.flags = OPT_REPEAT,
		.count_at = AT(G, niothreads, unsigned),
		.size = sizeof(I),
		.value_at = offsetof(I, name),
		.value = {NULL, "NAME", "a thread that serves devices, beside main; or main, to say more of it",
			.type = OPT_NAME, .at = AT(G, iothreads, I *), .min = 1, .max = 12},
		KEYS(iothread_keys)},
	{.name = "io-engine",
		.value = {NULL, "auto|io_uring|plain", "how host I/O is done",
			CHOICE(G, io_engine, engine_names)}},
	{.name = "transport",
		.value = {NULL, "pci|mmio", "how the guest reaches virtio devices",
			CHOICE(G, transport, transport_names)}},
	{.name = "serial",
		.value = {NULL, "stdio|off|pty|file=PATH|socket=PATH",
			"the serial port; stdio: Ctrl-A x ends, Ctrl-A h helps",
			CHOICE(G, serial, serial_names), .arg_at = AT(G, serial_path, char *), .min = 1,
			.max = PATH_MAX - 1, .check = check_output}},
	{.name = "debug-exit",
		.arch = "x86",
		.why = "there are no I/O ports",
		.value = {NULL, NULL, "V to port 0xf4: pinvm ends with status V * 2 + 1",
			BOOL(G, debug_exit)}},

	{.name = "timeout",
		.group = "The run",
		.value = {NULL, "SECONDS", "end with status 124 after this time; 0: never",
			DURATION(G, timeout_ns, DAYS(3650), 0)}},
	{.name = "grace",
		.value = {NULL, "SECONDS", "time for the guest to power off when pinvm is told to stop",
			DURATION(G, grace_ns, DAYS(3650), SECONDS(10))}},
	{.name = "on-reset",
		.value = {NULL, "exit|restart", "what a guest's reset does",
			CHOICE(G, on_reset, on_reset_names)}},
	{.name = "control",
		.value = {NULL, "PATH|off", "the socket for pinvm ctl; without: one by the guest's name",
			STRING(G, control, 1, PATH_MAX - 1), .check = check_control}},
	{.name = "force", .value = {NULL, NULL, "turn refusals that allow it into warnings", BOOL(G, force)}},
	{.name = "dry-run", .value = {NULL, NULL, "print what would be done, or refused, and end", BOOL(G, dry_run)}},
	{.name = "report",
		.value = {NULL, "FILE.json", "write how it ended, as JSON",
			STRING(G, report, 1, PATH_MAX - 1), .check = check_output}},
	{.name = "stats",
		.value = {NULL, "FILE", "write the guest's counters from time to time, each time a line of JSON",
			STRING(G, stats.path, 1, PATH_MAX - 3), .check = check_output},
		KEYS(stats_keys)},
	{.name = "profile",
		.value = {NULL, NULL, "what the report says of exits, beside their counts", .type = OPT_NONE},
		KEYS(profile_keys)},
	{.name = "log",
		.value = {NULL, "FILE", "messages go there instead of stderr",
			STRING(G, log, 1, PATH_MAX - 1), .check = check_output}},
	{.name = "verbose",
		.letter = 'v',
		.flags = OPT_REPEAT,
		.value = {NULL, NULL, "more messages; twice: still more", .type = OPT_COUNT,
			.at = AT(G, verbose, unsigned)}},
	{.name = "config",
		.flags = OPT_OUTSIDE,
		.value = {NULL, "FILE", "read options from FILE; those on the command line win",
			.type = OPT_STRING, .min = 1, .max = PATH_MAX - 1}},
	{.name = "help",
		.letter = 'h',
		.flags = OPT_OUTSIDE,
		.value = {NULL, NULL, "print this and end", .type = OPT_NONE}},
	{.name = "version",
		.flags = OPT_OUTSIDE,
		.value = {NULL, NULL, "print the version and end", .type = OPT_NONE}},
};

const unsigned opt_rows = COUNT(opt_table);
