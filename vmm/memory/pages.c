// SPDX-License-Identifier: Apache-2.0
/* Huge pages of the host; see pages.h. Main. */
#include "vmm/memory/pages.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

#define POOLS_DIR  "/sys/kernel/mm/hugepages"
#define THP_DIR    "/sys/kernel/mm/transparent_hugepage"
#define CGROUP_DIR "/sys/fs/cgroup"

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* ---- pools ---- */

/* A file of a pool, of the host's (node < 0) or of one node's. 0 or -errno. */
static int pool_file(const char *root, uint64_t size, int node, const char *name, uint64_t *out)
{
	char path[160], dir[64] = POOLS_DIR;

	if (!size || size % 1024)
		return -ENOENT;
	if (node >= 0)
		snprintf(dir, sizeof(dir), "/sys/devices/system/node/node%d/hugepages", node);
	snprintf(path, sizeof(path), "%s/hugepages-%" PRIu64 "kB/%s", dir, size / 1024, name);
	return hostfile_uint(root, path, out);
}

int pages_pool(const char *root, uint64_t size, struct page_pool *pool)
{
	memset(pool, 0, sizeof(*pool));
	if (pool_file(root, size, -1, "nr_hugepages", &pool->total) ||
		pool_file(root, size, -1, "free_hugepages", &pool->free))
		return -ENOENT;
	pool_file(root, size, -1, "resv_hugepages", &pool->reserved);
	pool_file(root, size, -1, "surplus_hugepages", &pool->surplus);
	pool_file(root, size, -1, "nr_overcommit_hugepages", &pool->overcommit);
	return 0;
}

uint64_t pages_usable(const struct page_pool *pool)
{
	uint64_t here = less(pool->free, pool->reserved), beyond = less(pool->overcommit, pool->surplus);

	return here > UINT64_MAX - beyond ? UINT64_MAX : here + beyond;
}

static uint64_t on_node(const char *root, uint64_t size, unsigned node, const char *name)
{
	uint64_t n = 0;
	node_set online;

	if (!pool_file(root, size, node, name, &n))
		return n;
	/* A kernel without NUMA has no files for its one node. */
	if (!node && hostfile_list(root, "/sys/devices/system/node/online", &online) == -ENOENT)
		pool_file(root, size, -1, name, &n);
	return n;
}

uint64_t pages_free_on(const char *root, uint64_t size, unsigned node)
{
	return on_node(root, size, node, "free_hugepages");
}

uint64_t pages_total_on(const char *root, uint64_t size, unsigned node)
{
	return on_node(root, size, node, "nr_hugepages");
}

/* "hugepages-2048kB" to bytes; 0: another name. */
static uint64_t size_of_name(const char *name)
{
	static const char head[] = "hugepages-";
	char digits[24];
	size_t len = strlen(name);
	uint64_t kib;

	if (strncmp(name, head, strlen(head)) != 0 || len < strlen(head) + 2 || strcmp(name + len - 2, "kB") != 0)
		return 0;
	snprintf(digits, sizeof(digits), "%.*s", (int)(len - strlen(head) - 2), name + strlen(head));
	return value_uint(digits, &kib) || kib > UINT64_MAX / 1024 ? 0 : kib * 1024;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

unsigned pages_sizes(const char *root, uint64_t *out, unsigned max)
{
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s" POOLS_DIR, root);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (n < max && (entry = readdir(dir))) {
		out[n] = size_of_name(entry->d_name);
		n += out[n] != 0;
	}
	closedir(dir);
	qsort(out, n, sizeof(*out), by_size);
	return n;
}

/* ---- the hugetlb cgroup ---- */

/* A file hugetlb.SIZE.NAME of a cgroup; the kernel spells sizes so (mem_fmt() in mm/hugetlb_cgroup.c). "max": UINT64_MAX. */
static int cgroup_file(const char *root, const char *dir, uint64_t size, const char *name, uint64_t *out)
{
	const char *unit = size >= 1ULL << 30 ? "GB" : size >= 1ULL << 20 ? "MB" : "KB";
	unsigned shift = size >= 1ULL << 30 ? 30 : size >= 1ULL << 20 ? 20 : 10;
	char path[PATH_MAX], text[32];
	int err;

	if (snprintf(path, sizeof(path), "%s/hugetlb.%" PRIu64 "%s.%s", dir, size >> shift, unit, name) >=
		(int)sizeof(path))
		return -ENAMETOOLONG;
	err = hostfile_text(root, path, text, sizeof(text));
	if (err)
		return err;
	if (!strcmp(text, "max"))
		*out = UINT64_MAX;
	else if (value_uint(text, out))
		return -EINVAL;
	return 0;
}

