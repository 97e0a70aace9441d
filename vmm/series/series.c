// SPDX-License-Identifier: Apache-2.0
/* The time series of a run; see series.h. Main only. */
#include "vmm/series/series.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/guest.h"
#include "vmm/log.h"
#include "vmm/series/sink.h"
#include "vmm/util.h"

struct series {
	struct guest *guest;
	struct sink sink;
	struct loop_timer timer;
	uint64_t due; /* CLOCK_MONOTONIC */
};

static int write_line(struct series *series)
{
	json_t *json = series_json(series->guest, series->sink.lost);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
	size_t len = text ? strlen(text) : 0;
	int err;

	json_decref(json);
	if (!text) {
		series->sink.lost++;
		return -ENOMEM;
	}
	text[len++] = '\n'; /* where its end was */
	err = sink_line(&series->sink, text, len);
	free(text);
	return err;
}

/* At times that do not drift; those that were missed stay so. */
static void set_timer(struct series *series)
{
	uint64_t interval = series->guest->cfg->stats.interval_ns, now = now_ns();

	series->due += interval;
	if (series->due <= now)
		series->due += (now - series->due) / interval * interval + interval;
	loop_timer_set(series->guest->loop, &series->timer, series->due - now);
}

static void tick(struct loop_timer *timer)
{
	struct series *series = container_of(timer, struct series, timer);

	write_line(series);
	set_timer(series);
}

int series_open(struct series **out, struct guest *guest)
{
	const struct series_config *cfg = &guest->cfg->stats;
	struct series *series;
	int err;

	*out = NULL;
	if (!cfg->path)
		return 0;
	series = calloc(1, sizeof(*series));
	if (!series)
		return log_errno(-ENOMEM, "--stats %s", cfg->path);
	series->guest = guest;
	series->timer.fn = tick;
	err = sink_open(&series->sink, cfg->path, cfg->max);
	if (err) {
		free(series);
		return err;
	}
	*out = series;
	return 0;
}

int series_begin(struct series *series)
{
	int err;

	if (!series)
		return 0;
	err = sink_begin(&series->sink);
	if (err)
		return err;
	series->due = now_ns();
	write_line(series);
	set_timer(series);
	return 0;
}

int series_end(struct series *series)
{
	if (!series)
		return 0;
	loop_timer_cancel(series->guest->loop, &series->timer);
	return write_line(series);
}

void series_close(struct series *series)
{
	if (!series)
		return;
	loop_timer_cancel(series->guest->loop, &series->timer);
	sink_close(&series->sink);
	free(series);
}
