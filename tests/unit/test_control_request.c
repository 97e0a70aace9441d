// SPDX-License-Identifier: Apache-2.0
/* The control protocol: what a request may look like, and what is said of one that does not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vmm/control/request.h"

static int echo(struct control_call *call)
{
	call->result = json_pack("{s:s?, s:s?}", "one", call->arg[0], "two", call->arg[1]);
	return 0;
}

static int quiet(struct control_call *call)
{
	return 0;
}

/* A result of one that failed is nobody's. */
static int broken(struct control_call *call)
{
	call->result = json_object();
	snprintf(call->why, sizeof(call->why), "no: \033[1m\"%s\xff", call->arg[0] ? call->arg[0] : "");
	return -EIO;
}

static const struct control_command table[] = {
	{"echo", "says its arguments", {{"one", "the first"}, {"two", "the second"}}, echo},
	{"quiet", "nothing", .run = quiet},
	{"fail", "an error", {{"what", "a text"}}, broken},
};

static char *ask(const char *line, size_t len)
{
	char *exact = malloc(len ? len : 1), *text; /* of its size, so that a sanitizer sees who reads on */

	memcpy(exact, line, len);
	text = request_answer(table, 3, NULL, exact, len);
	free(exact);
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_null(strchr(text, '\n'));
	return text;
}

static void answers(const char *line, const char *want)
{
	char *text = ask(line, strlen(line));

	ck_assert_str_eq(text, want);
	free(text);
}

/* An error that says so: `want` is in it. */
static void refused(const char *line, size_t len, const char *want)
{
	char *text = ask(line, len);
	json_t *root = json_loads(text, 0, NULL);
	const char *why = json_string_value(json_object_get(root, "error"));

	ck_assert_msg(json_is_false(json_object_get(root, "ok")), "%s", text);
	ck_assert_ptr_null(json_object_get(root, "result"));
	ck_assert_int_eq(json_integer_value(json_object_get(root, "status")), 2);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, want), "%s: not %s", why, want);
	for (const char *p = why; *p; p++)
		ck_assert_int_ge(*p, ' ');
	json_decref(root);
	free(text);
}

#define REFUSED(line, want) refused(line, sizeof(line) - 1, want)

START_TEST(requests)
{
	answers("{\"command\":\"quiet\"}", "{\"ok\":true}");
	answers(" { \"command\" : \"quiet\" , \"arguments\" : { } } \r", "{\"ok\":true}");
	answers("{\"command\":\"quiet\",\"id\":-7}", "{\"ok\":true,\"id\":-7}");
	answers("{\"id\":\"a\\u00e4\",\"command\":\"quiet\"}", "{\"ok\":true,\"id\":\"a\u00e4\"}");
	answers("{\"command\":\"echo\"}", "{\"ok\":true,\"result\":{\"one\":null,\"two\":null}}");
	answers("{\"command\":\"echo\",\"arguments\":{\"two\":\"2\",\"one\":\"\"},\"id\":1}",
		"{\"ok\":true,\"result\":{\"one\":\"\",\"two\":\"2\"},\"id\":1}");
}
END_TEST

/* The answer to a request that is wrong has its id, once that is known to be one. */
START_TEST(errors)
{
	answers("{\"id\":4,\"command\":\"fail\",\"arguments\":{\"what\":\"x\"}}",
		"{\"ok\":false,\"error\":\"no: ?[1m\\\"x?\",\"status\":4,\"id\":4}");
	answers("{\"id\":5,\"command\":\"nothing\"}",
		"{\"ok\":false,\"error\":\"nothing: unknown command\",\"status\":2,\"id\":5}");
	REFUSED("{\"id\":5}", "no command given");
	REFUSED("{}", "no command given");
	REFUSED("{\"command\":1}", "no command given");
	REFUSED("{\"command\":null}", "no command given");
	REFUSED("{\"command\":\"\"}", "unknown command");
	REFUSED("{\"command\":\"Quiet\"}", "unknown command");
	REFUSED("{\"command\":\"quiet\",\"id\":1.5}", "id: neither");
	REFUSED("{\"command\":\"quiet\",\"id\":{\"a\":1}}", "id: neither");
	REFUSED("{\"command\":\"quiet\",\"id\":null}", "id: neither");
	REFUSED("{\"command\":\"quiet\",\"comand\":1}", "unknown member comand");
	REFUSED("{\"command\":\"quiet\",\"arguments\":[]}", "not an object");
	REFUSED("{\"command\":\"quiet\",\"arguments\":{\"one\":\"1\"}}", "unknown argument one");
	REFUSED("{\"command\":\"echo\",\"arguments\":{\"one\":1}}", "argument one: not a text");
	REFUSED("{\"command\":\"echo\",\"arguments\":{\"three\":\"3\"}}", "unknown argument three");
}
END_TEST

START_TEST(no_json)
{
	REFUSED("", "not JSON");
	REFUSED("   ", "not JSON");
	REFUSED("status", "not JSON");
	REFUSED("\"status\"", "not JSON");
	REFUSED("[]", "not a JSON object");
	REFUSED("[{\"command\":\"quiet\"}]", "not a JSON object");
	REFUSED("{\"command\":\"quiet\"", "not JSON");
	REFUSED("{\"command\":\"quiet\"}}", "not JSON");
	REFUSED("{\"command\":\"quiet\"}{\"command\":\"quiet\"}", "not JSON");
	REFUSED("{\"command\":\"quiet\",\"command\":\"quiet\"}", "not JSON");
	REFUSED("{\"command\":\"quiet\",}", "not JSON");
	REFUSED("{'command':'quiet'}", "not JSON");
	REFUSED("{\"command\":\"qui\0et\"}", "not JSON");
	REFUSED("{\"command\":\"qui\\u0000et\"}", "not JSON");
	REFUSED("{\"command\":\"quiet\"}\0", "not JSON");
	REFUSED("{\"command\":\"\xff\xfe\"}", "not JSON");
	REFUSED("{\"command\":\"\xc3\"}", "not JSON");
	REFUSED("{\"command\":\"quiet\",\"id\":99999999999999999999}", "not JSON");
}
END_TEST

START_TEST(deep)
{
	char line[4096];

	memset(line, '[', sizeof(line));
	refused(line, sizeof(line), "not JSON");
	for (size_t i = 0; i + 5 <= sizeof(line); i += 5)
		memcpy(line + i, "{\"a\":", 5);
	refused(line, sizeof(line), "not JSON");
}
END_TEST

/* The real table: names that can be typed, help for each, no two alike. */
START_TEST(real_table)
{
	ck_assert_uint_gt(control_commands, 0);
	for (unsigned i = 0; i < control_commands; i++) {
		const struct control_command *cmd = &control_table[i];

		ck_assert_ptr_eq(control_find(control_table, control_commands, cmd->name), cmd);
		ck_assert_uint_eq(strspn(cmd->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(cmd->name));
		ck_assert_ptr_nonnull(cmd->help);
		ck_assert_ptr_nonnull(cmd->run);
		for (unsigned a = 0; a < CONTROL_ARGS && cmd->arg[a].name; a++)
			ck_assert_ptr_nonnull(cmd->arg[a].help);
	}
	ck_assert_ptr_null(control_find(control_table, control_commands, "nothing"));
}
END_TEST

UNIT_MAIN("control request", requests, errors, no_json, deep, real_table)
