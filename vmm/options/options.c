// SPDX-License-Identifier: Apache-2.0
/*
 * The command line of `pinvm run`: collect what argv and the configuration file give, let argv win, then
 * store it all by the table. Main.
 */
#include "vmm/options/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "version.h"
#include "vmm/log.h"
#include "vmm/options/foreign.h"
#include "vmm/options/parse.h"
#include "vmm/options/values.h"

#define SHOWN 80 /* characters of a value that an error line repeats */

int opt_list_add(struct opt_list *list, const struct opt_row *row, const char *value, const char *where,
	bool from_file)
{
	struct opt_given *grown = reallocarray(list->given, list->n + 1, sizeof(*grown));
	struct opt_given *g;

	if (!grown)
		return log_errno(-ENOMEM, "%s", where);
	list->given = grown;
	g = &grown[list->n];
	*g = (struct opt_given){.row = row, .from_file = from_file};
	g->where = strdup(where);
	g->value = value ? strdup(value) : NULL;
	list->n++;
	if (!g->where || (value && !g->value))
		return log_errno(-ENOMEM, "%s", where);
	return 0;
}

void opt_list_free(struct opt_list *list)
{
	for (unsigned i = 0; i < list->n; i++) {
		free(list->given[i].value);
		free(list->given[i].where);
	}
	free(list->given);
	*list = (struct opt_list){0};
}

const struct opt_row *opt_find(const char *name)
{
	for (unsigned i = 0; i < opt_rows; i++)
		if (!strcmp(opt_table[i].name, name))
			return &opt_table[i];
	return NULL;
}

static const struct opt_row *find_letter(char letter)
{
	for (unsigned i = 0; i < opt_rows; i++)
		if (letter && opt_table[i].letter == letter)
			return &opt_table[i];
	return NULL;
}

/* Edits (one character inserted, dropped or replaced) that turn a into b. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[64], nb = strlen(b);

	if (nb >= 64 || strlen(a) >= 64)
		return 64;
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			best = row[j] + 1 < best ? row[j] + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
		}
	}
	return row[nb];
}

const char *options_nearest(const char *typed, const void *names, size_t n, size_t stride)
{
	unsigned best = 1 + strlen(typed) / 4;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride);
		unsigned d = name ? distance(typed, name) : 64;

		if (d <= best && !(found && d == best)) {
			best = d;
			found = name;
		}
	}
	return found;
}

/* A value as an error line may repeat it: short, and without what would break the line or the terminal. */
static const char *shown(const char *value, char *out, size_t n)
{
	size_t i;

	for (i = 0; i < SHOWN && i < n - 4 && value[i]; i++)
		out[i] = iscntrl((unsigned char)value[i]) ? '?' : value[i];
	snprintf(out + i, n - i, "%s", value[i] ? "..." : "");
	return out;
}

/* "WHERE KEY=VALUE: why"; key or value may be NULL. */
static int refuse(const struct opt_given *g, const char *key, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(const struct opt_given *g, const char *key, const char *value, const char *fmt, ...)
{
	char why[512], v[SHOWN + 4], k[SHOWN + 4], line[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s%s%s%s%s: %s", g->where, key || value ? " " : "",
		key ? shown(key, k, sizeof(k)) : "", key && value ? "=" : "",
		value ? shown(value, v, sizeof(v)) : "", why);
	if (g->why)
		snprintf(g->why, g->room, "%s", line);
	else
		log_err("%s", line);
	return -EINVAL;
}

static int store(const struct opt_given *g, const struct opt_key *key, void *base, const char *value)
{
	char why[256];
	int ret = opt_key_set(key, base, value, why, sizeof(why));

	if (ret == -ENOMEM)
		return log_errno(ret, "%s", g->where);
	if (ret)
		return refuse(g, key->type == OPT_FEATURES ? NULL : key->name, value, "%s", why);
	return 0;
}

static void list_keys(const struct opt_row *row, char *out, size_t n)
{
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < row->nkeys && len < n; i++)
		if (opt_key_here(&row->keys[i]))
			len += snprintf(out + len, n - len, "%s%s", len ? ", " : "", row->keys[i].name);
}

/* The key an item names. *value: what follows '=', NULL without. -FEAT and +FEAT are values of a key without
 * a name. */
static int find_key(const struct opt_row *row, char *item, char **value)
{
	char *eq;

	for (unsigned i = 0; i < row->nkeys; i++)
		if (row->keys[i].type == OPT_FEATURES && (*item == '-' || *item == '+')) {
			*value = item;
			return i;
		}
	eq = strchr(item, '=');
	*value = eq ? eq + 1 : NULL;
	if (eq)
		*eq = '\0';
	for (unsigned i = 0; i < row->nkeys; i++)
		if (!strcmp(row->keys[i].name, item))
			return i;
	return -1;
}

/* A name alone where a key stands: it is a tap's, as a rule. */
static bool is_tap(const struct opt_given *g, const char *item, const char *value)
{
	return !strcmp(g->row->name, "net") && !value && !strcmp(g->value, item) && isalpha((unsigned char)*item) &&
	       strlen(item) < 16 && !value_name(item);
}

static int unknown_key(const struct opt_given *g, const char *item, const char *value)
{
	const struct opt_row *row = g->row;
	const char *here = foreign_key(row->name, item);
	const char *near = options_nearest(item, &row->keys[0].name, row->nkeys, sizeof(row->keys[0]));
	char keys[256];

	if (here)
		return refuse(g, item, value, "no key of pinvm's; %s", here);
	if (is_tap(g, item, value))
		return refuse(g, item, value, "no key; did you mean tap=%s?", item);
	if (near)
		return refuse(g, item, value, "unknown key; did you mean %s?", near);
	list_keys(row, keys, sizeof(keys));
	return refuse(g, item, value, "unknown key; it has %s%s", keys,
		!value && isdigit((unsigned char)*item) ? "; a list with commas stands in brackets, [0,2-3]" : "");
}

