// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration file: one [run] section whose lines are `long-option = value`, read by inih. A reader of
 * our own stands before it, because inih would cut a long line in two and drop what follows " ;" without a
 * word. Main.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/options/foreign.h"
#include "vmm/options/parse.h"
#include "vmm/options/typed.h"

struct file {
	FILE *in;
	const char *path;
	struct opt_list *list;
	unsigned line;
	bool indented; /* the line starts with a space: inih hands it over as another value of the name above
			*/
	bool named;    /* a name was seen, so that an indented line continues it */
	int ret;       /* the first error, already logged */
};

static int refuse(struct file *f, int err, const char *what)
{
	if (!f->ret)
		log_err("%s:%u: %s", f->path, f->line, what);
	f->ret = f->ret ? f->ret : err;
	return f->ret;
}

/* An inih reader: one whole line, or NULL at the end and after an error. */
static char *next_line(char *buf, int size, void *arg)
{
	struct file *f = arg;
	char *p;

	if (f->ret || !fgets(buf, size, f->in))
		return NULL;
	f->line++;
	if (!strchr(buf, '\n') && !feof(f->in)) {
		refuse(f, -EINVAL,
			"the line is too long, or holds a NUL; --append may go on in lines that start with a "
			"space");
		return NULL;
	}
	f->indented = isspace((unsigned char)*buf);
	if (*buf == '[')
		f->named = false;
	p = buf + strspn(buf, " \t");
	if (*p == ';' || *p == '#')
		return buf;
	for (; *p; p++)
		if (*p == ';' && p > buf && isspace((unsigned char)p[-1])) {
			refuse(f, -EINVAL,
				"a comment must stand on a line of its own, and a value can not hold \" ;\"");
			return NULL;
		}
	return buf;
}

/* Add an indented line to the value above it. */
static int join(struct file *f, const char *value)
{
	struct opt_given *g = &f->list->given[f->list->n - 1];
	char *joined;

	if (!(g->row->flags & OPT_JOIN))
		return refuse(f, -EINVAL,
			"starts with a space, so it continues the line above, and only append may go on");
	if (asprintf(&joined, "%s %s", g->value, value) < 0)
		return refuse(f, -ENOMEM, "out of memory");
	free(g->value);
	g->value = joined;
	return 0;
}

static int unknown(struct file *f, const char *name)
{
	const char *near = options_nearest(name, &opt_table[0].name, opt_rows, sizeof(opt_table[0]));
	char what[320], here[FOREIGN_MAX];

	if (foreign_option(name, here, sizeof(here)))
		snprintf(what, sizeof(what), "%.60s: %s", name, here);
	else if (near)
		snprintf(what, sizeof(what), "%.60s: unknown option; did you mean %s?", name, near);
	else
		snprintf(what, sizeof(what), "%.60s: unknown option; write long options without their dashes",
			name);
	return refuse(f, -EINVAL, what);
}

/* An inih handler: non-zero is success. */
static int one_line(void *arg, const char *section, const char *name, const char *value)
{
	struct file *f = arg;
	const struct opt_row *row;
	char *where;

	if (f->ret)
		return 0;
	if (strcmp(section, "run"))
		return refuse(f, -EINVAL, "options stand in the section [run], and there is no other") && 0;
	if (f->indented && f->named)
		return !join(f, value);
	row = opt_find(name);
	if (!row)
		return unknown(f, name) && 0;
	if (row->flags & OPT_OUTSIDE)
		return refuse(f, -EINVAL, "that option can only stand on the command line") && 0;
	if (asprintf(&where, "%s:%u: %s", f->path, f->line, name) < 0)
		return refuse(f, -ENOMEM, "out of memory") && 0;
	f->ret = opt_list_add(f->list, row, value, where, true);
	f->named = true;
	free(where);
	return !f->ret;
}

int opt_read_file(const char *path, struct opt_list *list)
{
	struct file f = {.path = path, .list = list};
	int bad;

	f.in = fopen(path, "re");
	if (!f.in)
		return log_errno(-errno, "--config %s", path);
	errno = 0;
	bad = ini_parse_stream(next_line, &f, one_line, &f);
	if (ferror(f.in) && !f.ret)
		f.ret = log_errno(errno ? -errno : -EIO, "--config %s", path);
	else if (bad && !f.ret) {
		f.line = bad;
		refuse(&f, -EINVAL, "neither [run] nor `option = value`");
	}
	fclose(f.in);
	return f.ret;
}
