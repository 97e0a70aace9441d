// SPDX-License-Identifier: Apache-2.0
/*
 * What the tracer reads: up to the first byte 0 a format file's text, then what is in a ring, from its second
 * byte on at the place in it that the first one says. Fields are where the text puts them. Beyond "no crash":
 * rows are within their tables, each record was counted or found wanting, and the ring is empty in the end.
 */
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "vmm/trace/priv.h"

#define RING 4096

#define must(what)               \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

static struct trace_formats formats;
static struct trace_vcpu vcpu;
static struct trace_account account;

/* The text's fields for each event that has fields, ids by number; so every event has records. */
static void read_formats(const char *text)
{
	memset(&formats, 0, sizeof(formats));
	for (enum trace_event e = 0; e < TRACE_EVENTS; e++) {
		struct trace_format *format = &formats.event[e];
		bool good = true;

		trace_format_parse(text, trace_kinds[e].field, format);
		for (unsigned i = 0; i < TRACE_FIELDS; i++) {
			must(!format->field[i].size || format->field[i].offset <= 4096);
			good = good && (!(trace_kinds[e].needed & 1 << i) || format->field[i].size);
		}
		format->id = good ? e + 1 : 0;
	}
	formats.isa = text[0] & 3;
}

static void read_ring(const uint8_t *data, size_t size, unsigned at)
{
	struct perf_event_mmap_page *page = calloc(1, sizeof(*page));
	uint8_t *bytes = malloc(RING); /* with nothing behind it */
	struct trace_ring ring = {.page = page, .data = bytes, .size = RING};

	must(page && bytes);
	memset(bytes, 0, RING);
	for (size_t i = 0; i < size; i++)
		bytes[(at + i) % RING] = data[i];
	page->data_tail = at;
	page->data_head = at + size;
	trace_ring_drain(&ring, &account);
	must(page->data_tail == page->data_head);
	free(bytes);
	free(page);
}

static void judge(void)
{
	uint64_t records = 0, rows = vcpu.crowded;

	must(vcpu.reasons <= TRACE_REASONS && vcpu.reached <= TRACE_REACHED && vcpu.causes <= TRACE_CAUSES);
	for (unsigned i = 0; i < vcpu.reasons; i++) {
		must(vcpu.reason[i].exits.n && vcpu.reason[i].timed <= vcpu.reason[i].exits.n);
		rows += vcpu.reason[i].exits.n;
	}
	for (unsigned i = 0; i < vcpu.reached; i++)
		rows += vcpu.reach[i].n.n;
	for (unsigned i = 0; i < vcpu.causes; i++) {
		must(vcpu.cause[i].ended <= vcpu.cause[i].hits.n);
		must(memchr(vcpu.cause[i].name, 0, TRACE_NAME));
		rows += vcpu.cause[i].hits.n;
	}
	for (enum trace_event e = 0; e < TRACE_EVENTS; e++)
		records += account.records[e];
	must(rows <= records && account.reason < TRACE_REASONS && account.hit < TRACE_CAUSES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	char *text;

	if (!end || size > 2 * RING)
		return 0;
	text = strdup((const char *)data);
	must(text);
	memset(&vcpu, 0, sizeof(vcpu));
	read_formats(text);
	trace_account_begin(&account, &vcpu, &formats);
	size -= end + 1 - data;
	if (size > 1)
		read_ring(end + 2, size - 1 < RING ? size - 1 : RING, end[1] * 16);
	judge();
	free(text);
	return 0;
}
