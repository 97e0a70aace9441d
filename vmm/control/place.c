// SPDX-License-Identifier: Apache-2.0
/* The control commands that give a running guest's threads another place: `pin` and `sched`. Main. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/control/request.h"
#include "vmm/guest.h"
#include "vmm/iothread.h"
#include "vmm/log.h"
#include "vmm/memory/far.h"
#include "vmm/place/live.h"
#include "vmm/report/parts.h"
#include "vmm/vcpu_loop.h"

static int move_workers(void *arg, unsigned worker, const cpu_set_t *cpus)
{
	if (worker >= PLACE_OF_VCPU)
		return vcpu_loop_move_workers(arg, worker - PLACE_OF_VCPU, cpus);
	return iothread_move_workers(arg, worker, cpus);
}

static json_t *move_json(const struct place_move *move)
{
	const struct placement *row = move->row;
	bool none = row->by_kernel && !row->tasks; /* nobody to have a policy */

	return json_pack("{s:s, s:o, s:{s:o, s:o}, s:o}", "name", row->name, "tid",
		row->tid ? json_integer(row->tid) : json_null(), "before", "cpus", report_cpulist(&move->cpus),
		"policy", none ? json_null() : report_sched(&move->sched), "placement", report_placement(row));
}

/* Lines as a list; what stands before them on a command line is not for who typed none. */
static json_t *lines_json(char *lines)
{
	json_t *list = json_array();
	char *save;

	for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		json_array_append_new(list, json_string(line + (strncmp(line, "--", 2) ? 0 : 2)));
	return list;
}

/* The guest's log has it too. */
static void say(const char *command, const char *rules, const char *warnings)
{
	char line[sizeof(((struct log_catch *)0)->warnings)];
	const char *end;

	log_info("control: %s %s", command, rules);
	for (; *warnings; warnings = *end ? end + 1 : end) {
		end = strchrnul(warnings, '\n');
		snprintf(line, sizeof(line), "%.*s", (int)(end - warnings), warnings);
		log_warn("%s", line);
	}
}

static json_t *change_json(struct guest *guest, const struct place_change *change, struct log_catch *said)
{
	json_t *threads = json_array(), *list;

	for (unsigned i = 0; i < change->n; i++)
		json_array_append_new(threads, move_json(&change->move[i]));
	list = lines_json(said->warnings);
	for (unsigned i = 0; i < change->n; i++) {
		const struct placement *row = change->move[i].row;
		char text[256];

		if (row->role == PLACE_VCPU && mem_far(&guest->memory, "", row->index, &row->actual_cpus, text, sizeof(text)))
			json_array_append_new(list, json_string(text));
	}
	return json_pack("{s:o, s:i, s:o}", "threads", threads, "misplaced", guest->place.misplaced, "warnings", list);
}

static int place(struct control_call *call, bool pin)
{
	struct guest *guest = call->guest;
	const struct place_env env = {.cfg = guest->cfg, .root = "", .workers = move_workers, .arg = guest};
	const char *rules = call->arg[0] ? call->arg[0] : "";
	struct place_change change;
	struct log_catch said;
	int err = control_living(call);

	if (err)
		return err;
	log_catch(&said);
	err = place_again(&guest->place, &env, pin, rules, &change);
	log_catch(NULL);
	if (err) {
		snprintf(call->why, sizeof(call->why), "%s", said.error + (strncmp(said.error, "--", 2) ? 0 : 2));
		if (change.malformed)
			return -EINVAL;
		return err == -EINVAL ? -EPERM : err;
	}
	say(pin ? "pin" : "sched", rules, said.warnings);
	call->result = change_json(guest, &change, &said);
	free(change.move);
	return 0;
}

int control_pin(struct control_call *call)
{
	return place(call, true);
}

int control_sched(struct control_call *call)
{
	return place(call, false);
}
