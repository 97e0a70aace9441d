/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptors behind a console, and how to read and write them without ever waiting. Private to
 * console.c; the console's loop thread, or main while there is no loop running.
 */
#ifndef PINVM_CONSOLE_PORT_H
#define PINVM_CONSOLE_PORT_H

#include <stdbool.h>
#include <sys/types.h>

#include "vmm/config.h"
#include "vmm/listener.h"

enum port_how {
	/* read() and write(): a file, or a description of our own with O_NONBLOCK */
	PORT_DIRECT,
	/* MSG_DONTWAIT */
	PORT_SOCKET,
	/* shared with others and not to be reopened: ask poll() first, then move what is sure to fit */
	PORT_POLLED,
};

struct console_port {
	enum serial_kind kind;
	int in, out;  /* -1: none (now) */
	int listener; /* -1: none */
	int slave;    /* the pty's, open here so that the master never sees a hang-up; -1: none */
	enum port_how in_how, out_how;
	bool out_shy; /* PORT_POLLED: only one byte is sure to fit */
	bool tty;     /* in is a terminal */

	struct own_file socket; /* of the listener */
};

/* Open what cfg->serial names. 0, or -errno after one logged line. */
int port_open(struct console_port *port, const struct guest_config *cfg);
/* Terminal restored, socket path removed, descriptors closed. */
void port_close(struct console_port *port);

/* Bytes moved, 0 at the end of input, -EAGAIN, or another -errno. */
ssize_t port_read(struct console_port *port, void *buf, size_t len);
ssize_t port_write(struct console_port *port, const void *buf, size_t len);

/* Take a waiting client: true when there is a new one in port->in and port->out. A second one is told and
 * refused. */
bool port_accept(struct console_port *port);
/* Has the peer of port->out gone altogether (not only stopped sending)? */
bool port_hung_up(const struct console_port *port);
void port_drop_client(struct console_port *port);

#endif
