/* SPDX-License-Identifier: Apache-2.0 */
/* A table for people: columns as wide as their text, those on the right left out where a line has no room,
 * which is said. Pure. */
#ifndef PINVM_STAT_GRID_H
#define PINVM_STAT_GRID_H

#include <stdbool.h>
#include <stdio.h>

#define GRID_COLUMNS 16
#define GRID_WIDE    0 /* as wide as need be */

enum grid_align { GRID_RIGHT, GRID_LEFT, GRID_CUT /* left; takes what room is left, cut to it */ };

struct grid_column {
	const char *head; /* NULL: the columns end here */
	enum grid_align align;
	unsigned least; /* columns of text: so that it keeps its width while numbers change */
};

struct grid {
	const struct grid_column *column;
	unsigned columns, cells, room;
	char **cell;	/* row by row */
	bool no_memory; /* some text is missing */
};

void grid_begin(struct grid *grid, const struct grid_column *column);
/* The next cell. The text, which may be anything, is copied and made safe; NULL is "-". */
void grid_cell(struct grid *grid, const char *text);
/* Write heads and rows, each line `width` columns at most (GRID_WIDE: whole), and forget them. */
void grid_end(struct grid *grid, FILE *out, unsigned width);

#endif
