// SPDX-License-Identifier: Apache-2.0
/*
 * Interrupt sources over irqfd; see irq.h. A source that may not deliver (masked, or no route yet) has its irqfd
 * unbound, and the eventfd's own counter keeps what was raised meanwhile: binding it again delivers. With vm->direct there
 * are neither irqfds nor eventfds, and the source's own words do the same.
 */
#include "vmm/irq.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/loop/loop.h"
#include "vmm/vm.h"

int irq_open(struct irq_src *src, struct vm *vm, int gsi)
{
	int fd;

	memset(src, 0, sizeof(*src)); /* without a vm, as irq_close() knows a source that is not open */
	fd = vm->direct ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0 && !vm->direct)
		return -errno;
	src->gsi = vm_gsi_take(vm, src, gsi);
	if (src->gsi < 0) {
		if (fd >= 0)
			close(fd);
		return src->gsi;
	}
	src->vm = vm;
	src->fd = fd;
	src->masked = true;
	return 0;
}

void irq_close(struct irq_src *src)
{
	if (!src->vm)
		return;
	irq_reset(src);
	vm_gsi_free(src->vm, src->gsi);
	if (src->fd >= 0)
		close(src->fd);
	src->vm = NULL;
}

/*
 * The word goes first, then what was raised before it was there: irq_raise() sets its pending bit and then looks for the word
 * again, so that one of the two finds it.
 */
static int apply_direct(struct irq_src *src)
{
	const struct irq_direct *to = src->vm->direct;
	bool want = src->routed && !src->masked;
	uint64_t word = want ? to->pack(&src->msg) : 0;

	atomic_store(&src->direct, word);
	src->bound = word;
	src->dirty = false;
	if (word && atomic_exchange(&src->pending, false))
		to->deliver(to->arg, word);
	return want && !word ? -EINVAL : 0;
}

/* Make the kernel's state what the source's state says. Caller holds irq_lock. */
static int apply(struct irq_src *src)
{
	bool want = src->routed && !src->masked;
	eventfd_t count;
	int routed = 0, err;

	if (src->vm->direct)
		return apply_direct(src);
	/*
	 * KVM takes or refuses the table as a whole. A message that it refused (the guest chose it) stays out of the table,
	 * or no other source could be routed any more; meanwhile the eventfd keeps what is raised.
	 */
	if (want && src->dirty) {
		src->dirty = false;
		routed = vm_routes_write(src->vm);
		want = !routed;
		src->dirty = !want;
	}
	if (want == src->bound)
		return routed;
	err = vm_irqfd(src->vm, src->gsi, src->fd, want);
	if (err)
		return routed ? routed : err;
	src->bound = want;
	/*
	 * Binding delivers what was pending, but leaves it in the counter, where the next masking would find it again.
	 * Nothing is lost by taking it out: whatever is raised from now on is delivered by the raising write itself.
	 */
	if (want)
		eventfd_read(src->fd, &count);
	return routed;
}

int irq_route(struct irq_src *src, const struct irq_msg *msg)
{
	int err = 0;

	pthread_mutex_lock(&src->vm->irq_lock);
	if (!src->routed || src->dirty || memcmp(&src->msg, msg, sizeof(*msg)) != 0) {
		src->msg = *msg;
		src->routed = src->dirty = true;
		err = apply(src);
	}
	pthread_mutex_unlock(&src->vm->irq_lock);
	return err;
}

int irq_mask(struct irq_src *src, bool masked)
{
	int err = 0;

	pthread_mutex_lock(&src->vm->irq_lock);
	if (src->masked != masked) {
		src->masked = masked;
		err = apply(src);
	}
	pthread_mutex_unlock(&src->vm->irq_lock);
	return err;
}

void irq_wired(struct irq_src *src)
{
	pthread_mutex_lock(&src->vm->irq_lock);
	src->routed = true;
	src->dirty = false;
	pthread_mutex_unlock(&src->vm->irq_lock);
}

static void raise_direct(struct irq_src *src)
{
	const struct irq_direct *to = src->vm->direct;
	uint64_t word = atomic_load(&src->direct);

	if (!word) {
		atomic_store(&src->pending, true);
		word = atomic_load(&src->direct);
		if (!word || !atomic_exchange(&src->pending, false))
			return;
	}
	to->deliver(to->arg, word);
}

void irq_raise(struct irq_src *src, struct loop *loop)
{
	atomic_fetch_add_explicit(&src->raised, 1, memory_order_relaxed);
	if (src->fd < 0)
		raise_direct(src);
	else if (loop)
		loop_signal(loop, src->fd);
	else
		eventfd_write(src->fd, 1); /* full counter: it is pending anyway */
}

bool irq_pending(const struct irq_src *src)
{
	struct pollfd p = {.fd = src->fd, .events = POLLIN};

	if (src->fd < 0)
		return atomic_load(&src->pending);
	return poll(&p, 1, 0) == 1;
}

void irq_forget(struct irq_src *src)
{
	eventfd_t count;

	if (src->fd >= 0)
		eventfd_read(src->fd, &count);
	atomic_store(&src->pending, false);
}

void irq_reset(struct irq_src *src)
{
	pthread_mutex_lock(&src->vm->irq_lock);
	src->masked = true;
	apply(src);
	src->routed = src->dirty = false;
	irq_forget(src);
	pthread_mutex_unlock(&src->vm->irq_lock);
}
