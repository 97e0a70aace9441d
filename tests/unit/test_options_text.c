// SPDX-License-Identifier: Apache-2.0
/* What the table says: help, man page, completion and plan name every row, and the table agrees with itself.
 */
#include "tests/unit/options_unit.h"

#include <ctype.h>
#include <sys/wait.h>

#include "vmm/options/command.h"
#include "vmm/options/foreign.h"
#include "vmm/stat/stat.h"

/* What a printer writes. The caller frees it. */
static char *text_of(void (*print)(FILE *))
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	ck_assert_ptr_nonnull(f);
	print(f);
	fclose(f);
	return text;
}

static void ctl_words(FILE *out)
{
	fputs("pause resume", out);
}

static void look_flags(FILE *out)
{
	fputs("--all --event", out);
}

static void look_events(FILE *out)
{
	fputs("cycles cs", out);
}

static const struct command commands[] = {
	{"run", "", "run"},
	{"ctl", "", "ctl", .guest = true, .words = ctl_words},
	{"look", "", "look", .guest = true, .words = ctl_words, .flags = look_flags, .values = look_events},
	{"secret", "", NULL},
	{"pause", "", "pause", .words = ctl_words},
};

static void completion(FILE *out)
{
	options_completion(out, commands, sizeof(commands) / sizeof(commands[0]));
}

START_TEST(the_table_agrees_with_itself)
{
	struct opt_key key;

	for_each_row(row)
	{
		ck_assert_ptr_nonnull(row->value.help);
		ck_assert_msg(!row->arch == !row->why, "%s", row->name);
		ck_assert_msg(!(row->flags & OPT_REPEAT) == !(row->size || row->value.type == OPT_COUNT),
			"%s", row->name);
		ck_assert_uint_lt(row->nkeys, 64);
		for (const char *p = row->name; *p; p++)
			ck_assert_msg(islower((unsigned char)*p) || *p == '-', "%s", row->name);
		for (const struct opt_row *other = opt_table; other < row; other++) {
			ck_assert_str_ne(row->name, other->name);
			ck_assert_msg(!row->letter || row->letter != other->letter, "-%c", row->letter);
		}
		for (unsigned i = 0; opt_key_at(row, i, &key); i++) {
			ck_assert_ptr_nonnull(key.help);
			ck_assert_msg(i == 0 || key.name, "%s", row->name);
			ck_assert_msg(!key.arch == !key.why, "%s %s", row->name, key.name);
			ck_assert_msg(key.type != OPT_CHOICE || key.names, "%s", row->name);
			ck_assert_msg(!key.only || (i == 0 && key.names), "%s: nobody would say it", row->name);
			ck_assert_msg(
				key.min <= key.max || key.type == OPT_FEATURES, "%s %s", row->name, key.name);
			for (unsigned j = 1; j < i; j++)
				ck_assert_str_ne(key.name, row->keys[j - 1].name);
		}
	}
}
END_TEST

/* What pinvm knows itself is not called another program's. */
START_TEST(foreign_words_are_foreign)
{
	char here[FOREIGN_MAX];

	for_each_row(row)
	{
		ck_assert_msg(!foreign_option(row->name, here, sizeof(here)), "%s: %s", row->name, here);
		for (unsigned i = 0; i < row->nkeys; i++)
			ck_assert_msg(!foreign_key(row->name, row->keys[i].name), "%s %s", row->name, row->keys[i].name);
	}
	ck_assert_ptr_null(foreign_option("", here, sizeof(here)));
	ck_assert_ptr_null(foreign_option(" ", here, sizeof(here)));
	ck_assert_ptr_null(foreign_option("smp cpu", here, sizeof(here)));
	ck_assert_ptr_eq(foreign_option("smp=2", here, sizeof(here)), here);
}
END_TEST

/* No two values share a place: one would overwrite the other. */
START_TEST(fields_are_not_shared)
{
	static unsigned char used[sizeof(struct guest_config)];
	struct opt_key key;

	for_each_row(row)
	{
		if (row->flags & OPT_OUTSIDE)
			continue;
		if (row->size) {
			ck_assert_msg(!used[row->value.at]++, "%s", row->name);
			continue;
		}
		for (unsigned i = 0; opt_key_at(row, i, &key); i++)
			ck_assert_msg(key.type == OPT_NONE || !used[key.at]++, "%s %s", row->name, key.name);
	}
}
END_TEST

static void short_lines(const char *text)
{
	for (size_t len; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		ck_assert_msg(len <= 120 && (!len || text[len - 1] != ' '), "%.*s", (int)len, text);
	}
}

