// SPDX-License-Identifier: Apache-2.0
/*
 * The real table of commands against a guest that is made up of its parts without a machine: what each command takes, what it
 * refuses in which state, and clients who are many, slow or rude.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "devices/power.h"
#include "devices/virtio/limits.h"
#include "tests/unit/loops.h"
#include "vmm/control/request.h"
#include "vmm/control/server.h"
#include "vmm/guest.h"
#include "vmm/iothread.h"
#include "vmm/log.h"
#include "vmm/report/report.h"

#define BIG	 (1u << 20) /* bytes of a report: more than a socket holds */
#define STALL_NS 10000000000ull

static struct guest_config cfg;
static struct guest guest;
static struct vm vm;
static struct virtio_limits limits;
static const struct virtio_ops blk = {.id = VIRTIO_ID_BLK}, rng = {.id = VIRTIO_ID_RNG};
static struct virtio_dev disk = {.ops = &blk, .name = "disk0"}, other = {.ops = &rng, .name = "rng"};
static struct iothread_config iothreads[] = {{.name = (char *)"fast", .poll_max_ns = 50000}};
static unsigned reports;

/* Of a machine there is nothing to report. */
struct json_t *__wrap_report_now(const struct guest *of);
struct json_t *__wrap_report_now(const struct guest *of)
{
	char *text = malloc(BIG + 1);
	json_t *report;

	ck_assert_ptr_eq(of, &guest);
	ck_assert_ptr_nonnull(text);
	memset(text, 'r', BIG);
	text[BIG] = '\0';
	report = json_pack("{s:s, s:i}", "text", text, "n", ++reports);
	free(text);
	return report;
}

static void begin(void)
{
	config_defaults(&cfg);
	cfg.name = (char *)"made-up";
	cfg.cpus = (struct cpu_config){.count = 0, .threads = 1};
	cfg.memory.size = 64 << 20;
	cfg.grace_ns = 3600000000000ull;
	cfg.iothreads = iothreads;
	cfg.niothreads = 1;
	cfg.io_engine = IO_PLAIN;
	guest.cfg = &cfg;
	vm.fd = -1;
	pthread_mutex_init(&vm.irq_lock, NULL);
	guest.power_irq = (struct irq_src){.vm = &vm, .fd = eventfd(0, EFD_NONBLOCK)};
	ck_assert_int_eq(power_create(&guest.power, &guest, &guest.power_irq), 0);
	ck_assert_int_eq(loop_create(&guest.loop, "emulator", IO_PLAIN, 0), 0);
	ck_assert_int_eq(place_plan(&guest.place, &cfg), 0);
	ck_assert_int_eq(iothreads_open(&guest), 0);
	disk.loop = guest.loop;
	virtio_limits_init(&disk, &limits, &(struct limit_rates){.bps = 1 << 20});
	guest.device[0] = &disk;
	guest.device[1] = &other;
	guest.ndevices = 2;
}

/* What the guest answers, as an object; the caller's. */
static json_t *ask(const char *line)
{
	char *text = request_answer(control_table, control_commands, &guest, line, strlen(line));
	json_t *reply;

	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_null(strchr(text, '\n'));
	reply = json_loads(text, 0, NULL);
	ck_assert_msg(json_is_boolean(json_object_get(reply, "ok")), "%s: %s", line, text);
	free(text);
	return reply;
}

static int status; /* of the last answer; 0: it was done */

/* `want` NULL: it is done; else it is refused, in these words. */
static void answers(const char *line, const char *want)
{
	json_t *reply = ask(line);
	const char *why = json_string_value(json_object_get(reply, "error"));

	status = json_integer_value(json_object_get(reply, "status"));
	ck_assert_msg(!want == !status, "%s: status %d", line, status);
	ck_assert_msg(!want == json_is_true(json_object_get(reply, "ok")), "%s: %s", line, why ? why : "done");
	if (want)
		ck_assert_msg(why && strstr(why, want), "%s: %s", line, why);
	json_decref(reply);
}

static void command(const char *name, const char *args, const char *want)
{
	char line[512];

	snprintf(line, sizeof(line), "{\"command\": \"%s\", \"arguments\": {%s}}", name, args);
	answers(line, want);
}

static void state_is(const char *want)
{
	json_t *reply = ask("{\"command\": \"status\"}");
	const json_t *result = json_object_get(reply, "result");

	ck_assert_str_eq(json_string_value(json_object_get(result, "state")), want);
	ck_assert_str_eq(json_string_value(json_object_get(result, "name")), "made-up");
	ck_assert_int_eq(json_integer_value(json_object_get(result, "memory")), 64 << 20);
	json_decref(reply);
}

