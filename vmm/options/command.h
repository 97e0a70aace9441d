/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command of pinvm is (main.c has the table), and the options of those that are not `run`: a table for
 * each of them, from which come its parser, its help, its part of the man page and of the completion. An
 * option is one `struct opt_key`, with `base` the command's own struct. The command's one thread.
 */
#ifndef PINVM_OPTIONS_COMMAND_H
#define PINVM_OPTIONS_COMMAND_H

#include <stdio.h>

#include "vmm/options/table.h"

struct command {
	const char *name, *args;
	const char *help; /* NULL: it works, but only the build asks for it */
	int (*run)(int argc, char **argv);
	void (*usage)(FILE *out); /* what --help prints; NULL: that of pinvm */
	void (*man)(FILE *out);	  /* its lists in the man page (man(7) requests); NULL: it has none */
	/* For the completion; each may be NULL, and writes words with blanks between. */
	bool guest;		   /* a guest's name comes first */
	void (*words)(FILE *out);  /* the word that is next */
	void (*flags)(FILE *out);  /* options */
	void (*values)(FILE *out); /* values of options besides files */
};

struct command_option {
	char letter; /* 0: none */
	struct opt_key
		key; /* its `name` is the option's; without `meta` it is a switch, OPT_BOOL or OPT_COUNT */
};

struct command_options {
	const char *command; /* as messages name it */
	const struct command_option *option;
	unsigned n; /* 63 at most */
};

/*
 * Set `base`, all zeros so far, to the defaults and take the options out of argv[1..*argc-1], wherever they
 * stand before a "--"; the words between them stay, and so do "--" and what follows. 0, and command_free()
 * releases what base got; 1: --help stands there; -EINVAL or -ENOMEM after one logged line. When not 0, base
 * owns nothing.
 */
int command_parse(const struct command_options *table, int *argc, char **argv, void *base);
void command_free(const struct command_options *table, void *base);

/* A line or two for each option in a help text; man(7) requests; "--json --count", blanks between. */
void command_help(FILE *out, const struct command_options *table);
void command_man(FILE *out, const struct command_options *table);
void command_words(FILE *out, const struct command_options *table);

#endif