START_TEST(help_names_everything)
{
	char *text = text_of(options_help), want[96];

	for_each_row(row)
	{
		snprintf(want, sizeof(want), "--%s%s", row->name, row->value.meta || row->nkeys ? " " : "");
		ck_assert_msg(strstr(text, want) != NULL, "%s", want);
		ck_assert_ptr_nonnull(strstr(text, row->value.help));
		for (unsigned i = 0; i < row->nkeys; i++) {
			snprintf(want, sizeof(want), "  %s", row->keys[i].name);
			ck_assert_msg(strstr(text, want) != NULL, "%s %s", row->name, want);
		}
	}
	ck_assert_ptr_nonnull(strstr(text, "1 to 16 (default 1)"));
	ck_assert_ptr_nonnull(strstr(text, "(default 512M)"));
	short_lines(text);
	free(text);
}
END_TEST

START_TEST(help_marks_what_is_not_here)
{
	char *text = text_of(options_help);

	ck_assert_ptr_nonnull(strstr(text, "x86 only"));
	ck_assert_ptr_nonnull(strstr(text, "paravirtual clock; x86 only\n"));
	ck_assert_ptr_nonnull(strstr(text, "--irqchip split|user "));
	ck_assert_ptr_nonnull(strstr(text, " its  "));
	ck_assert_ptr_nonnull(strstr(text, " user  "));
	ck_assert_ptr_nonnull(strstr(text, "experimental; x86 only"));
	ck_assert_ptr_nonnull(strstr(text, "arm64 only (x86: an MSI goes to a local APIC)"));
	ck_assert_ptr_null(strstr(text, "CVE-2026-46316"));
	free(text);
	arch = "arm64";
	text = text_of(options_help);
	short_lines(text);
	ck_assert_ptr_nonnull(strstr(text, "x86 only (arm64: there are no I/O ports)"));
	ck_assert_ptr_nonnull(strstr(text, "paravirtual clock; x86 only\n"));
	ck_assert_ptr_nonnull(strstr(text, "stolen time, shown in the guest's top\n"));
	ck_assert_ptr_nonnull(strstr(text, "--irqchip split|its "));
	ck_assert_ptr_nonnull(strstr(text, "(CVE-2026-46316); arm64 only"));
	ck_assert_ptr_nonnull(strstr(text, "x86 only (arm64: KVM handles WFI itself)"));
	free(text);
	text = text_of(options_man);
	ck_assert_ptr_nonnull(strstr(text, "\\fBits\\fR\nMSIs by KVM"));
	free(text);
	text = text_of(completion);
	ck_assert_ptr_null(strstr(text, "--debug-exit"));
	ck_assert_ptr_null(strstr(text, "kvmclock"));
	ck_assert_ptr_nonnull(strstr(text, "steal-time=on"));
	free(text);
}
END_TEST

/* `text` as the man page spells it. */
static void roff(const char *text, char *out)
{
	for (; *text; text++) {
		if (*text == '-')
			*out++ = '\\';
		*out++ = *text;
	}
	*out = '\0';
}

START_TEST(man_page_names_everything)
{
	char *text = text_of(options_man), spelt[128], want[160];

	for_each_row(row)
	{
		roff(row->name, spelt);
		snprintf(want, sizeof(want), "\\fB\\-\\-%s\\fR", spelt);
		ck_assert_msg(strstr(text, want) != NULL, "%s", want);
		for (unsigned i = 0; i < row->nkeys; i++) {
			roff(row->keys[i].name, spelt);
			snprintf(want, sizeof(want), ".TP\n\\fB%s", spelt);
			ck_assert_msg(strstr(text, want) != NULL, "%s", want);
		}
	}
	free(text);
}
END_TEST

START_TEST(completion_names_everything)
{
	char *text = text_of(completion), want[96];

	for_each_row(row)
	{
		snprintf(want, sizeof(want), "--%s", row->name);
		ck_assert_msg(strstr(text, want) != NULL, "%s", want);
		for (unsigned i = 0; i < row->nkeys; i++)
			ck_assert_msg(
				row->keys[i].type == OPT_FEATURES || strstr(text, row->keys[i].name) != NULL,
				"%s %s", row->name, row->keys[i].name);
	}
	free(text);
}
END_TEST

/* What bash offers at the end of `line`, joined by spaces. */
static void completes(const char *line, const char *want)
{
	char script[] = "/tmp/pinvm-completion-XXXXXX", command[512], got[2048] = "";
	int fd = mkstemp(script);
	FILE *f = fdopen(fd, "w"), *bash;
	size_t n;

	ck_assert_ptr_nonnull(f);
	completion(f);
	fclose(f);
	snprintf(command, sizeof(command),
		"bash -c 'set -u; . %s && COMP_LINE=\"%s\" COMP_POINT=${#COMP_LINE} && _pinvm; echo -n "
		"\"${COMPREPLY[*]-}\"' 2>&1",
		script, line);
	bash = popen(command, "r");
	ck_assert_ptr_nonnull(bash);
	n = fread(got, 1, sizeof(got) - 1, bash);
	got[n] = '\0';
	pclose(bash);
	unlink(script);
	ck_assert_msg(!strcmp(got, want), "'%s' completes to '%s', not '%s'", line, got, want);
}

