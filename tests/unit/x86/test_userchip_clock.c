// SPDX-License-Identifier: Apache-2.0
/*
 * The guest's TSC in --irqchip user, before a KVM made of a few numbers: with and without KVM_VCPU_TSC_OFFSET, with its
 * synchronisation of writes that are close, and one that can not move a TSC at all. Bounds are readings of the clock itself.
 */
#include <linux/kvm.h>
#include <string.h>
#include <x86intrin.h>

#include "arch/x86/userchip_priv.h"
#include "tests/unit/fake_ioctl.h"
#include "tests/unit/x86/lapic_unit.h"
#include "vmm/vcpu.h"

#define SECOND 2000000000ULL /* of cycles, to the KVM here */

static struct {
	bool has_attr, has_adjust, stuck;
	uint64_t offset, adjust, speed; /* speed: times the host's */
	uint64_t last_write, last_at, last_offset;
	unsigned calls, writes;
} kvm;
static struct vcpu vcpu;
static struct userchip_vcpu uv;

/* As kvm_synchronize_tsc() does. */
static void write_tsc(uint64_t value)
{
	uint64_t now = __rdtsc() * kvm.speed, expected = kvm.last_write + (now - kvm.last_at);
	bool synchronising = !value || value - expected + SECOND < 2 * SECOND;

	kvm.writes++;
	if (!kvm.stuck)
		kvm.offset = synchronising ? kvm.last_offset : value - now;
	kvm.last_write = value;
	kvm.last_at = now;
	kvm.last_offset = kvm.offset;
}

static int get_or_set_msr(bool sets, struct kvm_msr_entry *msr)
{
	if (msr->index == MSR_TSC && sets)
		write_tsc(msr->data);
	else if (msr->index == MSR_TSC)
		msr->data = __rdtsc() * kvm.speed + kvm.offset;
	else if (msr->index == MSR_TSC_ADJUST && !sets)
		msr->data = kvm.adjust;
	else if (msr->index == MSR_TSC_ADJUST && kvm.has_adjust)
		kvm.adjust = msr->data;
	return 1;
}

static int attr(bool sets, const struct kvm_device_attr *a)
{
	uint64_t *offset = (uint64_t *)(uintptr_t)a->addr;

	if (!kvm.has_attr || a->group != KVM_VCPU_TSC_CTRL || a->attr != KVM_VCPU_TSC_OFFSET) {
		errno = ENXIO;
		return -1;
	}
	if (!sets)
		*offset = kvm.offset;
	else if (!kvm.stuck)
		kvm.offset = *offset;
	kvm.writes += sets;
	return 0;
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_msrs *msrs = arg;

	ck_assert_int_eq(fd, 77);
	kvm.calls++;
	switch (request) {
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		ck_assert_uint_eq(msrs->nmsrs, 1);
		return get_or_set_msr(request == KVM_SET_MSRS, &msrs->entries[0]);
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return attr(request == KVM_SET_DEVICE_ATTR, arg);
	default:
		ck_abort_msg("ioctl %#lx", request);
	}
}

static uint64_t tsc_of(void *arg, unsigned index)
{
	return userchip_tsc(&uv);
}

/* A vCPU whose TSC is where KVM puts a new one's, about 0, with a local APIC in TSC deadline mode. */
static int start(bool has_attr)
{
	static const uint32_t id[] = {0};
	struct lapic_config cfg = {.n = 1, .id = id, .phys_bits = 40, .tsc_khz = TSC_KHZ,
		.ops = {fake_wake, fake_eoi, tsc_of, fake_ns}};

	memset(&kvm, 0, sizeof(kvm));
	kvm.has_attr = has_attr;
	kvm.has_adjust = true;
	kvm.speed = 1;
	kvm.offset = kvm.last_offset = -__rdtsc();
	kvm.last_at = __rdtsc();
	vcpu.fd = 77;
	uv = (struct userchip_vcpu){.vcpu = &vcpu};
	if (!set) {
		ck_assert_int_eq(lapics_create(&set, &cfg), 0);
		x2(0);
		ck_assert_int_eq(wr(0, X_TIMER, 2 << 17 | 0x41), 0);
	}
	uv.lapic = lapics_at(set, 0);
	return userchip_clock_start(&uv);
}

/* Exact where KVM says it, else never ahead of the guest's. */
static void knows_the_offset(void)
{
	if (kvm.has_attr)
		ck_assert_uint_eq(uv.tsc_offset, kvm.offset);
	else
		ck_assert_int_le((int64_t)(uv.tsc_offset - kvm.offset), 0);
}

START_TEST(learns_once)
{
	uint64_t before, now;
	unsigned calls;

	ck_assert_int_eq(start(_i), 0);
	knows_the_offset();
	calls = kvm.calls;
	for (unsigned i = 0; i < 1000; i++) {
		before = __rdtsc() + uv.tsc_offset;
		now = userchip_tsc(&uv);
		ck_assert(now >= before && now <= __rdtsc() + kvm.offset);
	}
	ck_assert_uint_eq(kvm.calls, calls);
}
END_TEST

/* Values that KVM would take for a synchronisation are among them: 0, and where the TSC is anyway. */
START_TEST(takes_what_the_guest_writes)
{
	static const uint64_t values[] = {0, 1, SECOND / 2, 1ULL << 40, 1ULL << 63, UINT64_MAX / 2, 5};

	ck_assert_int_eq(start(_i), 0);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint64_t before = __rdtsc(), old = uv.tsc_offset, adjust = kvm.adjust;

		ck_assert_int_eq(userchip_write_tsc(&uv, values[i]), 0);
		ck_assert_msg((int64_t)(kvm.offset - (values[i] - __rdtsc())) >= 0 && (int64_t)(values[i] + 1 - before - kvm.offset) >= 0,
			"%#lx is not what it is now", (unsigned long)values[i]);
		knows_the_offset();
		ck_assert_uint_eq(kvm.adjust - adjust, uv.tsc_offset - old);
	}
	userchip_write_tsc(&uv, __rdtsc() + kvm.offset - SECOND / 4);
	knows_the_offset();
}
END_TEST

