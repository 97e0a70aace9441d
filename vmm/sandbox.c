// SPDX-License-Identifier: Apache-2.0
/* Giving up privileges; see sandbox.h. */
#include "vmm/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

#include "vmm/log.h"

int sandbox_drop(void)
{
	capng_select_t sets;
	int ret;

	capng_get_caps_process();
	/* Without CAP_SETPCAP the bounding set stays: it lets nothing in that no_new_privs does not keep out. */
	sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		sets = CAPNG_SELECT_ALL;
	capng_clear(CAPNG_SELECT_ALL);
	ret = capng_apply(sets);
	if (ret) {
		log_err("capabilities could not be dropped (libcap-ng %d)", ret);
		return -EPERM;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_errno(-errno, "no_new_privs");
	return 0;
}
