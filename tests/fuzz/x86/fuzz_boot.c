// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel loaders against any file. Beyond "no crash": an image that is accepted has an entry inside RAM
 * and above 1 MiB, and neither it nor its tables touched what belongs to the board (EBDA to 1 MiB) or to
 * nobody.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/mockmem.h"
#include "vmm/log.h"

#define LOW    (32u << 20)
#define HIGH   (2u << 20)
#define CANARY 0xc5

static struct guest_mem mem;
static const uint64_t canary_from = ADDR_CMDLINE + CMDLINE_MAX;
static char initrd[32];

static uint8_t *ram(uint64_t gpa, size_t size)
{
	/* An inaccessible page behind it: an overrun faults. */
	uint8_t *p = mmap(NULL, size + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p, size, PROT_READ | PROT_WRITE))
		abort();
	mem.region[mem.n++] = (struct mem_region){.gpa = gpa, .size = size, .host = p, .fd = -1};
	return p;
}

static int file_of(const void *data, size_t size, char path[32])
{
	int fd = memfd_create("image", 0);

	if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void set_up(void)
{
	uint8_t *low = ram(0, LOW);

	ram(RAM_HIGH, HIGH);
	memset(low, CANARY, 0x500);
	memset(low + canary_from, CANARY, ADDR_KERNEL - canary_from);
	file_of(low, 5000, initrd);
	if (log_open("/dev/null"))
		abort();
}

static void check_canary(uint64_t from, uint64_t to)
{
	const uint8_t *p = mem.region[0].host;

	for (uint64_t i = from; i < to; i++)
		if (p[i] != CANARY)
			abort();
}

static void check(const struct arch_boot *boot)
{
	const uint8_t *low = mem.region[0].host;

	if (boot->cpu.rip < ADDR_KERNEL || !mem_at(&mem, boot->cpu.rip, 1))
		abort();
	if (!boot->cpu.long_mode && boot->cpu.rip > UINT32_MAX)
		abort();
	if (strcmp((const char *)low + ADDR_CMDLINE + (boot->loader->argv0 ? strlen(boot->cmdline) - 4 : 0),
		    "fuzz"))
		abort();
	check_canary(0, 0x500);
	check_canary(canary_from, ADDR_KERNEL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char kernel[32], append[] = "fuzz";
	struct guest_config cfg = {.kernel = kernel, .append = append};
	struct arch_boot *boot;
	int fd;

	if (!mem.n)
		set_up();
	fd = file_of(data, size, kernel);
	cfg.initrd = size % 2 ? initrd : NULL;
	if (!arch_boot_open(&boot, &cfg)) {
		/* Twice, as a restart does. */
		for (int i = 0; i < 2; i++)
			if (!arch_boot_load(boot, &cfg, &mem))
				check(boot);
		arch_boot_close(boot);
	}
	close(fd);
	return 0;
}
