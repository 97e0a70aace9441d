/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody typed: how messages repeat it, and what was probably meant. Pure functions, any thread. */
#ifndef PINVM_OPTIONS_TYPED_H
#define PINVM_OPTIONS_TYPED_H

#include <stddef.h>

/* The name among `n` (one each `stride` bytes, a char * at its start) that was probably meant, or NULL. */
const char *options_nearest(const char *typed, const void *names, size_t n, size_t stride);

#define OPTIONS_SHOWN 84 /* room that is enough */
/* As a message may repeat it: short, and without what would break the line or the terminal. Gives `out`; n is above 4. */
const char *options_shown(const char *typed, char *out, size_t n);

#endif
