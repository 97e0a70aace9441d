// SPDX-License-Identifier: Apache-2.0
/*
 * Interrupt sources over a fake KVM that treats a bound eventfd as the real one does: what it finds when it binds it
 * delivers but leaves in the counter, what is raised later it takes out.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/unit/unit.h"
#include "vmm/irq.h"
#include "vmm/vm.h"

static int bound_fd = -1, binds, unbinds, writes, route_error;
static unsigned delivered;
static int gsi_error, gsi_frees;
static struct irq_src *all[2]; /* what the table is made of */
static uint64_t bad_addr;      /* an entry with this address makes KVM refuse the whole table */

static void consume(void)
{
	eventfd_t n;

	if (bound_fd >= 0 && eventfd_read(bound_fd, &n) == 0)
		delivered++;
}

int vm_gsi_take(struct vm *vm, struct irq_src *src, int gsi)
{
	return gsi_error ? gsi_error : gsi < 0 ? 24 : gsi;
}

void vm_gsi_free(struct vm *vm, int gsi)
{
	ck_assert_int_ge(gsi, 0);
	gsi_frees++;
}

int vm_irqfd(struct vm *vm, int gsi, int fd, bool on)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	bound_fd = on ? fd : -1;
	binds += on;
	unbinds += !on;
	if (on && poll(&p, 1, 0) == 1)
		delivered++;
	return 0;
}

int vm_routes_write(struct vm *vm)
{
	writes++;
	for (unsigned i = 0; i < 2; i++)
		if (bad_addr && all[i] && irq_in_table(all[i]) && all[i]->msg.addr == bad_addr)
			return -EINVAL;
	return route_error;
}

static struct vm vm = {.irq_lock = PTHREAD_MUTEX_INITIALIZER};
static const struct irq_msg msg_a = {.addr = 0xfee00000, .data = 0x41}, msg_b = {.addr = 0xfee01000, .data = 0x42};

static void raise_and_consume(struct irq_src *src)
{
	irq_raise(src, NULL);
	consume();
}

START_TEST(keeps_what_is_raised_while_masked)
{
	struct irq_src src;

	ck_assert_int_eq(irq_open(&src, &vm, -1), 0);
	raise_and_consume(&src);
	ck_assert(irq_pending(&src));
	ck_assert_int_eq(irq_route(&src, &msg_a), 0);
	ck_assert_msg(binds == 0 && writes == 0, "masked: KVM is left alone");
	ck_assert_int_eq(irq_mask(&src, false), 0);
	ck_assert_int_eq(binds, 1);
	ck_assert_int_eq(writes, 1);
	ck_assert_uint_eq(delivered, 1);
	ck_assert(!irq_pending(&src));
	raise_and_consume(&src);
	ck_assert_uint_eq(delivered, 2);
	irq_mask(&src, true);
	raise_and_consume(&src);
	raise_and_consume(&src);
	ck_assert_uint_eq(delivered, 2);
	irq_mask(&src, false);
	ck_assert_msg(delivered == 3, "edges that came while masked are one");
	irq_close(&src);
	ck_assert_int_eq(binds, unbinds);
}
END_TEST

START_TEST(writes_routes_only_on_change)
{
	struct irq_src src;

	ck_assert_int_eq(irq_open(&src, &vm, 4), 0);
	ck_assert_int_eq(src.gsi, 4);
	irq_route(&src, &msg_a);
	irq_mask(&src, false);
	irq_route(&src, &msg_a);
	irq_mask(&src, false);
	ck_assert_int_eq(writes, 1);
	irq_mask(&src, true);
	irq_mask(&src, false);
	ck_assert_msg(writes == 1, "masking does not touch the table");
	irq_route(&src, &msg_b);
	ck_assert_msg(writes == 2 && binds == 2, "a new route while unmasked takes effect at once");
	irq_mask(&src, true);
	irq_route(&src, &msg_a);
	irq_route(&src, &msg_b);
	ck_assert_int_eq(writes, 2);
	irq_close(&src);
}
END_TEST

START_TEST(reset_forgets)
{
	struct irq_src src;

	irq_open(&src, &vm, -1);
	irq_route(&src, &msg_a);
	irq_mask(&src, false);
	irq_mask(&src, true);
	irq_raise(&src, NULL);
	irq_reset(&src);
	ck_assert(!irq_pending(&src));
	irq_mask(&src, false);
	ck_assert_msg(bound_fd == -1, "no route: not bound");
	irq_close(&src);
}
END_TEST

START_TEST(reports_what_kvm_refused)
{
	struct irq_src src;

	irq_open(&src, &vm, -1);
	irq_route(&src, &msg_a);
	route_error = -EINVAL;
	ck_assert_int_eq(irq_mask(&src, false), -EINVAL);
	ck_assert_int_eq(bound_fd, -1);
	route_error = 0;
	irq_mask(&src, true);
	ck_assert_int_eq(irq_mask(&src, false), 0);
	ck_assert_int_eq(writes, 2);
	irq_close(&src);
}
END_TEST

