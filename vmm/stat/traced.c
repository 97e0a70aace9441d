// SPDX-License-Identifier: Apache-2.0
/* Tracing the guest that is looked at; see traced.h. One thread. */
#include "vmm/stat/traced.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/stat/task.h"
#include "vmm/util.h"

/* The vCPUs' threads, as this process knows them; a vCPU without one is left out. */
static unsigned threads_of(const struct ask *ask, const json_t *doc, struct trace_thread *thread)
{
	pid_t own = json_integer_value(json_object_get(doc, "pid"));
	unsigned n = 0;
	json_t *vcpu;
	size_t i;

	json_array_foreach(json_object_get(doc, "vcpus"), i, vcpu)
	{
		pid_t tid = json_integer_value(json_object_get(vcpu, "tid"));

		tid = ask->pid > 0 && tid > 0 ? task_here("/proc", ask->pid, own, tid) : 0;
		if (tid > 0)
			thread[n++] = (struct trace_thread){.tid = tid, .vcpu = i};
	}
	return n;
}

static int find_threads(struct traced *traced, const struct ask *ask, const json_t *doc)
{
	size_t n = json_array_size(json_object_get(doc, "vcpus"));
	struct trace_thread *thread = calloc(n ? n : 1, sizeof(*thread));

	if (!thread)
		return -ENOMEM;
	free(traced->thread);
	traced->thread = thread;
	traced->n = threads_of(ask, doc, thread);
	return traced->n ? 0 : -ESRCH;
}

int traced_begin(struct traced *traced, const struct ask *ask, const json_t *doc)
{
	char why[512] = "its vCPUs have no threads that this process can see";
	int err = find_threads(traced, ask, doc);

	if (!err)
		err = trace_open(&traced->trace, traced->thread, traced->n, NULL, why, sizeof(why));
	if (err)
		log_err("stat: --trace: %s", why);
	return err;
}

void traced_end(struct traced *traced)
{
	trace_close(traced->trace);
	free(traced->thread);
	*traced = (struct traced){0};
}

void traced_wait(struct traced *traced, uint64_t until_ns, int fd)
{
	if (traced->trace)
		trace_wait(traced->trace, until_ns, fd);
}

/* Are these the threads that are traced? */
static bool is_same(struct traced *traced, const struct ask *ask, const json_t *doc)
{
	struct trace_thread *old = traced->thread;
	unsigned n = traced->n;
	bool same;

	traced->thread = NULL;
	same = !find_threads(traced, ask, doc) && traced->n == n &&
	       !memcmp(old, traced->thread, n * sizeof(*old));
	free(old);
	return same;
}

/* The guest was restarted. What cannot be opened now, as threads come and go, may be the next time. */
static void follow(struct traced *traced)
{
	char why[512];

	trace_close(traced->trace);
	traced->trace = NULL;
	if (traced->n && !trace_open(&traced->trace, traced->thread, traced->n, NULL, why, sizeof(why)))
		log_info("stat: --trace: the guest has new threads: counting begins anew");
}

void traced_add(struct traced *traced, const struct ask *ask, json_t *doc)
{
	if (!is_same(traced, ask, doc) || !traced->trace)
		follow(traced);
	if (!traced->trace)
		return;
	trace_wait(traced->trace, now_ns(), -1);
	json_object_set_new(doc, "trace", trace_json(traced->trace));
	for (unsigned i = 0; i < trace_vcpus(traced->trace); i++)
		json_object_set_new(
			json_array_get(json_object_get(doc, "vcpus"), trace_vcpu(traced->trace, i)->vcpu),
			"trace", trace_vcpu_json(traced->trace, i));
	trace_mark(traced->trace);
}
