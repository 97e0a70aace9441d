/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc knows of a thread: reading it is not the guest's time but that of who looks. One thread. */
#ifndef PINVM_STAT_TASK_H
#define PINVM_STAT_TASK_H

#include <jansson.h>
#include <sys/types.h>

/*
 * Of the task `tid` of process `pid` (numbers as this process sees them), an object, the caller's:
 *
 *   at_s                            when it was read: CLOCK_MONOTONIC
 *   cpu                             where it is, or was last
 *   run_ns, run_delay_ns            on a CPU; ready without one             (schedstat)
 *   guest_ns, user_ns, kernel_ns    CPU time by kind, in ticks; user_ns without guest_ns     (stat)
 *   voluntary_switches, involuntary_switches                                (status)
 *   migrations                                                              (sched)
 *
 * A member that the kernel does not tell is missing. NULL: there is no such task, or no memory. `proc` is
 * "/proc".
 */
json_t *task_read(const char *proc, pid_t pid, pid_t tid);

/*
 * The number here of the task that process `pid` (as it is known here) knows by `tid`: the same, but for a
 * process in a PID namespace of its own. 0: there is none. own_pid: what the process takes itself for.
 */
pid_t task_here(const char *proc, pid_t pid, pid_t own_pid, pid_t tid);

#endif
