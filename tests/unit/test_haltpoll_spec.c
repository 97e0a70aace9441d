// SPDX-License-Identifier: Apache-2.0
/* --halt-poll as text, on the command line and by `ctl`. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "tests/unit/unit.h"
#include "vmm/config.h"
#include "vmm/guest.h"
#include "vmm/haltpoll/kernel.h"
#include "vmm/haltpoll/priv.h"
#include "vmm/options/options.h"
#include "vmm/options/values.h"

START_TEST(what_it_may_be)
{
	struct haltpoll_spec spec;

	ck_assert_ptr_null(haltpoll_parse("default", &spec));
	ck_assert_int_eq(spec.mode, HALTPOLL_DEFAULT);
	ck_assert_ptr_null(haltpoll_parse("off", &spec));
	ck_assert(spec.mode == HALTPOLL_OFF && spec.ceiling_ns == 0);
	ck_assert_ptr_null(haltpoll_parse("50us", &spec));
	ck_assert(spec.mode == HALTPOLL_FIXED && spec.ceiling_ns == 50000);
	ck_assert_ptr_null(haltpoll_parse("0", &spec));
	ck_assert_int_eq(spec.mode, HALTPOLL_OFF);
	ck_assert_ptr_null(haltpoll_parse("4s", &spec));
	ck_assert_uint_eq(spec.ceiling_ns, 4000000000);
	ck_assert_str_eq(haltpoll_parse("of", NULL), "no such mode; did you mean off?");
	ck_assert_str_eq(haltpoll_parse("DEFAULT", NULL), "no such mode; did you mean default?");
	ck_assert_msg(strstr(haltpoll_parse("on", NULL), "as in 50us") != NULL, "%s", haltpoll_parse("on", NULL));
	/* As the kernel's parameter is written: no ns, and far too many seconds. */
	for (const char *const *bad = (const char *const[]){"", "on", "200000", "4001ms", "4000000001ns", "4294967295ns", "-1us",
		     "1.5us", "off ", NULL};
		*bad; bad++)
		ck_assert_msg(haltpoll_parse(*bad, NULL) != NULL, "%s", *bad);
}
END_TEST

START_TEST(one_parser)
{
	struct guest_config cfg;
	struct haltpoll_spec spec;
	char why[192] = "";

	config_defaults(&cfg);
	ck_assert_ptr_null(haltpoll_spec(&cfg.halt_poll, &spec));
	ck_assert_int_eq(spec.mode, HALTPOLL_DEFAULT);
	ck_assert_int_eq(options_parse_one("halt-poll", "1ms", &cfg, why, sizeof(why)), 0);
	ck_assert_ptr_null(haltpoll_spec(&cfg.halt_poll, &spec));
	ck_assert_uint_eq(spec.ceiling_ns, 1000000);
	ck_assert_int_eq(options_parse_one("halt-poll", "often", &cfg, why, sizeof(why)), -EINVAL);
	ck_assert_msg(strstr(why, "halt-poll often: must be default, off, auto, vmm or") == why, "%s", why);
	/* Keys are of auto. */
	ck_assert_int_eq(options_parse_one("halt-poll", "1ms,budget=10", &cfg, why, sizeof(why)), 0);
	ck_assert_ptr_nonnull(haltpoll_spec(&cfg.halt_poll, &spec));
	ck_assert_int_eq(options_parse_one("halt-poll", "auto,max=50us,weight=9", &cfg, why, sizeof(why)), 0);
	ck_assert_ptr_null(haltpoll_spec(&cfg.halt_poll, &spec));
	ck_assert(spec.mode == HALTPOLL_AUTO && spec.limits.max_ns == 50000 && spec.limits.budget == 10 &&
		  spec.limits.weight == 9 && !spec.trace);
	config_free(&cfg);
	config_defaults(&cfg);
	ck_assert_int_eq(options_parse_one("halt-poll", "auto", &cfg, why, sizeof(why)), 0);
	ck_assert_ptr_null(haltpoll_spec(&cfg.halt_poll, &spec));
	ck_assert(spec.limits.max_ns == 1000000 && spec.limits.budget == 100 && spec.limits.weight == 4);
	ck_assert_int_eq(options_parse_one("halt-poll", "auto,budget=101", &cfg, why, sizeof(why)), -EINVAL);
	ck_assert_msg(strstr(why, "halt-poll budget=101: must be 1 to 100") == why, "%s", why);
	ck_assert_int_eq(options_parse_one("halt-poll", "auto,max=1ns", &cfg, why, sizeof(why)), -EINVAL);
	config_free(&cfg);
}
END_TEST

