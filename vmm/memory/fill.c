// SPDX-License-Identifier: Apache-2.0
/*
 * Preallocation; see fill.h. Main plans, starts the threads, waits for them and for what may end them early; the threads
 * take chunks. What they share is atomic, apart from the start.
 */
#include "vmm/memory/fill.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vmm/memory/fill_priv.h"
#include "vmm/thread.h"
#include "vmm/util.h"

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define STACK_SIZE (128 * 1024)
#define READ_PAGES 256 /* pages a readv(2) makes present: 4 KiB of stack, far below IOV_MAX */
#define MAX_GROUPS 32	/* a guest has 16 nodes */
#define SECOND	   1000000000ULL
#define REDRAW	   (SECOND / 5)

/* An area while it is filled. */
struct lane {
	const struct fill_area *area;
	uint64_t chunk;
	unsigned group;
	unsigned choice; /* fill_choice() */
	atomic_uint_fast64_t next; /* offset of the next chunk that nobody has taken; runs past the end */
};

struct fill {
	const struct fill_limits *limits;
	const struct fill_ways *ways;
	struct lane *lane;
	unsigned n;
	struct fill_group group[MAX_GROUPS];
	unsigned ngroups;
	unsigned choice; /* lanes of this one are filled now */
	uint64_t total, start_ns, redraw_ns;
	bool read_zeros, alone, drawn;
	int zero_fd;
	uint64_t host_page;

	atomic_uint_fast64_t done;
	atomic_bool stop;
	atomic_int err;
	const void *where; /* whose writer won err; read after the threads are gone */

	pthread_mutex_t lock;
	pthread_cond_t start;
	bool go;
	atomic_uint running;
	int ended_fd; /* the last thread writes it */
	struct worker {
		struct fill *fill;
		const struct fill_group *group;
		pthread_t id;
	} worker[FILL_MAX_THREADS];
	unsigned nworkers, most; /* now, and at most so far */
};

static void give_up(struct fill *f, int err, const void *where)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&f->err, &none, err))
		f->where = where;
	atomic_store(&f->stop, true);
}

/* ---- pages ---- */

/* What the kernel says where a touch would have been a SIGBUS, or the end of the process. */
static bool ran_out(int err)
{
	return err == -EFAULT || err == -ENOMEM || err == -EHWPOISON;
}

static int populate(const struct fill *f, uint8_t *at, uint64_t len)
{
	while (madvise(at, len, MADV_POPULATE_WRITE) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
		if (atomic_load(&f->stop)) /* without an error of its own: the first one is told */
			return -ECANCELED;
	}
	return 0;
}

/* Populate, and should that fail find the page: the kernel does not say how far it came. */
static int populate_and_find(const struct fill *f, uint8_t *at, uint64_t len, uint64_t page, const void **where)
{
	int err = populate(f, at, len);

	*where = at;
	if (!ran_out(err))
		return err;
	for (err = 0; !err && len; at += page, len -= page) {
		if (page > len)
			page = len;
		*where = at;
		err = populate(f, at, page);
	}
	return ran_out(err) ? -ENOMEM : err;
}

/*
 * For kernels before 5.14: have the kernel write one byte to each page. It is a zero, and the memory is fresh, so nothing
 * is lost; and where a page can not be had, the call fails and no signal comes. A page of the host each time, because a
 * transparent huge page may not have been given.
 */
static int read_zeros(const struct fill *f, uint8_t *at, uint64_t len, const void **where)
{
	struct iovec iov[READ_PAGES];
	uint64_t page = f->host_page;

	while (len) {
		unsigned n = len / page < READ_PAGES ? len / page : READ_PAGES;
		ssize_t got;

		for (unsigned i = 0; i < n; i++)
			iov[i] = (struct iovec){.iov_base = at + i * page, .iov_len = 1};
		got = readv(f->zero_fd, iov, n);
		if (got < 0 && errno == EINTR)
			continue;
		*where = at;
		if (got < 0)
			return ran_out(-errno) ? -ENOMEM : -errno;
		if (!got)
			return -EIO;
		at += got * page;
		len -= got * page;
	}
	return 0;
}

/* ---- threads ---- */