/* Whatever the command is: arguments that it does not have, or that are no texts, and nothing happens. */
START_TEST(arguments_of_every_command)
{
	begin();
	for (unsigned i = 0; i < control_commands; i++) {
		const struct control_command *cmd = &control_table[i];
		char args[96];

		command(cmd->name, "\"nosuch\": \"1\"", "unknown argument nosuch");
		command(cmd->name, "\"\": \"1\"", "unknown argument");
		for (unsigned a = 0; a < CONTROL_ARGS && cmd->arg[a].name; a++) {
			static const char *const no_text[] = {"1", "null", "true", "[]", "{}", "[\\\"a\\\"]"};

			for (size_t t = 0; t < sizeof(no_text) / sizeof(no_text[0]) - 1; t++) {
				snprintf(args, sizeof(args), "\"%s\": %s", cmd->arg[a].name, no_text[t]);
				command(cmd->name, args, "not a text");
			}
			snprintf(args, sizeof(args), "\"%s\": \"x\", \"more\": \"y\"", cmd->arg[a].name);
			command(cmd->name, args, "unknown argument more");
		}
	}
	state_is("running");
	ck_assert_uint_eq(guest.power_irq.raised, 0);
	ck_assert_uint_eq(reports, 0);
}
END_TEST

START_TEST(values)
{
	static struct disk_config serves = {.iothread = (char *)"vcpu1"};
	static const struct {
		const char *name, *args, *want;
		int status; /* 0: 2, as the request is wrong */
	} c[] = {
		{"stop", "\"grace\": \"soon\"", "stop: grace soon: "},
		{"stop", "\"grace\": \"\"", "stop: grace "},
		{"halt-poll", "\"spec\": \"nonsense\"", "halt-poll nonsense: "},
		{"halt-poll", "\"spec\": \"auto,trace=none/trace\"", "trace= is opened before privileges are dropped"},
		{"pin", "", "pin: give a role and CPUs"},
		{"pin", "\"rules\": \"\"", "pin: give a role and CPUs"},
		{"pin", "\"rules\": \"vcpu0=0\"", "pin vcpu0=0: this guest has no such thread", 4},
		{"pin", "\"rules\": \"emulator=1023\"", "pin emulator=1023: CPU 1023", 4},
		{"pin", "\"rules\": \"emulator=0-\"", "pin emulator=0-: "},
		{"pin", "\"rules\": \"vcpu0=0 emulator=0-\"", "pin vcpu0=0: this guest has no such thread"},
		{"sched", "\"rules\": \"emulator=nosuch\"", "sched emulator=nosuch: the policy is one of"},
		{"sched", "\"rules\": \"vcpu=fifo:1\"", "no such thread", 4},
		{"sched", "", "sched: give a role and a policy"},
		{"limits", "", "limits: give a device: there are disk0"},
		{"limits", "\"device\": \"\"", "limits: give a device: there are disk0"},
		{"limits", "\"device\": \"rng\"", "limits rng: no such disk or network device; there are disk0", 4},
		{"limits", "\"device\": \"disk0\", \"spec\": \"\"", "limits disk0: : there are bps, bps-burst, iops, iops-burst"},
		{"limits", "\"device\": \"disk0\", \"spec\": \"iops=1,,\"", "limits disk0: iops=1,: "},
		{"limits", "\"device\": \"disk0\", \"spec\": \"ro\"", "limits disk0: ro: there are"},
		{"limits", "\"device\": \"disk0\", \"spec\": \"off,iops=1\"", "limits disk0: off: there are"},
		{"limits", "\"device\": \"disk0\", \"spec\": \"bps=off,bps-burst=4K\"", "bps-burst: without a rate"},
		{"limits", "\"device\": \"disk0\", \"spec\": \"iops=99999999999\"", "limits disk0: iops=99999999999: must be 1 to"},
		{"iothread", "", "iothread: give an iothread: there are main, fast"},
		{"iothread", "\"iothread\": \"slow\"", "iothread slow: no such iothread; there are main, fast", 4},
		{"iothread", "\"iothread\": \"poll-max=50us\"", "iothread poll-max=50us: the iothread's name comes first; there are main, fast"},
		{"iothread", "\"iothread\": \"vcpu0\"", "iothread vcpu0: no such iothread; there are main, fast", 4},
		{"iothread", "\"iothread\": \"vcpu1\", \"spec\": \"poll-max=50us\"", "iothread vcpu1: it serves queues, but poll-max is of iothreads: a vCPU polls by --halt-poll vmm", 4},
		{"iothread", "\"iothread\": \"main\", \"spec\": \"on\"", "iothread main: on: there are poll-max, poll-weight, each"},
		{"iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=1s\"", "iothread main: poll-max=1s: must be 0 to 10ms"},
		{"iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=50\"", "iothread main: poll-max=50: a time needs its unit, as in 50us"},
		{"iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=1us,poll-max=2us\"", "poll-max is given twice"},
		{"iothread", "\"iothread\": \"main\", \"spec\": \"poll-weight=0\"", "iothread main: poll-weight=0: must be 1 to 1000"},
		{"iothread", "\"iothread\": \"main\", \"spec\": \"poll-weight=9\"", "poll-weight=9: does nothing without poll-max=TIME"},
		{"iothread", "\"iothread\": \"fast\", \"spec\": \"poll-max=off,poll-weight=9\"", "does nothing without poll-max=TIME"},
		{"iothread", "\"iothread\": \"fast\", \"spec\": \"name=slow\"", "iothread fast: name: there are"},
		{"cgroup", "", "cgroup: the guest has none of its own", 4},
		{"cgroup", "\"weight\": \"5\"", "cgroup: the guest has none of its own", 4},
	};

	begin();
	cfg.disks = &serves;
	cfg.ndisks = 1;
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		command(c[i].name, c[i].args, c[i].want);
		ck_assert_msg(status == (c[i].status ? c[i].status : 2), "%s %s: status %d", c[i].name, c[i].args, status);
	}
	state_is("running");
	ck_assert_uint_eq(limits.rates.bps, 1 << 20);
}
END_TEST

