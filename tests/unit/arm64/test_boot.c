// SPDX-License-Identifier: Apache-2.0
/* The Image's header, where the loader puts things, and what it refuses. */
#include <sys/syscall.h>
#include <zlib.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/layout.h"
#include "tests/unit/bootimage.h"

#define KERNEL_LEN 8192

static void put64(struct image *im, unsigned off, uint64_t v)
{
	memcpy(im->data + off, &v, sizeof(v));
}

/* 8 KiB of "kernel" whose bytes count up behind the header, that wants 1 MiB of RAM. */
static struct image image(void)
{
	struct image im = {.len = KERNEL_LEN};

	for (size_t i = 64; i < im.len; i++)
		im.data[i] = i * 7;
	put64(&im, 8, 0);
	put64(&im, 16, MIB);
	put64(&im, 24, 0xa);
	memcpy(im.data + 56, "ARM\x64", 4);
	return im;
}

/* The guest has 4 MiB, where a test does not say otherwise. */
static struct guest_config small(const struct image *im)
{
	struct guest_config cfg = config(im);

	cfg.memory.size = 4 * MIB;
	return cfg;
}

static void refused(const struct image *im, const char *words)
{
	struct guest_config cfg = small(im);

	ck_refused(&cfg, words);
}

START_TEST(image_is_placed)
{
	struct image im = image();
	struct guest_config cfg = config(&im);
	uint8_t *ram = unit_ram(&mem, RAM_BASE, 16 * MIB);

	put64(&im, 8, 0x80000);
	cfg = config(&im);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_str_eq(arch_boot_protocol(boot), "image");
	ck_assert_uint_eq(boot->entry, RAM_BASE + 0x80000);
	ck_assert_mem_eq(ram + 0x80000, im.data, im.len);
	ck_assert_uint_eq(boot->fdt % 8, 0);
	ck_assert_uint_eq(boot->fdt, RAM_BASE + 16 * MIB - TAIL_SIZE);
	ck_assert_uint_eq(boot->initrd_at, 0);
	ck_assert_str_eq(boot->cmdline, "console=ttyS0");
}
END_TEST

START_TEST(initrd_is_right_below_the_tree)
{
	struct image im = image();
	struct guest_config cfg = config(&im);
	char initrd[5000];
	uint8_t *ram = unit_ram(&mem, RAM_BASE, 4 * MIB);

	memset(initrd, 'i', sizeof(initrd));
	cfg.initrd = file_of(initrd, sizeof(initrd));
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(boot->initrd_at, boot->fdt - 8192);
	ck_assert_mem_eq(ram + (boot->initrd_at - RAM_BASE), initrd, sizeof(initrd));
}
END_TEST

/* Kernel and tree meet exactly, or do not fit; then the message tells what would. */
START_TEST(small_ram)
{
	struct image im = image();
	struct guest_config cfg = config(&im);

	unit_ram(&mem, RAM_BASE, MIB + TAIL_SIZE);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(boot->fdt, RAM_BASE + MIB);
	put64(&im, 16, MIB + 1);
	refused(&im, "give at least --memory 2M");
	put64(&im, 16, MIB);
	cfg = config(&im);
	cfg.initrd = file_of("x", 1);
	ck_refused(&cfg, "give more --memory");
}
END_TEST

/* Linux looks at 32 GiB from its own start on; the tree must not lie behind. */
START_TEST(window)
{
	struct image im = image();
	struct guest_config cfg = config(&im);

	unit_ram(&mem, RAM_BASE, 2 * MIB);
	unit_ram(&mem, RAM_BASE + BOOT_WINDOW - 2 * MIB, 4 * MIB);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_uint_eq(boot->fdt, RAM_BASE + BOOT_WINDOW - TAIL_SIZE);
}
END_TEST

START_TEST(header_is_checked)
{
	struct image im;

	unit_ram(&mem, RAM_BASE, 4 * MIB);
	im = image(), put64(&im, 8, 0x200000);
	refused(&im, "at offset 0x200000 of 2 MiB");
	im = image(), put64(&im, 8, 0x80001);
	refused(&im, "is it damaged?");
	im = image(), put64(&im, 16, 0);
	refused(&im, "Linux 3.17 or later");
	im = image(), put64(&im, 16, BOOT_WINDOW + 1);
	refused(&im, "is it damaged?");
	im = image(), put64(&im, 16, UINT64_MAX);
	refused(&im, "is it damaged?");
	im = image(), put64(&im, 24, 0xb);
	refused(&im, "big-endian");
	im = image(), im.len = 63;
	refused(&im, "is no kernel pinvm knows");
	im = image(), im.data[56] = 'a';
	refused(&im, "is no kernel pinvm knows");
}
END_TEST

START_TEST(pages_by_the_header)
{
	unit_ram(&mem, RAM_BASE, 4 * MIB);
	for (unsigned pages = 0; pages <= IMAGE_PAGES_64K; pages++) {
		struct image im = image();
		struct guest_config cfg;

		put64(&im, 24, 8 | pages << 1);
		cfg = small(&im);
		ck_assert_int_eq(try_boot(&cfg), 0);
		ck_assert_uint_eq(boot->pages, pages);
	}
}
END_TEST

