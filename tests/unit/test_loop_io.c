// SPDX-License-Identifier: Apache-2.0
/* File operations and signals of the event loop over both engines, who carries them out, and life without
 * io_uring. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/unit/loops.h"

#define OPS 256

struct op {
	struct loop_io io;
	struct iovec iov;
	uint32_t data[64];
	int res;
	int *left;
};

static void on_io(struct loop_io *io, int res)
{
	struct op *op = (struct op *)io;

	op->res = res;
	--*op->left;
}

START_TEST(more_operations_than_depth)
{
	static struct op op[OPS];
	char path[] = "/tmp/pinvm-loop-XXXXXX";
	int fd = mkstemp(path), left, wrong = 0;
	struct loop *loop = make(_i, 8);

	unlink(path);
	if (!loop)
		return;
	for (int round = 0; round < 4; round++) {
		left = OPS;
		for (int i = 0; i < OPS; i++) {
			op[i].io.fn = on_io;
			op[i].left = &left;
			op[i].iov = (struct iovec){op[i].data, sizeof(op[i].data)};
			for (int k = 0; k < 64; k++)
				op[i].data[k] = round & 1 ? 0 : (unsigned)(i * 64 + k + round);
			if (round & 1)
				loop_readv(loop, &op[i].io, fd, &op[i].iov, 1, (uint64_t)i * 256);
			else
				loop_writev(loop, &op[i].io, fd, &op[i].iov, 1, (uint64_t)i * 256);
		}
		while (left)
			ck_assert_int_ge(loop_step(loop, false), 0);
		for (int i = 0; i < OPS; i++) {
			ck_assert_int_eq(op[i].res, 256);
			for (int k = 0; k < 64; k++)
				wrong += op[i].data[k] != (unsigned)(i * 64 + k + (round & ~1));
		}
	}
	ck_assert_int_eq(wrong, 0);
	loop_destroy(loop);
	close(fd);
}
END_TEST

static int one_op(struct loop *loop, struct op *op, int *left)
{
	while (*left)
		ck_assert_int_ge(loop_step(loop, false), 0);
	return op->res;
}

START_TEST(results_are_those_of_the_system_call)
{
	char path[] = "/tmp/pinvm-loop-XXXXXX", back[4096];
	int fd = mkstemp(path), ro = open(path, O_RDONLY), left;
	struct op op = {.io.fn = on_io, .left = &left};
	struct loop *loop = make(_i, 8);

	unlink(path);
	if (!loop)
		return;
	memset(back, 'x', sizeof(back));
	ck_assert_int_eq(pwrite(fd, back, sizeof(back), 0), sizeof(back));
	op.iov = (struct iovec){op.data, 256};
	left = 1;
	loop_readv(loop, &op.io, fd, &op.iov, 1, 4000);
	ck_assert_int_eq(one_op(loop, &op, &left), 96);
	left = 1;
	loop_readv(loop, &op.io, fd, &op.iov, 1, 8192);
	ck_assert_int_eq(one_op(loop, &op, &left), 0);
	left = 1;
	loop_writev(loop, &op.io, ro, &op.iov, 1, 0);
	ck_assert_int_eq(one_op(loop, &op, &left), -EBADF);
	left = 1;
	loop_fdatasync(loop, &op.io, fd);
	ck_assert_int_eq(one_op(loop, &op, &left), 0);
	left = 1;
	loop_fallocate(loop, &op.io, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	ck_assert_int_eq(one_op(loop, &op, &left), 0);
	ck_assert_int_eq(pread(fd, back, sizeof(back), 0), sizeof(back));
	for (unsigned i = 0; i < sizeof(back); i++)
		ck_assert_int_eq(back[i], 0);
	loop_destroy(loop);
	close(fd);
	close(ro);
}
END_TEST

START_TEST(signals_an_eventfd)
{
	int fd = eventfd(0, EFD_NONBLOCK), full = eventfd(0, EFD_NONBLOCK);
	uint64_t sum = 0, v = UINT64_MAX - 1;
	struct counted c = {.ev.fn = count_ev};
	struct loop *loop = make(_i, 8);

	if (!loop)
		return;
	for (int i = 0; i < 1000; i++)
		loop_signal(loop, fd);
	ck_assert_int_eq(loop_step(loop, true), 0);
	ck_assert_int_eq(read(fd, &sum, sizeof(sum)), sizeof(sum));
	ck_assert_uint_eq(sum, 1000);
	/* A full counter holds up nobody. */
	ck_assert_int_eq(write(full, &v, sizeof(v)), sizeof(v));
	loop_signal(loop, full);
	loop_signal(loop, fd);
	ck_assert_int_eq(loop_step(loop, true), 0);
	ck_assert_int_eq(read(fd, &sum, sizeof(sum)), sizeof(sum));
	ck_assert_uint_eq(sum, 1);
	/* What was queued when the loop stopped still goes out. */
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), 0);
	loop_signal(loop, fd);
	loop_stop(loop);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(read(fd, &sum, sizeof(sum)), sizeof(sum));
	ck_assert_uint_eq(sum, 1);
	ck_assert_int_eq(loop_step(loop, true), 1);
	ck_assert_int_eq(c.hits, 1);
	loop_destroy(loop);
	close(full);
	close(fd);
}
END_TEST

