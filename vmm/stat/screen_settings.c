// SPDX-License-Identifier: Apache-2.0
/*
 * The screen's part on what a guest's time is subject to: halt polling with its last decision, polling of iothreads, its
 * cgroup. Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/stat/screen.h"
#include "vmm/stat/text.h"

/* What a number of ns is called; "-": it is not known. */
static const char *time_at(const json_t *json, const char *path, char out[TEXT_NUMBER])
{
	double ns;

	return json_number_at(json, path, &ns) ? text_seconds(ns * 1e-9, out) : "-";
}

/* The newest is the last. */
static void decision(const json_t *doc, FILE *out, unsigned width)
{
	const json_t *recent = json_at(doc, "halt_poll.auto.recent");
	const json_t *last = json_array_get(recent, json_array_size(recent) - 1);
	char window[TEXT_NUMBER], expected[TEXT_NUMBER], realised[TEXT_NUMBER], without[TEXT_NUMBER];
	char halts[TEXT_NUMBER] = "-", text[400];
	const char *why = json_text_at(last, "why");
	double n = 0, polled = 0;

	if (!json_array_size(recent))
		return;
	if (json_number_at(last, "halts", &n))
		text_count(n, halts);
	json_number_at(last, "polled", &polled);
	snprintf(text, sizeof(text),
		"  %s halts in %s, %.1f %% of it polled; a halt cost %s, expected now %s, without polls %s: "
		"%.120s",
		halts, time_at(last, "window_ns", window), 100 * polled,
		time_at(last, "realised_ns", realised), time_at(last, "expected_ns", expected),
		time_at(last, "without_ns", without), why ? why : "-");
	screen_line(text, out, width);
}

/* Of --halt-poll vmm, all vCPUs together, in the interval. */
static void vmm(const json_t *doc, FILE *out, unsigned width)
{
	const json_t *vcpus = json_object_get(doc, "vcpus"), *vcpu;
	double sum[3] = {0}, shortest = 0, longest = 0, n;
	static const char *const path[] = {"rates.halt_polls", "rates.halt_hits", "rates.halt_polled_seconds"};
	char polls[TEXT_NUMBER], least[TEXT_NUMBER], most[TEXT_NUMBER], text[200];
	size_t i;

	json_array_foreach(vcpus, i, vcpu)
	{
		for (unsigned k = 0; k < 3; k++)
			sum[k] += json_number_at(vcpu, path[k], &n) ? n : 0;
		if (!json_number_at(vcpu, "halt_poll.window_ns", &n))
			return;
		shortest = !i || n < shortest ? n : shortest;
		longest = n > longest ? n : longest;
	}
	if (sum[0] <= 0 && longest <= 0)
		return;
	snprintf(text, sizeof(text), "  %s halts/s polled, %.0f %% ended so, %.0f %% of a CPU; windows now %s to %s",
		text_count(sum[0], polls), sum[0] > 0 ? 100 * sum[1] / sum[0] : 0, 100 * sum[2],
		text_seconds(shortest * 1e-9, least), text_seconds(longest * 1e-9, most));
	screen_line(text, out, width);
}

/* CPU seconds a second that KVM polled for a vCPU; false: this kernel does not time it. */
static bool kvm_polled(const json_t *vcpu, double *out)
{
	static const char *const path[][2] = {
		{"rates.halt_poll_success_seconds_count", "mean.halt_poll_success_seconds"},
		{"rates.halt_poll_fail_seconds_count", "mean.halt_poll_fail_seconds"}};
	double n, mean;
	bool found = false;

	*out = 0;
	for (unsigned k = 0; k < 2; k++) {
		if (!json_number_at(vcpu, path[k][0], &n))
			continue;
		found = true;
		*out += json_number_at(vcpu, path[k][1], &mean) ? n * mean : 0; /* no mean: there was none */
	}
	return found;
}

/* Of vCPUs that halt in KVM, all together, by its statistics. */
static void kvm(const json_t *doc, FILE *out, unsigned width)
{
	const json_t *vcpus = json_object_get(doc, "vcpus"), *vcpu;
	double polls = 0, hits = 0, polled = 0, n;
	char rate[TEXT_NUMBER], text[120];
	bool timed = false;
	size_t i, len;

	json_array_foreach(vcpus, i, vcpu)
	{
		polls += json_number_at(vcpu, "rates.kvm_events.halt_attempted_poll", &n) ? n : 0;
		hits += json_number_at(vcpu, "rates.kvm_events.halt_successful_poll", &n) ? n : 0;
		timed |= kvm_polled(vcpu, &n);
		polled += n;
	}
	if (polls <= 0)
		return;
	len = snprintf(text, sizeof(text), "  %s halts/s polled, %.0f %% ended so", text_count(polls, rate), 100 * hits / polls);
	if (timed)
		snprintf(text + len, sizeof(text) - len, ", %.0f %% of a CPU", 100 * polled);
	screen_line(text, out, width);
}

