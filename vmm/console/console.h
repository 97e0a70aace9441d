/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host end of the guest's serial port: a terminal, a file, a pty or a UNIX socket.
 *
 * Descriptors are read and written by the thread of the loop given to console_open(). vCPU threads only
 * append to a bounded ring in memory, so a slow or stuck reader never holds a vCPU: when the ring is full the
 * newest bytes are dropped and counted, and one line in the output says how many once there is room again.
 */
#ifndef PINVM_CONSOLE_H
#define PINVM_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/config.h"

struct console;
struct loop;

#define CONSOLE_RING (256u << 10) /* bytes of output that wait for the reader */

/* Where input goes. Called on the loop's thread. */
struct console_rx {
	size_t (*room)(void *arg); /* bytes that put() takes now */
	void (*put)(void *arg, const uint8_t *data,
		size_t len);	/* len <= room(); exactly once a byte, in order */
	void (*brk)(void *arg); /* a break, in place of one byte; NULL: none */
	void *arg;
};

/*
 * Open the back end cfg->serial names (cfg->serial_path for file and socket). on_quit(arg) runs on the loop's
 * thread when the user types Ctrl-A x on a terminal. Main, before other threads exist. Returns 0, or -errno
 * after one logged line; nothing is left behind then.
 *
 * - stdio: a terminal on standard input is set raw (signals off too: Ctrl-C is the guest's) while the process
 * is in the foreground, set back on SIGTSTP, by console_close() and before a fatal signal. Anything else that
 * is standard input goes to the guest byte for byte, without escape keys; its end is not the guest's end.
 * Neither descriptor's file flags are touched: other processes share them.
 * - file: created 0600 and truncated. Output only.
 * - pty: one line "serial: /dev/pts/N" on standard output. Output waits in the ring until somebody reads.
 * - socket: a stream listener, mode 0600. One client at a time: while one is connected a later one is told so
 * and refused. Output waits for the next client. A socket nobody listens on is replaced, a live one is
 * refused
 *   (-EADDRINUSE), and the path is removed at console_close() if it is still ours.
 */
int console_open(struct console **con, const struct guest_config *cfg, struct loop *loop,
	void (*on_quit)(void *arg), void *arg);

/*
 * Write out what the ring holds, as long as the reader goes on reading (at most 500 ms without progress, 3 s
 * in all), restore the terminal, remove the socket, free. The loop's thread, when no other thread uses the
 * console any more, and before loop_destroy(); steps the loop if a call is on its way to it. NULL is fine.
 */
void console_close(struct console *con);

/*
 * Write out what the ring holds, within the bounds of console_close(), and take no more from then on: what is said after
 * the guest's end then stands behind what the guest said. The loop's thread, when nobody calls console_write() any more.
 */
void console_flush(struct console *con);

/* Append output. Any thread; never waits for a reader. Wakes the loop at most once each few milliseconds. */
void console_write(struct console *con, const uint8_t *data, size_t len);

/* Say where input goes; none is read before. Main, before other threads exist, or with no thread in rx (rx
 * NULL: stop). */
void console_set_rx(struct console *con, const struct console_rx *rx);

/* There is room again for input. Any thread; one atomic load when nothing waits. */
void console_rx_ready(struct console *con);

/* Bytes of output dropped so far. Any thread. */
uint64_t console_drops(const struct console *con);

#endif
