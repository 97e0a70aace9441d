// SPDX-License-Identifier: Apache-2.0
/*
 * The arm64 loader and the device tree against any file in any guest: the first bytes of an input choose the
 * guest, the rest is the kernel, as it is or packed by gzip (and then perhaps damaged, which flips alone
 * would rarely get past a checksum). Beyond "no crash": what was loaded is in RAM, in pieces that do not
 * overlap; nothing else of RAM was written; the tree is whole, fits and says where things are. None of it
 * needs an arm64 machine.
 */
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/mockmem.h"
#include "vmm/log.h"

#define RAM_LEAST  0x200000u
#define RAM_MOST   0x600000u
#define PAGE	   4096u
#define CANARY	   0xc5
#define PACKED_MAX 0x10000u

enum {
	FLAG_INITRD = 1,
	FLAG_APPEND = 2,
	FLAG_SERIAL = 4,
	FLAG_PMU = 8,
	FLAG_PCI = 16,
	FLAG_GICV2 = 32,
	FLAG_RESERVE = 64,
	FLAG_ITS = 128
};

/* The first bytes of an input. */
struct choice {
	uint8_t flags, pack, pages, split, cpus, threads, nodes, mmio;
	uint8_t initrd_pages, append, damage, unused;
};

enum { PACK_NOT, PACK, PACK_CUT, PACK_FLIP, PACKS };

static void must(int truth)
{
	if (!truth)
		abort();
}

static struct guest_mem mem;
static uint8_t *arena[2]; /* each ends at a page that nobody may touch */
static uint8_t canary[PAGE];

/* RAM of `size` bytes in one region, or two that meet. */
static void make_ram(uint64_t size, uint64_t split)
{
	uint64_t first = split ? split : size;

	mem.n = 1;
	mem.region[0] = (struct mem_region){
		.gpa = RAM_BASE, .size = first, .host = arena[0] + RAM_MOST - first, .fd = -1};
	if (first < size) {
		uint64_t left = size - first;

		mem.region[mem.n++] = (struct mem_region){
			.gpa = RAM_BASE + first, .size = left, .host = arena[1] + RAM_MOST - left, .fd = -1};
	}
	for (unsigned i = 0; i < mem.n; i++)
		memset(mem.region[i].host, CANARY, mem.region[i].size);
}