static void halt_poll(const json_t *doc, FILE *out, unsigned width)
{
	const char *mode = json_text_at(doc, "halt_poll.mode"),
		   *stopped = json_text_at(doc, "halt_poll.auto.stopped");
	double decisions = 0, polls = 0, ceiling;
	char most[TEXT_NUMBER], text[320];
	size_t len;

	if (!mode)
		return;
	json_number_at(doc, "halt_poll.decisions", &decisions);
	json_number_at(doc, "halt_poll.guest_polls", &polls);
	if (json_number_at(doc, "halt_poll.ceiling_ns", &ceiling) && ceiling == 0)
		len = snprintf(text, sizeof(text), "halt polling: %s",
			strcmp(mode, "auto") ? "off" : "auto, off at the moment");
	else
		len = snprintf(text, sizeof(text), "halt polling: %.20s, at most %s", mode,
			time_at(doc, "halt_poll.ceiling_ns", most));
	if (decisions > 0)
		len += snprintf(text + len, sizeof(text) - len, ", decisions: %.0f", decisions);
	if (polls > 0)
		len += snprintf(text + len, sizeof(text) - len, "; the guest polls by itself");
	if (stopped)
		snprintf(text + len, sizeof(text) - len, "; stopped: %.120s", stopped);
	screen_line(text, out, width);
	decision(doc, out, width);
	kvm(doc, out, width);
	vmm(doc, out, width);
}

/* Those that poll now; of one that did once there are its counts elsewhere. */
static void loop_polls(const json_t *doc, FILE *out, unsigned width)
{
	char text[320], most[TEXT_NUMBER], rate[TEXT_NUMBER];
	const char *name;
	json_t *thread;
	size_t i, len;

	json_array_foreach(json_object_get(doc, "threads"), i, thread)
	{
		double max = 0, weight = 0, polls = 0, hits = 0, polled = 0;

		if (!json_number_at(thread, "poll.max_ns", &max) || max <= 0)
			continue;
		name = json_text_at(thread, "name");
		json_number_at(thread, "poll.weight", &weight);
		len = snprintf(text, sizeof(text), "%.60s polls for at most %s before it sleeps, weight %.0f", name ? name : "-",
			text_seconds(max * 1e-9, most), weight);
		json_number_at(thread, "rates.loop_poll_hits", &hits);
		json_number_at(thread, "rates.loop_polled_seconds", &polled);
		if (json_number_at(thread, "rates.loop_polls", &polls))
			snprintf(text + len, sizeof(text) - len, ": %s/s, %.0f %% found something, %.0f %% of a CPU",
				text_count(polls, rate), polls > 0 ? 100 * hits / polls : 0, 100 * polled);
		screen_line(text, out, width);
	}
}

static void cgroup(const json_t *doc, FILE *out, unsigned width)
{
	const char *path = json_text_at(doc, "cgroup.path"), *max = json_text_at(doc, "cgroup.max");
	double weight, rate;
	char text[512];
	size_t len;

	if (!path)
		return;
	len = snprintf(text, sizeof(text), "cgroup %.300s", path);
	if (json_number_at(doc, "cgroup.weight", &weight))
		len += snprintf(text + len, sizeof(text) - len, ", weight %.0f", weight);
	if (max)
		len += snprintf(text + len, sizeof(text) - len, ", max %.40s", max);
	if (json_number_at(doc, "rates.cgroup_cpu_seconds", &rate))
		len += snprintf(text + len, sizeof(text) - len, ": %.0f %% of a CPU used", 100 * rate);
	if (json_number_at(doc, "rates.cgroup_throttled_seconds", &rate))
		snprintf(text + len, sizeof(text) - len, ", %.0f %% throttled", 100 * rate);
	screen_line(text, out, width);
}

void screen_settings(const json_t *doc, FILE *out, unsigned width)
{
	halt_poll(doc, out, width);
	loop_polls(doc, out, width);
	cgroup(doc, out, width);
}
