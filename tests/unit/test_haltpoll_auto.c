// SPDX-License-Identifier: Apache-2.0
/* The hands of --halt-poll auto on a KVM that is made up: what the VM has is what the controller thinks it has. */
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/util.h"

static struct halt_host host = {.block_ns = 4000, .wake_ns = 6000};
static struct guest_config cfg;
static struct guest guest = {.cfg = &cfg};
static struct haltpoll hp = {.guest = &guest};
static struct vcpu vcpu;
static struct halt_window window;
static int read_err;

/* ---- in place of KVM and the guest ---- */

int haltpoll_give(struct haltpoll *to, uint64_t ns)
{
	to->ceiling_ns = ns;
	return 0;
}

void haltpoll_measure(uint64_t *block_ns, uint64_t *wake_ns)
{
	*block_ns = host.block_ns;
	*wake_ns = host.wake_ns;
}

int haltpoll_readings_open(struct haltpoll_auto *ctl, char *why, size_t n)
{
	(void)why;
	(void)n;
	ctl->window = &window;
	return 0;
}

int haltpoll_read(struct haltpoll_auto *ctl, unsigned i, struct halt_window *out)
{
	(void)ctl;
	(void)i;
	if (!read_err) { /* 1000 halts of 5 us */
		memset(out, 0, sizeof(*out));
		out->success[13] = 1000;
		out->success_ns = 5000000;
	}
	return read_err;
}

void haltpoll_readings_keep(struct haltpoll_auto *ctl)
{
	(void)ctl;
}

void haltpoll_readings_close(struct haltpoll_auto *ctl)
{
	(void)ctl;
}

int haltpoll_guest_polls(const struct haltpoll *of)
{
	(void)of;
	return 0;
}

bool guest_is_ending(const struct guest *of)
{
	(void)of;
	return false;
}

void vcpu_kick(struct vcpu *of)
{
	(void)of;
}

/* ---- the controller ---- */

/* It polls on its second rung. */
static struct haltpoll_auto *begin(unsigned budget)
{
	struct halt_limits limits = {.max_ns = 1000000, .budget = budget, .weight = 4};
	struct haltpoll_auto *ctl;
	char why[192] = "";

	config_defaults(&cfg);
	cfg.cpus.count = 1;
	guest.vcpu = &vcpu;
	ck_assert_int_eq(loop_create(&guest.loop, "main", IO_PLAIN, 8), 0);
	ck_assert_int_eq(haltpoll_auto_start(&ctl, &hp, &limits, why, sizeof(why)), 0);
	ctl->state.rung = 2;
	hp.ceiling_ns = ctl->state.rung_ns[2];
	ck_assert_uint_gt(hp.ceiling_ns, 0);
	return ctl;
}

static void step_until_decided(struct haltpoll_auto *ctl)
{
	for (uint64_t before = ctl->decisions; ctl->decisions == before;)
		ck_assert_int_ge(loop_step(guest.loop, false), 0);
}

static void end(struct haltpoll_auto *ctl)
{
	haltpoll_auto_stop(ctl);
	loop_destroy(guest.loop);
	config_free(&cfg);
}

/* Its state is made anew, with no ceiling, and so is the VM's; what was polled above the budget stays owed. */
START_TEST(another_host)
{
	struct haltpoll_auto *ctl = begin(100);

	step_until_decided(ctl);
	ck_assert_uint_gt(hp.ceiling_ns, 0);
	host.wake_ns *= 3;
	ctl->measured_ns = now_ns() - 60000000000ULL;
	ctl->state.debt_ns = 5e9;
	step_until_decided(ctl);
	ck_assert_uint_eq(ctl->state.host.wake_ns, 18000);
	ck_assert_uint_eq(ctl->state.rung, 0);
	ck_assert_uint_eq(hp.ceiling_ns, 0);
	ck_assert(ctl->state.debt_ns == 5e9);
	end(ctl);
}
END_TEST

/* Blind, it lets nobody poll; a new VM is looked at again. */
START_TEST(no_statistics)
{
	struct haltpoll_auto *ctl = begin(10);

	read_err = -EIO;
	while (!ctl->stopped)
		ck_assert_int_ge(loop_step(guest.loop, false), 0);
	ck_assert_uint_eq(hp.ceiling_ns, 0);
	ck_assert_uint_eq(ctl->state.rung, 0);
	ck_assert_uint_eq(ctl->decisions, 0);
	read_err = 0;
	haltpoll_auto_resume(ctl);
	ck_assert_ptr_null(ctl->stopped);
	step_until_decided(ctl);
	end(ctl);
}
END_TEST

UNIT_MAIN("haltpoll_auto", another_host, no_statistics)
