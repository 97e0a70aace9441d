// SPDX-License-Identifier: Apache-2.0
/*
 * ELF kernels, 32- and 64-bit, as PVH and Multiboot load them: program headers, notes, segments. Every number
 * in the file is checked against the file before it is used. System V ABI, "Object Files". Main only.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/boot.h"
#include "arch/x86/layout.h"

#define PAGE	  4096
#define NOTES_MAX 65536 /* bytes of one PT_NOTE */

/* What this loader uses of either class of ELF header, and of a program header. */
struct elf_head {
	bool is64;
	unsigned machine, type, phnum, phentsize;
	uint64_t entry, phoff;
};

struct elf_segment {
	uint32_t type;
	uint64_t off, filesz, paddr, vaddr, memsz, align;
};

#define HEAD_FROM(e)                                                                     \
	(struct elf_head)                                                                \
	{                                                                                \
		.machine = (e).e_machine, .type = (e).e_type, .phnum = (e).e_phnum,      \
		.phentsize = (e).e_phentsize, .entry = (e).e_entry, .phoff = (e).e_phoff \
	}

#define SEGMENT_FROM(p)                                                                                \
	(struct elf_segment)                                                                           \
	{                                                                                              \
		.type = (p).p_type, .off = (p).p_offset, .filesz = (p).p_filesz, .paddr = (p).p_paddr, \
		.vaddr = (p).p_vaddr, .memsz = (p).p_memsz, .align = (p).p_align                       \
	}

/* boot->head is longer than any ELF header and zero behind the end of the file. */
static struct elf_head elf_head(const struct arch_boot *boot)
{
	struct elf_head head;
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;

	memcpy(&e64, boot->head, sizeof(e64));
	memcpy(&e32, boot->head, sizeof(e32));
	head = boot->head[EI_CLASS] == ELFCLASS64 ? HEAD_FROM(e64) : HEAD_FROM(e32);
	head.is64 = boot->head[EI_CLASS] == ELFCLASS64;
	return head;
}

/* Is range [off, off + len) inside the file? */
static bool in_file(const struct boot_file *file, uint64_t off, uint64_t len)
{
	return off <= file->size && len <= file->size - off;
}

