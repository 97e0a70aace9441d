/* SPDX-License-Identifier: Apache-2.0 */
/* CPU feature bits by the names of /proc/cpuinfo. Pure look-ups, any thread. */
#ifndef PINVM_X86_CPUFEATURE_H
#define PINVM_X86_CPUFEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

struct cpufeature {
	uint32_t leaf, subleaf;
	enum cpuid_reg reg;
	unsigned bit;
};

/* A CPUID register's names, separated by blanks, bit 0 first, "." for a bit without one. */
struct cpufeature_word {
	uint32_t leaf, subleaf;
	enum cpuid_reg reg;
	const char *names;
};

/* The i-th register of the table, or NULL behind its end. */
const struct cpufeature_word *cpufeature_word(size_t i);

/* Find a feature by its name (not terminated, len bytes). False when there is none of that name. */
bool cpufeature_find(const char *name, size_t len, struct cpufeature *out);

#endif
