/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's terminal in raw mode, and back: one per process. Main only; the signal handlers it installs
 * touch nothing but the terminal's settings.
 */
#ifndef PINVM_TTY_H
#define PINVM_TTY_H

#include <stdbool.h>

/*
 * Take the terminal fd over: remember its settings, set it raw while this process is in its foreground, and
 * give the settings back on SIGTSTP and before a fatal signal (handlers only where the default action
 * stands). fd stays the caller's and open until tty_release(). 0, -EBUSY when one is taken already, or
 * -errno.
 */
int tty_take(int fd);

/* May the terminal be read now? In the background a read would stop the process. Sets raw mode if it is not
 * yet. */
bool tty_ready(void);

/* Restore settings and handlers. Harmless when nothing was taken. */
void tty_release(void);

#endif
