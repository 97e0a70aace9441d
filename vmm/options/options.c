// SPDX-License-Identifier: Apache-2.0
/* The command line of `pinvm run`: argv, then the file it names, are collected; apply.c stores it all. Main. */
#include "vmm/options/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "version.h"
#include "vmm/log.h"
#include "vmm/options/foreign.h"
#include "vmm/options/parse.h"
#include "vmm/options/typed.h"

static const struct opt_row *find_letter(char letter)
{
	for (unsigned i = 0; i < opt_rows; i++)
		if (letter && opt_table[i].letter == letter)
			return &opt_table[i];
	return NULL;
}

/* Is this argument an option's name rather than a value that happens to start with a dash? */
static bool is_option(const char *arg)
{
	char name[64];
	size_t len;

	if (strncmp(arg, "--", 2))
		return false;
	len = strcspn(arg + 2, "=");
	if (len >= sizeof(name))
		return false;
	memcpy(name, arg + 2, len);
	name[len] = '\0';
	return opt_find(name) != NULL;
}

static int unknown(const char *arg)
{
	char name[64], text[OPTIONS_SHOWN], here[FOREIGN_MAX];
	const char *word, *near = NULL;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
	word = name + strspn(name, "-");
	options_shown(name, text, sizeof(text));
	if (foreign_option(word, here, sizeof(here))) {
		log_err("%s: %s", text, here);
		return -EINVAL;
	}
	if (!strncmp(name, "--", 2))
		near = options_nearest(word, &opt_table[0].name, opt_rows, sizeof(opt_table[0]));
	if (near)
		log_err("%s: unknown option; did you mean --%s?", text, near);
	else
		log_err("%s: unknown option; `pinvm run --help` lists them", text);
	return -EINVAL;
}

struct argv {
	int argc, i;
	char **argv;
	struct opt_list list;
	const char *config;
	bool only_positions; /* after "--" */
};

static int answer(const struct opt_row *row)
{
	if (!strcmp(row->name, "version"))
		printf("pinvm %s\n", PINVM_VERSION);
	else
		options_help(stdout);
	return 1;
}

/* Take one option; `value` is what was attached to it (--opt=VALUE, -oVALUE), else the next argument where
 * one is needed. */
static int take(struct argv *a, const struct opt_row *row, const char *value)
{
	char where[64], meta[96];

	snprintf(where, sizeof(where), "--%s", row->name);
	if (!value && (row->value.meta || row->nkeys)) {
		if (a->i + 1 >= a->argc || is_option(a->argv[a->i + 1])) {
			log_err("%s: needs a value, %s", where, opt_wanted(row, meta, sizeof(meta)));
			return -EINVAL;
		}
		value = a->argv[++a->i];
	}
	if (value && (row->flags & OPT_OUTSIDE) && !row->value.meta) {
		log_err("%s: takes no value", where);
		return -EINVAL;
	}
	if (!(row->flags & OPT_OUTSIDE))
		return opt_list_add(&a->list, row, value, where, false);
	if (!row->value.meta)
		return answer(row);
	if (a->config) {
		log_err("%s: given twice", where);
		return -EINVAL;
	}
	a->config = value;
	return 0;
}

static int take_long(struct argv *a, const char *arg)
{
	const char *eq = strchr(arg, '=');
	const struct opt_row *row;
	char name[64];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg + 2, "="), arg + 2);
	row = opt_find(name);
	return row ? take(a, row, eq ? eq + 1 : NULL) : unknown(arg);
}

/* -c4, -c 4, -vv */
static int take_short(struct argv *a, const char *arg)
{
	char here[FOREIGN_MAX];

	/* Words, not letters: those would be read to no good end, as in -n o-reboot. */
	if (arg[2] && opt_find(arg + 1)) {
		log_err("%s: QEMU's spelling; here it is --%s", arg, arg + 1);
		return -EINVAL;
	}
	if (arg[2] && foreign_option(arg + 1, here, sizeof(here)))
		return unknown(arg);
	for (const char *p = arg + 1; *p; p++) {
		const struct opt_row *row = find_letter(*p);
		bool valued = row && (row->value.meta || row->nkeys);
		int ret = row ? take(a, row, valued && p[1] ? p + 1 : NULL) : unknown(arg);

		if (ret || valued)
			return ret;
	}
	return 0;
}

static int take_position(struct argv *a, const char *arg)
{
	for (unsigned i = 0; i < opt_rows; i++)
		if (opt_table[i].flags & OPT_POSITION)
			return opt_list_add(&a->list, &opt_table[i], arg, "KERNEL", false);
	return unknown(arg);
}

static int walk(struct argv *a)
{
	int ret = 0;

	for (a->i = 1; a->i < a->argc && !ret; a->i++) {
		const char *arg = a->argv[a->i];

		if (a->only_positions || arg[0] != '-' || !arg[1])
			ret = take_position(a, arg);
		else if (!strcmp(arg, "--"))
			a->only_positions = true;
		else if (arg[1] == '-')
			ret = take_long(a, arg);
		else
			ret = take_short(a, arg);
	}
	return ret;
}

int options_parse_run(int argc, char **argv, struct guest_config *cfg)
{
	struct argv a = {.argc = argc, .argv = argv};
	int ret;

	config_defaults(cfg);
	ret = walk(&a);
	if (!ret && a.config)
		ret = opt_read_file(a.config, &a.list);
	if (!ret)
		ret = opt_apply_all(&a.list, cfg);
	if (!ret && !cfg->name)
		ret = log_errno(-ENOMEM, "--name");
	if (!ret)
		ret = config_check(cfg);
	if (ret)
		config_free(cfg);
	opt_list_free(&a.list);
	return ret;
}
