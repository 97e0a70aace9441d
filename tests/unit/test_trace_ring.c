// SPDX-License-Identifier: Apache-2.0
/*
 * Rings made here, with what a kernel would write and with what it would not: wrapped, cut, of sizes that
 * contradict each other; and what a vCPU's records come to.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/trace/priv.h"

#define RING 4096

/* ---- records of a kernel made up here ---- */

static struct trace_formats formats;
static struct trace_vcpu vcpu;
static struct trace_account account;
static struct perf_event_mmap_page page;
static uint8_t data[RING];
static struct trace_ring ring = {.page = &page, .data = data, .size = RING};

enum { ID_EXIT = 1, ID_ENTRY, ID_USER, ID_MSR, ID_MMIO, ID_TIMER, ID_IRQ, ID_POLL, ID_PIO, ID_EOI };

static struct trace_field u32_at(unsigned offset)
{
	return (struct trace_field){.offset = offset, .size = 4};
}

static struct trace_field s32_at(unsigned offset)
{
	return (struct trace_field){.offset = offset, .size = 4, .is_signed = true};
}

/* All fields are words from byte 8 on. */
static void begin(void)
{
	memset(&formats, 0, sizeof(formats));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&page, 0, sizeof(page));
	formats.event[TRACE_EV_EXIT] = (struct trace_format){ID_EXIT, {u32_at(8), u32_at(12)}};
	formats.event[TRACE_EV_ENTRY] = (struct trace_format){.id = ID_ENTRY};
	formats.event[TRACE_EV_USER_EXIT] = (struct trace_format){ID_USER, {u32_at(8), s32_at(12)}};
	formats.event[TRACE_EV_MSR] = (struct trace_format){ID_MSR, {u32_at(8), u32_at(12)}};
	formats.event[TRACE_EV_PIO] = (struct trace_format){ID_PIO, {u32_at(8), u32_at(12)}};
	formats.event[TRACE_EV_MMIO] = (struct trace_format){ID_MMIO, {u32_at(8), {.offset = 16, .size = 8}}};
	formats.event[TRACE_EV_LOCAL_TIMER] = (struct trace_format){.id = ID_TIMER};
	formats.event[TRACE_EV_DEVICE_IRQ] =
		(struct trace_format){ID_IRQ, {s32_at(8), {.offset = 12, .size = 4, .is_text = true}}};
	formats.event[TRACE_EV_HALT_POLL] = (struct trace_format){ID_POLL, {u32_at(8), u32_at(12)}};
	formats.event[TRACE_EV_EOI] = (struct trace_format){.id = ID_EOI};
	trace_account_begin(&account, &vcpu, &formats);
}

struct record {
	struct perf_event_header header;
	uint64_t time;
	uint32_t raw_size;
	uint16_t id, unused;
	int32_t pid;
	uint32_t word[5];
} __attribute__((packed));

static struct record record_of(unsigned id, uint64_t time, uint32_t a, uint32_t b)
{
	return (struct record){
		.header = {.type = PERF_RECORD_SAMPLE, .size = sizeof(struct record)},
		.time = time,
		.raw_size = sizeof(struct record) - offsetof(struct record, id),
		.id = id,
		.word = {a, b},
	};
}

_Static_assert(sizeof(struct record) % 8 == 0, "as the kernel pads records");

static void put(const void *what, size_t size)
{
	for (size_t i = 0; i < size; i++)
		data[(page.data_head + i) % RING] = ((const uint8_t *)what)[i];
	page.data_head += size;
}

static void event(unsigned id, uint64_t time, uint32_t a, uint32_t b)
{
	struct record r = record_of(id, time, a, b);

	put(&r, sizeof(r));
}

static void lose(uint64_t n)
{
	struct {
		struct perf_event_header header;
		uint64_t id, lost;
	} r = {{.type = PERF_RECORD_LOST, .size = sizeof(r)}, 99, n};

	put(&r, sizeof(r));
}

static void device_irq(uint64_t time, int irq, const char *name)
{
	struct record r = record_of(ID_IRQ, time, irq, 16 | 8 << 16);

	memcpy(&r.word[2], name, strnlen(name, 8));
	put(&r, sizeof(r));
}

