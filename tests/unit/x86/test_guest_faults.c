// SPDX-License-Identifier: Apache-2.0
/*
 * A guest is built while one call after the other fails: the N-th allocation, or the N-th system call of those that make
 * things. guest_create() says no or succeeds, never crashes, and leaves nothing behind (LeakSanitizer watches memory,
 * the test counts descriptors and threads). The linker puts the functions below between pinvm and the C library.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/guest.h"
#include "vmm/log.h"

#define MIB (1u << 20)
enum kind { ALLOCATION, SYSTEM_CALL };

static unsigned countdown[2]; /* of each kind, the call that fails; 0: none */

static bool fails(enum kind kind, int err)
{
	if (!countdown[kind] || --countdown[kind])
		return false;
	errno = err;
	return true;
}

#define WRAP(type, name, params, args, kind, err, failure)          \
	type __real_##name params;                                  \
	type __wrap_##name params;                                  \
	type __wrap_##name params                                   \
	{                                                           \
		return fails(kind, err) ? failure : __real_##name args; \
	}

WRAP(void *, malloc, (size_t n), (n), ALLOCATION, ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), ALLOCATION, ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t size), (p, size), ALLOCATION, ENOMEM, NULL)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), ALLOCATION, ENOMEM, NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t size), (align, size), ALLOCATION, ENOMEM, NULL)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), SYSTEM_CALL, EMFILE, -1)
WRAP(int, epoll_create1, (int flags), (flags), SYSTEM_CALL, EMFILE, -1)
WRAP(int, pthread_create, (pthread_t * id, const pthread_attr_t *attr, void *(*fn)(void *), void *arg), (id, attr, fn, arg),
	SYSTEM_CALL, EAGAIN, EAGAIN)

static size_t largest; /* mapping that was asked for */

void *__real_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off);

void *__wrap_mmap(void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	if (largest < n)
		largest = n;
	return fails(SYSTEM_CALL, ENOMEM) ? MAP_FAILED : __real_mmap(p, n, prot, flags, fd, off);
}

