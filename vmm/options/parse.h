/* SPDX-License-Identifier: Apache-2.0 */
/* Between the command line (options.c), the configuration file (file.c), and what stores what both collect (apply.c). Main. */
#ifndef PINVM_OPTIONS_PARSE_H
#define PINVM_OPTIONS_PARSE_H

#include <stdbool.h>

#include "vmm/options/table.h"

/* One option as it was given. */
struct opt_given {
	const struct opt_row *row;
	char *value; /* owned; NULL: the bare option */
	char *where; /* owned: "--disk" or "FILE:7: disk" */
	bool from_file;
	char *why; /* where a refusal goes, with `room` bytes; NULL: it is logged */
	size_t room;
};

struct opt_list {
	struct opt_given *given;
	unsigned n;
};

/* Copies value and where. 0 or -ENOMEM. */
int opt_list_add(struct opt_list *list, const struct opt_row *row, const char *value, const char *where,
	bool from_file);
void opt_list_free(struct opt_list *list);

/* Store all of it; the command line wins over a file. 0, -ENOMEM or -EINVAL, logged; cfg is the caller's in any case. */
int opt_apply_all(const struct opt_list *list, struct guest_config *cfg);
/* What an option without its value lacks. */
const char *opt_wanted(const struct opt_row *row, char *out, size_t n);

/* Add the lines of the [run] section of `path`. 0, or -errno after one logged line. */
int opt_read_file(const char *path, struct opt_list *list);

#endif
