// SPDX-License-Identifier: Apache-2.0
/* The other end of control sockets: `pinvm ctl` and `pinvm list`. One thread, no guest of its own. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/control/control.h"
#include "vmm/control/names.h"
#include "vmm/control/request.h"
#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/options/options.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

#define CTL_NS	  10000000000ULL /* how long an answer may take: a guest that restarts gives none meanwhile */
#define LIST_NS	  1000000000ULL
#define REPLY_MAX (16u << 20)
#define COLUMN	  24

/* ---- one request ---- */

static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	uint64_t now = now_ns();
	int n = poll(&pfd, 1, deadline > now ? (deadline - now) / 1000000 + 1 : 0);

	return n > 0 ? 0 : n ? -errno : -ETIMEDOUT;
}

static int send_all(int fd, const char *text, size_t len, uint64_t deadline)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		int err = n < 0 ? -errno : 0;

		if (err == -EAGAIN)
			err = wait_for(fd, POLLOUT, deadline);
		if (err && err != -EINTR)
			return err;
		text += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
	return 0;
}

/* One line, however it comes. 0 or -errno; *text is the caller's either way. */
static int read_line(int fd, char **text, uint64_t deadline)
{
	size_t len = 0, room = 0;

	for (;;) {
		ssize_t n;
		int err;

		if (len + 1 >= room) {
			char *grown = room < REPLY_MAX ? realloc(*text, room + 65536) : NULL;

			if (!grown)
				return -ENOMEM;
			*text = grown;
			room += 65536;
		}
		n = recv(fd, *text + len, room - len - 1, 0);
		err = n < 0 ? -errno : n ? 0 : -ECONNRESET;
		if (err == -EAGAIN)
			err = wait_for(fd, POLLIN, deadline);
		if (err && err != -EINTR)
			return err;
		len += n > 0 ? n : 0;
		(*text)[len] = '\0';
		if (len && (*text)[len - 1] == '\n')
			return 0;
	}
}

/* Ask the guest at `path`. 0 with its answer, an object, in *reply; or -errno: -EPROTO when it is none. */
static int ask(const char *path, const json_t *request, uint64_t limit_ns, json_t **reply)
{
	char *text = json_dumps(request, JSON_COMPACT), *answer = NULL;
	uint64_t deadline = now_ns() + limit_ns;
	int fd, err = text ? 0 : -ENOMEM;

	*reply = NULL;
	if (err)
		return err;
	fd = listener_connect(path);
	err = fd < 0 ? fd : send_all(fd, text, strlen(text), deadline);
	if (!err)
		err = send_all(fd, "\n", 1, deadline);
	if (!err)
		err = read_line(fd, &answer, deadline);
	if (!err) {
		*reply = json_loads(answer, 0, NULL);
		if (!json_is_object(*reply) || !json_is_boolean(json_object_get(*reply, "ok"))) {
			json_decref(*reply);
			*reply = NULL;
			err = -EPROTO;
		}
	}
	if (fd >= 0)
		close(fd);
	free(answer);
	free(text);
	return err;
}

/* ---- ctl ---- */

/* A text that came over a socket, without what a terminal would act on. */
static void print_text(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void print_value(const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		print_text(json_string_value(value));
		return;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	fputs(text ? text : "?", stdout);
	free(text);
}

static bool is_flat(json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (json_is_object(value) || json_is_array(value))
			return false;
	}
	return true;
}

/* A line for each member, or JSON where there is more to it. */
static void print_result(json_t *result, bool as_json)
{
	const char *name;
	json_t *value;

	if (as_json || (result && !is_flat(result))) {
		if (result)
			json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		puts(result ? "" : "{}");
		return;
	}
	json_object_foreach(result, name, value)
	{
		print_text(name);
		printf(" ");
		print_value(value);
		puts("");
	}
}

static int path_of(const char *name, char *path, size_t n)
{
	char dir[PATH_MAX + 16];
	int fd;

	if (strchr(name, '/')) {
		snprintf(path, n, "%s", name);
		return 0;
	}
	if (value_name(name)) {
		log_err("%.60s: a name is letters, digits, '.', '_' and '-'; the path of a socket has a /",
			name);
		return END_USAGE;
	}
	fd = names_open(dir, sizeof(dir), false);
	if (fd >= 0)
		close(fd);
	if (fd < 0 && fd != -ENOENT) {
		log_errno(fd, "%s", dir);
		return END_SETUP;
	}
	snprintf(path, n, "%s/%s" NAMES_SUFFIX, dir, name);
	return 0;
}

static int no_answer(int err, const char *name, const char *path)
{
	if (err == -ENOENT)
		log_err("%s: no such guest (%s); pinvm list shows those there are", name, path);
	else if (err == -ECONNREFUSED)
		log_err("%s: no such guest any more (%s is left of it)", name, path);
	else if (err == -ECONNRESET || err == -EPIPE)
		log_err("%s: the guest ended, or had no time for this client (%s)", name, path);
	else if (err == -EAGAIN || err == -ETIMEDOUT)
		log_err("%s: no answer in time: still being set up, or restarting (%s)", name, path);
	else if (err == -EPROTO)
		log_err("%s: not a guest of pinvm that answers at %s", name, path);
	else
		log_errno(err, "%s: %s", name, path);
	return END_SETUP;
}

