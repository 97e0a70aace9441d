/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread gives up before the guest's first instruction: capabilities and the right to gain any. Both belong to a
 * thread, so each thread does it for itself, after it was placed (which may need CAP_SYS_NICE). capabilities(7).
 */
#ifndef PINVM_SANDBOX_H
#define PINVM_SANDBOX_H

#include <stdint.h>

/*
 * Clear all capability sets of the calling thread, the bounding set too where that is allowed, and set no_new_privs.
 * Irreversible. 0 or -errno, logged.
 */
int sandbox_drop(void);
/* The same, but for `caps` (1 << CAP_...), of those that the thread has: for the guardian. */
int sandbox_keep(uint64_t caps);

#endif
