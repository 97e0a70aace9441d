/* SPDX-License-Identifier: Apache-2.0 */
/* Options and keys of other programs, and what is typed here instead. Constant data and pure functions, any thread. */
#ifndef PINVM_OPTIONS_FOREIGN_H
#define PINVM_OPTIONS_FOREIGN_H

#include <stddef.h>

#define FOREIGN_MAX 160 /* room for the longest answer */

/* In words such as "QEMU's spelling; here it is --cpus" into `out`, for a word as it stands behind its dashes, up to any
 * '='. NULL: nobody's, or our own; else `out`. */
const char *foreign_option(const char *word, char *out, size_t n);

/* What to type instead of a key of that option ("disk", "net", ...), or of a bare word where a key stands. NULL: unknown. */
const char *foreign_key(const char *option, const char *key);

#endif
