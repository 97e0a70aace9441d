// SPDX-License-Identifier: Apache-2.0
/*
 * Tracing real vCPU threads on /dev/kvm: numbers are those of a program that leaves KVM_RUN a known number of
 * times, rings that overflow say so, and whoever may not trace is told what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/unit.h"
#include "vmm/trace/trace.h"
#include "vmm/util.h"

#define PORT_A 0x80
#define PORT_B 0x98
#define CODE   0x1000

/*
 * Real mode: di times out(PORT_A, al), si times in(PORT_B), then hlt, which leaves KVM_RUN too, there being
 * no interrupt controller in the kernel.
 */
static const uint8_t program[] = {
	0xe6, PORT_A, /* 1: out %al, $PORT_A */
	0x4f,	      /*    dec %di */
	0x75, 0xfb,   /*    jnz 1b */
	0xe4, PORT_B, /* 2: in $PORT_B, %al */
	0x4e,	      /*    dec %si */
	0x75, 0xfb,   /*    jnz 2b */
	0xf4,	      /*    hlt */
};

struct guest {
	int vm, fd;
	uint8_t *ram;
	struct kvm_run *run;
	pthread_t thread;
	pid_t tid;
	sem_t begin, known;
	unsigned outs, ins;
	uint64_t returns[KVM_EXIT_INTERNAL_ERROR + 1];
};

static bool to_the_hlt(struct guest *g)
{
	do {
		if (ioctl(g->fd, KVM_RUN, 0) || g->run->exit_reason > KVM_EXIT_INTERNAL_ERROR)
			return false;
		g->returns[g->run->exit_reason]++;
	} while (g->run->exit_reason == KVM_EXIT_IO);
	return g->run->exit_reason == KVM_EXIT_HLT;
}