static void set_up(void)
{
	for (int i = 0; i < 2; i++) {
		arena[i] = mmap(
			NULL, RAM_MOST + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		must(arena[i] != MAP_FAILED && !mprotect(arena[i], RAM_MOST, PROT_READ | PROT_WRITE));
	}
	memset(canary, CANARY, sizeof(canary));
	must(!log_open("/dev/null"));
}

static int file_of(const void *data, size_t size, char path[32])
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	must(fd >= 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

/* What gzip makes of it, whole or not. */
static size_t pack(const struct choice *c, const uint8_t *data, size_t size, uint8_t *out)
{
	z_stream z = {.next_in = (uint8_t *)data, .avail_in = size, .next_out = out, .avail_out = PACKED_MAX};

	must(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	deflate(&z, Z_FINISH);
	size = z.total_out;
	deflateEnd(&z);
	if (c->pack % PACKS == PACK_CUT)
		size = size * c->damage / 256;
	if (c->pack % PACKS == PACK_FLIP && size)
		out[size * c->damage / 256] ^= 1 << c->unused % 8;
	return size;
}

static int kernel_file(const struct choice *c, const uint8_t *data, size_t size, char path[32])
{
	static uint8_t packed[PACKED_MAX];

	if (c->pack % PACKS == PACK_NOT)
		return file_of(data, size, path);
	return file_of(packed, pack(c, data, size, packed), path);
}

struct range {
	uint64_t from, to;
};

/* [from, to) of RAM has what it had. */
static void untouched(uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t n = to - from < PAGE ? to - from : PAGE;
		uint8_t copy[PAGE];

		/* Byte by byte where two regions meet. */
		if (!mem_at(&mem, from, n))
			n = 1;
		memcpy(copy, mem_at(&mem, from, n), n);
		must(!memcmp(copy, canary, n));
		from += n;
	}
}

static int by_address(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Only these ranges were written; they are inside RAM and apart. */
static void check_ram(struct range *written, unsigned n)
{
	uint64_t at = RAM_BASE;

	qsort(written, n, sizeof(*written), by_address);
	for (unsigned i = 0; i < n; i++) {
		must(written[i].from >= at && written[i].to >= written[i].from &&
			written[i].to <= mem_top(&mem));
		untouched(at, written[i].from);
		at = written[i].to;
	}
	untouched(at, mem_top(&mem));
}

static uint64_t cell64(const void *fdt, int node, const char *name)
{
	int len = 0;
	const void *value = fdt_getprop(fdt, node, name, &len);

	must(value && len == 8);
	return fdt64_ld(value);
}

/* What a kernel reads of the tree is what was loaded. */
static void check_tree(const void *fdt, int used, const struct fdt_params *p)
{
	int chosen, node, count = 0, len;

	must(used > 0 && (unsigned)used <= FDT_MAX && !fdt_check_full(fdt, used));
	chosen = fdt_path_offset(fdt, "/chosen");
	must(chosen >= 0 && !strcmp(fdt_getprop(fdt, chosen, "bootargs", NULL), p->bootargs));
	must(!p->initrd_end == !fdt_getprop(fdt, chosen, "linux,initrd-start", NULL));
	if (p->initrd_end)
		must(cell64(fdt, chosen, "linux,initrd-start") == p->initrd &&
			cell64(fdt, chosen, "linux,initrd-end") == p->initrd_end);
	must(fdt_num_mem_rsv(fdt) == !!p->reserved_size);
	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/cpus")) count +=
		fdt_getprop(fdt, node, "device_type", &len) != NULL;
	must((unsigned)count == p->cpus->count);
	must(!p->pci.ecam_size == (fdt_node_offset_by_compatible(fdt, -1, "pci-host-ecam-generic") < 0));
}

/* As arch_vm_check() and config_check() leave it: a GICv2 has 8 CPUs, the topology's product is their number.
 */
static struct cpu_config choose_cpus(const struct choice *c)
{
	unsigned most = c->flags & FLAG_GICV2 ? GICV2_MAX_CPUS : 255;
	struct cpu_config cpus = {.threads = 1 + c->threads % 4};
	unsigned cores = 1 + c->cpus % most / cpus.threads;

	if (cores * cpus.threads > most)
		cores = most / cpus.threads;
	cpus.cores = c->threads & 16 ? cores : 1;
	cpus.sockets = c->threads & 16 ? 1 : cores;
	cpus.count = cores * cpus.threads;
	return cpus;
}

static void choose_nodes(const struct choice *c, struct guest_nodes *nodes)
{
	unsigned n = c->nodes % (NODES_MAX + 1);

	*nodes = (struct guest_nodes){.n = n, .nranges = n ? n : 1};
	for (unsigned i = 0; i < nodes->nranges; i++)
		nodes->range[i] = (struct node_range){.gpa = RAM_BASE + i * PAGE, .size = PAGE, .node = i};
	for (unsigned i = 0; n && i < 255; i++)
		nodes->node_of_vcpu[i] = i % n;
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			nodes->distance[i][j] = i == j ? 10 : 20 + (i ^ j);
}

static int describe(const struct choice *c, const struct arch_boot *boot, void *tail)
{
	static struct guest_nodes nodes;
	static uint64_t mpidr[256];
	struct cpu_config cpus = choose_cpus(c);
	struct fdt_params p = {.cpus = &cpus,
		.mpidr = mpidr,
		.nodes = &nodes,
		.bootargs = boot->cmdline,
		.gic = c->flags & FLAG_GICV2 ? GIC_V2 : GIC_V3,
		.pmu = c->flags & FLAG_PMU,
		.serial = c->flags & FLAG_SERIAL,
		.initrd = boot->initrd_at,
		.initrd_end = boot->initrd_at ? boot->initrd_at + boot->initrd.size : 0,
		.reserved = boot->fdt + FDT_MAX,
		.reserved_size = c->flags & FLAG_RESERVE ? PVTIME_SIZE : 0};
	int used;

	p.its = c->flags & FLAG_ITS && p.gic == GIC_V3; /* a GICv2 has none: arch_vm_init() */
	choose_nodes(c, &nodes);
	for (unsigned i = 0; i < cpus.count; i++)
		mpidr[i] = (i & 15) | (uint64_t)(i >> 4) << 8;
	if (c->flags & FLAG_PCI)
		p.pci = (struct pci_layout){.ecam = PCI_ECAM_BASE,
			.ecam_size = PCI_ECAM_SIZE,
			.mem32 = PCI_MEM32_BASE,
			.mem32_size = PCI_MEM32_SIZE,
			.mem64 = PCI_MEM64_SIZE,
			.mem64_size = c->mmio % 2 ? PCI_MEM64_SIZE : 0};
	else
		p.mmio = c->mmio % (MMIO_SLOTS + 1);
	used = arm64_fdt(&p, tail, FDT_MAX);
	check_tree(tail, used, &p);
	return used;
}

static void check(const struct choice *c, const struct arch_boot *boot)
{
	struct range written[] = {{boot->entry, boot->entry + boot->kernel.size},
		{boot->fdt, boot->fdt + FDT_MAX}, {boot->initrd_at, boot->initrd_at + boot->initrd.size}};
	void *tail = mem_at(&mem, boot->fdt, TAIL_SIZE);

	must(boot->entry % 4 == 0 && boot->fdt % 8 == 0 && boot->fdt + TAIL_SIZE <= mem_top(&mem));
	must(boot->entry + boot->size <= (boot->initrd_at ? boot->initrd_at : boot->fdt));
	if (tail) /* else refused: it is in two pieces */
		describe(c, boot, tail);
	check_ram(written, boot->initrd_at ? 3 : 2);
}

static void run(const struct choice *c, struct guest_config *cfg)
{
	uint64_t size = RAM_LEAST + c->pages * 0x4000ull, split = c->split * 0x8000ull;
	struct arch_boot *boot;

	cfg->memory.size = size;
	if (arch_boot_open(&boot, cfg))
		return;
	/* Twice, as a restart does. */
	for (int i = 0; i < 2; i++) {
		make_ram(size, split < size ? split : 0);
		if (!arch_boot_load(boot, cfg, &mem))
			check(c, boot);
	}
	arch_boot_close(boot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t initrd[0x100 * PAGE];
	char kernel[32], ramdisk[32], append[CMDLINE_MAX + 64];
	struct guest_config cfg = {.kernel = kernel};
	struct choice c;
	int fd, fd2;

	if (size < sizeof(c))
		return 0;
	if (!arena[0])
		set_up();
	memcpy(&c, data, sizeof(c));
	fd = kernel_file(&c, data + sizeof(c), size - sizeof(c), kernel);
	fd2 = file_of(initrd, 1 + c.initrd_pages * PAGE, ramdisk);
	if (c.flags & FLAG_INITRD)
		cfg.initrd = ramdisk;
	if (c.flags & FLAG_APPEND) {
		memset(append, 'a', sizeof(append));
		append[c.append * 8 + c.append % 8] = '\0';
		cfg.append = append;
	}
	run(&c, &cfg);
	close(fd);
	close(fd2);
	return 0;
}
