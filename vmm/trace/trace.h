/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's tracepoints tell of a guest's vCPU threads: exits inside the kernel by the architecture's
 * reason, with the time each took until the guest ran again; exits to user space; MSRs, ports and addresses;
 * and the interrupts of the host that hit a vCPU, by cause. For `pinvm stat NAME --trace`: one thread of a
 * process beside the VMM, never the VMM itself.
 *
 * Method. Each tracepoint is opened for each vCPU's thread (perf_event_open, pid = tid, any CPU). Such an
 * event counts only while that thread is current on a CPU, wherever it is moved to. KVM's tracepoints fire in
 * the thread, so they are exactly the vCPU's. An interrupt of the host hits whoever is current; those that
 * are counted here hit this vCPU, in guest mode or in its kernel or user part, and no other thread's are
 * among them. That is why they are not counted by CPU, which would need a wider right and have the
 * neighbours' too.
 * Order tells which of them ended a run of the guest: between kvm_entry and kvm_exit (there are hosts that
 * take the interrupt before they trace the exit: AMD with Linux 6.1, arm64), or the first one after an exit
 * whose reason is an external interrupt (Intel). On arm64 there are no irq_vectors: the CPU's own interrupts
 * are devices' there, the timer by its name, IPIs named IPI, each kind with a number of its own.
 *
 * The totals of an event are its kernel counter's (read(2)): exact whatever happens to the ring. What needs
 * the fields, or the order, of each event comes from one ring per vCPU that all of its events share
 * (PERF_EVENT_IOC_SET_OUTPUT). A ring that is full loses records, and the kernel says how many: `lost`. Then
 * the parts sum up to less than the totals by as much, and times and causes are of those that were seen.
 * Events of which only the number matters use no ring at all.
 *
 * Use: trace_open(); then trace_wait() in place of any sleep, as often as there is something to show;
 * trace_mark() where an interval begins that rates are wanted of; trace_close().
 */
#ifndef PINVM_TRACE_H
#define PINVM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_t;
struct trace;

#define TRACE_REASONS 96 /* different reasons a vCPU can have; what finds no place is in the totals only */
#define TRACE_CAUSES  64
#define TRACE_REACHED 256
#define TRACE_BUCKETS 40 /* of nanoseconds: log2_bucket() */
#define TRACE_NAME    32

/* A vCPU's thread, as reports have it. */
struct trace_thread {
	int tid;
	unsigned vcpu;
};

struct trace_options {
	const char *root; /* in front of tracefs's and /proc's paths; NULL: this host's */
	size_t ring; /* bytes of each ring, rounded to what the kernel takes; 0: 512 KiB, less with many vCPUs
		      */
	bool no_times; /* leave out kvm_entry, which is as frequent as kvm_exit: then there are no times */
};

/* A count, and what it was at the last trace_mark(). */
struct trace_count {
	uint64_t n, before;
};

/* In whose terms a number is. */
enum trace_isa {
	TRACE_ISA_UNKNOWN, /* shown by number */
	TRACE_ISA_VMX,	   /* Intel: basic exit reason */
	TRACE_ISA_SVM,	   /* AMD: EXITCODE */
	TRACE_ISA_ARM,	   /* arm64: why EL2 was entered, where that is no trap */
	TRACE_ISA_ARM_EC,  /* arm64: a trap's ESR_EL2.EC */
};

/* Exits inside the kernel of one reason. */
struct trace_reason {
	enum trace_isa isa;
	uint32_t code;
	struct trace_count exits;
	uint64_t timed, ns; /* those followed by an entry that was seen, and how long that took */
	uint64_t histogram[TRACE_BUCKETS]; /* of the same */
};

enum trace_reach {
	TRACE_USER,	 /* an exit to user space: KVM_EXIT_*; a negative one is -errno (EINTR: a signal) */
	TRACE_MSR,	 /* the MSR's index */
	TRACE_PIO,	 /* the port */
	TRACE_MMIO,	 /* guest-physical address */
	TRACE_FAST_MMIO, /* of a doorbell that the kernel took by itself: written without decoding */
	TRACE_APIC,	 /* register of the local APIC, the offset in its page, as the kernel emulates it */
	TRACE_REACHES
};

/* What the guest reached for. */
struct trace_reached {
	enum trace_reach kind;
	bool write;
	int64_t address;
	struct trace_count n;
};

/* An interrupt of the host while the vCPU's thread was current. */
struct trace_cause {
	int irq;	       /* of a device; -1: the CPU's own */
	char name[TRACE_NAME]; /* "local timer", "rescheduling", ...; the name in /proc/interrupts of a device
				*/
	struct trace_count hits;
	uint64_t ended; /* those of them that ended a run of the guest */
};

/* The windows of KVM's halt polling, by kvm_halt_poll_ns. */
struct trace_poll {
	uint64_t grown, shrunk;
	uint64_t window_ns, longest_ns; /* the last one set, and the longest one */
};

