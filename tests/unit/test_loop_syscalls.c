// SPDX-License-Identifier: Apache-2.0
/*
 * How many system calls the thread of a loop makes for a batch of disk requests, counted by tracing it: kick,
 * 32 reads, one signal back. On io_uring at most two: one that submits the reads, one that sends the signal
 * and waits for the kick. On the plain engine about four (wake the worker, wait for it, signal, wait), and a
 * few more when the host lets the worker wait in the midst of a batch; never some for each read.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/disk.h"

#define BATCHES 200
#define BATCH	32
#define WARM_UP 20

/* A device's queue in small: each kick brings BATCH reads, and the last of them to end signals once. */
struct device {
	struct loop_ev kick;
	struct loop *loop;
	struct disk disk;
	struct disk_req req[BATCH];
	struct iovec iov[BATCH];
	uint8_t buf[BATCH][512];
	int kick_fd, call_fd, left, batches;
};

static struct device dev;

static void on_read(struct disk_req *req, int err)
{
	if (err)
		_exit(3);
	if (!--dev.left)
		loop_signal(dev.loop, dev.call_fd);
}

static void on_kick(struct loop_ev *ev, uint32_t events)
{
	if (dev.left)
		_exit(4);
	dev.left = BATCH;
	for (unsigned i = 0; i < BATCH; i++) {
		dev.iov[i] = (struct iovec){dev.buf[i], 512};
		dev.req[i].fn = on_read;
		disk_submit(&dev.disk, dev.loop, &dev.req[i], DISK_READ, &dev.iov[i], 1, i * 512, 512);
	}
	if (++dev.batches == BATCHES)
		loop_stop(dev.loop);
}

static void *guest(void *arg)
{
	uint64_t v = 1;

	for (int i = 0; i < BATCHES; i++) {
		struct pollfd p = {.fd = dev.call_fd, .events = POLLIN};

		if (write(dev.kick_fd, &v, sizeof(v)) < 0 || poll(&p, 1, -1) != 1 ||
			read(dev.call_fd, &v, sizeof(v)) < 0)
			_exit(5);
		v = 1;
	}
	return NULL;
}

/* In the child: everything up to the first batch happens before the tracing. */
static void run_device(enum io_engine engine, const char *path)
{
	struct disk_config cfg = {.path = (char *)path};
	pthread_t thread;

	dev.kick_fd = eventfd(0, EFD_NONBLOCK);
	dev.call_fd = eventfd(0, EFD_NONBLOCK);
	dev.kick.fn = on_kick;
	if (disk_open(&dev.disk, &cfg) || loop_create(&dev.loop, "test", engine, 64) ||
		loop_watch(dev.loop, &dev.kick, dev.kick_fd, EPOLLIN) || loop_step(dev.loop, true) < 0)
		_exit(6);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	raise(SIGSTOP);
	if (pthread_create(&thread, NULL, guest, NULL))
		_exit(7);
	if (loop_run(dev.loop))
		_exit(8);
	/* The last batch was begun when the loop was told to stop. */
	while (dev.left)
		loop_step(dev.loop, false);
	loop_step(dev.loop, true);
	_exit(0);
}

/* System calls of the loop's thread per batch, or < 0: the exit status of a child that could not. */
static int count_calls(enum io_engine engine, const char *path)
{
	int status, stops = 0;
	pid_t pid = fork();

	if (!pid)
		run_device(engine, path);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (!WIFSTOPPED(status))
		return -WEXITSTATUS(status);
	ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	while (!ptrace(PTRACE_SYSCALL, pid, NULL, NULL) && waitpid(pid, &status, 0) == pid &&
		WIFSTOPPED(status))
		stops += WSTOPSIG(status) == (SIGTRAP | 0x80);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	return stops / 2;
}

START_TEST(two_calls_a_batch)
{
	char path[] = "/tmp/pinvm-loop-XXXXXX";
	static uint8_t data[BATCH * 512];
	struct iovec iov = {data, sizeof(data)};
	int fd = mkstemp(path), plain, uring, nowait;
	const char *why = NULL;
	struct loop *loop;

	ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	nowait = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);
	ck_assert_int_eq(loop_create(&loop, "probe", IO_AUTO, 8), 0);
	loop_engine(loop, &why);
	plain = count_calls(IO_PLAIN, path);
	if (plain == -77) {
		printf("skip: tracing is not allowed here\n");
	} else if (why) {
		printf("skip: %s\n", why);
	} else if (nowait != sizeof(data)) {
		printf("skip: the file system of /tmp cannot read without a worker\n");
	} else {
		uring = count_calls(IO_URING, path);
		printf("%d batches of %d reads: io_uring %d, plain %d system calls of the loop's thread\n",
			BATCHES, BATCH, uring, plain);
		/* Making the guest's thread is 10 to 20 of them. */
		ck_assert_int_gt(plain, 2 * BATCHES);
		ck_assert_int_le(plain, BATCH / 2 * BATCHES);
		ck_assert_int_ge(uring, BATCHES);
		ck_assert_int_le(uring, 2 * BATCHES + WARM_UP);
	}
	loop_destroy(loop);
	unlink(path);
	close(fd);
}
END_TEST

UNIT_MAIN("loop_syscalls", two_calls_a_batch)
