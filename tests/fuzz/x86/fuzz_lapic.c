// SPDX-License-Identifier: Apache-2.0
/*
 * A guest against the local APICs. An input is a byte that says how many there are and how far their ids lie apart, then
 * steps of ten bytes: what, at which one, where, how wide, a value. After each step, whatever was written:
 *   - no bit below vector 16 in IRR, ISR and TMR, which are what the registers say;
 *   - what is in service is at most one vector of a priority class, and was acknowledged in rising order;
 *   - the PPR's class is the higher one of the TPR's and the highest in service;
 *   - a vector that may interrupt is above it, and is the highest that waits;
 *   - the timer fires in the future or never, and not more often than its least period allows;
 *   - reads stay in their buffer.
 * At the end a driver that does it right gets its interrupts, whatever was before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/lapic.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/ring_driver.h"
#include "vmm/bus.h"

#define MAX	16
#define TSC_KHZ 2000000

static struct lapics *set;
static unsigned n;
static uint32_t id[MAX];
static uint64_t clock_ns, clock_tsc;
static struct lapic *current;

/* What is in service, as a stack: the model of 11.8.3. */
static struct {
	uint8_t vector[16];
	unsigned depth;
} model[MAX];

static void wake(void *arg, unsigned index)
{
	must(index < n && (!current || lapics_at(set, index) != current));
}

static void eoi(void *arg, uint8_t vector)
{
	must(vector >= 16);
}

static uint64_t tsc(void *arg, unsigned index)
{
	must(index < n);
	return clock_tsc;
}

static uint64_t ns(void *arg)
{
	return clock_ns;
}

/* By whichever door is open; 0 when none is. */
static bool reg(unsigned i, uint32_t msr, uint32_t *value)
{
	struct lapic *l = lapics_at(set, i);
	uint64_t wide;

	if (lapic_msr_read(l, msr, &wide) == 0) {
		*value = wide;
		must(wide >> 32 == 0 || msr == 0x830);
		return true;
	}
	if (!(lapic_base(l) & 0x800) || lapic_base(l) >> 12 != 0xfee00)
		return false;
	lapic_page_read(l, (msr - 0x800) * 16, (uint8_t *)value, 4);
	return true;
}

static int highest(unsigned i, uint32_t first)
{
	uint32_t word;
	int top = -1;

	for (unsigned w = 0; w < 8; w++) {
		if (!reg(i, first + w, &word))
			return -1;
		must(w || !(word & 0xffff));
		if (word)
			top = w * 32 + 31 - __builtin_clz(word);
	}
	return top;
}

static void check_service(unsigned i)
{
	uint32_t word;
	unsigned bits = 0;

	for (unsigned w = 0; w < 8; w++) {
		if (!reg(i, 0x810 + w, &word))
			return;
		bits += __builtin_popcount(word);
	}
	must(bits == model[i].depth);
	for (unsigned d = 0; d < model[i].depth; d++) {
		uint8_t v = model[i].vector[d];

		must(reg(i, 0x810 + v / 32, &word) && word >> v % 32 & 1);
		must(!d || v >> 4 > model[i].vector[d - 1] >> 4);
	}
}

static void check(unsigned i)
{
	struct lapic *l = lapics_at(set, i);
	int irr = highest(i, 0x820), isr = highest(i, 0x810), pending = lapic_pending(l);
	uint32_t tpr, ppr;
	uint64_t at;

	highest(i, 0x818);
	check_service(i);
	if (reg(i, 0x808, &tpr) && reg(i, 0x80a, &ppr)) {
		unsigned service = isr < 0 ? 0 : isr >> 4;

		must(tpr <= 0xff && ppr <= 0xff && lapic_cr8(l) == tpr >> 4);
		must(ppr >> 4 == (service > tpr >> 4 ? service : tpr >> 4));
		must(pending == (irr >= 0 && (unsigned)irr >> 4 > ppr >> 4 ? irr : -1));
	}
	must(pending < 0 || lapic_wants(l));
	if (!(lapic_base(l) & 0x800))
		must(pending == -1 && !(lapic_base(l) & 0x400));
	lapic_timer_run(l);
	must(!lapic_timer_run(l));
	at = lapic_timer_ns(l);
	must(at > clock_ns);
	must(lapic_timer_tsc(l) > clock_tsc);
}

