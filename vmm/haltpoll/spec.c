// SPDX-License-Identifier: Apache-2.0
/* --halt-poll as text; see haltpoll.h. Pure functions. */
#include <string.h>

#include "vmm/config.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/options/values.h"

#define HALTPOLL_MAX_AUTO 1000000
#define HALTPOLL_WEIGHT	  4

static const char *const names[] = {
	[HALTPOLL_DEFAULT] = "default",
	[HALTPOLL_OFF] = "off",
	[HALTPOLL_FIXED] = "fixed",
	[HALTPOLL_AUTO] = "auto",
};

const char *haltpoll_mode_name(enum haltpoll_mode mode)
{
	return names[mode];
}

const char *haltpoll_parse(const char *text, struct haltpoll_spec *out)
{
	struct haltpoll_spec spec = {.mode = HALTPOLL_FIXED};

	if (!strcmp(text, "default"))
		spec.mode = HALTPOLL_DEFAULT;
	else if (!strcmp(text, "off"))
		spec.mode = HALTPOLL_OFF;
	else if (!strcmp(text, "auto"))
		spec.mode = HALTPOLL_AUTO;
	else if (strspn(text, "0123456789") == strlen(text) && strcmp(text, "0") != 0)
		return "a time needs its unit, as in 50us; the kernel's own parameter is in ns"; /* seconds are never meant */
	else if (value_duration(text, &spec.ceiling_ns))
		return "must be default, off, auto or a duration, whole digits and ns, us, ms or s, as in "
		       "50us";
	if (spec.ceiling_ns > HALTPOLL_MAX_NS)
		return "must be at most 4s";
	if (spec.mode == HALTPOLL_FIXED && !spec.ceiling_ns)
		spec.mode = HALTPOLL_OFF;
	if (out)
		*out = spec;
	return NULL;
}

const char *haltpoll_spec(const struct haltpoll_config *cfg, struct haltpoll_spec *spec)
{
	const char *why;

	*spec = (struct haltpoll_spec){.mode = HALTPOLL_DEFAULT};
	why = cfg->mode ? haltpoll_parse(cfg->mode, spec) : NULL;
	if (why)
		return why;
	if (spec->mode != HALTPOLL_AUTO && (cfg->max_ns || cfg->budget || cfg->weight || cfg->trace))
		return "max, budget, weight and trace are of auto";
	spec->limits.max_ns = cfg->max_ns ? cfg->max_ns : HALTPOLL_MAX_AUTO;
	spec->limits.budget = cfg->budget ? cfg->budget : 100;
	spec->limits.weight = cfg->weight ? cfg->weight : HALTPOLL_WEIGHT;
	spec->trace = cfg->trace;
	return NULL;
}
