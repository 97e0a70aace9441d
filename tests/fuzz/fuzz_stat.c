// SPDX-License-Identifier: Apache-2.0
/*
 * What `pinvm stat` makes of a guest's answers. An input is a width and two documents, one JSON text each
 * with a zero byte between (one alone: both are that). Whatever they are, the screen fits, lines of CSV have
 * 9 fields, and nothing that a terminal acts on comes out.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/stat/document.h"
#include "vmm/stat/export.h"
#include "vmm/stat/screen.h"
#include "vmm/stat/text.h"

/* Safe text, and ends of lines. */
static void harmless(const char *text)
{
	char *safe = text_safe(text);

	assert(safe && strlen(safe) == strlen(text));
	for (size_t i = 0; text[i]; i++)
		assert(safe[i] == text[i] || text[i] == '\n');
	free(safe);
}

static void fits(const char *text, unsigned width)
{
	char *line = strdup(text), *save;

	for (char *p = strtok_r(line, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
		assert(!width || text_columns(p) <= width);
	free(line);
}

static void has_fields(const char *text)
{
	unsigned fields = 1;
	int quoted = 0;

	for (; *text; text++) {
		if (*text == '\n') {
			assert(fields == 9 && !quoted);
			fields = 1;
			continue;
		}
		quoted ^= *text == '"';
		fields += !quoted && *text == ',';
	}
}

static void write_all(json_t *now, const json_t *before, unsigned width)
{
	struct subjects subjects;
	char *text = NULL;
	size_t size;
	FILE *out;

	assert(!subjects_find(&subjects, now, before));
	out = open_memstream(&text, &size);
	prometheus_write(&subjects, out);
	fclose(out);
	harmless(text);
	free(text);
	document_rates(&subjects);
	out = open_memstream(&text, &size);
	csv_write(&subjects, out);
	fclose(out);
	harmless(text);
	has_fields(text);
	free(text);
	out = open_memstream(&text, &size);
	screen_write(now, out, width);
	fclose(out);
	harmless(text);
	fits(text, width);
	free(text);
	subjects_free(&subjects);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *second = size ? memchr(data + 1, 0, size - 1) : NULL;
	json_t *before, *now;

	if (!size)
		return 0;
	before = json_loadb((const char *)data + 1, (second ? second : data + size) - data - 1, 0, NULL);
	now = second ? json_loadb((const char *)second + 1, data + size - second - 1, 0, NULL)
		     : json_deep_copy(before);
	if (json_is_object(now))
		write_all(now, json_is_object(before) ? before : NULL, data[0]);
	json_decref(before);
	json_decref(now);
	return 0;
}
