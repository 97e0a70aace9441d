/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of halt polling share. Main. */
#ifndef PINVM_HALTPOLL_PRIV_H
#define PINVM_HALTPOLL_PRIV_H

#include <stdbool.h>

#include "vmm/haltpoll/haltpoll.h"

struct haltpoll {
	struct guest *guest;
	struct haltpoll_spec spec;
	uint64_t ceiling_ns; /* what this VM was given */
	bool given;	     /* it was; otherwise it follows the kernel's own */
};

#endif
