// SPDX-License-Identifier: Apache-2.0
/* Rules of --pin and --sched: text to struct and back; see place.h. Pure functions, any thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/options/values.h"
#include "vmm/place/place.h"
#include "vmm/util.h"

#define ROLES "the role is one of vcpu, vcpuN, iothread, iothread:NAME, emulator"

static const char *parse_role(const char *text, size_t len, struct place_rule *rule)
{
	static const char io[] = "iothread:";
	char *end;

	rule->index = -1;
	rule->name[0] = 0;
	if (len == 8 && !memcmp(text, "emulator", len))
		return rule->role = PLACE_EMULATOR, NULL;
	if (len == 8 && !memcmp(text, "iothread", len))
		return rule->role = PLACE_IOTHREAD, NULL;
	if (len >= sizeof(io) && !memcmp(text, io, sizeof(io) - 1)) {
		if (!strncmp(text + sizeof(io) - 1, "vcpu", 4))
			return "that thread is a vCPU's, whose role is vcpuN, as in --pin vcpu0=1";
		if (len - (sizeof(io) - 1) > 12)
			return "no iothread has a name that long";
		memcpy(rule->name, text + sizeof(io) - 1, len - (sizeof(io) - 1));
		rule->name[len - (sizeof(io) - 1)] = 0;
		return rule->role = PLACE_IOTHREAD, NULL;
	}
	if (len > 3 && !memcmp(text, "io:", 3))
		return "the role of io:NAME is iothread:NAME";
	if (len < 4 || memcmp(text, "vcpu", 4))
		return ROLES;
	rule->role = PLACE_VCPU;
	if (len == 4)
		return NULL;
	if (len > 8 || strspn(text + 4, "0123456789") < len - 4)
		return ROLES;
	rule->index = strtol(text + 4, &end, 10);
	return NULL;
}

const char *place_parse_pin(const char *text, struct place_rule *rule)
{
	const char *eq = strchr(text, '='), *slash = strrchr(text, '/'), *why;
	char list[1024];

	memset(rule, 0, sizeof(*rule));
	if (!eq)
		return "write ROLE=CPULIST, as in vcpu0=3 or iothread=0-1";
	why = parse_role(text, eq - text, rule);
	if (why)
		return why;
	if (slash) {
		if (strcmp(slash, "/each") || rule->role != PLACE_VCPU || rule->index >= 0)
			return "only vcpu=LIST/each may follow a list";
		rule->each = true;
	}
	if (!slash)
		slash = text + strlen(text);
	if ((size_t)(slash - eq) > sizeof(list))
		return "the list is too long";
	memcpy(list, eq + 1, slash - eq - 1);
	list[slash - eq - 1] = 0;
	return value_cpulist(list, &rule->cpus, sizeof(rule->cpus));
}

static const struct {
	const char *name;
	int policy, min, max, def; /* def outside min..max: must be given */
} policies[] = {
	{"other", SCHED_OTHER, -20, 19, 0},
	{"batch", SCHED_BATCH, -20, 19, 0},
	{"idle", SCHED_IDLE, 0, 0, 0},
	{"fifo", SCHED_FIFO, 1, 99, 0},
	{"rr", SCHED_RR, 1, 99, 0},
};

#define POLICIES COUNT(policies)

/* deadline=[RUNTIME,DEADLINE,PERIOD] */
static const char *parse_deadline(const char *text, struct place_sched *sched)
{
	uint64_t *const out[] = {&sched->runtime, &sched->deadline, &sched->period};
	char copy[128], *save, *item;
	size_t len = strlen(text), i = 0;
	const char *why;

	if (len < 2 || len >= sizeof(copy) || text[0] != '[' || text[len - 1] != ']')
		return "write deadline=[RUNTIME,DEADLINE,PERIOD], as in deadline=[2ms,10ms,10ms]";
	memcpy(copy, text + 1, len - 2);
	copy[len - 2] = 0;
	for (item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		why = i < 3 ? value_duration(item, out[i++]) : "three times are enough";
		if (why)
			return why;
	}
	sched->policy = SCHED_DEADLINE;
	if (i != 3 || !sched->runtime || sched->runtime > sched->deadline || sched->deadline > sched->period)
		return "it takes three times with RUNTIME <= DEADLINE <= PERIOD";
	return NULL;
}

const char *place_parse_sched(const char *text, struct place_rule *rule)
{
	const char *eq = strchr(text, '='), *colon, *why;
	size_t len;
	char *end;

	memset(rule, 0, sizeof(*rule));
	if (!eq)
		return "write ROLE=POLICY, as in vcpu=fifo:1 or iothread=other:-5";
	why = parse_role(text, eq - text, rule);
	if (why)
		return why;
	if (!strncmp(eq + 1, "deadline=", 9))
		return parse_deadline(eq + 10, &rule->sched);
	colon = strchr(eq, ':');
	len = colon ? (size_t)(colon - eq - 1) : strlen(eq + 1);
	for (size_t i = 0; i < POLICIES; i++) {
		if (strlen(policies[i].name) != len || memcmp(policies[i].name, eq + 1, len))
			continue;
		rule->sched.policy = policies[i].policy;
		rule->sched.prio = policies[i].def;
		if (colon) {
			rule->sched.prio = strtol(colon + 1, &end, 10);
			if (!colon[1] || *end)
				return "what follows the colon is a number";
		}
		if (rule->sched.prio < policies[i].min || rule->sched.prio > policies[i].max)
			return policies[i].min > 0 ? "it takes a priority from 1 to 99, as in fifo:1" :
			       policies[i].max	   ? "nice goes from -20 to 19" :
						     "idle takes no number";
		return NULL;
	}
	return "the policy is one of other:NICE, batch:NICE, idle, fifo:PRIO, rr:PRIO, deadline=[R,D,P]";
}

void place_format_cpus(const cpu_set_t *set, char *out, size_t n)
{
	size_t len = 0;

	out[0] = 0;
	for (int cpu = 0, end; cpu < CPU_SETSIZE && len < n; cpu = end + 1) {
		end = cpu;
		if (!CPU_ISSET(cpu, set))
			continue;
		while (end + 1 < CPU_SETSIZE && CPU_ISSET(end + 1, set))
			end++;
		len += snprintf(out + len, n - len, cpu == end ? "%s%d" : "%s%d-%d", len ? "," : "", cpu, end);
	}
}

void place_format_sched(const struct place_sched *sched, char *out, size_t n)
{
	if (sched->policy == SCHED_DEADLINE) {
		char time[3][24];

		value_format_duration(sched->runtime, time[0], sizeof(time[0]));
		value_format_duration(sched->deadline, time[1], sizeof(time[1]));
		value_format_duration(sched->period, time[2], sizeof(time[2]));
		snprintf(out, n, "deadline=[%s,%s,%s]", time[0], time[1], time[2]);
		return;
	}
	for (size_t i = 0; i < POLICIES; i++)
		if (policies[i].policy == sched->policy)
			snprintf(out, n, sched->prio && sched->policy != SCHED_IDLE ? "%s:%d" : "%s", policies[i].name, sched->prio);
}
