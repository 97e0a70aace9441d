/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port (National Semiconductor PC16550D data sheet): eight one-byte registers, 16-byte FIFOs.
 * Registers are accessed by vCPU threads, input arrives on the console's loop; one mutex with priority
 * inheritance guards the state. Transmission takes no time: THRE and TEMT always read as set.
 */
#ifndef PINVM_SERIAL_H
#define PINVM_SERIAL_H

#include "vmm/bus.h"

#define SERIAL_SIZE 8 /* bytes of address space */

struct console;
struct irq_src;
struct serial;

/*
 * Make a port in its power-on state (8n1, 115200) and attach it to con (owned by the caller, outlives the
 * port). irq: an edge-triggered source, owned by the caller. Main. 0 or -ENOMEM or what pthread_mutex_init()
 * said.
 *
 * Interrupts suit an edge-triggered pin: raised when the line goes from no cause to a cause, and when another
 * cause comes to the top while the line is up, so that a handler that serves one cause a time loses none.
 */
int serial_create(struct serial **serial, struct irq_src *irq, struct console *con);
void serial_destroy(struct serial *serial);

/* Back to power-on. Main, while no vCPU runs. Input not yet read by the guest stays for its next life. */
void serial_reset(struct serial *serial);

/*
 * dev is the struct serial. An access of more than one byte is that many single ones; bytes beyond the last
 * register read as ones and write to nowhere.
 */
extern const struct bus_ops serial_bus_ops;

#endif
