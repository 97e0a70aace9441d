// SPDX-License-Identifier: Apache-2.0
/*
 * reflect INTERFACE: the other end of tests/guest/net.c and bench_net.c, on the host's side of a tap. Says
 * "ready", then sends frames of ethertype 0x88b5 back: as they are when the first two bytes behind the header
 * are 0, else as many frames as they say, each as long as the next two say, numbered behind that
 * (little-endian), all of them passed to the kernel at once. TCP over IPv4 goes back as it is, segmentation
 * left to the other side included. Ends with its reader of standard output, or by a signal.
 */
#include <arpa/inet.h>
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TYPE	0x88b5
#define COPIES	1024
#define HDR	((unsigned)sizeof(struct virtio_net_hdr))
#define ADDRESS 6

static unsigned char in[HDR + 65536 + 64], out[COPIES][HDR + 1514];

static void on(int fd, int option)
{
	int one = 1;

	if (setsockopt(fd, SOL_PACKET, option, &one, sizeof(one)))
		err(1, "option %d", option);
}

static int open_socket(const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), size = 8 << 20;

	addr.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !addr.sll_ifindex)
		err(1, "%s", name);
	on(fd, PACKET_VNET_HDR);
	on(fd, PACKET_IGNORE_OUTGOING);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err(1, "bind %s", name);
	return fd;
}

static void swap_addresses(unsigned char *frame)
{
	unsigned char tmp[ADDRESS];

	memcpy(tmp, frame, ADDRESS);
	memcpy(frame, frame + ADDRESS, ADDRESS);
	memcpy(frame + ADDRESS, tmp, ADDRESS);
}

static unsigned le16(const unsigned char *p)
{
	return p[0] | p[1] << 8;
}

/* `copies` frames of len bytes, of which the first 18 are those of `frame`, then a number, then a pattern. */
static void send_copies(int fd, const unsigned char *frame, unsigned copies, unsigned len)
{
	static struct mmsghdr msg[COPIES];
	static struct iovec iov[COPIES];
	unsigned sent = 0;

	if (copies > COPIES || len < 60 || len > 1514)
		errx(1, "%u copies of %u bytes", copies, len);
	for (unsigned i = 0; i < copies; i++) {
		unsigned char *p = out[i] + HDR;

		memset(out[i], 0, HDR);
		memcpy(p, frame, 18);
		p[18] = i & 0xff;
		p[19] = i >> 8;
		for (unsigned k = 20; k < len; k++)
			p[k] = (unsigned char)(k * 3 + i);
		iov[i] = (struct iovec){out[i], HDR + len};
		msg[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	while (sent < copies) {
		int n = sendmmsg(fd, msg + sent, copies - sent, 0);

		if (n < 0)
			err(1, "sendmmsg");
		sent += (unsigned)n;
	}
}

static void reflect(int fd, size_t len)
{
	unsigned char *frame = in + HDR;
	unsigned type;

	if (len < HDR + 14)
		return;
	type = frame[12] << 8 | frame[13];
	if (type != TYPE && (type != ETH_P_IP || len < HDR + 34 || frame[14 + 9] != 6))
		return;
	swap_addresses(frame);
	if (type == TYPE && len >= HDR + 20 && le16(frame + 14)) {
		send_copies(fd, frame, le16(frame + 14), le16(frame + 16));
		return;
	}
	if (send(fd, in, len, 0) != (ssize_t)len)
		warn("%zu bytes, type 0x%x, gso 0x%x", len, type, in[1]);
}

int main(int argc, char **argv)
{
	struct pollfd wait[2] = {{.events = POLLIN}, {.fd = STDOUT_FILENO}};

	if (argc != 2)
		errx(2, "usage: reflect INTERFACE");
	wait[0].fd = open_socket(argv[1]);
	puts("ready");
	fflush(stdout);
	while (poll(wait, 2, -1) > 0 && !wait[1].revents) {
		ssize_t len = recv(wait[0].fd, in, sizeof(in), MSG_DONTWAIT);

		if (len > 0)
			reflect(wait[0].fd, (size_t)len);
	}
	return 0;
}
