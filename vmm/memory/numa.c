// SPDX-License-Identifier: Apache-2.0
/* The host's memory nodes and the policy of a range; see numa.h. Main, or a thread that fills memory. */
#include "vmm/memory/numa.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/options/values.h"

#define NODES_DIR "/sys/devices/system/node"
/* The kernel counts one bit less than it is told: get_nodes() in mm/mempolicy.c. */
#define MASK_BITS (sizeof(node_set) * 8 + 1)

#ifndef MPOL_PREFERRED_MANY /* Linux 5.15 */
#define MPOL_PREFERRED_MANY 5
#endif
#ifndef MPOL_WEIGHTED_INTERLEAVE /* Linux 6.9 */
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif

/* ---- what there is ---- */

static bool has_nodes(const char *root)
{
	char text[HOSTFILE_MAX];

	return !hostfile_text(root, NODES_DIR "/online", text, sizeof(text));
}

void numa_online(const char *root, node_set *out)
{
	if (hostfile_list(root, NODES_DIR "/online", out) || !CPU_COUNT(out))
		CPU_SET(0, out);
}

void numa_allowed(const char *root, node_set *out)
{
	char text[HOSTFILE_MAX];
	node_set set;

	numa_online(root, out);
	if (!hostfile_list(root, NODES_DIR "/has_memory", &set))
		CPU_AND(out, out, &set);
	if (!hostfile_line(root, "/proc/self/status", "Mems_allowed_list:", text, sizeof(text)) &&
		!value_cpulist(text, &set, sizeof(set)))
		CPU_AND(out, out, &set);
}

void numa_cpus(const char *root, unsigned node, cpu_set_t *out)
{
	char path[96];

	snprintf(path, sizeof(path), NODES_DIR "/node%u/cpulist", node);
	if (!hostfile_list(root, path, out) || node || has_nodes(root))
		return;
	if (hostfile_list(root, "/sys/devices/system/cpu/online", out))
		memset(out, 0xff, sizeof(*out));
}

/* ---- what it has ---- */

/* A field of a file in the format of /proc/meminfo, in bytes; 0 where there is none. */
static uint64_t meminfo(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	uint64_t kib;

	return at && sscanf(at + strlen(key), "%" SCNu64, &kib) == 1 && kib < UINT64_MAX / 1024 ? kib * 1024 : 0;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What the kernel will not give up of `bytes` that it could drop: half of it, at most the low watermark. */
static uint64_t droppable(uint64_t bytes, uint64_t low)
{
	return bytes - (bytes / 2 < low ? bytes / 2 : low);
}

/* A node's part of what reclaim keeps free: vm.min_free_kbytes and a quarter more (Documentation/admin-guide/sysctl/vm.rst). */
static uint64_t low_watermark(const char *root)
{
	uint64_t kib = 0;
	node_set online;

	numa_online(root, &online);
	if (hostfile_uint(root, "/proc/sys/vm/min_free_kbytes", &kib) || kib > UINT64_MAX / 2048)
		return 0;
	return kib * 1024 / 4 * 5 / CPU_COUNT(&online);
}

/* si_mem_available() of mm/show_mem.c, for one node. */
static uint64_t node_available(const char *root, const char *text)
{
	uint64_t low = low_watermark(root);
	uint64_t cache = meminfo(text, " Active(file):") + meminfo(text, " Inactive(file):");
	uint64_t slab = meminfo(text, " KReclaimable:");

	if (!slab) /* before Linux 4.20 */
		slab = meminfo(text, " SReclaimable:");
	cache = less(cache, meminfo(text, " Dirty:") + meminfo(text, " Writeback:"));
	return less(meminfo(text, " MemFree:"), low) + droppable(cache, low) + droppable(slab, low);
}

uint64_t numa_available(const char *root, unsigned node)
{
	char path[96], text[HOSTFILE_MAX];

	snprintf(path, sizeof(path), NODES_DIR "/node%u/meminfo", node);
	if (!hostfile_text(root, path, text, sizeof(text)))
		return strstr(text, " MemFree:") ? node_available(root, text) : UINT64_MAX;
	return node || has_nodes(root) ? UINT64_MAX : numa_available_all(root);
}

uint64_t numa_available_all(const char *root)
{
	char text[HOSTFILE_MAX];

	if (hostfile_text(root, "/proc/meminfo", text, sizeof(text)) || !strstr(text, "MemAvailable:"))
		return UINT64_MAX;
	return meminfo(text, "MemAvailable:");
}

/* ---- policies ---- */

static int mode_of(enum mem_policy policy, const node_set *nodes)
{
	switch (policy) {
	case MEM_POLICY_BIND:
		return MPOL_BIND;
	case MEM_POLICY_PREFERRED:
		return CPU_COUNT(nodes) > 1 ? MPOL_PREFERRED_MANY : MPOL_PREFERRED;
	case MEM_POLICY_INTERLEAVE:
		return MPOL_INTERLEAVE;
	default:
		return -EINVAL;
	}
}

int numa_bind(void *addr, uint64_t len, enum mem_policy policy, const node_set *nodes)
{
	int mode;

	if (policy == MEM_POLICY_DEFAULT)
		return 0;
	mode = mode_of(policy, nodes);
	/* The kernel takes MPOL_PREFERRED without a node for "local", which is not what was asked. */
	if (mode < 0 || !CPU_COUNT(nodes))
		return -EINVAL;
	return syscall(SYS_mbind, addr, len, mode, nodes, MASK_BITS, 0) < 0 ? -errno : 0;
}

int numa_stay(const char *root)
{
	uint64_t balancing = 0;
	int mode = 0;

	if (hostfile_uint(root, "/proc/sys/kernel/numa_balancing", &balancing) || !balancing)
		return 0;
	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) < 0)
		return -errno;
	if (mode != MPOL_DEFAULT)
		return 0;
	return syscall(SYS_set_mempolicy, MPOL_LOCAL, NULL, 0) < 0 ? -errno : 1;
}

int numa_policy_at(const void *addr, enum mem_policy *policy, node_set *nodes)
{
	int mode = 0;

	CPU_ZERO(nodes);
	if (syscall(SYS_get_mempolicy, &mode, nodes, MASK_BITS, addr, MPOL_F_ADDR) < 0)
		return -errno;
	switch (mode & ~MPOL_MODE_FLAGS) {
	case MPOL_BIND:
		*policy = MEM_POLICY_BIND;
		return 0;
	case MPOL_PREFERRED:
	case MPOL_PREFERRED_MANY:
		*policy = MEM_POLICY_PREFERRED;
		return 0;
	case MPOL_INTERLEAVE:
	case MPOL_WEIGHTED_INTERLEAVE:
		*policy = MEM_POLICY_INTERLEAVE;
		return 0;
	case MPOL_DEFAULT:
	case MPOL_LOCAL:
		*policy = MEM_POLICY_DEFAULT;
		return 0;
	default:
		return -EPROTO;
	}
}
