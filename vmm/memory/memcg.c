// SPDX-License-Identifier: Apache-2.0
/* Limits of the memory cgroup, of both versions; see memcg.h. Main. */
#include "vmm/memory/memcg.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "vmm/hostfile.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

/* The two versions: where the hierarchy is mounted, its line in /proc/self/cgroup, and how it spells the same things. */
static const struct version {
	const char *mount, *line, *max, *now, *stat[2];
} versions[] = {
	{"/sys/fs/cgroup", "0::/", "memory.max", "memory.current", {"inactive_file ", "active_file "}},
	{"/sys/fs/cgroup/memory", ":memory:/", "memory.limit_in_bytes", "memory.usage_in_bytes",
		{"total_inactive_file ", "total_active_file "}},
};

static uint64_t left(const char *root, const char *dir, const struct version *v)
{
	char path[PATH_MAX + 32], text[32];
	uint64_t max, now, part, cache = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, v->max);
	if (hostfile_uint(root, path, &max)) /* "max", or no such file */
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s/%s", dir, v->now);
	if (hostfile_uint(root, path, &now))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	for (int i = 0; i < 2; i++)
		if (!hostfile_line(root, path, v->stat[i], text, sizeof(text)) && !value_uint(text, &part))
			cache += part;
	now = now > cache ? now - cache : 0;
	return max > now ? max - now : 0;
}

/* Where the process stands in a hierarchy; its mount point where that is outside of what it sees. */
static void own_dir(const char *groups, const struct version *v, char *dir, size_t n)
{
	const char *at = strstr(groups, v->line);
	int len = at ? (int)strcspn(at + strlen(v->line) - 1, "\n") : 0;

	if (at && len > 1)
		snprintf(dir, n, "%s%.*s", v->mount, len, at + strlen(v->line) - 1);
	if (!at || len <= 1 || strstr(dir, "/.."))
		snprintf(dir, n, "%s", v->mount);
}

uint64_t memcg_room(const char *root, char *where, size_t n)
{
	char groups[HOSTFILE_MAX], dir[PATH_MAX];
	uint64_t room = UINT64_MAX;

	*where = '\0';
	if (hostfile_text(root, "/proc/self/cgroup", groups, sizeof(groups)))
		return room;
	for (size_t i = 0; i < COUNT(versions); i++) {
		own_dir(groups, &versions[i], dir, sizeof(dir));
		/* Up to the mount point, too: in a container that is not the root of the hierarchy, and has limits. */
		for (;; *strrchr(dir, '/') = '\0') {
			uint64_t here = left(root, dir, &versions[i]);

			if (here < room) {
				room = here;
				snprintf(where, n, "%s", dir);
			}
			if (strlen(dir) <= strlen(versions[i].mount))
				break;
		}
	}
	return room;
}
