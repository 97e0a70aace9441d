/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a guest: the board's (serial, power, what the architecture needs) and those behind a virtio transport, all
 * listed in one function, devices_open(). Calls are main's.
 */
#ifndef PINVM_DEVICES_H
#define PINVM_DEVICES_H

struct guest;

/* Console, serial, power, and the board with them. 0 or -errno, logged; board_close() takes down what is there. */
int board_open(struct guest *guest);
void board_close(struct guest *guest);

/* All others, in the order the guest sees them. 0 or -errno, logged; devices_close() takes down what is there. */
int devices_open(struct guest *guest);
/* Only when nothing is in flight, and no loop has a thread. */
void devices_close(struct guest *guest);

/* Stop all devices and wait until nothing is in flight, while the loops run and no vCPU does. -ETIMEDOUT: something still is. */
int devices_drain(struct guest *guest);
/* All devices, the board's too, as at power-on. -ETIMEDOUT as above; nothing else fails. */
int devices_reset(struct guest *guest);

#endif