static int drain(void)
{
	int err = trace_ring_drain(&ring, &account);

	ck_assert_uint_eq(page.data_tail, page.data_head);
	return err;
}

#define VMX 1
#define SVM 2

/* ---- the ring ---- */

START_TEST(all_records_around_the_end)
{
	begin();
	page.data_head = page.data_tail = UINT64_MAX - 99; /* the numbers wrap, too */
	for (unsigned i = 0; i < 500; i++) {
		event(ID_MSR, i, 1, 0x6e0);
		event(ID_USER, i, 2, 0);
		ck_assert_int_eq(drain(), 0);
	}
	ck_assert_uint_eq(vcpu.reached, 2);
	ck_assert_uint_eq(vcpu.reach[0].n.n, 500);
	ck_assert_uint_eq(vcpu.reach[1].n.n, 500);
	ck_assert_uint_eq(account.records[TRACE_EV_MSR], 500);
	ck_assert_uint_eq(vcpu.malformed, 0);
	ck_assert_int_eq(drain(), 0);
}
END_TEST

START_TEST(what_was_lost)
{
	begin();
	event(ID_MSR, 1, 1, 0x6e0);
	lose(41);
	lose(1);
	event(ID_MSR, 2, 1, 0x6e0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(account.ring_lost, 42);
	ck_assert_uint_eq(vcpu.reach[0].n.n, 2);
	ck_assert_uint_eq(vcpu.malformed, 0);
}
END_TEST

/* Of kinds that nobody asked for. */
START_TEST(other_records)
{
	struct perf_event_header header = {.type = PERF_RECORD_THROTTLE, .size = 32};
	uint8_t record[2048] = {0};

	begin();
	memcpy(record, &header, sizeof(header));
	put(record, 32);
	event(ID_MSR, 1, 1, 0x6e0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.malformed, 0);
	/* One longer than any that is understood is stepped over. */
	header.size = 2048;
	memcpy(record, &header, sizeof(header));
	put(record, 2048);
	event(ID_MSR, 1, 1, 0x6e0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.malformed, 1);
	ck_assert_uint_eq(vcpu.reach[0].n.n, 2);
}
END_TEST

/* A header that lies about its size: there is no telling where the next one is. */
START_TEST(rings_that_are_none)
{
	static const unsigned sizes[] = {0, 1, 7, sizeof(struct record) + 1, UINT16_MAX};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct record r = record_of(ID_MSR, 1, 1, 0x6e0);

		begin();
		event(ID_MSR, 1, 1, 0x6e0);
		r.header.size = sizes[i];
		put(&r, sizeof(r));
		ck_assert_int_eq(drain(), -EPROTO);
		ck_assert_uint_eq(vcpu.malformed, 1);
		ck_assert_uint_eq(vcpu.reach[0].n.n, 1);
		event(ID_MSR, 1, 1, 0x6e0);
		ck_assert_int_eq(drain(), 0);
		ck_assert_uint_eq(vcpu.reach[0].n.n, 2);
	}
	begin();
	page.data_head = RING + 8; /* more than there is room for */
	ck_assert_int_eq(drain(), -EPROTO);
	begin();
	page.data_head = -8ULL;
	ck_assert_int_eq(drain(), -EPROTO);
	begin();
	page.data_head = 4; /* less than a header */
	data[6] = data[7] = 0;
	ck_assert_int_eq(drain(), -EPROTO);
}
END_TEST

/* Each sample cut to each length, at the end of an allocation that has no more. */
START_TEST(every_short_record)
{
	struct record whole = record_of(ID_MMIO, 1, 2, 0);
	struct trace_sample sample;

	for (size_t size = 0; size < sizeof(whole); size++) {
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, &whole, size);
		ck_assert_int_eq(trace_record_parse(cut, size, &sample), TRACE_RECORD_MALFORMED);
		free(cut);
	}
	for (uint32_t raw = 0; raw <= whole.raw_size; raw++) {
		size_t size = offsetof(struct record, id) + raw;
		uint8_t *cut = malloc(size);
		bool good;

		begin();
		memcpy(cut, &whole, size);
		memcpy(cut + offsetof(struct record, raw_size), &raw, sizeof(raw));
		ck_assert_int_eq(trace_record_parse(cut, size, &sample), TRACE_RECORD_SAMPLE);
		good = trace_account_sample(&account, &sample);
		ck_assert_msg(good == (raw >= 24), "%u", raw); /* where its last field ends */
		ck_assert_uint_eq(vcpu.reached, raw >= 24);
		free(cut);
	}
	whole.raw_size++;
	ck_assert_int_eq(
		trace_record_parse((uint8_t *)&whole, sizeof(whole), &sample), TRACE_RECORD_MALFORMED);
	whole.raw_size = UINT32_MAX;
	ck_assert_int_eq(
		trace_record_parse((uint8_t *)&whole, sizeof(whole), &sample), TRACE_RECORD_MALFORMED);
	whole.header.type = PERF_RECORD_LOST;
	ck_assert_int_eq(trace_record_parse((uint8_t *)&whole, 23, &sample), TRACE_RECORD_MALFORMED);
	ck_assert_int_eq(trace_record_parse((uint8_t *)&whole, 24, &sample), TRACE_RECORD_LOST);
}
END_TEST

START_TEST(events_of_others)
{
	begin();
	event(77, 1, 0, 0);
	event(0, 1, 0, 0);
	event(ID_EOI, 1, 0, 0); /* of which there should be no record */
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.malformed, 3);
	ck_assert_uint_eq(vcpu.reached + vcpu.reasons + vcpu.causes, 0);
}
END_TEST

/* ---- the account ---- */

START_TEST(time_until_the_entry)
{
	begin();
	event(ID_ENTRY, 50, 0, 0);
	event(ID_EXIT, 100, 12, VMX);
	event(ID_ENTRY, 100 + 1024, 0, 0);
	event(ID_EXIT, 2000, 12, VMX);
	event(ID_ENTRY, 2000 + 1023, 0, 0);
	event(ID_EXIT, 5000, 12, VMX);
	event(ID_ENTRY, 5000, 0, 0);
	event(ID_EXIT, 6000, 12, VMX);
	event(ID_EXIT, 7000, 32, VMX); /* handled without a way that traces the entry */
	lose(1);
	event(ID_ENTRY, 9000, 0, 0);
	event(ID_EXIT, 9100, 12, SVM);
	event(ID_ENTRY, 9000, 0, 0); /* a clock that went back */
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.reasons, 3);
	ck_assert(vcpu.reason[0].isa == TRACE_ISA_VMX && vcpu.reason[0].code == 12);
	ck_assert_uint_eq(vcpu.reason[0].exits.n, 4);
	ck_assert_uint_eq(vcpu.reason[0].timed, 3);
	ck_assert_uint_eq(vcpu.reason[0].ns, 2047);
	ck_assert_uint_eq(vcpu.reason[0].histogram[10], 1);
	ck_assert_uint_eq(vcpu.reason[0].histogram[9], 1);
	ck_assert_uint_eq(vcpu.reason[0].histogram[0], 1);
	ck_assert_uint_eq(vcpu.reason[1].timed, 0);
	ck_assert(vcpu.reason[2].isa == TRACE_ISA_SVM && vcpu.reason[2].timed == 0);
}
END_TEST

START_TEST(a_long_time)
{
	begin();
	event(ID_EXIT, 1, 12, VMX);
	event(ID_ENTRY, UINT64_MAX, 0, 0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.reason[0].histogram[TRACE_BUCKETS - 1], 1);
}
END_TEST

/* Flags above the basic reason do not make another one of it, a failed entry does. */
START_TEST(reasons_by_architecture)
{
	begin();
	event(ID_EXIT, 1, 48, VMX);
	event(ID_EXIT, 2, 48 | 0x08000000, VMX);
	event(ID_EXIT, 3, 48 | 0x80000000, VMX);
	event(ID_EXIT, 4, 0x400, SVM);
	event(ID_EXIT, 5, 0x80000012, SVM);
	event(ID_EXIT, 6, 7, 3);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.reasons, 5);
	ck_assert_uint_eq(vcpu.reason[0].exits.n, 2);
	ck_assert_uint_eq(vcpu.reason[1].code, 48 | 0x80000000);
	ck_assert_uint_eq(vcpu.reason[3].code, 0x80000012);
	ck_assert(vcpu.reason[4].isa == TRACE_ISA_UNKNOWN && vcpu.reason[4].code == 7);
}
END_TEST

