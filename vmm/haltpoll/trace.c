// SPDX-License-Identifier: Apache-2.0
/* Traces of the controller, written and replayed; see trace.h. */
#include "vmm/haltpoll/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VCPUS 4096
#define MAX_NS	  UINT32_MAX /* of what a host or a limit has: KVM takes no more */

void halt_trace_begin(FILE *out, const struct halt_state *state)
{
	const struct halt_limits *limits = &state->limits;
	const struct halt_host *host = &state->host;

	fprintf(out,
		"host grow_start_ns=%" PRIu64 " grow=%u shrink=%u block_ns=%" PRIu64 " wake_ns=%" PRIu64 "\n",
		host->grow_start_ns, host->grow, host->shrink, host->block_ns, host->wake_ns);
	fprintf(out, "limits max_ns=%" PRIu64 " budget=%u weight=%u debt_ns=%.0f\n", limits->max_ns,
		limits->budget, limits->weight, state->debt_ns);
}

static void write_hist(FILE *out, const char *name, const uint64_t hist[HALT_BUCKETS])
{
	const char *sep = "";

	fprintf(out, " %s=", name);
	for (unsigned i = 0; i < HALT_BUCKETS; i++)
		if (hist[i]) {
			fprintf(out, "%s%u:%" PRIu64, sep, i, hist[i]);
			sep = ",";
		}
}

void halt_trace_step(FILE *out, const struct halt_input *in, const struct halt_decision *d)
{
	fprintf(out, "window wall_ns=%" PRIu64 " guest_polls=%d vcpus=%u\n", in->wall_ns, in->guest_polls,
		in->n);
	for (unsigned i = 0; i < in->n; i++) {
		const struct halt_window *w = &in->vcpu[i];

		fprintf(out,
			"vcpu success_ns=%" PRIu64 " fail_ns=%" PRIu64 " wait_ns=%" PRIu64 " run_ns=%" PRIu64
			" delay_ns=%" PRIu64 " slices=%" PRIu64,
			w->success_ns, w->fail_ns, w->wait_ns, w->run_ns, w->delay_ns, w->slices);
		write_hist(out, "success", w->success);
		write_hist(out, "fail", w->fail);
		write_hist(out, "wait", w->wait);
		fputc('\n', out);
	}
	fprintf(out,
		"decision ceiling_ns=%" PRIu64
		" reason=%s halts=%.0f expected_ns=%.0f realised_ns=%.0f polled=%.4f\n",
		d->ceiling_ns, halt_reason_name(d->reason), d->halts, d->expected_ns, d->realised_ns,
		d->polled);
}

/* ---- replay ---- */

struct reader {
	FILE *in;
	char *text;
	size_t room;
	struct halt_state state;
	struct halt_host host;
	struct halt_input input;
	struct halt_window *vcpu;
	unsigned got; /* of its vCPUs */
	bool begun;
};

static int read_hist(const char *line, const char *name, uint64_t hist[HALT_BUCKETS])
{
	char key[16], *end;
	const char *p;

	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(line, key);
	if (!p)
		return -EINVAL;
	for (p += strlen(key); *p && *p != ' ' && *p != '\n'; p = *end == ',' ? end + 1 : end) {
		unsigned long bucket = strtoul(p, &end, 10);

		if (end == p || *end != ':' || bucket >= HALT_BUCKETS)
			return -EINVAL;
		p = end + 1;
		hist[bucket] = strtoull(p, &end, 10);
		if (end == p)
			return -EINVAL;
	}
	return 0;
}

