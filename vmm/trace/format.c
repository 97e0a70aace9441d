// SPDX-License-Identifier: Apache-2.0
/*
 * The format files of tracefs: lines "field:TYPE NAME;  offset:N;  size:N;  signed:N;" (Documentation/trace/
 * events.rst, 2.3). Texts are checked here and records against what is found here. One thread.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/trace/priv.h"

#define OFFSET_MAX 4096 /* no event is as long */

/* A decimal number of at most `max` after `key`, which must be in [p, end). */
static int number_after(
	const char *p, const char *end, const char *key, unsigned long max, unsigned long *out)
{
	const char *at = memmem(p, end - p, key, strlen(key));
	unsigned long n = 0;

	if (!at)
		return -EPROTO;
	at += strlen(key);
	if (at == end || !isdigit((unsigned char)*at))
		return -EPROTO;
	for (; at < end && isdigit((unsigned char)*at); at++) {
		n = n * 10 + (*at - '0');
		if (n > max)
			return -EPROTO;
	}
	*out = n;
	return 0;
}

/* The name is the last word of the declaration, without the bounds of an array. */
static bool declares(const char *p, const char *end, const char *name)
{
	const char *from;

	if (p < end && end[-1] == ']')
		end = memrchr(p, '[', end - p);
	for (from = end; from > p && (isalnum((unsigned char)from[-1]) || from[-1] == '_');)
		from--;
	return from > p && (size_t)(end - from) == strlen(name) && !memcmp(from, name, end - from);
}

static bool is_width(unsigned long size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/* [p, end) is what follows "field:". */
static int parse_field(
	const char *p, const char *end, const char *const name[TRACE_FIELDS], struct trace_format *format)
{
	const char *stop = memchr(p, ';', end - p);
	unsigned long offset, size, is_signed;

	if (!stop)
		return -EPROTO;
	for (unsigned i = 0; i < TRACE_FIELDS && name[i]; i++) {
		struct trace_field *field = &format->field[i];

		if (!declares(p, stop, name[i]))
			continue;
		if (field->size || number_after(stop, end, "offset:", OFFSET_MAX, &offset) ||
			number_after(stop, end, "size:", OFFSET_MAX, &size) ||
			number_after(stop, end, "signed:", 1, &is_signed) || !is_width(size))
			return -EPROTO;
		field->offset = offset;
		field->size = size;
		field->is_signed = is_signed;
		field->is_text = memmem(p, stop - p, "__data_loc ", 11);
		if (field->is_text && size != 4)
			return -EPROTO;
	}
	return 0;
}

int trace_format_parse(const char *text, const char *const name[TRACE_FIELDS], struct trace_format *format)
{
	unsigned long id;
	const char *end;
	int err = 0;

	memset(format, 0, sizeof(*format));
	for (; *text && !err; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		text += strspn(text, " \t");
		if (!strncmp(text, "ID: ", 4) && !format->id) {
			err = number_after(text, end, "ID: ", UINT16_MAX, &id);
			format->id = err ? 0 : id;
		} else if (!strncmp(text, "field:", 6)) {
			err = parse_field(text + 6, end, name, format);
		} else if (!strncmp(text, "print fmt:", 10)) {
			break;
		}
	}
	if (!err && !format->id)
		err = -EPROTO;
	if (err)
		memset(format, 0, sizeof(*format));
	return err;
}

bool trace_field_get(const struct trace_field *field, const uint8_t *raw, size_t len, int64_t *value)
{
	uint64_t v = 0;
	unsigned unused = 64 - 8 * field->size;

	if (!field->size || (size_t)field->offset + field->size > len)
		return false;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	memcpy(&v, raw + field->offset, field->size);
#else
	memcpy((uint8_t *)&v + 8 - field->size, raw + field->offset, field->size);
#endif
	*value = field->is_signed ? (int64_t)(v << unused) >> unused : (int64_t)v;
	return true;
}

bool trace_field_text(const struct trace_field *field, const uint8_t *raw, size_t len, char *out, size_t n)
{
	int64_t where;
	size_t at, size, i;

	*out = '\0';
	if (!field->is_text || !trace_field_get(field, raw, len, &where))
		return false;
	at = where & 0xffff;
	size = where >> 16 & 0xffff;
	if (at > len || size > len - at)
		return false;
	for (i = 0; i < size && i + 1 < n && raw[at + i]; i++)
		out[i] = raw[at + i] >= ' ' && raw[at + i] < 0x7f ? raw[at + i] : '?';
	out[i] = '\0';
	return true;
}
