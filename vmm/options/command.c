// SPDX-License-Identifier: Apache-2.0
/* Options of the commands that are not `run`; see command.h. */
#include "vmm/options/command.h"

#include <errno.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/options/typed.h"

struct walk {
	const struct command_options *table;
	void *base;
	int argc, i;
	char **argv;
	uint64_t seen;
	bool help;
};

static int unknown(const struct walk *w, const char *arg)
{
	const struct command_options *t = w->table;
	char text[64], name[64];
	const char *near;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
	near = options_nearest(name + strspn(name, "-"), &t->option[0].key.name, t->n, sizeof(t->option[0]));
	if (near)
		log_err("%s: %s: unknown option; did you mean --%s?", t->command, options_shown(name, text, sizeof(text)), near);
	else
		log_err("%s: %s: unknown option; `pinvm help %.*s` lists them", t->command, options_shown(name, text, sizeof(text)),
			(int)strcspn(t->command, " "), t->command);
	return -EINVAL;
}

/* One option; `value` is what was attached to it, else the next argument where one is needed. */
static int take(struct walk *w, const struct command_option *o, const char *value)
{
	uint64_t bit = 1ULL << (o - w->table->option);
	char why[256], text[64];
	int err;

	if (!value && o->key.meta) {
		if (w->i + 1 >= w->argc) {
			log_err("%s: --%s: needs a value, %s", w->table->command, o->key.name, o->key.meta);
			return -EINVAL;
		}
		value = w->argv[++w->i];
	}
	if ((w->seen & bit) && o->key.type != OPT_COUNT) {
		log_err("%s: --%s: given twice", w->table->command, o->key.name);
		return -EINVAL;
	}
	w->seen |= bit;
	err = opt_key_set(&o->key, w->base, value ? value : "on", why, sizeof(why));
	if (err == -EINVAL)
		log_err("%s: --%s %s: %s", w->table->command, o->key.name, options_shown(value ? value : "", text, sizeof(text)),
			why);
	else if (err)
		log_errno(err, "%s: --%s", w->table->command, o->key.name);
	return err;
}

static int help_or_unknown(struct walk *w, const char *arg, const char *help)
{
	if (strcmp(arg, help))
		return unknown(w, arg);
	w->help = true;
	return 0;
}

static int take_long(struct walk *w, const char *arg)
{
	size_t len = strcspn(arg + 2, "=");

	for (unsigned i = 0; i < w->table->n; i++) {
		const struct command_option *o = &w->table->option[i];

		if (strlen(o->key.name) == len && !strncmp(o->key.name, arg + 2, len))
			return take(w, o, arg[2 + len] ? arg + 3 + len : NULL);
	}
	return help_or_unknown(w, arg, "--help");
}

static int take_short(struct walk *w, const char *arg)
{
	for (unsigned i = 0; i < w->table->n; i++) {
		const struct command_option *o = &w->table->option[i];

		if (o->letter == arg[1] && (o->key.meta || !arg[2]))
			return take(w, o, arg[2] ? arg + 2 : NULL);
	}
	return help_or_unknown(w, arg, "-h");
}

int command_parse(const struct command_options *table, int *argc, char **argv, void *base)
{
	struct walk w = {.table = table, .base = base, .argc = *argc, .argv = argv};
	int words = 1, err = 0;

	for (unsigned i = 0; i < table->n; i++)
		opt_key_default(&table->option[i].key, base);
	for (w.i = 1; w.i < w.argc && !err && !w.help && strcmp(argv[w.i], "--"); w.i++) {
		char *arg = argv[w.i];

		if (arg[0] != '-' || !arg[1])
			argv[words++] = arg;
		else
			err = arg[1] == '-' ? take_long(&w, arg) : take_short(&w, arg);
	}
	while (w.i < w.argc)
		argv[words++] = argv[w.i++];
	*argc = words;
	if (!err && w.help)
		err = 1;
	if (err)
		command_free(table, base);
	return err;
}

void command_free(const struct command_options *table, void *base)
{
	for (unsigned i = 0; i < table->n; i++)
		opt_key_free(&table->option[i].key, base);
}

void command_help(FILE *out, const struct command_options *table)
{
	char left[96], text[512];

	for (unsigned i = 0; i < table->n; i++) {
		const struct command_option *o = &table->option[i];

		snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", o->letter ? '-' : ' ',
			o->letter ? o->letter : ' ', o->letter ? "," : " ", o->key.name,
			o->key.meta ? " " : "", o->key.meta ? o->key.meta : "");
		opt_key_describe(&o->key, text, sizeof(text));
		options_help_line(out, left, text);
	}
}

void command_man(FILE *out, const struct command_options *table)
{
	char text[512];

	for (unsigned i = 0; i < table->n; i++) {
		const struct command_option *o = &table->option[i];

		fputs(".TP\n", out);
		if (o->letter)
			fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB", out);
		options_man_text(out, "--");
		options_man_text(out, o->key.name);
		fputs(o->key.meta ? "\\fR " : "\\fR", out);
		options_man_text(out, o->key.meta ? o->key.meta : "");
		fputs("\n", out);
		opt_key_describe(&o->key, text, sizeof(text));
		options_man_text(out, text);
		fputs("\n", out);
	}
}

void command_words(FILE *out, const struct command_options *table)
{
	for (unsigned i = 0; i < table->n; i++)
		fprintf(out, "%s--%s", i ? " " : "", table->option[i].key.name);
}
