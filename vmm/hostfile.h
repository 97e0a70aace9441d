/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files in /sys and /proc in which the kernel describes the host: one reader for all of them. `root` is put in
 * front of the path: "" is this host, tests build their own. Read-only, no state, any thread.
 */
#ifndef PINVM_HOSTFILE_H
#define PINVM_HOSTFILE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTFILE_MAX 8192 /* bytes; the longest file of those that are read whole */

/* The file as a string without the line end. 0, -errno, -EFBIG: it does not fit; out is "" on failure. n > 0. */
int hostfile_text(const char *root, const char *path, char *out, size_t n);
/* A decimal number alone. 0, -errno, -EINVAL: something else. *out is touched on success only. */
int hostfile_uint(const char *root, const char *path, uint64_t *out);
/* A list of CPUs or nodes, 0-3,8; an empty file is an empty list. 0, -errno, -EINVAL; *out is empty on failure. */
int hostfile_list(const char *root, const char *path, cpu_set_t *out);
/* What follows `key` in the first line that starts with it, without leading blanks. 0, -errno, -ENODATA: no such line. */
int hostfile_line(const char *root, const char *path, const char *key, char *out, size_t n);
/* In a text that was read: what follows the first "KEY   :   " at a line's beginning, as in /proc/PID/status; NULL: none. */
const char *hostfile_value(const char *text, const char *key);
/* ... where it is a number. False: there is none, and *out is not touched. */
bool hostfile_number(const char *text, const char *key, uint64_t *out);

#endif
