// SPDX-License-Identifier: Apache-2.0
/* Shares of CPU time as text, and finding a cgroup in a made-up host's tree, with the reason of each refusal.
 */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/fake_root.h"
#include "tests/unit/said.h"
#include "vmm/cgroup/find.h"

/* ---- text ---- */

static const struct {
	const char *text;
	uint64_t quota, period;
	const char *shown;
} good[] = {
	{"50%", 50000, 100000, "50%"},
	{"1%", 1000, 100000, "1%"},
	{"250%", 250000, 100000, "250%"},
	{"50ms", 50000, 100000, "50%"},
	{"50ms/100ms", 50000, 100000, "50%"},
	{"50000us/100000us", 50000, 100000, "50%"},
	{"150%/10ms", 15000, 10000, "15ms/10ms"},
	{"1ms/1s", 1000, 1000000, "1ms/1s"},
	{"1500us/2ms", 1500, 2000, "1500us/2ms"},
	{"off", CGROUP_NO_QUOTA, 100000, "off"},
};

START_TEST(good_max)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct cgroup_max max = {0}, again = {0};
		char text[64];

		ck_assert_ptr_null(cgroup_parse_max(good[i].text, &max));
		ck_assert_uint_eq(max.quota_us, good[i].quota);
		ck_assert_uint_eq(max.period_us, good[i].period);
		cgroup_format_max(&max, text, sizeof(text));
		ck_assert_str_eq(text, good[i].shown);
		ck_assert_ptr_null(cgroup_parse_max(text, &again));
		ck_assert_uint_eq(again.quota_us, max.quota_us);
		cgroup_write_max(&max, text, sizeof(text));
		ck_assert(cgroup_read_max(text, &again));
		ck_assert_uint_eq(again.quota_us, max.quota_us);
		ck_assert_uint_eq(again.period_us, max.period_us);
	}
}
END_TEST

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "write it as"},
	{"50000", "needs its unit: 50ms, or 50000us"},
	{"50000/100000", "needs its unit"},
	{"50000 100000", "write it as"},
	{"max", "write it as"},
	{"-5%", "not a percentage"},
	{"%", "not a percentage"},
	{"1000000%", "not a percentage"},
	{"0%", "at least 1ms"},
	{"9%/10ms", "at least 1ms"},
	{"1us/100ms", "at least 1ms"},
	{"50%/2s", "periods of 1ms to 1s"},
	{"50%/500us", "periods of 1ms to 1s"},
	{"50%/", "write it as"},
	{"50%/100ms/2", "write it as"},
	{"1500ns", "write it as"},
	{"18446744073709551615us", "write it as"},
	{"9000s/1s", "at least 1ms"},
	{"1111111111111111111111111111111111111111111111111111111111111111%", "too long"},
};

START_TEST(bad_max)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cgroup_max max = {1, 2};
		const char *why = cgroup_parse_max(bad[i].text, &max);

		ck_assert_msg(why && strstr(why, bad[i].why), "%s: %s", bad[i].text, why ? why : "taken");
		ck_assert_uint_eq(max.quota_us, 1);
		ck_assert_uint_eq(max.period_us, 2);
	}
}
END_TEST

START_TEST(weights)
{
	uint64_t n = 7;

	ck_assert_ptr_nonnull(cgroup_parse_weight("0", &n));
	ck_assert_ptr_nonnull(cgroup_parse_weight("10001", &n));
	ck_assert_ptr_nonnull(cgroup_parse_weight("many", &n));
	ck_assert_uint_eq(n, 7);
	ck_assert_ptr_null(cgroup_parse_weight("10000", &n));
	ck_assert_uint_eq(n, 10000);
}
END_TEST

START_TEST(lines_of_cpu_max)
{
	struct cgroup_max max;

	ck_assert(cgroup_read_max("max 100000", &max));
	ck_assert_uint_eq(max.quota_us, CGROUP_NO_QUOTA);
	ck_assert(!cgroup_read_max("100000", &max));
	ck_assert(!cgroup_read_max("much 100000", &max));
	ck_assert(!cgroup_read_max("", &max));
}
END_TEST

START_TEST(paths)
{
	ck_assert_ptr_null(cgroup_check_path("machine.slice/vm1"));
	ck_assert_ptr_null(cgroup_check_path("a..b/.c"));
	ck_assert_ptr_nonnull(cgroup_check_path("../x"));
	ck_assert_ptr_nonnull(cgroup_check_path("a/../x"));
	ck_assert_ptr_nonnull(cgroup_check_path("a/."));
	ck_assert_ptr_nonnull(cgroup_check_path("a\nb"));
	ck_assert_ptr_nonnull(cgroup_check_path("weight=5"));
}
END_TEST

