/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bare-metal arm64 guest's beginning: the Image header (Documentation/arm64/booting.rst), the boot CPU's way into C, that
 * of the others, and what an exception leads to. The MMU stays off.
 */
	.section .head, "ax"
	.global	head
head:	b	1f
	.long	0
	.quad	0			/* text_offset */
	.quad	guest_end - head	/* image_size */
	.quad	0xa			/* flags: little-endian, 4K pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

1:	adrp	x1, bss_start
	add	x1, x1, :lo12:bss_start
	adrp	x2, guest_end
	add	x2, x2, :lo12:guest_end
2:	cmp	x1, x2
	b.eq	3f
	strb	wzr, [x1], #1
	b	2b
3:	adrp	x1, boot_stack_end
	add	sp, x1, :lo12:boot_stack_end
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	bl	main
	b	.

/* PSCI's CPU_ON brings its third argument along: the top of this CPU's stack, and above it what secondary() gets. */
	.text
	.global	secondary_start
secondary_start:
	mov	sp, x0
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	ldr	x0, [sp]
	bl	secondary
	b	.

	.global	hvc
hvc:	hvc	#0
	ret

	.balign	2048
vectors:
	.rept	16
	.balign	128
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	b	exception
	.endr

	.bss
	.balign	16
	.skip	8192
boot_stack_end:
