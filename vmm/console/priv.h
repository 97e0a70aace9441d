/* SPDX-License-Identifier: Apache-2.0 */
/* A console from the inside, for console.c (life, input, clients) and console/out.c (output). */
#ifndef PINVM_CONSOLE_PRIV_H
#define PINVM_CONSOLE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/console/console.h"
#include "vmm/console/port.h"
#include "vmm/loop/loop.h"
#include "vmm/util.h"

/* Input read ahead: what a user can type before a guest that reads nothing hides Ctrl-A x. */
#define PEND_SIZE 16384

/* The console that a callback's argument is a part of. */
#define console_of(ptr, member) container_of(ptr, struct console, member)

struct console {
	struct console_port port;
	struct loop *loop;
	void (*on_quit)(void *arg);
	void *quit_arg;

	/* Output. Under lock: */
	pthread_mutex_t lock;
	uint8_t *ring;
	size_t head, used;
	uint64_t lost; /* bytes dropped since the last marker; while not 0 no more are taken */
	bool awake;    /* the loop was told, or comes back by itself: a timer or a watch */
	bool dead;     /* nobody will ever read */
	_Atomic uint64_t drops;

	/* Output, the loop's own: */
	struct loop_call out_call;
	struct loop_timer out_timer;
	struct loop_ev out_ev;
	bool blocked; /* waiting for the reader, by watch or (where that is refused) by timer */
	bool watched;
	bool warned;
	uint64_t failed_lost; /* c->lost when a write failed; 0: the last write went well */
	char marker[80];
	size_t marker_at, marker_len;
	uint64_t marker_lost;

	/* Input */
	struct console_rx rx;
	struct loop_call in_call;
	struct loop_ev in_ev, listen_ev;
	bool in_watched, in_end, escape, brk;
	size_t pend_at, pend_n;
	_Atomic bool rx_waiting, rx_posted;
	atomic_bool out_posted;
	uint8_t pend[PEND_SIZE];
};

/* Set up lock, ring and callbacks / release them. Main. 0 or -errno. */
int console_out_init(struct console *con);
void console_out_exit(struct console *con);

/* The loop's thread: write, and see to it that we come back; forget the watch. */
void console_out_run(struct console *con);
void console_out_unwatch(struct console *con);

/* The socket's client left or failed: output waits for the next one. The loop's thread. */
void console_client_gone(struct console *con);

#endif
