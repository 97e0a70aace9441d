// SPDX-License-Identifier: Apache-2.0
/* Privileges: gone for the thread that gave them up, and not to be had back. Each test is a process of its own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vmm/sandbox.h"
#include "vmm/thread.h"

/* A hexadecimal or decimal field of this thread's status. */
static unsigned long long field(const char *name, int base)
{
	char line[256];
	FILE *f = fopen("/proc/thread-self/status", "re");
	unsigned long long value = ~0ULL;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtoull(line + strlen(name) + 1, NULL, base);
	fclose(f);
	return value;
}

static void check_gone(void)
{
	ck_assert_uint_eq(field("CapEff", 16), 0);
	ck_assert_uint_eq(field("CapPrm", 16), 0);
	ck_assert_uint_eq(field("CapInh", 16), 0);
	ck_assert_uint_eq(field("CapAmb", 16), 0);
	ck_assert_uint_eq(field("NoNewPrivs", 10), 1);
}

START_TEST(root_keeps_nothing)
{
	if (getuid() != 0) {
		puts("skip: not root, there is nothing to drop");
		return;
	}
	ck_assert_int_eq(sandbox_drop(), 0);
	check_gone();
	ck_assert_uint_eq(field("CapBnd", 16), 0);
	ck_assert_int_eq(sandbox_drop(), 0);
	ck_assert_msg(chroot("/") < 0 && errno == EPERM, "a privileged call still works");
}
END_TEST

START_TEST(a_user_can_do_it_too)
{
	if (getuid() == 0 && (setgid(65534) || setuid(65534)))
		ck_abort_msg("setuid");
	ck_assert_int_eq(sandbox_drop(), 0);
	check_gone();
}
END_TEST

static void in_thread(void *arg)
{
	check_gone();
	*(bool *)arg = true;
}

START_TEST(every_thread_drops_before_it_runs)
{
	bool ran = false;
	struct thread thread = {.name = "t", .fn = in_thread, .arg = &ran};
	unsigned long long before = field("CapEff", 16);

	ck_assert_int_eq(thread_start(&thread), 0);
	thread_join(&thread);
	ck_assert(ran);
	ck_assert_msg(field("CapEff", 16) == before, "the creator's own sets are its own business");
}
END_TEST

UNIT_MAIN("sandbox", root_keeps_nothing, a_user_can_do_it_too, every_thread_drops_before_it_runs)
