// SPDX-License-Identifier: Apache-2.0
/* The other end of control sockets: `pinvm ctl` and `pinvm list`. One thread, no guest of its own. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/control/ask.h"
#include "vmm/control/control.h"
#include "vmm/control/names.h"
#include "vmm/control/request.h"
#include "vmm/control/show.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/options/typed.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

#define LIST_NS 1000000000ULL
#define COLUMN	24
#define JSON_HELP "what there is to say, as JSON"

/* ---- ctl ---- */

static int perform(const char *name, const json_t *request, bool as_json)
{
	const char *why;
	struct ask ask;
	int status = ask_open(&ask, name), err;
	json_t *reply;

	if (status)
		return status;
	err = ask_send(&ask, request, &reply);
	if (err)
		return ask_no_answer(&ask, err);
	if (json_is_true(json_object_get(reply, "ok"))) {
		show_result(json_object_get(reply, "result"), as_json);
	} else {
		why = json_string_value(json_object_get(reply, "error"));
		log_err("%s: %s", name, why ? why : "refused");
		status = json_integer_value(json_object_get(reply, "status")) == END_USAGE ? END_USAGE : END_SETUP;
	}
	json_decref(reply);
	return status;
}

/* What others call it. */
static const struct {
	const char *typed, *here;
} elsewhere[] = {
	{"reboot", "reset"},
	{"shutdown", "powerbutton or stop"},
	{"system_powerdown", "powerbutton or stop"},
	{"system_reset", "reset"},
	{"quit", "stop"},
	{"destroy", "stop 0"},
	{"suspend", "pause"},
	{"info", "status"},
};

static int unknown_command(const char *name)
{
	const char *near = NULL;

	for (size_t i = 0; i < COUNT(elsewhere) && !near; i++)
		if (!strcmp(name, elsewhere[i].typed))
			near = elsewhere[i].here;
	if (!near)
		near = options_nearest(name, &control_table[0].name, control_commands, sizeof(control_table[0]));

	if (near)
		log_err("ctl: %.60s: unknown command; did you mean %s?", name, near);
	else
		log_err("ctl: %.60s: unknown command; `pinvm ctl --help` lists them", name);
	return END_USAGE;
}

/* The argument that word i is: NAME=VALUE, of those that are written so, or the i-th, or more of the last. NULL: none. */
static const struct control_arg *argument(const struct control_command *cmd, int i, const char *word, const char **value)
{
	unsigned k = 0;

	*value = word;
	for (; k < CONTROL_ARGS && cmd->arg[k].value; k++) {
		size_t len = strlen(cmd->arg[k].name);

		if (!strncmp(word, cmd->arg[k].name, len) && word[len] == '=') {
			*value = word + len + 1;
			return &cmd->arg[k];
		}
	}
	if (k)
		return NULL;
	while (k + 1 < (unsigned)i && k < CONTROL_ARGS && cmd->arg[k].name && !cmd->arg[k].rest)
		k++;
	return k < CONTROL_ARGS && cmd->arg[k].name ? &cmd->arg[k] : NULL;
}

/* Put a word, or one more of an argument that takes several, among the arguments. 0, or -1: it is not UTF-8. */
static int put_word(json_t *args, const struct control_arg *arg, const char *value)
{
	const char *before = json_string_value(json_object_get(args, arg->name));
	char *joined = NULL;
	int err;

	if (before && asprintf(&joined, "%s%c%s", before, arg->rest, value) < 0)
		return -1;
	err = json_object_set_new(args, arg->name, json_string(joined ? joined : value));
	free(joined);
	return err;
}

static int take_word(const struct control_command *cmd, json_t *args, int i, char *word)
{
	const char *value;
	const struct control_arg *arg = argument(cmd, i, word, &value);

	if (!arg && cmd->arg[0].value)
		log_err("ctl: %s %.60s: it takes NAME=VALUE; `pinvm ctl --help` lists them", cmd->name, word);
	else if (!arg)
		log_err("ctl: %s %.60s: one argument too many", cmd->name, word);
	else if (json_object_get(args, arg->name) && !arg->rest)
		log_err("ctl: %s %.60s: given twice", cmd->name, word);
	else if (put_word(args, arg, value))
		log_err("ctl: %s: argument %d is not UTF-8", cmd->name, i);
	else
		return 0;
	return -EINVAL;
}