START_TEST(limits_of_a_device)
{
	begin();
	command("limits", "\"device\": \"disk0\"", NULL);
	ck_assert_uint_eq(limits.rates.bps, 1 << 20);
	command("limits", "\"device\": \"disk0\", \"spec\": \"iops=500,iops-burst=7\"", NULL);
	ck_assert_uint_eq(limits.rates.bps, 1 << 20);
	ck_assert_uint_eq(limits.rates.ops, 500);
	ck_assert_uint_eq(limits.rates.ops_burst, 7);
	command("limits", "\"device\": \"disk0\", \"spec\": \"iops=off\"", NULL);
	ck_assert_uint_eq(limits.rates.ops | limits.rates.ops_burst, 0);
	command("limits", "\"device\": \"disk0\", \"spec\": \"off\"", NULL);
	ck_assert(!virtio_limits_on(&limits));
	answers("{\"command\": \"limits\", \"arguments\": {\"device\": \"disk0\", \"spec\": \"bps=2M\"}}", NULL);
	ck_assert_uint_eq(limits.rates.bps, 2 << 20);
}
END_TEST

/* ---- an iothread that runs ---- */

struct asked {
	struct loop_idle idle;
	atomic_uint times;
	_Atomic uint64_t price;
};

static uint64_t on_expect(struct loop_idle *idle, uint64_t now, uint64_t came, uint64_t price)
{
	struct asked *asked = container_of(idle, struct asked, idle);

	ck_assert_uint_ge(now, came);
	atomic_store(&asked->price, price);
	atomic_fetch_add(&asked->times, 1);
	return 1;
}

static bool on_idle(struct loop_idle *idle, bool sleeping)
{
	return false;
}

static void *run_loop(void *arg)
{
	ck_assert_int_eq(loop_run(arg), 0);
	return NULL;
}

static int nothing(struct errand *errand)
{
	return 0;
}

/* Have the loop make a step from its beginning to its end. */
static void stir(struct loop *loop)
{
	for (int i = 0; i < 2; i++) {
		struct errand errand;

		errand_init(&errand, nothing);
		ck_assert_int_eq(errand_run(&errand, loop, 60000000000ull, true), 0);
	}
}

static json_int_t poll_is(const char *iothread, const char *key)
{
	char line[128];
	json_int_t value;
	json_t *reply;

	snprintf(line, sizeof(line), "{\"command\": \"iothread\", \"arguments\": {\"iothread\": \"%s\"}}", iothread);
	reply = ask(line);
	value = json_integer_value(json_object_get(json_object_get(reply, "result"), key));
	json_decref(reply);
	return value;
}

