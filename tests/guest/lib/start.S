/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the Multiboot entry (32-bit, paging off) to main() in long mode: identity page tables for the low 4 GiB, a GDT,
 * a stack, and 256 interrupt stubs that all end in trap(). Other CPUs begin at ap_trampoline, copied below 1 MiB.
 * Only plain instructions: some hosts emulate ring 0 and know few others.
 */
#define MAGIC 0x1badb002
#define FLAGS 3 /* modules on pages, memory information */

#define CR0_PE     (1 << 0)
#define CR0_PG     (1 << 31)
#define CR4_PAE    (1 << 5)
#define MSR_EFER   0xc0000080
#define EFER_LME   (1 << 8)
#define STACK_SIZE 16384

	.section .multiboot, "a"
	.align 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.code32
	.globl start
start:
	cld
	movl %eax, boot_magic
	movl %ebx, boot_info
	/* PML4 -> PDPT -> four page directories of 2 MiB pages */
	movl $page_tables + 0x1003, page_tables
	movl $page_tables + 0x2003, %eax
	movl $page_tables + 0x1000, %edi
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	loop 1b
	movl $0x83, %eax
	movl $page_tables + 0x2000, %edi
	movl $2048, %ecx
2:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	loop 2b
	movl $stack + STACK_SIZE, %esp
	call long_mode
	ljmp $0x08, $start64

/* Paging on, in compatibility mode until the caller's far jump. */
long_mode:
	movl %cr4, %eax
	orl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $page_tables, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl %cr0, %eax
	orl $CR0_PG, %eax
	movl %eax, %cr0
	lgdt gdt_pointer
	ret

	.code64
start64:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl $stack + STACK_SIZE, %esp
	call guest_start
3:	hlt
	jmp 3b

/* The way of every other CPU. Real mode, CS:IP = page:0; ap_stack is set before each is started. */
	.globl ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl ap_gdt_pointer - ap_trampoline
	movl %cr0, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl $0x18, $ap32
ap_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
ap_trampoline_end:

	.code32
ap32:
	movw $0x10, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl ap_stack, %esp
	call long_mode
	ljmp $0x08, $ap64
	.code64
ap64:
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl ap_stack, %esp
	call ap_main
4:	hlt
	jmp 4b

/* Vectors 8, 10-14, 17, 21, 29 and 30 push an error code; the others get a 0 in its place. */
	.globl trap_stubs
	.align 16
trap_stubs:
	vector = 0
	.rept 256
	.align 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	vector = vector + 1
	.endr

trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call trap
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	.data
	.align 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08 code, 64-bit */
	.quad 0x00cf93000000ffff /* 0x10 data */
	.quad 0x00cf9b000000ffff /* 0x18 code, 32-bit */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.globl boot_magic, boot_info, ap_stack
boot_magic:
	.long 0
boot_info:
	.long 0
ap_stack:
	.long 0

	.bss
	.globl page_tables
	.align 4096
page_tables:
	.skip 6 * 4096
	.align 16
stack:
	.skip STACK_SIZE
