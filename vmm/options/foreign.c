// SPDX-License-Identifier: Apache-2.0
/* Spellings of other programs; see foreign.h. One line each: the words, and what is typed here. */
#include "vmm/options/foreign.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util.h"

/* `words` have a blank around each. */
struct foreign {
	const char *words, *here;
};

struct keys {
	const char *option, *words, *here;
};

#define IT_IS	"here it is "
#define NONE	"here is none: "
#define NOTHING "leave it out: "

static const struct foreign qemu[] = {
	{" smp cpu ", IT_IS "--cpus"},
	{" object ", "here it is --iothread NAME, or --memory, or --rng"},
	{" mem-path mem-prealloc ", IT_IS "--memory"},
	{" drive blockdev hda hdb hdc hdd ", IT_IS "--disk"},
	{" device ", "here it is --disk, --net or --rng"},
	{" netdev nic ", IT_IS "--net tap=NAME"},
	{" nographic display vga curses vnc spice full-screen g sdl gtk ",
		"here it is --serial, the only console; there is no display"},
	{" chardev parallel debugcon ", IT_IS "--serial"},
	{" readconfig ", IT_IS "--config FILE"},
	{" no-reboot ", NOTHING "a reset ends the guest; --on-reset restart is the other way"},
	{" action ", IT_IS "--on-reset exit|restart"},
	{" no-shutdown ", NONE "a guest that powers off is gone"},
	{" nodefaults no-user-config nodefconfig ", NOTHING "nothing is there that was not asked for"},
	{" enable-kvm accel no-kvm ", NOTHING "it is always KVM"},
	{" machine M ", NOTHING "there is one machine; --irqchip and --transport change it"},
	{" no-acpi no-hpet acpitable smbios rtc watchdog watchdog-action ", NONE "the machine has ACPI, and no such parts"},
	{" cdrom fda fdb mtdblock sd pflash ", "there are only virtio disks: --disk FILE,ro"},
	{" bios boot option-rom fw_cfg shim no-fd-bootchk ", NONE "there is no firmware; give a kernel"},
	{" dtb ", NONE "the device tree is made by pinvm"},
	{" monitor mon qmp qmp-pretty ", IT_IS "--control PATH"},
	{" S ", NONE "a guest starts at once; pinvm ctl NAME pause"},
	{" gdb s ", NONE "no debugger attaches to a guest"},
	{" daemonize ", NONE "pinvm stays in the foreground; a shell's & or systemd-run puts it elsewhere"},
	{" pidfile ", NONE "pinvm stays in the foreground; a shell's $! is its pid"},
	{" overcommit ", "here it is --memory SIZE,lock=on and --exits hlt=off"},
	{" realtime ", "here it is --memory SIZE,lock=on"},
	{" D trace ", IT_IS "--log FILE, and -v"},
	{" snapshot ", NONE "copy the image, or give --disk FILE,ro"},
	{" incoming loadvm only-migratable ", NONE "a guest is neither saved nor moved"},
	{" fsdev virtfs ", NONE "no directories are shared; --disk takes images"},
	{" usb usbdevice audio audiodev soundhw balloon tpmdev iscsi ", NONE "there are disks, networks and an entropy device"},
	{" sandbox run-with runas chroot ", NONE "pinvm drops all capabilities by itself; start it as the user it is to be"},
	{" global set add-fd uuid msg seed plugin preconfig writeconfig icount echr tb-size ", NONE "nothing of that kind can be set"},
};

static const struct foreign firecracker[] = {
	{" api-sock api-socket ", "here a running guest listens at --control PATH, and --config FILE describes it"},
	{" no-api http-api-max-payload-size mmds-size-limit metadata ",
		NONE "the guest is described on the command line or in --config FILE"},
	{" config-file ", IT_IS "--config FILE, of lines `option = value`"},
	{" id ", IT_IS "--name"},
	{" boot-timer start-time-us start-time-cpu-us ", NONE "-v and --report have times"},
	{" log-path log-file level show-level show-log-origin ", IT_IS "--log FILE, and -v"},
	{" metrics-path ", IT_IS "--stats FILE"},
	{" event-monitor ", IT_IS "--report FILE"},
	{" seccomp seccomp-filter no-seccomp seccomp-level ", NONE "there is no filter of system calls yet"},
};

static const struct foreign others[] = {
	{" cmdline params ", IT_IS "--append"},
	{" initramfs ", IT_IS "--initrd"},
	{" mem ram ", IT_IS "--memory"},
	{" vcpus vcpu ", IT_IS "--cpus"},
	{" network tap tap-name tap-fd host-ip ", IT_IS "--net tap=NAME or --net fd=N"},
	{" rwdisk block rwroot image ", IT_IS "--disk"},
	{" console tty ", IT_IS "--serial"},
	{" numatune ", IT_IS "--memory SIZE,host-node=LIST"},
	{" cputune cpuset ", IT_IS "--pin vcpu=LIST"},
	{" fs vsock pmem vdpa balloon tpm vfio ", NONE "there are disks, networks and an entropy device"},
	{" quiet ", NOTHING "without -v there is little to hear"},
};

