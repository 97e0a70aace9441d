// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest on arm64 ends by, and meets where nothing is, chosen by the command line: poweroff, reset,
 * hang, spin, holes (loads and stores where there is neither RAM nor a device, then off), frame (stores to
 * the GICv2m frame, then off), pair (a load that KVM does not decode, at a device), smp (all CPUs on and off
 * by PSCI, then off). A check that fails is a line of its own, and a reset.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL	     0x01000000ul
#define SERIAL_LSR   5
#define LSR_THRE     0x20
#define RTC	     0x01010000ul
#define GICD	     0x04000000ul
#define GICD_ISPENDR 0x200
#define GICD_ICFGR   0xc00
#define GICV2M_TYPER 0x04020008ul
#define GICV2M_SPI   0x04020040ul
#define MSI_FIRST    96 /* INTIDs of the frame */
#define MSI_COUNT    448
#define MAX_CPUS     8
#define STACK	     4096

/* Arm DEN 0022 (PSCI), chapter 5. */
enum {
	PSCI_VERSION = 0x84000000,
	PSCI_CPU_OFF = 0x84000002,
	PSCI_CPU_ON = 0xc4000003,
	PSCI_AFFINITY_INFO = 0xc4000004,
	PSCI_SYSTEM_OFF = 0x84000008,
	PSCI_SYSTEM_RESET = 0x84000009,
};
enum { PSCI_INVALID = -2, PSCI_ALREADY_ON = -4 };
enum { AFFINITY_ON, AFFINITY_OFF };

long hvc(unsigned long function, unsigned long a, unsigned long b, unsigned long c);
void secondary_start(void);
void main(const uint8_t *fdt);
void secondary(unsigned index);
void exception(uint64_t esr, uint64_t elr, uint64_t far);

static void put(char c)
{
	while (!(*(volatile uint8_t *)(SERIAL + SERIAL_LSR) & LSR_THRE))
		;
	*(volatile uint8_t *)SERIAL = c;
}

static void print(const char *s)
{
	for (; *s; s++)
		put(*s);
}

static void print_hex(uint64_t v)
{
	print("0x");
	for (int shift = 60; shift >= 0; shift -= 4)
		put("0123456789abcdef"[v >> shift & 15]);
}

static void end(unsigned long function)
{
	hvc(function, 0, 0, 0);
	for (;;)
		;
}

static void check_at(bool truth, const char *what, uint64_t where)
{
	if (truth)
		return;
	print("wrong: ");
	print(what);
	print(" ");
	print_hex(where);
	print("\n");
	end(PSCI_SYSTEM_RESET);
}

#define check(truth) check_at(truth, #truth, 0)

void exception(uint64_t esr, uint64_t elr, uint64_t far)
{
	print("exception: esr, elr, far ");
	print_hex(esr);
	put(' ');
	print_hex(elr);
	put(' ');
	print_hex(far);
	print("\n");
	end(PSCI_SYSTEM_RESET);
}

