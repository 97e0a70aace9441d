// SPDX-License-Identifier: Apache-2.0
/* What a row and a key of the options table mean: defaults, release, storing and showing a value. Main. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/options/table.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

const struct opt_row *opt_find(const char *name)
{
	for (unsigned i = 0; i < opt_rows; i++)
		if (!strcmp(opt_table[i].name, name))
			return &opt_table[i];
	return NULL;
}

bool opt_here(const struct opt_row *row)
{
	return !row->arch || !strcmp(row->arch, arch_name());
}

bool opt_key_here(const struct opt_key *key)
{
	return !key->arch || !strcmp(key->arch, arch_name());
}

bool opt_key_short(const struct opt_key *key)
{
	return key->type == OPT_DURATION && key->max <= 4000000000;
}

/* NULL: it is everywhere. */
static const struct opt_only *only_of(const struct opt_key *key, unsigned i)
{
	for (const struct opt_only *only = key->only; only && only->name; only++)
		if (!strcmp(key->names[i], only->name))
			return only;
	return NULL;
}

bool opt_choice_here(const struct opt_key *key, unsigned i)
{
	const struct opt_only *only = only_of(key, i);

	return !only || !strcmp(only->arch, arch_name());
}

static bool is_array(const struct opt_row *row)
{
	return (row->flags & OPT_REPEAT) && row->value.type != OPT_COUNT;
}

unsigned opt_elements(const struct opt_row *row, const struct guest_config *cfg)
{
	return is_array(row) ? *(const unsigned *)((const char *)cfg + row->count_at) : 1;
}

void *opt_element(const struct opt_row *row, const struct guest_config *cfg, unsigned i)
{
	if (!is_array(row))
		return (void *)cfg;
	return *(char *const *)((const char *)cfg + row->value.at) + i * row->size;
}

void *opt_append(const struct opt_row *row, struct guest_config *cfg)
{
	unsigned *count = (unsigned *)((char *)cfg + row->count_at);
	char **array = (char **)((char *)cfg + row->value.at);
	struct opt_key key;
	char *grown;

	if (!is_array(row))
		return cfg;
	grown = reallocarray(*array, *count + 1, row->size);
	if (!grown)
		return NULL;
	*array = grown;
	grown += *count * row->size;
	memset(grown, 0, row->size);
	for (unsigned i = 0; opt_key_at(row, i, &key); i++)
		opt_key_default(&key, grown);
	(*count)++;
	return grown;
}

bool opt_key_at(const struct opt_row *row, unsigned i, struct opt_key *out)
{
	if (i > row->nkeys)
		return false;
	*out = i ? row->keys[i - 1] : row->value;
	if (!i && is_array(row))
		out->at = row->value_at;
	return true;
}

static bool is_string(const struct opt_key *key)
{
	return key->type == OPT_STRING || key->type == OPT_NAME || key->type == OPT_FEATURES;
}

static char **string_at(const struct opt_key *key, const void *base)
{
	return (char **)((char *)base + key->at);
}

static void put_number(const struct opt_key *key, void *base, uint64_t v)
{
	void *p = (char *)base + key->at;

	switch (key->type) {
	case OPT_UINT:
	case OPT_COUNT:
	case OPT_TRI:
	case OPT_CHOICE:
		*(unsigned *)p = v;
		break;
	case OPT_SIZE:
	case OPT_DURATION:
		*(uint64_t *)p = v;
		break;
	case OPT_BOOL:
		*(bool *)p = v;
		break;
	default:
		break;
	}
}

static uint64_t get_number(const struct opt_key *key, const void *base)
{
	const void *p = (const char *)base + key->at;

	switch (key->type) {
	case OPT_SIZE:
	case OPT_DURATION:
		return *(const uint64_t *)p;
	case OPT_BOOL:
		return *(const bool *)p;
	default:
		return *(const unsigned *)p;
	}
}

void opt_key_default(const struct opt_key *key, void *base)
{
	if (key->type != OPT_NONE && !is_string(key))
		put_number(key, base, key->def);
}

void opt_key_free(const struct opt_key *key, void *base)
{
	if (is_string(key)) {
		free(*string_at(key, base));
		*string_at(key, base) = NULL;
	}
	if (key->arg_at) {
		free(*(char **)((char *)base + key->arg_at));
		*(char **)((char *)base + key->arg_at) = NULL;
	}
}

