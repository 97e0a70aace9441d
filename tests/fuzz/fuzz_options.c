// SPDX-License-Identifier: Apache-2.0
/*
 * The command line and the configuration file. An input is words of the command line, each ended by a NUL,
 * and after a byte 0xff the text of a file that --config names. Beyond "no crash and no leak": what is
 * refused leaves exactly one line of error, without control characters, and an empty configuration; what is
 * accepted says nothing of errors, and typed anew from the values it shows (those of --dry-run) is accepted
 * again, and shows the same.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/ring_driver.h"
#include "vmm/config.h"
#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/options/table.h"

#define VALUE_MAX 70000 /* the longest value, and some */

#define for_each_row(row) for (const struct opt_row *row = opt_table; row < opt_table + opt_rows; row++)

struct words {
	int n;
	char **word;
};

static int said_fd;
static FILE *nowhere; /* for the answers to --help and --version */
static char first[VALUE_MAX], second[VALUE_MAX];

static void set_up(void)
{
	char path[32];

	said_fd = memfd_create("said", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", said_fd);
	nowhere = fopen("/dev/null", "w");
	must(said_fd >= 0 && nowhere && !log_open(path));
}

/* Lines of error since the last look. */
static unsigned errors(void)
{
	static char said[1 << 16];
	ssize_t n = pread(said_fd, said, sizeof(said) - 1, 0);
	unsigned count = 0;

	must(n >= 0 && !ftruncate(said_fd, 0));
	said[n] = '\0';
	for (char *line = said, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		must(end);
		for (char *p = line; p < end; p++)
			must(!iscntrl((unsigned char)*p));
		count += !strncmp(line, "pinvm: error: ", 14);
	}
	return count;
}

static int parse(struct words *w, struct guest_config *cfg)
{
	static const struct guest_config none;
	FILE *out = stdout;
	int ret;

	stdout = nowhere;
	ret = options_parse_run(w->n, w->word, cfg);
	stdout = out;
	must(ret <= 1);
	must(errors() == (ret < 0));
	must(!ret || !memcmp(cfg, &none, sizeof(none)));
	return ret;
}

static void free_words(struct words *w)
{
	for (int i = 0; i < w->n; i++)
		free(w->word[i]);
	free(w->word);
}

static void add_word(struct words *w, const char *text, size_t len)
{
	w->word = reallocarray(w->word, w->n + 2, sizeof(*w->word));
	must(w->word);
	w->word[w->n] = strndup(text, len);
	must(w->word[w->n]);
	w->word[++w->n] = NULL;
}

/* Files of others are none of ours. */
static void read_words(struct words *w, const char *p, const char *end)
{
	add_word(w, "run", 3);
	while (p < end) {
		size_t len = strnlen(p, end - p);

		if (!memmem(p, len, "config", 6))
			add_word(w, p, len);
		p += len + 1;
	}
}

static bool is_text(const struct opt_key *key)
{
	return key->type == OPT_STRING || key->type == OPT_NAME || key->type == OPT_FEATURES;
}

/* Whether the value stands in `base`, in `out` as --dry-run shows it; what is as without the option need not
 * be typed. */
static bool shows(const struct opt_key *key, const void *base, const void *usual, char *out)
{
	if (key->type == OPT_NONE)
		return false;
	if (is_text(key) && !*(char *const *)((const char *)base + key->at))
		return false;
	opt_key_format(key, usual, second, sizeof(second));
	opt_key_format(key, base, out, VALUE_MAX);
	return is_text(key) || strcmp(out, second);
}

/* Append to the option's value: in a list commas are doubled, but inside of brackets. */
static void append(FILE *f, const char *value, bool list, bool keyed)
{
	if (!list || (keyed && *value == '[')) {
		fputs(value, f);
		return;
	}
	for (; *value; value++) {
		if (*value == ',')
			fputc(',', f);
		fputc(*value, f);
	}
}

static void type_key(FILE *f, const struct opt_key *key, const char *value, bool comma)
{
	if (comma)
		fputc(',', f);
	if (key->name && key->type != OPT_FEATURES)
		fprintf(f, "%s=", key->name);
	append(f, value, key->type != OPT_FEATURES, key->name);
}

/* --NAME=VALUE,KEY=VALUE of one element; nothing when all of it is as usual. */
static void type_element(struct words *w, const struct opt_row *row, const void *base, const void *usual)
{
	bool any = false, list = row->size || row->value.type != OPT_NONE;
	struct opt_key key;
	size_t len;
	char *text;
	FILE *f = open_memstream(&text, &len);

	must(f);
	fprintf(f, "--%s=", row->name);
	for (unsigned i = 0; opt_key_at(row, i, &key); i++) {
		if (!shows(&key, base, usual, first) && (i || key.type == OPT_NONE || is_text(&key)))
			continue;
		if (opt_plain(row))
			fputs(first, f);
		else
			type_key(f, &key, first, any);
		any = true;
	}
	fclose(f);
	if (any && (list || len > strlen(row->name) + 3))
		add_word(w, text, len);
	free(text);
}

static void type_row(struct words *w, const struct opt_row *row, const struct guest_config *cfg)
{
	struct guest_config usual;

	if (row->value.type == OPT_COUNT) {
		for (unsigned i = cfg->verbose; i; i--)
			add_word(w, "-v", 2);
		return;
	}
	config_defaults(&usual);
	for (unsigned e = 0; e < opt_elements(row, cfg); e++)
		type_element(w, row, opt_element(row, cfg, e), row->size ? opt_append(row, &usual) : &usual);
	config_free(&usual);
}

static void compare(const struct guest_config *a, const struct guest_config *b)
{
	struct opt_key key;

	for_each_row(row)
	{
		if (row->flags & OPT_OUTSIDE)
			continue;
		must(opt_elements(row, a) == opt_elements(row, b));
		for (unsigned e = 0; e < opt_elements(row, a); e++)
			for (unsigned i = 0; opt_key_at(row, i, &key); i++) {
				opt_key_format(&key, opt_element(row, a, e), first, sizeof(first));
				opt_key_format(&key, opt_element(row, b, e), second, sizeof(second));
				must(!strcmp(first, second));
			}
	}
}

/* All of it in the words of the command line. */
static void again(const struct guest_config *cfg)
{
	struct words w = {0};
	struct guest_config twin;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	must(f);
	options_print(f, cfg);
	fclose(f);
	must(len);
	free(text);
	add_word(&w, "run", 3);
	for_each_row(row) if (!(row->flags & OPT_OUTSIDE) && opt_here(row)) type_row(&w, row, cfg);
	must(!parse(&w, &twin));
	compare(cfg, &twin);
	config_free(&twin);
	free_words(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size, *file = size ? memchr(p, 0xff, size) : NULL;
	struct words w = {0};
	struct guest_config cfg;
	char path[48];
	int fd = -1;

	if (!said_fd)
		set_up();
	read_words(&w, p, file ? file : end);
	if (file) {
		fd = memfd_create("config", MFD_CLOEXEC);
		must(fd >= 0 && pwrite(fd, file + 1, end - file - 1, 0) == end - file - 1);
		snprintf(path, sizeof(path), "--config=/proc/self/fd/%d", fd);
		add_word(&w, path, sizeof(path));
	}
	if (!parse(&w, &cfg)) {
		again(&cfg);
		config_free(&cfg);
	}
	free_words(&w);
	if (fd >= 0)
		close(fd);
	return 0;
}
