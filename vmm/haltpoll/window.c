// SPDX-License-Identifier: Apache-2.0
/* How the window of --halt-poll vmm grows and shrinks; see window.h. Pure. */
#include "vmm/haltpoll/window.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t poll_window_for(const struct poll_window *window, const struct poll_rules *rules, uint64_t left_ns)
{
	uint64_t ns = least(window->ns, rules->max_ns);

	if (left_ns <= ns)
		return left_ns;
	return window->irqs ? ns : 0;
}

static uint64_t grown(uint64_t ns, const struct poll_rules *rules)
{
	uint64_t more = ns > rules->max_ns / rules->grow ? rules->max_ns : ns * rules->grow;

	return least(more < rules->grow_start_ns ? rules->grow_start_ns : more, rules->max_ns);
}

static uint64_t shrunk(uint64_t ns, const struct poll_rules *rules)
{
	ns /= rules->shrink;
	return ns < least(rules->grow_start_ns, rules->max_ns) ? 0 : ns;
}

void poll_window_move(struct poll_window *window, const struct poll_rules *rules, const struct poll_end *end)
{
	bool far = end->halt_ns > rules->max_ns, in_vain = end->polled_ns && end->waited_ns;

	if (!rules->max_ns) {
		*window = (struct poll_window){0};
		return;
	}
	window->ns = least(window->ns, rules->max_ns); /* which may be another one than before */
	if (!end->timer && !far)
		window->irqs = POLL_IRQS;
	else if (window->irqs)
		window->irqs--;
	if (end->cut || (far && (in_vain || window->far)))
		window->ns = shrunk(window->ns, rules);
	else if (!far && end->halt_ns > window->ns)
		window->ns = grown(window->ns, rules);
	window->far = far;
}
