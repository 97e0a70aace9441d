// SPDX-License-Identifier: Apache-2.0
/* The configuration file: what it may say, what it may not, and that the command line wins. */
#include "tests/unit/options_unit.h"

#include <fcntl.h>
#include <sys/mman.h>

static char path[64];
static int fd = -1;

/* A file of these bytes that lives as long as the test. */
static char *file_n(const char *bytes, size_t n)
{
	if (fd >= 0)
		close(fd);
	fd = memfd_create("config", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static char *file(const char *text)
{
	return file_n(text, strlen(text));
}

START_TEST(options_as_typed)
{
	struct guest_config cfg;

	accept(&cfg, "--config",
		file("# a guest\n\n[run]\nkernel = /boot/vmlinuz\r\nappend = console=ttyS0,115200 "
		     "root=/dev/vda1\n"
		     "; in between\ncpus=4,sockets=2\nrng = on\nforce=off\ndisk = a,ro\ndisk = "
		     "b,queues=2\nverbose = on\n"
		     "verbose = on"));
	ck_assert_str_eq(cfg.kernel, "/boot/vmlinuz");
	ck_assert_str_eq(cfg.append, "console=ttyS0,115200 root=/dev/vda1");
	ck_assert_uint_eq(cfg.cpus.sockets, 2);
	ck_assert(cfg.rng && !cfg.force);
	ck_assert_uint_eq(cfg.ndisks, 2);
	ck_assert(cfg.disks[0].ro);
	ck_assert_uint_eq(cfg.disks[1].queues, 2);
	ck_assert_uint_eq(cfg.verbose, 2);
	config_free(&cfg);
}
END_TEST

START_TEST(the_command_line_wins)
{
	struct guest_config cfg;
	char *f = file("[run]\nkernel = K\nmemory = 1G\nmemory = 2G\ndisk = a\ndisk = b,bad=1\nrng = "
		       "on\nname = n\n");

	accept(&cfg, "--config", f, "-m", "64", "--disk", "c", "--rng=off");
	ck_assert_str_eq(cfg.kernel, "K");
	ck_assert_str_eq(cfg.name, "n");
	ck_assert_uint_eq(cfg.memory.size, 64ULL << 20);
	ck_assert_uint_eq(cfg.ndisks, 1);
	ck_assert_str_eq(cfg.disks[0].path, "c");
	ck_assert(!cfg.rng);
	config_free(&cfg);
	accept(&cfg, "L", "-m", "64", "-d", "c", "--config", f);
	ck_assert_str_eq(cfg.kernel, "L");
	config_free(&cfg);
}
END_TEST

/* inih takes lines of some 200 bytes; a longer kernel command line goes on in indented lines. */
START_TEST(append_goes_on)
{
	struct guest_config cfg;

	accept(&cfg, "--config",
		file("[run]\nkernel=K\nappend = a=1\n  b=2\n\tc=3\n# no part of it\nrng = on\n"));
	ck_assert_str_eq(cfg.append, "a=1 b=2 c=3");
	ck_assert(cfg.rng);
	config_free(&cfg);
	accept(&cfg, "--config", file("[run]\n  kernel=K\n"));
	ck_assert_str_eq(cfg.kernel, "K");
	config_free(&cfg);
}
END_TEST

START_TEST(wrong_files)
{
	struct guest_config cfg;
	char longest[400];

	refuse(":2: frob: unknown option", "K", "--config", file("[run]\nfrob = 1\n"));
	refuse(":2: memry: unknown option; did you mean memory?", "K", "--config",
		file("[run]\nmemry = 1\n"));
	refuse(":2: smp: QEMU's spelling; here it is --cpus", "K", "--config", file("[run]\nsmp = 2\n"));
	refuse(":2: --disk: unknown option", "K", "--config", file("[run]\n--disk = 1\n"));
	refuse(":3: disk queues=0: must be 1 to 16", "K", "--config", file("[run]\n\ndisk = a,queues=0\n"));
	refuse(":3: memory 2G: given twice", "K", "--config", file("[run]\nmemory=1G\nmemory=2G\n"));
	refuse(":1: options stand in the section [run]", "K", "--config", file("memory=1G\n"));
	refuse(":2: options stand in the section [run]", "K", "--config", file("[stat]\nmemory=1G\n"));
	refuse(":2: neither [run] nor", "K", "--config", file("[run]\nrng\n"));
	refuse(":1: neither [run] nor", "K", "--config", file("[run\n"));
	refuse(":2: that option can only stand on the command line", "K", "--config",
		file("[run]\nconfig = x\n"));
	refuse(":2: that option can only stand on the command line", "K", "--config",
		file("[run]\nhelp = on\n"));
	refuse(":2: rng yes: must be on or off", "K", "--config", file("[run]\nrng = yes\n"));
	refuse(":2: rng : must be on or off", "K", "--config", file("[run]\nrng =\n"));
	refuse(":2: a comment must stand on a line of its own", "K", "--config",
		file("[run]\nname = a ; b\n"));
	refuse(":3: starts with a space", "K", "--config", file("[run]\nrng = on\n force = on\n"));
	refuse(":3: starts with a space", "K", "--config", file("[run]\ndisk = a\n b\n"));
	refuse("holds a NUL", "K", "--config", file_n("[run]\nname = a\0b\nrng = on\n", 25));
	snprintf(longest, sizeof(longest), "[run]\nappend = %0300d\n", 1);
	refuse(":2: the line is too long", "K", "--config", file(longest));
	refuse("no kernel given", "--config", file(""));
	ck_assert_int_eq(parse(&cfg, (char *)"K", (char *)"--config", (char *)"/nonexistent/x"), -ENOENT);
	ck_assert_uint_eq(lines, 1);
	ck_assert_int_eq(parse(&cfg, (char *)"K", (char *)"--config", (char *)"/"), -EISDIR);
	ck_assert_uint_eq(lines, 1);
}
END_TEST

START_TEST(random_files)
{
	static const char *const pieces[] = {"[run]\n", "[run]\n", "\n", "kernel", "append", "disk", "rng",
		"memory", "cpus", "verbose", " = ", "=", ":", "on\n", "off\n", "64\n", "a\n", " ", "\t", ";",
		"#", "[", "]", ",", ",,", "ro", "\r\n", "help", "config", "\xef\xbb\xbf",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
	unsigned accepted = 0;

	for (unsigned round = 0; round < 5000; round++) {
		struct guest_config cfg;
		uint64_t at = seed;
		char text[1024] = "[run]\n";
		size_t len = strlen(text);
		int ret;

		for (unsigned i = dice() % 16; i; i--)
			len += snprintf(text + len, sizeof(text) - len, "%s",
				pieces[dice() % (sizeof(pieces) / sizeof(pieces[0]))]);
		if (dice() % 4 == 0)
			text[dice() % len] = dice();
		ret = parse(&cfg, (char *)"K", (char *)"--config", file_n(text, len));
		ck_assert_msg(ret == 0 || ret == -EINVAL, "seed %llx: %d", (unsigned long long)at, ret);
		ck_assert_msg(lines == !!ret, "seed %llx: %u lines", (unsigned long long)at, lines);
		if (!ret) {
			accepted++;
			config_free(&cfg);
		}
	}
	ck_assert_uint_gt(accepted, 50);
}
END_TEST

UNIT_MAIN("options_file", options_as_typed, the_command_line_wins, append_goes_on, wrong_files, random_files)
