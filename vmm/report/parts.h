/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a report, each made by a file of its own; names in them are a promise to scripts. NULL where
 * there was no memory. Main.
 */
#ifndef PINVM_REPORT_PARTS_H
#define PINVM_REPORT_PARTS_H

#include <jansson.h>
#include <sched.h>

struct guest;
struct mem_plan;
struct place_sched;

/* Text that may hold a file's name, which need not be UTF-8 as JSON must: then other bytes than ASCII are
 * `?`. */
json_t *report_text(const char *text);
/* A set of CPUs as a list like 0-3,5. */
json_t *report_cpulist(const cpu_set_t *set);

struct placement;
/* What was asked for a thread (null: nothing) and what the kernel answered at the last look (null: no such task yet). */
json_t *report_placement(const struct placement *p);
json_t *report_sched(const struct place_sched *sched);
/* threads.c: vCPUs, and threads that run no guest. */
json_t *report_vcpus(const struct guest *guest);
json_t *report_threads(const struct guest *guest);
/* How an iothread polls now, and what came of its polls. */
struct iothread;
json_t *report_poll(const struct iothread *io);
/* A vCPU's exits by reason, and a device's queues: of time series, too. */
struct vcpu;
struct virtio_dev;
json_t *report_exits(const struct vcpu *vcpu);
json_t *report_queues(const struct virtio_dev *dev);
/* memory.c: RAM, and how it was filled before the start (JSON null: it was not). */
json_t *report_memory(const struct guest *guest);
json_t *report_prealloc(const struct mem_plan *plan);
/* devices.c */
json_t *report_devices(const struct guest *guest);
struct virtio_dev;
/* What holds a device back now, null where nothing does; NULL: such a device has no limits. */
json_t *report_limits(const struct virtio_dev *dev);

#endif
