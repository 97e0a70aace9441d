/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM's own statistics of the VM and of each vCPU: one file descriptor each (KVM_GET_STATS_FD;
 * api.rst 4.133), opened with the VM, read at need. Names are the kernel's. All calls are main's.
 */
#ifndef PINVM_PROFILE_KVMSTATS_H
#define PINVM_PROFILE_KVMSTATS_H

#include <stdint.h>

struct json_t;
struct vcpu;

/* One statistic: `size` values of 64 bits; a histogram has as many buckets. */
struct kvmstat {
	const char *name;
	uint32_t first;	      /* where in a block its first value is */
	uint32_t bucket_size; /* of a linear histogram, otherwise 0; the last bucket counts all that is above
				 it, too */
	uint16_t size;
	int16_t exponent; /* a value is that many times its unit: base to the power of exponent */
	uint8_t base;	  /* 10 or 2 */
	uint8_t type;	  /* KVM_STATS_TYPE_* */
	uint8_t unit;	  /* KVM_STATS_UNIT_*; one this program does not know is NONE */
};

/* What a file has to tell; the same for all vCPUs. Of a type not known here nothing is listed. */
struct kvmstats_schema {
	struct kvmstat *stat;
	unsigned n;
	uint32_t values;      /* in a block */
	uint32_t data_offset; /* where in a file its block begins */
	void *text;	      /* names are in here */
};

/* Read header and descriptors. The schema is the caller's, for kvmstats_schema_free(). 0, -ENOMEM, -errno of
 * the read, or -EPROTO: the file contradicts itself. */
int kvmstats_schema_read(struct kvmstats_schema **schema, int fd);
void kvmstats_schema_free(struct kvmstats_schema *schema);
/* NULL: this kernel has no statistic of that name, or nothing was read yet (schema NULL). */
const struct kvmstat *kvmstats_find(const struct kvmstats_schema *schema, const char *name);

/* The file of the VM, or of a vCPU. */
struct kvmstats_file {
	int fd;		  /* -1: none */
	uint64_t *now;	  /* its block as read last; NULL: never */
	uint64_t *before; /* what earlier VMs of this guest came to; NULL: there was none */
};

#define KVMSTATS_VM   0
#define KVMSTATS_VCPU 1 /* and up: file[KVMSTATS_VCPU + index] */

struct kvmstats {
	struct kvmstats_schema *schema[2]; /* of the VM, of a vCPU; read with the first block */
	char why[96];			   /* what is missing has this reason; "": nothing is */
	unsigned nvcpus;
	struct kvmstats_file file[];
};

/* What the values of a file are; NULL until one of its kind was read. */
static inline struct kvmstats_schema **kvmstats_schema_of(struct kvmstats *stats, unsigned file)
{
	return &stats->schema[file == KVMSTATS_VM ? KVMSTATS_VM : KVMSTATS_VCPU];
}

/* Room for a guest's files; none is open. 0 or -ENOMEM. */
int kvmstats_create(struct kvmstats **stats, unsigned nvcpus);
void kvmstats_destroy(struct kvmstats *stats); /* NULL: nothing happens */

/*
 * Open the files of a new VM and of its vCPUs (by their fds), before any of these runs: later the ioctl would
 * wait until the vCPU leaves KVM_RUN. A kernel without statistics, or a limit of open files that leaves no
 * room for them, is no error: `why` says so.
 */
void kvmstats_open(struct kvmstats *stats, int vm_fd, const struct vcpu *vcpu);
/* Before a VM is given up for another: count on from what its statistics are. Its vCPUs do not run. */
void kvmstats_keep(struct kvmstats *stats);
/* Before the VM's descriptor closes: an open file keeps it alive (Linux 6.5), or is left without it (older
 * ones). */
void kvmstats_close(struct kvmstats *stats);

/*
 * Read a file's block anew: one pread, after the first time. Values as kvmstats_total() gives them stay until
 * the next call. 0, also where there is no file any more but earlier VMs had one; -ENOENT: there never was
 * one; otherwise as kvmstats_schema_read().
 */
int kvmstats_read(struct kvmstats *stats, unsigned file);
/* After kvmstats_read(): value (or bucket) i of a statistic, over all VMs this guest has had. */
uint64_t kvmstats_total(const struct kvmstats *stats, unsigned file, const struct kvmstat *stat, unsigned i);

/* kvmstats_json.c: all of a file in one object, read now; histograms are arrays. JSON null: see `why`. stats
 * may be NULL. */
struct json_t *kvmstats_json(struct kvmstats *stats, unsigned file);
/* What kind and unit each statistic has that is not a plain count, for those that were read. */
struct json_t *kvmstats_kinds_json(const struct kvmstats *stats);
/* Why something is missing; JSON null: nothing is. */
struct json_t *kvmstats_why_json(const struct kvmstats *stats);

#endif
