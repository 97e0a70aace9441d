// SPDX-License-Identifier: Apache-2.0
/* How vCPUs become threads of cores of sockets; see topology.h and cpuid.h. Pure functions, any thread. */
#include "arch/x86/topology.h"

#include "arch/x86/cpuid.h"

/* Bits to count n things. */
static unsigned bits_for(unsigned n)
{
	unsigned bits = 0;

	while (bits < 31 && 1u << bits < n)
		bits++;
	return bits;
}

static unsigned divide_up(unsigned n, unsigned by)
{
	return n ? (n - 1) / by + 1 : 1;
}

void x86_topology(struct x86_topology *topo, const struct cpu_config *cpus)
{
	unsigned sockets = cpus->sockets, cores = cpus->cores, threads = cpus->threads;

	if (!threads)
		threads = sockets && cores ? divide_up(divide_up(cpus->count, sockets), cores) : 1;
	if (!cores)
		cores = divide_up(divide_up(cpus->count, threads), sockets ? sockets : 1);
	if (!sockets)
		sockets = divide_up(divide_up(cpus->count, threads), cores);
	*topo = (struct x86_topology){
		.sockets = sockets,
		.cores = cores,
		.threads = threads,
		.thread_bits = bits_for(threads),
		.package_bits = bits_for(threads) + bits_for(cores),
	};
}

uint32_t x86_apic_id(const struct cpu_config *cpus, unsigned vcpu)
{
	struct x86_topology topo;
	unsigned core;

	x86_topology(&topo, cpus);
	core = vcpu / topo.threads;
	return core / topo.cores << topo.package_bits | core % topo.cores << topo.thread_bits |
	       vcpu % topo.threads;
}
