// SPDX-License-Identifier: Apache-2.0
/* Huge pages as a host's files tell them: pools, nodes, cgroups, mounts, transparent ones. */
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "tests/unit/fake_root.h"
#include "vmm/hostfile.h"
#include "vmm/memory/pages.h"

#define POOL "/sys/kernel/mm/hugepages/"
#define NODE "/sys/devices/system/node/"
#define THP  "/sys/kernel/mm/transparent_hugepage/"
#define CG   "/sys/fs/cgroup"
#define MIB  (1ULL << 20)
#define GIB  (1ULL << 30)

static struct page_pool pool;

static void put_pool(const char *kib, const char *nr, const char *free, const char *resv, const char *surplus, const char *over)
{
	const char *const name[] = {"nr_", "free_", "resv_", "surplus_", "nr_overcommit_"};
	const char *const text[] = {nr, free, resv, surplus, over};
	char path[128];

	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), POOL "hugepages-%skB/%shugepages", kib, name[i]);
		if (text[i])
			fake_root_put(path, text[i]);
	}
}

START_TEST(pools_by_size)
{
	uint64_t size[4];

	fake_root_open();
	ck_assert_uint_eq(pages_sizes(fake_root, size, 4), 0);
	ck_assert_int_eq(pages_pool(fake_root, 2 * MIB, &pool), -ENOENT);
	put_pool("1048576", "4\n", "3\n", "0\n", "0\n", "0\n");
	put_pool("2048", "512\n", "300\n", "44\n", "2\n", "10\n");
	put_pool("64", "0\n", "0\n", NULL, NULL, NULL);
	fake_root_put(POOL "hugepages-kB/nr_hugepages", "1\n");
	fake_root_put(POOL "hugepages-x4kB/nr_hugepages", "1\n");
	fake_root_put(POOL "hugepages-99999999999999999999kB/nr_hugepages", "1\n");
	fake_root_put(POOL "README", "1\n");
	ck_assert_uint_eq(pages_sizes(fake_root, size, 4), 3);
	ck_assert_uint_eq(size[0], 64 << 10);
	ck_assert_uint_eq(size[1], 2 * MIB);
	ck_assert_uint_eq(size[2], GIB);
	ck_assert_uint_eq(pages_sizes(fake_root, size, 2), 2);

	ck_assert_int_eq(pages_pool(fake_root, 2 * MIB, &pool), 0);
	ck_assert_uint_eq(pool.total, 512);
	ck_assert_uint_eq(pool.free, 300);
	ck_assert_uint_eq(pool.reserved, 44);
	ck_assert_uint_eq(pool.surplus, 2);
	ck_assert_uint_eq(pool.overcommit, 10);
	ck_assert_uint_eq(pages_usable(&pool), 300 - 44 + 8);
	ck_assert_int_eq(pages_pool(fake_root, 64 << 10, &pool), 0);
	ck_assert_uint_eq(pages_usable(&pool), 0);
	fake_root_close();
}
END_TEST

START_TEST(sizes_that_are_none)
{
	fake_root_open();
	put_pool("2048", "512\n", "300\n", "44\n", "2\n", "10\n");
	ck_assert_int_eq(pages_pool(fake_root, 2 * MIB + 1, &pool), -ENOENT);
	ck_assert_int_eq(pages_pool(fake_root, 0, &pool), -ENOENT);
	ck_assert_int_eq(pages_pool(fake_root, 4096, &pool), -ENOENT);
	put_pool("2048", "many\n", NULL, NULL, NULL, NULL);
	ck_assert_int_eq(pages_pool(fake_root, 2 * MIB, &pool), -ENOENT);
	put_pool("2048", "5\n", "-1\n", NULL, NULL, NULL);
	ck_assert_int_eq(pages_pool(fake_root, 2 * MIB, &pool), -ENOENT);
	fake_root_close();
}
END_TEST

