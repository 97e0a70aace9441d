// SPDX-License-Identifier: Apache-2.0
/* The command line: options of the machine with right and wrong values, and what a refusal says. */
#include "tests/unit/options_unit.h"

START_TEST(defaults_are_the_documented_ones)
{
	struct guest_config cfg;
	char name[32];

	accept(&cfg, "bzImage");
	snprintf(name, sizeof(name), "pinvm-%d", (int)getpid());
	ck_assert_str_eq(cfg.name, name);
	ck_assert_str_eq(cfg.kernel, "bzImage");
	ck_assert_ptr_null(cfg.initrd);
	ck_assert_uint_eq(cfg.cpus.count, 1);
	ck_assert_uint_eq(cfg.memory.size, 512ULL << 20);
	ck_assert_uint_eq(cfg.grace_ns, 10000000000ULL);
	ck_assert_uint_eq(cfg.timeout_ns, 0);
	ck_assert_uint_eq(cfg.ndisks, 0);
	ck_assert_int_eq(cfg.serial, SERIAL_STDIO);
	ck_assert_int_eq(cfg.on_reset, ON_RESET_EXIT);
	ck_assert_int_eq(cfg.io_engine, IO_AUTO);
	ck_assert_int_eq(cfg.kvm.pv_eoi, TRI_DEFAULT);
	ck_assert(!cfg.pmu && !cfg.rng && !cfg.debug_exit && !cfg.force && !cfg.dry_run);
	ck_assert(!cfg.profile_times);
	config_free(&cfg);
	config_free(&cfg);
}
END_TEST

START_TEST(every_spelling_of_an_option)
{
	struct guest_config cfg;

	accept(&cfg, "-k", "K", "-i", "I", "-p", "console=ttyS0,115200 a,,b", "-n", "vm.1", "-c2", "-m", "1G",
		"-vv", "-v");
	ck_assert_str_eq(cfg.kernel, "K");
	ck_assert_str_eq(cfg.initrd, "I");
	ck_assert_str_eq(cfg.append, "console=ttyS0,115200 a,,b");
	ck_assert_str_eq(cfg.name, "vm.1");
	ck_assert_uint_eq(cfg.cpus.count, 2);
	ck_assert_uint_eq(cfg.memory.size, 1ULL << 30);
	ck_assert_uint_eq(cfg.verbose, 3);
	config_free(&cfg);
	accept(&cfg, "--kernel=K=1", "--append=", "--memory=64", "--rng", "--debug-exit=off");
	ck_assert_str_eq(cfg.kernel, "K=1");
	ck_assert_str_eq(cfg.append, "");
	ck_assert_uint_eq(cfg.memory.size, 64ULL << 20);
	ck_assert(cfg.rng);
	ck_assert(!cfg.debug_exit);
	config_free(&cfg);
}
END_TEST

START_TEST(the_kernel)
{
	struct guest_config cfg;

	accept(&cfg, "--rng", "--", "-odd");
	ck_assert_str_eq(cfg.kernel, "-odd");
	config_free(&cfg);
	refuse("no kernel given", "--rng");
	refuse("--kernel FILE", "-c", "2");
	refuse("only one", "a", "b");
	refuse("only one", "-k", "a", "b");
	refuse("must not be empty", "");
}
END_TEST

START_TEST(cpus_and_memory)
{
	struct guest_config cfg;

	accept(&cfg, "K", "-c", "8,sockets=2,threads=2");
	ck_assert_uint_eq(cfg.cpus.sockets, 2);
	ck_assert_uint_eq(cfg.cpus.cores, 2);
	ck_assert_uint_eq(cfg.cpus.threads, 2);
	config_free(&cfg);
	accept(&cfg, "K", "-c", "12,cores=3");
	ck_assert_uint_eq(cfg.cpus.sockets, 4);
	ck_assert_uint_eq(cfg.cpus.threads, 1);
	config_free(&cfg);
	accept(&cfg, "K", "-c", "6,sockets=1,cores=3");
	ck_assert_uint_eq(cfg.cpus.threads, 2);
	config_free(&cfg);
	accept(&cfg, "K", "-c", "4,cpu=host,-avx512f,+x2apic", "-m", "1536,shared=on");
	ck_assert_str_eq(cfg.cpus.features, "-avx512f,+x2apic");
	ck_assert_uint_eq(cfg.cpus.cores, 4);
	ck_assert_uint_eq(cfg.memory.size, 1536ULL << 20);
	ck_assert(cfg.memory.shared);
	config_free(&cfg);

	refuse("do not make 8 vCPUs", "K", "-c", "8,cores=3");
	refuse("do not make 8 vCPUs", "K", "-c", "8,sockets=2,cores=2,threads=1");
	refuse("do not make 1 vCPUs", "K", "-c", "1,sockets=255,cores=255,threads=255");
	refuse("--cpus -avx999: no such CPU feature", "K", "-c", "2,cpu=host,-avx999");
	refuse("--cpus +avx512f: that feature was named before", "K", "-c", "2,-avx512f,+avx512f");
	refuse("--cpus cpu=max: must be host", "K", "-c", "2,cpu=max");
	refuse("--memory 64K: must be 2M to 16T", "K", "-m", "64K");
	refuse("multiple of 4K", "K", "-m", "2049K");
	refuse("--memory shared: needs a value, shared=on|off", "K", "-m", "1G,shared");
}
END_TEST

