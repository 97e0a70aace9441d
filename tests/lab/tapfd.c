// SPDX-License-Identifier: Apache-2.0
/*
 * tapfd: runs a program that is handed an open tap, as a manager of networks would do it. Becomes that
 * program.
 *
 * usage: tapfd TAP FD COMMAND [ARGS...]     the tap is the command's descriptor FD
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd, wanted;

	if (argc < 4)
		return fprintf(stderr, "usage: tapfd TAP FD COMMAND [ARGS...]\n"), 125;
	wanted = atoi(argv[2]);
	fd = open("/dev/net/tun", O_RDWR);
	strncpy(ifr.ifr_name, argv[1], sizeof(ifr.ifr_name) - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0 ||
		(fd != wanted && (dup2(fd, wanted) < 0 || close(fd) < 0))) {
		fprintf(stderr, "tapfd: %s: %s\n", argv[1], strerror(errno));
		return 125;
	}
	execvp(argv[3], argv + 3);
	fprintf(stderr, "tapfd: %s: %s\n", argv[3], strerror(errno));
	return 125;
}