/* One spec at a time, on a configuration of its own. NULL: it is taken. */
static const char *vmm_spec(const char *text, struct haltpoll_spec *spec)
{
	static char said[192];
	struct guest_config cfg;
	const char *why = said;

	config_defaults(&cfg);
	if (!options_parse_one("halt-poll", text, &cfg, said, sizeof(said)))
		why = haltpoll_spec(&cfg.halt_poll, spec);
	config_free(&cfg);
	return why;
}

/* A ceiling below what KVM's polls begin with: refused with the value that would do, and that does. */
START_TEST(auto_that_could_not_poll)
{
	struct haltpoll_spec spec = {.mode = HALTPOLL_AUTO, .limits.max_ns = 1000};
	struct guest_config cfg = {.irqchip = IRQCHIP_USER};
	struct guest guest = {.cfg = &cfg};
	struct haltpoll hp = {.guest = &guest, .spec.mode = HALTPOLL_OFF};
	uint64_t shortest = 0;
	char text[24], words[64], why[192] = "";

	if (kernel_haltpoll("_grow_start", &shortest) || shortest <= 1000) {
		puts("skip: this host's KVM does not tell of a shortest poll above 1us");
		return;
	}
	/* More than that is in the way first: what would do for one would not help the other. */
	ck_assert_int_eq(haltpoll_set(&hp, &spec, why, sizeof(why)), -ENOTSUP);
	ck_assert_msg(strstr(why, "do not halt in KVM") != NULL, "%s", why);
	cfg.irqchip = IRQCHIP_SPLIT;
	cfg.exits.hlt = TRI_OFF;
	ck_assert_int_eq(haltpoll_set(&hp, &spec, why, sizeof(why)), -ENOTSUP);
	ck_assert_msg(strstr(why, "keeps the CPU") != NULL, "%s", why);
	cfg.exits.hlt = TRI_DEFAULT;
	/* It can be read, and is not wrong everywhere: no -EINVAL. */
	ck_assert_int_eq(haltpoll_set(&hp, &spec, why, sizeof(why)), -ERANGE);
	ck_assert_int_eq(hp.spec.mode, HALTPOLL_OFF);
	value_format_duration(shortest, text, sizeof(text));
	snprintf(words, sizeof(words), "give %s or more, or off", text);
	ck_assert_msg(strstr(why, words) != NULL, "%s", why);
	ck_assert_msg(strstr(why, "max=1us is less than") == why, "%s", why);
}
END_TEST

START_TEST(in_pinvm)
{
	static const char *const bad[] = {"vmm,budget=5", "vmm,weight=5", "vmm,trace=x", "vmm,max=4s,grow-start=4001ms", "vmm,grow=0",
		"vmm,shrink=0", "vmm,grow-start=201us", "vmm,max=0", "50us,grow=2", "auto,shrink=2", "off,grow-start=1us", "off,max=1us",
		"default,max=1us", "vmm,grow=-1", "vmm,grow=2,grow=2", "vmm50us", "VMM", NULL};
	struct haltpoll_spec spec;

	if (strcmp(arch_name(), "x86") != 0) {
		ck_assert_str_eq(haltpoll_parse("vmm", NULL), "does not exist on arm64: KVM handles WFI itself");
		return;
	}
	ck_assert_ptr_null(vmm_spec("vmm", &spec));
	ck_assert(spec.mode == HALTPOLL_VMM && spec.rules.max_ns == 200000 && spec.rules.grow_start_ns == 10000 &&
		  spec.rules.grow == 2 && spec.rules.shrink == 2);
	ck_assert_ptr_null(vmm_spec("vmm,max=1ms,grow=3,grow-start=1us,shrink=1", &spec));
	ck_assert(spec.rules.max_ns == 1000000 && spec.rules.grow_start_ns == 1000 && spec.rules.grow == 3 && spec.rules.shrink == 1);
	ck_assert_ptr_null(vmm_spec("vmm,max=5us", &spec)); /* below where it would begin: it begins there */
	ck_assert(spec.rules.max_ns == 5000 && spec.rules.grow_start_ns == 5000);
	ck_assert_ptr_null(vmm_spec("vmm,max=4s,grow-start=4s", &spec));
	ck_assert_ptr_null(vmm_spec("vmm,max=50us,grow-start=50us,grow=1", &spec));
	for (const char *const *text = bad; *text; text++)
		ck_assert_msg(vmm_spec(*text, &spec) != NULL, "%s", *text);
}
END_TEST