#define NODES(...) "K", "-c", "4", "--numa", "cpus=[0,2-3],memory=1G", "--numa", __VA_ARGS__

START_TEST(nodes)
{
	struct guest_config cfg;

	accept(&cfg, NODES("cpus=1,memory=512,host-node=[0,2-3],distance=[0:30,1:10]"));
	ck_assert_uint_eq(cfg.nnumas, 2);
	ck_assert_str_eq(cfg.numas[0].cpus, "[0,2-3]");
	ck_assert_uint_eq(cfg.numas[0].size, 1ULL << 30);
	ck_assert_ptr_null(cfg.numas[0].host_node);
	ck_assert_uint_eq(cfg.numas[1].size, 512ULL << 20);
	ck_assert_str_eq(cfg.numas[1].host_node, "[0,2-3]");
	ck_assert_str_eq(cfg.numas[1].distance, "[0:30,1:10]");
	ck_assert_uint_eq(cfg.memory.size, 1536ULL << 20);
	config_free(&cfg);
	accept(&cfg, NODES("cpus=1,memory=1G"), "-m", "2G,shared=on");
	ck_assert_uint_eq(cfg.memory.size, 2ULL << 30);
	config_free(&cfg);

	/* The default size was not typed, and typing it is another thing than leaving it out. */
	refuse("--memory 512M: the nodes of --numa have 2G together", NODES("cpus=1,memory=1G"), "-m", "512M");
	refuse("--numa: needs a value, KEY=VALUE", "K", "--numa");
	refuse("--numa where=1: unknown key; it has cpus, memory, host-node, distance", NODES("where=1"));
	refuse("--numa 3: unknown key; it has cpus, memory, host-node, distance; a list with commas stands in brackets",
		"K", "--numa", "cpus=0,3,memory=1G");
	refuse("--numa cpus=1: given twice", NODES("cpus=1,cpus=1"));
	refuse("--numa cpus=: must not be empty", NODES("cpus=,memory=1G"));
	refuse("--numa cpus=two: not a CPU list", NODES("cpus=two,memory=1G"));
	refuse("--numa memory=1M: must be 2M to 16T", NODES("cpus=1,memory=1M"));
	refuse("--numa memory=2050K: must be a multiple of 4K", NODES("cpus=1,memory=2050K"));
	refuse("--numa: nodes 0-1 have more than 16T together", NODES("cpus=1,memory=16T"));
	refuse("--numa cpus=1: node 1 has no RAM", NODES("cpus=1"));
	refuse("--numa memory=1G: node 1 has no vCPU", NODES("memory=1G"));
	refuse("--numa: of --cpus 4, vCPU 1 is in no node", "K", "-c", "4", "--numa", "cpus=[0,2-3],memory=1G");
	refuse("--numa cpus=1-2: vCPU 2 is in node 0 already", NODES("cpus=1-2,memory=1G"));
	refuse("--numa cpus=[1,4]: there is no vCPU 4", NODES("cpus=[1,4],memory=1G"));
	refuse("--numa host-node=near: not a list of host nodes", NODES("cpus=1,memory=1G,host-node=near"));
	refuse("--numa distance=30: write it as", NODES("cpus=1,memory=1G,distance=30"));
	refuse("--numa distance=2:30: there is no node 2", NODES("cpus=1,memory=1G,distance=2:30"));
}
END_TEST

/* A feature that is a prefix of another is not the same one. */
START_TEST(features_are_whole_names)
{
	struct guest_config cfg;

	accept(&cfg, "K", "-c", "1,-avx512f,-avx");
	ck_assert_str_eq(cfg.cpus.features, "-avx512f,-avx");
	config_free(&cfg);
	accept(&cfg, "K", "-c", "1,-avx,-avx512f");
	config_free(&cfg);
}
END_TEST

