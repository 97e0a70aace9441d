// SPDX-License-Identifier: Apache-2.0
/* Every row of the options' table at the ends of what it takes, and arguments made of pieces of the language. */
#include "tests/unit/options_unit.h"

/* The element or the configuration itself, where a row's first occurrence was stored. */
static void try_value(const struct opt_row *row, const struct opt_key *key, const char *value, bool good)
{
	struct guest_config cfg;
	char arg[256], text[64];
	bool of_nodes = key->name && !strcmp(key->name, "policy"); /* refused without them */
	bool of_poll = key->name && !strcmp(key->name, "poll-weight");
	bool of_vmm = key->name && (!strncmp(key->name, "grow", 4) || !strcmp(key->name, "shrink"));
	bool of_net = !strcmp(row->name, "net") && key->name && strcmp(key->name, "tap") && strcmp(key->name, "fd");
	const char *first = !strcmp(row->name, "numa")	  ? "cpus=0,"
			    : of_net			  ? "tap=t,"
			    : of_nodes			  ? "64,host-node=0,"
			    : of_poll			  ? "64,poll-max=1us,"
			    : of_vmm			  ? "vmm,max=4s,"
			    : !strcmp(row->name, "halt-poll") ? "auto,"
			    : row->value.type == OPT_NONE ? ""
			    : row->value.type == OPT_UINT ? "4,"
							  : "64,";
	const char *burst = key->name ? strstr(key->name, "-burst") : NULL; /* refused without its rate */
	struct opt_key stored = *key;
	char rate[32] = "";
	int ret;

	if (burst)
		snprintf(rate, sizeof(rate), "%.*s=%s,", (int)(burst - key->name), key->name,
			key->type == OPT_SIZE ? "1M" : "1");
	if (key->name)
		snprintf(arg, sizeof(arg), "--%s=%s%s%s=%s", row->name, first, rate, key->name, value);
	else
		snprintf(arg, sizeof(arg), "--%s=%s", row->name, value);
	ret = parse(&cfg, (char *)"K", arg);
	ck_assert_msg(ret == (good ? 0 : -EINVAL), "%s: %d, %s", arg, ret, said);
	if (ret)
		return;
	if (row->size && !key->name)
		stored.at = row->value_at;
	opt_key_format(&stored, opt_element(row, &cfg, 0), text, sizeof(text));
	ck_assert_str_eq(text, value);
	config_free(&cfg);
}

static void try_number(const struct opt_row *row, const struct opt_key *key)
{
	struct opt_key low = *key, high = *key;
	char text[64];
	uint64_t v;
	bool topology = strstr("sockets cores threads", key->name ? key->name : "-") != NULL;

	v = key->min;
	low.at = high.at = 0;
	low.def = v;
	opt_key_default_text(&low, text, sizeof(text));
	if (*text)
		try_value(row, key, text, true);
	high.def = key->max;
	opt_key_default_text(&high, text, sizeof(text));
	try_value(row, key, text, !topology); /* more cores than vCPUs */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)key->max + 1);
	try_value(row, key, text, false);
	for (const char *const *bad = (const char *const[]){"", "x", "-1", "+1", " 1", "1 ", "0x10", "1.0",
		     "1k", "1MiB", NULL};
		*bad; bad++)
		try_value(row, key, *bad, false);
}

/* Each value of each row that is not text, at its ends and beyond them. */
START_TEST(every_value_of_the_table)
{
	struct opt_key key;
	unsigned tried = 0;

	for_each_row(row) for (unsigned i = 0; opt_key_at(row, i, &key); i++)
	{
		if (row->flags & OPT_OUTSIDE)
			continue;
		if (key.type == OPT_UINT || key.type == OPT_SIZE || key.type == OPT_DURATION)
			try_number(row, &key);
		else if (key.type == OPT_BOOL || key.type == OPT_TRI) {
			try_value(row, &key, "on", true);
			try_value(row, &key, "off", true);
			try_value(row, &key, "ON", false);
			try_value(row, &key, "", false);
		} else if (key.type == OPT_CHOICE) {
			for (unsigned n = 0; key.names[n]; n++)
				try_value(row, &key, key.names[n], opt_choice_here(&key, n));
			try_value(row, &key, "none", false);
			try_value(row, &key, "", false);
		} else
			continue;
		tried++;
	}
	ck_assert_uint_gt(tried, 30);
}
END_TEST

static const char *pick(const char *const *words, unsigned n)
{
	return words[dice() % n];
}

/* Something like an argument: a few pieces of the language glued together, and sometimes noise. */
static void invent(char *out, size_t n)
{
	static const char *const pieces[] = {",", ",,", "=", "[", "]", "-", "+", "--", "on", "off", "0", "1",
		"64", "4096", "1G", "2M", "10ms", "host", "avx", "ro", "direct", "queues", "queue-size",
		"serial", "iothread", "cpus", "memory", "distance", "1:20", "sockets", "cores", "hlt", "pv-eoi", "file", "stdio", "main", "fast",
		"K", "18446744073709551616", "99999999999", "%s%n", "\x01\xff\n"};
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = dice() % 9; i && len < n - 24; i--)
		len += snprintf(out + len, n - len, "%s", pick(pieces, sizeof(pieces) / sizeof(pieces[0])));
	if (dice() % 8 == 0 && len)
		out[dice() % len] = 1 + dice() % 255;
}

static void invent_option(char *out, size_t n)
{
	const struct opt_row *row = &opt_table[dice() % opt_rows];
	char value[256];

	invent(value, sizeof(value));
	if (row->flags & OPT_OUTSIDE) /* --help prints, --config reads a file: not here */
		snprintf(out, n, "%s", value);
	else if (dice() % 3)
		snprintf(out, n, "--%s=%s", row->name, value);
	else
		snprintf(out, n, "--%s", row->name);
}

START_TEST(random_arguments)
{
	unsigned accepted = 0;

	for (unsigned round = 0; round < 20000; round++) {
		char text[6][300], *args[7] = {NULL};
		struct guest_config cfg;
		uint64_t at = seed;
		int ret;

		for (unsigned i = 0, n = 1 + dice() % 6; i < n; i++) {
			dice() % 2 ? invent(text[i], sizeof(text[i]))
				   : invent_option(text[i], sizeof(text[i]));
			if (!strncmp(text[i], "-h", 2) || !strncmp(text[i], "--h", 3) ||
				!strncmp(text[i], "--ver", 5))
				strcpy(text[i], "K");
			args[i] = text[i];
		}
		ret = parse_v(&cfg, args);
		ck_assert_msg(ret == 0 || ret == -EINVAL, "seed %llx: %d", (unsigned long long)at, ret);
		ck_assert_msg(lines == !!ret, "seed %llx: %u lines", (unsigned long long)at, lines);
		ck_assert_msg(!strpbrk(said, "\n\x01"), "seed %llx: %s", (unsigned long long)at, said);
		if (ret)
			continue;
		accepted++;
		ck_assert_int_eq(config_check(&cfg), 0);
		config_free(&cfg);
	}
	ck_assert_uint_gt(accepted, 50);
}
END_TEST

UNIT_MAIN("options_table", every_value_of_the_table, random_arguments)
