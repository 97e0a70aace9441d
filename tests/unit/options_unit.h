/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the option tests share: the modules under the options, faked, and ways to parse. One test program
 * includes it once, because it defines log_line(), arch_name() and their like.
 */
#ifndef PINVM_TESTS_OPTIONS_UNIT_H
#define PINVM_TESTS_OPTIONS_UNIT_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/unit/unit.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/options/table.h"

/* The modules that the options lean on, in our hands: what was logged, which architecture, which CPU
 * features. */
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

const char *arch_cpu_feature_names(void)
{
	return "names are those of /proc/cpuinfo";
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

#define accept(cfg, ...)                                                  \
	do {                                                              \
		int ret_ = parse(cfg, __VA_ARGS__);                       \
		ck_assert_msg(ret_ == 0, "refused (%d): %s", ret_, said); \
	} while (0)

/* Refused, with one line, which says this. */
#define refuse(text, ...)                                                                   \
	do {                                                                                \
		struct guest_config cfg_;                                                   \
		ck_assert_int_eq(parse(&cfg_, __VA_ARGS__), -EINVAL);                       \
		ck_assert_uint_eq(lines, 1);                                                \
		ck_assert_msg(strstr(said, text) != NULL, "said: %s\nnot: %s", said, text); \
		ck_assert_msg(!strchr(said, '\n'), "more than one line: %s", said);         \
		ck_assert_ptr_null(cfg_.name);                                              \
	} while (0)

/* The same in every run; where it stands is said when a test fails. */
static uint64_t seed = 0x9e3779b97f4a7c15;

static inline uint64_t dice(void)
{
	return unit_dice(&seed);
}

#define for_each_row(row) for (const struct opt_row *row = opt_table; row < opt_table + opt_rows; row++)

#endif