static void ack(unsigned i, bool ready)
{
	struct lapic *l = lapics_at(set, i);
	int pending = lapic_pending(l);
	uint8_t vector;
	enum lapic_step step = lapic_inject(l, ready, &vector);

	if (pending < 0 || lapic_waits(l)) {
		must(step == LAPIC_NOTHING);
		return;
	}
	must(step == (ready ? LAPIC_INJECT : LAPIC_WINDOW));
	if (step != LAPIC_INJECT)
		return;
	must(vector == pending && vector >= 16 && model[i].depth < 15);
	model[i].vector[model[i].depth++] = vector;
}

static void took(unsigned i)
{
	struct lapic_events ev;
	bool waited = lapic_waits(lapics_at(set, i));
	bool any = lapic_take(lapics_at(set, i), &ev);

	must(any == (ev.nmi || ev.init || ev.sipi));
	must(!ev.sipi || ((waited || ev.init) && !lapic_waits(lapics_at(set, i))));
	must(!ev.nmi || !lapic_waits(lapics_at(set, i)));
	must(!lapic_take(lapics_at(set, i), &ev));
	if (ev.init)
		model[i].depth = 0;
}

/* Time that passes, and how often the timer fired in it. */
static void pass(unsigned i, uint32_t v)
{
	uint64_t span = v >> 8;
	unsigned fires = 0;

	for (unsigned s = 0; s < 16; s++) {
		clock_ns += span / 16;
		clock_tsc += span / 16 * 2;
		fires += lapic_timer_run(lapics_at(set, i));
	}
	must(fires <= 2 + span / LAPIC_MIN_PERIOD_NS);
}

static bool is_eoi(unsigned i, uint32_t msr, uint64_t v)
{
	return msr == 0x80b && lapic_base(lapics_at(set, i)) & 0x400 && !v;
}

static void write_msr(unsigned i, uint32_t msr, uint64_t v)
{
	struct lapic *l = lapics_at(set, i);
	bool end = is_eoi(i, msr, v);
	uint64_t base = lapic_base(l);
	int err = lapic_msr_write(l, msr, v);

	must(err == 0 || err == -EINVAL);
	must(!err || lapic_base(l) == base);
	if (!err && end && model[i].depth)
		model[i].depth--;
	if (!(lapic_base(l) & 0x800))
		model[i].depth = 0;
}

static void read_msr(unsigned i, uint32_t msr)
{
	uint64_t value;
	int err = lapic_msr_read(lapics_at(set, i), msr, &value);

	must(err == 0 || (err == -EINVAL && value == 0));
}

static void write_page(unsigned i, uint64_t off, unsigned len, uint64_t v)
{
	uint8_t *b = malloc(len); /* of exactly this size, for ASan */
	bool open = lapic_base(lapics_at(set, i)) >> 10 == 0xfee00800 >> 10;

	must(b);
	bus_put(b, len, v);
	lapic_page_write(lapics_at(set, i), off, b, len);
	free(b);
	if (open && off == 0xb0 && len == 4 && model[i].depth)
		model[i].depth--;
}

static void read_page(unsigned i, uint64_t off, unsigned len)
{
	uint8_t b[16];

	memset(b, 0xc5, sizeof(b));
	lapic_page_read(lapics_at(set, i), off, b, len);
	for (unsigned j = len; j < sizeof(b); j++)
		must(b[j] == 0xc5);
}

/* Registers that matter, more often than chance would have them. */
static uint32_t reg_of(uint8_t where)
{
	static const uint8_t likely[] = {0x08, 0x0b, 0x0f, 0x28, 0x30, 0x32, 0x38, 0x3e, 0x3f, 0x0d, 0x0e, 0x31, 0x35, 0x37, 0x39};

	return where < 0x80 ? where : likely[where % sizeof(likely)];
}