static int check_head(const struct arch_boot *boot, const struct elf_head *head)
{
	const uint8_t *ident = boot->head;

	if (boot->kernel.size < (head->is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return boot_refuse(&boot->kernel, "is truncated: it ends in its ELF header; copy it again");
	if (ident[EI_CLASS] != ELFCLASS64 && ident[EI_CLASS] != ELFCLASS32)
		return boot_refuse(&boot->kernel, "its ELF header is damaged (class %u); copy it again",
			ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return boot_refuse(&boot->kernel, "is a big-endian ELF file; give an x86-64 kernel");
	if (head->machine == EM_AARCH64)
		return boot_refuse(
			&boot->kernel, "is an arm64 kernel; this is an x86-64 host, give an x86-64 kernel");
	if (head->machine != EM_X86_64 && head->machine != EM_386)
		return boot_refuse(&boot->kernel,
			"is for another CPU (ELF machine %u); give an x86-64 kernel", head->machine);
	if (head->type != ET_EXEC && head->type != ET_DYN)
		return boot_refuse(&boot->kernel,
			"is an ELF file of type %u, not a linked program; give the linked kernel",
			head->type);
	if (!head->phnum)
		return boot_refuse(
			&boot->kernel, "has no program headers, so nothing to load; give the linked kernel");
	if (head->phnum > BOOT_MAX_SEGMENTS)
		return boot_refuse(&boot->kernel, "has %u program headers; at most %u are taken", head->phnum,
			BOOT_MAX_SEGMENTS);
	if (head->phentsize != (head->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return boot_refuse(&boot->kernel,
			"its ELF header is damaged (program headers of %u bytes); copy it again",
			head->phentsize);
	if (!in_file(&boot->kernel, head->phoff, head->phnum * (uint64_t)head->phentsize))
		return boot_refuse(&boot->kernel,
			"its program headers lie past the end of the file (%llu bytes); copy it again",
			(unsigned long long)boot->kernel.size);
	return 0;
}

/* Read program headers into out[BOOT_MAX_SEGMENTS]. Their number, 0 when the file is not ELF, or -errno,
 * logged. */
static int read_segments(const struct arch_boot *boot, const struct elf_head *head, struct elf_segment *out)
{
	uint8_t table[BOOT_MAX_SEGMENTS * sizeof(Elf64_Phdr)];
	size_t len = head->phnum * head->phentsize;
	int r = check_head(boot, head);

	if (!r && head->phoff <= BOOT_HEAD_SIZE && len <= BOOT_HEAD_SIZE - head->phoff)
		memcpy(table, boot->head + head->phoff, len); /* as a rule they follow the ELF header */
	else if (!r)
		r = boot_pread(&boot->kernel, head->phoff, table, len);
	if (r)
		return r;
	for (unsigned i = 0; i < head->phnum; i++) {
		Elf64_Phdr p64;
		Elf32_Phdr p32;

		if (head->is64) {
			memcpy(&p64, table + i * sizeof(p64), sizeof(p64));
			out[i] = SEGMENT_FROM(p64);
		} else {
			memcpy(&p32, table + i * sizeof(p32), sizeof(p32));
			out[i] = SEGMENT_FROM(p32);
		}
	}
	return head->phnum;
}

static bool is_elf(const struct arch_boot *boot)
{
	return !memcmp(boot->head, ELFMAG, SELFMAG);
}

int elf_open(struct arch_boot *boot, uint64_t *entry)
{
	struct elf_segment seg[BOOT_MAX_SEGMENTS];
	struct elf_head head;
	int n;

	if (!is_elf(boot))
		return 0;
	head = elf_head(boot);
	n = read_segments(boot, &head, seg);
	if (n < 0)
		return n;
	*entry = head.entry;
	boot->nsegments = 0;
	for (int i = 0; i < n; i++)
		if (seg[i].type == PT_LOAD && (seg[i].memsz || seg[i].filesz))
			boot->segment[boot->nsegments++] = (struct boot_segment){
				.off = seg[i].off,
				.filesz = seg[i].filesz,
				.gpa = seg[i].paddr,
				.vaddr = seg[i].vaddr,
				.memsz = seg[i].memsz,
			};
	return 1;
}

/* Look through one PT_NOTE's bytes. 1, 0, or -EINVAL when they run past their end. */
static int scan_notes(const uint8_t *notes, uint64_t len, uint64_t align, uint32_t type, uint64_t *value)
{
	uint64_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n; /* the same in both classes */
		uint64_t name, desc, next;

		memcpy(&n, notes + at, sizeof(n));
		name = at + sizeof(n);
		desc = (name + n.n_namesz + align - 1) & ~(align - 1);
		next = (desc + n.n_descsz + align - 1) & ~(align - 1);
		if (desc > len || n.n_descsz > len - desc)
			return -EINVAL;
		if (n.n_type == type && n.n_namesz == 4 && !memcmp(notes + name, "Xen", 4) &&
			(n.n_descsz == 4 || n.n_descsz == 8)) {
			*value = 0;
			memcpy(value, notes + desc, n.n_descsz);
			return 1;
		}
		if (next >= len)
			break;
		at = next;
	}
	return 0;
}

static int read_notes(
	const struct arch_boot *boot, const struct elf_segment *seg, uint32_t type, uint64_t *value)
{
	uint8_t *notes;
	int r;

	if (seg->filesz > NOTES_MAX)
		return boot_refuse(&boot->kernel, "has %llu bytes of notes; at most %u are taken",
			(unsigned long long)seg->filesz, NOTES_MAX);
	if (!in_file(&boot->kernel, seg->off, seg->filesz))
		return boot_refuse(&boot->kernel, "its notes lie past the end of the file; copy it again");
	notes = malloc(seg->filesz + 1);
	if (!notes)
		return -ENOMEM;
	r = boot_pread(&boot->kernel, seg->off, notes, seg->filesz);
	if (!r) {
		r = scan_notes(notes, seg->filesz, seg->align == 8 ? 8 : 4, type, value);
		if (r < 0)
			r = boot_refuse(&boot->kernel,
				"a note in it runs past the end of its segment; copy it again");
	}
	free(notes);
	return r;
}

int elf_note(struct arch_boot *boot, uint32_t type, uint64_t *value)
{
	struct elf_segment seg[BOOT_MAX_SEGMENTS] = {0};
	struct elf_head head = elf_head(boot);
	int r = 0, n = is_elf(boot) ? read_segments(boot, &head, seg) : 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n && !r; i++)
		if (seg[i].type == PT_NOTE)
			r = read_notes(boot, &seg[i], type, value);
	return r;
}

static int check_segment(const struct arch_boot *boot, const struct boot_segment *seg)
{
	const struct boot_file *file = &boot->kernel;

	if (seg->memsz < seg->filesz)
		return boot_refuse(file,
			"a segment has %llu bytes in the file but %llu in memory; copy it again",
			(unsigned long long)seg->filesz, (unsigned long long)seg->memsz);
	if (!in_file(file, seg->off, seg->filesz))
		return boot_refuse(file,
			"is truncated: a segment lies past the end of the file (%llu bytes); copy it again",
			(unsigned long long)file->size);
	if (seg->memsz > UINT64_MAX - seg->gpa)
		return boot_refuse(file, "a segment at %#llx ends beyond all addresses; copy it again",
			(unsigned long long)seg->gpa);
	if (seg->gpa < ADDR_KERNEL)
		return boot_refuse(file,
			"wants to be loaded at %#llx; below 1 MiB are the tables pinvm writes, link it "
			"higher",
			(unsigned long long)seg->gpa);
	return 0;
}

int boot_check_segments(const struct arch_boot *boot)
{
	const struct boot_segment *s = boot->segment;

	if (!boot->nsegments)
		return boot_refuse(&boot->kernel, "has nothing to load; give the linked kernel");
	for (unsigned i = 0; i < boot->nsegments; i++) {
		int r = check_segment(boot, &s[i]);

		if (r)
			return r;
		for (unsigned j = 0; j < i; j++)
			if (s[i].gpa < s[j].gpa + s[j].memsz && s[j].gpa < s[i].gpa + s[i].memsz)
				return boot_refuse(&boot->kernel,
					"its segments at %#llx and %#llx overlap; copy it again",
					(unsigned long long)s[j].gpa, (unsigned long long)s[i].gpa);
	}
	return 0;
}

int boot_entry_ok(const struct arch_boot *boot)
{
	for (unsigned i = 0; i < boot->nsegments; i++) {
		const struct boot_segment *s = &boot->segment[i];

		if (boot->entry >= s->gpa && boot->entry - s->gpa < s->filesz && boot->entry <= UINT32_MAX)
			return 0;
	}
	return boot_refuse(&boot->kernel, "its entry point %#llx is in none of its loaded segments%s",
		(unsigned long long)boot->entry, boot->entry > UINT32_MAX ? " below 4 GiB" : "");
}

int boot_load_segments(struct arch_boot *boot, const struct guest_mem *mem, uint64_t *end)
{
	uint64_t top = 0;

	for (unsigned i = 0; i < boot->nsegments; i++) {
		const struct boot_segment *s = &boot->segment[i];
		uint64_t last = s->gpa + s->memsz;
		int r;

		if (!boot_is_ram(mem, s->gpa, s->memsz))
			return boot_refuse(&boot->kernel,
				"wants to be loaded at %#llx-%#llx, where this guest has no RAM; "
				"give it more --memory",
				(unsigned long long)s->gpa, (unsigned long long)(last - 1));
		r = boot_read(&boot->kernel, s->off, mem, s->gpa, s->filesz);
		if (!r)
			r = boot_zero(mem, s->gpa + s->filesz, s->memsz - s->filesz);
		if (r)
			return r;
		if (last <= RAM_LOW_MAX && last > top)
			top = last;
	}
	*end = (top + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	return 0;
}
