/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shares of CPU time as people type them and as cgroup v2 keeps them: cpu.weight and cpu.max of
 * cgroup-v2.rst. Pure, any thread.
 */
#ifndef PINVM_CGROUP_LIMITS_H
#define PINVM_CGROUP_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_WEIGHT_MAX 10000
#define CGROUP_NO_QUOTA	  UINT64_MAX
#define CGROUP_PERIOD_US  100000 /* the kernel's own, and systemd's */

/* A quota of CPU time in each period, in microseconds; CGROUP_NO_QUOTA: none. */
struct cgroup_max {
	uint64_t quota_us, period_us;
};

/*
 * "50%" (of one CPU, as systemd's CPUQuota=), "150%/10ms", "50ms/100ms" (as libvirt's <quota> and <period>)
 * or "off". NULL, or why not, in words that follow "max TEXT: "; *max is then untouched.
 */
const char *cgroup_parse_max(const char *text, struct cgroup_max *max);
/* The same of a weight, 1 to 10000; the kernel's default is 100. */
const char *cgroup_parse_weight(const char *text, uint64_t *weight);
/* Can the kernel take it? */
bool cgroup_max_ok(const struct cgroup_max *max);
bool cgroup_weight_ok(uint64_t weight);

/* The spelling that parses as the same. */
void cgroup_format_max(const struct cgroup_max *max, char *out, size_t n);
/* The line of cpu.max, "50000 100000", written and read; false: it is no such line. */
void cgroup_write_max(const struct cgroup_max *max, char *out, size_t n);
bool cgroup_read_max(const char *line, struct cgroup_max *max);

#endif
