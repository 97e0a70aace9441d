// SPDX-License-Identifier: Apache-2.0
/* What two documents of a guest tell together; see document.h. Pure. One thread. */
#include <string.h>

#include "vmm/stat/document.h"
#include "vmm/stat/metrics.h"
#include "vmm/stat/text.h"

/* A member of object[group], or of object[group][name] where the metric has a label. */
static void set(const struct sample *s, const char *group, const char *suffix, double value)
{
	json_t *object = s->subject->now, *at = json_object_get(object, group), *inner;
	char name[METRIC_NAME + 8], base[METRIC_NAME];

	snprintf(name, sizeof(name), "%s%s", metric_name(s->m, base), suffix);
	if (!json_is_object(at)) {
		at = json_object();
		json_object_set_new(object, group, at);
	}
	if (!s->member) {
		json_object_set_new(at, name, json_real(value));
		return;
	}
	inner = json_object_get(at, name);
	if (!json_is_object(inner)) {
		inner = json_object();
		json_object_set_new(at, name, inner);
	}
	json_object_set_new(inner, s->member, json_real(value));
}

static void quantile(const struct sample *s, const char *group, double q)
{
	double value = histogram_quantile(&s->lately, q);

	if (value < 1e6) /* JSON has no infinity */
		set(s, group, "", value);
}

static void rate(void *arg, const struct sample *s)
{
	uint64_t n;

	if (!s->has_rate)
		return;
	if (s->m->type == COUNTER) {
		set(s, "rates", "", s->rate);
		return;
	}
	n = histogram_count(&s->lately);
	set(s, "rates", "_count", n / s->interval_s);
	if (!n)
		return;
	if (s->lately.sum_s >= 0)
		set(s, "mean", "", s->lately.sum_s / n);
	quantile(s, "p50", 0.50);
	quantile(s, "p99", 0.99);
}

/* ---- where a thread's time went ---- */

/* How much a number grew in the interval; false: not known. */
static bool grew(const struct subject *s, const char *path, double *out)
{
	double now, before;

	if (!json_number_at(s->now, path, &now) || !json_number_at(s->before, path, &before) || now < before)
		return false;
	*out = now - before;
	return true;
}

static double within(double value, double most)
{
	return value < 0 ? 0 : value > most ? most : value;
}

static void share(json_t *time, const char *name, double ns, double all_ns)
{
	json_object_set_new(time, name, json_real(within(100 * ns / all_ns, 100)));
}

/*
 * Of the time on a CPU, what was the guest's and what was user code's. Kinds of CPU time come in ticks (of 10
 * ms, mostly): their proportion is taken, over the thread's life where the interval has no tick of it.
 */
static void split_cpu(const struct subject *s, double run, double *guest, double *user)
{
	double g, u, k;

	*guest = *user = 0;
	if (!grew(s, "task.guest_ns", &g) || !grew(s, "task.user_ns", &u) || !grew(s, "task.kernel_ns", &k))
		return;
	if (g + u + k <= 0) {
		json_number_at(s->now, "task.guest_ns", &g);
		json_number_at(s->now, "task.user_ns", &u);
		json_number_at(s->now, "task.kernel_ns", &k);
	}
	if (g + u + k <= 0)
		return;
	*guest = run * g / (g + u + k);
	*user = run * u / (g + u + k);
}

/* Time KVM polled for a halted vCPU: it was on a CPU, in the kernel, and yet idle. */
static double polled(const struct subject *s, double most)
{
	double success, fail;

	if (!grew(s, "kvm_stats.halt_poll_success_ns", &success) ||
		!grew(s, "kvm_stats.halt_poll_fail_ns", &fail))
		return 0;
	return within(success + fail, most);
}

/* The vCPU's thread did, in pinvm. */
static double polled_here(const struct subject *s, double most)
{
	double ns;

	return grew(s, "halt_poll.polled_ns", &ns) ? within(ns, most) : 0;
}

/* man page: TIME */
static void vcpu_time(const struct subject *s, json_t *time, double all, double run, double delay)
{
	double guest, vmm, poll, here;

	split_cpu(s, run, &guest, &vmm);
	here = polled_here(s, run - guest);
	poll = here + polled(s, run - guest - here);
	if (grew(s, "profile.times.vmm_ns", &vmm) || here > 0)
		vmm = within(vmm - here, run - guest - poll);
	share(time, "guest", guest, all);
	share(time, "kernel", within(run - guest - vmm - poll, all), all);
	share(time, "vmm", vmm, all);
	share(time, "halt", all - run - delay + poll, all);
	share(time, "steal", delay, all);
}

static void times(const struct subject *s)
{
	double all, run, delay;
	json_t *time;

	if (s->scope != OF_VCPU && s->scope != OF_THREAD)
		return;
	if (!grew(s, "task.at_s", &all) || all <= 0 || !grew(s, "task.run_ns", &run) ||
		!grew(s, "task.run_delay_ns", &delay))
		return;
	all *= 1e9;
	run = within(run, all);
	delay = within(delay, all - run);
	time = json_object();
	if (s->scope == OF_VCPU)
		vcpu_time(s, time, all, run, delay);
	else
		share(time, "steal", delay, all);
	share(time, "cpu", run, all);
	json_object_set_new(s->now, "time", time);
}

void document_rates(struct subjects *subjects)
{
	double now, before;

	if (json_number_at(subjects->now, "duration_s", &now) &&
		json_number_at(subjects->before, "duration_s", &before))
		json_object_set_new(subjects->now, "interval_s", json_real(now - before));
	for (unsigned i = 0; i < subjects->n; i++)
		times(&subjects->subject[i]);
	for (unsigned i = 0; i < metrics; i++)
		metric_walk(&metric_table[i], subjects, rate, NULL);
}
