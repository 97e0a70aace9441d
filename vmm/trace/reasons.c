// SPDX-License-Identifier: Apache-2.0
/*
 * The architectures' names: Intel SDM volume 3, appendix C; AMD APM volume 2, appendix C; ESR_EL2.EC of the
 * Arm ARM, as Linux spells them (asm/vmx.h, asm/svm.h, asm/esr.h). Sorted. What is not here is shown by
 * number. Any thread.
 */
#include <stdlib.h>

#include "vmm/trace/priv.h"
#include "vmm/util.h"

#define VMX_EXTERNAL_INTERRUPT 1
#define SVM_INTR	       0x60
#define ARM_IRQ		       0

struct named {
	uint32_t number;
	const char *name;
};

/* Basic exit reasons. */
static const struct named vmx[] = {
	{0, "EXCEPTION_NMI"},
	{1, "EXTERNAL_INTERRUPT"},
	{2, "TRIPLE_FAULT"},
	{3, "INIT_SIGNAL"},
	{4, "SIPI_SIGNAL"},
	{7, "INTERRUPT_WINDOW"},
	{8, "NMI_WINDOW"},
	{9, "TASK_SWITCH"},
	{10, "CPUID"},
	{12, "HLT"},
	{13, "INVD"},
	{14, "INVLPG"},
	{15, "RDPMC"},
	{16, "RDTSC"},
	{18, "VMCALL"},
	{19, "VMCLEAR"},
	{20, "VMLAUNCH"},
	{21, "VMPTRLD"},
	{22, "VMPTRST"},
	{23, "VMREAD"},
	{24, "VMRESUME"},
	{25, "VMWRITE"},
	{26, "VMOFF"},
	{27, "VMON"},
	{28, "CR_ACCESS"},
	{29, "DR_ACCESS"},
	{30, "IO_INSTRUCTION"},
	{31, "MSR_READ"},
	{32, "MSR_WRITE"},
	{33, "INVALID_STATE"},
	{34, "MSR_LOAD_FAIL"},
	{36, "MWAIT_INSTRUCTION"},
	{37, "MONITOR_TRAP_FLAG"},
	{39, "MONITOR_INSTRUCTION"},
	{40, "PAUSE_INSTRUCTION"},
	{41, "MCE_DURING_VMENTRY"},
	{43, "TPR_BELOW_THRESHOLD"},
	{44, "APIC_ACCESS"},
	{45, "EOI_INDUCED"},
	{46, "GDTR_IDTR"},
	{47, "LDTR_TR"},
	{48, "EPT_VIOLATION"},
	{49, "EPT_MISCONFIG"},
	{50, "INVEPT"},
	{51, "RDTSCP"},
	{52, "PREEMPTION_TIMER"},
	{53, "INVVPID"},
	{54, "WBINVD"},
	{55, "XSETBV"},
	{56, "APIC_WRITE"},
	{57, "RDRAND"},
	{58, "INVPCID"},
	{59, "VMFUNC"},
	{60, "ENCLS"},
	{61, "RDSEED"},
	{62, "PML_FULL"},
	{63, "XSAVES"},
	{64, "XRSTORS"},
	{67, "UMWAIT"},
	{68, "TPAUSE"},
	{74, "BUS_LOCK"},
	{75, "NOTIFY"},
	{77, "TDCALL"},
	{84, "MSR_READ_IMM"},
	{85, "MSR_WRITE_IMM"},
};