static int perform(const char *name, const json_t *request, bool as_json)
{
	char path[PATH_MAX + 128];
	int status = path_of(name, path, sizeof(path)), err;
	const char *why;
	json_t *reply;

	if (status)
		return status;
	err = ask(path, request, CTL_NS, &reply);
	if (err)
		return no_answer(err, name, path);
	if (json_is_true(json_object_get(reply, "ok"))) {
		print_result(json_object_get(reply, "result"), as_json);
	} else {
		why = json_string_value(json_object_get(reply, "error"));
		log_err("%s: %s", name, why ? why : "refused");
		status = END_SETUP;
	}
	json_decref(reply);
	return status;
}

static int unknown_command(const char *name)
{
	const char *near =
		options_nearest(name, &control_table[0].name, control_commands, sizeof(control_table[0]));

	if (near)
		log_err("ctl: %.60s: unknown command; did you mean %s?", name, near);
	else
		log_err("ctl: %.60s: unknown command; `pinvm ctl --help` lists them", name);
	return END_USAGE;
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
	for (int i = 1; i < argc; i++) {
		if (i > CONTROL_ARGS || !cmd->arg[i - 1].name) {
			log_err("ctl: %s %.60s: one argument too many", cmd->name, argv[i]);
			json_decref(args);
			return NULL;
		}
		if (json_object_set_new(args, cmd->arg[i - 1].name, json_string(argv[i]))) {
			log_err("ctl: %s: argument %d is not UTF-8", cmd->name, i);
			json_decref(args);
			return NULL;
		}
	}
	*status = 0;
	return json_pack("{s:s, s:o}", "command", cmd->name, "arguments", args);
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

int control_ctl(int argc, char **argv)
{
	int status, as_json = take_json(&argc, argv);
	json_t *request;

	if (as_json < 0)
		return END_USAGE;
	if (argc < 3) {
		log_err("ctl: give the guest's name and a command, as in pinvm ctl NAME status");
		return END_USAGE;
	}
	request = request_of(argc - 2, argv + 2, &status);
	if (request)
		status = perform(argv[1], request, as_json);
	json_decref(request);
	return status;
}

/* ---- list ---- */

static int is_socket(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), suffix = strlen(NAMES_SUFFIX);

	return *entry->d_name != '.' && len > suffix && !strcmp(entry->d_name + len - suffix, NAMES_SUFFIX);
}

/* What the guest says of itself; one that does not answer has its name and that. NULL: there is none. */
static json_t *guest_status(const char *dir, const char *file)
{
	json_t *request = json_pack("{s:s}", "command", "status"), *reply = NULL, *result = NULL;
	int len = strlen(file) - strlen(NAMES_SUFFIX), err;
	char path[PATH_MAX + 512];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	err = ask(path, request, LIST_NS, &reply);
	if (!err)
		result = json_incref(json_object_get(reply, "result"));
	else if (err != -ENOENT && err != -ECONNREFUSED)
		result =
			json_pack("{s:s%, s:n, s:s}", "name", file, (size_t)len, "pid", "state", "no answer");
	json_decref(reply);
	json_decref(request);
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
	printf("%-*s %-8s %-9s %-6s %-8s %s\n", COLUMN, text_of(guest, "name"), pid, text_of(guest, "state"),
		vcpus, memory, up);
}

static int collect(json_t *list)
{
	char dir[PATH_MAX + 16];
	int n, fd = names_open(dir, sizeof(dir), false);
	struct dirent **entry;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return log_errno(fd, "%s", dir);
	n = scandirat(fd, ".", &entry, is_socket, alphasort);
	close(fd);
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
		json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		puts("");
	} else if (!err) {
		printf("%-*s %-8s %-9s %-6s %-8s %s\n", COLUMN, "NAME", "PID", "STATE", "VCPUS", "MEMORY",
			"UP");
		json_array_foreach(list, i, guest) print_row(guest);
	}
	json_decref(list);
	return err ? END_SETUP : 0;
}

/* ---- what people read ---- */

/* "stop [GRACE]" */
static void synopsis(const struct control_command *cmd, char *out, size_t n)
{
	size_t len = snprintf(out, n, "%s", cmd->name);

	for (unsigned i = 0; i < CONTROL_ARGS && cmd->arg[i].name && len < n; i++) {
		len += snprintf(out + len, n - len, " [");
		for (const char *p = cmd->arg[i].name; *p && len + 1 < n; p++)
			out[len++] = *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p;
		len += snprintf(out + len, n - len, "]");
	}
}

#define for_each_command(cmd) \
	for (const struct control_command *cmd = control_table; cmd < control_table + control_commands; cmd++)

void control_ctl_help(FILE *out)
{
	char left[64];

	fprintf(out, "Usage: pinvm ctl NAME COMMAND [ARGUMENTS] [--json]\n\nHave a running guest do "
		     "something. NAME is what --name says, "
		     "or the path of its\ncontrol socket, with a /.\n\nCommands\n");
	for_each_command(cmd)
	{
		synopsis(cmd, left, sizeof(left));
		fprintf(out, "  %-*s %s\n", COLUMN, left, cmd->help);
		for (unsigned i = 0; i < CONTROL_ARGS && cmd->arg[i].name; i++)
			fprintf(out, "    %-*s %s\n", COLUMN - 2, cmd->arg[i].name, cmd->arg[i].help);
	}
	fprintf(out, "\nStatus: 0 done, 2 the command line is wrong, 4 no such guest, or it refused.\n");
}

void control_list_help(FILE *out)
{
	fprintf(out, "Usage: pinvm list [--json]\n\nShow this user's running guests that have a name to be "
		     "found by.\n");
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
