/* SPDX-License-Identifier: Apache-2.0 */
/* An Image that touches a device with an instruction KVM does not decode: a load of two registers. */
	.text
	b	1f
	.long	0
	.quad	0		/* text_offset */
	.quad	0x10000		/* image_size */
	.quad	0xa		/* flags: little-endian, 4K pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	mov	x0, #0x01000000	/* the serial port */
	mov	x7, #0x1234
	ldp	w1, w2, [x0]
2:	wfi
	b	2b
