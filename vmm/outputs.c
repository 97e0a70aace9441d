// SPDX-License-Identifier: Apache-2.0
/* Outputs that are no other file of the run; see outputs.h. One thread. */
#include "vmm/outputs.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/log.h"

struct named {
	const char *option, *path;
};

/* By device and inode; of what does not exist yet, by name. */
static bool same(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) || stat(b, &y))
		return !strcmp(a, b);
	return (S_ISREG(x.st_mode) || S_ISBLK(x.st_mode)) &&
	       (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode) ? x.st_rdev == y.st_rdev
							   : x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

static int refuse(const struct named *out, const struct named *other)
{
	if (!other->path || !out->path || !same(out->path, other->path))
		return 0;
	log_err("%s %s: is also the file of %s, which it would overwrite; name another one", out->option, out->path,
		other->option);
	return -EINVAL;
}

int outputs_check(const struct guest_config *cfg)
{
	const struct named in[] = {{"--kernel", cfg->kernel}, {"--initrd", cfg->initrd}};
	const struct named out[] = {{"--log", cfg->log}, {"--report", cfg->report}, {"--stats", cfg->stats.path},
		{"--halt-poll trace", cfg->halt_poll.trace},
		{"--serial file", cfg->serial == SERIAL_FILE ? cfg->serial_path : NULL}};
	int err = 0;

	for (unsigned i = 0; !err && i < sizeof(out) / sizeof(out[0]); i++) {
		for (unsigned j = 0; !err && j < sizeof(in) / sizeof(in[0]); j++)
			err = refuse(&out[i], &in[j]);
		for (unsigned j = 0; !err && j < cfg->ndisks; j++)
			err = refuse(&out[i], &(struct named){"--disk", cfg->disks[j].path});
		for (unsigned j = 0; !err && j < i; j++)
			err = refuse(&out[i], &out[j]);
	}
	return err;
}
