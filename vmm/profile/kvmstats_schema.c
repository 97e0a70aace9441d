// SPDX-License-Identifier: Apache-2.0
/* What a statistics file says of itself: header and descriptors, checked once; see kvmstats.h. Main only. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/profile/kvmstats.h"

/* Far above what any kernel has: what is beyond is no file of this kind. */
#define MAX_STATS    4096
#define MAX_NAME     1024
#define MAX_BLOCK    (1u << 20)
#define MAX_EXPONENT 64

static int read_exactly(int fd, void *buf, size_t size, uint32_t offset)
{
	ssize_t n = pread(fd, buf, size, offset);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EPROTO;
}

/* Names become keys of JSON and of other formats. */
static bool is_name(const char *name, size_t room)
{
	size_t len = strnlen(name, room);

	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return len && len < room;
}

/* A statistic from its descriptor. 1, 0: of a type not known here, -EPROTO. */
static int take(struct kvmstat *stat, const struct kvm_stats_desc *desc, const char *name, size_t room)
{
	uint32_t type = desc->flags & KVM_STATS_TYPE_MASK, unit = desc->flags & KVM_STATS_UNIT_MASK,
		 base = desc->flags & KVM_STATS_BASE_MASK;

	if (!is_name(name, room) || !desc->size || desc->offset % sizeof(uint64_t) ||
		desc->offset >= MAX_BLOCK || (MAX_BLOCK - desc->offset) / sizeof(uint64_t) < desc->size)
		return -EPROTO;
	if (type > KVM_STATS_TYPE_MAX || base > KVM_STATS_BASE_MAX)
		return 0;
	if (desc->exponent > MAX_EXPONENT || desc->exponent < -MAX_EXPONENT ||
		(type == KVM_STATS_TYPE_LINEAR_HIST && !desc->bucket_size))
		return -EPROTO;
	*stat = (struct kvmstat){
		.name = name,
		.first = desc->offset / sizeof(uint64_t),
		.bucket_size = type == KVM_STATS_TYPE_LINEAR_HIST ? desc->bucket_size : 0,
		.size = desc->size,
		.exponent = desc->exponent,
		.base = base == KVM_STATS_BASE_POW2 ? 2 : 10,
		.type = type,
		.unit = unit > KVM_STATS_UNIT_MAX ? KVM_STATS_UNIT_NONE : unit,
	};
	return 1;
}

static int take_all(struct kvmstats_schema *schema, const struct kvm_stats_header *head)
{
	size_t step = sizeof(struct kvm_stats_desc) + head->name_size;

	for (uint32_t i = 0; i < head->num_desc; i++) {
		const char *at = (const char *)schema->text + i * step;
		struct kvmstat *stat = &schema->stat[schema->n];
		struct kvm_stats_desc desc;
		int ret;

		memcpy(&desc, at, sizeof(desc)); /* names need not be whole words long */
		ret = take(stat, &desc, at + sizeof(desc), head->name_size);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		schema->n++;
		if (schema->values < stat->first + stat->size)
			schema->values = stat->first + stat->size;
	}
	return 0;
}

static int check_header(const struct kvm_stats_header *head)
{
	if (!head->name_size || head->name_size > MAX_NAME || head->num_desc > MAX_STATS)
		return -EPROTO;
	return head->desc_offset < sizeof(*head) || head->data_offset < sizeof(*head) ? -EPROTO : 0;
}

int kvmstats_schema_read(struct kvmstats_schema **out, int fd)
{
	struct kvmstats_schema *schema;
	struct kvm_stats_header head;
	int err = read_exactly(fd, &head, sizeof(head), 0);
	size_t size;

	*out = NULL;
	if (!err)
		err = check_header(&head);
	if (err)
		return err;
	schema = calloc(1, sizeof(*schema));
	if (!schema)
		return -ENOMEM;
	size = head.num_desc * (sizeof(struct kvm_stats_desc) + head.name_size);
	schema->data_offset = head.data_offset;
	schema->text = malloc(size + 1);
	schema->stat = calloc(head.num_desc + 1, sizeof(*schema->stat));
	err = schema->text && schema->stat ? read_exactly(fd, schema->text, size, head.desc_offset) : -ENOMEM;
	if (!err)
		err = take_all(schema, &head);
	if (err)
		kvmstats_schema_free(schema);
	else
		*out = schema;
	return err;
}

void kvmstats_schema_free(struct kvmstats_schema *schema)
{
	if (!schema)
		return;
	free(schema->stat);
	free(schema->text);
	free(schema);
}

const struct kvmstat *kvmstats_find(const struct kvmstats_schema *schema, const char *name)
{
	for (unsigned i = 0; schema && i < schema->n; i++)
		if (!strcmp(schema->stat[i].name, name))
			return &schema->stat[i];
	return NULL;
}