static const struct named svm[] = {
	{0x0, "READ_CR0"},
	{0x2, "READ_CR2"},
	{0x3, "READ_CR3"},
	{0x4, "READ_CR4"},
	{0x8, "READ_CR8"},
	{0x10, "WRITE_CR0"},
	{0x12, "WRITE_CR2"},
	{0x13, "WRITE_CR3"},
	{0x14, "WRITE_CR4"},
	{0x18, "WRITE_CR8"},
	{0x20, "READ_DR0"},
	{0x21, "READ_DR1"},
	{0x22, "READ_DR2"},
	{0x23, "READ_DR3"},
	{0x24, "READ_DR4"},
	{0x25, "READ_DR5"},
	{0x26, "READ_DR6"},
	{0x27, "READ_DR7"},
	{0x30, "WRITE_DR0"},
	{0x31, "WRITE_DR1"},
	{0x32, "WRITE_DR2"},
	{0x33, "WRITE_DR3"},
	{0x34, "WRITE_DR4"},
	{0x35, "WRITE_DR5"},
	{0x36, "WRITE_DR6"},
	{0x37, "WRITE_DR7"},
	{0x40, "EXCP_DE"},
	{0x41, "EXCP_DB"},
	{0x43, "EXCP_BP"},
	{0x44, "EXCP_OF"},
	{0x45, "EXCP_BR"},
	{0x46, "EXCP_UD"},
	{0x47, "EXCP_NM"},
	{0x48, "EXCP_DF"},
	{0x4a, "EXCP_TS"},
	{0x4b, "EXCP_NP"},
	{0x4c, "EXCP_SS"},
	{0x4d, "EXCP_GP"},
	{0x4e, "EXCP_PF"},
	{0x50, "EXCP_MF"},
	{0x51, "EXCP_AC"},
	{0x52, "EXCP_MC"},
	{0x53, "EXCP_XF"},
	{0x60, "INTR"},
	{0x61, "NMI"},
	{0x62, "SMI"},
	{0x63, "INIT"},
	{0x64, "VINTR"},
	{0x65, "CR0_SEL_WRITE"},
	{0x66, "IDTR_READ"},
	{0x67, "GDTR_READ"},
	{0x68, "LDTR_READ"},
	{0x69, "TR_READ"},
	{0x6a, "IDTR_WRITE"},
	{0x6b, "GDTR_WRITE"},
	{0x6c, "LDTR_WRITE"},
	{0x6d, "TR_WRITE"},
	{0x6e, "RDTSC"},
	{0x6f, "RDPMC"},
	{0x70, "PUSHF"},
	{0x71, "POPF"},
	{0x72, "CPUID"},
	{0x73, "RSM"},
	{0x74, "IRET"},
	{0x75, "SWINT"},
	{0x76, "INVD"},
	{0x77, "PAUSE"},
	{0x78, "HLT"},
	{0x79, "INVLPG"},
	{0x7a, "INVLPGA"},
	{0x7b, "IOIO"},
	{0x7c, "MSR"},
	{0x7d, "TASK_SWITCH"},
	{0x7e, "FERR_FREEZE"},
	{0x7f, "SHUTDOWN"},
	{0x80, "VMRUN"},
	{0x81, "VMMCALL"},
	{0x82, "VMLOAD"},
	{0x83, "VMSAVE"},
	{0x84, "STGI"},
	{0x85, "CLGI"},
	{0x86, "SKINIT"},
	{0x87, "RDTSCP"},
	{0x88, "ICEBP"},
	{0x89, "WBINVD"},
	{0x8a, "MONITOR"},
	{0x8b, "MWAIT"},
	{0x8c, "MWAIT_COND"},
	{0x8d, "XSETBV"},
	{0x8e, "RDPRU"},
	{0x8f, "EFER_WRITE_TRAP"},
	{0x90, "CR0_WRITE_TRAP"},
	{0x91, "CR1_WRITE_TRAP"},
	{0x92, "CR2_WRITE_TRAP"},
	{0x93, "CR3_WRITE_TRAP"},
	{0x94, "CR4_WRITE_TRAP"},
	{0x95, "CR5_WRITE_TRAP"},
	{0x96, "CR6_WRITE_TRAP"},
	{0x97, "CR7_WRITE_TRAP"},
	{0x98, "CR8_WRITE_TRAP"},
	{0x99, "CR9_WRITE_TRAP"},
	{0x9a, "CR10_WRITE_TRAP"},
	{0x9b, "CR11_WRITE_TRAP"},
	{0x9c, "CR12_WRITE_TRAP"},
	{0x9d, "CR13_WRITE_TRAP"},
	{0x9e, "CR14_WRITE_TRAP"},
	{0x9f, "CR15_WRITE_TRAP"},
	{0xa2, "INVPCID"},
	{0xa5, "BUS_LOCK"},
	{0xa6, "IDLE_HLT"},
	{0x400, "NPF"},
	{0x401, "AVIC_INCOMPLETE_IPI"},
	{0x402, "AVIC_UNACCELERATED_ACCESS"},
	{0x403, "VMGEXIT"},
	{0x80000001, "VMGEXIT_MMIO_READ"},
	{0x80000002, "VMGEXIT_MMIO_WRITE"},
	{0x80000003, "VMGEXIT_NMI_COMPLETE"},
	{0x80000004, "VMGEXIT_AP_HLT_LOOP"},
	{0x80000005, "VMGEXIT_AP_JUMP_TABLE"},
	{0x80000010, "VMGEXIT_PSC"},
	{0x80000011, "VMGEXIT_GUEST_REQUEST"},
	{0x80000012, "VMGEXIT_EXT_GUEST_REQUEST"},
	{0x80000013, "VMGEXIT_AP_CREATION"},
	{0x8000fffd, "VMGEXIT_HV_FEATURES"},
	{0x8000fffe, "VMGEXIT_TERM_REQUEST"},
	{0x8000ffff, "VMGEXIT_UNSUPPORTED_EVENT"},
	{0xffffffff, "ERR"},
};

