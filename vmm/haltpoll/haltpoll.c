// SPDX-License-Identifier: Apache-2.0
/* A VM's halt-poll ceiling: set with each VM of a guest, and while it runs; see haltpoll.h. Main only. */
#include "vmm/haltpoll/haltpoll.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/guest.h"
#include "vmm/haltpoll/kernel.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/log.h"

int haltpoll_create(struct haltpoll **out, struct guest *guest)
{
	struct haltpoll *hp = calloc(1, sizeof(*hp));

	*out = hp;
	if (!hp)
		return -ENOMEM;
	hp->guest = guest;
	haltpoll_spec(&guest->cfg->halt_poll, &hp->spec); /* config_check() found nothing wrong */
	return 0;
}

void haltpoll_destroy(struct haltpoll *hp)
{
	free(hp);
}

static int give(struct haltpoll *hp, uint64_t ns)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_HALT_POLL, .args[0] = ns};

	if (ioctl(hp->guest->vm.fd, KVM_ENABLE_CAP, &cap) < 0)
		return -errno;
	hp->ceiling_ns = ns;
	hp->given = true;
	return 0;
}

/*
 * A VM that was given a ceiling has it for good: `default` then means what the kernel's own is at this moment.
 * NULL: nothing has to be given.
 */
static const uint64_t *wanted(const struct haltpoll *hp, const struct haltpoll_spec *spec, uint64_t *ns)
{
	*ns = spec->mode == HALTPOLL_FIXED ? spec->ceiling_ns : 0;
	if (spec->mode == HALTPOLL_DEFAULT && (!hp->given || kernel_haltpoll("", ns)))
		return NULL;
	return ns;
}

static int change(struct haltpoll *hp, const struct haltpoll_spec *spec, char *why, size_t n)
{
	uint64_t ns;
	int err;

	if (!wanted(hp, spec, &ns))
		return 0;
	if (!vm_cap(&hp->guest->vm, KVM_CAP_HALT_POLL)) {
		snprintf(why, n, "this kernel lacks KVM_CAP_HALT_POLL; Linux 5.10 or later has it");
		return -ENOTSUP;
	}
	err = give(hp, ns);
	if (err)
		snprintf(why, n, "KVM_CAP_HALT_POLL: %s", strerror(-err));
	return err;
}

int haltpoll_apply(struct haltpoll *hp)
{
	char why[96];
	int err;

	hp->given = false;
	err = change(hp, &hp->spec, why, sizeof(why));
	if (err)
		log_err("--halt-poll %s: %s", hp->guest->cfg->halt_poll.mode, why);
	return err;
}

int haltpoll_set(struct haltpoll *hp, const struct haltpoll_spec *spec, char *why, size_t n)
{
	int err = change(hp, spec, why, n);

	if (!err)
		hp->spec = *spec;
	return err;
}
