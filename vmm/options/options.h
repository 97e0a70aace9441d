/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of `pinvm run`, from one table (options/table.c): command line, configuration file, help, man
 * page, shell completion and the plan of --dry-run. All calls are main's, before any other thread exists.
 */
#ifndef PINVM_OPTIONS_H
#define PINVM_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

struct command;
struct guest_config;

/*
 * Fill *cfg from argv[1..argc-1] (argv[0] is the subcommand) and the file that --config names.
 * 0: cfg is complete and checked, the caller releases it with config_free().
 * 1: --help or --version was answered on stdout. -EINVAL, -ENOMEM, or what opening --config said: after one
 * logged line. When not 0, cfg owns nothing.
 */
int options_parse_run(int argc, char **argv, struct guest_config *cfg);

/*
 * One option, spelt as in the table, with a value from somewhere else than the command line, into a cfg that
 * config_defaults() made. 0, -ENOMEM, or -EINVAL: then `why` says it whole.
 */
int options_parse_one(const char *option, const char *text, struct guest_config *cfg, char *why, size_t n);

/* The text of `pinvm run --help`, the man page's option list (man(7) requests), a bash completion script. */
void options_help(FILE *out);
void options_man(FILE *out);
#define OPTIONS_COLUMN 30 /* where the descriptions of a help text start */
/* `left` in its column, then the description, on a line of its own where `left` is too long. */
void options_help_line(FILE *out, const char *left, const char *text);
/* Text for man(7): hyphens that can be copied, backslashes kept, no request by accident. */
void options_man_text(FILE *out, const char *text);
void options_completion(FILE *out, const struct command *commands, size_t n);

/* The configuration, one line for each value: option, key, value, and "default" where nobody chose otherwise.
 */
void options_print(FILE *out, const struct guest_config *cfg);

#endif