/* What KVM says of an entry into EL2 (asm/kvm_asm.h). */
static const struct named arm[] = {
	{0x0, "IRQ"},
	{0x1, "SERROR"},
	{0x2, "TRAP"},
	{0x3, "IL"},
	{0xbadca11, "HYP_GONE"},
};

/* Exception classes. */
static const struct named arm_ec[] = {
	{0x00, "UNKNOWN"},
	{0x01, "WFx"},
	{0x03, "CP15_32"},
	{0x04, "CP15_64"},
	{0x05, "CP14_MR"},
	{0x06, "CP14_LS"},
	{0x07, "FP_ASIMD"},
	{0x08, "CP10_ID"},
	{0x09, "PAC"},
	{0x0c, "CP14_64"},
	{0x0d, "BTI"},
	{0x0e, "ILL"},
	{0x11, "SVC32"},
	{0x12, "HVC32"},
	{0x13, "SMC32"},
	{0x15, "SVC64"},
	{0x16, "HVC64"},
	{0x17, "SMC64"},
	{0x18, "SYS64"},
	{0x19, "SVE"},
	{0x1a, "ERET"},
	{0x1c, "FPAC"},
	{0x1d, "SME"},
	{0x1f, "IMP_DEF"},
	{0x20, "IABT_LOW"},
	{0x21, "IABT_CUR"},
	{0x22, "PC_ALIGN"},
	{0x24, "DABT_LOW"},
	{0x25, "DABT_CUR"},
	{0x26, "SP_ALIGN"},
	{0x27, "MOPS"},
	{0x28, "FP_EXC32"},
	{0x2c, "FP_EXC64"},
	{0x2f, "SERROR"},
	{0x30, "BREAKPT_LOW"},
	{0x31, "BREAKPT_CUR"},
	{0x32, "SOFTSTP_LOW"},
	{0x33, "SOFTSTP_CUR"},
	{0x34, "WATCHPT_LOW"},
	{0x35, "WATCHPT_CUR"},
	{0x38, "BKPT32"},
	{0x3a, "VECTOR32"},
	{0x3c, "BRK64"},
};

static const struct named msr[] = {
	{0x10, "IA32_TSC"},
	{0x1b, "IA32_APIC_BASE"},
	{0x3a, "IA32_FEAT_CTL"},
	{0x3b, "IA32_TSC_ADJUST"},
	{0x48, "IA32_SPEC_CTRL"},
	{0x49, "IA32_PRED_CMD"},
	{0x8b, "IA32_UCODE_REV"},
	{0xc1, "IA32_PMC0"},
	{0xc2, "IA32_PMC1"},
	{0xc3, "IA32_PMC2"},
	{0xc4, "IA32_PMC3"},
	{0xfe, "IA32_MTRRCAP"},
	{0x10a, "IA32_ARCH_CAPABILITIES"},
	{0x122, "IA32_TSX_CTRL"},
	{0x174, "IA32_SYSENTER_CS"},
	{0x175, "IA32_SYSENTER_ESP"},
	{0x176, "IA32_SYSENTER_EIP"},
	{0x186, "IA32_EVNTSEL0"},
	{0x187, "IA32_EVNTSEL1"},
	{0x1a0, "IA32_MISC_ENABLE"},
	{0x1d9, "IA32_DEBUGCTL"},
	{0x277, "IA32_CR_PAT"},
	{0x2ff, "IA32_MTRR_DEF_TYPE"},
	{0x38d, "IA32_FIXED_CTR_CTRL"},
	{0x38f, "IA32_PERF_GLOBAL_CTRL"},
	{0x390, "IA32_PERF_GLOBAL_OVF_CTRL"},
	{0x6e0, "IA32_TSC_DEADLINE"},
	{0x802, "X2APIC_ID"},
	{0x803, "X2APIC_VERSION"},
	{0x808, "X2APIC_TPR"},
	{0x80a, "X2APIC_PPR"},
	{0x80b, "X2APIC_EOI"},
	{0x80d, "X2APIC_LDR"},
	{0x80f, "X2APIC_SIVR"},
	{0x828, "X2APIC_ESR"},
	{0x82f, "X2APIC_LVT_CMCI"},
	{0x830, "X2APIC_ICR"},
	{0x832, "X2APIC_LVT_TIMER"},
	{0x833, "X2APIC_LVT_THERMAL"},
	{0x834, "X2APIC_LVT_PMI"},
	{0x835, "X2APIC_LVT_LINT0"},
	{0x836, "X2APIC_LVT_LINT1"},
	{0x837, "X2APIC_LVT_ERROR"},
	{0x838, "X2APIC_TMICT"},
	{0x839, "X2APIC_TMCCT"},
	{0x83e, "X2APIC_TDCR"},
	{0x83f, "X2APIC_SELF_IPI"},
	{0xda0, "IA32_XSS"},
	{0x40000000, "HV_GUEST_OS_ID"},
	{0x40000001, "HV_HYPERCALL"},
	{0x4b564d00, "KVM_WALL_CLOCK_NEW"},
	{0x4b564d01, "KVM_SYSTEM_TIME_NEW"},
	{0x4b564d02, "KVM_ASYNC_PF_EN"},
	{0x4b564d03, "KVM_STEAL_TIME"},
	{0x4b564d04, "KVM_PV_EOI_EN"},
	{0x4b564d05, "KVM_POLL_CONTROL"},
	{0x4b564d06, "KVM_ASYNC_PF_INT"},
	{0x4b564d07, "KVM_ASYNC_PF_ACK"},
	{0x4b564d08, "KVM_MIGRATION_CONTROL"},
	{0xc0000080, "EFER"},
	{0xc0000081, "STAR"},
	{0xc0000082, "LSTAR"},
	{0xc0000083, "CSTAR"},
	{0xc0000084, "SYSCALL_MASK"},
	{0xc0000100, "FS_BASE"},
	{0xc0000101, "GS_BASE"},
	{0xc0000102, "KERNEL_GS_BASE"},
	{0xc0000103, "TSC_AUX"},
	{0xc0000104, "AMD64_TSC_RATIO"},
	{0xc0010000, "K7_EVNTSEL0"},
	{0xc0010004, "K7_PERFCTR0"},
	{0xc0010015, "K7_HWCR"},
	{0xc0010058, "FAM10H_MMIO_CONF_BASE"},
	{0xc001011f, "AMD64_VIRT_SPEC_CTRL"},
	{0xc0010200, "F15H_PERF_CTL"},
	{0xc0010201, "F15H_PERF_CTR"},
};