START_TEST(usable_never_wraps)
{
	static const struct {
		struct page_pool pool;
		uint64_t usable;
	} t[] = {
		{{.total = 10, .free = 10}, 10},
		{{.total = 10, .free = 10, .reserved = 10}, 0},
		{{.total = 10, .free = 3, .reserved = 4}, 0},
		{{.total = 10, .free = 3, .surplus = 9, .overcommit = 8}, 3},
		{{.overcommit = 8}, 8},
		{{.free = UINT64_MAX, .overcommit = 8}, UINT64_MAX},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_msg(pages_usable(&t[i].pool) == t[i].usable, "row %zu", i);
}
END_TEST

START_TEST(free_pages_by_node)
{
	fake_root_open();
	put_pool("2048", "9\n", "7\n", "0\n", "0\n", "0\n");
	ck_assert_uint_eq(pages_free_on(fake_root, 2 * MIB, 0), 7);
	ck_assert_uint_eq(pages_free_on(fake_root, 2 * MIB, 1), 0);
	ck_assert_uint_eq(pages_free_on(fake_root, GIB, 0), 0);
	fake_root_put(NODE "online", "0-1\n");
	ck_assert_uint_eq(pages_free_on(fake_root, 2 * MIB, 0), 0);
	fake_root_put(NODE "node0/hugepages/hugepages-2048kB/free_hugepages", "2\n");
	fake_root_put(NODE "node1/hugepages/hugepages-2048kB/free_hugepages", "5\n");
	ck_assert_uint_eq(pages_free_on(fake_root, 2 * MIB, 0), 2);
	ck_assert_uint_eq(pages_free_on(fake_root, 2 * MIB, 1), 5);
	ck_assert_uint_eq(pages_free_on(fake_root, GIB, 1), 0);
	fake_root_close();
}
END_TEST

static uint64_t room(uint64_t size, const char *where)
{
	char dir[256] = "?";
	uint64_t n = pages_cgroup_room(fake_root, size, dir, sizeof(dir));

	ck_assert_str_eq(dir, where);
	return n;
}

START_TEST(the_tightest_cgroup_decides)
{
	fake_root_open();
	ck_assert_uint_eq(room(2 * MIB, ""), UINT64_MAX);
	fake_root_put("/proc/self/cgroup", "9:name=systemd:/v1\n4:hugetlb:/v1\n0::/vms.slice/one.scope\n");
	ck_assert_uint_eq(room(2 * MIB, ""), UINT64_MAX);
	fake_root_put(CG "/vms.slice/one.scope/hugetlb.2MB.max", "max\n");
	fake_root_put(CG "/vms.slice/one.scope/hugetlb.2MB.current", "0\n");
	ck_assert_uint_eq(room(2 * MIB, ""), UINT64_MAX);
	fake_root_put(CG "/vms.slice/hugetlb.2MB.max", "20971520\n");
	fake_root_put(CG "/vms.slice/hugetlb.2MB.current", "4194304\n");
	ck_assert_uint_eq(room(2 * MIB, CG "/vms.slice"), 16 * MIB);
	fake_root_put(CG "/vms.slice/one.scope/hugetlb.2MB.rsvd.max", "10485760\n");
	fake_root_put(CG "/vms.slice/one.scope/hugetlb.2MB.rsvd.current", "2097152\n");
	ck_assert_uint_eq(room(2 * MIB, CG "/vms.slice/one.scope"), 8 * MIB);
	fake_root_put(CG "/vms.slice/hugetlb.2MB.current", "99999999999\n");
	ck_assert_uint_eq(room(2 * MIB, CG "/vms.slice"), 0);
	ck_assert_uint_eq(room(GIB, ""), UINT64_MAX);
	fake_root_put(CG "/hugetlb.1GB.max", "3221225472\n");
	ck_assert_uint_eq(room(GIB, CG), 3 * GIB);
	fake_root_put(CG "/vms.slice/hugetlb.64KB.max", "65536\n");
	ck_assert_uint_eq(room(64 << 10, CG "/vms.slice"), 64 << 10);
	fake_root_put(CG "/vms.slice/hugetlb.32MB.max", "garbage\n");
	ck_assert_uint_eq(room(32 * MIB, ""), UINT64_MAX);
	fake_root_close();
}
END_TEST

START_TEST(a_container_sees_its_own_cgroup_as_the_root)
{
	fake_root_open();
	fake_root_put(CG "/hugetlb.2MB.max", "4194304\n");
	fake_root_put("/proc/self/cgroup", "0::/\n");
	ck_assert_uint_eq(room(2 * MIB, CG), 4 * MIB);
	fake_root_put("/proc/self/cgroup", "0::/../../other\n");
	ck_assert_uint_eq(room(2 * MIB, CG), 4 * MIB);
	fake_root_put("/proc/self/cgroup", "0::nonsense\n");
	ck_assert_uint_eq(room(2 * MIB, ""), UINT64_MAX);
	fake_root_put("/proc/self/cgroup", "1:cpu:/x\n");
	ck_assert_uint_eq(room(2 * MIB, ""), UINT64_MAX);
	fake_root_close();
}
END_TEST

START_TEST(other_file_systems_are_refused)
{
	uint64_t size, left;

	ck_assert_int_eq(pages_mount("/proc", &size, &left), -ENOTSUP);
	ck_assert_int_eq(pages_mount("/nonexistent/mount", &size, &left), -ENOENT);
}
END_TEST

START_TEST(mounts_tell_their_page_size_and_limit)
{
	static const struct {
		const char *options;
		uint64_t left;
	} t[] = {{"pagesize=2M", UINT64_MAX}, {"pagesize=2M,size=8M", 4}, {"pagesize=2M,size=0", 0},
		{"pagesize=2M,min_size=0", UINT64_MAX}, {"pagesize=2M,nr_inodes=7", UINT64_MAX}};
	uint64_t size = 0, left = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skip: no mount namespace of its own: %s\n", strerror(errno));
		return;
	}
	fake_root_open();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (mount("none", fake_root, "hugetlbfs", 0, t[i].options) < 0) {
			printf("skip: hugetlbfs with %s: %s\n", t[i].options, strerror(errno));
			break;
		}
		ck_assert_int_eq(pages_mount(fake_root, &size, &left), 0);
		ck_assert_uint_eq(size, 2 * MIB);
		ck_assert_msg(left == t[i].left, "%s", t[i].options);
		ck_assert_int_eq(umount(fake_root), 0);
	}
	fake_root_close();
}
END_TEST