/* ---- the device tree: enough of it for one property, and the CPUs ---- */

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static bool same(const char *a, const char *b, size_t n)
{
	while (n && *a == *b && *a)
		a++, b++, n--;
	return !n || *a == *b;
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

struct facts {
	const char *bootargs;
	unsigned cpus;
	uint64_t mpidr[MAX_CPUS];
};

/* Devicetree Specification 0.4, section 5.4: nodes, properties, and their ends. */
static void read_tree(const uint8_t *fdt, struct facts *facts)
{
	const uint8_t *p = fdt + be32(fdt + 8);
	const char *strings = (const char *)fdt + be32(fdt + 12);
	bool in_cpu = false;

	for (uint32_t token; (token = be32(p)) != 9;) {
		p += 4;
		if (token == 1) {
			in_cpu = same((const char *)p, "cpu@", 4);
			p += (length((const char *)p) + 4) & ~3ul;
		} else if (token == 3) {
			const char *name = strings + be32(p + 4);
			const uint8_t *value = p + 8;

			if (same(name, "bootargs", 9))
				facts->bootargs = (const char *)value;
			if (in_cpu && same(name, "reg", 4) && facts->cpus < MAX_CPUS)
				facts->mpidr[facts->cpus++] = (uint64_t)be32(value) << 32 | be32(value + 4);
			p += 8 + ((be32(p) + 3) & ~3u);
		}
	}
}

/* ---- what the words mean ---- */

static void holes(void)
{
	static const uint64_t hole[] = {0x0, 0x00fffff8, 0x01001000, 0x01011000, 0x01fffff8, 0x02020000,
		0x08000000, 0x10000000, 0x2ffffff8, 0x3efffff8, 0x3f100000, 0x3ffffff8, 0x60000000, 0x80000000, 0xfffffff8};

	for (unsigned i = 0; i < sizeof(hole) / sizeof(hole[0]); i++) {
		uint64_t at = hole[i];

		check_at(*(volatile uint8_t *)at == 0xff, "byte", at);
		check_at(*(volatile uint16_t *)at == 0xffff, "2 bytes", at);
		check_at(*(volatile uint32_t *)at == 0xffffffff, "4 bytes", at);
		check_at(*(volatile uint64_t *)at == ~0ull, "8 bytes", at);
		*(volatile uint8_t *)at = 0;
		*(volatile uint64_t *)at = 0;
		check_at(*(volatile uint64_t *)at == ~0ull, "written", at);
	}
	/* Devices beside them are what they were. */
	check(*(volatile uint32_t *)(RTC + 0xfe0) == 0x31);
	check(*(volatile uint32_t *)GICV2M_TYPER == (MSI_FIRST << 16 | MSI_COUNT));
	print("holes read as ones\n");
}

static bool pending(unsigned intid)
{
	return *(volatile uint32_t *)(GICD + GICD_ISPENDR + 4 * (intid / 32)) >> intid % 32 & 1;
}

/* An interrupt that came once stays pending where it is edge-triggered. */
static void store_to_frame(unsigned intid, bool comes)
{
	volatile uint32_t *config = (volatile uint32_t *)(GICD + GICD_ICFGR + 4 * (intid / 16));

	if (intid < MSI_FIRST + MSI_COUNT)
		*config |= 2u << 2 * (intid % 16);
	check_at(!pending(intid), "pending before", intid);
	*(volatile uint32_t *)GICV2M_SPI = intid;
	check_at(pending(intid) == comes, "pending", intid);
}

/* A CPU's own stores to it raise what is the frame's, and nothing of the board's. */
static void frame(void)
{
	store_to_frame(32, false);
	store_to_frame(33, false);
	store_to_frame(MSI_FIRST - 1, false);
	store_to_frame(MSI_FIRST, true);
	store_to_frame(MSI_FIRST + MSI_COUNT - 1, true);
	store_to_frame(MSI_FIRST + MSI_COUNT, false);
	print("the frame raises its own\n");
}

static uint64_t stacks[MAX_CPUS][STACK / 8] __attribute__((aligned(16)));
static volatile uint8_t seen[MAX_CPUS];

void secondary(unsigned index)
{
	seen[index]++;
	hvc(PSCI_CPU_OFF, 0, 0, 0);
	print("wrong: a CPU that was switched off goes on\n");
	end(PSCI_SYSTEM_RESET);
}

static long cpu_on(const struct facts *facts, unsigned i)
{
	uint64_t *top = &stacks[i][STACK / 8 - 2];

	*top = i;
	return hvc(PSCI_CPU_ON, facts->mpidr[i], (uint64_t)secondary_start, (uint64_t)top);
}

/* Each of the others is switched on, seen, off again; and that twice. */
static void smp(const struct facts *facts)
{
	check(hvc(PSCI_VERSION, 0, 0, 0) >= 2);
	check((int)cpu_on(facts, 0) == PSCI_ALREADY_ON);
	check((int)hvc(PSCI_CPU_ON, 0xff00ff, (uint64_t)secondary_start, 0) == PSCI_INVALID);
	for (unsigned round = 1; round <= 2; round++)
		for (unsigned i = 1; i < facts->cpus; i++) {
			check_at(cpu_on(facts, i) == 0, "CPU_ON", i);
			while (hvc(PSCI_AFFINITY_INFO, facts->mpidr[i], 0, 0) != AFFINITY_OFF ||
				seen[i] != round)
				;
		}
	print("cpus: ");
	put('0' + facts->cpus);
	print("\n");
}

static void hang(void)
{
	for (;;)
		__asm__ volatile("wfi");
}

void main(const uint8_t *fdt)
{
	struct facts facts = {.bootargs = ""};
	const char *word;

	read_tree(fdt, &facts);
	word = facts.bootargs;
	print("up: ");
	print(word);
	print("\n");
	if (same(word, "holes", 6))
		holes();
	else if (same(word, "frame", 6))
		frame();
	else if (same(word, "smp", 4))
		smp(&facts);
	else if (same(word, "reset", 6))
		end(PSCI_SYSTEM_RESET);
	else if (same(word, "hang", 5))
		hang();
	else if (same(word, "spin", 5))
		for (;;)
			;
	else if (same(word, "pair", 5))
		__asm__ volatile("mov x7, #0x1234\n\tldp w1, w2, [%0]"
				 :
				 : "r"(SERIAL)
				 : "x1", "x2", "x7", "memory");
	else
		check(same(word, "poweroff", 9));
	end(PSCI_SYSTEM_OFF);
}
