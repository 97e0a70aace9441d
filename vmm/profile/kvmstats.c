// SPDX-License-Identifier: Apache-2.0
/*
 * The statistics files of a guest: open with each of its VMs, totals over all of them; see kvmstats.h. Main
 * only.
 *
 * Opening costs one ioctl a file and nothing else, so it is always done; what a file holds is looked at when
 * somebody asks.
 */
#include "vmm/profile/kvmstats.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/log.h"
#include "vmm/vcpu.h"

/* The files of vCPUs take no more than this part of the descriptors that are left: devices, disks and clients
 * need some. */
#define PART_OF_FDS 4

int kvmstats_create(struct kvmstats **out, unsigned nvcpus)
{
	struct kvmstats *stats =
		calloc(1, sizeof(*stats) + (KVMSTATS_VCPU + nvcpus) * sizeof(stats->file[0]));

	*out = stats;
	if (!stats)
		return -ENOMEM;
	stats->nvcpus = nvcpus;
	for (unsigned i = 0; i < KVMSTATS_VCPU + nvcpus; i++)
		stats->file[i].fd = -1;
	return 0;
}

void kvmstats_destroy(struct kvmstats *stats)
{
	if (!stats)
		return;
	kvmstats_close(stats);
	for (unsigned i = 0; i < KVMSTATS_VCPU + stats->nvcpus; i++) {
		free(stats->file[i].now);
		free(stats->file[i].before);
	}
	kvmstats_schema_free(stats->schema[KVMSTATS_VM]);
	kvmstats_schema_free(stats->schema[KVMSTATS_VCPU]);
	free(stats);
}

static void missing(struct kvmstats *stats, int err)
{
	struct rlimit limit = {0};

	if (stats->why[0])
		return;
	if (err == -ENOTTY || err == -EINVAL || err == -ENOSYS) {
		snprintf(stats->why, sizeof(stats->why),
			"this kernel lacks KVM_CAP_BINARY_STATS_FD; Linux 5.14 or later has it");
	} else if (err == -EMFILE) {
		getrlimit(RLIMIT_NOFILE, &limit);
		snprintf(stats->why, sizeof(stats->why),
			"%u vCPUs and a limit of %llu open files (ulimit -Hn) leave no room for them",
			stats->nvcpus, (unsigned long long)limit.rlim_max);
	} else {
		snprintf(stats->why, sizeof(stats->why), "KVM_GET_STATS_FD: %s", strerror(-err));
	}
	log_info("no KVM statistics: %s", stats->why);
}

static int open_file(struct kvmstats_file *file, int fd)
{
	file->fd = ioctl(fd, KVM_GET_STATS_FD, NULL);
	return file->fd < 0 ? -errno : 0;
}

/* next: the lowest free descriptor, more or less. A limit that may be raised is; one vCPU does not count. */
static int make_room(unsigned nvcpus, int next)
{
	rlim_t need = (rlim_t)next + PART_OF_FDS * nvcpus;
	struct rlimit limit;

	if (nvcpus == 1 || getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return 0;
	if (limit.rlim_max < need)
		return -EMFILE;
	limit.rlim_cur = need;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -EMFILE : 0;
}

void kvmstats_open(struct kvmstats *stats, int vm_fd, const struct vcpu *vcpu)
{
	int err = open_file(&stats->file[KVMSTATS_VM], vm_fd);

	if (!err)
		err = make_room(stats->nvcpus, stats->file[KVMSTATS_VM].fd);
	for (unsigned i = 0; !err && i < stats->nvcpus; i++)
		err = open_file(&stats->file[KVMSTATS_VCPU + i], vcpu[i].fd);
	if (!err)
		return;
	/* All or none: who compares vCPUs must not take a gap for an idle one. */
	kvmstats_close(stats);
	missing(stats, err);
}

void kvmstats_close(struct kvmstats *stats)
{
	for (unsigned i = 0; stats && i < KVMSTATS_VCPU + stats->nvcpus; i++) {
		if (stats->file[i].fd >= 0)
			close(stats->file[i].fd);
		stats->file[i].fd = -1;
	}
}

static int read_block(struct kvmstats *stats, unsigned n)
{
	struct kvmstats_schema **schema = kvmstats_schema_of(stats, n);
	struct kvmstats_file *file = &stats->file[n];
	ssize_t size, got;
	int err;

	if (!*schema) {
		err = kvmstats_schema_read(schema, file->fd);
		if (err)
			return err;
	}
	size = (*schema)->values * sizeof(uint64_t);
	if (!file->now)
		file->now = calloc((*schema)->values + 1, sizeof(uint64_t));
	if (!file->now)
		return -ENOMEM;
	got = pread(file->fd, file->now, size, (*schema)->data_offset);
	if (got == size)
		return 0;
	err = got < 0 ? -errno : -EPROTO;
	free(file->now); /* half of it is new */
	file->now = NULL;
	return err;
}

int kvmstats_read(struct kvmstats *stats, unsigned n)
{
	const struct kvmstats_file *file = &stats->file[n];
	int err;

	if (file->fd < 0)
		return file->before ? 0 : -ENOENT;
	err = read_block(stats, n);
	if (err && !stats->why[0])
		snprintf(stats->why, sizeof(stats->why), "KVM's statistics can not be read: %s",
			strerror(-err));
	return err;
}

/* A new VM counts from 0, and so do its peaks; what an old one is at this moment is over with it. */
static uint64_t join(const struct kvmstat *stat, uint64_t before, uint64_t now)
{
	switch (stat->type) {
	case KVM_STATS_TYPE_INSTANT:
		return now;
	case KVM_STATS_TYPE_PEAK:
		return now > before ? now : before;
	default:
		return before + now;
	}
}

uint64_t kvmstats_total(const struct kvmstats *stats, unsigned n, const struct kvmstat *stat, unsigned i)
{
	const struct kvmstats_file *file = &stats->file[n];

	return join(stat, file->before ? file->before[stat->first + i] : 0,
		file->now ? file->now[stat->first + i] : 0);
}

static void keep_file(struct kvmstats *stats, unsigned n)
{
	struct kvmstats_file *file = &stats->file[n];
	const struct kvmstats_schema *schema;
	uint64_t *total;

	if (file->fd < 0 || kvmstats_read(stats, n))
		return;
	schema = *kvmstats_schema_of(stats, n);
	total = calloc(schema->values + 1, sizeof(*total));
	if (!total)
		return;
	for (unsigned s = 0; s < schema->n; s++)
		for (unsigned i = 0; i < schema->stat[s].size; i++)
			total[schema->stat[s].first + i] = kvmstats_total(stats, n, &schema->stat[s], i);
	free(file->before);
	file->before = total;
	free(file->now);
	file->now = NULL;
}

void kvmstats_keep(struct kvmstats *stats)
{
	for (unsigned i = 0; i < KVMSTATS_VCPU + stats->nvcpus; i++)
		keep_file(stats, i);
}
