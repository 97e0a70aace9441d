// SPDX-License-Identifier: Apache-2.0
/* Finding and judging a cgroup; see find.h. Main. */
#include "vmm/cgroup/find.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "vmm/hostfile.h"
#include "vmm/log.h"

#define DEEP (PATH_MAX + 64) /* a cgroup's directory, and a file in it */

const char cgroup_delegation[] =
	"have the subtree delegated: systemd-run --user --scope -p Delegate=yes (pinvm(1), CGROUPS)";

/* ---- the mount ---- */

struct mount {
	char top[PATH_MAX]; /* what of the hierarchy is seen there: "/" as a rule */
	char point[PATH_MAX];
};

/* mountinfo writes blanks and the like as three octal digits: proc(5). */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		unsigned c;

		if (*text == '\\' && sscanf(text + 1, "%3o", &c) == 1 && c && c < 256) {
			*out++ = (char)c;
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

static bool read_mount(const char *line, struct mount *m)
{
	const char *rest = strstr(line, " - ");

	if (!rest || strncmp(rest, " - cgroup2 ", 11) != 0 ||
		sscanf(line, "%*s %*s %*s %4095s %4095s", m->top, m->point) != 2)
		return false;
	unescape(m->top);
	unescape(m->point);
	return true;
}

/* The cgroup2 mount that an absolute path lies below, or the first. 0, -ENOENT: none, -EXDEV: the path is
 * below no such one. */
static int find_mount(const char *root, const char *path, struct mount *m)
{
	char *line = NULL, file[PATH_MAX];
	int err = -ENOENT;
	size_t size = 0;
	FILE *f;

	snprintf(file, sizeof(file), "%s/proc/self/mountinfo", root);
	f = fopen(file, "re");
	if (!f)
		return -errno;
	while (err && getline(&line, &size, f) > 0)
		if (read_mount(line, m))
			err = *path != '/' || is_below(path, m->point) ? 0 : -EXDEV;
	free(line);
	fclose(f);
	return err;
}

/* ---- the path ---- */

const char *cgroup_check_path(const char *text)
{
	if (!strncmp(text, "weight=", 7) || !strncmp(text, "max=", 4))
		return "the PATH stands first: give the cgroup's name before it";
	for (const char *p = text, *end; *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, '/');
		if ((end - p == 1 && *p == '.') || (end - p == 2 && !strncmp(p, "..", 2)))
			return "is to name the cgroup without . and ..";
	}
	return strchr(text, '\n') ? "a cgroup has no such name" : NULL;
}

