/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that changes some keys of an option while the guest runs: `limits disk0 iops=500`, `iothread main poll-max=50us`.
 * They are typed as with the option, are checked by its table, and what is left out stays. Main.
 */
#ifndef PINVM_CONTROL_LIVE_H
#define PINVM_CONTROL_LIVE_H

#include <stdbool.h>

#include "vmm/control/request.h"
#include "vmm/options/table.h"

#define LIVE_KEYS 32

struct live {
	struct control_call *call;
	const char *command, *object; /* whose they are: "limits", "disk0" */
	const struct opt_row *row;    /* keys with `live` are meant, no others */
	void *base;		      /* an element of the row, with the values of now; those given are set in it */
	bool given[LIVE_KEYS];	      /* keys of the row */
};

/* KEY=VALUE,...; KEY=off, which takes a key that rides on it along; or off: all of them. 0, or -errno with the call's `why`. */
int live_take(struct live *live, const char *spec);
/* Put "limits disk0: " and that into the call's `why`. -EINVAL. */
int live_wrong(struct live *live, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