int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fails(SYSTEM_CALL, EIO) ? -1 : __real_ioctl(fd, request, arg);
}

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* The smallest kernel there is: a Multiboot header that says where it goes, and zeros. */
static const char *kernel_file(void)
{
	static char path[32];
	uint32_t header[] = {0x1badb002, 1 << 16, -(0x1badb002u + (1 << 16)), 0x100000, 0x100000, 0x101000, 0x101000, 0x100020};
	int fd = memfd_create("kernel", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(pwrite(fd, header, sizeof(header), 0), sizeof(header));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static char *disk_file(void)
{
	static char path[32];
	int fd = memfd_create("disk", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, MIB), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* A directory of this test's own for names and sockets. */
static char home[] = "/tmp/pinvm-faults-XXXXXX";

static const char *socket_path(void)
{
	static char path[64];

	ck_assert_ptr_nonnull(mkdtemp(home));
	setenv("XDG_RUNTIME_DIR", home, 1);
	snprintf(path, sizeof(path), "%s/socket", home);
	return path;
}

/* No name and no socket is left there. */
static void ck_no_files(void)
{
	char names[64];

	snprintf(names, sizeof(names), "%s/pinvm", home);
	ck_assert_int_eq(rmdir(names), 0);
	ck_assert_int_eq(rmdir(home), 0);
}

static struct guest_config config(enum io_engine engine)
{
	static struct disk_config disk;
	static struct iothread_config iothread = {.name = (char *)"other"};

	disk = (struct disk_config){.path = disk_file(), .queues = 2, .queue_size = 64};
	return (struct guest_config){
		.name = (char *)"faults",
		.kernel = (char *)kernel_file(),
		.cpus = {.count = 2, .sockets = 1, .cores = 2, .threads = 1},
		.memory = {.size = 4 * MIB},
		.disks = &disk,
		.ndisks = 1,
		.rng = true,
		.iothreads = &iothread,
		.niothreads = 1,
		.serial = SERIAL_OFF,
		.io_engine = engine,
		.debug_exit = true,
		.control = (char *)socket_path(),
	};
}

static bool kvm_here(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	else
		fprintf(stderr, "skip: /dev/kvm: %s\n", strerror(errno));
	return fd >= 0;
}

/* Build and take down with the n-th call of a kind failing. True while that call was still reached. */
static bool attempt(const struct guest_config *cfg, enum kind kind, unsigned n)
{
	struct guest *guest = (struct guest *)1;
	unsigned left;
	int ret;

	countdown[kind] = n;
	ret = guest_create(&guest, cfg);
	left = countdown[kind];
	countdown[kind] = 0; /* what follows, Check among it, gets what it asks for */
	if (!ret)
		guest_destroy(guest);
	else
		ck_assert_ptr_null(guest);
	ck_assert_int_le(ret, 0);
	ck_assert_msg(!ret || (n && !left), "without a failure: %s", strerror(-ret));
	return !left;
}

/* A thread that was joined is listed until the kernel has done with it. */
static bool threads_gone(unsigned tasks)
{
	for (int i = 0; i < 60000; i++, usleep(1000))
		if (entries("/proc/self/task") <= tasks)
			return true;
	return false;
}

/* main prints a line of its own only when there is none. */
static void ck_one_line(int log, enum kind kind, unsigned n)
{
	char text[4096];
	ssize_t len = pread(log, text, sizeof(text) - 1, 0);
	unsigned errors = 0;

	ck_assert_int_ge(len, 0);
	text[len] = '\0';
	for (const char *p = text; (p = strstr(p, "error: ")); p++)
		errors++;
	ck_assert_msg(errors <= 1, "call %u of kind %d: %s", n, kind, text);
	ck_assert_int_eq(ftruncate(log, 0), 0);
}

static void exhaust(enum io_engine engine, enum kind kind)
{
	struct guest_config cfg = config(engine);
	int log = memfd_create("log", 0);
	unsigned n, fds, tasks;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", log);
	ck_assert_int_eq(log_open(path), 0);
	attempt(&cfg, kind, 0); /* whatever is opened once and kept */
	fds = entries("/proc/self/fd");
	tasks = entries("/proc/self/task");
	for (n = 1; attempt(&cfg, kind, n); n++) {
		ck_one_line(log, kind, n);
		ck_assert_msg(entries("/proc/self/fd") == fds, "descriptors leaked when call %u failed", n);
		ck_assert_msg(threads_gone(tasks), "threads left when call %u failed", n);
	}
	ck_assert_uint_gt(n, 10);
	ck_no_files();
	log_close();
}

START_TEST(test_allocations)
{
	if (kvm_here())
		exhaust(IO_AUTO, ALLOCATION);
}
END_TEST

START_TEST(test_system_calls)
{
	if (kvm_here())
		exhaust(IO_PLAIN, SYSTEM_CALL);
}
END_TEST

/* Many guests one after the other leave as many descriptors as one. */
START_TEST(test_descriptors)
{
	struct guest_config cfg;
	unsigned fds;

	if (!kvm_here())
		return;
	cfg = config(IO_AUTO);
	attempt(&cfg, ALLOCATION, 0);
	fds = entries("/proc/self/fd");
	for (unsigned i = 0; i < 20; i++)
		attempt(&cfg, ALLOCATION, 0);
	ck_assert_uint_eq(entries("/proc/self/fd"), fds);
	ck_no_files();
}
END_TEST

/* What the host's KVM can not run is refused before RAM is made, which may be much and take long. */
START_TEST(test_refused_early)
{
	struct guest_config cfg;
	struct guest *guest;

	if (!kvm_here())
		return;
	cfg = config(IO_AUTO);
	cfg.memory.size = 64 * MIB;
	largest = 0;
	ck_assert_int_eq(guest_create(&guest, &cfg), 0);
	guest_destroy(guest);
	ck_assert_uint_ge(largest, cfg.memory.size);
	cfg.cpus = (struct cpu_config){.count = 255, .sockets = 51, .cores = 5, .threads = 1}; /* APIC ids up to 404 */
	largest = 0;
	ck_assert_int_lt(guest_create(&guest, &cfg), 0);
	ck_assert_uint_lt(largest, cfg.memory.size);
}
END_TEST

UNIT_MAIN("guest_faults", test_allocations, test_system_calls, test_descriptors, test_refused_early)
