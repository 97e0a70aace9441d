// SPDX-License-Identifier: Apache-2.0
/*
 * Opening the tracepoints of each vCPU's thread, waiting, and reading totals; see trace.h. One thread.
 *
 * The events of a thread are a group: one read(2) gives all totals at the same moment. Such a read
 * interrupts the CPU that the thread runs on (a function call), and so does a ring that wakes its reader
 * (work). Rings are therefore looked at by the clock, wake their reader only when they are three quarters
 * full, and totals are read once an interval.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/trace/priv.h"
#include "vmm/util.h"

#define RING_MOST    (512u << 10)
#define RINGS_IN_ALL (32u << 20)
#define LOOK_MS	     20
#define SPARE_FILES  64	       /* what the process needs besides */
#define FORMAT_LOST  (1u << 4) /* PERF_FORMAT_LOST, Linux 6.0 */
#define TOTAL_WORDS  (1 + 2 * TRACE_EVENTS)

struct thread {
	struct trace_vcpu pub;
	struct trace_account account;
	struct trace_ring ring;
	int fd[TRACE_EVENTS]; /* -1: not traced */
	int leader;	      /* one of them; -1: none yet */
	void *mapped;
	size_t mapped_size;
};

struct trace {
	struct trace_formats formats;
	uint64_t begin_ns, mark_ns, read_ns;
	size_t ring;	/* bytes */
	bool says_lost; /* the kernel counts lost records for each event */
	unsigned n;
	struct pollfd *poll; /* a leader each, and the caller's */
	struct thread *thread[];
};

static int event_open(struct perf_event_attr *attr, int tid, int group)
{
	int fd = syscall(SYS_perf_event_open, attr, tid, -1, group, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* ---- limits ---- */

/* Room for n * TRACE_EVENTS files, or fewer events. 0 or -EMFILE. */
static int fit_files(struct trace *t)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)t->n * TRACE_EVENTS + SPARE_FILES, each;
	unsigned traced = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	each = limit.rlim_cur > SPARE_FILES ? (limit.rlim_cur - SPARE_FILES) / t->n : 0;
	for (unsigned e = 0; e < TRACE_EVENTS; e++) {
		if (!t->formats.event[e].id)
			continue;
		if (traced++ < each)
			continue;
		t->formats.event[e].id = 0;
		snprintf(t->formats.why[e], sizeof(t->formats.why[e]),
			"the limit of %llu open files leaves no room for it",
			(unsigned long long)limit.rlim_cur);
	}
	return each < 2 ? -EMFILE : 0;
}

static size_t power_of_two(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE), ring = page;

	while (ring * 2 <= size)
		ring *= 2;
	return ring;
}

static size_t ring_size(const struct trace_options *options, unsigned n)
{
	size_t size = options->ring ? options->ring : RINGS_IN_ALL / n;

	return power_of_two(size < RING_MOST || options->ring ? size : RING_MOST);
}

/* ---- opening ---- */

static struct perf_event_attr attr_of(const struct trace *t, enum trace_event e, bool leads)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = t->formats.event[e].id,
		.read_format = PERF_FORMAT_GROUP | (t->says_lost ? FORMAT_LOST : 0),
		.disabled = leads,
	};

	attr.use_clockid = 1; /* a group has one clock */
	attr.clockid = CLOCK_MONOTONIC;
	if (trace_kinds[e].only_counted)
		return attr;
	attr.sample_period = 1;
	attr.sample_type = PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;
	attr.watermark = 1;
	attr.wakeup_watermark = t->ring / 4 * 3;
	return attr;
}

static int map_ring(const struct trace *t, struct thread *th)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page + t->ring, PROT_READ | PROT_WRITE, MAP_SHARED, th->fd[th->leader], 0);

	if (p == MAP_FAILED)
		return errno == EPERM ? -ENOMEM : -errno; /* more than may be locked */
	th->mapped = p;
	th->mapped_size = page + t->ring;
	th->ring = (struct trace_ring){.page = p, .data = (uint8_t *)p + page, .size = t->ring};
	return 0;
}

static void unmap_ring(struct thread *th)
{
	if (th->mapped)
		munmap(th->mapped, th->mapped_size);
	th->mapped = NULL;
}

/* The first event of a thread leads the group and has the ring. */
static int add_event(struct trace *t, struct thread *th, enum trace_event e)
{
	bool leads = th->leader < 0;
	struct perf_event_attr attr = attr_of(t, e, leads);
	int fd = event_open(&attr, th->pub.tid, leads ? -1 : th->fd[th->leader]);

	if (fd == -EINVAL && leads && t->says_lost) {
		t->says_lost = false;
		attr = attr_of(t, e, leads);
		fd = event_open(&attr, th->pub.tid, -1);
	}
	if (fd < 0)
		return fd;
	th->fd[e] = fd;
	if (leads)
		th->leader = e;
	else if (!trace_kinds[e].only_counted && ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, th->fd[th->leader]))
		return -errno;
	return 0;
}