/* Threads of this process whose name begins so; if cpus is given, all of them must be bound to exactly those.
 */
static int threads_named(const char *prefix, const cpu_set_t *cpus)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	cpu_set_t its;
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && !strncmp(comm, prefix, strlen(prefix))) {
			ck_assert(!cpus || !sched_getaffinity(atoi(e->d_name), sizeof(its), &its));
			ck_assert(!cpus || CPU_EQUAL(&its, cpus));
			n++;
		}
		fclose(f);
	}
	closedir(dir);
	return n;
}

/* Signals and watches are carried out in line: the kernel starts no worker for them, as it does for a flush.
 */
START_TEST(a_signal_needs_no_worker)
{
	char path[] = "/tmp/pinvm-loop-XXXXXX";
	int fd = eventfd(0, EFD_NONBLOCK), file = mkstemp(path), left = 1;
	struct op op = {.io.fn = on_io, .left = &left};
	struct counted c = {.ev.fn = count_ev};
	struct loop *loop = make(_i, 8);

	unlink(path);
	if (!loop)
		return;
	ck_assert_int_eq(loop_watch(loop, &c.ev, fd, EPOLLIN), 0);
	for (int i = 0; i < 300; i++) {
		loop_signal(loop, fd);
		while (c.hits <= i)
			ck_assert_int_ge(loop_step(loop, false), 0);
		ck_assert_int_eq(threads_named("iou-", NULL), 0);
	}
	ck_assert_int_eq(threads_named("test-w", NULL), !_i);
	loop_fdatasync(loop, &op.io, file);
	ck_assert_int_eq(one_op(loop, &op, &left), 0);
	ck_assert_msg(threads_named("iou-", NULL) == _i, "the probe sees workers");
	loop_destroy(loop);
	while (threads_named("test-w", NULL)) /* it was joined; its entry in /proc goes a little later */
		sched_yield();
	close(file);
	close(fd);
}
END_TEST

/* A worker of either engine runs where the loop's thread does, from its first request on. */
START_TEST(workers_follow_the_loop)
{
	char path[] = "/tmp/pinvm-loop-XXXXXX";
	int file = mkstemp(path), left = 1, cpu = sched_getcpu();
	struct op op = {.io.fn = on_io, .left = &left};
	struct loop *loop = make(_i, 8);
	cpu_set_t one;

	unlink(path);
	if (!loop)
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	loop_fdatasync(loop, &op.io, file);
	ck_assert_int_eq(one_op(loop, &op, &left), 0);
	ck_assert_int_eq(threads_named(_i ? "iou-wrk" : "test-w", &one), 1);
	loop_destroy(loop);
	close(file);
}
END_TEST

/* As a container's seccomp profile, or kernel.io_uring_disabled, would answer. */
START_TEST(does_without_io_uring)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	struct op op = {.io.fn = on_io};
	struct loop *loop;
	int left = 1;
	const char *why;

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
	ck_assert_int_eq(loop_create(&loop, "test", IO_URING, 8), -EPERM);
	ck_assert_ptr_null(loop);
	ck_assert_int_eq(loop_create(&loop, "test", IO_AUTO, 8), 0);
	ck_assert_str_eq(loop_engine(loop, &why), "plain");
	ck_assert_str_eq(why, "io_uring: Operation not permitted");
	op.left = &left;
	loop_fdatasync(loop, &op.io, -1);
	ck_assert_int_eq(one_op(loop, &op, &left), -EBADF);
	loop_destroy(loop);
}
END_TEST

int main(void)
{
	const TTest *both[] = {more_operations_than_depth, results_are_those_of_the_system_call,
		signals_an_eventfd, a_signal_needs_no_worker, workers_follow_the_loop};
	const TTest *once[] = {does_without_io_uring};

	return run_both("loop_io", both, COUNT(both), once, COUNT(once));
}
