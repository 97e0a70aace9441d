// SPDX-License-Identifier: Apache-2.0
/* Files that a run would write over its own. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/said.h"
#include "tests/unit/unit.h"
#include "vmm/outputs.h"

static char dir[] = "/tmp/pinvm-outputs-XXXXXX";

static char *file(const char *name, bool make)
{
	char *path = NULL;
	FILE *f;

	ck_assert_int_gt(asprintf(&path, "%s/%s", dir, name), 0);
	f = make ? fopen(path, "we") : NULL;
	ck_assert(!make || f);
	if (f)
		fclose(f);
	return path;
}

START_TEST(no_file_of_the_guest_is_written)
{
	struct disk_config disk;
	struct guest_config cfg = {.disks = &disk, .ndisks = 1};
	char *link;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	cfg.kernel = file("kernel", true);
	disk.path = file("disk", true);
	link = file("other-name", false);
	ck_assert_int_eq(symlink(disk.path, link), 0);
	ck_assert_int_eq(outputs_check(&cfg), 0);
	cfg.report = link;
	ck_assert_int_eq(outputs_check(&cfg), -EINVAL);
	ck_assert_ptr_nonnull(strstr(said, "is also the file of --disk"));
	cfg.report = NULL;
	cfg.halt_poll.trace = cfg.kernel;
	ck_assert_int_eq(outputs_check(&cfg), -EINVAL);
	ck_assert_ptr_nonnull(strstr(said, "is also the file of --kernel"));
	cfg.halt_poll.trace = NULL;
	cfg.serial = SERIAL_FILE;
	cfg.serial_path = disk.path;
	ck_assert_int_eq(outputs_check(&cfg), -EINVAL);
	cfg.serial = SERIAL_PTY;
	ck_assert_int_eq(outputs_check(&cfg), 0);
	unlink(link);
	unlink(disk.path);
	unlink(cfg.kernel);
	rmdir(dir);
	free(link);
	free(disk.path);
	free(cfg.kernel);
}
END_TEST

START_TEST(one_file_has_one_purpose)
{
	struct guest_config cfg = {.report = (char *)"/tmp/pinvm-not-there", .log = (char *)"/tmp/pinvm-not-there"};

	ck_assert_int_eq(outputs_check(&cfg), -EINVAL);
	ck_assert_ptr_nonnull(strstr(said, "--report /tmp/pinvm-not-there: is also the file of --log"));
	cfg.log = (char *)"/tmp/pinvm-not-there-either";
	ck_assert_int_eq(outputs_check(&cfg), 0);
	cfg.log = cfg.report = (char *)"/dev/null";
	ck_assert_msg(!outputs_check(&cfg), "a device takes all");
}
END_TEST

UNIT_MAIN("outputs", no_file_of_the_guest_is_written, one_file_has_one_purpose)
