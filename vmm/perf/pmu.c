// SPDX-License-Identifier: Apache-2.0
/* PMUs as sysfs shows them; see pmu.h. */
#include "vmm/perf/pmu.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

/* The PMUs of cores; all else there is of sockets, of devices, or software. */
static int is_core_pmu(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return !strcmp(name, "cpu") || !strcmp(name, "cpu_core") || !strcmp(name, "cpu_atom") ||
	       !strncmp(name, "armv8_", 6) || !strncmp(name, "armv9_", 6) || !strncmp(name, "apple_", 6);
}

/* What /proc/cpuinfo of x86 has behind "KEY :". */
static void cpuinfo(const char *root, const char *key, char *out, size_t n)
{
	char text[64];

	if (hostfile_line(root, "/proc/cpuinfo", key, text, sizeof(text)))
		text[0] = '\0';
	snprintf(out, n, "%s", text + strspn(text, ": \t"));
}

static unsigned cpuinfo_number(const char *root, const char *key)
{
	char text[32];

	cpuinfo(root, key, text, sizeof(text));
	return strtoul(text, NULL, 10);
}

/* cpu_core before cpu_atom; of Arm's any is as good as the others. */
static void choose(struct perf_machine *machine, struct dirent **entry, int n)
{
	int best = 0;

	for (int i = 1; i < n; i++)
		if (!strcmp(entry[i]->d_name, "cpu_core"))
			best = i;
	if (n > 0)
		snprintf(machine->pmu, sizeof(machine->pmu), "%.63s", entry[best]->d_name);
	machine->hybrid = n > 1;
}

void perf_machine_read(const char *root, struct perf_machine *machine)
{
	char path[PATH_MAX];
	struct dirent **entry = NULL;
	uint64_t type;
	int n;

	memset(machine, 0, sizeof(*machine));
	snprintf(path, sizeof(path), "%s" PERF_DEVICES, root);
	n = scandir(path, &entry, is_core_pmu, alphasort);
	choose(machine, entry, n);
	while (n > 0)
		free(entry[--n]);
	free(entry);
	snprintf(path, sizeof(path), PERF_DEVICES "/%s/type", machine->pmu);
	if (*machine->pmu && !hostfile_uint(root, path, &type))
		machine->pmu_type = type;
	else
		machine->pmu[0] = '\0';
	snprintf(path, sizeof(path), PERF_DEVICES "/%s/cpus", machine->pmu);
	if (machine->hybrid)
		hostfile_text(root, path, machine->cpus, sizeof(machine->cpus));
	cpuinfo(root, "vendor_id", machine->vendor, sizeof(machine->vendor));
	machine->family = cpuinfo_number(root, "cpu family");
	machine->model = cpuinfo_number(root, "model\t");
}

/* ---- names that the kernel has ---- */

/* "config:0-7,32-35": put `value` there, from its lowest bit on. */
static int put_field(const char *format, uint64_t value, uint64_t *config)
{
	if (strncmp(format, "config:", 7))
		return -EINVAL;
	for (const char *p = format + 7; *p;) {
		char *end;
		unsigned long lo = strtoul(p, &end, 10), hi = lo;

		if (end == p)
			return -EINVAL;
		if (*end == '-')
			hi = strtoul(end + 1, &end, 10);
		if (hi > 63 || lo > hi || (*end && *end != ','))
			return -EINVAL;
		for (; lo <= hi; lo++, value >>= 1)
			*config |= (value & 1) << lo;
		p = *end ? end + 1 : end;
	}
	return value ? -EINVAL : 0;
}

int perf_alias(const char *root, const char *pmu, const char *name, uint64_t *config)
{
	char path[PATH_MAX], text[256], format[64], *save;
	int err;

	snprintf(path, sizeof(path), PERF_DEVICES "/%s/events/%s", pmu, name);
	if (hostfile_text(root, path, text, sizeof(text)))
		return -ENOENT;
	*config = 0;
	for (char *term = strtok_r(text, ",", &save); term; term = strtok_r(NULL, ",", &save)) {
		char *eq = strchr(term, '=');

		if (eq)
			*eq = '\0';
		if (*term == '.' || strchr(term, '/'))
			return -EINVAL;
		snprintf(path, sizeof(path), PERF_DEVICES "/%s/format/%s", pmu, term);
		err = hostfile_text(root, path, format, sizeof(format));
		if (!err)
			err = put_field(format, eq ? strtoull(eq + 1, NULL, 0) : 1, config);
		if (err)
			return -EINVAL;
	}
	return 0;
}