static void *vcpu_thread(void *arg)
{
	struct guest *g = arg;
	struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rdi = g->outs, .rsi = g->ins};
	struct kvm_sregs sregs;

	g->tid = gettid();
	sem_post(&g->known);
	while (sem_wait(&g->begin))
		;
	ck_assert_int_eq(ioctl(g->fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = sregs.cs.selector = 0;
	ck_assert_int_eq(ioctl(g->fd, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(ioctl(g->fd, KVM_SET_REGS, &regs), 0);
	return to_the_hlt(g) ? g : NULL;
}

/* A vCPU whose thread waits; false after a line that says why there is none. */
static bool guest_start(struct guest *g, unsigned outs, unsigned ins)
{
	struct kvm_userspace_memory_region region = {.memory_size = 0x10000};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		fprintf(stderr, "skip: /dev/kvm: %s\n", strerror(errno));
		return false;
	}
	*g = (struct guest){.outs = outs, .ins = ins};
	g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	g->ram = mmap(NULL, region.memory_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(g->ram, MAP_FAILED);
	memcpy(g->ram + CODE, program, sizeof(program));
	region.userspace_addr = (uintptr_t)g->ram;
	ck_assert_int_eq(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	g->fd = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	g->run = mmap(
		NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
	ck_assert_ptr_ne(g->run, MAP_FAILED);
	close(kvm);
	sem_init(&g->begin, 0, 0);
	sem_init(&g->known, 0, 0);
	ck_assert_int_eq(pthread_create(&g->thread, NULL, vcpu_thread, g), 0);
	while (sem_wait(&g->known))
		;
	return true;
}

/* A thread that was joined may not have ended for the kernel yet, nor its events. */
static void guest_end(struct guest *g)
{
	void *ok;

	sem_post(&g->begin);
	ck_assert_int_eq(pthread_join(g->thread, &ok), 0);
	ck_assert_ptr_nonnull(ok);
	while (!tgkill(getpid(), g->tid, 0))
		sched_yield();
}

/* NULL after a line that says why not here. */
static struct trace *trace_guest(const struct guest *g, size_t ring)
{
	struct trace_options options = {.ring = ring};
	struct trace_thread thread = {.tid = g->tid, .vcpu = 0};
	struct trace *trace;
	char why[512];
	int err = trace_open(&trace, &thread, 1, &options, why, sizeof(why));

	if (err == -EACCES || err == -ENOENT) {
		fprintf(stderr, "skip: %s\n", why);
		return NULL;
	}
	ck_assert_msg(!err, "%d: %s", err, why);
	ck_assert_str_eq(why, "");
	return trace;
}

static uint64_t reached(const struct trace_vcpu *v, enum trace_reach kind, bool write, int64_t address)
{
	for (unsigned i = 0; i < v->reached; i++)
		if (v->reach[i].kind == kind && v->reach[i].write == write && v->reach[i].address == address)
			return v->reach[i].n.n;
	return 0;
}

START_TEST(exits_are_those_of_the_program)
{
	const struct trace_vcpu *v;
	struct trace *trace;
	struct guest g;

	if (!guest_start(&g, 500, 300))
		return;
	trace = trace_guest(&g, 0);
	if (!trace)
		return;
	v = trace_vcpu(trace, 0);
	guest_end(&g);
	ck_assert_int_eq(trace_wait(trace, now_ns(), -1), 0);
	ck_assert_uint_eq(g.returns[KVM_EXIT_IO], 800);
	ck_assert_uint_eq(v->event[TRACE_EV_USER_EXIT].n, 801);
	ck_assert_uint_eq(reached(v, TRACE_USER, false, KVM_EXIT_IO), 800);
	ck_assert_uint_eq(reached(v, TRACE_USER, false, KVM_EXIT_HLT), 1);
	ck_assert_uint_eq(reached(v, TRACE_PIO, true, PORT_A), 500);
	ck_assert_uint_eq(reached(v, TRACE_PIO, false, PORT_B), 300);
	ck_assert_uint_eq(v->lost + v->malformed + v->crowded, 0);
	ck_assert(v->ended);
	trace_close(trace);
}
END_TEST

/* What does not fit is counted, and totals stay exact. */
START_TEST(a_tiny_ring_overflows)
{
	const struct trace_vcpu *v;
	struct trace *trace;
	uint64_t parts = 0;
	struct guest g;

	if (!guest_start(&g, 5000, 1))
		return;
	trace = trace_guest(&g, 1);
	if (!trace)
		return;
	v = trace_vcpu(trace, 0);
	ck_assert_uint_eq(trace_ring_bytes(trace), sysconf(_SC_PAGESIZE));
	guest_end(&g); /* nobody looks at the ring meanwhile */
	ck_assert_int_eq(trace_wait(trace, now_ns(), -1), 0);
	ck_assert_uint_eq(v->event[TRACE_EV_USER_EXIT].n, 5002);
	ck_assert_uint_eq(v->event[TRACE_EV_PIO].n, 5001);
	for (unsigned i = 0; i < v->reached; i++)
		parts += v->reach[i].n.n;
	for (unsigned i = 0; i < v->causes; i++)
		parts += v->cause[i].hits.n;
	ck_assert_uint_gt(parts, 10);
	ck_assert_uint_gt(v->lost, 9000);
	/* Each record is in the ring or lost: of exits to user space and ports, and of the interrupts. */
	for (unsigned e = 0; e < TRACE_EVENTS; e++)
		if (e != TRACE_EV_EOI && e != TRACE_EV_PV_EOI && e != TRACE_EV_HALT_POLL)
			parts -= v->event[e].n;
	ck_assert_uint_eq(parts + v->lost, 0);
	trace_close(trace);
}
END_TEST

/* ---- who may, and how much ---- */

/* Keep these capabilities and no other. */
static void keep_only(uint64_t caps)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (unsigned i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = caps >> 32 * i;
	ck_assert_int_eq(syscall(SYS_capset, &head, data), 0);
}

#define CAP(name) (1ULL << CAP_##name)

/* Only root can become somebody else; and without tracepoints of kvm there is nothing to refuse. */
static bool may_try(void)
{
	if (geteuid() || access("/sys/kernel/tracing/events/kvm", F_OK)) {
		fprintf(stderr, "skip: not root, or no /sys/kernel/tracing/events/kvm\n");
		return false;
	}
	return true;
}

/* The refusal of tracing a thread of our own. */
static int refusal(char why[512])
{
	struct trace_thread thread = {.tid = gettid()};
	struct trace *trace;
	int err = trace_open(&trace, &thread, 1, NULL, why, 512);

	ck_assert(!trace == !!err);
	trace_close(trace);
	return err;
}

static int paranoid(void)
{
	FILE *f = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level;

	ck_assert(f && fscanf(f, "%d", &level) == 1);
	fclose(f);
	return level;
}

#define says(what) ck_assert_msg(strstr(why, what), "%d: %s", err, why)

START_TEST(nobody_may_not_read_tracefs)
{
	char why[512];
	int err;

	if (!may_try())
		return;
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	err = refusal(why);
	ck_assert_int_eq(err, -EACCES);
	says("/sys/kernel/tracing may not be read by this user");
	says("mount -o remount,mode=750,gid=GROUP /sys/kernel/tracing");
}
END_TEST

/* Without the capability, files of tracefs readable or not: root's are. */
START_TEST(without_perfmon)
{
	char why[512];
	int err;

	if (!may_try())
		return;
	ck_assert_int_eq(refusal(why), 0);
	keep_only(0);
	err = refusal(why);
	if (paranoid() < 0) {
		fprintf(stderr, "skip: kernel.perf_event_paranoid is below 0: everybody may\n");
		ck_assert_int_eq(err, 0);
		return;
	}
	ck_assert_int_eq(err, -EACCES);
	says("CAP_PERFMON is missing");
	says("kernel.perf_event_paranoid is");
	says("kernel.perf_event_paranoid=-1");
}
END_TEST

START_TEST(perfmon_is_enough)
{
	char why[512];
	int err;

	if (!may_try())
		return;
	keep_only(CAP(PERFMON));
	err = refusal(why);
	ck_assert_msg(!err, "%d: %s", err, why);
}
END_TEST

/* The two ways into root's tracefs: as root above, or as anybody with these two. */
START_TEST(another_user_with_capabilities)
{
	char why[512];
	int err;

	if (!may_try())
		return;
	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	keep_only(CAP(PERFMON) | CAP(DAC_READ_SEARCH));
	err = refusal(why);
	ck_assert_msg(!err, "%d: %s", err, why);
	keep_only(CAP(PERFMON));
	err = refusal(why);
	ck_assert_int_eq(err, -EACCES);
	says("may not be read by this user");
}
END_TEST

START_TEST(a_thread_that_is_gone)
{
	struct trace_thread thread[2] = {{.tid = gettid()}, {.tid = INT32_MAX}};
	struct trace *trace;
	char why[512];
	int err;

	if (!may_try())
		return;
	err = trace_open(&trace, thread, 2, NULL, why, sizeof(why));
	ck_assert_int_eq(err, -ESRCH);
	ck_assert_ptr_null(trace);
	says("2147483647 is gone");
}
END_TEST

/* Events that have no room are given up by rank, and said. */
START_TEST(few_open_files)
{
	struct trace_thread thread[4];
	struct rlimit limit = {64 + 4 * 9 + 3, 64 + 4 * 9 + 3};
	struct trace *trace;
	unsigned traced = 0;
	char why[512];
	int err;

	if (!may_try())
		return;
	for (unsigned i = 0; i < 4; i++)
		thread[i] = (struct trace_thread){.tid = gettid(), .vcpu = i};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	err = trace_open(&trace, thread, 4, NULL, why, sizeof(why));
	ck_assert_msg(!err, "%d: %s", err, why);
	for (unsigned e = 0; e < TRACE_EVENTS; e++)
		traced += !trace_missing(trace, e);
	ck_assert_uint_eq(traced, 9);
	ck_assert_ptr_null(trace_missing(trace, TRACE_EV_EXIT));
	ck_assert_ptr_nonnull(strstr(trace_missing(trace, TRACE_EV_PV_EOI), "limit of 103 open files"));
	trace_close(trace);
	limit.rlim_cur = limit.rlim_max = 64 + 7;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	err = trace_open(&trace, thread, 4, NULL, why, sizeof(why));
	ck_assert_int_eq(err, -EMFILE);
	says("too few open files");
}
END_TEST

/* A soft limit is no obstacle. */
START_TEST(the_limit_of_files_is_raised)
{
	struct rlimit limit;
	char why[512];

	if (!may_try())
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 40;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(refusal(why), 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	ck_assert_uint_gt(limit.rlim_cur, 64);
}
END_TEST

/* Rings are smaller where little may be locked, all alike; where it is too little for a page each, that is
 * said. */
START_TEST(little_locked_memory)
{
	struct rlimit none = {0, 0};
	enum { MANY = 400 };
	struct trace_thread thread[MANY];
	struct trace_options large = {.ring = 64u << 20};
	struct trace *trace;
	char why[512];
	int err;

	if (!may_try())
		return;
	for (unsigned i = 0; i < MANY; i++)
		thread[i] = (struct trace_thread){.tid = gettid(), .vcpu = i};
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	keep_only(CAP(PERFMON));
	err = trace_open(&trace, thread, 2, &large, why, sizeof(why));
	if (err == -ENOMEM) { /* others of this user have it all */
		says("perf_event_mlock_kb");
	} else {
		ck_assert_msg(!err, "%d: %s", err, why);
		ck_assert_uint_lt(trace_ring_bytes(trace), 64u << 20);
	}
	trace_close(trace);
	err = trace_open(&trace, thread, MANY, NULL, why, sizeof(why));
	ck_assert_int_eq(err, -ENOMEM);
	says("the rings of 400 vCPUs may not be locked");
	says("perf_event_mlock_kb (it is ");
	says("LimitMEMLOCK");
}
END_TEST

static double number(const json_t *json, const char *object, const char *name)
{
	const json_t *value = json_object_get(object ? json_object_get(json, object) : json, name);

	ck_assert_msg(json_is_number(value), "%s %s", object, name);
	return json_number_value(value);
}

START_TEST(as_json)
{
	json_t *json, *all, *first;
	struct trace *trace;
	struct guest g;

	if (!guest_start(&g, 20, 10))
		return;
	trace = trace_guest(&g, 0);
	if (!trace)
		return;
	guest_end(&g);
	ck_assert_int_eq(trace_wait(trace, now_ns() + 30000000, -1), 0);
	json = trace_vcpu_json(trace, 0);
	all = trace_json(trace);
	ck_assert(json_is_true(json_object_get(json, "ended")));
	ck_assert(number(json, "events", "kvm:kvm_userspace_exit") == 31);
	ck_assert(number(json, "user_exits_per_s", "io") > number(json, "user_exits_per_s", "hlt"));
	ck_assert(number(json, "accesses_per_s", "pio write 0x80") >
		  number(json, "accesses_per_s", "pio read 0x98"));
	first = json_array_get(json_object_get(json, "accesses"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(first, "kind")), "pio");
	ck_assert_str_eq(json_string_value(json_object_get(first, "op")), "write");
	ck_assert(number(first, NULL, "address") == 0x80 && number(first, NULL, "count") == 20);
	ck_assert(number(first, NULL, "per_s") > 0 && number(all, NULL, "ring") == trace_ring_bytes(trace));
	ck_assert(number(all, NULL, "interval_s") >= 0.03);
	ck_assert(json_is_object(json_object_get(all, "missing")));
	json_decref(json);
	json_decref(all);
	trace_mark(trace);
	ck_assert(trace_rate(trace, &trace_vcpu(trace, 0)->event[TRACE_EV_USER_EXIT]) <= 0);
	trace_close(trace);
}
END_TEST

UNIT_MAIN("trace", exits_are_those_of_the_program, a_tiny_ring_overflows, nobody_may_not_read_tracefs,
	without_perfmon, perfmon_is_enough, another_user_with_capabilities, a_thread_that_is_gone,
	few_open_files, the_limit_of_files_is_raised, little_locked_memory, as_json)