START_TEST(other_files_are_named)
{
	static const struct {
		unsigned off;
		const char *magic, *words;
	} t[] = {
		{0, "\x28\xb5\x2f\xfd", "zstd -dc"},
		{4, "zimg", "zboot"},
		{0x202, "HdrS", "x86 kernel"},
		{0, "\177ELF", "is an ELF file"},
		{0, "MZ", "EFI program"},
		{257, "ustar", "tar archive"},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct image im = {.len = KERNEL_LEN};

		memcpy(im.data + t[i].off, t[i].magic, strlen(t[i].magic));
		refused(&im, t[i].words);
	}
}
END_TEST

/* What gzip makes of these bytes. */
static struct image packed(const void *data, size_t len)
{
	struct image im = {.len = 0};
	char *path = file_of("", 0);
	gzFile gz = gzopen(path, "wb");
	int fd;

	ck_assert_ptr_nonnull(gz);
	ck_assert_int_eq(gzwrite(gz, data, len), len);
	ck_assert_int_eq(gzclose(gz), Z_OK);
	fd = open(path, O_RDONLY);
	im.len = read(fd, im.data, sizeof(im.data));
	close(fd);
	ck_assert_int_gt(im.len, 18);
	ck_assert_int_lt(im.len, sizeof(im.data));
	return im;
}

/* Loaded as if it were not compressed, and again from the same open file. */
START_TEST(gzip)
{
	struct image im = image(), gz = packed(im.data, im.len), cut = gz, twice;
	struct guest_config cfg = small(&gz);
	uint8_t *ram = unit_ram(&mem, RAM_BASE, 4 * MIB);

	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_mem_eq(ram, im.data, im.len);
	ck_assert_uint_eq(boot->kernel.size, im.len);
	memset(ram, 0, im.len);
	ck_assert_int_eq(arch_boot_load(boot, &cfg, &mem), 0);
	ck_assert_mem_eq(ram, im.data, im.len);
	for (cut.len = 2; cut.len < gz.len; cut.len += gz.len / 7)
		refused(&cut, cut.len < 10 ? "error: " : "damaged or cut off");
	gz.data[gz.len - 6] ^= 1; /* of the checksum */
	refused(&gz, "damaged or cut off");
	gz = packed("", 0);
	refused(&gz, "and empty");
	twice = packed(im.data, im.len);
	twice = packed(twice.data, twice.len);
	refused(&twice, "is no kernel pinvm knows");
}
END_TEST

/* A few bytes that unpack to very many take no more memory than the guest has, wherever in its RAM they would end. */
START_TEST(gzip_bomb)
{
	static uint8_t zeros[24 * MIB];
	struct image im, gz;
	struct guest_config cfg;

	gz = packed(zeros, sizeof(zeros));
	unit_ram(&mem, RAM_BASE, 4 * MIB);
	refused(&gz, "unpacks to more than 4 MiB, which is all of --memory");
	cfg = config(&gz);
	cfg.memory.size = sizeof(zeros) - 4096;
	ck_refused(&cfg, "unpacks to more than 23 MiB, which is all");
	cfg.memory.size = sizeof(zeros);
	ck_refused(&cfg, "is no kernel pinvm knows");
	/* A kernel that fills RAM is unpacked, and then has no room for its tree. */
	im = image();
	memcpy(zeros, im.data, im.len);
	gz = packed(zeros, 4 * MIB);
	refused(&gz, "give at least --memory 5M");
}
END_TEST

/* The end of a file that was cut off anywhere is missed; bytes behind the end are nobody's. */
START_TEST(gzip_ends)
{
	struct image im = image(), gz = packed(im.data, im.len), cut = gz;
	struct guest_config cfg;
	uint8_t *ram = unit_ram(&mem, RAM_BASE, 4 * MIB);

	for (size_t left = 1; left <= 12; left++) {
		cut.len = gz.len - left;
		refused(&cut, "damaged or cut off");
	}
	memset(gz.data + gz.len, 0, 16);
	gz.len += 16;
	cfg = small(&gz);
	ck_assert_int_eq(try_boot(&cfg), 0);
	ck_assert_mem_eq(ram, im.data, im.len);
}
END_TEST

/* Of zlib's calls the next one fails; the others are the kernel's. */
static bool next_read_fails;

ssize_t read(int fd, void *buf, size_t len)
{
	if (!next_read_fails)
		return syscall(SYS_read, fd, buf, len);
	next_read_fails = false;
	errno = EIO;
	return -1;
}

/* A file that can not be read is not a damaged one. */
START_TEST(gzip_io_error)
{
	struct image im = image(), gz = packed(im.data, im.len);

	unit_ram(&mem, RAM_BASE, 4 * MIB);
	next_read_fails = true;
	refused(&gz, "Input/output error");
	ck_assert(!next_read_fails);
}
END_TEST

START_TEST(long_command_line)
{
	struct image im = image();
	struct guest_config cfg = config(&im);
	char line[CMDLINE_MAX + 1];

	unit_ram(&mem, RAM_BASE, 4 * MIB);
	memset(line, 'a', sizeof(line));
	line[CMDLINE_MAX] = '\0';
	cfg.append = line;
	ck_refused(&cfg, "takes at most 2047");
	line[CMDLINE_MAX - 1] = '\0';
	ck_assert_int_eq(try_boot(&cfg), 0);
}
END_TEST

UNIT_MAIN("boot", image_is_placed, initrd_is_right_below_the_tree, small_ram, window, header_is_checked,
	pages_by_the_header, other_files_are_named, gzip, gzip_bomb, gzip_ends, gzip_io_error, long_command_line)