static enum trace_event first_event(const struct trace *t)
{
	unsigned e = 0;

	while (e + 1 < TRACE_EVENTS && !t->formats.event[e].id)
		e++;
	return e;
}

static void close_events(struct thread *th)
{
	unmap_ring(th);
	for (int e = TRACE_EVENTS - 1; e >= 0; e--) {
		if (th->fd[e] >= 0)
			close(th->fd[e]); /* the leader last: others do not count without it */
		th->fd[e] = -1;
	}
	th->leader = -1;
}

/* The leader and ring of each thread, all of one size. -ENOMEM: of this size there is no room for all. */
static int open_rings(struct trace *t, const char *root, char *why, size_t n)
{
	int err = 0;

	for (unsigned i = 0; i < t->n && !err; i++) {
		err = add_event(t, t->thread[i], first_event(t));
		if (err) {
			trace_say_open(err, t->thread[i]->pub.tid, root, why, n);
			return err == -ENOMEM ? -ENOSPC : err;
		}
		err = map_ring(t, t->thread[i]);
	}
	for (unsigned i = 0; i < t->n && err; i++)
		close_events(t->thread[i]);
	return err;
}

/* Smaller rings where so much memory may not be locked. */
static int fit_rings(struct trace *t, const char *root, char *why, size_t n)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int err;

	while ((err = open_rings(t, root, why, n)) == -ENOMEM && t->ring > page)
		t->ring /= 2;
	if (err && !*why)
		trace_say_locked(err, t->n, root, why, n);
	return err;
}

static int add_events(struct trace *t, const char *root, char *why, size_t n)
{
	int err = 0;

	for (unsigned i = 0; i < t->n; i++) {
		for (unsigned e = first_event(t) + 1; e < TRACE_EVENTS; e++) {
			if (t->formats.event[e].id)
				err = add_event(t, t->thread[i], e);
			if (err) {
				trace_say_open(err, t->thread[i]->pub.tid, root, why, n);
				return err;
			}
		}
	}
	return 0;
}

static struct thread *new_thread(const struct trace *t, const struct trace_thread *thread)
{
	struct thread *th = calloc(1, sizeof(*th));

	if (!th)
		return NULL;
	th->pub.tid = thread->tid;
	th->pub.vcpu = thread->vcpu;
	th->leader = -1;
	for (unsigned e = 0; e < TRACE_EVENTS; e++)
		th->fd[e] = -1;
	trace_account_begin(&th->account, &th->pub, &t->formats);
	return th;
}

/* All threads are open: let them count. */
static int begin(struct trace *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		struct thread *th = t->thread[i];

		t->poll[i] = (struct pollfd){.fd = th->fd[th->leader], .events = POLLIN};
		if (ioctl(th->fd[th->leader], PERF_EVENT_IOC_ENABLE, 0))
			return -errno;
	}
	t->begin_ns = t->mark_ns = t->read_ns = now_ns();
	return 0;
}

static int create(struct trace **out, unsigned n)
{
	struct trace *t = n ? calloc(1, sizeof(*t) + n * sizeof(struct thread *)) : NULL;

	*out = t;
	if (!n)
		return -EINVAL;
	if (t)
		t->poll = calloc(n + 1, sizeof(*t->poll));
	if (!t || !t->poll)
		return -ENOMEM;
	t->n = n;
	t->says_lost = true;
	return 0;
}

static int open_all(struct trace *t, const struct trace_thread *thread, const struct trace_options *options,
	char *why, size_t why_size)
{
	const char *root = options->root ? options->root : "";
	int err = trace_formats_read(&t->formats, root, why, why_size);

	if (err)
		return err;
	if (options->no_times && t->formats.event[TRACE_EV_ENTRY].id) {
		t->formats.event[TRACE_EV_ENTRY].id = 0;
		snprintf(t->formats.why[TRACE_EV_ENTRY], sizeof(t->formats.why[0]),
			"times were not asked for");
	}
	err = fit_files(t);
	if (err)
		trace_say_open(err, 0, root, why, why_size);
	t->ring = ring_size(options, t->n);
	for (unsigned i = 0; i < t->n && !err; i++) {
		t->thread[i] = new_thread(t, &thread[i]);
		err = t->thread[i] ? 0 : -ENOMEM;
	}
	if (!err)
		err = fit_rings(t, root, why, why_size);
	if (!err)
		err = add_events(t, root, why, why_size);
	return err ? err : begin(t);
}

