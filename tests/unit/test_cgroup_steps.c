// SPDX-License-Identifier: Apache-2.0
/* What is done about a cgroup and how it is undone, on plain directories and files, and by a real guardian.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "tests/unit/fake_root.h"
#include "vmm/cgroup/cgroup.h"
#include "vmm/cgroup/steps.c"

static struct cgroup_plan plan;
static struct guardian_plan guardian;
static struct cgroup_work work;

static void make_tree(void)
{
	fake_root_open();
	fake_root_put("/proc/self/mountinfo", "25 23 0:22 / /cg rw - cgroup2 cgroup2 rw\n");
	fake_root_put("/proc/self/cgroup", "0::/home\n");
	fake_root_put("/cg/cgroup.controllers", "cpu\n");
	fake_root_put("/cg/cgroup.subtree_control", "cpu\n");
	fake_root_put("/cg/cgroup.procs", "");
	fake_root_put("/cg/home/cgroup.procs", "");
	fake_root_put("/cg/old/cgroup.procs", "");
	fake_root_put("/cg/old/cpu.weight", "100\n");
	fake_root_put("/cg/old/cpu.max", "max 100000\n");
	fake_root_put("/cg/old/cpu.stat", "usage_usec 7\nnr_throttled 3\nodd\n");
}

static void prepare(const char *path)
{
	struct guest_config cfg = {.cgroup = {.path = (char *)path}};
	unsigned first;

	make_tree();
	ck_assert_int_eq(cgroup_find(&plan, &cfg, fake_root), 0);
	ck_assert_int_eq(cgroup_steps(&work, &plan, &guardian, &first), 0);
	ck_assert_uint_eq(guardian.n, CGROUP_STEPS);
	ck_assert_uint_eq(guardian.nfds, 2);
}

static int apply(enum cgroup_step step, uint64_t a, uint64_t b)
{
	uint64_t arg[GUARDIAN_ARGS] = {a, b};

	return table[step].apply(&work, arg);
}

static int undo(enum cgroup_step step, bool alive)
{
	const char *why;

	return table[step].undo(&work, alive, &why);
}

/* What stands in a file below /cg, up to the end of its line. */
static const char *at(const char *path)
{
	static char text[128];
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/cg/%s", fake_root, path);
	f = fopen(full, "re");
	ck_assert_msg(f != NULL, "%s", full);
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	fclose(f);
	return text;
}

static bool is_there(const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/cg/%s", fake_root, path);
	return !access(full, F_OK);
}

/* Where CPUs are shared out, the VMM is moved while it has capabilities that its guardian has not. */
START_TEST(capabilities_that_a_cpuset_needs)
{
	struct guest_config cfg = {.cgroup = {.path = (char *)"new"}};
	unsigned first;

	prepare("new");
	ck_assert_uint_eq(guardian.caps & 1ULL << CAP_SYS_NICE, 0);
	fake_root_put("/cg/cgroup.subtree_control", "cpuset cpu\n");
	memset(&guardian, 0, sizeof(guardian));
	ck_assert_int_eq(cgroup_find(&plan, &cfg, fake_root), 0);
	ck_assert_int_eq(cgroup_steps(&work, &plan, &guardian, &first), 0);
	ck_assert_uint_ne(guardian.caps & 1ULL << CAP_SYS_NICE, 0);
	fake_root_close();
}
END_TEST

START_TEST(an_existing_one_is_put_back)
{
	prepare("old");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), -EALREADY);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 300, 0), 0);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 400, 0), 0);
	ck_assert_str_eq(at("old/cpu.weight"), "400");
	ck_assert_int_eq(apply(CGROUP_MAX, 20000, 50000), 0);
	ck_assert_str_eq(at("old/cpu.max"), "20000 50000");
	ck_assert_int_eq(apply(CGROUP_JOIN, 0, 0), 0);
	ck_assert_int_eq(atoi(at("old/cgroup.procs")), (int)getpid());
	ck_assert_int_eq(undo(CGROUP_JOIN, true), 0);
	ck_assert_str_eq(at("home/cgroup.procs"), ""); /* an operator's cgroup is not to be left */
	ck_assert_int_eq(undo(CGROUP_MAX, true), 0);
	ck_assert_str_eq(at("old/cpu.max"), "max 100000");
	ck_assert_int_eq(undo(CGROUP_WEIGHT, true), 0);
	ck_assert_str_eq(at("old/cpu.weight"), "100");
	ck_assert_int_eq(undo(CGROUP_MAKE, true), 0);
	ck_assert(is_there("old"));
	fake_root_close();
}
END_TEST