START_TEST(polling_of_an_iothread)
{
	struct asked asked = {.idle = {.fn = on_idle, .expect = on_expect}};
	struct loop *loop;
	pthread_t thread;
	unsigned seen;

	begin();
	loop = iothread_loop(&guest, NULL);
	loop_idle_add(loop, &asked.idle);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_loop, loop), 0);
	stir(loop);
	ck_assert_uint_eq(asked.times, 0);
	ck_assert_int_eq(poll_is("main", "max_ns"), 0);
	ck_assert_int_eq(poll_is("fast", "max_ns"), 50000);
	ck_assert_int_eq(poll_is("fast", "weight"), 4);

	command("iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=1ms,poll-weight=9\"", NULL);
	stir(loop);
	ck_assert_uint_gt(asked.times, 0);
	ck_assert_uint_eq(asked.price, 10 * 5000);
	command("iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=2ms\"", NULL);
	ck_assert_int_eq(poll_is("main", "max_ns"), 2000000);
	ck_assert_int_eq(poll_is("main", "weight"), 9);
	while (!poll_is("main", "polls")) /* what was asked for before it looked was not waited for: the last look finds nothing */
		sched_yield();

	command("iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=off\"", NULL);
	seen = asked.times;
	stir(loop);
	ck_assert_uint_eq(asked.times, seen);
	ck_assert_int_eq(poll_is("main", "max_ns"), 0);
	command("iothread", "\"iothread\": \"main\", \"spec\": \"poll-max=1ms\"", NULL);
	ck_assert_int_eq(poll_is("main", "weight"), 4);
	stir(loop);
	ck_assert_uint_gt(asked.times, seen);
	loop_stop(loop);
	pthread_join(thread, NULL);
}
END_TEST

/* Nobody runs its loop: then it does not change behind the back of who was told that it did not. */
START_TEST(polling_of_a_stuck_iothread)
{
	struct loop *loop;

	begin();
	loop = iothread_loop(&guest, "fast");
	command("iothread", "\"iothread\": \"fast\", \"spec\": \"off\"", "iothread fast: it gets no CPU: nothing was changed");
	command("iothread", "\"iothread\": \"fast\", \"spec\": \"poll-max=1ms\"", "nothing was changed");
	ck_assert_int_eq(poll_is("fast", "max_ns"), 50000);
	ck_assert_int_gt(loop_step(loop, true), 0);
	ck_assert_int_eq(poll_is("fast", "max_ns"), 50000);
}
END_TEST

/* The emulator's thread is this one. */
START_TEST(place_of_a_thread)
{
	struct placement *emulator;
	char rule[64], list[32];
	cpu_set_t set, one;
	int cpu = 0;

	begin();
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	place_format_cpus(&one, list, sizeof(list));
	snprintf(rule, sizeof(rule), "\"rules\": \"emulator=%s\"", list);
	command("pin", rule, NULL);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	ck_assert(CPU_EQUAL(&set, &one));
	emulator = place_find(&guest.place, PLACE_EMULATOR, 0);
	ck_assert(emulator->pinned && CPU_EQUAL(&emulator->actual_cpus, &one));
	command("sched", "\"rules\": \"emulator=batch:19\"", NULL);
	ck_assert_int_eq(emulator->actual_sched.policy, SCHED_BATCH);
}
END_TEST

START_TEST(paused)
{
	begin();
	for (int i = 0; i < 2; i++) {
		command("pause", "", NULL);
		state_is("paused");
	}
	command("powerbutton", "", NULL);
	ck_assert_uint_eq(guest.power_irq.raised, 1);
	command("report", "", NULL);
	command("limits", "\"device\": \"disk0\", \"spec\": \"off\"", NULL);
	command("sched", "\"rules\": \"emulator=batch:19\"", NULL);
	state_is("paused");
	for (int i = 0; i < 2; i++) {
		command("resume", "", NULL);
		state_is("running");
	}
	command("pause", "", NULL);
	command("stop", "", NULL); /* or it could not power off */
	state_is("stopping");
	ck_assert(!guest.paused);
}
END_TEST

START_TEST(stopping)
{
	begin();
	command("stop", "\"grace\": \"1000s\"", NULL);
	state_is("stopping");
	ck_assert_uint_eq(guest.power_irq.raised, 1);
	command("pause", "", "pause: the guest is being stopped");
	command("reset", "", "reset: the guest is being stopped");
	command("resume", "", NULL);
	command("powerbutton", "", NULL);
	command("report", "", NULL);
	command("limits", "\"device\": \"disk0\", \"spec\": \"off\"", NULL);
	state_is("stopping");
	command("stop", "", NULL); /* a second time: at once */
	state_is("ending");
	ck_assert_int_eq(guest.status, END_STOPPED);
}
END_TEST