static void look_for_end(struct fill *f, bool wait);

static bool stopped(struct fill *f)
{
	if (f->alone)
		look_for_end(f, false);
	return atomic_load(&f->stop);
}

static void fill_lane(struct fill *f, struct lane *lane)
{
	const struct fill_area *area = lane->area;
	uint64_t at;

	while (!stopped(f) && (at = atomic_fetch_add(&lane->next, lane->chunk)) < area->size) {
		uint64_t len = area->size - at < lane->chunk ? area->size - at : lane->chunk;
		const void *where;
		int err = f->read_zeros ? read_zeros(f, area->host + at, len, &where)
					: populate_and_find(f, area->host + at, len, area->page, &where);

		if (err)
			give_up(f, err, where);
		else
			atomic_fetch_add(&f->done, len);
	}
}

/* Whether a group's threads fill a lane, in the round of their own ones or of what others have not got round to. */
static bool is_for(const struct fill *f, const struct lane *lane, unsigned group, bool own)
{
	const struct fill_group *its = &f->group[lane->group];

	if (lane->choice != f->choice || (lane->group == group) != own)
		return false;
	return own || !its->alone || !its->started;
}

static void fill_lanes(struct fill *f, unsigned group)
{
	for (int own = 1; own >= 0; own--)
		for (unsigned i = 0; i < f->n && !atomic_load(&f->stop); i++)
			if (is_for(f, &f->lane[i], group, own))
				fill_lane(f, &f->lane[i]);
}

/* Not under the policy of a real-time caller: on every CPU for seconds, that would starve the host. */
static void leave_realtime(void)
{
	struct sched_param none = {0};
	int policy = sched_getscheduler(0);

	if (policy == SCHED_FIFO || policy == SCHED_RR)
		sched_setscheduler(0, SCHED_OTHER, &none);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct fill *f = w->fill;

	pthread_setname_np(pthread_self(), "fill");
	/* A failure (CPUs were taken away meanwhile) costs speed only: the policy of the memory decides where pages come from. */
	sched_setaffinity(0, sizeof(w->group->cpus), &w->group->cpus);
	leave_realtime();
	pthread_mutex_lock(&f->lock);
	while (!f->go)
		pthread_cond_wait(&f->start, &f->lock);
	pthread_mutex_unlock(&f->lock);
	fill_lanes(f, w->group - f->group);
	if (atomic_fetch_sub(&f->running, 1) == 1)
		eventfd_write(f->ended_fd, 1);
	return NULL;
}

/* Threads that can not be had are done without. */
static void start_threads(struct fill *f)
{
	pthread_attr_t attr;
	sigset_t blocked;

	thread_signals(&blocked);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setsigmask_np(&attr, &blocked);
	for (unsigned g = 0; g < f->ngroups; g++)
		for (unsigned i = 0; i < f->group[g].threads; i++) {
			struct worker *w = &f->worker[f->nworkers];

			w->fill = f;
			w->group = &f->group[g];
			if (pthread_create(&w->id, &attr, work, w))
				continue;
			f->nworkers++;
			f->group[g].started++;
		}
	pthread_attr_destroy(&attr);
	if (f->nworkers > f->most)
		f->most = f->nworkers;
	atomic_store(&f->running, f->nworkers);
	f->alone = !f->nworkers;
	/* All at once: a new thread's stack needs the address space that those who fill keep locked. */
	pthread_mutex_lock(&f->lock);
	f->go = true;
	pthread_cond_broadcast(&f->start);
	pthread_mutex_unlock(&f->lock);
}

/* ---- main meanwhile ---- */

/* Not to a terminal that takes nothing at present (Ctrl-S): main must go on hearing what ends this. False: not written. */
static bool say(const struct fill *f, const char *text)
{
	struct pollfd fd = {.fd = f->ways->tty_fd, .events = POLLOUT};

	return poll(&fd, 1, 0) > 0 && fd.revents & POLLOUT && write(fd.fd, text, strlen(text)) > 0;
}

