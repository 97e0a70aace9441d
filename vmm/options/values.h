/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to values and back: the spellings that every option shares. Pure functions, any thread.
 * A value_ function returns NULL, or the reason for a refusal in words that follow "OPTION VALUE: "; *out is
 * then untouched (a CPU set is not).
 */
#ifndef PINVM_OPTIONS_VALUES_H
#define PINVM_OPTIONS_VALUES_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits and nothing else. */
const char *value_uint(const char *text, uint64_t *out);
/* Digits and K, M or G, powers of 1000: a count, not a size. */
const char *value_count(const char *text, uint64_t *out);
/* Digits and K, M, G or T (powers of 1024), into bytes; without a letter the number counts units of `bare`
 * bytes. */
const char *value_size(const char *text, uint64_t bare, uint64_t *out);
/* What people of networks write, in bytes: 10Mbit, 1Gbps, 512kbit/s. False: it is none of that. */
bool value_bits(const char *text, uint64_t *bytes);
/* Digits and ns, us, ms or s, into nanoseconds; without a unit, seconds. */
const char *value_duration(const char *text, uint64_t *out);
/* The same where seconds are never meant: a number but 0 has its unit. */
const char *value_short_duration(const char *text, uint64_t *out);
/* on or off. */
const char *value_bool(const char *text, bool *out);
/*
 * A Linux CPU list, in brackets or not: 2-5,8,^3. What ^ excludes stays out wherever it stands. An empty
 * outcome is refused, and so is a CPU that does not fit into `size` bytes of `set`.
 */
const char *value_cpulist(const char *text, cpu_set_t *set, size_t size);
/* A name that may become part of a path and of a thread's name: letters, digits, '.', '_', '-', not starting
 * with . or -. */
const char *value_name(const char *text);

/* Entry i of a list of such names, [A,B,...], or of a single one; "" behind the last. n: room for the longest, and NUL. */
const char *value_name_at(const char *text, unsigned i, char *out, size_t n);
/* An Ethernet address of one station: 02:00:00:00:00:01. */
const char *value_mac(const char *text, uint8_t mac[6]);

/* The spelling that reads back as the same value, with the largest unit that leaves no fraction. */
void value_format_size(uint64_t bytes, char *out, size_t n);
void value_format_duration(uint64_t ns, char *out, size_t n);

/*
 * Cut the first item off a comma-separated list, in place. A doubled comma is a literal one; in a keyed item
 * (key=value) a value that starts with '[' runs to its ']', which must end the item. *rest becomes what
 * follows, or NULL after the last item. Returns the item, or NULL when a bracket is left open or followed by
 * text.
 */
char *value_item(char **rest, bool keyed);

#endif
