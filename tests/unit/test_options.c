// SPDX-License-Identifier: Apache-2.0
/* The options: every one with right and wrong values, the configuration file, precedence, and one table behind it all. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/unit/unit.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/options.h"
#include "vmm/options_table.h"
#include "vmm/options_values.h"

/* The modules that the options lean on, in our hands: what was logged, which architecture, which CPU features. */
static char said[2048];
static unsigned lines;
static const char *arch = "x86";

static void keep(const char *fmt, va_list ap)
{
	vsnprintf(said, sizeof(said), fmt, ap);
	lines++;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
}

int log_errno(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	keep(fmt, ap);
	va_end(ap);
	return err;
}

const char *arch_name(void)
{
	return arch;
}

bool arch_cpu_feature_known(const char *name)
{
	return !strcmp(name, "avx512f") || !strcmp(name, "x2apic") || !strcmp(name, "avx");
}

#define MAX_ARGS 40

/* Parse "run" and the arguments up to NULL. */
static int parse_v(struct guest_config *cfg, char **args)
{
	char *argv[MAX_ARGS + 1] = {(char *)"run"};
	int argc = 1;

	while (*args && argc < MAX_ARGS)
		argv[argc++] = *args++;
	said[0] = '\0';
	lines = 0;
	return options_parse_run(argc, argv, cfg);
}

#define parse(cfg, ...) parse_v(cfg, (char *[]){__VA_ARGS__, NULL})

#define accept(cfg, ...)                                                                                               \
	do {                                                                                                           \
		int ret_ = parse(cfg, __VA_ARGS__);                                                                    \
		ck_assert_msg(ret_ == 0, "refused (%d): %s", ret_, said);                                              \
	} while (0)

/* Refused, with one line, which says this. */
#define refuse(text, ...)                                                                                              \
	do {                                                                                                           \
		struct guest_config cfg_;                                                                              \
		ck_assert_int_eq(parse(&cfg_, __VA_ARGS__), -EINVAL);                                                  \
		ck_assert_uint_eq(lines, 1);                                                                           \
		ck_assert_msg(strstr(said, text) != NULL, "said: %s\nnot: %s", said, text);                            \
		ck_assert_msg(!strchr(said, '\n'), "more than one line: %s", said);                                    \
		ck_assert_ptr_null(cfg_.name);                                                                         \
	} while (0)

START_TEST(defaults_are_the_documented_ones)
{
	struct guest_config cfg;
	char name[32];

	accept(&cfg, "bzImage");
	snprintf(name, sizeof(name), "pinvm-%d", (int)getpid());
	ck_assert_str_eq(cfg.name, name);
	ck_assert_str_eq(cfg.kernel, "bzImage");
	ck_assert_ptr_null(cfg.initrd);
	ck_assert_uint_eq(cfg.cpus.count, 1);
	ck_assert_uint_eq(cfg.memory.size, 512ULL << 20);
	ck_assert_uint_eq(cfg.grace_ns, 10000000000ULL);
	ck_assert_uint_eq(cfg.timeout_ns, 0);
	ck_assert_uint_eq(cfg.ndisks, 0);
	ck_assert_int_eq(cfg.serial, SERIAL_STDIO);
	ck_assert_int_eq(cfg.on_reset, ON_RESET_EXIT);
	ck_assert_int_eq(cfg.io_engine, IO_AUTO);
	ck_assert_int_eq(cfg.kvm.pv_eoi, TRI_DEFAULT);
	ck_assert(!cfg.pmu && !cfg.rng && !cfg.debug_exit && !cfg.force && !cfg.dry_run);
	config_free(&cfg);
	config_free(&cfg);
}
END_TEST

START_TEST(every_spelling_of_an_option)
{
	struct guest_config cfg;

	accept(&cfg, "-k", "K", "-i", "I", "-p", "console=ttyS0,115200 a,,b", "-n", "vm.1", "-c2", "-m", "1G", "-vv", "-v");
	ck_assert_str_eq(cfg.kernel, "K");
	ck_assert_str_eq(cfg.initrd, "I");
	ck_assert_str_eq(cfg.append, "console=ttyS0,115200 a,,b");
	ck_assert_str_eq(cfg.name, "vm.1");
	ck_assert_uint_eq(cfg.cpus.count, 2);
	ck_assert_uint_eq(cfg.memory.size, 1ULL << 30);
	ck_assert_uint_eq(cfg.verbose, 3);
	config_free(&cfg);
	accept(&cfg, "--kernel=K=1", "--append=", "--memory=64", "--rng", "--debug-exit=off");
	ck_assert_str_eq(cfg.kernel, "K=1");
	ck_assert_str_eq(cfg.append, "");
	ck_assert_uint_eq(cfg.memory.size, 64ULL << 20);
	ck_assert(cfg.rng);
	ck_assert(!cfg.debug_exit);
	config_free(&cfg);
}
END_TEST

START_TEST(the_kernel)
{
	struct guest_config cfg;

	accept(&cfg, "--rng", "--", "-odd");
	ck_assert_str_eq(cfg.kernel, "-odd");
	config_free(&cfg);
	refuse("no kernel given", "--rng");
	refuse("--kernel FILE", "-c", "2");
	refuse("only one", "a", "b");
	refuse("only one", "-k", "a", "b");
	refuse("must not be empty", "");
}
END_TEST

UNIT_MAIN("options", defaults_are_the_documented_ones, every_spelling_of_an_option, the_kernel)
