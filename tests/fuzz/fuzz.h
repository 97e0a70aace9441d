/* SPDX-License-Identifier: Apache-2.0 */
/* The entry of every fuzzer: called by libFuzzer, or by replay.c for each file of a corpus. */
#ifndef PINVM_TESTS_FUZZ_H
#define PINVM_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
