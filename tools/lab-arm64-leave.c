// SPDX-License-Identifier: Apache-2.0
/* Ends the QEMU it runs under with status 42, by semihosting from user space (Arm semihosting, SYS_EXIT_EXTENDED). */
void _start(void);

void _start(void)
{
	static const unsigned long block[2] = {0x20026 /* ADP_Stopped_ApplicationExit */, 42};
	register unsigned long op __asm__("x0") = 0x20;
	register const unsigned long *arg __asm__("x1") = block;

	for (;;)
		__asm__ volatile("hlt #0xf000" : "+r"(op) : "r"(arg) : "memory");
}
