// SPDX-License-Identifier: Apache-2.0
/* Giving up privileges; see sandbox.h. */
#include "vmm/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/log.h"

/* Asked of the kernel directly: libcap-ng would read /proc/self/status five times, in each thread. */
static bool may_drop_bounds(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return !syscall(SYS_capget, &head, data) && data[0].effective & 1u << CAP_SETPCAP;
}

int sandbox_drop(void)
{
	capng_select_t sets = CAPNG_SELECT_ALL;
	int ret;

	/* Without CAP_SETPCAP the bounding set stays: it lets nothing in that no_new_privs does not keep out. */
	if (!may_drop_bounds())
		sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;
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