/* arm64: ret and esr_ec in place of the reason. */
START_TEST(traps_of_arm64)
{
	begin();
	formats.event[TRACE_EV_EXIT] = (struct trace_format){ID_EXIT, {[2] = s32_at(8), [3] = u32_at(12)}};
	event(ID_EXIT, 1, 2, 0x24);
	event(ID_EXIT, 2, 0, 0);
	event(ID_EXIT, 3, 0x80000000, 0); /* with an SError besides */
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.reasons, 2);
	ck_assert(vcpu.reason[0].isa == TRACE_ISA_ARM_EC && vcpu.reason[0].code == 0x24);
	ck_assert(vcpu.reason[1].isa == TRACE_ISA_ARM && vcpu.reason[1].exits.n == 2);
}
END_TEST

/* The vendor's terms where records do not say. */
START_TEST(exits_without_an_isa)
{
	begin();
	formats.event[TRACE_EV_EXIT].field[1].size = 0;
	formats.isa = TRACE_ISA_SVM;
	event(ID_EXIT, 1, 0x78, 1);
	ck_assert_int_eq(drain(), 0);
	ck_assert(vcpu.reason[0].isa == TRACE_ISA_SVM);
}
END_TEST

static const struct trace_cause *cause(int irq, const char *name)
{
	for (unsigned i = 0; i < vcpu.causes; i++)
		if (vcpu.cause[i].irq == irq && !strcmp(vcpu.cause[i].name, name))
			return &vcpu.cause[i];
	ck_abort_msg("no %s", name);
}

/* Intel traces the exit, then takes the interrupt; what else comes before the entry ended no run. */
START_TEST(causes_after_the_exit)
{
	begin();
	event(ID_ENTRY, 1, 0, 0);
	event(ID_EXIT, 2, 1, VMX);
	event(ID_TIMER, 3, 0, 0);
	device_irq(4, 24, "eth0");
	event(ID_ENTRY, 5, 0, 0);
	event(ID_EXIT, 6, 12, VMX);
	event(ID_TIMER, 7, 0, 0);
	event(ID_ENTRY, 8, 0, 0);
	event(ID_EXIT, 9, 1, VMX); /* by something without a tracepoint */
	event(ID_ENTRY, 10, 0, 0);
	event(ID_EXIT, 11, 1, VMX);
	lose(3);
	event(ID_TIMER, 12, 0, 0); /* perhaps another one's */
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.causes, 2);
	ck_assert_uint_eq(cause(-1, "local timer")->hits.n, 3);
	ck_assert_uint_eq(cause(-1, "local timer")->ended, 1);
	ck_assert_uint_eq(cause(24, "eth0")->hits.n, 1);
	ck_assert_uint_eq(cause(24, "eth0")->ended, 0);
}
END_TEST

/* AMD and arm64 take the interrupt and trace the exit then. */
START_TEST(causes_before_the_exit)
{
	begin();
	event(ID_ENTRY, 1, 0, 0);
	device_irq(2, 24, "eth0");
	event(ID_TIMER, 3, 0, 0);
	event(ID_EXIT, 4, 0x60, SVM);
	event(ID_TIMER, 5, 0, 0);
	event(ID_ENTRY, 6, 0, 0);
	event(ID_TIMER, 7, 0, 0); /* as the guest left by itself */
	event(ID_EXIT, 8, 0x78, SVM);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(cause(24, "eth0")->ended, 1);
	ck_assert_uint_eq(cause(-1, "local timer")->hits.n, 3);
	ck_assert_uint_eq(cause(-1, "local timer")->ended, 0);
}
END_TEST

