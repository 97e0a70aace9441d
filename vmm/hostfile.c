// SPDX-License-Identifier: Apache-2.0
/* The kernel's small files; see hostfile.h. Any thread. */
#include "vmm/hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/options/values.h"

static int full_path(const char *root, const char *path, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s%s", root, path) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int hostfile_text(const char *root, const char *path, char *out, size_t n)
{
	char full[PATH_MAX];
	size_t have = 0;
	ssize_t got;
	int fd, err = full_path(root, path, full);

	*out = '\0';
	if (err)
		return err;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		got = read(fd, out + have, n - have);
		have += got > 0 ? (size_t)got : 0;
	} while (have < n && (got > 0 || (got < 0 && errno == EINTR)));
	if (got < 0)
		err = -errno;
	else if (have == n)
		err = -EFBIG;
	close(fd);
	have -= !err && have && out[have - 1] == '\n';
	out[err ? 0 : have] = '\0';
	return err;
}

int hostfile_uint(const char *root, const char *path, uint64_t *out)
{
	char text[32];
	int err = hostfile_text(root, path, text, sizeof(text));

	if (err)
		return err;
	return value_uint(text, out) ? -EINVAL : 0;
}

int hostfile_list(const char *root, const char *path, cpu_set_t *out)
{
	char text[HOSTFILE_MAX];
	int err = hostfile_text(root, path, text, sizeof(text));

	if (!err && *text && value_cpulist(text, out, sizeof(*out)))
		err = -EINVAL;
	if (err || !*text)
		CPU_ZERO(out);
	return err;
}

int hostfile_line(const char *root, const char *path, const char *key, char *out, size_t n)
{
	char full[PATH_MAX], *line = NULL;
	int err = full_path(root, path, full);
	size_t size = 0;
	FILE *f;

	if (err)
		return err;
	f = fopen(full, "re");
	if (!f)
		return -errno;
	err = -ENODATA;
	/* Line by line: some lines of /proc/PID/status have no bound, the list of groups for one. */
	while (err == -ENODATA && getline(&line, &size, f) > 0) {
		const char *rest = line + strlen(key);

		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		rest += strspn(rest, " \t");
		line[strcspn(line, "\n")] = '\0';
		err = snprintf(out, n, "%s", rest) < (int)n ? 0 : -EFBIG;
	}
	free(line);
	fclose(f);
	return err;
}

const char *hostfile_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len + strspn(line + len, " ")] == ':')
			return line + len + strspn(line + len, " :\t");
	}
	return NULL;
}

bool hostfile_number(const char *text, const char *key, uint64_t *out)
{
	const char *value = hostfile_value(text, key);

	if (!value || *value < '0' || *value > '9')
		return false;
	*out = strtoull(value, NULL, 10);
	return true;
}
