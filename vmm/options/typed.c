// SPDX-License-Identifier: Apache-2.0
/* See typed.h. Pure functions, any thread. */
#include "vmm/options/typed.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Edits (one character inserted, dropped or replaced) that turn a into b. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64], nb = strlen(b);

	if (nb >= 64 || strlen(a) >= 64)
		return 64;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[nb];
}

const char *options_nearest(const char *typed, const void *names, size_t n, size_t stride)
{
	unsigned best = 1 + strlen(typed) / 4;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride);
		unsigned d = name ? distance(typed, name) : 64;

		if (d <= best && !(found && d == best)) {
			best = d;
			found = name;
		}
	}
	return found;
}

const char *options_shown(const char *typed, char *out, size_t n)
{
	size_t i;

	for (i = 0; i < n - 4 && typed[i]; i++)
		out[i] = iscntrl((unsigned char)typed[i]) ? '?' : typed[i];
	snprintf(out + i, n - i, "%s", typed[i] ? "..." : "");
	return out;
}
