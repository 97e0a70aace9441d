// SPDX-License-Identifier: Apache-2.0
/*
 * The ring that the kernel fills with records (perf_event_open(2), "MMAP layout"). The kernel writes data and
 * then data_head; we read both, and give room back by data_tail. A record is copied out before it is looked
 * at, because it may wrap around. One thread.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>

#include "vmm/trace/priv.h"

/* As our events ask for: PERF_SAMPLE_TIME, PERF_SAMPLE_RAW. */
struct sample_head {
	struct perf_event_header header;
	uint64_t time_ns;
	uint32_t raw_size;
} __attribute__((packed));

struct lost_body {
	struct perf_event_header header;
	uint64_t id, lost;
};

enum trace_record trace_record_parse(const uint8_t *record, size_t size, struct trace_sample *sample)
{
	struct perf_event_header header;
	struct sample_head head;
	struct lost_body lost;

	memset(sample, 0, sizeof(*sample));
	if (size < sizeof(header))
		return TRACE_RECORD_MALFORMED;
	memcpy(&header, record, sizeof(header));
	if (header.type == PERF_RECORD_LOST) {
		if (size < sizeof(lost))
			return TRACE_RECORD_MALFORMED;
		memcpy(&lost, record, sizeof(lost));
		sample->lost = lost.lost;
		return TRACE_RECORD_LOST;
	}
	if (header.type != PERF_RECORD_SAMPLE)
		return TRACE_RECORD_OTHER;
	if (size < sizeof(head))
		return TRACE_RECORD_MALFORMED;
	memcpy(&head, record, sizeof(head));
	if (head.raw_size > size - sizeof(head))
		return TRACE_RECORD_MALFORMED;
	sample->time_ns = head.time_ns;
	sample->raw = record + sizeof(head);
	sample->len = head.raw_size;
	return TRACE_RECORD_SAMPLE;
}

static void copy_out(const struct trace_ring *ring, uint64_t at, void *out, size_t n)
{
	size_t from = at & (ring->size - 1), first = ring->size - from < n ? ring->size - from : n;

	memcpy(out, ring->data + from, first);
	memcpy((uint8_t *)out + first, ring->data, n - first);
}

static void take(struct trace_account *account, const uint8_t *record, size_t size)
{
	struct trace_sample sample;
	bool good = true;

	switch (trace_record_parse(record, size, &sample)) {
	case TRACE_RECORD_SAMPLE:
		good = trace_account_sample(account, &sample);
		break;
	case TRACE_RECORD_LOST:
		account->ring_lost += sample.lost;
		trace_account_gap(account);
		break;
	case TRACE_RECORD_OTHER:
		break;
	case TRACE_RECORD_MALFORMED:
		good = false;
		break;
	}
	account->vcpu->malformed += !good;
}

int trace_ring_drain(struct trace_ring *ring, struct trace_account *account)
{
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE),
		 tail = ring->page->data_tail;
	uint8_t record[TRACE_RECORD_MAX];
	struct perf_event_header header;
	int err = 0;

	while (head != tail && !err) {
		copy_out(ring, tail, &header, sizeof(header));
		if (head - tail > ring->size || header.size < sizeof(header) || header.size > head - tail) {
			account->vcpu->malformed++;
			trace_account_gap(account);
			tail = head;
			err = -EPROTO;
		} else if (header.size > sizeof(record)) {
			account->vcpu->malformed++;
			tail += header.size;
		} else {
			copy_out(ring, tail, record, header.size);
			take(account, record, header.size);
			tail += header.size;
		}
	}
	__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
	return err;
}
