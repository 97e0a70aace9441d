// SPDX-License-Identifier: Apache-2.0
/* A table for people; see grid.h. Pure. */
#include "vmm/stat/grid.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/stat/text.h"

void grid_begin(struct grid *grid, const struct grid_column *column)
{
	*grid = (struct grid){.column = column};
	while (grid->columns < GRID_COLUMNS && column[grid->columns].head)
		grid->columns++;
}

void grid_cell(struct grid *grid, const char *text)
{
	if (grid->cells == grid->room) {
		unsigned room = grid->room ? 2 * grid->room : 64;
		char **grown = reallocarray(grid->cell, room, sizeof(*grown));

		if (!grown) {
			grid->no_memory = true;
			return;
		}
		grid->cell = grown;
		grid->room = room;
	}
	grid->cell[grid->cells] = text_safe(text && *text ? text : "-");
	if (!grid->cell[grid->cells++])
		grid->no_memory = true;
}

static const char *text_at(const struct grid *grid, unsigned i)
{
	return i < grid->cells && grid->cell[i] ? grid->cell[i] : "";
}

static unsigned width_of(const struct grid *grid, unsigned c)
{
	unsigned most = text_columns(grid->column[c].head);

	if (most < grid->column[c].least)
		most = grid->column[c].least;
	for (unsigned i = c; i < grid->cells; i += grid->columns) {
		unsigned n = text_columns(text_at(grid, i));

		if (n > most)
			most = n;
	}
	return most;
}

/* How many columns have room, and how wide they are. */
static unsigned fit(const struct grid *grid, unsigned width, unsigned wide[GRID_COLUMNS])
{
	unsigned left = width, n = 0;

	for (; n < grid->columns; n++) {
		unsigned gap = n ? 1 : 0, need;

		wide[n] = width_of(grid, n);
		if (width == GRID_WIDE)
			continue;
		need = grid->column[n].align == GRID_CUT ? text_columns(grid->column[n].head) : wide[n];
		if (need + gap > left)
			break;
		if (wide[n] > left - gap)
			wide[n] = left - gap;
		left -= wide[n] + gap;
	}
	return n;
}

static void put(FILE *out, const char *text, enum grid_align align, unsigned wide, bool last)
{
	unsigned columns = text_columns(text);
	unsigned pad = columns < wide ? wide - columns : 0;

	if (align == GRID_RIGHT)
		fprintf(out, "%*s", (int)pad, "");
	if (columns > wide)
		fprintf(out, "%.*s~", (int)text_cut(text, wide - 1), text);
	else
		fputs(text, out);
	if (align != GRID_RIGHT && !last)
		fprintf(out, "%*s", (int)pad, "");
}

/* Columns from n on found no room: which ones, below the others. */
static void left_out(const struct grid *grid, FILE *out, unsigned n, unsigned width)
{
	char text[256] = "no room for";
	size_t len = strlen(text);

	for (; n < grid->columns && len < sizeof(text); n++)
		len += snprintf(text + len, sizeof(text) - len, " %s", grid->column[n].head);
	put(out, text, GRID_CUT, width, true);
	fputs("\n", out);
}

void grid_end(struct grid *grid, FILE *out, unsigned width)
{
	unsigned wide[GRID_COLUMNS], n = fit(grid, width, wide);

	for (unsigned c = 0; c < n; c++) {
		fputs(c ? " " : "", out);
		put(out, grid->column[c].head, grid->column[c].align, wide[c], c + 1 == n);
	}
	fputs("\n", out);
	for (unsigned row = 0; row + grid->columns <= grid->cells; row += grid->columns) {
		for (unsigned c = 0; c < n; c++) {
			fputs(c ? " " : "", out);
			put(out, text_at(grid, row + c), grid->column[c].align, wide[c], c + 1 == n);
		}
		fputs("\n", out);
	}
	if (n < grid->columns)
		left_out(grid, out, n, width);
	for (unsigned i = 0; i < grid->cells; i++)
		free(grid->cell[i]);
	free(grid->cell);
	grid->cell = NULL;
	grid->cells = grid->room = 0;
}
