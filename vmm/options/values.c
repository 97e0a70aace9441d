// SPDX-License-Identifier: Apache-2.0
/* Text to values and back; see options/values.h. Pure functions, any thread. */
#include "vmm/options/values.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"T", 1ULL << 40}, {"G", 1ULL << 30}, {"M", 1ULL << 20}, {"K", 1ULL << 10}};
static const struct unit count_units[] = {{"G", 1000000000}, {"M", 1000000}, {"K", 1000}, {"", 1}};
static const struct unit time_units[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};

#define NUNITS 4

/* Leading digits into *out; *end is what follows. False: no digit at all, or too big for 64 bits (errors
 * differ). */
static const char *digits(const char *text, const char **end, uint64_t *out)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)*text))
		return "not a number";
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(v, 10, &v) ||
			__builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return "too large";
	*end = text;
	*out = v;
	return NULL;
}

const char *value_uint(const char *text, uint64_t *out)
{
	const char *end, *why;
	uint64_t v;

	why = digits(text, &end, &v);
	if (!why && *end)
		why = "not a number";
	if (!why)
		*out = v;
	return why;
}

static const char *with_unit(
	const char *text, const struct unit *units, uint64_t bare, const char *form, uint64_t *out)
{
	const char *end, *why;
	uint64_t v, factor = 0;

	why = digits(text, &end, &v);
	if (why)
		return strcmp(why, "too large") ? form : why;
	if (!*end)
		factor = bare;
	for (unsigned i = 0; i < NUNITS; i++)
		if (!strcmp(end, units[i].name))
			factor = units[i].factor;
	if (!factor)
		return form;
	if (__builtin_mul_overflow(v, factor, &v))
		return "too large";
	*out = v;
	return NULL;
}

const char *value_size(const char *text, uint64_t bare, uint64_t *out)
{
	return with_unit(text, size_units, bare, "not a size: write whole digits and K, M, G or T, as in 1536M", out);
}

const char *value_count(const char *text, uint64_t *out)
{
	return with_unit(text, count_units, 1, "not a number: write whole digits, and K, M or G for powers of 1000", out);
}

bool value_bits(const char *text, uint64_t *bytes)
{
	static const char *const words[] = {"bit", "bit/s", "bits", "bps"};
	static const char letters[] = "KMGT";
	const char *end, *letter;
	uint64_t factor = 1, v;

	if (digits(text, &end, &v))
		return false;
	letter = *end ? strchr(letters, toupper((unsigned char)*end)) : NULL;
	for (const char *l = letters; letter && l <= letter; l++)
		factor *= 1000;
	end += letter != NULL;
	for (unsigned i = 0; i < COUNT(words); i++)
		if (!strcmp(end, words[i]) && !__builtin_mul_overflow(v, factor, &v)) {
			*bytes = v / 8;
			return true;
		}
	return false;
}

const char *value_duration(const char *text, uint64_t *out)
{
	return with_unit(
		text, time_units, 1000000000, "not a duration: write whole digits and ns, us, ms or s, as in 300s", out);
}

const char *value_short_duration(const char *text, uint64_t *out)
{
	uint64_t v;

	if (!value_uint(text, &v) && v)
		return "a time needs its unit, as in 50us";
	return with_unit(
		text, time_units, 1000000000, "not a duration: write whole digits and ns, us, ms or s, as in 50us", out);
}

const char *value_bool(const char *text, bool *out)
{
	if (strcmp(text, "on") && strcmp(text, "off"))
		return "must be on or off";
	*out = !strcmp(text, "on");
	return NULL;
}

const char *value_name(const char *text)
{
	if (*text == '.' || *text == '-')
		return "must not start with . or -";
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("._-", *text))
			return "must be letters, digits, '.', '_' and '-'";
	return NULL;
}

const char *value_name_at(const char *text, unsigned i, char *out, size_t n)
{
	bool list = *text == '[';
	size_t len;

	*out = '\0';
	text += list;
	for (;; text += len + 1) {
		len = strcspn(text, list ? ",]" : "");
		if (!len || len >= n || (list && !text[len]))
			return "not a name, or a list of them: write it as a or [a,b]";
		if (!i--)
			break;
		if (text[len] != ',')
			return list && text[len + 1] ? "text behind the list" : NULL;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return value_name(out);
}

const char *value_mac(const char *text, uint8_t mac[6])
{
	uint8_t out[6];
	int end = 0;

	if (strlen(text) != 17 ||
		sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &out[0], &out[1], &out[2], &out[3], &out[4], &out[5],
			&end) != 6 ||
		end != 17 || strpbrk(text, "+- xX"))
		return "not an Ethernet address: write it as 02:00:00:00:00:01";
	if (out[0] & 1)
		return "a group's address: its first byte must be even";
	if (!memcmp(out, (const uint8_t[6]){0}, 6))
		return "nobody's address";
	memcpy(mac, out, 6);
	return NULL;
}

static void format(uint64_t v, const struct unit *units, char *out, size_t n)
{
	for (unsigned i = 0; i < NUNITS; i++)
		if (v >= units[i].factor && v % units[i].factor == 0) {
			snprintf(out, n, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
			return;
		}
	snprintf(out, n, "%" PRIu64, v);
}

void value_format_size(uint64_t bytes, char *out, size_t n)
{
	/* No letter for bytes exists: what is not a multiple of 1K can not be typed either, and only shows.
	 */
	format(bytes, size_units, out, n);
}

void value_format_duration(uint64_t ns, char *out, size_t n)
{
	format(ns, time_units, out, n);
}

/* One range of a CPU list: N or N-M. */
static const char *cpu_range(const char **text, uint64_t max, uint64_t *from, uint64_t *to)
{
	const char *why = digits(*text, text, from);

	*to = *from;
	if (!why && **text == '-')
		why = digits(*text + 1, text, to);
	if (why)
		return "not a CPU list: write it as 0-3,8,^2";
	if (*to < *from)
		return "a range runs downwards";
	if (*to >= max)
		return "no host has that CPU";
	return NULL;
}

const char *value_cpulist(const char *text, cpu_set_t *set, size_t size)
{
	static const char form[] = "not a CPU list: write it as 0-3,8,^2";
	const char *start = *text == '[' ? text + 1 : text;
	uint64_t from = 0, to = 0;

	CPU_ZERO_S(size, set);
	for (int excluding = 0; excluding < 2; excluding++) {
		const char *p = start;

		do {
			bool without = *p == '^';
			const char *why;

			p += without;
			why = cpu_range(&p, size * 8, &from, &to);
			if (why)
				return why;
			for (uint64_t cpu = from; without == excluding && cpu <= to; cpu++)
				without ? CPU_CLR_S(cpu, size, set) : CPU_SET_S(cpu, size, set);
		} while (*p++ == ',');
		p--;
		if (*text == '[' && *p++ != ']')
			return form;
		if (*p)
			return form;
	}
	return CPU_COUNT_S(size, set) ? NULL : "no CPU is left";
}

char *value_item(char **rest, bool keyed)
{
	char *item = *rest, *in = item, *out = item;
	bool in_value = !keyed, list = false;

	for (; *in; in++) {
		if (list && *in == ']') {
			if (in[1] && in[1] != ',')
				return NULL;
			list = false;
		} else if (!list && *in == ',') {
			if (in[1] != ',')
				break;
			in++;
		} else if (!list && *in == '=' && !in_value) {
			in_value = true;
			list = in[1] == '[';
		}
		*out++ = *in;
	}
	if (list)
		return NULL;
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return item;
}