/* Offsets in the page of the local APIC. */
static const struct named apic[] = {
	{0x20, "ID"},
	{0x30, "LVR"},
	{0x80, "TASKPRI"},
	{0x90, "ARBPRI"},
	{0xa0, "PROCPRI"},
	{0xb0, "EOI"},
	{0xc0, "RRR"},
	{0xd0, "LDR"},
	{0xe0, "DFR"},
	{0xf0, "SPIV"},
	{0x100, "ISR"},
	{0x180, "TMR"},
	{0x200, "IRR"},
	{0x280, "ESR"},
	{0x2f0, "LVTCMCI"},
	{0x300, "ICR"},
	{0x310, "ICR2"},
	{0x320, "LVTT"},
	{0x330, "LVTTHMR"},
	{0x340, "LVTPC"},
	{0x350, "LVT0"},
	{0x360, "LVT1"},
	{0x370, "LVTERR"},
	{0x380, "TMICT"},
	{0x390, "TMCCT"},
	{0x3e0, "TDCR"},
	{0x3f0, "SELF_IPI"},
	{0x400, "EFEAT"},
	{0x410, "ECTRL"},
};

static int compare(const void *key, const void *row)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct named *)row)->number;

	return a < b ? -1 : a > b;
}

static const char *find(const struct named *table, size_t n, uint32_t number)
{
	const struct named *row = bsearch(&number, table, n, sizeof(*table), compare);

	return row ? row->name : NULL;
}

#define FIND(table, number) find(table, COUNT(table), number)

const char *trace_isa_name(enum trace_isa isa)
{
	static const char *const names[] = {
		[TRACE_ISA_VMX] = "vmx",
		[TRACE_ISA_SVM] = "svm",
		[TRACE_ISA_ARM] = "arm64",
		[TRACE_ISA_ARM_EC] = "arm64 EC",
	};

	return (unsigned)isa < COUNT(names) ? names[isa] : NULL;
}

const char *trace_reason_name(enum trace_isa isa, uint32_t code)
{
	switch (isa) {
	case TRACE_ISA_VMX:
		return FIND(vmx, code);
	case TRACE_ISA_SVM:
		return FIND(svm, code);
	case TRACE_ISA_ARM:
		return FIND(arm, code);
	case TRACE_ISA_ARM_EC:
		return FIND(arm_ec, code);
	default:
		return NULL;
	}
}

bool trace_is_external(enum trace_isa isa, uint32_t code)
{
	return (isa == TRACE_ISA_VMX && code == VMX_EXTERNAL_INTERRUPT) ||
	       (isa == TRACE_ISA_SVM && code == SVM_INTR) || (isa == TRACE_ISA_ARM && code == ARM_IRQ);
}

const char *trace_msr_name(uint32_t index)
{
	return FIND(msr, index);
}

const char *trace_apic_name(uint32_t reg)
{
	return FIND(apic, reg);
}
