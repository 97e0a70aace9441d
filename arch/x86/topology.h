/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, cores and threads of a guest as numbers and as APIC id fields. Pure functions, any thread. */
#ifndef PINVM_X86_TOPOLOGY_H
#define PINVM_X86_TOPOLOGY_H

#include "vmm/config.h"

struct x86_topology {
	unsigned sockets, cores, threads; /* cores a socket, threads a core; each at least 1 */
	unsigned thread_bits,
		package_bits; /* APIC id: the core starts at thread_bits, the socket at package_bits */
};

/* Fill in what the configuration left open: one thread a core, all cores in one socket. */
void x86_topology(struct x86_topology *topo, const struct cpu_config *cpus);

#endif
