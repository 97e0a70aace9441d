// SPDX-License-Identifier: Apache-2.0
/* The smallest guest: it was loaded, it runs, it can be heard, and it ends. */
#include "tests/guest/lib/guest.h"

int main(void)
{
	print("SUCCESS\n");
	return 0;
}
