// SPDX-License-Identifier: Apache-2.0
/* The command line: every option with right and wrong values, and what a refusal says. */
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

#define TEN_DISKS	 "-da", "-da", "-da", "-da", "-da", "-da", "-da", "-da", "-da", "-da"
#define THIRTY_ONE_DISKS "-da", TEN_DISKS, TEN_DISKS, TEN_DISKS

START_TEST(disks_and_iothreads)
{
	struct guest_config cfg;

	accept(&cfg, "K", "-d", "a,,b=[.img,ro,direct,queues=4,queue-size=1024,serial=S,,1,iothread=fast,"
					"bps=1000000,bps-burst=64K,iops=10K,iops-burst=9",
		"--disk=b,ro=off", "--iothread", "fast", "--iothread=slow", "--io-engine", "plain");
	ck_assert_uint_eq(cfg.ndisks, 2);
	ck_assert_str_eq(cfg.disks[0].path, "a,b=[.img");
	ck_assert(cfg.disks[0].ro && cfg.disks[0].direct);
	ck_assert_uint_eq(cfg.disks[0].queues, 4);
	ck_assert_uint_eq(cfg.disks[0].queue_size, 1024);
	ck_assert_str_eq(cfg.disks[0].serial, "S,1");
	ck_assert_str_eq(cfg.disks[0].iothread, "fast");
	ck_assert_uint_eq(cfg.disks[0].bps, 1000000);
	ck_assert_uint_eq(cfg.disks[0].bps_burst, 64 << 10);
	ck_assert_uint_eq(cfg.disks[0].iops, 10000);
	ck_assert_uint_eq(cfg.disks[0].iops_burst, 9);
	ck_assert_str_eq(cfg.disks[1].path, "b");
	ck_assert(!cfg.disks[1].ro && !cfg.disks[1].direct);
	ck_assert_uint_eq(cfg.disks[1].queues, 1);
	ck_assert_uint_eq(cfg.disks[1].queue_size, 256);
	ck_assert_ptr_null(cfg.disks[1].serial);
	ck_assert_uint_eq(cfg.niothreads, 2);
	ck_assert_str_eq(cfg.iothreads[1].name, "slow");
	ck_assert_int_eq(cfg.io_engine, IO_PLAIN);
	config_free(&cfg);
	accept(&cfg, "K", "-d", "a,iothread=main");
	ck_assert_uint_eq(cfg.main_iothread.poll_max_ns, 0);
	config_free(&cfg);
	accept(&cfg, "K", "--iothread", "a,poll-max=50us", "--iothread", "main,poll-max=1ms,poll-weight=9", "--iothread", "b");
	ck_assert_uint_eq(cfg.niothreads, 2);
	ck_assert_uint_eq(cfg.iothreads[0].poll_max_ns, 50000);
	ck_assert_uint_eq(cfg.iothreads[0].poll_weight, 0);
	ck_assert_str_eq(cfg.iothreads[1].name, "b");
	ck_assert_uint_eq(cfg.iothreads[1].poll_max_ns, 0);
	ck_assert_uint_eq(cfg.main_iothread.poll_max_ns, 1000000);
	ck_assert_uint_eq(cfg.main_iothread.poll_weight, 9);
	config_free(&cfg);
	refuse("--iothread main: it exists without being named", "K", "--iothread", "main");
	refuse("--iothread main: named twice", "K", "--iothread", "main,poll-max=1us", "--iothread", "main,poll-max=1us");
	refuse("--iothread a: named twice", "K", "--iothread", "a", "--iothread", "a,poll-max=1us");
	refuse("--iothread a,poll-weight=3: does nothing without poll-max", "K", "--iothread", "a,poll-weight=3");
	refuse("--iothread poll-max=20ms: ", "K", "--iothread", "a,poll-max=20ms");
	refuse("--iothread poll-max=50: a time needs its unit, as in 50us (0 to 10ms)", "K", "--iothread", "a,poll-max=50");
	refuse("--iothread poll-max=fast: not a duration: write whole digits and ns, us, ms or s, as in 50us", "K", "--iothread",
		"a,poll-max=fast");
	accept(&cfg, "K", "--iothread", "a,poll-max=0");
	config_free(&cfg);
	refuse("--iothread poll-max-ns=50: no key of pinvm's; here it is poll-max=50us", "K", "--iothread", "a,poll-max-ns=50");
	refuse("--iothread poll-weight=0: must be 1 to 1000", "K", "--iothread", "a,poll-max=1us,poll-weight=0");

	refuse("--disk queues=0: must be 1 to 16", "K", "-d", "a,queues=0");
	refuse("--disk queues=17: must be 1 to 16", "K", "-d", "a,queues=17");
	refuse("--disk queues=99999999999999999999999: must be 1 to 16", "K", "-d",
		"a,queues=99999999999999999999999");
	refuse("--disk queues=-1: not a number (1 to 16)", "K", "-d", "a,queues=-1");
	refuse("--disk queues=2M: not a number", "K", "-d", "a,queues=2M");
	refuse("--disk queue-size=100: must be a power of two, 4 to 1024", "K", "-d", "a,queue-size=100");
	refuse("--disk bps=1: must be 1K to 1T bytes a second; 1K is 1024", "K", "-d", "a,bps=1");
	refuse("--disk bps=8kbit: it counts bytes, not bits: that would be 1000 (", "K", "-d", "a,bps=8kbit");
	refuse("--disk bps-burst=1MB: not a size: write whole digits and K, M, G or T, as in 1536M (1K to 1T bytes; 1K is 1024)",
		"K", "-d", "a,bps=1M,bps-burst=1MB");
	refuse("--disk iops=2G: must be 1 to 1000000000 requests a second", "K", "-d", "a,iops=2G");
	/* One slot of the bus is the host bridge's. */
	refuse("--disk: 32 are given; the PCI bus has room for 31", "K", "-da", THIRTY_ONE_DISKS);
	refuse("--transport mmio: 32 devices are given; the board has pins for ", "K", "--transport", "mmio", "--rng",
		THIRTY_ONE_DISKS);
	refuse("--disk: 31 are given; the PCI bus has room for 30 beside --rng", "K", "--rng", THIRTY_ONE_DISKS);
	refuse("--disk, --net: 32 are given; the PCI bus has room for 31", "K", "-N", "tap=t", THIRTY_ONE_DISKS);
	/* Header, data and status are three descriptors. */
	refuse("--disk queue-size=2: must be a power of two, 4 to 1024", "K", "-d", "a,queue-size=2");
	refuse("--disk serial=123456789012345678901: must be at most 20 characters", "K", "-d",
		"a,serial=123456789012345678901");
	refuse("--disk ro=yes: must be on or off", "K", "-d", "a,ro=yes");
	refuse("--disk size=1: unknown key; it has ro, direct, queues, queue-size, serial, iothread", "K",
		"-d", "a,size=1");
	refuse("--disk ro: given twice", "K", "-d", "a,ro,ro");
	refuse("--disk ro=off: given twice", "K", "-d", "a,ro,ro=off");
	refuse("an empty item", "K", "-d", "a,");
	refuse("--disk ro,: unknown key", "K", "-d", "a,ro,,,queues=1");
	refuse("must not be empty", "K", "-d", "");
	refuse("must not be empty", "K", "-d", ",ro");
	refuse("--disk a,serial=[1,2]x: a list", "K", "-d", "a,serial=[1,2]x");
	refuse("must end with ]", "K", "-d", "a,serial=[1,2");
	refuse("--disk a iothread=fast: no iothread fast; add --iothread fast", "K", "-d", "a,iothread=fast");
	refuse("--iothread fast: named twice", "K", "--iothread", "fast", "--iothread", "fast");
	refuse("--iothread main: it exists", "K", "--iothread", "main");
	refuse("--iothread vcpu0: ", "K", "--iothread", "vcpu0");
	refuse("--iothread a/b: must be letters", "K", "--iothread", "a/b");
	refuse("--iothread .a: must not start", "K", "--iothread", ".a");
	refuse("at most 12 characters", "K", "--iothread", "thirteenchars");
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

START_TEST(wrong_options)
{
	char longest[300];

	refuse("--memry: unknown option; did you mean --memory?", "K", "--memry", "1G");
	refuse("--diks: unknown option; did you mean --disk?", "K", "--diks=a");
	refuse("--frobnicate: unknown option; `pinvm run --help` lists them", "K", "--frobnicate");
	refuse("-x: unknown option", "K", "-x");
	refuse("-vx: unknown option", "K", "-vx");
	refuse("--memory: needs a value, SIZE", "K", "--memory");
	refuse("--memory: needs a value, SIZE", "K", "-m");
	refuse("--append: needs a value, STR", "K", "--append", "--rng");
	refuse("--memory 2G: given twice", "K", "-m", "1G", "--memory", "2G");
	refuse("--rng: given twice", "K", "--rng", "--rng");
	refuse("--config: given twice", "K", "--config", "a", "--config", "b");
	refuse("--name a?b: must be letters", "K", "--name", "a\nb");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	refuse("xxx...: must be at most 64 characters", "K", "--name", longest);
	memcpy(longest, "--", 2);
	refuse("unknown option", "K", longest);
	refuse("-kernel: QEMU's spelling; here it is --kernel", "-kernel", "K");
	refuse("-append: QEMU's spelling; here it is --append", "K", "-append", "x");
	refuse("-smp: QEMU's spelling; here it is --cpus", "K", "-smp", "2");
	refuse("-cpu: QEMU's spelling; here it is --cpus", "K", "-cpu", "host");
	refuse("-netdev: QEMU's spelling; here it is --net", "K", "-netdev", "tap");
	refuse("-nographic: QEMU's spelling; here it is --serial", "K", "-nographic");
}
END_TEST

/* Words of other programs are neither letters with a value nor a riddle. */
START_TEST(foreign_options)
{
	struct guest_config cfg;

	refuse("-no-reboot: QEMU's spelling; leave it out: a reset ends the guest", "K", "-no-reboot");
	refuse("-nodefaults: QEMU's spelling; leave it out", "K", "-nodefaults");
	refuse("-no-such-thing: another program's spelling; here things are left out", "K", "-no-such-thing");
	refuse("-machine: QEMU's spelling; leave it out: there is one machine", "K", "-machine", "q35");
	refuse("-M: QEMU's spelling; leave it out: there is one machine", "K", "-M", "q35");
	refuse("--machine: QEMU's spelling", "K", "--machine=q35");
	refuse("-daemonize: QEMU's spelling; here is none: pinvm stays in the foreground", "K", "-daemonize");
	refuse("-cdrom: QEMU's spelling; there are only virtio disks: --disk FILE,ro", "K", "-cdrom", "x");
	refuse("--drive: QEMU's spelling; here it is --disk", "K", "--drive", "file=x");
	refuse("--nic: QEMU's spelling; here it is --net tap=NAME", "K", "--nic", "tap");
	refuse("--api-sock: Firecracker's spelling; here a running guest listens at --control", "K", "--api-sock", "x");
	refuse("--config-file: Firecracker's spelling; here it is --config FILE", "--config-file", "x");
	refuse("--mem: another program's spelling; here it is --memory", "K", "--mem", "1G");
	refuse("--tap: another program's spelling; here it is --net tap=NAME", "K", "--tap", "tap0");
	accept(&cfg, "K", "-nno-reboot", "-dfile");
	ck_assert_str_eq(cfg.name, "no-reboot");
	config_free(&cfg);
}
END_TEST

START_TEST(foreign_keys)
{
	struct guest_config cfg;

	refuse("--net tap0: no key; did you mean tap=tap0?", "K", "-N", "tap0");
	refuse("--net 3: unknown key; it has tap, fd", "K", "-N", "3");
	refuse("--net user: no key of pinvm's; there is no network of user space; tools/netns", "K", "-N", "user");
	refuse("--net bridge=br0: no key of pinvm's; put a tap into the bridge", "K", "-N", "bridge=br0");
	refuse("--net ifname=tap0: no key of pinvm's; here it is tap=NAME", "K", "-N", "ifname=tap0");
	refuse("--net vhost=on: no key of pinvm's; leave it out", "K", "-N", "tap=a,vhost=on");
	refuse("--net queues=2: no key of pinvm's; here it is pairs=N", "K", "-N", "tap=a,queues=2");
	refuse("--net offlaod=on: unknown key; did you mean offload?", "K", "-N", "tap=a,offlaod=on");
	refuse("--disk readonly: no key of pinvm's; here it is ro", "K", "-d", "F,readonly");
	refuse("--disk readonly=on: no key of pinvm's; here it is ro", "K", "-d", "F,readonly=on");
	refuse("--disk format=raw: no key of pinvm's; leave it out: images are raw", "K", "-d", "F,format=raw");
	refuse("--disk cache=none: no key of pinvm's; here it is direct", "K", "-d", "F,cache=none");
	refuse("--disk rw: no key of pinvm's; leave it out", "K", "-d", "F,rw");
	refuse("--disk file=F: the PATH stands first, by itself", "K", "-d", "file=F,format=raw");
	refuse("--memory maxmem=4G: no key of pinvm's; leave it out", "K", "-m", "1G,maxmem=4G");
	refuse("--cpus maxcpus=4: no key of pinvm's; leave it out", "K", "-c", "1,maxcpus=4");
	refuse("--cpus core=1: unknown key; did you mean cores?", "K", "-c", "1,core=1");
	accept(&cfg, "K", "-d", "./file=F");
	ck_assert_str_eq(cfg.disks[0].path, "./file=F");
	config_free(&cfg);
	refuse("--report -: would be a file of that name: give /dev/stdout", "K", "--report", "-");
	refuse("--log -: would be a file of that name", "K", "--log=-");
	refuse("--serial file=-: would be a file of that name", "K", "--serial", "file=-");
}
END_TEST

START_TEST(nets)
{
	struct guest_config cfg;

	accept(&cfg, "K", "-N", "tap=tap0,mac=02:00:00:00:00:ff,pairs=2,iothread=[a,b]", "--net=fd=[3,7],pairs=2", "--iothread", "a",
		"--iothread", "b");
	ck_assert_uint_eq(cfg.nnets, 2);
	ck_assert_str_eq(cfg.nets[0].tap, "tap0");
	ck_assert_str_eq(cfg.nets[0].iothread, "[a,b]");
	ck_assert_uint_eq(cfg.nets[1].queue_size, 256);
	ck_assert_ptr_null(cfg.nets[1].tap);
	ck_assert_mem_eq(cfg.nets[0].mac, "\x02\0\0\0\0\xff", 6);
	ck_assert_msg(!memcmp(cfg.nets[1].mac, "\0\0\0\0\0\0", 6), "none was given");
	config_free(&cfg);

	refuse("--net: needs tap=NAME or fd=N", "K", "-N", "mtu=1500");
	refuse("--net: tap= and fd= exclude each other", "K", "-N", "tap=a,fd=3");
	refuse("--net fd=3: pairs=2 needs as many descriptors", "K", "-N", "fd=3,pairs=2");
	refuse("--net fd=[3,4]: a pair of queues for each descriptor: add pairs=2", "K", "-N", "fd=[3,4]");
	refuse("--net fd=[3,3]: a descriptor stands there twice", "K", "-N", "fd=[3,3],pairs=2");
	refuse("--net fd=3: given twice; each device needs descriptors of its own", "K", "-N", "fd=3", "-N", "fd=3");
	refuse("--net fd=[4,3]: given twice", "K", "-N", "fd=3", "-N", "fd=[4,3],pairs=2");
	refuse("--net fd=3-4: not a descriptor", "K", "-N", "fd=3-4,pairs=2");
	refuse("--net fd=x: not a descriptor, or a list of them: write it as 3 or [3,4]", "K", "-N", "fd=x");
	refuse("--net tap=abcdefghijklmnop: must be at most 15 characters", "K", "-N", "tap=abcdefghijklmnop");
	refuse("--net mac=02:00:00:00:00: not an Ethernet address", "K", "-N", "tap=a,mac=02:00:00:00:00");
	refuse("--net mac=02:00:00:00:00:0g: not an Ethernet address", "K", "-N", "tap=a,mac=02:00:00:00:00:0g");
	refuse("--net mac=+2:00:00:00:00:01: not an Ethernet address", "K", "-N", "tap=a,mac=+2:00:00:00:00:01");
	refuse("--net mac=03:00:00:00:00:00: a group's address", "K", "-N", "tap=a,mac=03:00:00:00:00:00");
	refuse("--net mac=00:00:00:00:00:00: nobody's address", "K", "-N", "tap=a,mac=00:00:00:00:00:00");
	refuse("--net mtu=67: must be 68 to 65521", "K", "-N", "tap=a,mtu=67");
	refuse("--net tap=a/b: not a name the kernel gives an interface", "K", "-N", "tap=a/b");
	refuse("--net tap=tap%d: not a name the kernel gives", "K", "-N", "tap=tap%d");
	refuse("--net tap=a: given twice; each device needs a tap of its own", "K", "-N", "tap=a", "-N", "tap=a");
	refuse("--net a pps-burst: without a rate nothing is held back; add pps=", "K", "-N", "tap=a,bps=1M,pps-burst=1");
	refuse("--net a bps-burst: without a rate nothing is held back; add bps=", "K", "-N", "tap=a,pps=1,bps-burst=1M");
	refuse("--net iothread=x: no iothread x; add --iothread x", "K", "-N", "tap=a,iothread=x");
	refuse("--net iothread=[main,x]: no iothread x; add --iothread x", "K", "-N", "tap=a,pairs=2,iothread=[main,x]");
	refuse("--net iothread=[main,a]: 2 iothreads for pairs=1", "K", "-N", "tap=a,iothread=[main,a]", "--iothread", "a");
	refuse("--net iothread=[a,]: not a name, or a list of them", "K", "-N", "tap=a,iothread=[a,]", "--iothread", "a");
	refuse("--net iothread=[]: not a name, or a list of them", "K", "-N", "tap=a,iothread=[]");
}
END_TEST

START_TEST(options_of_another_architecture)
{
	struct guest_config cfg;

	arch = "arm64";
	refuse("--debug-exit: does not exist on arm64: there are no I/O ports", "K", "--debug-exit");
	refuse("--exits: does not exist on arm64: ", "K", "--exits", "hlt=off");
	accept(&cfg, "K", "--irqchip", "its");
	ck_assert_int_eq(cfg.irqchip, IRQCHIP_ITS);
	config_free(&cfg);
	accept(&cfg, "K", "--transport", "mmio");
	ck_assert_int_eq(cfg.irqchip, IRQCHIP_SPLIT);
	config_free(&cfg);
	refuse("--irqchip user: does not exist on arm64: KVM handles WFI itself", "K", "--irqchip", "user");
	refuse("--irqchip x: must be split or its", "K", "--irqchip", "x");
	refuse("--irqchip: needs a value, split|its", "K", "--irqchip");
	refuse("--irqchip its: with --transport mmio no device sends MSIs", "K", "--irqchip", "its", "--transport", "mmio");
}
END_TEST

/* Stolen time is KVM's on both; the rest of --kvm is refused key by key, each with its reason. */
START_TEST(keys_of_another_architecture)
{
	struct guest_config cfg;
	const struct opt_row *row = opt_table;
	char arg[64], want[256];

	arch = "arm64";
	accept(&cfg, "K", "--kvm", "steal-time=off");
	ck_assert_int_eq(cfg.kvm.steal_time, TRI_OFF);
	config_free(&cfg);
	refuse("--kvm nosuch=on: unknown key; it has steal-time", "K", "--kvm", "nosuch=on");
	refuse("--kvm pv-ipi=on: does not exist on arm64: ", "K", "--kvm", "steal-time=on,pv-ipi=on");
	while (strcmp(row->name, "kvm"))
		row++;
	for (unsigned i = 0; i < row->nkeys; i++) {
		if (opt_key_here(&row->keys[i]))
			continue;
		snprintf(arg, sizeof(arg), "--kvm=%s=off", row->keys[i].name);
		snprintf(want, sizeof(want), "--kvm %s=off: does not exist on arm64: %s", row->keys[i].name, row->keys[i].why);
		refuse(want, "K", arg);
	}
}
END_TEST

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

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t dice(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

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

UNIT_MAIN("options", defaults_are_the_documented_ones, every_spelling_of_an_option, the_kernel,
	cpus_and_memory, nodes, features_are_whole_names, disks_and_iothreads, switches_and_choices, times,
	wrong_options, foreign_options, foreign_keys, nets, options_of_another_architecture, keys_of_another_architecture,
	every_value_of_the_table, random_arguments)