START_TEST(bash_completes)
{
	if (system("bash -c true >/dev/null 2>&1")) {
		printf("skip: no bash\n");
		return;
	}
	completes("pinvm ru", "run");
	completes("pinvm ", "run ctl look pause --help --version");
	completes("pinvm run --gr", "--grace");
	completes("pinvm run --io", "--iothread --io-engine");
	completes("pinvm run --on-reset ", "exit restart");
	completes("pinvm run --on-reset=r", "restart");
	completes("pinvm run --irqchip ", "split user");
	completes("pinvm run --halt-poll ", "default off auto vmm");
	completes("pinvm run --halt-poll auto,", "auto,max= auto,budget= auto,weight= auto,trace=");
	completes("pinvm run --halt-poll=vmm,", "vmm,max= vmm,grow= vmm,grow-start= vmm,shrink=");
	completes("pinvm run --halt-poll off,", "");
	completes("pinvm run --halt-poll vmm,max=1ms,gr", "1ms,grow= 1ms,grow-start=");
	completes("pinvm run --pin v", "vcpu=");
	completes("pinvm run --sched ", "vcpu= iothread= emulator=");
	completes("pinvm run -m 1G,hu", "1G,hugepages= 1G,hugepages=off 1G,hugepages=thp 1G,hugepages=2M 1G,hugepages=1G");
	completes("pinvm run --cgroup /x,max=o", "off");
	completes("pinvm run --control of", "off");
	completes("pinvm run --iothread ", ""); /* the name stands first */
	completes("pinvm run --kvm pv-u", "pv-unhalt=on pv-unhalt=off");
	completes("pinvm run --exits h", "hlt=on hlt=off");
	completes("pinvm run --exits hlt=on,p", "on,pause=on on,pause=off");
	completes("pinvm run -d x.img,que", "x.img,queues= x.img,queue-size=");
	completes("pinvm run --serial f", "file=");
	completes("pinvm run -k /dev/nul", "/dev/null");
	completes("pinvm run /dev/nul", "/dev/null");
	completes("pinvm secret -", "");
	completes("pinvm ct", "ctl");
	completes("/no/such/pinvm ctl ", "");
	completes("pinvm ctl vm re", "resume");
	completes("pinvm ctl vm resume re", "");
	completes("pinvm ctl vm halt-poll a", "auto");
	completes("pinvm ctl vm halt-poll auto,w", "auto,weight=");
	completes("pinvm ctl vm halt-poll auto,", "auto,max= auto,budget= auto,weight=");
	completes("pinvm ctl vm halt-poll vmm max=1ms sh", "shrink=");
	completes("pinvm ctl vm halt-poll auto tr", "");
	completes("pinvm ctl vm halt-poll auto d", "");
	completes("pinvm ctl vm pin vcpu0=1 em", "emulator=");
	completes("pinvm ctl vm halt-poll ", "default off auto vmm");
	completes("pinvm ctl vm iothread main poll-", "poll-max= poll-weight=");
	completes("pinvm ctl vm pin ", "vcpu= iothread= emulator=");
	completes("/no/such/pinvm look ", "--all --event");
	completes("pinvm look vm p", "pause");
	completes("pinvm look vm pause --e", "--event");
	completes("pinvm look vm pause -e cyc", "cycles");
	completes("pinvm look vm pause -e cs,cy", "cs,cycles");
	completes("pinvm look vm pause -o /dev/nul", "/dev/null");
	completes("pinvm pause ", "pause resume");
	completes("pinvm pause resume ", "");
}
END_TEST

/* Of `pinvm stat`? */
static bool is_stat_option(const char *name)
{
	char *all = text_of(stat_flags), list[512], want[80];

	snprintf(list, sizeof(list), " %s ", all);
	free(all);
	snprintf(want, sizeof(want), " --%s ", name);
	return strstr(list, want);
}

/* The guide for QEMU's users recommends only options that exist. */
START_TEST(the_guide_is_true)
{
	FILE *f = fopen("docs/from-qemu.md", "r");
	unsigned found = 0;
	char line[1024], name[64];

	ck_assert_msg(f != NULL, "docs/from-qemu.md: run from the top of the tree");
	while (fgets(line, sizeof(line), f)) {
		char *p = !strncmp(line, "| ", 2) ? line : NULL, *next;

		while (p && (next = strstr(p + 1, " | ")))
			p = next; /* to the last column */
		for (p = p ? strstr(p, "--") : NULL; p; p = strstr(p, "--")) {
			bool known = false;

			p += 2;
			snprintf(
				name, sizeof(name), "%.*s", (int)strspn(p, "abcdefghijklmnopqrstuvwxyz-"), p);
			for_each_row(row) known |= !strcmp(row->name, name);
			known |= strstr(line, "`pinvm stat NAME`") && is_stat_option(name);
			ck_assert_msg(known, "--%s in: %s", name, line);
			found++;
		}
	}
	fclose(f);
	ck_assert_uint_gt(found, 25);
}
END_TEST

