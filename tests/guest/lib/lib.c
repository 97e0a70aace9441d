// SPDX-License-Identifier: Apache-2.0
/* The serial console, the command line, and the endings of a bare-metal guest. Any CPU; prints do not lock.
 */
#include <stdarg.h>

#include "tests/guest/lib/guest.h"

#define MULTIBOOT_MAGIC 0x2badb002
#define UART_LSR	5
#define UART_THRE	0x20
#define S5		(5 << 2 | 1 << 5)

extern uint32_t boot_magic, boot_info;
void guest_start(void);

static char cmdline[1024];

typedef uint64_t word __attribute__((may_alias, aligned(1)));

void *memcpy(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	/* By words where that is possible: a host that emulates ring 0 counts instructions. */
	for (; n >= 8; n -= 8, d += 8, s += 8)
		*(word *)d = *(const word *)s;
	while (n--)
		*d++ = *s++;
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;

	for (; n >= 8; n -= 8, d += 8)
		*(word *)d = 0x0101010101010101ull * (uint8_t)c;
	while (n--)
		*d++ = c;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n >= 8 && *(const word *)x == *(const word *)y; n -= 8, x += 8, y += 8)
		;
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static void put(char c)
{
	while (!(inb(PIO_SERIAL + UART_LSR) & UART_THRE))
		pause_cpu();
	outb(PIO_SERIAL, c);
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(uint64_t v, unsigned base)
{
	char digits[24];
	unsigned n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n)
		put(digits[--n]);
}

static void put_signed(int64_t v)
{
	if (v < 0)
		put('-');
	put_number(v < 0 ? -(uint64_t)v : (uint64_t)v, 10);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		bool wide = false;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		if (*++fmt == 'l') {
			wide = true;
			fmt++;
		}
		switch (*fmt) {
		case 's':
			put_string(va_arg(ap, const char *));
			break;
		case 'c':
			put(va_arg(ap, int));
			break;
		case 'd':
			put_signed(wide ? va_arg(ap, long) : va_arg(ap, int));
			break;
		case 'u':
		case 'x':
			put_number(wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned),
				*fmt == 'u' ? 10 : 16);
			break;
		case 'p':
			put_number((uintptr_t)va_arg(ap, void *), 16);
			break;
		default:
			put(*fmt);
		}
	}
	va_end(ap);
}

void power_off(void)
{
	outb(PIO_SLEEP_CTL, S5);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void debug_exit(uint32_t code)
{
	outl(PIO_DEBUG_EXIT, code);
	power_off();
}

void fail(const char *file, int line, const char *what)
{
	print("FAIL %s:%d: %s\n", file, line, what);
	debug_exit(1);
}

/* Words are separated by blanks; a value ends at the next one, so look-ups cut the line up as it is read in.
 */
const char *arg(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = cmdline; p < cmdline + sizeof(cmdline) && *p; p += strlen(p) + 1)
		if (!memcmp(p, name, n) && (p[n] == '=' || !p[n]))
			return p[n] ? p + n + 1 : p + n;
	return NULL;
}

bool arg_is(const char *name, const char *value)
{
	const char *v = arg(name);

	return v && strlen(v) == strlen(value) && !memcmp(v, value, strlen(value));
}

uint64_t arg_number(const char *name, uint64_t otherwise)
{
	const char *v = arg(name);
	uint64_t n = 0;

	if (!v || !*v)
		return otherwise;
	for (; *v; v++) {
		if (*v < '0' || *v > '9')
			fail(name, 0, "its value is not a number");
		n = n * 10 + *v - '0';
	}
	return n;
}

/* Copy the command line behind the kernel's name, each word ended by a NUL, the last by two. */
static void read_cmdline(const char *s)
{
	size_t n = 0;

	while (*s && *s != ' ')
		s++;
	for (; *s && n < sizeof(cmdline) - 2; s++) {
		if (*s != ' ')
			cmdline[n++] = *s;
		else if (n && cmdline[n - 1])
			cmdline[n++] = 0;
	}
}

void guest_start(void)
{
	const uint32_t *info = (const uint32_t *)(uintptr_t)boot_info;

	irq_init();
	if (boot_magic != MULTIBOOT_MAGIC)
		fail("start", 0, "not started by Multiboot");
	if (info[0] & 1 << 2)
		read_cmdline((const char *)(uintptr_t)info[4]);
	debug_exit(main());
}