static int apply_item(const struct opt_given *g, void *base, char *item, uint64_t *seen)
{
	const struct opt_row *row = g->row;
	const struct opt_key *key;
	char *value;
	int i;

	if (!*item)
		return refuse(g, NULL, g->value, "an empty item between commas");
	i = find_key(row, item, &value);
	if (i < 0)
		return unknown_key(g, item, value);
	key = &row->keys[i];
	if (!opt_key_here(key))
		return refuse(g, item, value, "does not exist on %s: %s", arch_name(), key->why);
	if (key->type != OPT_FEATURES && (*seen & (1ULL << i)))
		return refuse(g, item, value, "given twice");
	*seen |= 1ULL << i;
	if (!value && key->meta)
		return refuse(g, item, NULL, "needs a value, %s=%s", key->name, key->meta);
	return store(g, key, base, value ? value : "on");
}

/* One of the option's keys stands where its plain value belongs: what would work. 0, or -EINVAL, logged. */
static int check_first(const struct opt_given *g, const char *item)
{
	const struct opt_row *row = g->row;
	size_t len = strcspn(item, "=");
	char meta[96], typed[SHOWN + 4];

	for (unsigned i = 0; item[len] && i < row->nkeys; i++) {
		if (strlen(row->keys[i].name) != len || strncmp(row->keys[i].name, item, len))
			continue;
		opt_key_meta_text(&row->value, meta, sizeof(meta));
		return refuse(g, NULL, g->value, "the %s stands first, by itself: --%s %s,%s", meta, row->name, meta,
			shown(item, typed, sizeof(typed)));
	}
	return 0;
}

/* VALUE[,KEY=VALUE...], or keys only. The copy is cut up in place; g->value stays whole for the messages. */
static int apply_list(const struct opt_given *g, const struct opt_key *first, void *base, char *rest)
{
	bool keyed = g->row->value.type == OPT_NONE;
	uint64_t seen = 0;

	while (rest) {
		char *item = value_item(&rest, keyed);
		int ret;

		if (!item)
			return refuse(g, NULL, g->value,
				"a list that opens with [ must end with ], and the item with it");
		ret = keyed ? 0 : check_first(g, item);
		if (keyed)
			ret = apply_item(g, base, item, &seen);
		else if (!ret)
			ret = store(g, first, base, item);
		if (ret)
			return ret;
		keyed = true;
	}
	return 0;
}

/* What an option without its value lacks. */
static const char *wanted(const struct opt_row *row, char *out, size_t n)
{
	if (!row->value.meta)
		return "KEY=VALUE";
	opt_key_meta_text(&row->value, out, n);
	return out;
}

static int apply(const struct opt_given *g, struct guest_config *cfg)
{
	const struct opt_row *row = g->row;
	const char *value = g->value ? g->value : "on";
	struct opt_key first;
	char *copy, meta[96];
	void *base;
	int ret;

	if (!opt_here(row))
		return refuse(g, NULL, NULL, "does not exist on %s: %s", arch_name(), row->why);
	if (!g->value && (row->value.meta || row->nkeys))
		return refuse(g, NULL, NULL, "needs a value, %s", wanted(row, meta, sizeof(meta)));
	base = opt_append(row, cfg);
	if (!base)
		return log_errno(-ENOMEM, "%s", g->where);
	opt_key_at(row, 0, &first);
	if (opt_plain(row))
		return store(g, &first, base, value);
	copy = strdup(value);
	if (!copy)
		return log_errno(-ENOMEM, "%s", g->where);
	ret = apply_list(g, &first, base, copy);
	free(copy);
	return ret;
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
	char name[64], text[SHOWN + 4], here[FOREIGN_MAX];
	const char *word, *near = NULL;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
	word = name + strspn(name, "-");
	shown(name, text, sizeof(text));
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
			log_err("%s: needs a value, %s", where, wanted(row, meta, sizeof(meta)));
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

/* Given before by the same source? Nothing that the command line replaces counts. */
static bool repeated(const struct opt_list *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list->given[i].row == list->given[n].row &&
			list->given[i].from_file == list->given[n].from_file)
			return true;
	return false;
}

static bool replaced(const struct opt_list *list, unsigned n)
{
	for (unsigned i = 0; list->given[n].from_file && i < list->n; i++)
		if (list->given[i].row == list->given[n].row && !list->given[i].from_file)
			return true;
	return false;
}

static int apply_all(const struct opt_list *list, struct guest_config *cfg)
{
	for (unsigned i = 0; i < list->n; i++) {
		const struct opt_given *g = &list->given[i];
		int ret;

		if (replaced(list, i))
			continue;
		if (!(g->row->flags & OPT_REPEAT) && repeated(list, i))
			return refuse(g, NULL, g->value, "%s",
				g->row->flags & OPT_POSITION ? "a kernel was given before; only one can be"
							     : "given twice");
		ret = apply(g, cfg);
		if (ret)
			return ret;
	}
	return 0;
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
		ret = apply_all(&a.list, cfg);
	if (!ret && !cfg->name)
		ret = log_errno(-ENOMEM, "--name");
	if (!ret)
		ret = config_check(cfg);
	if (ret)
		config_free(cfg);
	opt_list_free(&a.list);
	return ret;
}

int options_parse_one(const char *option, const char *text, struct guest_config *cfg, char *why, size_t n)
{
	struct opt_given given = {
		.row = opt_find(option), .value = (char *)text, .where = (char *)option, .why = why, .room = n};

	return apply(&given, cfg);
}
