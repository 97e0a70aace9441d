// SPDX-License-Identifier: Apache-2.0
/* What the kernel counted of each vCPU since the last decision: KVM's statistics, and the scheduler's. Main.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/guest.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/profile/kvmstats.h"

struct haltpoll_vcpu {
	int schedstat;		       /* -1: this kernel has none */
	struct halt_window last, kept; /* sums since the guest began: as read last, at the last decision */
};

/* Found once: the schema is the same for all vCPUs. */
static int find_stats(struct haltpoll_auto *ctl, char *why, size_t n)
{
	struct kvmstats *stats = ctl->hp->guest->kvmstats;
	const struct kvmstats_schema *schema;
	int err = kvmstats_read(stats, KVMSTATS_VCPU);

	if (err) {
		snprintf(why, n, "auto needs KVM's statistics: %s",
			stats->why[0] ? stats->why : strerror(-err));
		return err;
	}
	schema = *kvmstats_schema_of(stats, KVMSTATS_VCPU);
	ctl->success = kvmstats_find(schema, "halt_poll_success_hist");
	ctl->fail = kvmstats_find(schema, "halt_poll_fail_hist");
	ctl->wait = kvmstats_find(schema, "halt_wait_hist");
	ctl->success_ns = kvmstats_find(schema, "halt_poll_success_ns");
	ctl->fail_ns = kvmstats_find(schema, "halt_poll_fail_ns");
	ctl->wait_ns = kvmstats_find(schema, "halt_wait_ns");
	if (ctl->success && ctl->fail && ctl->wait && ctl->success_ns && ctl->fail_ns && ctl->wait_ns)
		return 0;
	snprintf(why, n, "auto needs KVM's histograms of halts; Linux 5.15 or later has them");
	return -ENOTSUP;
}

int haltpoll_readings_open(struct haltpoll_auto *ctl, char *why, size_t n)
{
	const struct guest *guest = ctl->hp->guest;
	unsigned count = guest->cfg->cpus.count;
	int err = find_stats(ctl, why, n);

	if (err)
		return err;
	ctl->vcpu = calloc(count, sizeof(*ctl->vcpu));
	ctl->window = calloc(count, sizeof(*ctl->window));
	if (!ctl->vcpu || !ctl->window) {
		snprintf(why, n, "no memory");
		return -ENOMEM;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct placement *place = guest->vcpu[i].thread.place;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", place ? (int)place->tid : 0);
		ctl->vcpu[i].schedstat = open(path, O_RDONLY | O_CLOEXEC);
		err = haltpoll_read(ctl, i, &ctl->window[i]);
		if (err) {
			snprintf(why, n, "KVM's statistics of vCPU %u: %s", i, strerror(-err));
			return err;
		}
	}
	haltpoll_readings_keep(ctl);
	return 0;
}

void haltpoll_readings_close(struct haltpoll_auto *ctl)
{
	for (unsigned i = 0; ctl->vcpu && i < ctl->hp->guest->cfg->cpus.count; i++)
		if (ctl->vcpu[i].schedstat >= 0)
			close(ctl->vcpu[i].schedstat);
	free(ctl->vcpu);
	free(ctl->window);
	ctl->vcpu = NULL;
	ctl->window = NULL;
}

static void read_schedstat(const struct haltpoll_vcpu *v, struct halt_window *out)
{
	char text[96];
	ssize_t n = v->schedstat >= 0 ? pread(v->schedstat, text, sizeof(text) - 1, 0) : -1;

	if (n <= 0)
		return;
	text[n] = '\0';
	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &out->run_ns, &out->delay_ns, &out->slices) != 3)
		out->run_ns = out->delay_ns = out->slices = 0;
}

static void take_hist(
	const struct kvmstats *stats, unsigned file, const struct kvmstat *stat, uint64_t hist[HALT_BUCKETS])
{
	for (unsigned i = 0; i < stat->size; i++)
		hist[i < HALT_BUCKETS ? i : HALT_BUCKETS - 1] += kvmstats_total(stats, file, stat, i);
}

/* What is in it counts up; the difference of each word is that of the counter. */
static void subtract(struct halt_window *out, const struct halt_window *now, const struct halt_window *before)
{
	const uint64_t *a = (const uint64_t *)now, *b = (const uint64_t *)before;
	uint64_t *d = (uint64_t *)out;

	_Static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "counters only");
	for (unsigned i = 0; i < sizeof(*out) / sizeof(uint64_t); i++)
		d[i] = a[i] > b[i] ? a[i] - b[i] : 0;
}

int haltpoll_read(struct haltpoll_auto *ctl, unsigned i, struct halt_window *out)
{
	struct kvmstats *stats = ctl->hp->guest->kvmstats;
	struct haltpoll_vcpu *v = &ctl->vcpu[i];
	unsigned file = KVMSTATS_VCPU + i;
	int err = kvmstats_read(stats, file);

	if (err)
		return err;
	memset(&v->last, 0, sizeof(v->last));
	take_hist(stats, file, ctl->success, v->last.success);
	take_hist(stats, file, ctl->fail, v->last.fail);
	take_hist(stats, file, ctl->wait, v->last.wait);
	v->last.success_ns = kvmstats_total(stats, file, ctl->success_ns, 0);
	v->last.fail_ns = kvmstats_total(stats, file, ctl->fail_ns, 0);
	v->last.wait_ns = kvmstats_total(stats, file, ctl->wait_ns, 0);
	read_schedstat(v, &v->last);
	subtract(out, &v->last, &v->kept);
	return 0;
}

void haltpoll_readings_keep(struct haltpoll_auto *ctl)
{
	for (unsigned i = 0; i < ctl->hp->guest->cfg->cpus.count; i++)
		ctl->vcpu[i].kept = ctl->vcpu[i].last;
}