/* 0: stopped; 1: reset; 2: by itself. Only what looks is still answered. */
START_TEST(ending)
{
	begin();
	if (_i == 0)
		command("stop", "\"grace\": \"0\"", NULL);
	else if (_i == 1)
		command("reset", "", NULL);
	else
		guest_end(&guest, END_POWEROFF, "guest powered off");
	state_is("ending");
	for (unsigned i = 0; i < control_commands; i++) {
		const char *name = control_table[i].name;

		if (!strcmp(name, "status") || !strcmp(name, "report"))
			command(name, "", NULL);
		else
			command(name, "", !strcmp(name, "cgroup") ? "none of its own" : "the guest is at its end");
	}
	ck_assert_int_eq(guest.status, _i == 0 ? END_STOPPED : _i == 1 ? END_RESET : END_POWEROFF);
	ck_assert_uint_eq(guest.power_irq.raised, 0);
	ck_assert_uint_eq(limits.rates.bps, 1 << 20);
}
END_TEST

/* ---- clients ---- */

static struct server *server;

static char *answer(void *arg, const char *line, size_t len)
{
	return request_answer(control_table, control_commands, arg, line, len);
}

static char *refuse(void *arg, const char *why)
{
	return request_refuse(why);
}

static void serve(void)
{
	const struct server_ops ops = {.answer = answer, .refuse = refuse, .arg = &guest, .stall_ns = STALL_NS};

	begin();
	ck_assert_int_eq(server_create(&server, guest.loop, -1, &ops), 0);
}

static void settle(void)
{
	while (loop_step(guest.loop, true) > 0)
		;
}

static int join(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	server_add(server, pair[1]);
	return pair[0];
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What there is to read. */
static const char *heard(int fd)
{
	static char text[1 << 16];
	ssize_t n;

	settle();
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* As many as there may be, all at once, each with every command: as many answers, each client's own. */
START_TEST(parallel_clients)
{
	int fd[SERVER_CLIENTS], more;
	char line[96];

	serve();
	for (int i = 0; i < SERVER_CLIENTS; i++)
		fd[i] = join();
	more = join();
	ck_assert_ptr_nonnull(strstr(heard(more), "too many clients"));
	close(more);
	for (unsigned c = 0; c < control_commands; c++)
		for (int i = 0; i < SERVER_CLIENTS; i++) {
			const char *name = control_table[c].name;

			if (!strcmp(name, "stop") || !strcmp(name, "reset") || !strcmp(name, "report") || !strcmp(name, "halt-poll"))
				continue;
			snprintf(line, sizeof(line), "{\"command\": \"%s\", \"id\": \"%u of %d\"}\n", name, c, i);
			say(fd[i], line);
		}
	for (int i = 0; i < SERVER_CLIENTS; i++) {
		const char *p = heard(fd[i]);
		unsigned n = 0;

		for (const char *end; (end = strchr(p, '\n')); p = end + 1, n++) {
			snprintf(line, sizeof(line), " of %d\"}", i);
			ck_assert_msg(!strncmp(end - strlen(line), line, strlen(line)), "%.*s", (int)(end - p), p);
		}
		ck_assert_uint_eq(n, control_commands - 4);
	}
	state_is("running");
}
END_TEST

/* One who asks for much and takes nothing, one whose line never ends, one who leaves: the others have their answers. */
START_TEST(slow_and_rude_clients)
{
	static char much[SERVER_LINE * 2];
	int slow, rude, gone, good;

	serve();
	slow = join();
	rude = join();
	gone = join();
	good = join();
	say(slow, "{\"command\": \"report\"}\n{\"command\": \"report\"}\n{\"command\": \"pause\"}\n");
	memset(much, '{', sizeof(much) - 1);
	say(rude, much);
	say(gone, "{\"command\": \"report\"}\n{\"command\": \"pause\"}\n");
	close(gone);
	for (int i = 0; i < 10; i++) {
		say(good, "{\"command\": \"status\"}\n");
		ck_assert_ptr_nonnull(strstr(heard(good), "\"state\":\"running\""));
	}
	ck_assert_ptr_nonnull(strstr(heard(rude), "a line is longer than"));
	ck_assert_uint_eq(server_clients(server), 2);
	ck_assert_msg(reports <= 2, "the next one is made when the last one was taken");
	for (size_t took = 0; took < 2 * BIG;)
		took += strlen(heard(slow));
	heard(slow);
	state_is("paused");
	server_destroy(server);
	close(slow);
	close(rude);
	close(good);
}
END_TEST

UNIT_MAIN_TIMES("control commands", {arguments_of_every_command, 1}, {values, 1},
	{limits_of_a_device, 1}, {polling_of_an_iothread, 1}, {polling_of_a_stuck_iothread, 1},
	{place_of_a_thread, 1}, {paused, 1}, {stopping, 1}, {parallel_clients, 1},
	{slow_and_rude_clients, 1}, {ending, 3})
