/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl() in the place of the C library's: the test that includes this says what the kernel answers. One thread. */
#ifndef PINVM_FAKE_IOCTL_H
#define PINVM_FAKE_IOCTL_H

#include <stdarg.h>
#include <sys/ioctl.h>

/* The test's. As ioctl(2). */
static int fake_ioctl(int fd, unsigned long request, void *arg);

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return fake_ioctl(fd, request, arg);
}

#endif