/* The request that the words of the command line make; NULL, with *status, when they do not. */
static json_t *request_of(int argc, char **argv, int *status)
{
	const struct control_command *cmd = control_find(control_table, control_commands, argv[0]);
	json_t *args;

	*status = END_USAGE;
	if (!cmd) {
		unknown_command(argv[0]);
		return NULL;
	}
	args = json_object();
	for (int i = 1; i < argc; i++)
		if (take_word(cmd, args, i, argv[i])) {
			json_decref(args);
			return NULL;
		}
	*status = 0;
	return json_pack("{s:s, s:o}", "command", cmd->name, "arguments", args);
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

/* Take --json out of the words. -1: another option. */
static int take_json(int *argc, char **argv)
{
	int found = 0, n = 1;

	for (int i = 1; i < *argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			found = 1;
		} else if (!strncmp(argv[i], "--", 2)) {
			log_err("%s: %.60s: unknown option; there is --json", argv[0], argv[i]);
			return -1;
		} else {
			argv[n++] = argv[i];
		}
	}
	*argc = n;
	return found;
}

bool control_knows(const char *word)
{
	return control_find(control_table, control_commands, word);
}

int control_ctl(int argc, char **argv)
{
	int status, as_json;
	json_t *request;

	if (wants_help(argc, argv)) {
		control_ctl_help(stdout);
		return 0;
	}
	as_json = take_json(&argc, argv);
	if (as_json < 0)
		return END_USAGE;
	if (argc < 3) {
		log_err("ctl: give the guest's name and a command, as in pinvm ctl NAME status");
		return END_USAGE;
	}
	if (control_knows(argv[1]) && !control_knows(argv[2])) {
		log_err("ctl: the name comes first: pinvm ctl %.60s %s", argv[2], argv[1]);
		return END_USAGE;
	}
	request = request_of(argc - 2, argv + 2, &status);
	if (request)
		status = perform(argv[1], request, as_json || control_find(control_table, control_commands, argv[2])->document);
	json_decref(request);
	return status;
}

/* ---- list ---- */

static int is_socket(const struct dirent *entry)
{
	return names_length(entry->d_name) > 0;
}

/* What the guest says of itself; one that does not answer has its name and that. NULL: there is none. */
static json_t *guest_status(const char *dir, const char *file)
{
	struct ask ask = {.name = file, .limit_ns = LIST_NS, .stop_fd = -1};
	size_t len = names_length(file);
	json_t *result;
	int err;

	snprintf(ask.path, sizeof(ask.path), "%s/%s", dir, file);
	err = ask_for(&ask, "status", &result);
	if (err) {
		json_decref(result);
		result = NULL;
	}
	if (err && err != -ENOENT && err != -ECONNREFUSED)
		result =
			json_pack("{s:s%, s:n, s:s}", "name", file, len, "pid", "state", "no answer");
	return result;
}

static const char *text_of(const json_t *guest, const char *key)
{
	const char *text = json_string_value(json_object_get(guest, key));

	return text ? text : "-";
}

static void print_row(const json_t *guest)
{
	char pid[24] = "-", memory[32] = "-", vcpus[24] = "-", up[32] = "-";

	if (json_is_integer(json_object_get(guest, "pid"))) {
		snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(guest, "pid")));
		snprintf(vcpus, sizeof(vcpus), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(guest, "vcpus")));
		snprintf(up, sizeof(up), "%.0fs", json_real_value(json_object_get(guest, "uptime_s")));
		value_format_size(
			json_integer_value(json_object_get(guest, "memory")), memory, sizeof(memory));
	}
	show_column(text_of(guest, "name"), COLUMN);
	printf("%-8s ", pid);
	show_column(text_of(guest, "state"), 9);
	printf("%-6s %-8s %s\n", vcpus, memory, up);
}

static int collect_in(json_t *list, int fd, const char *dir)
{
	struct dirent **entry;
	int n = scandirat(fd, ".", &entry, is_socket, alphasort);

	if (n < 0)
		return log_errno(-errno, "%s", dir);
	for (int i = 0; i < n; i++) {
		json_t *guest = guest_status(dir, entry[i]->d_name);

		if (guest)
			json_array_append_new(list, guest);
		free(entry[i]);
	}
	free(entry);
	return 0;
}

