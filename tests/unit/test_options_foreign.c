// SPDX-License-Identifier: Apache-2.0
/* What is no option of pinvm's, or none here: slips, words of other programs, what another architecture has. */
#include "tests/unit/options_unit.h"

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

UNIT_MAIN("options_foreign", wrong_options, foreign_options, foreign_keys, options_of_another_architecture,
	keys_of_another_architecture)
