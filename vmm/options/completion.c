// SPDX-License-Identifier: Apache-2.0
/* The completion for bash, from the options table and the table of commands. Main. */
#include <string.h>

#include "vmm/options/command.h"
#include "vmm/options/options.h"
#include "vmm/options/table.h"

/* Typed as it stands in the table, no name for what is typed: auto, 2M; neither FILE nor 50%. */
static bool is_literal(const char *word, size_t n)
{
	size_t digits = strspn(word, "0123456789");

	if (digits)
		return n == digits + 1 && strchr("KMGT", word[digits]);
	return n && strspn(word, "abcdefghijklmnopqrstuvwxyz_") >= n;
}

/* Of the table's texts for a value, those that are literal: "off|thp|2M|/DIR". */
static void literals(FILE *out, const char *texts, const char *prefix)
{
	for (size_t n; *texts; texts += n + (texts[n] == '|')) {
		n = strcspn(texts, "|");
		if (is_literal(texts, n))
			fprintf(out, "%s%.*s ", prefix, (int)n, texts);
	}
}

static void names(FILE *out, const struct opt_key *key, const char *prefix)
{
	for (unsigned i = 0; key->names[i]; i++) {
		size_t n = strcspn(key->names[i], "=");

		if (opt_choice_here(key, i) && is_literal(key->names[i], n))
			fprintf(out, "%s%.*s ", prefix, (int)(n + (key->names[i][n] == '=')), key->names[i]);
	}
}

/* The words that may stand for a value, as far as the table knows them: choices, or on and off. */
static void words(FILE *out, const struct opt_key *key, const char *prefix)
{
	if (key->names)
		names(out, key, prefix);
	else if ((key->type == OPT_BOOL || key->type == OPT_TRI) && key->meta)
		fprintf(out, "%son %soff ", prefix, prefix);
	else if (key->meta && strchr(key->meta, '|'))
		literals(out, key->meta, prefix);
}

/* Its words, and where others may stand there too the bare name. */
static void completion_key(FILE *out, const struct opt_key *key)
{
	bool closed = key->type == OPT_CHOICE || key->type == OPT_BOOL || key->type == OPT_TRI;
	char prefix[64];

	if (key->type == OPT_FEATURES)
		return;
	fputs(key->at_start ? "${start:+" : "", out);
	snprintf(prefix, sizeof(prefix), "%s=", key->name);
	if (!key->meta)
		fprintf(out, "%s ", key->name);
	else if (!closed)
		fprintf(out, "%s ", prefix);
	words(out, key, prefix);
	fputs(key->at_start ? "}" : "", out);
}

/* Is `value` one of "auto|vmm"? */
static bool is_of(const char *values, const char *value)
{
	for (size_t n; *values; values += n + (values[n] == '|')) {
		n = strcspn(values, "|");
		if (n == strlen(value) && !memcmp(values, value, n))
			return true;
	}
	return false;
}

/* Those that go with this plain value and not with any; NULL: the others. */
static void completion_keys(FILE *out, const struct opt_row *row, const char *value)
{
	for (unsigned i = 0; i < row->nkeys; i++) {
		const struct opt_key *key = &row->keys[i];

		if (opt_key_here(key) && (value ? key->of && is_of(key->of, value) : !key->of))
			completion_key(out, key);
	}
}

static bool has_keys_of(const struct opt_row *row, const char *value)
{
	for (unsigned i = 0; i < row->nkeys; i++)
		if (row->keys[i].of && (!value || is_of(row->keys[i].of, value)))
			return true;
	return false;
}

/* What more there is behind one plain value or another. */
static void completion_modes(FILE *out, const struct opt_row *row)
{
	const struct opt_key *value = &row->value;

	if (!value->names || !has_keys_of(row, NULL))
		return;
	fputs("\n\t\tcase $mode in", out);
	for (unsigned i = 0; value->names[i]; i++) {
		if (!opt_choice_here(value, i) || !has_keys_of(row, value->names[i]))
			continue;
		fprintf(out, "\n\t\t%s) keys+=\"", value->names[i]);
		completion_keys(out, row, value->names[i]);
		fputs("\" ;;", out);
	}
	fputs("\n\t\tesac", out);
}

static void completion_row(FILE *out, const struct opt_row *row)
{
	bool file = row->value.meta && (row->value.type == OPT_STRING) && row->value.max > 4000 &&
		    strcmp(row->value.meta, "STR");

	if (!row->value.meta && !row->nkeys)
		return;
	fprintf(out, "\t--%s", row->name);
	if (row->letter)
		fprintf(out, "|-%c", row->letter);
	fprintf(out, ") file=%d words=\"", file);
	words(out, &row->value, "");
	if (row->value.type == OPT_NONE) /* elsewhere the value stands before them */
		completion_keys(out, row, NULL);
	fputs("\" keys=\"", out);
	completion_keys(out, row, NULL);
	fputs("\"", out);
	completion_modes(out, row);
	fputs(" ;;\n", out);
}

static void completion_options(FILE *out)
{
	for (unsigned i = 0; i < opt_rows; i++)
		if (opt_here(&opt_table[i]))
			fprintf(out, "%s--%s", i ? " " : "", opt_table[i].name);
}

