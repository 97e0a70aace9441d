// SPDX-License-Identifier: Apache-2.0
/* What -feat and +feat of --cpus mean: which names there are, and which word counts. */
#include "arch/arm64/cpufeature.h"

#include "arch/arch.h"
#include "tests/unit/unit.h"

START_TEST(names)
{
	static const char *const no[] = {"", "s", "sv", "sve2", "SVE", "pac", "paca ", "fp", "asimd", "avx"};

	ck_assert(arch_cpu_feature_known("sve") && arch_cpu_feature_known("paca") &&
		  arch_cpu_feature_known("pacg"));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ck_assert_msg(!arch_cpu_feature_known(no[i]), "\"%s\"", no[i]);
}
END_TEST

START_TEST(last_word_counts)
{
	static const struct {
		const char *list;
		enum wish sve, paca, pacg;
	} t[] = {
		{NULL, WISH_NONE, WISH_NONE, WISH_NONE},
		{"", WISH_NONE, WISH_NONE, WISH_NONE},
		{"-sve", WISH_OFF, WISH_NONE, WISH_NONE},
		{"+sve", WISH_ON, WISH_NONE, WISH_NONE},
		{"-sve,+sve", WISH_ON, WISH_NONE, WISH_NONE},
		{"+sve,-paca,-sve", WISH_OFF, WISH_OFF, WISH_NONE},
		{"+paca", WISH_NONE, WISH_ON, WISH_NONE},
		{"+pacg", WISH_NONE, WISH_NONE, WISH_ON},
		{"-paca,+pacg,+paca", WISH_NONE, WISH_ON, WISH_ON},
		{"+sve,,-pacg", WISH_ON, WISH_NONE, WISH_OFF},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_msg(cpufeature_wish(t[i].list, FEATURE_SVE) == t[i].sve, "sve of %s", t[i].list);
		ck_assert_msg(cpufeature_wish(t[i].list, FEATURE_PACA) == t[i].paca, "paca of %s", t[i].list);
		ck_assert_msg(cpufeature_wish(t[i].list, FEATURE_PACG) == t[i].pacg, "pacg of %s", t[i].list);
	}
}
END_TEST

UNIT_MAIN("cpufeature", names, last_word_counts)