/* ---- the tree ---- */

#define V1                                                                                                \
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n32 31 0:29 / /sys/fs/cgroup/cpu rw - " \
	"cgroup cgroup rw,cpu\n"
#define V2 "25 23 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

/* A host with v2 where the cpu controller is on down to `a`, and a cgroup a/old in use. */
static void make_tree(void)
{
	fake_root_open();
	chmod(fake_root, 0755);
	fake_root_put("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" V2);
	fake_root_put("/proc/self/cgroup", "0::/a/launch\n");
	fake_root_put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
	fake_root_put("/sys/fs/cgroup/cgroup.subtree_control", "memory cpu\n");
	fake_root_put("/sys/fs/cgroup/a/cgroup.subtree_control", "cpu\n");
	fake_root_put("/sys/fs/cgroup/a/cgroup.type", "domain\n");
	fake_root_put("/sys/fs/cgroup/a/cgroup.procs", "");
	fake_root_put("/sys/fs/cgroup/a/launch/cgroup.procs", "");
	fake_root_put("/sys/fs/cgroup/a/old/cgroup.procs", "");
	fake_root_put("/sys/fs/cgroup/a/old/cgroup.type", "domain\n");
	fake_root_put("/sys/fs/cgroup/a/old/cpu.weight", "100\n");
	fake_root_put("/sys/fs/cgroup/a/old/cpu.max", "max 100000\n");
	fake_root_put("/sys/fs/cgroup/a/old/cgroup.subtree_control", "\n");
	fake_root_put("/sys/fs/cgroup/a/threads/cgroup.type", "threaded\n");
	fake_root_put("/sys/fs/cgroup/a/threads/cgroup.procs", "");
	fake_root_put("/sys/fs/cgroup/a/root/cgroup.type", "domain threaded\n");
	fake_root_put("/sys/fs/cgroup/a/root/cgroup.procs", "");
	fake_root_put("/sys/fs/cgroup/cgroup.procs", "");
}

static struct cgroup_plan plan;

static int find(const char *path, unsigned weight, const char *max)
{
	struct guest_config cfg = {.cgroup = {(char *)path, weight, (char *)max}};

	lines = 0;
	return cgroup_find(&plan, &cfg, fake_root);
}

#define refused(err, words, path, weight, max)                          \
	do {                                                            \
		ck_assert_int_eq(find(path, weight, max), err);         \
		ck_assert_uint_eq(lines, 1);                            \
		ck_assert_msg(strstr(said, words) != NULL, "%s", said); \
	} while (0)

START_TEST(found)
{
	make_tree();
	ck_assert_int_eq(find("a/new", 200, "50%"), 0);
	ck_assert_uint_eq(lines, 0);
	ck_assert_str_eq(plan.dir, "/sys/fs/cgroup/a/new");
	ck_assert_str_eq(plan.home, "/sys/fs/cgroup/a/launch");
	ck_assert(!plan.exists);
	ck_assert(plan.cpu);
	ck_assert(!plan.cpuset);
	ck_assert_uint_eq(plan.weight, 200);
	ck_assert_uint_eq(plan.max.quota_us, 50000);
	ck_assert_int_eq(find("/sys/fs/cgroup//a/old/", 0, "off"), 0);
	ck_assert_str_eq(plan.dir, "/sys/fs/cgroup/a/old");
	ck_assert(plan.exists);
	ck_assert_int_eq(find("a/root", 0, NULL), 0);
	fake_root_close();
}
END_TEST

START_TEST(no_place_for_it)
{
	make_tree();
	refused(-EINVAL, "is to name the cgroup without", "a/../..", 0, NULL);
	refused(-EINVAL, "not below /sys/fs/cgroup,", "/tmp/x", 0, NULL);
	refused(-EINVAL, "not below /sys/fs/cgroup,", "/sys/fs/cgroupish/x", 0, NULL);
	refused(-EINVAL, "root of all cgroups", "/sys/fs/cgroup", 0, NULL);
	refused(-ENOENT, "mkdir -p /sys/fs/cgroup/b", "b/c", 0, NULL);
	refused(-ENOTDIR, "is a file", "a/cgroup.procs", 0, NULL);
	refused(-EOPNOTSUPP, "'threaded': a process can not be put there", "a/threads", 0, NULL);
	refused(-EOPNOTSUPP, "'threaded': a process can not be in a child", "a/threads/x", 0, NULL);
	refused(-EOPNOTSUPP, "'domain threaded': a process can not be in a child", "a/root/x", 0, NULL);
	fake_root_close();
}
END_TEST