static void draw(struct fill *f, uint64_t now)
{
	char line[96], text[112];
	unsigned threads = f->nworkers ? f->nworkers : 1;

	fill_progress(line, sizeof(line), atomic_load(&f->done), f->total, threads, now - f->start_ns);
	snprintf(text, sizeof(text), "\r%s\033[K", line);
	f->drawn = say(f, text) || f->drawn;
	f->redraw_ns = now + REDRAW;
}

static void erase(struct fill *f)
{
	f->drawn = f->drawn && !say(f, "\r\033[K");
}

/* How long main may wait before it has something to do by itself; UINT64_MAX: for ever. */
static uint64_t patience(const struct fill *f, uint64_t now)
{
	uint64_t until = UINT64_MAX;

	if (f->limits->deadline_ns && !atomic_load(&f->stop))
		until = f->limits->deadline_ns;
	if (f->ways->tty_fd >= 0 && f->redraw_ns < until)
		until = f->redraw_ns;
	if (until == UINT64_MAX)
		return until;
	return until > now ? until - now : 0;
}

/* Look at what may end the filling early, and draw. wait: until there is something, or the threads have ended. */
static void look_for_end(struct fill *f, bool wait)
{
	bool stop = atomic_load(&f->stop);
	struct pollfd fd[] = {{.fd = f->ended_fd, .events = POLLIN},
		{.fd = stop ? -1 : f->limits->stop_fd, .events = POLLIN}};
	uint64_t ns = wait ? patience(f, now_ns()) : 0;
	struct timespec ts = timespec_of(ns);
	int n = ppoll(fd, 2, ns == UINT64_MAX ? NULL : &ts, NULL);
	uint64_t now = now_ns();

	if (n > 0 && fd[1].revents)
		give_up(f, -ECANCELED, NULL);
	else if (!stop && f->limits->deadline_ns && now >= f->limits->deadline_ns)
		give_up(f, -ETIME, NULL);
	if (f->ways->tty_fd >= 0 && now >= f->redraw_ns)
		draw(f, now);
}

/* Share threads out for the lanes of the choice that is next. False: all lanes are filled. */
static bool next_choice(struct fill *f)
{
	unsigned most = f->limits->threads, last = f->choice, next = 0;

	for (unsigned i = 0; i < f->n; i++)
		if (f->lane[i].choice > last && (!next || f->lane[i].choice < next))
			next = f->lane[i].choice;
	f->choice = next;
	for (unsigned g = 0; g < f->ngroups; g++)
		f->group[g].bytes = f->group[g].chunks = f->group[g].threads = f->group[g].started = 0;
	for (unsigned i = 0; i < f->n; i++) {
		const struct lane *lane = &f->lane[i];
		struct fill_group *group = &f->group[lane->group];

		if (lane->choice != next)
			continue;
		group->bytes += lane->area->size;
		group->chunks += (lane->area->size + lane->chunk - 1) / lane->chunk;
	}
	fill_share(f->group, f->ngroups, most && most < FILL_MAX_THREADS ? most : FILL_MAX_THREADS);
	return next;
}

static void run_choice(struct fill *f)
{
	eventfd_t ended;

	f->go = false;
	f->nworkers = 0;
	start_threads(f);
	if (f->alone)
		fill_lanes(f, 0);
	while (atomic_load(&f->running))
		look_for_end(f, true);
	for (unsigned i = 0; i < f->nworkers; i++)
		pthread_join(f->worker[i].id, NULL);
	eventfd_read(f->ended_fd, &ended);
}

static void run(struct fill *f)
{
	look_for_end(f, false);
	while (f->total && !atomic_load(&f->stop) && next_choice(f))
		run_choice(f);
}

/* ---- before and after ---- */

/* The CPUs of the nodes that have any of `users`. */
static void cpus_near(const char *root, const cpu_set_t *users, cpu_set_t *out)
{
	cpu_set_t cpus, both;
	node_set online;

	CPU_ZERO(out);
	if (!CPU_COUNT(users))
		return;
	numa_online(root, &online);
	for (unsigned node = 0; node < CPU_SETSIZE; node++) {
		if (!CPU_ISSET(node, &online))
			continue;
		numa_cpus(root, node, &cpus);
		CPU_AND(&both, &cpus, users);
		if (CPU_COUNT(&both))
			CPU_OR(out, out, &cpus);
	}
}