/* Of the commands that have no table row for each of their options: what may stand where. */
static void completion_command(FILE *out, const struct command *command)
{
	if (!command->help || (!command->words && !command->flags && !command->guest))
		return;
	fprintf(out, "\t%s) guest=%d words=\"", command->name, command->guest);
	if (command->words)
		command->words(out);
	fputs("\" flags=\"", out);
	if (command->flags)
		command->flags(out);
	fputs("\" keys=\"", out);
	if (command->values)
		command->values(out);
	fputs("\" ;;\n", out);
}

static void completion_commands(FILE *out, const struct command *commands, size_t n)
{
	fputs("_pinvm_command()\n{\n\tcase $1 in\n", out);
	for (size_t i = 0; i < n; i++)
		completion_command(out, &commands[i]);
	fputs("\t*) return 1 ;;\n\tesac\n}\n", out);
}

void options_completion(FILE *out, const struct command *commands, size_t n)
{
	fputs("# bash completion for pinvm; `pinvm completion bash` writes it\n"
	      "_pinvm_value()\n{\n\tcase $1 in\n",
		out);
	for (unsigned i = 0; i < opt_rows; i++)
		if (opt_here(&opt_table[i]))
			completion_row(out, &opt_table[i]);
	fputs("\t*) return 1 ;;\n\tesac\n}\n", out);
	completion_commands(out, commands, n);
	fputs("# Of the words what goes on behind the last comma of cur.\n"
	      "_pinvm_offer()\n{\n"
	      "\tlocal head=\n"
	      "\t[[ $cur == *,* ]] && head=${cur%,*},\n"
	      "\tCOMPREPLY+=($(compgen -P \"$head\" -W \"$1\" -- \"${cur##*,}\"))\n"
	      "\t[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null\n"
	      "\t# readline replaces only what follows the last =\n"
	      "\t[[ $cur == *=* && $COMP_WORDBREAKS == *=* ]] && "
	      "COMPREPLY=(\"${COMPREPLY[@]#\"${cur%=*}=\"}\")\n"
	      "}\n"
	      "_pinvm()\n{\n"
	      "\tlocal line=${COMP_LINE:0:COMP_POINT} file words keys cur prev guest flags mode start=1\n"
	      "\tlocal -a typed\n"
	      "\tCOMPREPLY=()\n"
	      "\tread -ra typed <<<\"$line\"\n"
	      "\t[[ $line == *[[:space:]] ]] && typed+=('')\n"
	      "\tcur=${typed[-1]} prev=${typed[-2]-}\n"
	      "\tif ((${#typed[@]} == 2)); then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"",
		out);
	for (size_t i = 0; i < n; i++)
		if (commands[i].help)
			fprintf(out, "%s ", commands[i].name);
	fputs("--help --version\" -- \"$cur\"))\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tif _pinvm_command \"${typed[1]}\"; then\n"
	      "\t\tif [[ ${typed[1]} == ctl ]] && ((${#typed[@]} > 4)); then\n"
	      "\t\t\t# the values of the option of that name\n"
	      "\t\t\tmode=${typed[4]%%,*} start=\n"
	      "\t\t\t_pinvm_value \"--${typed[3]}\" || words= keys=\n"
	      "\t\t\t[[ $cur == *,* || ($keys && ${#typed[@]} -gt 5) ]] && words=\n"
	      "\t\t\t_pinvm_offer \"$words $keys $flags\"\n"
	      "\t\t\treturn\n"
	      "\t\telif ((guest && ${#typed[@]} == 3)); then\n"
	      "\t\t\twords=$(\"${typed[0]}\" list 2>/dev/null | sed '1d; s/ .*//')\n"
	      "\t\telif ((${#typed[@]} != guest + 3)); then\n"
	      "\t\t\twords=\n"
	      "\t\tfi\n"
	      "\t\tif [[ $keys && $prev == -* && $cur != -* ]]; then\n"
	      "\t\t\t_pinvm_offer \"$keys\"\n"
	      "\t\t\tCOMPREPLY+=($(compgen -f -- \"$cur\"))\n"
	      "\t\telse\n"
	      "\t\t\tCOMPREPLY=($(compgen -W \"$words $flags\" -- \"$cur\"))\n"
	      "\t\tfi\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\t[[ ${typed[1]} == run ]] || return\n"
	      "\tif [[ $cur == --*=* ]]; then\n"
	      "\t\tprev=${cur%%=*} cur=${cur#*=}\n"
	      "\tfi\n"
	      "\tmode=${cur%%,*}\n"
	      "\tif _pinvm_value \"$prev\"; then\n"
	      "\t\tif [[ $cur == *,* ]]; then\n"
	      "\t\t\twords=$keys\n"
	      "\t\telif ((file)); then\n"
	      "\t\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	      "\t\tfi\n"
	      "\t\t_pinvm_offer \"$words\"\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tif [[ $cur == -* ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"",
		out);
	completion_options(out);
	fputs("\" -- \"$cur\"))\n"
	      "\telse\n"
	      "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	      "\tfi\n"
	      "}\n"
	      "complete -o filenames -F _pinvm pinvm\n",
		out);
}