static int set_string(const struct opt_key *key, char **out, const char *text, char *why, size_t n)
{
	const char *reason = key->check ? key->check(text) : NULL;
	size_t len = strlen(text);
	char *copy;

	if (len < key->min)
		reason = "must not be empty";
	else if (!reason && key->type == OPT_NAME)
		reason = value_name(text);
	if (len > key->max && !(reason && key->type == OPT_NAME))
		return snprintf(why, n, "must be at most %" PRIu64 " characters", key->max), -EINVAL;
	if (reason)
		return snprintf(why, n, "%s", reason), -EINVAL;
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*out);
	*out = copy;
	return 0;
}

/* "-feat,+feat", collected in the order typed; a feature named twice would contradict or repeat itself. */
static int add_feature(const struct opt_key *key, void *base, const char *text, char *why, size_t n)
{
	char **features = string_at(key, base), *copy;
	size_t len = strlen(text + 1);

	if (!arch_cpu_feature_known(text + 1))
		return snprintf(why, n, "no such CPU feature; %s", arch_cpu_feature_names()), -EINVAL;
	for (const char *p = *features; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p + 1, text + 1, len) && (!p[1 + len] || p[1 + len] == ','))
			return snprintf(why, n, "that feature was named before"), -EINVAL;
	if (asprintf(&copy, "%s%s%s", *features ? *features : "", *features ? "," : "", text) < 0)
		return -ENOMEM;
	free(*features);
	*features = copy;
	return 0;
}

/* The choices that are there, joined by `sep`, the last one by `last`. */
static void list_choices(const struct opt_key *key, const char *sep, const char *last, char *out, size_t n)
{
	unsigned count = 0, seen = 0;
	size_t len = 0;

	for (unsigned i = 0; key->names[i]; i++)
		count += opt_choice_here(key, i);
	for (unsigned i = 0; key->names[i] && len < n; i++) {
		if (!opt_choice_here(key, i))
			continue;
		len += snprintf(out + len, n - len, "%s%s", !seen ? "" : seen + 1 < count ? sep : last, key->names[i]);
		seen++;
	}
}

static int set_choice(const struct opt_key *key, void *base, const char *text, char *why, size_t n)
{
	for (unsigned i = 0; key->names[i]; i++) {
		const char *arg = strchr(key->names[i], '=');
		size_t len = arg ? (size_t)(arg - key->names[i]) + 1 : strlen(key->names[i]) + 1;
		int ret = 0;

		if (strncmp(text, key->names[i], len))
			continue;
		if (!opt_choice_here(key, i))
			return snprintf(why, n, "does not exist on %s: %s", arch_name(), only_of(key, i)->why),
			       -EINVAL;
		if (arg) {
			struct opt_key path = {.type = OPT_STRING, .min = key->min, .max = key->max, .check = key->check};

			ret = set_string(&path, (char **)((char *)base + key->arg_at), text + len, why, n);
		}
		if (!ret)
			put_number(key, base, i);
		if (!ret && key->given_at)
			*(bool *)((char *)base + key->given_at) = true;
		return ret;
	}
	snprintf(why, n, "must be ");
	list_choices(key, ", ", " or ", why + strlen(why), n - strlen(why));
	return -EINVAL;
}

static int set_number(const struct opt_key *key, void *base, const char *text, char *why, size_t n)
{
	const char *reason;
	char range[96];
	uint64_t v;

	if (key->type == OPT_SIZE)
		reason = value_size(text, key->unit ? 1 : 1 << 20, &v);
	else if (key->type == OPT_DURATION)
		reason = opt_key_short(key) ? value_short_duration(text, &v) : value_duration(text, &v);
	else
		reason = key->unit ? value_count(text, &v) : value_uint(text, &v);
	if (!reason && v >= key->min && v <= key->max && (!key->pow2 || !(v & (v - 1)))) {
		put_number(key, base, v);
		return 0;
	}
	opt_key_range_text(key, range, sizeof(range));
	if (key->unit)
		snprintf(range + strlen(range), sizeof(range) - strlen(range), " %s%s", key->unit,
			key->type == OPT_SIZE ? "; 1K is 1024" : "");
	if (reason && key->type == OPT_SIZE && key->unit && value_bits(text, &v))
		snprintf(why, n, "it counts bytes, not bits: that would be %" PRIu64 " (%s)", v, range);
	else if (reason && strcmp(reason, "too large"))
		snprintf(why, n, "%s (%s)", reason, range);
	else
		snprintf(why, n, "must be %s", range);
	return -EINVAL;
}

static int set_switch(const struct opt_key *key, void *base, const char *text, char *why, size_t n)
{
	const char *reason;
	bool on;

	reason = value_bool(text, &on);
	if (reason)
		return snprintf(why, n, "%s", reason), -EINVAL;
	put_number(key, base, key->type == OPT_BOOL ? on : on ? TRI_ON : TRI_OFF);
	return 0;
}

