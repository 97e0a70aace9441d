// SPDX-License-Identifier: Apache-2.0
/* The io_uring engine of a loop: none in this build, which makes IO_AUTO take the plain one. */
#include <errno.h>

#include "vmm/loop_engine.h"

static int uring_create(struct loop *loop, unsigned depth)
{
	return -ENOSYS;
}

const struct loop_engine loop_uring = {.name = "io_uring", .create = uring_create};