START_TEST(names_of_devices)
{
	begin();
	device_irq(1, 9, "a\nb");
	device_irq(2, 9, "other");
	device_irq(3, -1, "x");
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.causes, 3);
	ck_assert_uint_eq(cause(9, "a?b")->hits.n, 1);
	{
		struct record r = record_of(ID_IRQ, 4, 9, 16 | 100 << 16); /* longer than the record */

		put(&r, sizeof(r));
	}
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.malformed, 1);
}
END_TEST

/* A read that user space answers is traced when it leaves and when it is answered; the answer counts. */
START_TEST(what_was_reached)
{
	begin();
	event(ID_MMIO, 1, 0, 0);
	event(ID_MMIO, 2, 1, 0);
	event(ID_MMIO, 3, 2, 0);
	event(ID_PIO, 4, 1, 0x3f8);
	event(ID_PIO, 5, 0, 0x3f8);
	event(ID_MSR, 6, 0, 0x10);
	event(ID_USER, 7, 2, 0);
	event(ID_USER, 8, 2, (uint32_t)-EINTR);
	event(ID_POLL, 9, 1, 10000);
	event(ID_POLL, 10, 1, 20000);
	event(ID_POLL, 11, 0, 0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(vcpu.reached, 7);
	ck_assert(vcpu.reach[0].kind == TRACE_MMIO && !vcpu.reach[0].write && vcpu.reach[0].n.n == 1);
	ck_assert(vcpu.reach[1].write && vcpu.reach[2].write && !vcpu.reach[3].write);
	ck_assert(vcpu.reach[5].kind == TRACE_USER && vcpu.reach[5].address == 2);
	ck_assert(vcpu.reach[6].address == -EINTR);
	ck_assert_uint_eq(vcpu.poll.grown, 2);
	ck_assert_uint_eq(vcpu.poll.shrunk, 1);
	ck_assert_uint_eq(vcpu.poll.window_ns, 0);
	ck_assert_uint_eq(vcpu.poll.longest_ns, 20000);
}
END_TEST

/* A guest can reach for more addresses than there are rows: the rest is counted. */
START_TEST(no_row_left)
{
	begin();
	for (unsigned i = 0; i < 1000; i++) {
		event(ID_PIO, i, 1, i);
		event(ID_EXIT, i, i, SVM);
		device_irq(i, i, "x");
		drain();
	}
	event(ID_ENTRY, 2000, 0, 0); /* after an exit without a row */
	event(ID_EXIT, 2001, 0x60, SVM);
	device_irq(2002, 1001, "x");
	drain();
	ck_assert_uint_eq(vcpu.reached, TRACE_REACHED);
	ck_assert_uint_eq(vcpu.reasons, TRACE_REASONS);
	ck_assert_uint_eq(vcpu.causes, TRACE_CAUSES);
	ck_assert_uint_eq(vcpu.crowded,
		3001 - TRACE_REACHED - TRACE_REASONS - TRACE_CAUSES + 1 - (0x60 < TRACE_REASONS));
}
END_TEST

/* Whatever is in a ring, it is read within its bounds (SAN=asan) and comes to an end. */
START_TEST(rings_of_noise)
{
	uint64_t state = 1;

	for (unsigned n = 0; n < 2000; n++) {
		begin();
		for (unsigned i = 0; i < RING; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			data[i] = state >> 56;
			/* Now and then what a header would have. */
			if (i % 8 == 4 && data[i] < 200)
				data[i - 4] = PERF_RECORD_SAMPLE, data[i - 3] = data[i - 2] = data[i - 1] = 0;
			if (i % 8 == 7 && data[i] < 200)
				data[i] = 0;
		}
		page.data_tail = state >> 8;
		page.data_head = page.data_tail + (state >> 40) % (RING + 1);
		drain();
	}
}
END_TEST

UNIT_MAIN("trace_ring", all_records_around_the_end, what_was_lost, other_records, rings_that_are_none,
	every_short_record, events_of_others, time_until_the_entry, a_long_time, reasons_by_architecture,
	traps_of_arm64, exits_without_an_isa, causes_after_the_exit, causes_before_the_exit, names_of_devices,
	what_was_reached, no_row_left, rings_of_noise)
