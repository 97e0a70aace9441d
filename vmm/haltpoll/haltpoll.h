/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a vCPU that halts polls for its next event before it blocks: a ceiling a VM (KVM_CAP_HALT_POLL,
 * Documentation/virt/kvm/halt-polling.rst), below which KVM moves each vCPU's own window, or, where vCPUs halt in
 * this process (--irqchip user), their own threads do. Here is what the user said of it, and the hands that set it.
 * All calls are main's.
 */
#ifndef PINVM_HALTPOLL_HALTPOLL_H
#define PINVM_HALTPOLL_HALTPOLL_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/haltpoll/decide.h"
#include "vmm/haltpoll/poller.h"

struct guest;
struct haltpoll;
struct haltpoll_config;
struct json_t;
struct vm;

#define HALTPOLL_MAX_NS 4000000000 /* KVM takes 2^32 - 1 */

enum haltpoll_mode {
	HALTPOLL_DEFAULT, /* the kernel's, untouched */
	HALTPOLL_OFF,
	HALTPOLL_FIXED,
	HALTPOLL_AUTO, /* by the controller (decide.h) */
	HALTPOLL_VMM,  /* in the vCPUs' own threads (window.h) */
};

/* What --halt-poll or `ctl halt-poll` says. */
struct haltpoll_spec {
	enum haltpoll_mode mode;
	uint64_t ceiling_ns;	   /* FIXED */
	struct halt_limits limits; /* AUTO */
	struct poll_rules rules;   /* VMM */
	const char *trace;	   /* AUTO, at the start: the file, the option's; NULL: none */
};

/* spec.c: the plain value, as typed. NULL, or why it is refused; *spec may be NULL. */
const char *haltpoll_parse(const char *text, struct haltpoll_spec *spec);
/* The whole option, its plain value being NULL where nothing was said. NULL, or why it is refused. */
const char *haltpoll_spec(const struct haltpoll_config *cfg, struct haltpoll_spec *spec);
const char *haltpoll_mode_name(enum haltpoll_mode mode);

/* Would this host's KVM poll as vm->cfg says? Before there is a VM. 0, or -errno, logged. */
int haltpoll_check(const struct vm *vm);
/* From guest->cfg; before the VM exists, and with the privileges it takes to open a trace. 0 or -errno,
 * logged. */
int haltpoll_create(struct haltpoll **hp, struct guest *guest);
void haltpoll_destroy(struct haltpoll *hp); /* NULL: nothing happens */
/* All threads exist and have their places: the controller begins, if there is to be one. 0 or -errno, logged.
 */
int haltpoll_start(struct haltpoll *hp);
/*
 * The VM is new: give it what it is to have. No system call with `default`. 0, or -errno, logged; -ENOTSUP
 * where this kernel has no such capability.
 */
int haltpoll_apply(struct haltpoll *hp);
/* Ask each vCPU, which is parked, whether the guest polls by itself, for the report. */
void haltpoll_look(struct haltpoll *hp);
/* While the guest runs; without a trace of its own: the one of the start goes on. 0, or -errno with the reason in
 * `why`; then all is as it was. */
int haltpoll_set(struct haltpoll *hp, const struct haltpoll_spec *spec, char *why, size_t n);
/* What vCPUs that halt in this process go by; NULL: there is no haltpoll. */
const struct poll_live *haltpoll_live(const struct haltpoll *hp);
/* haltpoll_json.c: for the report, and as the answer to `ctl halt-poll`. NULL: JSON null. */
struct json_t *haltpoll_json(const struct haltpoll *hp);

#endif
