// SPDX-License-Identifier: Apache-2.0
/*
 * What speaks against a plan of threads: refusals (a CPU that is off line or not allowed; some give way to --force), and
 * doubts, which are warnings or, with --strict-placement, refusals. See place.h. Reads the host's files below `root`. Main.
 */
#include "vmm/place/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"

int check_doubt(const struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!c->cfg->strict_placement) {
		log_warn("%s", text);
		return 0;
	}
	log_err("%s (--strict-placement)", text);
	return -EINVAL;
}

int check_refuse(const struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->cfg->force)
		return check_doubt(c, "%s", text);
	log_err("%s; %s", text,
		c->place->live ? "a guest that was started with --force takes it" : "--force starts it all the same");
	return -EINVAL;
}

static int check_allowed(const struct check *c, const struct placement *row)
{
	char cpus[CPUS_TEXT], outside[CPUS_TEXT];
	cpu_set_t online, rest;

	if (is_subset(&c->place->allowed, &row->cpus))
		return 0;
	CPU_AND(&rest, &row->cpus, &c->place->allowed);
	CPU_XOR(&rest, &rest, &row->cpus);
	if (hostfile_list(c->root, "/sys/devices/system/cpu/online", &online))
		memset(&online, 0xff, sizeof(online));
	place_format_cpus(&rest, outside, sizeof(outside));
	CPU_AND(&rest, &rest, &online);
	if (!CPU_COUNT(&rest)) {
		place_format_cpus(&online, cpus, sizeof(cpus));
		log_err("--pin %s: CPU %s is not on line here (%s are)", RULE_SHOWN(row->cpus_why), outside, cpus);
	} else {
		place_format_cpus(&c->place->allowed, cpus, sizeof(cpus));
		log_err("--pin %s: CPU %s is outside what this process may use (%s); widen its cpuset or taskset",
			RULE_SHOWN(row->cpus_why), outside, cpus);
	}
	return -EINVAL;
}

static int check_row(const struct check *c, const struct placement *row)
{
	int err = 0;

	if (c->place->live && !row->touched)
		return 0; /* it stands where it stands, and who changes that begins somewhere */
	if (row->pinned)
		err = check_allowed(c, row);

	if (!err && row->pinned && row->sched.policy == SCHED_DEADLINE) {
		log_err("--sched %s: the kernel refuses SCHED_DEADLINE together with a CPU list (--pin %s); leave one of them "
			"out",
			RULE_SHOWN(row->sched_why), RULE_SHOWN(row->cpus_why));
		err = -EINVAL;
	}
	return err;
}

int place_check(const struct place *place, const struct guest_config *cfg, const char *root)
{
	struct check c = {.place = place, .cfg = cfg, .root = root};
	int err = 0;

	for (unsigned i = 0; i < place->n && !err; i++)
		err = check_row(&c, &place->row[i]);
	if (!err)
		err = check_hang(&c);
	if (!err)
		err = check_no_exits(&c);
	if (!err)
		err = check_vcpus(&c);
	return err ? err : check_realtime(&c);
}