START_TEST(what_others_set_since_stays)
{
	prepare("old");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 300, 0), 0);
	fake_root_put("/cg/old/cpu.weight", "777\n");
	ck_assert_int_eq(undo(CGROUP_WEIGHT, false), 0);
	ck_assert_str_eq(at("old/cpu.weight"), "777");
	fake_root_close();
}
END_TEST

START_TEST(a_made_one_is_removed)
{
	prepare("new");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	ck_assert(is_there("new"));
	ck_assert_int_eq(undo(CGROUP_JOIN, false), 0); /* nobody is there to be moved */
	ck_assert_str_eq(at("home/cgroup.procs"), "");
	ck_assert_int_eq(undo(CGROUP_JOIN, true), 0);
	ck_assert_int_eq(atoi(at("home/cgroup.procs")), (int)getpid());
	ck_assert_int_eq(undo(CGROUP_MAKE, true), 0);
	ck_assert(!is_there("new"));
	ck_assert_int_eq(undo(CGROUP_MAKE, false), 0);
	fake_root_close();
}
END_TEST

/* Removed by somebody and made again: that one is theirs. */
START_TEST(another_of_its_name_stays)
{
	char path[PATH_MAX];

	prepare("new");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	snprintf(path, sizeof(path), "%s/cg/new", fake_root);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(undo(CGROUP_MAKE, false), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(undo(CGROUP_MAKE, false), 0);
	ck_assert(is_there("new"));
	fake_root_close();
}
END_TEST

START_TEST(one_that_others_use_stays)
{
	prepare("new");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	fake_root_put("/cg/new/child/cgroup.procs", "");
	ck_assert_int_eq(undo(CGROUP_MAKE, false), -ENOTEMPTY);
	ck_assert(is_there("new/child"));
	fake_root_close();
}
END_TEST

START_TEST(numbers_are_checked)
{
	prepare("old");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 0, 0), -EINVAL);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 10001, 0), -EINVAL);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 5, 1), -EINVAL);
	ck_assert_int_eq(apply(CGROUP_MAX, 0, 100000), -EINVAL);
	ck_assert_int_eq(apply(CGROUP_MAX, 5000, 0), -EINVAL);
	ck_assert_int_eq(apply(CGROUP_MAX, UINT64_MAX - 1, 100000), -EINVAL);
	ck_assert_int_eq(apply(CGROUP_MAX, 5000, UINT64_MAX), -EINVAL);
	ck_assert_str_eq(at("old/cpu.weight"), "100");
	ck_assert_str_eq(at("old/cpu.max"), "max 100000");
	fake_root_close();
}
END_TEST

START_TEST(without_the_controller)
{
	prepare("new");
	ck_assert_int_eq(apply(CGROUP_MAKE, 0, 0), 0);
	ck_assert_int_eq(apply(CGROUP_WEIGHT, 5, 0), -ENOENT);
	ck_assert_int_eq(apply(CGROUP_MAX, 5000, 100000), -ENOENT);
	ck_assert_int_eq(undo(CGROUP_MAKE, false), 0);
	fake_root_close();
}
END_TEST

/* ---- all of it, with a guardian ---- */

static struct cgroup *cg;
static struct guardian *g;

static int enter(const char *path, unsigned weight, const char *max)
{
	struct guest_config cfg = {.name = (char *)"unit", .cgroup = {(char *)path, weight, (char *)max}};
	int err;

	memset(&guardian, 0, sizeof(guardian));
	guardian.name = "unit";
	make_tree();
	ck_assert_int_eq(cgroup_open_at(&cg, &cfg, &guardian, fake_root), 0);
	ck_assert_int_eq(guardian_start(&g, &guardian), 0);
	err = cgroup_enter(cg, g);
	return err;
}