static uint8_t *mac_at(const struct opt_key *key, const void *base)
{
	return (uint8_t *)base + key->at;
}

static int set_mac(const struct opt_key *key, void *base, const char *text, char *why, size_t n)
{
	const char *reason = value_mac(text, mac_at(key, base));

	return reason ? snprintf(why, n, "%s", reason), -EINVAL : 0;
}

static void format_mac(const uint8_t *mac, char *out, size_t n)
{
	static const uint8_t none[6];
	char text[MAC_TEXT];

	if (memcmp(mac, none, sizeof(none)) != 0)
		snprintf(out, n, "%s", mac_text(mac, text));
}

int opt_key_set(const struct opt_key *key, void *base, const char *text, char *why, size_t n)
{
	switch (key->type) {
	case OPT_STRING:
	case OPT_NAME:
		return set_string(key, string_at(key, base), text, why, n);
	case OPT_MAC:
		return set_mac(key, base, text, why, n);
	case OPT_FEATURES:
		return add_feature(key, base, text, why, n);
	case OPT_CHOICE:
		return set_choice(key, base, text, why, n);
	case OPT_BOOL:
	case OPT_TRI:
		return set_switch(key, base, text, why, n);
	case OPT_COUNT:
		if (strcmp(text, "on"))
			return snprintf(why, n, "takes no value"), -EINVAL;
		put_number(key, base, get_number(key, base) + 1);
		return 0;
	case OPT_UINT:
	case OPT_SIZE:
	case OPT_DURATION:
		return set_number(key, base, text, why, n);
	case OPT_NONE:
		break;
	}
	snprintf(why, n, "takes no value");
	return -EINVAL;
}

static void format_number(const struct opt_key *key, uint64_t v, char *out, size_t n)
{
	static const char *const tri[] = {"", "off", "on"};

	if (key->type == OPT_SIZE)
		value_format_size(v, out, n);
	else if (key->type == OPT_DURATION)
		value_format_duration(v, out, n);
	else if (key->type == OPT_TRI)
		snprintf(out, n, "%s", tri[v % 3]);
	else if (key->type == OPT_BOOL)
		snprintf(out, n, "%s", v ? "on" : "off");
	else if (key->type == OPT_CHOICE)
		snprintf(out, n, "%.*s", (int)strcspn(key->names[v], "="), key->names[v]);
	else
		snprintf(out, n, "%" PRIu64, v);
}

/* A number below all that may be typed: nothing was. */
static bool unset(const struct opt_key *key, const void *base)
{
	return (key->type == OPT_UINT || key->type == OPT_SIZE || key->type == OPT_DURATION) && key->min && !get_number(key, base);
}

void opt_key_format(const struct opt_key *key, const void *base, char *out, size_t n)
{
	const char *arg = key->arg_at ? *(char *const *)((const char *)base + key->arg_at) : NULL;
	size_t len;

	out[0] = '\0';
	if (is_string(key)) {
		if (*string_at(key, base))
			snprintf(out, n, "%s", *string_at(key, base));
		return;
	}
	if (key->type == OPT_MAC)
		format_mac(mac_at(key, base), out, n);
	if (key->type == OPT_NONE || key->type == OPT_MAC || unset(key, base))
		return;
	format_number(key, get_number(key, base), out, n);
	len = strlen(out);
	if (arg)
		snprintf(out + len, n - len, "=%s", arg);
}

void opt_key_default_text(const struct opt_key *key, char *out, size_t n)
{
	out[0] = '\0';
	if (is_string(key) || key->type == OPT_NONE || key->type == OPT_COUNT || key->type == OPT_TRI)
		return;
	if (key->def || key->type == OPT_CHOICE || (key->type == OPT_BOOL && key->meta))
		format_number(key, key->def, out, n);
}

void opt_key_range_text(const struct opt_key *key, char *out, size_t n)
{
	char lo[24], hi[24];

	out[0] = '\0';
	if (key->type != OPT_UINT && key->type != OPT_SIZE && key->type != OPT_DURATION)
		return;
	format_number(key, key->min, lo, sizeof(lo));
	format_number(key, key->max, hi, sizeof(hi));
	snprintf(out, n, "%s%s to %s", key->pow2 ? "a power of two, " : "", lo, hi);
}

void opt_key_meta_text(const struct opt_key *key, char *out, size_t n)
{
	if (key->only)
		list_choices(key, "|", "|", out, n);
	else
		snprintf(out, n, "%s", key->meta ? key->meta : "");
}