START_TEST(no_controller)
{
	make_tree();
	refused(-EOPNOTSUPP, "echo +cpu | tee /sys/fs/cgroup/a/old/cgroup.subtree_control", "a/old/x", 1,
		NULL);
	ck_assert_int_eq(find("a/old/x", 0, NULL), 0);
	ck_assert(!plan.cpu);
	fake_root_put("/sys/fs/cgroup/cgroup.subtree_control", "memory cpuset\n");
	fake_root_put("/sys/fs/cgroup/a/cgroup.subtree_control", "\n");
	refused(-EOPNOTSUPP,
		"echo +cpu | tee /sys/fs/cgroup/cgroup.subtree_control "
		"/sys/fs/cgroup/a/cgroup.subtree_control",
		"a/new", 0, "50%");
	ck_assert_ptr_nonnull(
		strstr(said, "max: the cpu controller is not on for children of /sys/fs/cgroup/a;"));
	fake_root_put("/sys/fs/cgroup/cgroup.controllers", "hugetlb\n");
	refused(-EOPNOTSUPP, "cgroup v2 has no cpu controller here", "a/new", 5, NULL);
	fake_root_close();
}
END_TEST

START_TEST(mounts)
{
	make_tree();
	fake_root_put("/proc/self/mountinfo", V1);
	refused(-ENOENT, "no cgroup v2 is mounted", "x", 0, NULL);
	/* Beside v1; and a name with a blank in it. */
	fake_root_put("/proc/self/mountinfo",
		V1 "41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n");
	fake_root_put("/sys/fs/cgroup/uni fied/cgroup.procs", "");
	fake_root_put("/proc/self/cgroup", "1:cpu:/v1\n0::/\n");
	ck_assert_int_eq(find("x", 0, NULL), 0);
	ck_assert_str_eq(plan.dir, "/sys/fs/cgroup/uni fied/x");
	ck_assert_str_eq(plan.home, "/sys/fs/cgroup/uni fied");
	/* The second of two, and only a part of the hierarchy. */
	fake_root_put("/proc/self/mountinfo", V2 "41 31 0:38 /part /mnt rw - cgroup2 cgroup2 rw\n");
	fake_root_put("/mnt/cgroup.procs", "");
	fake_root_put("/proc/self/cgroup", "0::/part/mine\n");
	fake_root_put("/mnt/mine/cgroup.procs", "");
	ck_assert_int_eq(find("/mnt/x", 0, NULL), 0);
	ck_assert_str_eq(plan.home, "/mnt/mine");
	/* Outside of what is seen: nowhere to come back to. */
	fake_root_put("/proc/self/cgroup", "0::/../elsewhere\n");
	ck_assert_int_eq(find("/mnt/x", 0, NULL), 0);
	ck_assert_str_eq(plan.home, "");
	fake_root_close();
}
END_TEST

static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return chmod(path, type == FTW_D ? 0755 : 0644);
}

/* As another user in a tree that is root's. */
START_TEST(no_permission)
{
	char path[PATH_MAX];

	if (getuid() != 0) {
		puts("skip: permissions: needs root, to become another user");
		return;
	}
	make_tree();
	ck_assert_int_eq(nftw(fake_root, open_up, 16, FTW_PHYS), 0);
	snprintf(path, sizeof(path), "%s/sys/fs/cgroup/a/old/cgroup.procs", fake_root);
	ck_assert_int_eq(seteuid(65534), 0);
	refused(-EACCES, "no permission to write /sys/fs/cgroup/a; have the subtree delegated: systemd-run",
		"a/new", 5, NULL);
	refused(-EACCES, "no permission to write /sys/fs/cgroup/a/old/cgroup.procs;", "a/old", 0, NULL);
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(seteuid(65534), 0);
	/* The cgroup is the user's, the way there is not: the kernel asks at the one above both ends. */
	refused(-EACCES, "no permission to write /sys/fs/cgroup/a/cgroup.procs;", "a/old", 0, NULL);
	ck_assert_int_eq(seteuid(0), 0);
	fake_root_close();
}
END_TEST

UNIT_MAIN("cgroup", good_max, bad_max, weights, lines_of_cpu_max, paths, found, no_place_for_it,
	no_controller, mounts, no_permission)