/* Without KVM_CAP_HALT_POLL, which has no part in it: what the vCPUs' threads go by follows. */
START_TEST(vcpus_that_halt_here)
{
	struct guest_config cfg = {.irqchip = IRQCHIP_USER};
	struct guest guest = {.cfg = &cfg, .vm.kvm_fd = -1, .vm.fd = -1};
	struct haltpoll_spec off = {.mode = HALTPOLL_OFF}, fixed = {.mode = HALTPOLL_FIXED, .ceiling_ns = 50000},
			     spec = {.mode = HALTPOLL_VMM, .rules = {50000, 10000, 3, 4}};
	char why[192] = "";
	struct haltpoll *hp;

	ck_assert_int_eq(haltpoll_create(&hp, &guest), 0);
	ck_assert_int_eq(haltpoll_apply(hp), 0);
	ck_assert_uint_eq(haltpoll_live(hp)->max_ns, 0);
	ck_assert_int_eq(haltpoll_set(hp, &spec, why, sizeof(why)), 0);
	ck_assert(haltpoll_live(hp)->max_ns == 50000 && haltpoll_live(hp)->grow_start_ns == 10000 &&
		  haltpoll_live(hp)->grow == 3 && haltpoll_live(hp)->shrink == 4);
	ck_assert_int_eq(haltpoll_set(hp, &fixed, why, sizeof(why)), -ENOTSUP);
	ck_assert_msg(strstr(why, "vmm is the mode that polls there") != NULL, "%s", why);
	ck_assert_uint_eq(haltpoll_live(hp)->max_ns, 50000);
	ck_assert_int_eq(haltpoll_apply(hp), 0); /* a restart */
	ck_assert_uint_eq(haltpoll_live(hp)->max_ns, 50000);
	ck_assert_int_eq(haltpoll_set(hp, &off, why, sizeof(why)), 0);
	ck_assert_uint_eq(haltpoll_live(hp)->max_ns, 0);
	cfg.irqchip = IRQCHIP_SPLIT;
	ck_assert_int_eq(haltpoll_set(hp, &spec, why, sizeof(why)), -ENOTSUP);
	ck_assert_msg(strstr(why, "vCPUs halt in KVM") != NULL, "%s", why);
	ck_assert_uint_eq(haltpoll_live(hp)->max_ns, 0);
	cfg.exits.hlt = TRI_OFF; /* nor here, nor in KVM */
	ck_assert_int_eq(haltpoll_set(hp, &fixed, why, sizeof(why)), -ENOTSUP);
	ck_assert_msg(strstr(why, "nothing is left to poll for") != NULL, "%s", why);
	haltpoll_destroy(hp);
	ck_assert_ptr_null(haltpoll_live(NULL));
}
END_TEST

/* Whose reader never comes: it is refused, and waited for by nobody. */
START_TEST(trace_without_reader)
{
	char dir[] = "/tmp/pinvm-haltpoll-XXXXXX", path[64];
	struct guest_config cfg;
	struct guest guest = {.cfg = &cfg};
	struct haltpoll *hp;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/trace", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	config_defaults(&cfg);
	cfg.halt_poll.mode = "auto";
	cfg.halt_poll.trace = path;
	ck_assert_int_eq(haltpoll_create(&hp, &guest), -ENXIO);
	haltpoll_destroy(hp);
	unlink(path);
	ck_assert_int_eq(haltpoll_create(&hp, &guest), 0);
	ck_assert_ptr_nonnull(hp->trace);
	haltpoll_destroy(hp);
	unlink(path);
	rmdir(dir);
}
END_TEST

/* While the guest runs there is no other trace, and a file that is there stays as it is. */
START_TEST(trace_at_start_only)
{
	char path[] = "/tmp/pinvm-haltpoll-XXXXXX", why[192] = "";
	struct haltpoll_spec spec = {.mode = HALTPOLL_AUTO, .trace = path};
	struct haltpoll hp = {.spec.mode = HALTPOLL_OFF};
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, "kept", 4), 4);
	ck_assert_int_eq(haltpoll_set(&hp, &spec, why, sizeof(why)), -EINVAL);
	ck_assert_msg(strstr(why, "give it at the start") != NULL, "%s", why);
	ck_assert_int_eq(hp.spec.mode, HALTPOLL_OFF);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 4);
	close(fd);
	unlink(path);
}
END_TEST

UNIT_MAIN("haltpoll_spec", what_it_may_be, one_parser, auto_that_could_not_poll, in_pinvm, vcpus_that_halt_here, trace_without_reader, trace_at_start_only)
