// SPDX-License-Identifier: Apache-2.0
/*
 * CPU features; see cpufeature.h. KVM takes the host's CPU as it is, but for what costs state: the scalable
 * vectors, and pointer authentication, whose two halves (paca: addresses, pacg: generic) it gives only
 * together (arch/arm64/vm.c).
 */
#include "arch/arm64/cpufeature.h"

#include <stdbool.h>
#include <string.h>

#include "arch/arch.h"

static const char *const names[FEATURES] = {[FEATURE_SVE] = "sve", [FEATURE_PACA] = "paca", [FEATURE_PACG] = "pacg"};

/* FEATURES: no such name. */
static enum cpufeature find(const char *name, size_t len)
{
	for (unsigned i = 0; i < FEATURES; i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return i;
	return FEATURES;
}

enum wish cpufeature_wish(const char *list, enum cpufeature feature)
{
	enum wish wish = WISH_NONE;

	while (list && *list) {
		size_t n = strcspn(list, ",");

		if (n && find(list + 1, n - 1) == feature)
			wish = *list == '-' ? WISH_OFF : WISH_ON;
		list += n + (list[n] == ',');
	}
	return wish;
}

const char *arch_cpu_feature_names(void)
{
	return "KVM on arm64 gives or hides sve, and paca with pacg, only";
}

bool arch_cpu_feature_known(const char *name)
{
	return find(name, strlen(name)) != FEATURES;
}