START_TEST(moves_by_the_adjustment)
{
	uint64_t offset, step = SECOND / 8;
	unsigned writes;

	ck_assert_int_eq(start(_i), 0);
	offset = kvm.offset;
	ck_assert_int_eq(userchip_write_tsc_adjust(&uv, step), 0);
	ck_assert_uint_eq(kvm.adjust, step);
	if (kvm.has_attr)
		ck_assert_uint_eq(kvm.offset, offset + step);
	ck_assert_uint_ne(kvm.offset, offset);
	knows_the_offset();
	offset = kvm.offset;
	writes = kvm.writes;
	ck_assert_int_eq(userchip_write_tsc_adjust(&uv, step), 0);
	ck_assert_msg(kvm.writes == writes && kvm.offset == offset, "the same again moves nothing");
	ck_assert_int_eq(userchip_write_tsc_adjust(&uv, -step), 0);
	if (kvm.has_attr)
		ck_assert_uint_eq(kvm.offset, offset - 2 * step);
	knows_the_offset();
}
END_TEST

START_TEST(a_guest_without_the_adjustment_moves_nothing)
{
	uint64_t offset;

	ck_assert_int_eq(start(_i), 0);
	kvm.has_adjust = false;
	offset = kvm.offset;
	ck_assert_int_eq(userchip_write_tsc_adjust(&uv, SECOND), 0);
	ck_assert(kvm.offset == offset && kvm.writes == 0);
}
END_TEST

/* A KVM in software: guests read the host's TSC itself. */
START_TEST(believes_a_clock_that_stays)
{
	uint64_t offset;

	ck_assert_int_eq(start(_i), 0);
	offset = kvm.offset;
	kvm.stuck = true;
	ck_assert_int_eq(userchip_write_tsc(&uv, 1ULL << 50), 0);
	ck_assert_uint_eq(kvm.offset, offset);
	knows_the_offset();
	if (kvm.has_attr)
		ck_assert_uint_eq(kvm.adjust, 0);
}
END_TEST

START_TEST(an_armed_deadline_goes_by_the_new_clock)
{
	uint64_t deadline;

	ck_assert_int_eq(start(_i), 0);
	ck_assert_int_eq(wr(0, X_TPR, 0xf0), 0);
	deadline = userchip_tsc(&uv) + (1ULL << 50);
	ck_assert_int_eq(wr(0, MSR_TSC_DEADLINE, deadline), 0);
	ck_assert(!lapic_timer_run(uv.lapic));
	lapic_timer_moved(uv.lapic);
	userchip_write_tsc(&uv, deadline - (1ULL << 49));
	ck_assert_msg(lapic_timer_moved(uv.lapic) && !lapic_timer_run(uv.lapic), "nearer, and not there");
	userchip_write_tsc(&uv, deadline);
	ck_assert(lapic_timer_moved(uv.lapic) && lapic_timer_run(uv.lapic));
	ck_assert(has(0, X_IRR, 0x41) && rd(0, MSR_TSC_DEADLINE) == 0);
	/* By the adjustment; and away from it, with one that was due before. */
	lapic_ack(uv.lapic);
	deadline = userchip_tsc(&uv) + (1ULL << 50);
	wr(0, MSR_TSC_DEADLINE, deadline);
	userchip_write_tsc_adjust(&uv, kvm.adjust + (1ULL << 51));
	ck_assert(lapic_timer_run(uv.lapic));
	wr(0, X_TPR, 0);
	lapic_ack(uv.lapic);
	wr(0, MSR_TSC_DEADLINE, 1ULL << 40);
	wr(0, X_EOI, 0);
	ck_assert_msg(has(0, X_IRR, 0x41) || lapic_timer_run(uv.lapic), "due long ago");
	lapic_ack(uv.lapic);
	wr(0, MSR_TSC_DEADLINE, userchip_tsc(&uv) + 1);
	userchip_write_tsc(&uv, 1);
	ck_assert_msg(has(0, X_IRR, 0x41), "due by the old clock, before it was set back");
}
END_TEST

START_TEST(a_host_that_slept_is_asked_again)
{
	ck_assert_int_eq(start(_i), 0);
	userchip_tsc(&uv);
	kvm.offset += 1ULL << 40;
	uv.host_tsc = UINT64_MAX; /* what it was before */
	ck_assert_uint_gt(userchip_tsc(&uv), 1ULL << 39);
	knows_the_offset();
	ck_assert_uint_lt(uv.host_tsc, UINT64_MAX);
}
END_TEST

START_TEST(another_speed_is_refused)
{
	ck_assert_int_eq(start(true), 0);
	kvm.speed = 2;
	ck_assert_int_eq(userchip_clock_start(&uv), -ENOTSUP);
}
END_TEST

/* 0: as before Linux 5.16, 1: with KVM_VCPU_TSC_OFFSET */
UNIT_MAIN_TIMES("userchip_clock", {learns_once, 2}, {takes_what_the_guest_writes, 2},
	{moves_by_the_adjustment, 2}, {a_guest_without_the_adjustment_moves_nothing, 2},
	{believes_a_clock_that_stays, 2}, {an_armed_deadline_goes_by_the_new_clock, 2},
	{a_host_that_slept_is_asked_again, 2}, {another_speed_is_refused, 1})
