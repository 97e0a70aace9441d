// SPDX-License-Identifier: Apache-2.0
/*
 * Wake-ups: CPU 0 halts n=N times, and is woken gap=TICKS of the TSC later, each time by what source= says:
 *   timer   the TSC deadline; late by: from the deadline to the handler
 *   ipi     CPU 1, which spins for the gap; late by: from before it writes its ICR to the handler
 *   first   CPU 1 as above, while the deadline is far=50 gaps away; CPU 0 then spins until that has come, too
 *   device  a read of one sector, asked for by CPU 0 after it has spun for the gap; from there to the handler
 * Then it says how late they were, in ticks of the TSC; with samples, each of them. warm=N: as many before,
 * which are not counted. wait: it says "ready" before those that are and "done" behind them, and goes on when
 * the serial port gets a byte, so that somebody can count what lies between.
 */
#include "tests/guest/lib/virtio.h"

#define WAKE   0x51
#define SERIAL 0x42
#define START  0x52
#define RING   0x53
#define MOST   100000

#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define KVM_FEATURES	    0x40000001
#define KVM_CLOCK	    (1 << 3)

/* linux/Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW */
struct clock {
	uint32_t version, pad;
	uint64_t tsc, time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};

static volatile uint64_t since; /* when the wake-up that is awaited was asked for, or is to be */
static volatile uint32_t awaited, woken, bytes, started, rung;
static uint64_t gap;
static uint32_t n, warm;
static uint64_t *late;
static struct blk disk;

static void on_wake(struct frame *f)
{
	uint64_t now = rdtsc();

	check(woken < warm + n);
	/* Clocks of two CPUs may differ by a little. */
	if (woken >= warm)
		late[woken - warm] = now > since ? now - since : 0;
	woken++;
}

static void on_ring(struct frame *f)
{
	rung++;
}

static void on_start(struct frame *f)
{
	started = 1;
}

static void spin(void)
{
	for (uint64_t start = rdtsc(); rdtsc() - start < gap;)
		pause_cpu();
}

/* ---- the serial port: what comes is only counted ---- */

static void on_serial(struct frame *f)
{
	while (inb(PIO_SERIAL + 5) & 1) {
		inb(PIO_SERIAL);
		bytes++;
	}
}

static void serial_init(void)
{
	irq_on(SERIAL, on_serial);
	ioapic_set(PIN_SERIAL, SERIAL);
	outb(PIO_SERIAL + 4, 0x0b);
	outb(PIO_SERIAL + 1, 1);
}

static void say_and_wait(const char *word)
{
	uint32_t before = bytes;

	if (!arg("wait"))
		return;
	print("%s\n", word);
	while (bytes == before)
		wait_irq();
}

/* ---- sources ---- */

static void by_timer(void)
{
	uint32_t before = woken;

	since = rdtsc() + gap;
	check(lapic_deadline(WAKE, since));
	while (woken == before)
		wait_irq();
}

static void sender(unsigned id)
{
	while (!started)
		wait_irq();
	for (uint32_t i = 1; i <= warm + n; i++) {
		while (awaited != i)
			pause_cpu();
		spin();
		since = rdtsc();
		lapic_send(0, WAKE);
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void by_ipi(void)
{
	if (!awaited)
		lapic_send(1, START);
	awaited++;
	while (woken != awaited)
		wait_irq();
}

static void by_who_comes_first(void)
{
	uint32_t before = rung;

	check(lapic_deadline(RING, rdtsc() + arg_number("far", 50) * gap));
	by_ipi();
	irqs_on();
	while (rung == before)
		pause_cpu();
	irqs_off();
}

static void by_device(void)
{
	static uint8_t sector[SECTOR];
	uint32_t before = woken;

	spin();
	blk_add(&disk, VIRTIO_BLK_T_IN, woken % 64, sector, SECTOR);
	check(vq_arm(&disk.q));
	since = rdtsc();
	vq_publish(&disk.q);
	/* It may be there before the CPU halts; but the interrupt is what ends it. */
	while (woken == before)
		wait_irq();
	check(blk_reap(&disk) == 1);
}

static void open_disk(void)
{
	check(blk_open(&disk, 0, 1, F_EVENT_IDX, 1));
	msix_set(&disk.v, 1, WAKE);
}

/* ---- results ---- */

static void sift(uint32_t i, uint32_t count)
{
	uint64_t v = late[i];

	for (uint32_t child; (child = 2 * i + 1) < count; i = child) {
		child += child + 1 < count && late[child + 1] > late[child];
		if (late[child] <= v)
			break;
		late[i] = late[child];
	}
	late[i] = v;
}

static void sort(void)
{
	for (uint32_t i = n / 2; i--;)
		sift(i, n);
	for (uint32_t i = n - 1; i > 0; i--) {
		uint64_t v = late[0];

		late[0] = late[i];
		late[i] = v;
		sift(0, i);
	}
}

/* 0: nobody says it. */
static uint64_t tsc_khz(void)
{
	static volatile struct clock c __attribute__((aligned(64)));
	uint64_t hz = 1000000000ull << 32;
	uint32_t r[4];

	cpuid(KVM_FEATURES, 0, r);
	if (!(r[0] & KVM_CLOCK))
		return 0;
	wrmsr(MSR_KVM_SYSTEM_TIME, (uintptr_t)&c | 1);
	wrmsr(MSR_KVM_SYSTEM_TIME, 0);
	if (!c.mul)
		return 0;
	hz /= c.mul;
	return (c.shift < 0 ? hz << -c.shift : hz >> c.shift) / 1000;
}

static void results(const char *source)
{
	if (arg("samples"))
		for (uint32_t i = 0; i < n; i++)
			print("late %lu\n", late[i]);
	sort();
	print("wake source=%s n=%u gap=%lu min=%lu median=%lu p99=%lu max=%lu kicks=%lu tsc_khz=%lu\n",
		source, n, gap, late[0], late[n / 2], late[(n * 99ull) / 100], late[n - 1], disk.q.kicks,
		tsc_khz());
}

int main(void)
{
	const char *source = arg("source");
	void (*wake)(void) = by_timer;

	n = arg_number("n", 200);
	warm = arg_number("warm", 0);
	gap = arg_number("gap", 100000);
	check(n && n <= MOST && warm <= MOST);
	late = take_memory(n * sizeof(*late), 8);
	irq_on(WAKE, on_wake);
	irq_on(START, on_start);
	irq_on(RING, on_ring);
	lapic_init();
	serial_init();
	if (arg_is("source", "ipi") || arg_is("source", "first")) {
		wake = arg_is("source", "ipi") ? by_ipi : by_who_comes_first;
		check(cpu_start(1, sender));
	} else if (arg_is("source", "device")) {
		wake = by_device;
		open_disk();
	}
	for (uint32_t i = 0; i < warm; i++)
		wake();
	say_and_wait("ready");
	for (uint32_t i = 0; i < n; i++)
		wake();
	say_and_wait("done");
	check(woken == warm + n);
	results(source ? source : "timer");
	print("SUCCESS\n");
	return 0;
}
