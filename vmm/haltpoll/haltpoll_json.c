// SPDX-License-Identifier: Apache-2.0
/* Halt polling in the report; see haltpoll.h. Names in it are a promise to scripts. Main. */
#include <jansson.h>

#include "vmm/haltpoll/kernel.h"
#include "vmm/haltpoll/priv.h"

/* null: this kernel does not tell its own. */
static json_t *ceiling_json(const struct haltpoll *hp)
{
	uint64_t ns = hp->ceiling_ns;

	return hp->given || !kernel_haltpoll("", &ns) ? json_integer(ns) : json_null();
}

json_t *haltpoll_json(const struct haltpoll *hp)
{
	if (!hp)
		return json_null();
	return json_pack("{s:s, s:o, s:i}", "mode", haltpoll_mode_name(hp->spec.mode), "ceiling_ns", ceiling_json(hp),
		"decisions", 0);
}
