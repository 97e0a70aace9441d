/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGTERM, SIGINT and SIGHUP, sent to the process, as a descriptor that main waits for. Main alone takes them: all other
 * threads have them blocked (thread.h). A signalfd(2) would do the same, but whoever waits for one is woken by every
 * signal that any thread of the process gets: by the kicks and the timers of vCPUs.
 */
#ifndef PINVM_SIGNALS_H
#define PINVM_SIGNALS_H

/*
 * From now on main's system calls may end with EINTR where SA_RESTART has no say (signal(7)). One at a time; *fd is
 * readable while a signal waits to be taken. 0 or -errno, logged. Main.
 */
int signals_open(int *fd);
/* The last one that was sent; those before it, which main had no time for, are taken with it. 0: none. Main. */
int signals_take(int fd);
/* What comes later is ignored: the process ends anyway. *fd is -1 then; harmless when it is already. Main. */
void signals_close(int *fd);

#endif
