// SPDX-License-Identifier: Apache-2.0
/* Keys that change while the guest runs; see live.h. Main. */
#include "vmm/control/live.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/options/values.h"

int live_wrong(struct live *live, const char *fmt, ...)
{
	struct control_call *call = live->call;
	int len = snprintf(call->why, sizeof(call->why), "%s %.32s: ", live->command, live->object);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(call->why + len, sizeof(call->why) - len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Which keys there are. */
static int unknown(struct live *live, const char *name)
{
	char list[128] = "";
	struct opt_key key;
	size_t len = 0;

	for (unsigned i = 0; opt_key_at(live->row, i, &key); i++)
		if (key.live && len < sizeof(list))
			len += snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", key.name);
	return live_wrong(live, "%.40s: there are %s, each =VALUE or =off, and off", name, list);
}

/* Key i of the row, "bps", to a value, or off: "bps-burst" goes with it. */
static int set_key(struct live *live, unsigned i, const struct opt_key *key, const char *value)
{
	struct opt_key next;
	char why[256];
	int err;

	if (live->given[i])
		return live_wrong(live, "%s is given twice", key->name);
	live->given[i] = true;
	if (strcmp(value, "off")) {
		err = opt_key_set(key, live->base, value, why, sizeof(why));
		return err ? live_wrong(live, "%s=%.40s: %s", key->name, value, why) : 0;
	}
	opt_key_default(key, live->base);
	if (opt_key_at(live->row, i + 1, &next) && next.rides && !live->given[i + 1])
		opt_key_default(&next, live->base);
	return 0;
}

static int set_item(struct live *live, char *item)
{
	char *value = strchr(item, '=');
	struct opt_key key;

	if (value)
		*value++ = '\0';
	for (unsigned i = 0; value && i < LIVE_KEYS - 1 && opt_key_at(live->row, i, &key); i++)
		if (key.live && !strcmp(key.name, item))
			return set_key(live, i, &key, value);
	return unknown(live, item);
}

static void all_off(struct live *live)
{
	struct opt_key key;

	for (unsigned i = 0; opt_key_at(live->row, i, &key); i++)
		if (key.live)
			opt_key_default(&key, live->base);
}

int live_take(struct live *live, const char *spec)
{
	char *copy, *rest;
	int err = 0;

	if (!strcmp(spec, "off")) {
		all_off(live);
		return 0;
	}
	rest = copy = strdup(spec);
	if (!copy) {
		live_wrong(live, "no memory");
		return -ENOMEM;
	}
	while (rest && !err) {
		char *item = value_item(&rest, true);

		err = item ? set_item(live, item) : unknown(live, spec);
	}
	free(copy);
	return err;
}