/* A guest that writes nonsense into one vector must not cost the others theirs. */
START_TEST(a_refused_message_harms_nobody_else)
{
	struct irq_src a, b;

	irq_open(&a, &vm, -1);
	irq_open(&b, &vm, -1);
	all[0] = &a;
	all[1] = &b;
	bad_addr = 0x1fee00000;
	irq_route(&a, &(struct irq_msg){.addr = bad_addr});
	irq_route(&b, &msg_b);
	ck_assert_msg(irq_mask(&b, false) == 0, "a is masked: nobody asked for its message");
	irq_mask(&b, true);
	ck_assert_int_eq(irq_mask(&a, false), -EINVAL);
	irq_route(&b, &msg_a);
	ck_assert_msg(irq_mask(&b, false) == 0, "a was refused, b was not");
	ck_assert_int_eq(bound_fd, b.fd);
	ck_assert_msg(irq_route(&b, &(struct irq_msg){.addr = bad_addr}) == -EINVAL && bound_fd == -1,
		"what is bound has a route");
	raise_and_consume(&b);
	ck_assert_int_eq(irq_route(&b, &msg_b), 0);
	ck_assert_int_eq(bound_fd, b.fd);
	irq_mask(&a, true);
	irq_route(&a, &msg_a);
	ck_assert_int_eq(irq_mask(&a, false), 0);
	irq_close(&a);
	irq_close(&b);
}
END_TEST

/* A teardown closes what was opened and what was not, alike. */
START_TEST(one_that_failed_to_open_is_closed)
{
	struct irq_src src;

	memset(&src, 0xff, sizeof(src));
	gsi_error = -ENOSPC;
	ck_assert_int_eq(irq_open(&src, &vm, -1), -ENOSPC);
	irq_close(&src);
	ck_assert_int_eq(gsi_frees, 0);
	gsi_error = 0;
	ck_assert_int_eq(irq_open(&src, &vm, -1), 0);
	irq_close(&src);
	irq_close(&src);
	ck_assert_int_eq(gsi_frees, 1);
}
END_TEST

/* ---- without irqfds: struct irq_direct ---- */

static _Atomic uint64_t direct_word, direct_count;

static uint64_t pack(const struct irq_msg *msg)
{
	return msg->addr == 0xfee00000 || msg->addr == 0xfee01000 ? msg->data : 0;
}

static void deliver(void *arg, uint64_t word)
{
	ck_assert_ptr_eq(arg, &direct_count);
	atomic_store(&direct_word, word);
	atomic_fetch_add(&direct_count, 1);
}

static const struct irq_direct direct = {.pack = pack, .deliver = deliver, .arg = &direct_count};
static struct vm direct_vm = {.irq_lock = PTHREAD_MUTEX_INITIALIZER, .direct = &direct};

START_TEST(direct_delivers_like_an_irqfd)
{
	struct irq_src src;

	ck_assert_int_eq(irq_open(&src, &direct_vm, -1), 0);
	irq_raise(&src, NULL);
	irq_raise(&src, NULL);
	ck_assert(irq_pending(&src));
	irq_route(&src, &msg_a);
	ck_assert_uint_eq(direct_count, 0);
	irq_mask(&src, false);
	ck_assert_msg(direct_count == 1 && direct_word == 0x41, "edges that came while masked are one");
	ck_assert(!irq_pending(&src));
	irq_raise(&src, NULL);
	ck_assert_uint_eq(direct_count, 2);
	irq_route(&src, &msg_b);
	irq_raise(&src, NULL);
	ck_assert(direct_count == 3 && direct_word == 0x42);
	irq_mask(&src, true);
	irq_raise(&src, NULL);
	ck_assert_uint_eq(direct_count, 3);
	irq_reset(&src);
	ck_assert(!irq_pending(&src));
	irq_mask(&src, false);
	irq_raise(&src, NULL);
	ck_assert_msg(direct_count == 3 && irq_pending(&src), "no route");
	ck_assert_uint_eq(src.raised, 6);
	ck_assert(binds == 0 && writes == 0);
	irq_close(&src);
	irq_close(&src);
	ck_assert_int_eq(gsi_frees, 1);
}
END_TEST

START_TEST(direct_refuses_what_reaches_nobody)
{
	struct irq_src src;

	irq_open(&src, &direct_vm, 4);
	irq_mask(&src, false);
	ck_assert_int_eq(irq_route(&src, &(struct irq_msg){.addr = 0xdead}), -EINVAL);
	irq_raise(&src, NULL);
	ck_assert(direct_count == 0 && irq_pending(&src));
	ck_assert_int_eq(irq_route(&src, &msg_a), 0);
	ck_assert_uint_eq(direct_count, 1);
	irq_close(&src);
}
END_TEST

#define ROUNDS 20000

static void *masker(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		irq_mask(arg, true);
		irq_route(arg, i & 1 ? &msg_a : &msg_b);
		irq_mask(arg, false);
	}
	return NULL;
}

/* A driver waits for each interrupt before the device raises the next one: if one is lost, it waits for ever. */
START_TEST(direct_loses_none_while_masked_and_routed)
{
	struct irq_src src;
	pthread_t thread;

	irq_open(&src, &direct_vm, -1);
	irq_route(&src, &msg_a);
	irq_mask(&src, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, masker, &src), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t before = atomic_load(&direct_count);

		irq_raise(&src, NULL);
		while (atomic_load(&direct_count) == before)
			sched_yield();
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(direct_count, ROUNDS);
	ck_assert(!irq_pending(&src));
	irq_close(&src);
}
END_TEST

UNIT_MAIN("irq", direct_delivers_like_an_irqfd, direct_refuses_what_reaches_nobody, direct_loses_none_while_masked_and_routed,
	one_that_failed_to_open_is_closed, a_refused_message_harms_nobody_else, keeps_what_is_raised_while_masked, writes_routes_only_on_change, reset_forgets, reports_what_kvm_refused)
