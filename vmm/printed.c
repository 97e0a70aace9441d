// SPDX-License-Identifier: Apache-2.0
/* Standard output of commands that print; see printed.h. One thread. */
#include "vmm/printed.h"

#include <errno.h>
#include <stdio.h>

/* Kept here: a stream that failed drops what it held, and the next flush has nothing to fail with. */
int printed_flush(void)
{
	static int failed;

	errno = 0;
	if ((fflush(stdout) || ferror(stdout)) && !failed)
		failed = errno ? -errno : -EIO; /* EIO: it failed before, when the buffer was full */
	return failed;
}