/* mount/path without doubled and final slashes. */
static int join(char out[PATH_MAX], const char *mount, const char *path)
{
	size_t len = snprintf(out, PATH_MAX, "%s", mount);

	while (len && out[len - 1] == '/')
		out[--len] = '\0';
	for (const char *p = path; *p;) {
		int n = (int)strcspn(p, "/");

		if (n && len < PATH_MAX)
			len += snprintf(out + len, PATH_MAX - len, "/%.*s", n, p);
		p += n;
		p += *p == '/';
	}
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

void cgroup_parent(const struct cgroup_plan *plan, char parent[PATH_MAX], const char **name)
{
	snprintf(parent, PATH_MAX, "%s", plan->dir);
	*strrchr(parent, '/') = '\0';
	*name = strrchr(plan->dir, '/') + 1;
}

/* Where this process is, "" where that is outside of what the mount shows. */
static void find_home(struct cgroup_plan *plan, const struct mount *m)
{
	char own[PATH_MAX];

	if (hostfile_line(plan->root, "/proc/self/cgroup", "0::", own, sizeof(own)) || strstr(own, "/.."))
		return;
	if (!strcmp(m->top, "/"))
		join(plan->home, m->point, own);
	else if (is_below(own, m->top))
		join(plan->home, m->point, own + strlen(m->top));
}

static int find_dir(struct cgroup_plan *plan)
{
	const char *path = plan->typed;
	struct mount m;
	int err = find_mount(plan->root, path, &m);

	if (err == -ENOENT) {
		log_err("--cgroup %s: no cgroup v2 is mounted on this host; boot it with "
			"systemd.unified_cgroup_hierarchy=1, or, as root: "
			"mount -t cgroup2 cgroup2 DIR",
			path);
		return err;
	}
	if (err == -EXDEV) {
		log_err("--cgroup %s: not below %s, where cgroup v2 is mounted; without the first / it "
			"counts from there",
			path, m.point);
		return -EINVAL;
	}
	if (err)
		return log_errno(err, "--cgroup %s: /proc/self/mountinfo", path);
	snprintf(plan->mount, sizeof(plan->mount), "%s", m.point);
	err = join(plan->dir, m.point, *path == '/' ? path + strlen(m.point) : path);
	if (err)
		return log_errno(err, "--cgroup %s", path);
	find_home(plan, &m);
	if (strcmp(plan->dir, plan->mount) != 0)
		return 0;
	log_err("--cgroup %s: that is the root of all cgroups, which has neither weight nor max; name one "
		"below it",
		path);
	return -EINVAL;
}

/* ---- what is there ---- */

static void at(const struct cgroup_plan *plan, const char *dir, const char *file, char out[DEEP])
{
	snprintf(out, DEEP, "%s%s%s%s", plan->root, dir, *file ? "/" : "", file);
}

static int look(struct cgroup_plan *plan)
{
	char path[DEEP], parent[PATH_MAX];
	struct statfs fs;
	const char *name;
	struct stat st;

	at(plan, plan->dir, "", path);
	plan->exists = !stat(path, &st);
	if (plan->exists && !S_ISDIR(st.st_mode)) {
		log_err("--cgroup %s: %s is a file; a cgroup is a directory there", plan->typed, plan->dir);
		return -ENOTDIR;
	}
	cgroup_parent(plan, parent, &name);
	at(plan, parent, "", path);
	if (stat(path, &st) < 0) {
		log_err("--cgroup %s: %s: %s; only the last part of the path is made, make the others first: "
			"mkdir -p %s",
			plan->typed, parent, strerror(errno), parent);
		return -ENOENT;
	}
	plan->override =
		st.st_uid != geteuid() || !(st.st_mode & S_IWUSR); /* nobody's mode lets write in the root */
	if (*plan->root || statfs(path, &fs) < 0 || fs.f_type == CGROUP2_SUPER_MAGIC)
		return 0;
	log_err("--cgroup %s: %s is not on cgroup v2", plan->typed, parent);
	return -EINVAL;
}

/* Is the word in a file of words? */
static bool has_word(const struct cgroup_plan *plan, const char *dir, const char *file, const char *word)
{
	char text[1024], path[DEEP], *save;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (hostfile_text(plan->root, path, text, sizeof(text)))
		return false;
	for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		if (!strcmp(w, word))
			return true;
	return false;
}

/* The subtree_control files from the mount down to `parent` that lack the controller, in the order to write
 * them. */
static void list_lacking(const struct cgroup_plan *plan, const char *parent, char *out, size_t n)
{
	char dir[PATH_MAX];
	size_t len = 0;

	*out = '\0';
	for (const char *p = parent + strlen(plan->mount);; p = strchrnul(p + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(p - parent), parent);
		if (!has_word(plan, dir, "cgroup.subtree_control", "cpu") && len < n)
			len += snprintf(out + len, n - len, " %s/cgroup.subtree_control", dir);
		if (!*p)
			return;
	}
}

/* A weight or a quota needs the cpu controller, which a cgroup turns on for its children. */
static int check_controller(struct cgroup_plan *plan)
{
	char parent[PATH_MAX], files[PATH_MAX * 2];
	const char *name;

	cgroup_parent(plan, parent, &name);
	plan->cpu = has_word(plan, parent, "cgroup.subtree_control", "cpu");
	plan->cpuset = has_word(plan, parent, "cgroup.subtree_control", "cpuset");
	if (plan->cpu || (!plan->weight && !plan->max.period_us))
		return 0;
	if (!has_word(plan, plan->mount, "cgroup.controllers", "cpu")) {
		log_err("--cgroup %s: %s: cgroup v2 has no cpu controller here (%s/cgroup.controllers): "
			"cgroup v1 has it as a rule; boot the "
			"host with systemd.unified_cgroup_hierarchy=1, or leave weight and max out",
			plan->typed, plan->weight ? "weight" : "max", plan->mount);
		return -EOPNOTSUPP;
	}
	list_lacking(plan, parent, files, sizeof(files));
	log_err("--cgroup %s: %s: the cpu controller is not on for children of %s; as root: echo +cpu | "
		"tee%s",
		plan->typed, plan->weight ? "weight" : "max", parent, files);
	return -EOPNOTSUPP;
}

/* A process goes into a domain only. In a threaded tree all below is threaded, or invalid. */
static int check_type(const struct cgroup_plan *plan)
{
	char path[DEEP], parent[PATH_MAX], type[64];
	const char *name, *dir = plan->exists ? plan->dir : parent;

	cgroup_parent(plan, parent, &name);
	snprintf(path, sizeof(path), "%s/cgroup.type", dir);
	if (hostfile_text(plan->root, path, type, sizeof(type)) || !strcmp(type, "domain"))
		return 0; /* the root has no such file */
	if (plan->exists && !strcmp(type, "domain threaded"))
		return 0;
	log_err("--cgroup %s: cgroup.type of %s is '%s': a process can not be %s; give one in a tree of "
		"domains",
		plan->typed, dir, type, plan->exists ? "put there" : "in a child of it");
	return -EOPNOTSUPP;
}

/* ---- permission ---- */

static int may_write(const struct cgroup_plan *plan, const char *dir, const char *file)
{
	char path[DEEP];
	int err;

	at(plan, dir, file, path);
	if (!faccessat(AT_FDCWD, path, W_OK, AT_EACCESS))
		return 0;
	err = -errno;
	if (err != -EACCES && err != -EPERM)
		return log_errno(err, "--cgroup %s: %s", plan->typed, path + strlen(plan->root));
	log_err("--cgroup %s: no permission to write %s; %s", plan->typed, path + strlen(plan->root),
		cgroup_delegation);
	return err;
}

/* Who moves a process must be allowed to in the cgroup that has both ends below it. */
static void common(const struct cgroup_plan *plan, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s", plan->home);
	while (!is_below(plan->dir, out) && is_below(out, plan->mount) && strcmp(out, plan->mount) != 0)
		*strrchr(out, '/') = '\0';
}

static int check_permission(const struct cgroup_plan *plan)
{
	char parent[PATH_MAX], both[PATH_MAX];
	const char *name;
	int err;

	cgroup_parent(plan, parent, &name);
	if (!plan->exists)
		err = may_write(plan, parent, "");
	else
		err = may_write(plan, plan->dir, "cgroup.procs");
	if (!err && plan->exists && plan->weight)
		err = may_write(plan, plan->dir, "cpu.weight");
	if (!err && plan->exists && plan->max.period_us)
		err = may_write(plan, plan->dir, "cpu.max");
	if (err || !*plan->home || !strcmp(plan->home, plan->dir))
		return err;
	common(plan, both);
	return may_write(plan, both, "cgroup.procs");
}

int cgroup_find(struct cgroup_plan *plan, const struct guest_config *cfg, const char *root)
{
	const char *why = NULL;
	int err;

	memset(plan, 0, sizeof(*plan));
	plan->root = root;
	plan->typed = cfg->cgroup.path;
	plan->weight = cfg->cgroup.weight;
	if (cfg->cgroup.max)
		why = cgroup_parse_max(cfg->cgroup.max, &plan->max);
	if (!why)
		why = cgroup_check_path(plan->typed);
	if (why) {
		log_err("--cgroup %s: %s", plan->typed, why);
		return -EINVAL;
	}
	err = find_dir(plan);
	if (!err)
		err = look(plan);
	if (!err)
		err = check_type(plan);
	if (!err)
		err = check_controller(plan);
	return err ? err : check_permission(plan);
}