START_TEST(switches_and_choices)
{
	struct guest_config cfg;

	accept(&cfg, "K", "--exits", "hlt=off,pause=on", "--kvm", "pv-eoi=on,kvmclock=off,realtime-hint=on",
		"--pmu", "on", "--irqchip", "split", "--transport", "mmio", "--on-reset", "restart",
		"--serial", "file=/tmp/a,b=c", "--force", "--dry-run", "--debug-exit", "--report", "r.json",
		"--log", "l", "--profile", "times=on");
	ck_assert_int_eq(cfg.exits.hlt, TRI_OFF);
	ck_assert_int_eq(cfg.exits.pause, TRI_ON);
	ck_assert_int_eq(cfg.exits.mwait, TRI_DEFAULT);
	ck_assert_int_eq(cfg.exits.cstate, TRI_DEFAULT);
	ck_assert_int_eq(cfg.kvm.pv_eoi, TRI_ON);
	ck_assert_int_eq(cfg.kvm.kvmclock, TRI_OFF);
	ck_assert_int_eq(cfg.kvm.realtime_hint, TRI_ON);
	ck_assert_int_eq(cfg.kvm.steal_time, TRI_DEFAULT);
	ck_assert(cfg.pmu && cfg.force && cfg.dry_run && cfg.debug_exit);
	ck_assert_int_eq(cfg.transport, TRANSPORT_MMIO);
	ck_assert_int_eq(cfg.on_reset, ON_RESET_RESTART);
	ck_assert_int_eq(cfg.serial, SERIAL_FILE);
	ck_assert_str_eq(cfg.serial_path, "/tmp/a,b=c");
	ck_assert_str_eq(cfg.report, "r.json");
	ck_assert_str_eq(cfg.log, "l");
	ck_assert(cfg.profile_times);
	config_free(&cfg);

	refuse("--exits: needs a value, KEY=VALUE", "K", "--exits");
	refuse("--exits hlt: needs a value, hlt=on|off", "K", "--exits", "hlt");
	refuse("--exits on: unknown key; it has hlt, pause, mwait, cstate", "K", "--exits", "on");
	refuse("--kvm pv-eoi=1: must be on or off", "K", "--kvm", "pv-eoi=1");
	refuse("--pmu maybe: must be on or off", "K", "--pmu", "maybe");
	refuse("--pmu: needs a value, on|off", "K", "--pmu");
	accept(&cfg, "K", "--irqchip", "user", "--halt-poll", "off");
	ck_assert_int_eq(cfg.irqchip, IRQCHIP_USER);
	config_free(&cfg);
	refuse("--irqchip user: not with --exits hlt=off", "K", "--irqchip", "user", "--exits", "hlt=off");
	refuse("--irqchip user: not with --pmu on", "K", "--irqchip", "user", "--pmu", "on");
	refuse("--halt-poll 5ms: not with --irqchip user", "K", "--irqchip", "user", "--halt-poll", "5ms");
	accept(&cfg, "K", "--halt-poll", "vmm,max=1ms,grow=4,grow-start=20us,shrink=8");
	ck_assert_int_eq(cfg.irqchip, IRQCHIP_USER);
	config_free(&cfg);
	accept(&cfg, "K", "--halt-poll", "vmm", "--irqchip", "user");
	config_free(&cfg);
	refuse("--halt-poll vmm: needs --irqchip user", "K", "--irqchip", "split", "--halt-poll", "vmm");
	accept(&cfg, "K", "--halt-poll", "off", "--exits", "hlt=off");
	config_free(&cfg);
	accept(&cfg, "K", "--halt-poll", "default", "--exits", "hlt=off");
	config_free(&cfg);
	accept(&cfg, "K", "--halt-poll", "50us", "--exits", "hlt=on");
	config_free(&cfg);
	refuse("--halt-poll vmm: not with --exits hlt=off", "K", "--halt-poll", "vmm", "--exits", "hlt=off");
	refuse("--halt-poll vmm: not with --pmu on", "K", "--halt-poll", "vmm", "--pmu", "on");
	refuse("--irqchip x: must be split or user", "K", "--irqchip", "x");
	refuse("--irqchip: needs a value, split|user", "K", "--irqchip");
	ck_assert_ptr_null(strstr(said, "its"));
	refuse("--irqchip its: does not exist on x86: an MSI goes to a local APIC", "K", "--irqchip", "its");
	refuse("--transport usb: must be pci or mmio", "K", "--transport", "usb");
	refuse("--on-reset x: must be exit or restart", "K", "--on-reset", "x");
	refuse("--serial file: must be stdio, off, pty, file=PATH or socket=PATH", "K", "--serial", "file");
	refuse("--serial file=: must not be empty", "K", "--serial", "file=");
	refuse("--serial stdiox: must be", "K", "--serial", "stdiox");
	refuse("--rng x", "K", "--rng=x");
	refuse("--verbose x: takes no value", "K", "--verbose=x");
}
END_TEST

START_TEST(times)
{
	struct guest_config cfg;

	accept(&cfg, "K", "--timeout", "90", "--grace", "250ms");
	ck_assert_uint_eq(cfg.timeout_ns, 90000000000ULL);
	ck_assert_uint_eq(cfg.grace_ns, 250000000ULL);
	config_free(&cfg);
	accept(&cfg, "K", "--timeout", "0", "--grace", "0");
	ck_assert_uint_eq(cfg.grace_ns, 0);
	config_free(&cfg);
	refuse("--timeout 5m: not a duration: write whole digits and ns, us, ms or s", "K", "--timeout", "5m");
	refuse("--timeout 1.5: not a duration", "K", "--timeout", "1.5");
	refuse("--timeout 315360001: must be 0 to 315360000s", "K", "--timeout", "315360001");
	refuse("--timeout 18446744073709551s: must be 0 to", "K", "--timeout", "18446744073709551s");
}
END_TEST

UNIT_MAIN("options", defaults_are_the_documented_ones, every_spelling_of_an_option, the_kernel, cpus_and_memory,
	nodes, features_are_whole_names, switches_and_choices, times)
