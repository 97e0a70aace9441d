// SPDX-License-Identifier: Apache-2.0
/* --halt-poll as text; see haltpoll.h. Pure functions, but for the texts of refusals. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/config.h"
#include "vmm/haltpoll/haltpoll.h"
#include "vmm/options/typed.h"
#include "vmm/options/values.h"

#define HALTPOLL_MAX_AUTO 1000000
#define HALTPOLL_WEIGHT	  4

/* vmm: as Linux on x86 has it since 6.11. */
#define VMM_MAX	       200000
#define VMM_GROW_START 10000
#define VMM_GROW       2
#define VMM_SHRINK     2

static const char *const names[] = {
	[HALTPOLL_DEFAULT] = "default",
	[HALTPOLL_OFF] = "off",
	[HALTPOLL_FIXED] = "fixed",
	[HALTPOLL_AUTO] = "auto",
	[HALTPOLL_VMM] = "vmm",
};

const char *haltpoll_mode_name(enum haltpoll_mode mode)
{
	return names[mode];
}

/* What is neither a mode nor a duration. */
static const char *no_mode(const char *text)
{
	static const struct {
		const char *mode, *hint;
	} typed[] = {
		{"default", "no such mode; did you mean default?"},
		{"off", "no such mode; did you mean off?"},
		{"auto", "no such mode; did you mean auto?"},
		{"vmm", "no such mode; did you mean vmm?"},
	};
	char small[16] = "";
	const char *near;

	for (size_t i = 0; i < sizeof(small) - 1 && text[i]; i++)
		small[i] = tolower((unsigned char)text[i]);
	near = isdigit((unsigned char)*text) ? NULL : options_nearest(small, &typed[0].mode, 4, sizeof(typed[0]));
	for (size_t i = 0; near && i < 4; i++)
		if (near == typed[i].mode)
			return typed[i].hint;
	return "must be default, off, auto, vmm or a duration, whole digits and ns, us, ms or s, as in 50us";
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
	else if (!strcmp(text, "vmm"))
		spec.mode = HALTPOLL_VMM;
	else if (strspn(text, "0123456789") == strlen(text) && strcmp(text, "0") != 0)
		return "a time needs its unit, as in 50us; the kernel's own parameter is in ns"; /* seconds are never meant */
	else if (value_duration(text, &spec.ceiling_ns))
		return no_mode(text);
	if (spec.mode == HALTPOLL_VMM && strcmp(arch_name(), "x86") != 0)
		return "does not exist on arm64: KVM handles WFI itself";
	if (spec.ceiling_ns > HALTPOLL_MAX_NS)
		return "must be at most 4s";
	if (spec.mode == HALTPOLL_FIXED && !spec.ceiling_ns)
		spec.mode = HALTPOLL_OFF;
	if (out)
		*out = spec;
	return NULL;
}

static const char *check_keys(const struct haltpoll_config *cfg, enum haltpoll_mode mode)
{
	if (mode != HALTPOLL_AUTO && (cfg->budget || cfg->weight || cfg->trace))
		return "budget, weight and trace are of auto";
	if (mode != HALTPOLL_VMM && (cfg->grow || cfg->grow_start_ns || cfg->shrink))
		return "grow, grow-start and shrink are of vmm";
	if (mode != HALTPOLL_AUTO && mode != HALTPOLL_VMM && cfg->max_ns)
		return "max is of auto and vmm";
	return NULL;
}

/* NULL, or why not: text of main's, until the next call. */
static const char *vmm_rules(const struct haltpoll_config *cfg, struct poll_rules *rules)
{
	static char why[96];
	char start[24], max[24];

	rules->max_ns = cfg->max_ns ? cfg->max_ns : VMM_MAX;
	rules->grow_start_ns = rules->max_ns < VMM_GROW_START ? rules->max_ns : VMM_GROW_START;
	if (cfg->grow_start_ns)
		rules->grow_start_ns = cfg->grow_start_ns;
	rules->grow = cfg->grow ? cfg->grow : VMM_GROW;
	rules->shrink = cfg->shrink ? cfg->shrink : VMM_SHRINK;
	if (rules->grow_start_ns <= rules->max_ns)
		return NULL;
	value_format_duration(rules->grow_start_ns, start, sizeof(start));
	value_format_duration(rules->max_ns, max, sizeof(max));
	snprintf(why, sizeof(why), "grow-start=%s is above max%s%s", start, cfg->max_ns ? "=" : ", which without max= is ", max);
	return why;
}

const char *haltpoll_spec(const struct haltpoll_config *cfg, struct haltpoll_spec *spec)
{
	const char *why;

	*spec = (struct haltpoll_spec){.mode = HALTPOLL_DEFAULT};
	why = cfg->mode ? haltpoll_parse(cfg->mode, spec) : NULL;
	if (!why)
		why = check_keys(cfg, spec->mode);
	if (why)
		return why;
	if (spec->mode == HALTPOLL_VMM)
		return vmm_rules(cfg, &spec->rules);
	spec->limits.max_ns = cfg->max_ns ? cfg->max_ns : HALTPOLL_MAX_AUTO;
	spec->limits.budget = cfg->budget ? cfg->budget : 100;
	spec->limits.weight = cfg->weight ? cfg->weight : HALTPOLL_WEIGHT;
	spec->trace = cfg->trace;
	return NULL;
}
