// SPDX-License-Identifier: Apache-2.0
/* Numbers and foreign text; see text.h. Pure; any thread. */
#include "vmm/stat/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 character at p and its value; 0: there is none (overlong, a surrogate, cut off). */
static unsigned decode(const unsigned char *p, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;

	*c = n == 1 ? *p : n ? *p & (0x7f >> n) : 0;
	for (unsigned i = 1; i < n; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	return n > 1 && (*c < least[n] || *c > 0x10ffff || *c >> 11 == 0x1b) ? 0 : n;
}

/* What a terminal acts on, what ends a line somewhere, and what turns the direction of a line round. */
static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

char *text_safe(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char *safe = malloc(strlen(text) + 1), *out = safe;

	while (safe && *p) {
		uint32_t c;
		unsigned n = decode(p, &c);

		if (!n || is_harmful(c)) {
			*out++ = '?';
		} else {
			memcpy(out, p, n);
			out += n;
		}
		p += n ? n : 1;
	}
	if (safe)
		*out = '\0';
	return safe;
}

static bool begins(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

unsigned text_columns(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += begins(*text);
	return n;
}

size_t text_cut(const char *text, unsigned n)
{
	size_t i = 0;

	for (unsigned seen = 0; text[i]; i++) {
		seen += begins(text[i]);
		if (seen > n)
			break;
	}
	return i;
}

/* Three digits or so, and the suffix for the power of `step`. */
static const char *scaled(double n, double step, const char *const *suffix, unsigned last, char *out)
{
	unsigned i = 0;

	if (!isfinite(n) || n < 0) {
		snprintf(out, TEXT_NUMBER, "-");
		return out;
	}
	while (n >= step - 0.5 && i < last) {
		n /= step;
		i++;
	}
	if (n > 99999)
		n = 99999;
	snprintf(out, TEXT_NUMBER, n < 9.95 && n > (int)n ? "%.1f%s" : "%.0f%s", n, suffix[i]);
	return out;
}

const char *text_count(double n, char out[TEXT_NUMBER])
{
	static const char *const suffix[] = {"", "k", "M", "G", "T"};

	return scaled(n, 1000, suffix, 4, out);
}

const char *text_bytes(double n, char out[TEXT_NUMBER])
{
	static const char *const suffix[] = {"", "K", "M", "G", "T"};

	return scaled(n, 1024, suffix, 4, out);
}

const char *text_seconds(double s, char out[TEXT_NUMBER])
{
	static const char *const suffix[] = {"ns", "us", "ms", "s"};

	return scaled(s * 1e9, 1000, suffix, 3, out);
}

const char *text_percent(double n, char out[TEXT_NUMBER])
{
	snprintf(out, TEXT_NUMBER, isfinite(n) ? "%.1f" : "-", n < 0 ? 0 : n > 99999 ? 99999 : n);
	return out;
}

json_t *json_at(const json_t *json, const char *path)
{
	json_t *at = (json_t *)json;
	char key[64];

	while (at && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		at = json_object_get(at, key);
		path += n + (path[n] == '.');
	}
	return at;
}

bool json_number_at(const json_t *json, const char *path, double *out)
{
	const json_t *at = json_at(json, path);

	if (json_is_boolean(at))
		*out = json_is_true(at);
	else if (json_is_number(at))
		*out = json_number_value(at);
	else
		return false;
	return true;
}

const char *json_text_at(const json_t *json, const char *path)
{
	return json_string_value(json_at(json, path));
}
