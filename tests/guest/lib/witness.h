/* SPDX-License-Identifier: Apache-2.0 */
/* A CPU that goes on taking random bytes from the rng, and gets them, whatever another one does to another device. */
#ifndef PINVM_TESTS_GUEST_WITNESS_H
#define PINVM_TESTS_GUEST_WITNESS_H

/* Finds the rng and takes from it once, with the memory for that: before there are several CPUs. */
void witness_open(void);
/* For cpu_start(): does not return. */
void witness_cpu(unsigned id);
/* It got some more since, or else the guest fails. */
void witness_goes_on(void);
/* The rng never asked for a reset, or else the guest fails. */
void witness_is_whole(void);

#endif
