/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a device interrupts. An irq_src is one interrupt line or one MSI(-X) vector: the device raises it, its transport
 * (MSI-X table, IOAPIC) masks and routes it, and nobody else knows whether an irqfd or a call into a local APIC in this
 * process carries it.
 *
 * While a source is masked or has no route its raises are kept as pending, and delivered when it is unmasked.
 */
#ifndef PINVM_IRQ_H
#define PINVM_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct loop;

struct irq_msg {
	uint64_t addr;
	uint32_t data;
	uint32_t devid; /* MSI device id, used where the architecture has one */
};

struct irq_src {
	struct vm *vm;
	int fd;  /* eventfd; its counter is the pending bit while the irqfd is not bound; -1: vm->direct */
	int gsi; /* entry in the routing table */
	bool routed, masked, bound, dirty; /* dirty: the table does not hold msg yet */
	struct irq_msg msg;
	_Atomic uint64_t raised; /* count of raises */
	/*
	 * For a pin that its guest has made level-triggered: is what it interrupts for still there? Any thread, lock-free. Set
	 * after irq_open(); NULL: an edge is all there is.
	 */
	bool (*line)(void *arg);
	void *line_arg;
	/* Without an irqfd (struct irq_direct): msg in a word while it may go, else 0; and a raise that waits for that. */
	_Atomic uint64_t direct;
	_Atomic bool pending;
};

/*
 * Who takes interrupts where no controller in KVM does: vm->direct. A message is packed when it is routed, and delivered by
 * the raising thread itself. As with a device's write that is on its way, one that is being raised while its source is
 * masked may still arrive.
 */
struct irq_direct {
	uint64_t (*pack)(const struct irq_msg *msg); /* 0: it would reach nobody. Any thread. */
	void (*deliver)(void *arg, uint64_t word);   /* any thread, lock-free */
	void *arg;
};

/* Is this source's message an entry of the routing table? irq_lock held. */
static inline bool irq_in_table(const struct irq_src *src)
{
	return src->routed && !src->dirty;
}

/*
 * Make a source, masked and without a route. gsi >= 0 names a pin of the board's interrupt controller,
 * -1 takes the next free MSI entry. Main only. Returns 0, -ENOSPC, or what eventfd() said.
 */
int irq_open(struct irq_src *src, struct vm *vm, int gsi);
void irq_close(struct irq_src *src);

/*
 * Set where the source goes / whether it may go. Called by the owning transport under its mutex (vCPU threads or main).
 * The routing table is written only when a route really changes. Returns 0 or -errno of the KVM call.
 */
int irq_route(struct irq_src *src, const struct irq_msg *msg);
int irq_mask(struct irq_src *src, bool masked);

/*
 * Instead of irq_route(), for a pin whose route KVM's own first table has already (GSI n is pin n), and arch_msi_route()
 * repeats in a table written later. Main, while no vCPU runs.
 */
void irq_wired(struct irq_src *src);

/* Interrupt. Any thread, lock-free. loop: the caller's own loop, which may carry the eventfd write in its next
 * submission (NULL: write at once). */
void irq_raise(struct irq_src *src, struct loop *loop);

/* Raised while masked and not delivered yet (the MSI-X PBA bit). Any thread. */
bool irq_pending(const struct irq_src *src);

/* Forget what was raised while masked: a level-triggered line that has gone down since. The owning transport. */
void irq_forget(struct irq_src *src);

/* Forget route and pending state, as at power-on: masked, unrouted, nothing pending. */
void irq_reset(struct irq_src *src);

#endif
