// SPDX-License-Identifier: Apache-2.0
/* Giving up privileges; see sandbox.h. */
#include "vmm/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/log.h"

/* Asked of the kernel directly: libcap-ng would read /proc/self/status five times, in each thread. */
static uint64_t effective(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return syscall(SYS_capget, &head, data) ? 0 : data[0].effective | (uint64_t)data[1].effective << 32;
}

int sandbox_keep(uint64_t caps)
{
	capng_select_t sets = CAPNG_SELECT_ALL;
	uint64_t have = effective();
	int ret;

	/* Without CAP_SETPCAP the bounding set stays: it lets nothing in that no_new_privs does not keep out. */
	if (!(have & 1u << CAP_SETPCAP))
		sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (caps & have & 1ULL << cap)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
	ret = capng_apply(sets);
	if (ret) {
		log_err("capabilities could not be dropped (libcap-ng %d)", ret);
		return -EPERM;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_errno(-errno, "no_new_privs");
	return 0;
}

int sandbox_drop(void)
{
	return sandbox_keep(0);
}
