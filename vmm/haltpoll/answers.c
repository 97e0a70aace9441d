// SPDX-License-Identifier: Apache-2.0
/* What vCPUs answered when they were asked whether the guest polls by itself. Main. */
#include "vmm/guest.h"
#include "vmm/haltpoll/priv.h"

int haltpoll_guest_polls(const struct haltpoll *hp)
{
	int most = -1;

	for (unsigned i = 0; i < hp->guest->cfg->cpus.count; i++) {
		int answer = atomic_load_explicit(&hp->guest->vcpu[i].guest_polls, memory_order_relaxed);

		most = answer > most ? answer : most;
	}
	return most;
}
