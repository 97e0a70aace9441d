// SPDX-License-Identifier: Apache-2.0
/* Taking a document of a running guest; see document.h. One thread. */
#include "vmm/stat/document.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "vmm/log.h"
#include "vmm/stat/task.h"
#include "vmm/stat/text.h"
#include "vmm/util.h"

void document_since_placement(json_t *thread)
{
	static const char *const name[] = {"involuntary_switches", "migrations"};
	const json_t *before = json_at(thread, "placement.counted_before");
	json_t *task = json_object_get(thread, "task"), *since = json_object();

	for (unsigned i = 0; i < COUNT(name); i++) {
		json_int_t all = json_integer_value(json_object_get(task, name[i]));
		json_int_t then = json_integer_value(json_object_get(before, name[i]));

		if (json_object_get(task, name[i]))
			json_object_set_new(since, name[i], json_integer(then >= 0 && then <= all ? all - then : all));
	}
	json_object_set_new(task, "since_placement", since);
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
	document_since_placement(thread);
}

/* What the report does not say. */
static void complete(struct ask *ask, json_t *doc)
{
	struct timespec now;
	json_t *thread;
	size_t i;

	json_array_foreach(json_object_get(doc, "vcpus"), i, thread) add_task(ask, doc, thread);
	json_array_foreach(json_object_get(doc, "threads"), i, thread) add_task(ask, doc, thread);
	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(doc, "time", json_real((double)now.tv_sec + (double)now.tv_nsec / 1e9));
}

/* -ASK_REFUSED is said here: only the guest knows why. */
static int ask_logged(struct ask *ask, const char *command, json_t **result)
{
	int err = ask_for(ask, command, result);
	char *why;

	if (!err && !json_is_object(*result))
		err = -EPROTO;
	if (err == -ASK_REFUSED) {
		why = text_safe(json_is_string(*result) ? json_string_value(*result) : "refused");
		log_err("%s: %.200s", ask->name, why ? why : "refused");
		free(why);
	}
	if (err) {
		json_decref(*result);
		*result = NULL;
	}
	return err;
}

int document_take(struct ask *ask, json_t **doc)
{
	json_t *status = NULL, *state;
	int err = ask_logged(ask, "status", &status);

	*doc = NULL;
	if (!err)
		err = ask_logged(ask, "report", doc);
	if (!err) {
		state = json_object_get(status, "state");
		if (json_is_string(state))
			json_object_set(*doc, "state", state);
		complete(ask, *doc);
	}
	json_decref(status);
	return err;
}