/* Tracepoints, in the order in which they are given up when there is no room for all. */
enum trace_event {
	TRACE_EV_EXIT,
	TRACE_EV_USER_EXIT,
	TRACE_EV_ENTRY,
	TRACE_EV_MSR,
	TRACE_EV_PIO,
	TRACE_EV_MMIO,
	TRACE_EV_FAST_MMIO,
	TRACE_EV_DEVICE_IRQ,
	TRACE_EV_LOCAL_TIMER,
	TRACE_EV_RESCHEDULE,
	TRACE_EV_CALL_FUNCTION,
	TRACE_EV_CALL_FUNCTION_SINGLE,
	TRACE_EV_IRQ_WORK,
	TRACE_EV_IPI, /* arm64; only how many: each is a device's interrupt, too */
	TRACE_EV_HALT_POLL,
	TRACE_EV_APIC,
	TRACE_EV_EOI,	 /* these two: only how many */
	TRACE_EV_PV_EOI, /* interrupts ended without an exit */
	TRACE_EV_THERMAL,
	TRACE_EV_PLATFORM_IPI,
	TRACE_EV_ERROR_APIC,
	TRACE_EV_SPURIOUS_APIC,
	TRACE_EVENTS
};

struct trace_vcpu {
	int tid;
	unsigned vcpu;
	bool ended;				/* the thread is gone: its numbers are final */
	struct trace_count event[TRACE_EVENTS]; /* totals; 0 where an event is not traced */
	uint64_t lost;				/* records that found no room in the ring */
	uint64_t malformed;			/* records that contradict the event's format: left out */
	uint64_t crowded;			/* events whose number found no row below any more */
	unsigned reasons, reached, causes;
	struct trace_reason reason[TRACE_REASONS];
	struct trace_reached reach[TRACE_REACHED];
	struct trace_cause cause[TRACE_CAUSES];
	struct trace_poll poll;
};

/*
 * Begin to trace the threads of a guest. options may be NULL. *trace is the caller's, for trace_close(). 0,
 * or -errno with what is missing and how to allow it in why[n], one sentence or two: -EACCES no right to, or
 * tracefs cannot be read; -ENOENT no tracefs, or no kvm events in it; -ESRCH a thread is gone; -EMFILE and
 * -ENOMEM limits; -ENOSYS a kernel without perf events. An event that only some kernels have is no failure:
 * see trace_missing(). May raise the process's soft limit of open files.
 */
int trace_open(struct trace **trace, const struct trace_thread *thread, unsigned n,
	const struct trace_options *options, char *why, size_t why_size);
void trace_close(struct trace *trace); /* NULL: nothing happens */

/*
 * Take in what the rings have, until deadline_ns (CLOCK_MONOTONIC; one that has passed: once, without
 * waiting), or until `fd` has something to read (-1: none) or a signal came. Totals are read at the end. 1:
 * fd has something; 0; -EINTR; another -errno.
 */
int trace_wait(struct trace *trace, uint64_t deadline_ns, int fd);

/* An interval begins: trace_rate() is per second since here. The first begins with trace_open(). */
void trace_mark(struct trace *trace);
/* Between trace_mark() and the last trace_wait(); 0 when no time lies between. */
double trace_rate(const struct trace *trace, const struct trace_count *count);
double trace_interval_s(const struct trace *trace);
double trace_seconds(const struct trace *trace); /* since trace_open() */
size_t trace_ring_bytes(
	const struct trace *trace); /* of each ring: less than asked for where limits say so */

unsigned trace_vcpus(const struct trace *trace);
const struct trace_vcpu *trace_vcpu(const struct trace *trace, unsigned i); /* as given to trace_open() */

/* Is the event traced? Its name as "kvm:kvm_exit", and why it is not (NULL: it is). */
const char *trace_event_name(enum trace_event event);
const char *trace_missing(const struct trace *trace, enum trace_event event);

/*
 * trace_json.c: what was traced of a vCPU, and what of tracing is the same for all of them; NULL: no memory.
 * Names are a promise to scripts.
 */
struct json_t *trace_json(const struct trace *trace);
struct json_t *trace_vcpu_json(const struct trace *trace, unsigned i);

/* names.c: what people and scripts read, in text[TRACE_TEXT]; returns text. */
#define TRACE_TEXT 64
const char *trace_reason_text(const struct trace_reason *reason, char text[TRACE_TEXT]);
const char *trace_reached_text(const struct trace_reached *reached, char text[TRACE_TEXT]);
const char *trace_cause_text(const struct trace_cause *cause, char text[TRACE_TEXT]);
/* Of an MSR or a register of the APIC; NULL: it has none. */
const char *trace_reached_name(const struct trace_reached *reached);

/* reasons.c: NULL: no name is known. */
const char *trace_isa_name(enum trace_isa isa);
const char *trace_reason_name(enum trace_isa isa, uint32_t code);
const char *trace_msr_name(uint32_t index);
const char *trace_apic_name(uint32_t reg);

#endif
