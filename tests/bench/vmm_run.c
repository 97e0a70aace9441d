// SPDX-License-Identifier: Apache-2.0
/*
 * Run a VMM and look at it from outside: when its guest's first line came, how long it ran, how much the guest wrote.
 *
 *   vmm_run [-m WORD] [-t SECONDS] [-o FILE] [-x COMMAND] -- VMM [ARGS...]
 *
 * The VMM's standard output is the guest's serial port. -m: the word to wait for (bench-init); -t: time limit (60);
 * -o: a copy of the serial output; -x: a shell command to run once the word was seen, with VMM_PID set, after which
 * the VMM is ended. Prints one line: exec_ns (CLOCK_MONOTONIC), word_ns and end_ns (both after exec; 0: never),
 * status (as a shell has it), serial (bytes).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct run {
	const char *word, *copy, *command;
	unsigned limit;
	pid_t pid;
	int out, copy_fd;
	uint64_t start, seen, bytes;
	size_t matched; /* of the word, so far: it may come in pieces */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int start(struct run *r, char **argv)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	r->start = now_ns();
	r->pid = fork();
	if (r->pid < 0)
		return -errno;
	if (!r->pid) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, 0);
		dup2(fd[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	r->out = fd[0];
	return 0;
}

/* The words used hold their first letter once, so a mismatch can only restart at the beginning. */
static void look(struct run *r, const char *text, size_t len)
{
	for (size_t i = 0; i < len && !r->seen; i++) {
		if (text[i] == r->word[r->matched])
			r->matched++;
		else
			r->matched = text[i] == r->word[0];
		if (!r->word[r->matched])
			r->seen = now_ns();
	}
}

static void run_command(struct run *r)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", (int)r->pid);
	setenv("VMM_PID", text, 1);
	if (system(r->command) != 0)
		fprintf(stderr, "vmm_run: %s: failed\n", r->command);
	kill(r->pid, SIGKILL);
}

/* Until the VMM closes its end, or the time is over. */
static void watch(struct run *r)
{
	uint64_t end = r->start + r->limit * 1000000000ULL, now;
	struct pollfd p = {.fd = r->out, .events = POLLIN};
	char text[4096];
	ssize_t n;

	while ((now = now_ns()) < end) {
		if (poll(&p, 1, (end - now) / 1000000 + 1) <= 0)
			continue;
		n = read(r->out, text, sizeof(text));
		if (n <= 0)
			return;
		r->bytes += n;
		if (r->copy_fd >= 0 && write(r->copy_fd, text, n) != n)
			perror("vmm_run: copy");
		if (!r->seen) {
			look(r, text, n);
			if (r->seen && r->command)
				run_command(r);
		}
	}
	fprintf(stderr, "vmm_run: time limit of %u s reached\n", r->limit);
	kill(r->pid, SIGKILL);
}

int main(int argc, char **argv)
{
	struct run r = {.word = "bench-init", .limit = 60, .copy_fd = -1};
	int opt, status, err;

	while ((opt = getopt(argc, argv, "+m:t:o:x:")) != -1) {
		switch (opt) {
		case 'm': r.word = optarg; break;
		case 't': r.limit = atoi(optarg); break;
		case 'o': r.copy = optarg; break;
		case 'x': r.command = optarg; break;
		default: return 2;
		}
	}
	if (optind == argc)
		return 2;
	if (r.copy)
		r.copy_fd = open(r.copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	err = start(&r, argv + optind);
	if (err) {
		fprintf(stderr, "vmm_run: %s: %s\n", argv[optind], strerror(-err));
		return 1;
	}
	watch(&r);
	waitpid(r.pid, &status, 0);
	printf("exec_ns %llu word_ns %llu end_ns %llu status %d serial %llu\n", (unsigned long long)r.start,
		r.seen ? (unsigned long long)(r.seen - r.start) : 0ULL, (unsigned long long)(now_ns() - r.start),
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), (unsigned long long)r.bytes);
	return 0;
}