START_TEST(from_start_to_end)
{
	struct cgroup_max max = {CGROUP_NO_QUOTA, 100000};
	char why[128] = "";
	json_t *json;

	ck_assert_int_eq(enter("old", 200, "50%"), 0);
	json = cgroup_json(cg);
	ck_assert_str_eq(json_string_value(json_object_get(json, "path")), "/cg/old");
	ck_assert(json_is_false(json_object_get(json, "created")));
	ck_assert_int_eq(json_integer_value(json_object_get(json, "weight")), 200);
	ck_assert_str_eq(json_string_value(json_object_get(json, "max")), "50%");
	ck_assert_int_eq(json_integer_value(json_object_get(json, "quota_usec")), 50000);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "nr_throttled")), 3);
	json_decref(json);
	ck_assert_int_eq(cgroup_set(cg, 5, &max, why, sizeof(why)), 0);
	ck_assert_str_eq(at("old/cpu.weight"), "5");
	json = cgroup_json(cg);
	ck_assert_str_eq(json_string_value(json_object_get(json, "max")), "off");
	ck_assert(json_is_null(json_object_get(json, "quota_usec")));
	json_decref(json);
	ck_assert_int_eq(guardian_end(g), 0);
	cgroup_free(cg);
	ck_assert_str_eq(at("old/cpu.weight"), "100");
	ck_assert_str_eq(at("old/cpu.max"), "max 100000");
	fake_root_close();
}
END_TEST

/* A file of the cgroup that is another file. */
static void put_link(const char *name, const char *to)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/cg/old/%s", fake_root, name);
	ck_assert_int_eq(remove(path), 0);
	ck_assert_int_eq(symlink(to, path), 0);
}

/* The guardian writes its own comm, and this process reads its own, which is `comm`. */
static int enter_with(const char *file, const char *comm, unsigned weight, const char *max)
{
	struct guest_config cfg = {.cgroup = {(char *)"old", weight, (char *)max}};
	struct guardian_plan plan_of = {.name = "unit"};
	int err;

	make_tree();
	put_link(file, "/proc/self/comm");
	prctl(PR_SET_NAME, comm);
	ck_assert_int_eq(cgroup_open_at(&cg, &cfg, &plan_of, fake_root), 0);
	ck_assert_int_eq(guardian_start(&g, &plan_of), 0);
	err = cgroup_enter(cg, g);
	guardian_end(g);
	cgroup_free(cg);
	fake_root_close();
	strcpy(strrchr(fake_root, '-') + 1, "XXXXXX");
	return err;
}

START_TEST(the_kernel_may_say_something_else)
{
	if (getuid() != 0) {
		puts("skip: read-back: needs root, to write to /proc of a process that is not dumpable");
		return;
	}
	ck_assert_int_eq(enter_with("cpu.weight", "77", 9, NULL), -EIO);
	ck_assert_int_eq(enter_with("cpu.weight", "9", 9, NULL), 0);
	ck_assert_int_eq(enter_with("cpu.weight", "nine", 9, NULL), -EPROTO);
	ck_assert_int_eq(enter_with("cpu.max", "2000 100000", 0, "1%"), -EIO);
	ck_assert_int_eq(enter_with("cpu.max", "1000 10000", 0, "1%"), -EIO);
	ck_assert_int_eq(enter_with("cpu.max", "1000 100000", 0, "1%"), 0);
	ck_assert_int_eq(enter_with("cpu.max", "1000", 0, "1%"), -EPROTO);
	ck_assert_int_eq(enter_with("cgroup.procs", "1", 0, NULL), -ESRCH);
}
END_TEST

START_TEST(a_dead_guardian_is_told_of)
{
	struct cgroup_max none = {0};
	char why[128] = "";

	ck_assert_int_eq(enter("old", 0, NULL), 0);
	ck_assert_int_eq(kill(guardian_pid(g), SIGKILL), 0);
	ck_assert_int_eq(cgroup_set(cg, 5, &none, why, sizeof(why)), -EPIPE);
	ck_assert_ptr_nonnull(strstr(why, "guardian"));
	ck_assert_int_eq(guardian_end(g), -EPIPE);
	cgroup_free(cg);
	fake_root_close();
}
END_TEST

START_TEST(without_the_option)
{
	struct guest_config cfg = {0};
	struct guardian_plan none = {0};
	json_t *json;

	ck_assert_int_eq(cgroup_open_at(&cg, &cfg, &none, "/nonexistent"), 0);
	ck_assert_ptr_null(cg);
	ck_assert_uint_eq(none.n, 0);
	ck_assert_int_eq(cgroup_enter(NULL, NULL), 0);
	json = cgroup_json(NULL);
	ck_assert(json_is_null(json));
	ck_assert_int_eq(guardian_end(NULL), 0);
	cgroup_free(NULL);
}
END_TEST

UNIT_MAIN("cgroup_steps", capabilities_that_a_cpuset_needs, an_existing_one_is_put_back, what_others_set_since_stays, a_made_one_is_removed,
	another_of_its_name_stays, one_that_others_use_stays, numbers_are_checked, without_the_controller,
	from_start_to_end, the_kernel_may_say_something_else, a_dead_guardian_is_told_of, without_the_option)
