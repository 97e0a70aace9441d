/* SPDX-License-Identifier: Apache-2.0 */
/* What the lab's programs share; each is one C file. Needs _GNU_SOURCE. */
#ifndef PINVM_LAB_PROGRAM_H
#define PINVM_LAB_PROGRAM_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The program's name, the message, and what errno says; status 2. */
static void die(const char *fmt, ...)
{
	va_list ap;
	int err = errno;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, ": %s\n", strerror(err));
	va_end(ap);
	exit(2);
}

/* A numeric IPv4 address and its port. */
static inline struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};

	errno = EINVAL;
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		die("%s", host);
	return a;
}

/* A number whose every bit depends on every bit of x. */
static inline uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

#endif
