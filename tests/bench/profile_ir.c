// SPDX-License-Identifier: Apache-2.0
/*
 * What the exit profile adds to an exit, in instructions: profile_ir.sh runs it under callgrind, which counts
 * inside measured() only. Arguments: exits, how many addresses take turns, whether times are taken (0 or 1);
 * prints the exits made. With a fourth argument it is no work for callgrind: it prints the nanoseconds an
 * exit took instead.
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/bus.h"
#include "vmm/profile/profile.h"

/* What run_guest() of vmm/vcpu.c calls for each exit. */
__attribute__((noinline)) static void measured(struct profile *profile, const struct kvm_run *run)
{
	profile_enter(profile);
	profile_leave(profile);
	profile_exit(profile, run);
}

int main(int argc, char **argv)
{
	unsigned exits = argc > 1 ? atoi(argv[1]) : 100000, addresses = argc > 2 ? atoi(argv[2]) : 32;
	struct kvm_run *run = calloc(1, sizeof(*run)); /* not static: the compiler is not to know it */
	static struct bus bus;
	bool times = argc > 3 && atoi(argv[3]);
	struct profiles profiles = {0};
	struct profile *profile;
	uint64_t start;

	bus_freeze(&bus);
	if (!run || !addresses || profiles_create(&profiles, 1, times))
		return 1;
	profile = profiles_at(&profiles, 0);
	profile_settle(profile, &bus, times);
	profile_begin(profile);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.len = 4;
	start = now_ns();
	for (unsigned i = 0; i < exits; i++) {
		run->mmio.phys_addr = 0xc0000000 + i % addresses * 4;
		measured(profile, run);
	}
	if (argc > 4)
		printf("%.1f\n", (double)(now_ns() - start) / exits);
	else
		printf("%u\n", exits);
	profiles_destroy(&profiles);
	free(run);
	return 0;
}
