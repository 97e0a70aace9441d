// SPDX-License-Identifier: Apache-2.0
/* A VM's halt-poll ceiling: set with each VM of a guest, and while it runs; see haltpoll.h. Main only. */
#include "vmm/haltpoll/haltpoll.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/kernel.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/log.h"
#include "vmm/options/values.h"

static int open_trace(struct haltpoll *hp, const char *path)
{
	/* O_NONBLOCK: a FIFO that nobody reads is refused, and a slow reader is not waited for. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	int err;

	hp->trace = fd < 0 ? NULL : fdopen(fd, "w");
	if (hp->trace)
		return 0;
	err = log_errno(-errno, "--halt-poll trace=%s", path);
	if (fd >= 0)
		close(fd);
	return err;
}

/* A ceiling below KVM's shortest window is as good as none. */
static int check_shortest(const struct haltpoll_spec *spec, char *why, size_t n)
{
	char start[24], max[24];
	uint64_t shortest;

	if (spec->mode != HALTPOLL_AUTO || kernel_haltpoll("_grow_start", &shortest) || spec->limits.max_ns >= shortest)
		return 0;
	value_format_duration(shortest, start, sizeof(start));
	value_format_duration(spec->limits.max_ns, max, sizeof(max));
	snprintf(why, n, "max=%s is less than the %s that KVM's polls begin with here (halt_poll_ns_grow_start): give %s or more, or off",
		max, start, start);
	return -ERANGE;
}

/* Can this be done for vCPUs that halt as this guest's do? */
static int check_guest(const struct guest_config *cfg, const struct haltpoll_spec *spec, char *why, size_t n)
{
	bool in_kvm = spec->mode == HALTPOLL_FIXED || spec->mode == HALTPOLL_AUTO;

	if (in_kvm && cfg->irqchip == IRQCHIP_USER) {
		snprintf(why, n, "vCPUs of --irqchip user do not halt in KVM: vmm is the mode that polls there");
		return -ENOTSUP;
	}
	if (spec->mode == HALTPOLL_VMM && cfg->irqchip != IRQCHIP_USER) {
		snprintf(why, n, "this guest's vCPUs halt in KVM: only one started with --halt-poll vmm or --irqchip user can "
				 "poll here");
		return -ENOTSUP;
	}
	if (in_kvm && cfg->exits.hlt == TRI_OFF) {
		snprintf(why, n, "with --exits hlt=off this guest keeps the CPU when it halts: nothing is left to poll for");
		return -ENOTSUP;
	}
	return check_shortest(spec, why, n);
}

static int check_cap(const struct vm *vm, char *why, size_t n)
{
	if (vm_cap(vm, KVM_CAP_HALT_POLL))
		return 0;
	snprintf(why, n, "this kernel lacks KVM_CAP_HALT_POLL; Linux 5.10 or later has it");
	return -ENOTSUP;
}

int haltpoll_check(const struct vm *vm)
{
	struct haltpoll_spec spec;
	char why[192];
	int err;

	if (vm->cfg->irqchip == IRQCHIP_USER) /* vCPUs that halt in this process need nothing of KVM's */
		return 0;
	haltpoll_spec(&vm->cfg->halt_poll, &spec); /* config_check() found nothing wrong */
	err = check_shortest(&spec, why, sizeof(why));
	if (!err && spec.mode != HALTPOLL_DEFAULT)
		err = check_cap(vm, why, sizeof(why));
	if (!err && spec.mode == HALTPOLL_AUTO && !vm_cap(vm, KVM_CAP_BINARY_STATS_FD)) {
		snprintf(why, sizeof(why), "needs KVM's statistics: this kernel lacks KVM_CAP_BINARY_STATS_FD; Linux 5.14 or later has it");
		err = -ENOTSUP;
	}
	if (err)
		log_err("--halt-poll %s: %s", vm->cfg->halt_poll.mode, why);
	return err;
}

int haltpoll_create(struct haltpoll **out, struct guest *guest)
{
	struct haltpoll *hp = calloc(1, sizeof(*hp));

	*out = hp;
	if (!hp)
		return -ENOMEM;
	hp->guest = guest;
	haltpoll_spec(&guest->cfg->halt_poll, &hp->spec); /* config_check() found nothing wrong */
	return hp->spec.trace ? open_trace(hp, hp->spec.trace) : 0;
}

void haltpoll_destroy(struct haltpoll *hp)
{
	if (!hp)
		return;
	haltpoll_auto_stop(hp->ctl);
	if (hp->trace)
		fclose(hp->trace);
	free(hp);
}

int haltpoll_give(struct haltpoll *hp, uint64_t ns)
{
	struct kvm_enable_cap cap = {.cap = KVM_CAP_HALT_POLL, .args[0] = ns};

	if (ioctl(hp->guest->vm.fd, KVM_ENABLE_CAP, &cap) < 0)
		return -errno;
	hp->ceiling_ns = ns;
	hp->given = true;
	return 0;
}

/*
 * A VM that was given a ceiling has it for good: `default` then means what the kernel's own is at this
 * moment. NULL: nothing has to be given.
 */
static const uint64_t *wanted(const struct haltpoll *hp, const struct haltpoll_spec *spec, uint64_t *ns)
{
	*ns = spec->mode == HALTPOLL_FIXED ? spec->ceiling_ns : 0;
	if (spec->mode == HALTPOLL_DEFAULT && (!hp->given || kernel_haltpoll("", ns)))
		return NULL;
	return ns;
}

/* vCPUs that halt in this process read what they are to do with each halt: KVM has no part in it. */
static int change_here(struct haltpoll *hp, const struct haltpoll_spec *spec)
{
	static const struct poll_rules none;

	poll_live_set(&hp->live, spec->mode == HALTPOLL_VMM ? &spec->rules : &none);
	hp->ceiling_ns = spec->mode == HALTPOLL_VMM ? spec->rules.max_ns : 0;
	hp->given = true;
	return 0;
}

/* To what config_check() and haltpoll_check(), or check_guest(), let pass. */
static int change(struct haltpoll *hp, const struct haltpoll_spec *spec, char *why, size_t n)
{
	uint64_t ns;
	int err;

	if (hp->guest->cfg->irqchip == IRQCHIP_USER)
		return change_here(hp, spec);
	if (!wanted(hp, spec, &ns))
		return 0;
	err = check_cap(&hp->guest->vm, why, n);
	if (err)
		return err;
	err = haltpoll_give(hp, ns);
	if (err)
		snprintf(why, n, "KVM_CAP_HALT_POLL: %s", strerror(-err));
	return err;
}

static void forget_answers(struct haltpoll *hp)
{
	for (unsigned i = 0; i < hp->guest->cfg->cpus.count; i++)
		atomic_store_explicit(&hp->guest->vcpu[i].guest_polls, -1, memory_order_relaxed);
}

int haltpoll_apply(struct haltpoll *hp)
{
	char why[192];
	int err;

	forget_answers(hp);
	hp->given = false;
	if (hp->ctl) { /* what was learned of the guest holds on */
		haltpoll_auto_resume(hp->ctl);
		err = haltpoll_give(hp, hp->ceiling_ns);
		return err ? log_errno(err, "KVM_CAP_HALT_POLL") : 0;
	}
	err = change(hp, &hp->spec, why, sizeof(why));
	if (err)
		log_err("--halt-poll %s: %s", hp->guest->cfg->halt_poll.mode, why);
	return err;
}

int haltpoll_start(struct haltpoll *hp)
{
	char why[192];
	int err;

	if (hp->spec.mode != HALTPOLL_AUTO)
		return 0;
	err = haltpoll_auto_start(&hp->ctl, hp, &hp->spec.limits, why, sizeof(why));
	if (err)
		log_err("--halt-poll auto: %s", why);
	return err;
}

const struct poll_live *haltpoll_live(const struct haltpoll *hp)
{
	return hp ? &hp->live : NULL;
}

void haltpoll_look(struct haltpoll *hp)
{
	for (unsigned i = 0; i < hp->guest->cfg->cpus.count; i++) {
		struct vcpu *vcpu = &hp->guest->vcpu[i];

		atomic_store_explicit(&vcpu->guest_polls, arch_vcpu_guest_polls(vcpu), memory_order_relaxed);
	}
}

int haltpoll_set(struct haltpoll *hp, const struct haltpoll_spec *spec, char *why, size_t n)
{
	struct haltpoll_auto *ctl = NULL;
	int err;

	if (spec->trace) {
		snprintf(why, n, "trace= is opened before privileges are dropped: give it at the start");
		return -EINVAL;
	}
	err = check_guest(hp->guest->cfg, spec, why, n);
	if (!err && spec->mode == HALTPOLL_AUTO)
		err = haltpoll_auto_start(&ctl, hp, &spec->limits, why, n);
	if (!err)
		err = change(hp, spec, why, n);
	if (err) {
		haltpoll_auto_stop(ctl);
		return err;
	}
	haltpoll_auto_stop(hp->ctl);
	hp->ctl = ctl;
	hp->spec = *spec;
	return 0;
}