static void check_thp(bool shared, const char *global, const char *own, const char *off)
{
	const char *said;

	if (global)
		fake_root_put(shared ? THP "shmem_enabled" : THP "enabled", global);
	if (own)
		fake_root_put(shared ? THP "hugepages-2048kB/shmem_enabled" : THP "hugepages-2048kB/enabled", own);
	said = pages_thp_off(fake_root, shared);
	ck_assert_msg(!said == !off, "%s / %s: %s", global, own, said ? said : "works");
	if (off)
		ck_assert_str_eq(said, off);
}

START_TEST(transparent_pages_by_the_one_switch)
{
	fake_root_open();
	check_thp(false, NULL, NULL, THP "enabled");
	check_thp(true, NULL, NULL, THP "shmem_enabled");
	check_thp(false, "[always] madvise never\n", NULL, NULL);
	check_thp(false, "always [madvise] never\n", NULL, NULL);
	check_thp(false, "always madvise [never]\n", NULL, THP "enabled");
	check_thp(false, "always madvise never\n", NULL, THP "enabled");
	check_thp(true, "always within_size [advise] never deny force\n", NULL, NULL);
	check_thp(true, "always [within_size] advise never deny force\n", NULL, NULL);
	check_thp(true, "always within_size advise never deny [force]\n", NULL, NULL);
	check_thp(true, "always within_size advise [never] deny force\n", NULL, THP "shmem_enabled");
	check_thp(true, "always within_size advise never [deny] force\n", NULL, THP "shmem_enabled");
	fake_root_close();
}
END_TEST

START_TEST(transparent_pages_by_size)
{
	fake_root_open();
	fake_root_put(THP "hpage_pmd_size", "2097152\n");
	check_thp(false, "always [madvise] never\n", "always [inherit] madvise never\n", NULL);
	check_thp(false, "always madvise [never]\n", "always [inherit] madvise never\n", THP "enabled");
	check_thp(false, "always [madvise] never\n", "always inherit madvise [never]\n", THP "hugepages-2048kB/enabled");
	check_thp(false, "always madvise [never]\n", "always inherit [madvise] never\n", NULL);
	check_thp(true, "always within_size advise [never] deny force\n", "always inherit within_size [advise] never\n", NULL);
	check_thp(true, "always within_size [advise] never deny force\n", "always inherit within_size advise [never]\n",
		THP "hugepages-2048kB/shmem_enabled");
	check_thp(true, "always within_size advise never [deny] force\n", "[always] inherit within_size advise never\n",
		THP "shmem_enabled");
	fake_root_close();
}
END_TEST

START_TEST(a_transparent_huge_page_is_as_large_as_the_kernel_says)
{
	uint64_t size;

	if (hostfile_uint("", "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", &size)) {
		puts("skip: this kernel has no transparent huge pages");
		return;
	}
	ck_assert_uint_eq(pages_thp_size(), size);
}
END_TEST

UNIT_MAIN("pages", pools_by_size, sizes_that_are_none, usable_never_wraps, free_pages_by_node, the_tightest_cgroup_decides,
	a_container_sees_its_own_cgroup_as_the_root, other_file_systems_are_refused, mounts_tell_their_page_size_and_limit,
	transparent_pages_by_the_one_switch, transparent_pages_by_size,
	a_transparent_huge_page_is_as_large_as_the_kernel_says)
