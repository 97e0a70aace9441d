// SPDX-License-Identifier: Apache-2.0
/* Parameters of the module kvm; see kernel.h. Any thread. */
#include "vmm/haltpoll/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

int kernel_haltpoll(const char *which, uint64_t *value)
{
	char path[96], text[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/halt_poll_ns%s", which);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 ? -errno : -EPROTO;
	text[n] = '\0';
	return sscanf(text, "%" SCNu64, value) == 1 ? 0 : -EPROTO;
}
