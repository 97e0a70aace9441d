// SPDX-License-Identifier: Apache-2.0
/* What the options table says to people: help, man page, and a configuration as a plan. Main. */
#include <inttypes.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/options/options.h"
#include "vmm/options/table.h"

#define COLUMN OPTIONS_COLUMN

#define for_each_row(row) for (const struct opt_row *row = opt_table; row < opt_table + opt_rows; row++)

/* "read-only", "request queues, 1 to 16 (default 1)" */
void opt_key_describe(const struct opt_key *key, char *out, size_t n)
{
	char range[64], dfl[64];
	size_t len;

	range[0] = '\0';
	if (key->type != OPT_DURATION || opt_key_short(key))
		opt_key_range_text(key, range, sizeof(range));
	opt_key_default_text(key, dfl, sizeof(dfl));
	snprintf(out, n, "%s%s%s%s%s%s", key->help, *range ? ", " : "", range, *dfl ? " (default " : "", dfl,
		*dfl ? ")" : "");
	len = strlen(out);
	if (key->arch)
		snprintf(out + len, n - len, "; %s only", key->arch);
}

/* The whole of a row's description: its plain value, then what holds for the row. */
static void describe_row(const struct opt_row *row, char *out, size_t n)
{
	size_t len;

	opt_key_describe(&row->value, out, n);
	len = strlen(out);
	if (row->flags & OPT_REPEAT)
		len += snprintf(out + len, n - len, "; may be repeated");
	if (!opt_here(row))
		snprintf(out + len, n - len, "; %s only (%s: %s)", row->arch, arch_name(), row->why);
	else if (row->arch)
		snprintf(out + len, n - len, "; %s only", row->arch);
}

/* A choice that is not everywhere. */
static void describe_only(const struct opt_only *only, char *out, size_t n)
{
	if (!strcmp(only->arch, arch_name()))
		snprintf(out, n, "%s; %s only", only->help, only->arch);
	else
		snprintf(out, n, "%s only (%s: %s)", only->arch, arch_name(), only->why);
}

/* "VALUE[,KEY...]" as it follows the option's name; empty for a bare option. */
static void synopsis(const struct opt_row *row, char *out, size_t n)
{
	const char *keys = !row->nkeys ? "" : row->value.meta ? "[,KEY=VALUE...]" : "KEY=VALUE[,...]";
	size_t len;

	opt_key_meta_text(&row->value, out, n);
	len = strlen(out);
	snprintf(out + len, n - len, "%s", keys);
}

static void key_synopsis(const struct opt_key *key, char *out, size_t n)
{
	snprintf(out, n, "%s%s%s", key->name, key->meta ? "=" : "", key->meta ? key->meta : "");
}

void options_help_line(FILE *out, const char *left, const char *text)
{
	if (strlen(left) < COLUMN)
		fprintf(out, "%-*s%s\n", COLUMN, left, text);
	else
		fprintf(out, "%s\n%*s%s\n", left, COLUMN, "", text);
}

static void help_row(FILE *out, const struct opt_row *row)
{
	char left[160], text[320], value[96];

	synopsis(row, value, sizeof(value));
	describe_row(row, text, sizeof(text));
	snprintf(left, sizeof(left), "  %c%c%s --%s %s", row->letter ? '-' : ' ',
		row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name, value);
	options_help_line(out, left, text);
	for (const struct opt_only *only = row->value.only; only && only->name; only++) {
		describe_only(only, text, sizeof(text));
		snprintf(left, sizeof(left), "        %s", only->name);
		options_help_line(out, left, text);
	}
	for (unsigned i = 0; i < row->nkeys; i++) {
		key_synopsis(&row->keys[i], value, sizeof(value));
		opt_key_describe(&row->keys[i], text, sizeof(text));
		snprintf(left, sizeof(left), "        %s", value);
		options_help_line(out, left, text);
	}
}

