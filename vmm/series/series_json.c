// SPDX-License-Identifier: Apache-2.0
/* A line of the time series; see series.h. Names in it are a promise to scripts: add, do not rename. Main only. */
#include <jansson.h>
#include <pthread.h>
#include <time.h>

#include "devices/virtio/virtio.h"
#include "vmm/guest.h"
#include "vmm/profile/kvmstats.h"
#include "vmm/report/parts.h"
#include "vmm/series/series.h"
#include "vmm/util.h"

/* Those of KVM's statistics that say what a guest is doing; kernels and architectures have some of them. */
static const char *const of_vcpu[] = {
	"exits",
	"io_exits",
	"mmio_exits",
	"irq_exits",
	"halt_exits",
	"signal_exits",
	"request_irq_exits",
	"irq_injections",
	"mmio_exit_user",
	"mmio_exit_kernel",
	"wfe_exit_stat",
	"wfi_exit_stat",
	"halt_successful_poll",
	"halt_attempted_poll",
	"halt_poll_invalid",
	"halt_wakeup",
	"halt_poll_success_ns",
	"halt_poll_fail_ns",
	"halt_wait_ns",
	"preemption_reported",
};

static const char *const of_vm[] = {
	"remote_tlb_flush",
	"remote_tlb_flush_requests",
	"mmu_shadow_zapped",
	"pages_4k",
	"pages_2m",
	"pages_1g",
};

static json_t *kvm_json(struct kvmstats *stats, unsigned file, const char *const *name, unsigned n)
{
	json_t *json;

	if (!stats || kvmstats_read(stats, file))
		return json_null();
	json = json_object();
	for (unsigned i = 0; i < n; i++) {
		const struct kvmstat *stat = kvmstats_find(*kvmstats_schema_of(stats, file), name[i]);

		if (stat)
			json_object_set_new(
				json, name[i], json_integer((json_int_t)kvmstats_total(stats, file, stat, 0)));
	}
	return json;
}

/* CPU time of a thread; null: it has not begun, or has ended. */
static json_t *cpu_json(const struct vcpu *vcpu)
{
	struct timespec ts;
	clockid_t clock;

	if (!vcpu->started || pthread_getcpuclockid(vcpu->thread.id, &clock) || clock_gettime(clock, &ts) < 0)
		return json_null();
	return json_integer((json_int_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

static json_t *vcpus_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->cfg->cpus.count; i++) {
		const struct vcpu *vcpu = &guest->vcpu[i];

		json_array_append_new(list,
			json_pack("{s:i, s:o, s:I, s:o, s:o}", "index", i, "cpu_ns", cpu_json(vcpu), "user_exits",
				(json_int_t)vcpu->user_exits, "exits_by_kvm_reason", report_exits(vcpu), "kvm_stats",
				kvm_json(guest->kvmstats, KVMSTATS_VCPU + i, of_vcpu, COUNT(of_vcpu))));
	}
	return list;
}

static json_t *devices_json(const struct guest *guest)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < guest->ndevices; i++) {
		const struct virtio_dev *dev = guest->device[i];

		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o}", "name", dev->name, "errors",
						    (json_int_t)dev->errors, "dropped",
						    (json_int_t)dev->dropped, "queues", report_queues(dev)));
	}
	return list;
}

/* Since 1970, for who has other logs of the same time. */
static double wall_time(void)
{
	struct timespec ts;
	long ms;

	clock_gettime(CLOCK_REALTIME, &ts);
	ms = ts.tv_nsec / 1000000;
	return (double)ts.tv_sec + ms / 1e3;
}

json_t *series_json(const struct guest *guest, uint64_t lost)
{
	uint64_t us = (now_ns() - guest->start_ns) / 1000;

	return json_pack("{s:f, s:f, s:I, s:i, s:o, s:o, s:o}", "duration_s", (double)us / 1e6, "unix_s", wall_time(), "lost",
		(json_int_t)lost, "restarts", (int)guest->restarts, "vcpus", vcpus_json(guest), "kvm_stats",
		kvm_json(guest->kvmstats, KVMSTATS_VM, of_vm, COUNT(of_vm)), "devices", devices_json(guest));
}
