// SPDX-License-Identifier: Apache-2.0
/* Recorded traces; see sim.h. tools/halts records them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/haltpoll/sim.h"

#define RECORDED_LIMIT 1.3

static int add(struct trace *t, size_t *room, const char *text)
{
	struct halt halt;
	char rest;

	if (*text == '#' || *text == '\n')
		return 0;
	if (sscanf(text, "%" SCNu32 " %" SCNu32 " %c", &halt.run_ns, &halt.gap_ns, &rest) != 2 ||
		!halt.gap_ns)
		return -EINVAL;
	if (t->n == *room) {
		size_t more = *room ? *room * 2 : 4096;
		struct halt *grown = reallocarray(t->halt, more, sizeof(halt));

		if (!grown)
			return -ENOMEM;
		t->halt = grown;
		*room = more;
	}
	t->halt[t->n++] = halt;
	return 0;
}

int sim_trace_read(struct trace *t, const char *path, unsigned *line)
{
	const char *name = strrchr(path, '/');
	char *text = NULL;
	size_t size = 0, room = 0;
	FILE *in = fopen(path, "re");
	int err = 0;

	memset(t, 0, sizeof(*t));
	*line = 0;
	if (!in)
		return -errno;
	snprintf(t->name, sizeof(t->name), "%s", name ? name + 1 : path);
	t->family = "recorded";
	t->limit = RECORDED_LIMIT;
	while (!err && getline(&text, &size, in) > 0) {
		(*line)++;
		err = add(t, &room, text);
	}
	if (!err && !t->n)
		err = -EINVAL;
	if (err)
		sim_trace_free(t);
	free(text);
	fclose(in);
	return err;
}
