// SPDX-License-Identifier: Apache-2.0
/*
 * The table of CPU feature names; see cpufeature.h. One row a CPUID register: names separated by blanks, bit 0
 * first, "." for a bit without a name. Intel SDM 2A table 3-8 onwards, AMD APM 3 appendix E; spelled as Linux
 * prints them.
 */
#include "arch/x86/cpufeature.h"

#include <string.h>

#include "arch/arch.h"
#include "vmm/util.h"

static const struct cpufeature_word words[] = {
	{0x1, 0, CPUID_EDX,
		"fpu vme de pse tsc msr pae mce cx8 apic . sep mtrr pge mca cmov pat pse36 pn clflush . dts "
		"acpi mmx fxsr sse "
		"sse2 ss ht tm ia64 pbe"},
	{0x1, 0, CPUID_ECX,
		"pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm . "
		"pcid dca sse4_1 sse4_2 "
		"x2apic movbe popcnt tsc_deadline_timer aes xsave osxsave avx f16c rdrand hypervisor"},
	{0x6, 0, CPUID_EAX, "dtherm ida arat . pln . pts"},
	{0x7, 0, CPUID_EBX,
		"fsgsbase tsc_adjust sgx bmi1 hle avx2 . smep bmi2 erms invpcid rtm cqm . mpx rdt_a avx512f "
		"avx512dq rdseed adx "
		"smap avx512ifma . clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw "
		"avx512vl"},
	{0x7, 0, CPUID_ECX,
		". avx512vbmi umip pku ospke waitpkg avx512_vbmi2 user_shstk gfni vaes vpclmulqdq "
		"avx512_vnni avx512_bitalg tme "
		"avx512_vpopcntdq . la57 . . . . . rdpid . bus_lock_detect cldemote . movdiri movdir64b "
		"enqcmd sgx_lc pks"},
	{0x7, 0, CPUID_EDX,
		". . avx512_4vnniw avx512_4fmaps fsrm . . . avx512_vp2intersect . md_clear rtm_always_abort "
		". . serialize "
		"hybrid_cpu tsxldtrk . pconfig arch_lbr ibt . amx_bf16 avx512_fp16 amx_tile amx_int8 "
		"spec_ctrl intel_stibp "
		"flush_l1d arch_capabilities core_capabilities spec_ctrl_ssbd"},
	{0x7, 1, CPUID_EAX,
		"sha512 sm3 sm4 . avx_vnni avx512_bf16 . cmpccxadd . . fzrm fsrs fsrc . . . . fred lkgs "
		"wrmsrns . amx_fp16 hreset "
		"avx_ifma . . lam"},
	{0x7, 1, CPUID_EDX,
		". . . . avx_vnni_int8 avx_ne_convert . . amx_complex . avx_vnni_int16 . . . prefetchiti . . "
		". . avx10"},
	{0xd, 1, CPUID_EAX, "xsaveopt xsavec xgetbv1 xsaves xfd"},
	{0x80000001, 0, CPUID_EDX,
		". . . . . . . . . . . syscall . . . . . . . mp nx . mmxext . . fxsr_opt pdpe1gb rdtscp . lm "
		"3dnowext 3dnow"},
	{0x80000001, 0, CPUID_ECX,
		"lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
		"skinit wdt . lwp fma4 "
		"tce . nodeid_msr . tbm topoext perfctr_core perfctr_nb . bpext ptsc perfctr_llc mwaitx"},
	{0x80000007, 0, CPUID_EDX, ". . . . . . . hw_pstate nonstop_tsc cpb"},
	{0x80000008, 0, CPUID_EBX,
		"clzero irperf xsaveerptr . rdpru . . . . wbnoinvd . . ibpb . ibrs stibp . stibp_always_on . "
		". . . . amd_ppin "
		"amd_ssbd virt_ssbd amd_ssb_no cppc . amd_psfd btc_no brs"},
	{0x8000000a, 0, CPUID_EDX,
		"npt lbrv svm_lock nrip_save tsc_scale vmcb_clean flushbyasid decodeassists . . pausefilter "
		". pfthreshold avic . "
		"v_vmsave_vmload vgif"},
	{0x80000021, 0, CPUID_EAX, "no_nested_data_bp . lfence_rdtsc . . . null_sel_clr_base . autoibrs"},
};

const struct cpufeature_word *cpufeature_word(size_t i)
{
	return i < COUNT(words) ? &words[i] : NULL;
}

bool cpufeature_find(const char *name, size_t len, struct cpufeature *out)
{
	if (!len || *name == '.')
		return false;
	for (size_t i = 0; i < COUNT(words); i++) {
		const char *p = words[i].names;

		for (unsigned bit = 0; *p; bit++) {
			size_t n = strcspn(p, " ");

			if (n == len && memcmp(p, name, n) == 0) {
				*out = (struct cpufeature){
					words[i].leaf, words[i].subleaf, words[i].reg, bit};
				return true;
			}
			p += n + (p[n] == ' ');
		}
	}
	return false;
}

const char *arch_cpu_feature_names(void)
{
	return "names are those of /proc/cpuinfo";
}

bool arch_cpu_feature_known(const char *name)
{
	struct cpufeature f;

	return cpufeature_find(name, strlen(name), &f);
}
