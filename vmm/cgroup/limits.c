// SPDX-License-Identifier: Apache-2.0
/* Weights and quotas as text; see limits.h. */
#include "vmm/cgroup/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/options/values.h"

#define US	   1000 /* nanoseconds */
#define LEAST_US   1000
#define LONGEST_US 1000000
#define MOST_CPUS  8192 /* as many as Linux knows */

bool cgroup_weight_ok(uint64_t weight)
{
	return weight >= 1 && weight <= CGROUP_WEIGHT_MAX;
}

const char *cgroup_parse_weight(const char *text, uint64_t *weight)
{
	uint64_t n;

	if (value_uint(text, &n) || !cgroup_weight_ok(n))
		return "must be 1 to 10000; 100 is what others have";
	*weight = n;
	return NULL;
}

bool cgroup_max_ok(const struct cgroup_max *max)
{
	if (max->period_us < LEAST_US || max->period_us > LONGEST_US)
		return false;
	return max->quota_us == CGROUP_NO_QUOTA ||
	       (max->quota_us >= LEAST_US && max->quota_us <= MOST_CPUS * max->period_us);
}

/* Whole microseconds, and a unit: a bare number would be seconds here, and is microseconds elsewhere. */
static const char *parse_time(const char *text, uint64_t *us)
{
	uint64_t ns;

	if (!value_uint(text, &ns))
		return "a time needs its unit: 50ms, or 50000us, which is how cpu.max and libvirt count; or "
		       "give percent of a CPU, 50%";
	if (value_duration(text, &ns) || ns % US)
		return "write it as 50%, 50%/10ms, 50ms/100ms or off";
	*us = ns / US;
	return NULL;
}

/* "50%" or "50ms", of a period. */
static const char *parse_quota(char *text, struct cgroup_max *max)
{
	size_t len = strlen(text);
	uint64_t percent;

	if (!len || text[len - 1] != '%')
		return parse_time(text, &max->quota_us);
	text[len - 1] = '\0';
	if (value_uint(text, &percent) || percent > 100 * MOST_CPUS)
		return "not a percentage: 100% is one CPU, 200% are two";
	max->quota_us = percent * max->period_us / 100;
	return NULL;
}

const char *cgroup_parse_max(const char *text, struct cgroup_max *max)
{
	struct cgroup_max m = {CGROUP_NO_QUOTA, CGROUP_PERIOD_US};
	const char *why = NULL;
	char quota[64], *period;

	if (!strcmp(text, "off")) {
		*max = m;
		return NULL;
	}
	if (snprintf(quota, sizeof(quota), "%s", text) >= (int)sizeof(quota))
		return "too long";
	period = strchr(quota, '/');
	if (period) {
		*period++ = '\0';
		why = parse_time(period, &m.period_us);
	}
	if (!why)
		why = parse_quota(quota, &m);
	if (why)
		return why;
	if (!cgroup_max_ok(&m))
		return "the kernel takes periods of 1ms to 1s (100ms where none is given) and at least 1ms "
		       "of time in each";
	*max = m;
	return NULL;
}

static void format_time(uint64_t us, char *out, size_t n)
{
	value_format_duration(us * US, out, n);
}

void cgroup_format_max(const struct cgroup_max *max, char *out, size_t n)
{
	char quota[32], period[32];

	format_time(max->quota_us, quota, sizeof(quota));
	format_time(max->period_us, period, sizeof(period));
	if (max->quota_us == CGROUP_NO_QUOTA)
		snprintf(out, n, "off");
	else if (max->period_us == CGROUP_PERIOD_US && !(max->quota_us % (CGROUP_PERIOD_US / 100)))
		snprintf(out, n, "%" PRIu64 "%%", max->quota_us / (CGROUP_PERIOD_US / 100));
	else
		snprintf(out, n, "%s/%s", quota, period);
}

void cgroup_write_max(const struct cgroup_max *max, char *out, size_t n)
{
	if (max->quota_us == CGROUP_NO_QUOTA)
		snprintf(out, n, "max %" PRIu64, max->period_us);
	else
		snprintf(out, n, "%" PRIu64 " %" PRIu64, max->quota_us, max->period_us);
}

bool cgroup_read_max(const char *line, struct cgroup_max *max)
{
	char quota[32], period[32];

	if (sscanf(line, "%31s %31s", quota, period) != 2 || value_uint(period, &max->period_us))
		return false;
	max->quota_us = CGROUP_NO_QUOTA;
	return !strcmp(quota, "max") || !value_uint(quota, &max->quota_us);
}
