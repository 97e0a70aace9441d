// SPDX-License-Identifier: Apache-2.0
/* Requests and answers as JSON; see request.h. */
#include "vmm/control/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/guest.h"

/* What a client typed may come back in `why`: only what every terminal and JSON take. */
static json_t *plain_text(const char *text)
{
	char ascii[640];
	size_t n = 0;

	for (; n < sizeof(ascii) - 1 && text[n]; n++)
		ascii[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
	return json_stringn(ascii, n);
}

/* The exit status that `pinvm ctl` makes of it. */
static json_t *status_of(int err)
{
	return json_integer(err == -EINVAL ? END_USAGE : END_SETUP);
}

static char *reply(int err, json_t *result, const char *why, json_t *id)
{
	json_t *root = json_pack("{s:b, s:O*, s:o*, s:o*, s:O*}", "ok", !err, "result", err ? NULL : result, "error",
		err ? plain_text(why) : NULL, "status", err ? status_of(err) : NULL, "id", id);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

char *request_refuse(const char *why)
{
	return reply(-EBUSY, NULL, why, NULL);
}

const struct control_command *control_find(const struct control_command *table, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static int wrong(struct control_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct control_call *call, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call->why, sizeof(call->why), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int take_arg(
	struct control_call *call, const struct control_command *cmd, const char *name, json_t *value)
{
	for (unsigned i = 0; i < CONTROL_ARGS && cmd->arg[i].name; i++) {
		if (strcmp(cmd->arg[i].name, name))
			continue;
		if (!json_is_string(value))
			return wrong(call, "%s: argument %s: not a text", cmd->name, name);
		call->arg[i] = json_string_value(value);
		return 0;
	}
	return wrong(call, "%s: unknown argument %.40s", cmd->name, name);
}

static int take_args(struct control_call *call, const struct control_command *cmd, json_t *args)
{
	const char *name;
	json_t *value;

	if (args && !json_is_object(args))
		return wrong(call, "%s: arguments: not an object", cmd->name);
	json_object_foreach(args, name, value)
	{
		int err = take_arg(call, cmd, name, value);

		if (err)
			return err;
	}
	return 0;
}

/* The members of a request, each of its kind, and no others. *id: borrowed. Returns the command; NULL: call->why says what is wrong. */
static const char *take_members(struct control_call *call, json_t *root, json_t **args, json_t **id)
{
	const char *name;
	json_t *value, *text = NULL;

	json_object_foreach(root, name, value)
	{
		if (!strcmp(name, "command")) {
			text = value;
		} else if (!strcmp(name, "arguments")) {
			*args = value;
		} else if (strcmp(name, "id") != 0) {
			wrong(call, "unknown member %.40s; there are command, arguments and id", name);
			return NULL;
		} else if (json_is_string(value) || json_is_integer(value)) {
			*id = value;
		} else {
			wrong(call, "id: neither a string nor an integer");
			return NULL;
		}
	}
	if (!json_is_string(text))
		wrong(call, "no command given, as in {\"command\": \"status\"}");
	return json_string_value(text);
}

static int perform(
	const struct control_command *table, unsigned n, struct control_call *call, json_t *root, json_t **id)
{
	const struct control_command *cmd;
	json_t *args = NULL;
	const char *command = take_members(call, root, &args, id);
	int err;

	if (!command)
		return -EINVAL;
	cmd = control_find(table, n, command);
	if (!cmd)
		return wrong(call, "%.40s: unknown command", command);
	err = take_args(call, cmd, args);
	return err ? err : cmd->run(call);
}

char *request_answer(
	const struct control_command *table, unsigned n, struct guest *guest, const char *line, size_t len)
{
	struct control_call call = {.guest = guest};
	json_error_t error;
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error), *id = NULL;
	char *text;
	int err;

	if (!root)
		err = wrong(&call, "not JSON, at byte %d: %.120s", error.position, error.text);
	else if (!json_is_object(root))
		err = wrong(&call, "not a JSON object, as in {\"command\": \"status\"}");
	else
		err = perform(table, n, &call, root, &id);
	text = reply(err, call.result, call.why, id);
	json_decref(call.result);
	json_decref(root);
	return text;
}
