// SPDX-License-Identifier: Apache-2.0
/* --dry-run and KVM: it asks, makes nothing, and says what it could not ask. /dev/kvm is played here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/unit/fake_ioctl.h"
#include "tests/unit/unit.h"
#include "vmm/config.h"
#include "vmm/dry_run.h"

static struct {
	int open_errno; /* 0: it can be opened */
	bool is_kvm;
	unsigned lacks; /* the capability it has not got; 0: it has all */
	int fd[64];	/* each time it was opened */
	unsigned opened;
	unsigned other; /* requests that are no questions */
} kvm;

int open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/kvm"))
		return openat(AT_FDCWD, path, flags, 0600);
	if (kvm.open_errno) {
		errno = kvm.open_errno;
		return -1;
	}
	ck_assert_uint_lt(kvm.opened, sizeof(kvm.fd) / sizeof(kvm.fd[0]));
	return kvm.fd[kvm.opened++] = openat(AT_FDCWD, "/dev/null", flags);
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	bool known = false;

	for (unsigned i = 0; i < kvm.opened; i++)
		known |= fd == kvm.fd[i];
	ck_assert(known);
	if (!kvm.is_kvm) {
		errno = ENOTTY;
		return -1;
	}
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return 1 << 14;
	case KVM_CHECK_EXTENSION:
		return (unsigned)(uintptr_t)arg == kvm.lacks ? 0 : 255;
#ifdef __x86_64__
	case KVM_GET_SUPPORTED_CPUID: /* leaf 0, and a leaf 1 in which is nothing */
		((struct kvm_cpuid2 *)arg)->nent = 2;
		((struct kvm_cpuid2 *)arg)->entries[0].eax = 1;
		((struct kvm_cpuid2 *)arg)->entries[1].function = 1;
		return 0;
#endif
	default:
		kvm.other++;
		errno = EINVAL;
		return -1;
	}
}

static char said[2048];
static unsigned lines;

/* Messages go to `said`; what the plan prints is not of interest. */
static int try(struct guest_config *cfg)
{
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO),
	    none = openat(AT_FDCWD, "/dev/null", O_WRONLY), log = memfd_create("log", MFD_CLOEXEC), ret;
	ssize_t n;

	fflush(stdout);
	dup2(none, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	ret = config_check(cfg);
	if (!ret)
		ret = dry_run(cfg);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	n = pread(log, said, sizeof(said) - 1, 0);
	said[n < 0 ? 0 : n] = '\0';
	lines = 0;
	for (const char *p = said; (p = strchr(p, '\n')); p++)
		lines++;
	for (int *fd = (int[]){out, err, none, log, -1}; *fd >= 0; fd++)
		close(*fd);
	return ret;
}

static void start(struct guest_config *cfg)
{
	kvm = (typeof(kvm)){.is_kvm = true};
	config_defaults(cfg);
	cfg->kernel = strdup("K");
	cfg->memory.size = 64 << 20;
}

static void nothing_was_made(void)
{
	ck_assert_uint_eq(kvm.other, 0);
	ck_assert_uint_gt(kvm.opened, 0);
	for (unsigned i = 0; i < kvm.opened; i++)
		ck_assert_int_eq(fcntl(kvm.fd[i], F_GETFD), -1);
}

static void says(const char *words)
{
	ck_assert_uint_eq(lines, 1);
	ck_assert_msg(strstr(said, words) != NULL, "'%s' is not in: %s", words, said);
}

START_TEST(a_host_that_can)
{
	struct guest_config cfg;

	start(&cfg);
	cfg.halt_poll.mode = strdup("50us");
	ck_assert_int_eq(try(&cfg), 0);
	ck_assert_uint_eq(lines, 0);
	nothing_was_made();
	config_free(&cfg);
}
END_TEST

START_TEST(a_host_that_lacks_something)
{
	struct guest_config cfg;

	start(&cfg);
	cfg.halt_poll.mode = strdup("50us");
	kvm.lacks = KVM_CAP_HALT_POLL;
	ck_assert_int_eq(try(&cfg), -ENOTSUP);
	says("--halt-poll 50us: this kernel lacks KVM_CAP_HALT_POLL");
	free(cfg.halt_poll.mode);
	cfg.halt_poll.mode = strdup("default"); /* asks for nothing */
	ck_assert_int_eq(try(&cfg), 0);
	free(cfg.halt_poll.mode);
	cfg.halt_poll.mode = strdup("auto");
	kvm.lacks = KVM_CAP_BINARY_STATS_FD;
	ck_assert_int_eq(try(&cfg), -ENOTSUP);
	says("--halt-poll auto: needs KVM's statistics");
	config_free(&cfg);
	start(&cfg);
	kvm.lacks = KVM_CAP_MAX_VCPUS;
	cfg.cpus.count = 2;
	ck_assert_int_eq(try(&cfg), -EINVAL);
	says("--cpus 2: this host's KVM allows");
	nothing_was_made();
	config_free(&cfg);
}
END_TEST

#ifdef __x86_64__
START_TEST(switches_of_x86)
{
	struct guest_config cfg;

	start(&cfg);
	cfg.exits.hlt = TRI_OFF;
	kvm.lacks = KVM_CAP_X86_DISABLE_EXITS;
	ck_assert_int_lt(try(&cfg), 0);
	says("--exits hlt=off: ");
	cfg.exits.hlt = TRI_DEFAULT;
	cfg.irqchip = IRQCHIP_USER;
	kvm.lacks = KVM_CAP_X86_MSR_FILTER;
	ck_assert_int_lt(try(&cfg), 0);
	says("--irqchip user: ");
	cfg.irqchip = IRQCHIP_SPLIT;
	cfg.profile_unknown = true;
	kvm.lacks = KVM_CAP_X86_USER_SPACE_MSR;
	ck_assert_int_lt(try(&cfg), 0);
	says("--profile unknown=on: ");
	nothing_was_made();
	config_free(&cfg);
}
END_TEST
#else
START_TEST(switches_of_x86)
{
}
END_TEST
#endif

/* What could not be asked is said, and is no refusal. */
START_TEST(nobody_to_ask)
{
	struct guest_config cfg;

	start(&cfg);
	cfg.halt_poll.mode = strdup("50us");
	kvm.open_errno = EACCES;
	ck_assert_int_eq(try(&cfg), 0);
	says("--dry-run: /dev/kvm: Permission denied; not checked: ");
	says("--halt-poll");
	kvm.open_errno = 0;
	kvm.is_kvm = false;
	ck_assert_int_eq(try(&cfg), 0);
	says("not checked: ");
	nothing_was_made();
	config_free(&cfg);
}
END_TEST

UNIT_MAIN("dry_run", a_host_that_can, a_host_that_lacks_something, switches_of_x86, nobody_to_ask)
