/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of a network interface by rtnetlink(7) and by nothing else. Each call has a socket of its own, asks
 * one question and waits for the answer, which the kernel gives at once. No state; any thread.
 */
#ifndef PINVM_RTLINK_H
#define PINVM_RTLINK_H

#include <stdint.h>

/* As the host sees them: received is what came out of a tap's program, sent is what it was given. */
struct rtlink_counts {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
};

/* 0, or -errno: -ENODEV (no such interface here), -ENODATA (the kernel does not tell). */
int rtlink_counts(int index, struct rtlink_counts *out);

/* How many descriptors are attached to a tap made for several queues, IFF_DETACH_QUEUE or not. 0 or -errno as above;
 * -ENODATA for any other interface. */
int rtlink_tap_queues(const char *name, unsigned *out);

#endif