/* Wherever this user's guests may be. Directories of others are none of ours, but the one where ours would go is to be. */
static int collect(json_t *list)
{
	char dir[PATH_MAX + 16];
	int err = 0, fd;

	for (unsigned i = 0; !err && (fd = names_look(i, dir, sizeof(dir))) != -ERANGE; i++) {
		if (fd >= 0) {
			err = collect_in(list, fd, dir);
			close(fd);
		} else if (!i && fd != -ENOENT) {
			err = log_errno(fd, "%s", dir);
		}
	}
	return err;
}

int control_list(int argc, char **argv)
{
	int as_json = take_json(&argc, argv), err;
	json_t *list, *guest;
	size_t i;

	if (as_json < 0)
		return END_USAGE;
	if (argc > 1) {
		log_err("list: %.60s: it takes no name", argv[1]);
		return END_USAGE;
	}
	list = json_array();
	err = collect(list);
	if (!err && as_json) {
		show_json(list);
	} else if (!err) {
		printf("%-*s %-8s %-9s %-6s %-8s %s\n", COLUMN, "NAME", "PID", "STATE", "VCPUS", "MEMORY",
			"UP");
		json_array_foreach(list, i, guest) print_row(guest);
	}
	json_decref(list);
	return err ? END_SETUP : 0;
}

/* ---- what people read ---- */

/* "stop [GRACE]", "cgroup [weight=N]" */
static void synopsis(const struct control_command *cmd, char *out, size_t n)
{
	size_t len = snprintf(out, n, "%s", cmd->name);

	for (unsigned i = 0; i < CONTROL_ARGS && cmd->arg[i].name && len < n; i++) {
		const struct control_arg *arg = &cmd->arg[i];

		if (arg->value) {
			len += snprintf(out + len, n - len, " [%s=%s]", arg->name, arg->value);
			continue;
		}
		len += snprintf(out + len, n - len, arg->must ? " " : " [");
		for (const char *p = arg->name; *p && len + 1 < n; p++)
			out[len++] = *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p;
		len += snprintf(out + len, n - len, "%s%s", arg->rest ? "..." : "", arg->must ? "" : "]");
	}
}

#define for_each_command(cmd) \
	for (const struct control_command *cmd = control_table; cmd < control_table + control_commands; cmd++)

void control_ctl_help(FILE *out)
{
	char left[96], name[64];

	fprintf(out, "Usage: pinvm ctl NAME COMMAND [ARGUMENTS] [--json]\n\nHave a running guest do something.\n" ASK_NAME_HELP
		     "\nCommands\n");
	for_each_command(cmd)
	{
		synopsis(cmd, name, sizeof(name));
		snprintf(left, sizeof(left), "  %s", name);
		options_help_line(out, left, cmd->help);
		for (unsigned i = 0; i < CONTROL_ARGS && cmd->arg[i].name; i++) {
			snprintf(left, sizeof(left), "    %s", cmd->arg[i].name);
			options_help_line(out, left, cmd->arg[i].help);
		}
	}
	fprintf(out, "\nOptions\n");
	options_help_line(out, "      --json", JSON_HELP);
	fprintf(out, "\nStatus: 0 done, 2 the command line is wrong, 4 no such guest, or it refused.\n");
}

void control_list_help(FILE *out)
{
	fprintf(out, "Usage: pinvm list [--json]\n\nShow this user's running guests that have a name to be found by.\n\nOptions\n");
	options_help_line(out, "      --json", JSON_HELP);
	fprintf(out, "\nStatus: 0 shown, 2 the command line is wrong, 4 the directory of names cannot be read.\n");
}

void control_man(FILE *out)
{
	char left[64];

	for_each_command(cmd)
	{
		synopsis(cmd, left, sizeof(left));
		fputs(".TP\n.B ", out);
		options_man_text(out, left);
		fputs("\n", out);
		options_man_text(out, cmd->help);
		fputs("\n", out);
		for (unsigned i = 0; i < CONTROL_ARGS && cmd->arg[i].name; i++) {
			fprintf(out, ".br\n\\fI%s\\fR: ", cmd->arg[i].name);
			options_man_text(out, cmd->arg[i].help);
			fputs("\n", out);
		}
	}
}

void control_words(FILE *out)
{
	for_each_command(cmd) fprintf(out, "%s%s", cmd == control_table ? "" : " ", cmd->name);
}
