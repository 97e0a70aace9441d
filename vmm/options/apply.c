// SPDX-License-Identifier: Apache-2.0
/* What was given, on the command line or in a file, into the configuration, by the table. Main. */
#include "vmm/options/parse.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/log.h"
#include "vmm/options/foreign.h"
#include "vmm/options/options.h"
#include "vmm/options/typed.h"
#include "vmm/options/values.h"

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

/* "WHERE KEY=VALUE: why"; key or value may be NULL. */
static int refuse(const struct opt_given *g, const char *key, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(const struct opt_given *g, const char *key, const char *value, const char *fmt, ...)
{
	char why[512], v[OPTIONS_SHOWN], k[OPTIONS_SHOWN], line[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s%s%s%s%s: %s", g->where, key || value ? " " : "",
		key ? options_shown(key, k, sizeof(k)) : "", key && value ? "=" : "",
		value ? options_shown(value, v, sizeof(v)) : "", why);
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
	char meta[96], typed[OPTIONS_SHOWN];

	for (unsigned i = 0; item[len] && i < row->nkeys; i++) {
		if (strlen(row->keys[i].name) != len || strncmp(row->keys[i].name, item, len))
			continue;
		opt_key_meta_text(&row->value, meta, sizeof(meta));
		if (strchr(meta, '|'))
			return refuse(g, NULL, g->value, "one of %s stands first, by itself, and behind a comma %s", meta,
				options_shown(item, typed, sizeof(typed)));
		return refuse(g, NULL, g->value, "the %s stands first, by itself: --%s %s,%s", meta, row->name, meta,
			options_shown(item, typed, sizeof(typed)));
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

const char *opt_wanted(const struct opt_row *row, char *out, size_t n)
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
	bool plain = opt_plain(row);
	struct opt_key first;
	char *copy, meta[96];
	void *base;
	int ret;

	if (!opt_here(row))
		return refuse(g, NULL, NULL, "does not exist on %s: %s", arch_name(), row->why);
	if (!g->value && (row->value.meta || !plain))
		return refuse(g, NULL, NULL, "needs a value, %s", opt_wanted(row, meta, sizeof(meta)));
	base = opt_append(row, cfg);
	if (!base)
		return log_errno(-ENOMEM, "%s", g->where);
	opt_key_at(row, 0, &first);
	if (plain)
		return store(g, &first, base, value);
	copy = strdup(value);
	if (!copy)
		return log_errno(-ENOMEM, "%s", g->where);
	ret = apply_list(g, &first, base, copy);
	free(copy);
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

int opt_apply_all(const struct opt_list *list, struct guest_config *cfg)
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

int options_parse_one(const char *option, const char *text, struct guest_config *cfg, char *why, size_t n)
{
	struct opt_given given = {
		.row = opt_find(option), .value = (char *)text, .where = (char *)option, .why = why, .room = n};

	return apply(&given, cfg);
}
