// SPDX-License-Identifier: Apache-2.0
/*
 * A main for fuzzers without libFuzzer: runs every file in the directories (or the files) given as arguments
 * once. A directory without files is a failure: it would replay nothing and look like a pass.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

static unsigned done;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *data;
	size_t n;

	if (!f || fstat(fileno(f), &st)) {
		perror(path);
		return -1;
	}
	/* Of exactly this size, so that a read past the end is seen by ASan. */
	data = malloc(st.st_size ? st.st_size : 1);
	if (!data)
		abort();
	n = fread(data, 1, st.st_size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	done++;
	return 0;
}

static int run_dir(const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, NULL, alphasort), r = 0;
	unsigned before = done;

	if (n < 0) {
		perror(path);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];

		if (list[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name);
			r |= run_file(file);
		}
		free(list[i]);
	}
	free(list);
	if (!r && done == before) {
		fprintf(stderr, "%s: no files to replay\n", path);
		r = -1;
	}
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		r |= !stat(argv[i], &st) && S_ISDIR(st.st_mode) ? run_dir(argv[i]) : run_file(argv[i]);
	}
	printf("  %s: %u inputs\n", argv[0], done);
	return r || !done ? EXIT_FAILURE : EXIT_SUCCESS;
}