/* The CPUs of a group's nodes that this process may use; a node can have none, and memory all the same. */
static void group_cpus(const struct fill *f, struct fill_group *group)
{
	cpu_set_t allowed, cpus;

	CPU_ZERO(&allowed);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	cpus_near(f->ways->root, &f->limits->users, &group->cpus);
	group->alone = !CPU_COUNT(&group->nodes) && CPU_COUNT(&group->cpus);
	if (CPU_COUNT(&group->nodes))
		CPU_ZERO(&group->cpus);
	for (unsigned node = 0; node < CPU_SETSIZE; node++)
		if (CPU_ISSET(node, &group->nodes)) {
			numa_cpus(f->ways->root, node, &cpus);
			CPU_OR(&group->cpus, &group->cpus, &cpus);
		}
	CPU_AND(&group->cpus, &group->cpus, &allowed);
	if (!CPU_COUNT(&group->cpus))
		group->cpus = allowed;
}

static unsigned group_of(struct fill *f, const node_set *nodes)
{
	unsigned i = 0;

	while (i < f->ngroups && !CPU_EQUAL(&f->group[i].nodes, nodes))
		i++;
	if (i == MAX_GROUPS)
		return 0; /* filled all the same, from further away */
	if (i == f->ngroups) {
		f->ngroups++;
		f->group[i].nodes = *nodes;
		group_cpus(f, &f->group[i]);
	}
	return i;
}

static void add_area(struct fill *f, const struct fill_area *area)
{
	struct lane *lane = &f->lane[f->n++];

	lane->area = area;
	lane->chunk = fill_chunk(area);
	lane->choice = fill_choice(area);
	lane->group = group_of(f, &area->nodes);
	f->total += area->size;
}

static int prepare(struct fill *f, const struct fill_area *area, unsigned n)
{
	f->lane = calloc(n + 1, sizeof(*f->lane));
	f->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!f->lane || f->ended_fd < 0)
		return f->lane ? -errno : -ENOBUFS; /* not -ENOMEM: that is said of the guest's pages */
	for (unsigned i = 0; i < n; i++)
		add_area(f, &area[i]);
	/* Whether the kernel knows the advice: it looks at that before it looks at the (empty) range. */
	f->read_zeros = f->ways->read_zeros || madvise(NULL, 0, MADV_POPULATE_WRITE) < 0;
	if (f->read_zeros)
		f->zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	return f->read_zeros && f->zero_fd < 0 ? -errno : 0;
}

int fill_is_over(const struct fill_limits *limits)
{
	struct pollfd fd = {.fd = limits->stop_fd, .events = POLLIN};

	if (poll(&fd, 1, 0) > 0)
		return -ECANCELED;
	return limits->deadline_ns && now_ns() >= limits->deadline_ns ? -ETIME : 0;
}

int fill_with(const struct fill_area *area, unsigned n, const struct fill_limits *limits, const struct fill_ways *ways,
	struct fill_result *result, const void **where)
{
	struct fill f = {.limits = limits,
		.ways = ways,
		.zero_fd = -1,
		.host_page = sysconf(_SC_PAGESIZE),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.start = PTHREAD_COND_INITIALIZER,
		.start_ns = now_ns()};
	int err;

	f.redraw_ns = f.start_ns + ways->tty_after_ns;
	err = prepare(&f, area, n);
	if (!err) {
		run(&f);
		erase(&f);
		err = atomic_load(&f.err);
	}
	*where = f.where;
	*result = (struct fill_result){
		.bytes = atomic_load(&f.done), .ns = now_ns() - f.start_ns, .threads = f.most};
	if (f.zero_fd >= 0)
		close(f.zero_fd);
	if (f.ended_fd >= 0)
		close(f.ended_fd);
	free(f.lane);
	return err;
}

int mem_fill(const struct fill_area *area, unsigned n, const struct fill_limits *limits, struct fill_result *result,
	const void **where)
{
	struct fill_ways ways = {.root = "", .tty_fd = isatty(STDERR_FILENO) ? STDERR_FILENO : -1, .tty_after_ns = SECOND};

	return fill_with(area, n, limits, &ways, result, where);
}