/* The table of differences names each option that one architecture lacks, and each key of --kvm that both have. */
START_TEST(the_differences_are_told)
{
	FILE *f = fopen("README.md", "r");
	static char section[32768];
	char line[1024], want[64];
	bool here = false;
	size_t len = 0;

	ck_assert_msg(f != NULL, "README.md: run from the top of the tree");
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "## ", 3))
			here = !strcmp(line, "## arm64\n");
		if (here && *line == '|')
			len += snprintf(section + len, sizeof(section) - len, "%s", line);
		ck_assert_uint_lt(len, sizeof(section));
	}
	fclose(f);
	arch = "arm64";
	for_each_row(row)
	{
		bool differs = !opt_here(row);

		for (unsigned i = 0; i < row->nkeys; i++)
			differs |= !opt_key_here(&row->keys[i]);
		snprintf(want, sizeof(want), "| `--%s` |", row->name);
		ck_assert_msg(!differs || strstr(section, want), "%s", want);
		for (unsigned i = 0; opt_here(row) && differs && i < row->nkeys; i++) {
			snprintf(want, sizeof(want), "`%s`", row->keys[i].name);
			ck_assert_msg(opt_key_here(&row->keys[i]) == !!strstr(section, want), "%s", want);
		}
	}
}
END_TEST

START_TEST(the_plan)
{
	struct guest_config cfg;
	char *text = NULL;
	size_t n;
	FILE *f;

	accept(&cfg, "K", "-c", "2", "-d", "a.img,ro", "--exits", "hlt=off", "--serial", "file=x");
	f = open_memstream(&text, &n);
	options_print(f, &cfg);
	fclose(f);
	config_free(&cfg);
	for_each_row(row)
		ck_assert_msg(row->flags & OPT_OUTSIDE || strstr(text, row->name) != NULL, "%s", row->name);
	ck_assert_ptr_nonnull(strstr(text, "kernel                         K\n"));
	ck_assert_ptr_nonnull(strstr(text, "cpus                           2\n"));
	ck_assert_ptr_nonnull(
		strstr(text, "  cores                        2                        default\n"));
	ck_assert_ptr_nonnull(
		strstr(text, "memory                         512M                     default\n"));
	ck_assert_ptr_nonnull(strstr(text, "disk                           a.img\n"));
	ck_assert_ptr_nonnull(strstr(text, "  ro                           on\n"));
	ck_assert_ptr_nonnull(
		strstr(text, "  queues                       1                        default\n"));
	ck_assert_ptr_nonnull(strstr(text, "  bps                          -                        default\n"));
	ck_assert_ptr_nonnull(strstr(text, "  hlt                          off\n"));
	ck_assert_ptr_nonnull(strstr(text, "serial                         file=x\n"));
	ck_assert_ptr_nonnull(
		strstr(text, "iothread                       none                     default\n"));
	ck_assert_ptr_nonnull(
		strstr(text, "numa                           none                     default\n"));
	free(text);
}
END_TEST

/* RAM that follows from the nodes is nobody's choice. */
START_TEST(the_plan_with_nodes)
{
	struct guest_config cfg;
	char *text = NULL;
	size_t n;
	FILE *f;

	accept(&cfg, "K", "--numa", "cpus=0,memory=1G,distance=0:10");
	f = open_memstream(&text, &n);
	options_print(f, &cfg);
	fclose(f);
	config_free(&cfg);
	ck_assert_ptr_nonnull(strstr(text, "memory                         1G                       default\n"));
	ck_assert_ptr_nonnull(strstr(text, "numa\n  cpus                         0\n"));
	ck_assert_ptr_nonnull(strstr(text, "  memory                       1G\n"));
	ck_assert_ptr_nonnull(strstr(text, "  host-node                    -                        default\n"));
	ck_assert_ptr_nonnull(strstr(text, "  distance                     0:10\n"));
	free(text);
}
END_TEST

UNIT_MAIN("options_text", the_table_agrees_with_itself, foreign_words_are_foreign, fields_are_not_shared, help_names_everything,
	help_marks_what_is_not_here, man_page_names_everything, completion_names_everything, bash_completes,
	the_guide_is_true, the_differences_are_told, the_plan, the_plan_with_nodes)
