/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/irq.c at the link seam: interrupts that are only counted. Included by one .c file of a test program. */
#ifndef PINVM_TESTS_FAKE_IRQ_H
#define PINVM_TESTS_FAKE_IRQ_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/irq.h"

static struct {
	int open, left;		 /* sources open now; irq_open() succeeds this many times more, < 0: always */
	int route_err, mask_err; /* what irq_route() and unmasking return */
	unsigned routes, masks;	 /* calls that would reach KVM */
	_Atomic unsigned delivered;
	_Atomic(struct irq_src *) last; /* what was delivered last */
} fake_irq = {.left = -1};

int irq_open(struct irq_src *src, struct vm *vm, int gsi)
{
	if (!fake_irq.left)
		return -ENOSPC;
	fake_irq.left--;
	fake_irq.open++;
	*src = (struct irq_src){.vm = vm, .fd = 1, .gsi = gsi, .masked = true};
	return 0;
}

void irq_close(struct irq_src *src)
{
	if (!src->fd)
		return;
	src->fd = 0;
	fake_irq.open--;
}

int irq_route(struct irq_src *src, const struct irq_msg *msg)
{
	if (fake_irq.route_err)
		return fake_irq.route_err;
	fake_irq.routes++;
	src->msg = *msg;
	src->routed = true;
	return 0;
}

/* src->raised is the pending bit; src->bound: raises go straight to the guest. */
static void fake_irq_deliver(struct irq_src *src)
{
	if (__atomic_load_n(&src->bound, __ATOMIC_ACQUIRE) && atomic_exchange(&src->raised, 0)) {
		fake_irq.delivered++;
		fake_irq.last = src;
	}
}

int irq_mask(struct irq_src *src, bool masked)
{
	if (src->masked == masked)
		return 0;
	fake_irq.masks++;
	src->masked = masked; /* like irq.c, which remembers what it was told also when KVM refuses */
	if (!masked && fake_irq.mask_err)
		return fake_irq.mask_err;
	__atomic_store_n(&src->bound, !masked, __ATOMIC_RELEASE);
	fake_irq_deliver(src);
	return 0;
}

void irq_raise(struct irq_src *src, struct loop *loop)
{
	src->raised = 1;
	fake_irq_deliver(src);
}

bool irq_pending(const struct irq_src *src)
{
	return src->raised;
}

void irq_reset(struct irq_src *src)
{
	src->masked = true;
	src->routed = false;
	__atomic_store_n(&src->bound, false, __ATOMIC_RELEASE);
	src->raised = 0;
}

#endif
