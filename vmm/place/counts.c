// SPDX-License-Identifier: Apache-2.0
/* What the kernel had counted of a thread when it was placed; see place.h. The thread itself, or main. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/hostfile.h"
#include "vmm/place/priv.h"

/* "KEY   :   NUMBER" at the beginning of a line. */
static bool number_of(const char *text, const char *key, uint64_t *out)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *value;

		line += *line == '\n';
		if (strncmp(line, key, len))
			continue;
		value = line + len + strspn(line + len, " ");
		if (*value != ':')
			continue;
		value += 1 + strspn(value + 1, " ");
		*out = strtoull(value, NULL, 10);
		return *value >= '0' && *value <= '9';
	}
	return false;
}

void place_count(struct placement *p, pid_t tid)
{
	char path[64], text[HOSTFILE_MAX];

	snprintf(path, sizeof(path), "/proc/self/task/%d/sched", (int)tid);
	p->counted = !hostfile_text("", path, text, sizeof(text)) &&
		     number_of(text, "nr_involuntary_switches", &p->switches_before) &&
		     number_of(text, "se.nr_migrations", &p->migrations_before);
}