static void step(const uint8_t *d)
{
	unsigned i = d[1] % n, len = 1 + d[3] % 8;
	uint32_t r = reg_of(d[2]), v = bus_get(d + 4, 4);
	uint64_t wide = (uint64_t)bus_get(d + 8, 2) << 32 | v;
	struct lapic_msg msg;

	current = lapics_at(set, i);
	switch (d[0] % 13) {
	case 0:
		write_msr(i, 0x800 + r, r == 0x30 ? wide : v);
		break;
	case 1:
		write_msr(i, 0x800 + d[2], wide);
		break;
	case 2:
		read_msr(i, 0x800 + d[2]);
		break;
	case 3:
		write_page(i, r * 16, 4, v);
		break;
	case 4:
		write_page(i, (v >> 8) % (LAPIC_PAGE_SIZE - 8), len, wide);
		break;
	case 5:
		read_page(i, (v >> 8) % (LAPIC_PAGE_SIZE - 8), len);
		break;
	case 6:
		write_msr(i, MSR_APIC_BASE, d[3] & 1 ? (0xfee00000 | (v & 0xd00)) : wide);
		read_msr(i, MSR_APIC_BASE);
		break;
	case 7:
		write_msr(i, MSR_TSC_DEADLINE, d[3] & 1 ? clock_tsc + v : wide << (d[3] & 31));
		read_msr(i, MSR_TSC_DEADLINE);
		break;
	case 8:
		current = NULL;
		must(lapics_msi(set, d[3] & 1 ? 0xfee00000 | (v & 0xff00c) : wide, v, NULL) <= n);
		break;
	case 9:
		msg = (struct lapic_msg){.dest = v, .vector = d[8], .mode = d[9], .logical = d[3] & 1, .level = d[3] & 2,
			.lowest = d[3] & 4};
		must(lapics_send(set, &msg, current) <= n);
		break;
	case 10:
		pass(i, v);
		break;
	case 11:
		if (d[3] & 1)
			lapic_set_cr8(current, d[2]);
		took(i);
		break;
	default:
		ack(i, d[3] & 3);
	}
}

/* A driver that does it right, on each in turn: start, enable, IPI, timer. */
static void driver(unsigned i)
{
	struct lapic_msg init = {.mode = LAPIC_INIT, .dest = LAPIC_ALL}, sipi = {.mode = LAPIC_SIPI, .dest = LAPIC_ALL};
	struct lapic *l = lapics_at(set, i);
	struct lapic_events ev;

	current = l;
	must(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00000) == 0);
	must(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00800) == 0);
	must(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00c00) == 0);
	lapics_send(set, &init, l);
	must(lapic_take(l, &ev) && ev.init && lapic_waits(l));
	lapics_send(set, &sipi, l);
	must(lapic_take(l, &ev) && ev.sipi && !lapic_waits(l));
	must(lapic_msr_write(l, 0x80f, 0x1ff) == 0);
	must(lapic_msr_write(l, 0x830, (uint64_t)id[i] << 32 | 0x41) == 0);
	must(lapic_ack(l) == 0x41 && lapic_pending(l) == -1);
	must(lapic_msr_write(l, 0x80b, 0) == 0);
	must(lapic_msr_write(l, 0x832, 2 << 17 | 0x51) == 0);
	must(lapic_msr_write(l, MSR_TSC_DEADLINE, clock_tsc + 10) == 0);
	must(!lapic_timer_run(l));
	clock_tsc += 10;
	must(lapic_timer_run(l) && lapic_ack(l) == 0x51);
	must(lapic_msr_write(l, 0x80b, 0) == 0 && lapic_pending(l) == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lapic_config cfg = {.id = id, .phys_bits = 40, .tsc_khz = TSC_KHZ, .ops = {wake, eoi, tsc, ns}};
	uint8_t shape = size ? data[0] : 0;

	n = cfg.n = 1 + shape % MAX;
	for (unsigned i = 0; i < n; i++)
		id[i] = i * (1 + (shape >> 4) * 5);
	clock_ns = clock_tsc = 1000;
	memset(model, 0, sizeof(model));
	must(lapics_create(&set, &cfg) == 0);
	for (data++; size >= 11; data += 10, size -= 10) {
		step(data);
		for (unsigned i = 0; i < n; i++)
			check(i);
	}
	for (unsigned i = 0; i < n; i++)
		driver(i);
	lapics_destroy(set);
	return 0;
}
