// SPDX-License-Identifier: Apache-2.0
/* KVM's statistics for the report; see kvmstats.h. Main only. */
#include <jansson.h>
#include <linux/kvm.h>

#include "vmm/profile/kvmstats.h"

static json_t *value_json(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *stat_json(const struct kvmstats *stats, unsigned file, const struct kvmstat *stat)
{
	json_t *list;

	if (stat->size == 1 && stat->type <= KVM_STATS_TYPE_PEAK)
		return value_json(kvmstats_total(stats, file, stat, 0));
	list = json_array();
	for (unsigned i = 0; i < stat->size; i++)
		json_array_append_new(list, value_json(kvmstats_total(stats, file, stat, i)));
	return list;
}

json_t *kvmstats_json(struct kvmstats *stats, unsigned file)
{
	const struct kvmstats_schema *schema;
	json_t *object;

	if (!stats || kvmstats_read(stats, file))
		return json_null();
	schema = *kvmstats_schema_of(stats, file);
	object = json_object();
	for (unsigned i = 0; i < schema->n; i++)
		json_object_set_new(object, schema->stat[i].name, stat_json(stats, file, &schema->stat[i]));
	return object;
}

static const char *const types[] = {
	[KVM_STATS_TYPE_CUMULATIVE] = "cumulative",
	[KVM_STATS_TYPE_INSTANT] = "instant",
	[KVM_STATS_TYPE_PEAK] = "peak",
	[KVM_STATS_TYPE_LINEAR_HIST] = "linear_hist",
	[KVM_STATS_TYPE_LOG_HIST] = "log_hist",
};

static const char *unit_name(const struct kvmstat *stat)
{
	switch (stat->unit) {
	case KVM_STATS_UNIT_BYTES:
		return "bytes";
	case KVM_STATS_UNIT_SECONDS:
		return "seconds";
	case KVM_STATS_UNIT_CYCLES:
		return "cycles";
	case KVM_STATS_UNIT_BOOLEAN:
		return "boolean";
	default:
		return "none";
	}
}

static json_t *kind_json(const struct kvmstat *stat)
{
	json_t *kind = json_pack("{s:s, s:s}", "type", types[stat->type], "unit", unit_name(stat));

	if (stat->exponent) {
		json_object_set_new(kind, "base", json_integer(stat->base));
		json_object_set_new(kind, "exponent", json_integer(stat->exponent));
	}
	if (stat->bucket_size)
		json_object_set_new(kind, "bucket_size", json_integer(stat->bucket_size));
	return kind;
}

json_t *kvmstats_kinds_json(const struct kvmstats *stats)
{
	json_t *kinds = json_object();

	for (unsigned f = 0; stats && f < 2; f++)
		for (unsigned i = 0; stats->schema[f] && i < stats->schema[f]->n; i++) {
			const struct kvmstat *stat = &stats->schema[f]->stat[i];

			if (stat->type != KVM_STATS_TYPE_CUMULATIVE || stat->unit != KVM_STATS_UNIT_NONE ||
				stat->exponent)
				json_object_set_new(kinds, stat->name, kind_json(stat));
		}
	return kinds;
}

json_t *kvmstats_why_json(const struct kvmstats *stats)
{
	return stats && stats->why[0] ? json_string(stats->why) : json_null();
}
