// SPDX-License-Identifier: Apache-2.0
/* Outputs that are no other file of the run; see outputs.h. One thread. */
#include "vmm/outputs.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/log.h"

/* What an option names, looked at once. */
struct named {
	const char *option, *path;
	bool is_there;
	struct stat st;
};

/* The files of the guest, then the outputs that were compared with all before them. */
struct known {
	struct named file[CONFIG_MAX_DEVICES + 7];
	unsigned n;
};

static struct named *add(struct known *known, const char *option, const char *path)
{
	struct named *file = &known->file[known->n];

	if (!path)
		return NULL;
	*file = (struct named){.option = option, .path = path};
	file->is_there = !stat(path, &file->st);
	known->n++;
	return file;
}

/* By device and inode; of what does not exist yet, by name. */
static bool same(const struct named *a, const struct named *b)
{
	bool block = S_ISBLK(a->st.st_mode);

	if (!a->is_there || !b->is_there)
		return !strcmp(a->path, b->path);
	if (block && S_ISBLK(b->st.st_mode))
		return a->st.st_rdev == b->st.st_rdev;
	return (block || S_ISREG(a->st.st_mode)) && a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

static int add_output(struct known *known, const char *option, const char *path)
{
	const struct named *file = add(known, option, path);

	for (const struct named *other = known->file; file && other < file; other++) {
		if (!same(file, other))
			continue;
		log_err("%s %s: is also the file of %s, which it would overwrite; name another one", option, path, other->option);
		return -EINVAL;
	}
	return 0;
}

int outputs_check(const struct guest_config *cfg)
{
	const char *serial = cfg->serial == SERIAL_FILE ? cfg->serial_path : NULL;
	struct known known = {.n = 0};
	int err;

	if (!cfg->log && !cfg->report && !cfg->stats.path && !cfg->halt_poll.trace && !serial)
		return 0;
	add(&known, "--kernel", cfg->kernel);
	add(&known, "--initrd", cfg->initrd);
	for (unsigned i = 0; i < cfg->ndisks; i++)
		add(&known, "--disk", cfg->disks[i].path);
	err = add_output(&known, "--log", cfg->log);
	err = err ? err : add_output(&known, "--report", cfg->report);
	err = err ? err : add_output(&known, "--stats", cfg->stats.path);
	err = err ? err : add_output(&known, "--halt-poll trace", cfg->halt_poll.trace);
	return err ? err : add_output(&known, "--serial file", serial);
}
