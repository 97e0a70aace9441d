// SPDX-License-Identifier: Apache-2.0
/* Which architecture this program was built for. Any thread. */
#include "arch/arch.h"

const char *arch_name(void)
{
	return "arm64";
}
