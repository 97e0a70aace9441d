/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instead of vmm/log.c, for tests of what is logged: the last line stays in `said`, `lines` counts them. The
 * test's thread.
 */
#ifndef PINVM_SAID_H
#define PINVM_SAID_H

#include <stdarg.h>
#include <stdio.h>

#include "vmm/log.h"

static char said[2048];
static unsigned lines;

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	lines++;
}

int log_errno(int err, const char *fmt, ...)
{
	log_line(LOG_ERROR, "%s", fmt);
	return err;
}

#endif