/* What one limit of one cgroup leaves. */
static uint64_t cgroup_left(const char *root, const char *dir, uint64_t size, const char *max_name, const char *now_name)
{
	uint64_t max, now = 0;

	if (cgroup_file(root, dir, size, max_name, &max) || max == UINT64_MAX)
		return UINT64_MAX;
	cgroup_file(root, dir, size, now_name, &now);
	return less(max, now);
}

/* Where the process stands in the v2 hierarchy, as a directory; CGROUP_DIR itself where that is outside of what it sees. */
static int own_cgroup(const char *root, char *dir, size_t n)
{
	char path[PATH_MAX];
	int err = hostfile_line(root, "/proc/self/cgroup", "0::", path, sizeof(path));

	if (err)
		return err;
	if (strstr(path, "/..") || !strcmp(path, "/"))
		*path = '\0';
	return snprintf(dir, n, CGROUP_DIR "%s", path) < (int)n ? 0 : -ENAMETOOLONG;
}

uint64_t pages_cgroup_room(const char *root, uint64_t size, char *where, size_t n)
{
	char dir[PATH_MAX];
	uint64_t room = UINT64_MAX;

	if (n)
		*where = '\0';
	if (own_cgroup(root, dir, sizeof(dir)))
		return room;
	/* Up to the mount point, too: in a container that is not the root of the hierarchy, and has limits. */
	for (;; *strrchr(dir, '/') = '\0') {
		uint64_t used = cgroup_left(root, dir, size, "max", "current");
		uint64_t rsvd = cgroup_left(root, dir, size, "rsvd.max", "rsvd.current");
		uint64_t here = used < rsvd ? used : rsvd;

		if (here < room) {
			room = here;
			snprintf(where, n, "%s", dir);
		}
		if (strlen(dir) <= strlen(CGROUP_DIR))
			return room;
	}
}

/* ---- mounts ---- */

int pages_mount(const char *path, uint64_t *size, uint64_t *left)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return -errno;
	if ((uint32_t)fs.f_type != HUGETLBFS_MAGIC)
		return -ENOTSUP;
	*size = fs.f_bsize;
	/*
	 * Without size= and min_size= the kernel fills in none of the counts (f_files is 0 too, which tells it from size=0);
	 * with min_size= alone the limit is -1.
	 */
	if ((!fs.f_blocks && !fs.f_files) || fs.f_blocks == (fsblkcnt_t)-1)
		*left = UINT64_MAX;
	else
		*left = fs.f_bavail;
	return 0;
}

/* ---- transparent huge pages ---- */

/* The choice in brackets: "always [madvise] never". "" where there is no such file. */
static void chosen(const char *root, const char *path, char *out, size_t n)
{
	char text[160], *from, *to;

	*out = '\0';
	if (hostfile_text(root, path, text, sizeof(text)))
		return;
	from = strchr(text, '[');
	to = from ? strchr(from, ']') : NULL;
	if (to)
		snprintf(out, n, "%.*s", (int)(to - from - 1), from + 1);
}

/* Every setting that serves those who ask; "never", "deny", and what is not known, do not. */
static bool serves_who_asks(const char *word)
{
	static const char *const good[] = {"always", "madvise", "advise", "within_size", "force"};

	for (size_t i = 0; i < COUNT(good); i++)
		if (!strcmp(word, good[i]))
			return true;
	return false;
}

/*
 * What one table of the lowest level maps: it is a page itself, of entries of 8 bytes, on x86 and arm64 alike. The kernel's
 * file says no different, and every start would have to read it.
 */
uint64_t pages_thp_size(void)
{
	uint64_t page = getpagesize();

	return page / 8 * page;
}

const char *pages_thp_off(const char *root, bool shared)
{
	static char own[96]; /* the file of the one size that maps as a block; since Linux 6.8 it can overrule the other */
	const char *global = shared ? THP_DIR "/shmem_enabled" : THP_DIR "/enabled";
	char word[16], own_word[16] = "";
	uint64_t size;

	chosen(root, global, word, sizeof(word));
	if (!hostfile_uint(root, THP_DIR "/hpage_pmd_size", &size)) {
		snprintf(own, sizeof(own), THP_DIR "/hugepages-%" PRIu64 "kB/%s", size / 1024,
			shared ? "shmem_enabled" : "enabled");
		chosen(root, own, own_word, sizeof(own_word));
	}
	if (!strcmp(word, "deny")) /* an emergency switch: nothing overrules it */
		return global;
	if (*own_word && strcmp(own_word, "inherit") != 0)
		return serves_who_asks(own_word) ? NULL : own;
	return serves_who_asks(word) ? NULL : global;
}