void options_help(FILE *out)
{
	fprintf(out, "Usage: pinvm run [KERNEL] [OPTIONS]\n\nBoot a guest and wait for its end.\n");
	for_each_row(row)
	{
		if (row->group)
			fprintf(out, "\n%s\n", row->group);
		help_row(out, row);
	}
	fprintf(out,
		"\nSizes take K, M, G and T, powers of 1024, and count MiB without; BYTES count bytes without. Rates of\n"
		"requests and packets take K, M and G, powers of 1000; times take ns, us, ms and s. A comma inside a\n"
		"value is written twice.\n"
		"In a configuration file the same options stand under [run] as `long-option = value`.\n");
}

void options_man_text(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			fputc(*text, out);
	}
}

static void man_row(FILE *out, const struct opt_row *row)
{
	char text[320], value[96];

	fputs(".TP\n", out);
	if (row->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
	fputs("\\fB", out);
	options_man_text(out, "--");
	options_man_text(out, row->name);
	fputs("\\fR ", out);
	synopsis(row, value, sizeof(value));
	options_man_text(out, value);
	fputs("\n", out);
	describe_row(row, text, sizeof(text));
	options_man_text(out, text);
	fputs("\n", out);
	for (const struct opt_only *only = row->value.only; only && only->name; only++) {
		describe_only(only, text, sizeof(text));
		fprintf(out, ".RS\n.TP\n\\fB%s\\fR\n", only->name);
		options_man_text(out, text);
		fputs("\n.RE\n", out);
	}
	if (row->nkeys)
		fputs(".RS\n", out);
	for (unsigned i = 0; i < row->nkeys; i++) {
		fputs(".TP\n\\fB", out);
		key_synopsis(&row->keys[i], value, sizeof(value));
		options_man_text(out, value);
		fputs("\\fR\n", out);
		opt_key_describe(&row->keys[i], text, sizeof(text));
		options_man_text(out, text);
		fputs("\n", out);
	}
	if (row->nkeys)
		fputs(".RE\n", out);
}

void options_man(FILE *out)
{
	for_each_row(row)
	{
		if (row->group)
			fprintf(out, ".SS %s\n", row->group);
		man_row(out, row);
	}
}

static void print_key(
	FILE *out, const struct opt_row *row, const struct opt_key *key, const void *base, const void *dfl)
{
	char name[64], value[256], usual[256];

	opt_key_format(key, base, value, sizeof(value));
	opt_key_format(key, dfl, usual, sizeof(usual));
	snprintf(name, sizeof(name), "%s%s", key->name ? "  " : "", key->name ? key->name : row->name);
	if (!strcmp(value, usual))
		fprintf(out, "%-*s %-24s default\n", COLUMN, name, *value ? value : "-");
	else
		fprintf(out, "%-*s %s\n", COLUMN, name, value);
}

static void print_row(
	FILE *out, const struct opt_row *row, const struct guest_config *cfg, struct guest_config *usual)
{
	unsigned n = opt_elements(row, cfg);
	struct opt_key key;

	if (!n)
		fprintf(out, "%-*s %-24s default\n", COLUMN, row->name, "none");
	for (unsigned e = 0; e < n; e++) {
		const void *dfl = row->size ? opt_append(row, usual) : usual;

		for (unsigned i = 0; dfl && opt_key_at(row, i, &key); i++) {
			if (key.type == OPT_NONE)
				fprintf(out, "%s\n", row->name);
			else if (opt_key_here(&key))
				print_key(out, row, &key, opt_element(row, cfg, e), dfl);
		}
	}
}

void options_print(FILE *out, const struct guest_config *cfg)
{
	struct guest_config usual;

	config_defaults(&usual);
	/* The topology that follows from the number of vCPUs alone, or RAM from the nodes, was not chosen by anybody. */
	usual.cpus.sockets = usual.cpus.threads = 1;
	usual.cpus.cores = cfg->cpus.count;
	usual.memory.size = cfg->nnumas ? cfg->memory.size : CONFIG_MEMORY_DEFAULT;
	for_each_row(row) if (!(row->flags & OPT_OUTSIDE) && opt_here(row)) print_row(out, row, cfg, &usual);
	config_free(&usual);
}