/* ---- walks of page tables ---- */

/* Event and unit mask as x86 has them in the lowest 16 bits. */
#define X86(event, mask) ((event) | (mask) << 8)

/* dtlb_load_misses.walk_completed of Intel's cores (perfmon's public lists), by their models in family 6. */
static const struct {
	uint64_t config;
	uint8_t model[20]; /* 0 ends them */
} intel[] = {
	{X86(0x08, 0x02),
		{0x1a, 0x1e, 0x1f, 0x2e, 0x25, 0x2c, 0x2f, 0x2a, 0x2d}},     /* Nehalem to Sandy Bridge */
	{X86(0x08, 0x82), {0x3a, 0x3e}},				     /* Ivy Bridge */
	{X86(0x08, 0x0e), {0x3c, 0x3f, 0x45, 0x46, 0x3d, 0x47, 0x4f, 0x56}}, /* Haswell, Broadwell */
	{X86(0x08, 0x0e), {0x4e, 0x5e, 0x55, 0x8e, 0x9e, 0xa5, 0xa6}},	     /* Skylake to Comet Lake */
	{X86(0x08, 0x0e), {0x6a, 0x6c, 0x7d, 0x7e, 0x8c, 0x8d, 0xa7}},	     /* Ice Lake to Rocket Lake */
	{X86(0x12, 0x0e), {0x97, 0x9a, 0xb7, 0xba, 0xbf, 0xaa, 0xac, 0xbd}}, /* Alder Lake to Lunar Lake */
	{X86(0x12, 0x0e), {0x8f, 0xcf, 0xad, 0xae}},			     /* Sapphire to Granite Rapids */
};

/* ls_l1_d_tlb_miss.all_l2_miss: the same since Zen (AMD's processor programming references). */
#define ZEN_WALKS X86(0x45, 0xf0)

static bool is_zen(const struct perf_machine *m)
{
	return (!strcmp(m->vendor, "AuthenticAMD") &&
		       (m->family == 0x17 || m->family == 0x19 || m->family == 0x1a)) ||
	       (!strcmp(m->vendor, "HygonGenuine") && m->family == 0x18);
}

static uint64_t intel_walks(const struct perf_machine *m)
{
	if (strcmp(m->vendor, "GenuineIntel") || m->family != 6 || !strcmp(m->pmu, "cpu_atom"))
		return 0;
	for (size_t i = 0; i < COUNT(intel); i++)
		for (size_t j = 0; j < COUNT(intel[i].model) && intel[i].model[j]; j++)
			if (intel[i].model[j] == m->model)
				return intel[i].config;
	return 0;
}

int perf_page_walks(
	const char *root, const struct perf_machine *machine, uint64_t *config, char *why, size_t n)
{
	if (!perf_alias(root, machine->pmu, "dtlb_walk", config))
		return 0;
	*config = is_zen(machine) ? ZEN_WALKS : intel_walks(machine);
	if (*config)
		return 0;
	if (*machine->vendor)
		snprintf(why, n,
			"pinvm does not know which event this CPU (%s, family %u, model %u) counts them by; "
			"give its number, as in -e rNNN",
			machine->vendor, machine->family, machine->model);
	else
		snprintf(why, n,
			"the kernel has no event dtlb_walk for this CPU; give the number of another, as in "
			"-e rNNN");
	return -ENOENT;
}

/* ---- traces ---- */

const char *perf_tracer(const char *root)
{
	static const char *const known[] = {"intel_pt", "arm_spe_0", "cs_etm"};
	char path[PATH_MAX];

	for (size_t i = 0; i < COUNT(known); i++) {
		snprintf(path, sizeof(path), "%s" PERF_DEVICES "/%s", root, known[i]);
		if (!access(path, F_OK))
			return known[i];
	}
	return NULL;
}