int trace_open(struct trace **trace, const struct trace_thread *thread, unsigned n,
	const struct trace_options *options, char *why, size_t why_size)
{
	static const struct trace_options none;
	struct trace *t;
	int err;

	*why = '\0';
	err = create(&t, n);
	if (!err)
		err = open_all(t, thread, options ? options : &none, why, why_size);
	if (err && !*why)
		snprintf(why, why_size, "%s", strerror(-err));
	if (err == -EPERM)
		err = -EACCES;
	if (err) {
		trace_close(t);
		t = NULL;
	}
	*trace = t;
	return err;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	for (unsigned i = 0; i < trace->n && trace->thread[i]; i++) {
		close_events(trace->thread[i]);
		free(trace->thread[i]);
	}
	free(trace->poll);
	free(trace);
}

/* ---- what there is ---- */

static void drain_all(struct trace *t)
{
	for (unsigned i = 0; i < t->n; i++)
		trace_ring_drain(&t->thread[i]->ring, &t->thread[i]->account);
}

/* { how many, { value, lost } ... } in the order in which the events were opened, which is that of the
 * numbers. */
static int read_totals(const struct trace *t, struct thread *th)
{
	uint64_t word[TOTAL_WORDS], lost = 0;
	unsigned traced = 0, each = t->says_lost ? 2 : 1;
	ssize_t got = read(th->fd[th->leader], word, sizeof(word));

	for (unsigned e = 0; e < TRACE_EVENTS; e++)
		traced += th->fd[e] >= 0;
	if (got < 0)
		return -errno;
	if ((size_t)got < (1 + (size_t)traced * each) * sizeof(*word) || word[0] != traced)
		return -EPROTO;
	for (unsigned e = 0, i = 1; e < TRACE_EVENTS; e++) {
		if (th->fd[e] < 0)
			continue;
		th->pub.event[e].n = word[i];
		lost += each == 2 ? word[i + 1] : 0;
		i += each;
	}
	th->pub.lost = lost > th->account.ring_lost ? lost : th->account.ring_lost;
	return 0;
}

/* A group whose thread has ended says so for ever: it is not asked again. */
static void see_ends(struct trace *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		if (t->poll[i].fd < 0 || !(t->poll[i].revents & (POLLHUP | POLLERR)))
			continue;
		t->poll[i].fd = -1;
		t->thread[i]->pub.ended = true;
	}
}

/* 1: the caller's descriptor has something. */
static int wait_once(struct trace *t, uint64_t now, uint64_t deadline_ns)
{
	uint64_t left = deadline_ns > now ? (deadline_ns - now + 999999) / 1000000 : 0;
	int n = poll(t->poll, t->n + 1, left < LOOK_MS ? (int)left : LOOK_MS);

	if (n < 0)
		return -errno;
	see_ends(t);
	return n && t->poll[t->n].revents;
}

int trace_wait(struct trace *t, uint64_t deadline_ns, int fd)
{
	uint64_t now = now_ns();
	int ret, err;

	t->poll[t->n] = (struct pollfd){.fd = fd, .events = POLLIN};
	do {
		ret = wait_once(t, now, deadline_ns);
		drain_all(t);
		now = now_ns();
	} while (!ret && now < deadline_ns);
	for (unsigned i = 0; i < t->n; i++) {
		err = read_totals(t, t->thread[i]);
		if (err && ret >= 0)
			ret = err;
	}
	t->read_ns = now_ns();
	return ret;
}

static void mark(struct trace_count *count)
{
	count->before = count->n;
}

void trace_mark(struct trace *t)
{
	t->mark_ns = t->read_ns;
	for (unsigned i = 0; i < t->n; i++) {
		struct trace_vcpu *v = &t->thread[i]->pub;

		for (unsigned e = 0; e < TRACE_EVENTS; e++)
			mark(&v->event[e]);
		for (unsigned r = 0; r < v->reasons; r++)
			mark(&v->reason[r].exits);
		for (unsigned r = 0; r < v->reached; r++)
			mark(&v->reach[r].n);
		for (unsigned r = 0; r < v->causes; r++)
			mark(&v->cause[r].hits);
	}
}

double trace_interval_s(const struct trace *t)
{
	return (t->read_ns - t->mark_ns) / 1e9;
}

double trace_seconds(const struct trace *t)
{
	return (t->read_ns - t->begin_ns) / 1e9;
}

double trace_rate(const struct trace *t, const struct trace_count *count)
{
	double s = trace_interval_s(t);

	return s > 0 ? (count->n - count->before) / s : 0;
}

size_t trace_ring_bytes(const struct trace *t)
{
	return t->ring;
}

unsigned trace_vcpus(const struct trace *t)
{
	return t->n;
}

const struct trace_vcpu *trace_vcpu(const struct trace *t, unsigned i)
{
	return &t->thread[i]->pub;
}

const char *trace_missing(const struct trace *t, enum trace_event event)
{
	return t->formats.event[event].id ? NULL : t->formats.why[event];
}