static const struct keys keys[] = {
	{"iothread", " poll-max-ns ", "here it is poll-max=50us"},
	{"iothread", " poll-grow poll-shrink aio-max-batch ", "leave it out: it is learnt"},
	{"net", " ifname dev iface ", "here it is tap=NAME"},
	{"net", " type model netdev ", "here it is tap=NAME, or fd=N"},
	{"net", " queues num_queues mq ", "here it is pairs=N"},
	{"net", " vectors ", "leave it out: there are as many as the queues need"},
	{"net", " vhost vhostforce ", "leave it out: an iothread serves the tap"},
	{"net", " vhostfd vhostfds ", "leave it out: an iothread serves the tap; its own descriptor is fd=N"},
	{"net", " fds ", "here it is fd=[N,M,...] with pairs="},
	{"net", " script downscript ", "leave it out: no scripts; set the tap up before"},
	{"net", " bridge br ", "put a tap into the bridge (ip link set TAP master BRIDGE), then give tap=TAP"},
	{"net", " user hostfwd slirp passt ", "there is no network of user space; tools/netns needs no root, and gives a tap"},
	{"net", " ip mask ", "leave it out: give the tap its address before (ip address add)"},
	{"net", " macaddr hwaddr address ", "here it is mac=MAC"},
	{"net", " host_mtu ", "here it is mtu=N"},
	{"net", " rx_queue_size tx_queue_size queue_size ", "here it is queue-size=N"},
	{"net", " csum gso tso guest_csum offload_tso ", "here it is offload=on|off, for all of them"},
	{"net", " id ", "leave it out: devices are net0, net1 ... in the order given"},
	{"disk", " readonly read-only ", "here it is ro"},
	{"disk", " rw ", "leave it out: a disk can be written unless ro stands there"},
	{"disk", " format driver ", "leave it out: images are raw (qemu-img convert -O raw)"},
	{"disk", " cache o_direct ", "here it is direct, for cache=none; leave it out for the others"},
	{"disk", " file path filename ", "the PATH stands first, by itself: --disk PATH"},
	{"disk", " if bus media ", "leave it out: every disk is a virtio disk"},
	{"disk", " aio ", "here it is an option of its own, --io-engine"},
	{"disk", " num-queues num_queues ", "here it is queues=N"},
	{"disk", " queue_size ", "here it is queue-size=N"},
	{"disk", " id index unit ", "leave it out: disks come in the order given"},
	{"disk", " discard detect-zeroes werror rerror snapshot locking ", "leave it out: it cannot be chosen"},
	{"disk", " throttling.bps-total bps-total bw ", "here it is bps=BYTES"},
	{"disk", " throttling.iops-total iops-total ", "here it is iops=N"},
	{"memory", " size ", "the SIZE stands first, by itself: --memory SIZE"},
	{"memory", " maxmem slots hotplug_size hotplug_method ", "leave it out: no memory is added while the guest runs"},
	{"memory", " hugepage_size hugetlbsize hugetlb ", "here it is hugepages=2M, or 1G"},
	{"memory", " mem-path path ", "here it is hugepages=/DIR"},
	{"memory", " thp ", "here it is hugepages=thp"},
	{"memory", " share ", "here it is shared=on"},
	{"memory", " mergeable merge ", "leave it out: pages are not merged"},
	{"memory", " host-nodes ", "here it is host-node=LIST"},
	{"memory", " prefault ", "here it is prealloc=on"},
	{"numa", " mem size ", "here it is memory=SIZE"},
	{"numa", " node nodeid guest_numa_id ", "leave it out: nodes count from 0, in the order given"},
	{"numa", " memdev memory_zones ", "here it is memory=SIZE"},
	{"numa", " distances dist ", "here it is distance=[N:D,...]"},
	{"cpus", " cpus boot count ", "the number stands first, by itself: --cpus N"},
	{"cpus", " maxcpus max hotplug ", "leave it out: no CPU is added while the guest runs"},
	{"cpus", " dies clusters books drawers ", "leave it out: there are sockets, cores and threads"},
	{"cpus", " host ", "here it is cpu=host, which is the default"},
	{"cpus", " topology ", "here it is sockets=N,cores=N,threads=N"},
	{"cpus", " affinity ", "here it is an option of its own, --pin vcpuN=LIST"},
	{"cpus", " pmu ", "here it is an option of its own, --pmu on"},
};

static bool among(const char *words, const char *word)
{
	char with[48];

	if (!*word || strchr(word, ' ') || strlen(word) > sizeof(with) - 3)
		return false;
	snprintf(with, sizeof(with), " %s ", word);
	return strstr(words, with);
}

static const char *find(const struct foreign *table, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (among(table[i].words, word))
			return table[i].here;
	return NULL;
}

const char *foreign_option(const char *word, char *out, size_t n)
{
	const char *here, *whose = "QEMU's";
	char name[48];

	if (strcspn(word, "=") >= sizeof(name))
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	here = find(qemu, COUNT(qemu), name);
	if (!here) {
		whose = "Firecracker's";
		here = find(firecracker, COUNT(firecracker), name);
	}
	if (!here) {
		whose = "another program's";
		here = find(others, COUNT(others), name);
	}
	if (!here && !strncmp(name, "no-", 3)) {
		whose = "another program's";
		here = "here things are left out, not switched off";
	}
	if (!here)
		return NULL;
	snprintf(out, n, "%s spelling; %s", whose, here);
	return out;
}

const char *foreign_key(const char *option, const char *key)
{
	for (size_t i = 0; i < COUNT(keys); i++)
		if (!strcmp(keys[i].option, option) && among(keys[i].words, key))
			return keys[i].here;
	return NULL;
}
