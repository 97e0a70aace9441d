// SPDX-License-Identifier: Apache-2.0
/* Taking a document of a running guest; see document.h. One thread. */
#include "vmm/stat/document.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/stat/task.h"
#include "vmm/stat/text.h"

/* What an access is counted as. */
static void target(const json_t *access, char *out, size_t n)
{
	const char *kind = json_text_at(access, "kind"), *device = json_text_at(access, "device");
	json_int_t address = json_integer_value(json_object_get(access, "address"));

	if (!kind)
		kind = "?";
	if (!strcmp(kind, "msr"))
		snprintf(out, n, "msr 0x%llx", (unsigned long long)address);
	else if (!strcmp(kind, "hypercall"))
		snprintf(out, n, "hypercall %lld", (long long)address);
	else
		snprintf(out, n, "%.20s %.40s", kind, device ? device : "nobody");
}

static void add(json_t *sums, const char *name, json_int_t n)
{
	json_object_set_new(sums, name, json_integer(json_integer_value(json_object_get(sums, name)) + n));
}

json_t *document_targets(const json_t *vcpu)
{
	json_t *sums = json_object(), *access;
	size_t i;

	json_array_foreach(json_at(vcpu, "profile.accesses"), i, access)
	{
		char name[80];

		target(access, name, sizeof(name));
		add(sums, name, json_integer_value(json_object_get(access, "exits")));
	}
	return sums;
}

static void add_task(const struct ask *ask, json_t *doc, json_t *thread)
{
	pid_t own = json_integer_value(json_object_get(doc, "pid"));
	pid_t tid = json_integer_value(json_object_get(thread, "tid"));
	json_t *task;

	tid = ask->pid > 0 ? task_here("/proc", ask->pid, own, tid) : 0;
	task = tid ? task_read("/proc", ask->pid, tid) : NULL;
	if (task)
		json_object_set_new(thread, "task", task);
}

/* What the report does not say. */
static void complete(struct ask *ask, json_t *doc)
{
	struct timespec now;
	json_t *thread;
	size_t i;

	json_array_foreach(json_object_get(doc, "vcpus"), i, thread)
	{
		json_object_set_new(thread, "exits_by_target", document_targets(thread));
		add_task(ask, doc, thread);
	}
	json_array_foreach(json_object_get(doc, "threads"), i, thread) add_task(ask, doc, thread);
	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(doc, "time", json_real((double)now.tv_sec + (double)now.tv_nsec / 1e9));
}

int document_take(struct ask *ask, json_t **doc)
{
	json_t *status = NULL, *state;
	int err = ask_for(ask, "status", &status);

	*doc = NULL;
	if (!err)
		err = ask_for(ask, "report", doc);
	if (!err && !json_is_object(*doc))
		err = -EPROTO;
	if (err) {
		json_decref(*doc);
		*doc = NULL;
	} else {
		state = json_object_get(status, "state");
		if (json_is_string(state))
			json_object_set(*doc, "state", state);
		complete(ask, *doc);
	}
	json_decref(status);
	return err;
}