static int read_vcpu(struct reader *r)
{
	struct halt_window *w = &r->vcpu[r->got];
	int err;

	if (r->got >= r->input.n)
		return -EINVAL;
	memset(w, 0, sizeof(*w));
	if (sscanf(r->text,
		    "vcpu success_ns=%" SCNu64 " fail_ns=%" SCNu64 " wait_ns=%" SCNu64 " run_ns=%" SCNu64
		    " delay_ns=%" SCNu64 " slices=%" SCNu64,
		    &w->success_ns, &w->fail_ns, &w->wait_ns, &w->run_ns, &w->delay_ns, &w->slices) != 6)
		return -EINVAL;
	err = read_hist(r->text, "success", w->success);
	if (!err)
		err = read_hist(r->text, "fail", w->fail);
	if (!err)
		err = read_hist(r->text, "wait", w->wait);
	r->got++;
	return err;
}

static int read_window(struct reader *r)
{
	struct halt_window *grown;
	int guest_polls;

	if (!r->begun || sscanf(r->text, "window wall_ns=%" SCNu64 " guest_polls=%d vcpus=%u",
				 &r->input.wall_ns, &guest_polls, &r->input.n) != 3)
		return -EINVAL;
	if (!r->input.n || r->input.n > MAX_VCPUS)
		return -EINVAL;
	r->input.guest_polls = guest_polls;
	grown = reallocarray(r->vcpu, r->input.n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	r->input.vcpu = r->vcpu = grown;
	r->got = 0;
	return 0;
}

static int read_decision(struct reader *r, struct halt_replay *replay)
{
	struct halt_decision d;
	uint64_t ceiling;
	char reason[16];

	if (!r->input.n || r->got != r->input.n ||
		sscanf(r->text, "decision ceiling_ns=%" SCNu64 " reason=%15s", &ceiling, reason) != 2)
		return -EINVAL;
	d = halt_decide(&r->state, &r->input);
	r->input.n = 0;
	replay->decisions++;
	if (d.ceiling_ns == ceiling && !strcmp(reason, halt_reason_name(d.reason)))
		return 0;
	if (!replay->differ++)
		replay->first = replay->line;
	return 0;
}

static int read_limits(struct reader *r)
{
	struct halt_limits limits;
	uint64_t debt_ns = 0;

	if (sscanf(r->text, "limits max_ns=%" SCNu64 " budget=%u weight=%u debt_ns=%" SCNu64, &limits.max_ns,
		    &limits.budget, &limits.weight, &debt_ns) < 3 ||
		!r->host.grow_start_ns || limits.max_ns > MAX_NS)
		return -EINVAL;
	halt_state_init(&r->state, &r->host, &limits);
	r->state.debt_ns = debt_ns;
	r->begun = true;
	return 0;
}

static int read_host(struct reader *r)
{
	struct halt_host *h = &r->host;

	r->begun = false;
	if (sscanf(r->text,
		    "host grow_start_ns=%" SCNu64 " grow=%u shrink=%u block_ns=%" SCNu64 " wake_ns=%" SCNu64,
		    &h->grow_start_ns, &h->grow, &h->shrink, &h->block_ns, &h->wake_ns) != 5)
		return -EINVAL;
	return h->grow_start_ns > MAX_NS || h->block_ns > MAX_NS || h->wake_ns > MAX_NS ? -EINVAL : 0;
}

static int read_line(struct reader *r, struct halt_replay *replay)
{
	if (*r->text == '#' || *r->text == '\n')
		return 0;
	if (!strncmp(r->text, "host ", 5))
		return read_host(r);
	if (!strncmp(r->text, "limits ", 7))
		return read_limits(r);
	if (!strncmp(r->text, "window ", 7))
		return read_window(r);
	if (!strncmp(r->text, "vcpu ", 5))
		return read_vcpu(r);
	return strncmp(r->text, "decision ", 9) ? -EINVAL : read_decision(r, replay);
}

int halt_trace_replay(FILE *in, struct halt_replay *replay)
{
	struct reader r = {.in = in};
	int err = 0;

	memset(replay, 0, sizeof(*replay));
	while (!err && getline(&r.text, &r.room, in) > 0) {
		replay->line++;
		err = read_line(&r, replay);
	}
	free(r.text);
	free(r.vcpu);
	return err;
}
