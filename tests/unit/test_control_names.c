// SPDX-License-Identifier: Apache-2.0
/* Names of guests as files: claimed once, reclaimed from the dead, led to wherever the socket is, and gone in
 * the end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/control/names.h"
#include "vmm/log.h"

static char home[64]; /* $XDG_RUNTIME_DIR */
static int log_fd;

static void begin(void)
{
	char path[32];

	strcpy(home, "/tmp/pinvm-names-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(home));
	setenv("XDG_RUNTIME_DIR", home, 1);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", log_fd);
	ck_assert_int_eq(log_open(path), 0);
}

/* Nothing was left behind. */
static void end(void)
{
	char dir[96];

	snprintf(dir, sizeof(dir), "%s/pinvm", home);
	ck_assert(!rmdir(dir) || errno == ENOENT);
	ck_assert_int_eq(rmdir(home), 0);
	log_close();
}

/* Since the last look one line was logged, and `want` is in it; NULL: nothing was. */
static void logged(const char *want)
{
	char text[1024];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	ck_assert_int_eq(ftruncate(log_fd, 0), 0);
	if (!want)
		ck_assert_str_eq(text, "");
	else
		ck_assert_msg(strstr(text, want) && strchr(text, '\n') == text + n - 1, "%s", text);
}

static const char *at(const char *name)
{
	static char path[4][128];
	static unsigned i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", home, name);
	return path[i];
}

static void release(struct names_claim *claim)
{
	names_release(claim);
	close(claim->fd);
}

static bool answers(const char *path)
{
	int fd = listener_connect(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -EAGAIN; /* its backlog is full */
}

/* A socket whose process is gone. */
static void stale(const char *path)
{
	struct own_file file;
	int fd = listener_open(&file, path, 1, -1);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

START_TEST(by_name)
{
	struct names_claim one, two;
	struct stat st;

	begin();
	ck_assert_int_eq(names_claim(&one, "vm", NULL), 0);
	ck_assert_int_ge(one.fd, 0);
	ck_assert_int_eq(stat(at("pinvm"), &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
	ck_assert_int_eq(lstat(at("pinvm/vm.sock"), &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0600);
	ck_assert(answers(at("pinvm/vm.sock")));
	logged(NULL);
	ck_assert_int_eq(names_claim(&two, "vm", NULL), -EADDRINUSE);
	logged("error: --name vm: another guest has this name");
	ck_assert_int_eq(two.fd, -1);
	ck_assert(answers(at("pinvm/vm.sock")));
	ck_assert_int_eq(names_claim(&two, "vm2", NULL), 0);
	release(&two);
	release(&one);
	end();
}
END_TEST

/* Others may look at it, as at what systemd makes: then they may not any more, and who locked it is not waited for. */
START_TEST(a_directory_others_see)
{
	struct names_claim claim;
	struct stat st;
	int fd;

	begin();
	ck_assert_int_eq(mkdir(at("pinvm"), 0755), 0);
	ck_assert_int_eq(chmod(at("pinvm"), 0755), 0);
	fd = open(at("pinvm"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	ck_assert_int_eq(names_claim(&claim, "vm", NULL), -EAGAIN);
	logged("error: --name vm: another process holds a lock on ");
	ck_assert_int_eq(claim.fd, -1);
	close(fd);
	ck_assert_int_eq(stat(at("pinvm"), &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0700);
	ck_assert_int_eq(names_claim(&claim, "vm", NULL), 0);
	release(&claim);
	end();
}
END_TEST

START_TEST(from_the_dead)
{
	struct names_claim claim;

	begin();
	ck_assert_int_eq(mkdir(at("pinvm"), 0700), 0);
	stale(at("pinvm/vm.sock"));
	ck_assert_int_eq(names_claim(&claim, "vm", NULL), 0);
	ck_assert(answers(at("pinvm/vm.sock")));
	release(&claim);
	ck_assert_int_eq(symlink(at("elsewhere"), at("pinvm/vm.sock")), 0); /* to nothing */
	ck_assert_int_eq(names_claim(&claim, "vm", NULL), 0);
	release(&claim);
	stale(at("elsewhere"));
	ck_assert_int_eq(symlink(at("elsewhere"), at("pinvm/vm.sock")), 0);
	ck_assert_int_eq(names_claim(&claim, "vm", at("elsewhere")), 0);
	ck_assert(answers(at("pinvm/vm.sock")));
	release(&claim);
	logged(NULL);
	end();
}
END_TEST

static bool is_there(const char *name)
{
	struct stat st;

	return !lstat(at(name), &st);
}

/* What was left by those who were killed goes, whatever they were called, and nothing else. */
START_TEST(swept)
{
	char dead[64], living[64];
	struct names_claim own, other;
	pid_t pid = fork();
	int fd, status;

	if (!pid)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	snprintf(dead, sizeof(dead), "pinvm/pinvm-%d.sock", (int)pid);
	snprintf(living, sizeof(living), "pinvm/pinvm-%d.sock", (int)getpid());
	begin();
	names_sweep("own"); /* there is no directory yet */
	ck_assert_int_eq(names_claim(&own, "own", NULL), 0);
	ck_assert_int_eq(names_claim(&other, "other", NULL), 0);
	stale(at(dead));
	stale(at("pinvm/vm.sock"));
	stale(at("pinvm/pinvm-x.sock"));
	stale(at(living)); /* whose process lives is not asked */
	stale(at("pinvm/.sock"));
	stale(at("pinvm/vm"));
	ck_assert_int_eq(symlink(at("nothing"), at("pinvm/link.sock")), 0);
	ck_assert_int_eq(mkdir(at("pinvm/dir.sock"), 0700), 0);

	fd = open(at("pinvm"), O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	names_sweep("own");
	ck_assert_msg(is_there(dead), "somebody is about to listen");
	close(fd);
	names_sweep("own");
	ck_assert(!is_there(dead) && !is_there("pinvm/vm.sock") && !is_there("pinvm/pinvm-x.sock"));
	ck_assert_int_eq(accept(own.fd, NULL, NULL), -1); /* nor is who asks */
	ck_assert(answers(at("pinvm/own.sock")) && answers(at("pinvm/other.sock")));
	ck_assert(!unlink(at(living)) && !unlink(at("pinvm/.sock")) && !unlink(at("pinvm/vm")) && !unlink(at("pinvm/link.sock")));
	ck_assert_int_eq(rmdir(at("pinvm/dir.sock")), 0);
	logged(NULL);
	release(&own);
	release(&other);
	end();
}
END_TEST

START_TEST(elsewhere)
{
	struct names_claim one, two;
	char cwd[256], to[256] = "";
	struct stat st;

	begin();
	ck_assert_int_eq(names_claim(&one, "vm", at("here")), 0);
	ck_assert_int_eq(lstat(at("here"), &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0600);
	ck_assert(answers(at("pinvm/vm.sock")));
	ck_assert_int_eq(names_claim(&two, "vm", NULL), -EADDRINUSE);
	logged("--name vm: another guest");
	ck_assert_int_eq(names_claim(&two, "vm", at("there")), -EADDRINUSE);
	logged("--name vm: another guest");
	ck_assert_int_eq(names_claim(&two, "vm2", at("here")), -EADDRINUSE);
	logged("another process listens there");
	ck_assert(answers(at("here")));
	release(&one);
	/* A path from here leads there from everywhere. */
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	ck_assert_int_eq(chdir(home), 0);
	ck_assert_int_eq(names_claim(&one, "vm", "here"), 0);
	ck_assert_int_gt(readlink(at("pinvm/vm.sock"), to, sizeof(to) - 1), 0);
	ck_assert_str_eq(to, at("here"));
	release(&one);
	/* The name's own place, spelled in other ways. */
	ck_assert_int_eq(names_claim(&one, "vm", "pinvm/vm.sock"), 0);
	ck_assert_int_eq(one.link.ino, 0);
	release(&one);
	ck_assert_int_eq(chdir(cwd), 0);
	logged(NULL);
	end();
}
END_TEST

/* What is not ours stays. */
START_TEST(in_the_way)
{
	struct names_claim claim;
	int fd;

	begin();
	ck_assert_int_eq(mkdir(at("pinvm"), 0700), 0);
	for (int i = 0; i < 2; i++) {
		const char *path = at(i ? "here" : "pinvm/vm.sock");

		fd = open(path, O_CREAT | O_WRONLY, 0600);
		close(fd);
		ck_assert_int_eq(names_claim(&claim, "vm", i ? path : NULL), -EEXIST);
		logged(i ? "here: exists and is not a socket" : "neither a socket nor a link");
		ck_assert_int_eq(claim.fd, -1);
		ck_assert_int_eq(unlink(path), 0);
	}
	ck_assert_int_eq(names_claim(&claim, "vm", at("no/such")), -ENOENT);
	logged("no/such: No such file or directory");
	/* Removed, and made anew by another: his stays. */
	ck_assert_int_eq(names_claim(&claim, "vm", NULL), 0);
	ck_assert_int_eq(unlink(at("pinvm/vm.sock")), 0);
	stale(at("pinvm/vm.sock"));
	release(&claim);
	ck_assert_int_eq(unlink(at("pinvm/vm.sock")), 0);
	end();
}
END_TEST

/* Without a directory for names, a guest runs on without one; who gave a path has it at least there. */
START_TEST(no_directory)
{
	struct names_claim claim;
	int fd;

	begin();
	fd = open(at("pinvm"), O_CREAT | O_WRONLY, 0600);
	close(fd);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(names_claim(&claim, "vm", NULL), 0);
		ck_assert_int_eq(claim.fd, -1);
		logged("warning: ");
		ck_assert_int_eq(names_claim(&claim, "vm", at("here")), 0);
		logged("warning: ");
		ck_assert(answers(at("here")));
		release(&claim);
		if (i == 0) { /* one that others may write to */
			ck_assert_int_eq(unlink(at("pinvm")), 0);
			ck_assert_int_eq(mkdir(at("pinvm"), 0700), 0);
			ck_assert_int_eq(chmod(at("pinvm"), 0770), 0);
		} else if (i == 1) { /* one that is elsewhere */
			ck_assert_int_eq(rmdir(at("pinvm")), 0);
			ck_assert_int_eq(symlink("/tmp", at("pinvm")), 0);
		}
	}
	ck_assert_int_eq(unlink(at("pinvm")), 0);
	end();
}
END_TEST

/* A directory so deep that no socket fits. */
START_TEST(too_deep)
{
	struct names_claim claim;
	char deep[256], short_path[96], *p = deep;

	begin();
	p += sprintf(p, "%s/", home);
	memset(p, 'd', 80);
	p[80] = '\0';
	ck_assert_int_eq(mkdir(deep, 0700), 0);
	setenv("XDG_RUNTIME_DIR", deep, 1);
	ck_assert_int_eq(names_claim(&claim, "a-name", NULL), 0);
	ck_assert_int_eq(claim.fd, -1);
	logged("warning: --name a-name: too long");
	snprintf(short_path, sizeof(short_path), "%s/s", home);
	ck_assert_int_eq(names_claim(&claim, "a-name", short_path), 0);
	logged("warning: --name a-name: too long");
	release(&claim);
	strcat(deep, "/pinvm");
	ck_assert_int_eq(rmdir(deep), 0);
	deep[strlen(deep) - 6] = '\0';
	ck_assert_int_eq(rmdir(deep), 0);
	end();
}
END_TEST

/* An XDG_RUNTIME_DIR that is not this user's, or no directory's name, does not count. */
START_TEST(other_users)
{
	char dir[4096], own[64];
	const char *odd[] = {"", "relative", "/nonexistent"};
	struct stat st;
	int fd;

	begin();
	if (geteuid())
		snprintf(own, sizeof(own), "/tmp/pinvm-%u/pinvm", (unsigned)geteuid());
	else
		snprintf(own, sizeof(own), "/run/pinvm");
	for (unsigned i = 0; i < 3; i++) {
		setenv("XDG_RUNTIME_DIR", odd[i], 1);
		fd = names_open(dir, sizeof(dir), false);
		if (fd >= 0)
			close(fd);
		ck_assert(!strncmp(dir, own, strlen(dir)));
	}
	setenv("XDG_RUNTIME_DIR", home, 1);
	if (!geteuid()) {
		ck_assert_int_eq(chown(home, 65534, 65534), 0);
		fd = names_open(dir, sizeof(dir), false);
		if (fd >= 0)
			close(fd);
		ck_assert_str_eq(dir, own);
	}
	ck_assert_int_eq(stat(home, &st), 0);
	end();
}
END_TEST

/* A path elsewhere is taken under a lock on its directory, by one of those who find a dead one there. */
START_TEST(under_a_lock)
{
	struct own_file file;
	int dir, fd;

	begin();
	stale(at("here"));
	dir = open(home, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(flock(dir, LOCK_EX), 0);
	ck_assert_int_eq(listener_open(&file, at("here"), 1, -1), -EDEADLK);
	ck_assert_int_eq(listener_open(&file, at("new"), 1, -1), -EDEADLK);
	fd = listener_open(&file, at("here"), 1, dir); /* the lock is ours */
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(listener_open(&(struct own_file){0}, at("here"), 1, dir), -EADDRINUSE);
	ck_assert_int_eq(own_file_remove(&file), 0);
	close(fd);
	close(dir);
	end();
}
END_TEST

struct starter {
	pthread_t id;
	pthread_barrier_t *begin;
	const char *path;
	struct own_file file;
	int fd;
};

static void *start_one(void *arg)
{
	struct starter *s = arg;

	pthread_barrier_wait(s->begin);
	s->fd = listener_open(&s->file, s->path, 1, -1);
	return NULL;
}

/* Several at once at a stale path: one has it, and its socket is the one that lies there. */
START_TEST(several_starters)
{
	struct starter s[6];
	pthread_barrier_t begin_all;

	begin();
	for (int round = 0; round < 50; round++) {
		const char *path = at("here");
		int won = -1;

		if (round % 2)
			stale(path);
		pthread_barrier_init(&begin_all, NULL, 6);
		for (int i = 0; i < 6; i++) {
			s[i] = (struct starter){.begin = &begin_all, .path = path};
			ck_assert_int_eq(pthread_create(&s[i].id, NULL, start_one, &s[i]), 0);
		}
		for (int i = 0; i < 6; i++) {
			pthread_join(s[i].id, NULL);
			ck_assert(s[i].fd >= 0 || s[i].fd == -EADDRINUSE);
			ck_assert(s[i].fd < 0 || won < 0);
			won = s[i].fd >= 0 ? i : won;
		}
		ck_assert_int_ge(won, 0);
		ck_assert(answers(path));
		ck_assert_int_eq(own_file_remove(&s[won].file), 0);
		ck_assert_int_eq(access(path, F_OK), -1);
		close(s[won].fd);
	}
	end();
}
END_TEST

/* Rights that went with the start: it says that its files stay. */
START_TEST(files_that_stay)
{
	struct names_claim claim;
	pid_t child;
	int status;

	if (geteuid()) {
		puts("skip: not root, there is no right to lose");
		return;
	}
	begin();
	ck_assert_int_eq(mkdir(at("other"), 0700), 0);
	ck_assert_int_eq(names_claim(&claim, "vm", at("other/vm")), 0);
	ck_assert_int_eq(chown(at("other"), 1, 1) | chmod(at("other"), 0700), 0);
	child = fork();
	if (!child) {
		if (setresuid(65534, 65534, 65534))
			_exit(1);
		names_release(&claim);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(access(at("other/vm"), F_OK), 0);
	{
		char text[1024];
		ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = '\0';
		ck_assert_msg(strstr(text, "other/vm: can not be removed (Permission denied); do that"), "%s", text);
	}
	release(&claim);
	ck_assert_int_eq(rmdir(at("other")), 0);
	end();
}
END_TEST

/* Those of other sessions, too: each place once. */
START_TEST(all_places)
{
	char dir[4096], seen[8][128];
	unsigned n = 0;
	int fd;

	begin();
	ck_assert_int_eq(mkdir(at("pinvm"), 0700), 0);
	for (unsigned i = 0; (fd = names_look(i, dir, sizeof(dir))) != -ERANGE; i++) {
		ck_assert_uint_lt(i, 8);
		if (fd < 0)
			continue;
		close(fd);
		for (unsigned j = 0; j < n; j++)
			ck_assert_str_ne(seen[j], dir);
		snprintf(seen[n++], sizeof(seen[0]), "%.127s", dir);
	}
	ck_assert_uint_ge(n, 1);
	ck_assert_str_eq(seen[0], at("pinvm"));
	end();
}
END_TEST

UNIT_MAIN("control names", under_a_lock, several_starters, files_that_stay, all_places, by_name, a_directory_others_see, from_the_dead, swept, elsewhere, in_the_way, no_directory, too_deep, other_users)
