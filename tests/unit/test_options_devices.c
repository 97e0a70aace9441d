// SPDX-License-Identifier: Apache-2.0
/* Options of devices, with right and wrong values: disks, their iothreads, nets. */
#include "tests/unit/options_unit.h"

#define TEN_DISKS	 "-da", "-da", "-da", "-da", "-da", "-da", "-da", "-da", "-da", "-da"
#define THIRTY_ONE_DISKS "-da", TEN_DISKS, TEN_DISKS, TEN_DISKS

START_TEST(disks)
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
}
END_TEST

START_TEST(iothreads)
{
	struct guest_config cfg;

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
	refuse("--disk a iothread=fast: no iothread fast; add --iothread fast", "K", "-d", "a,iothread=fast");
	refuse("--iothread fast: named twice", "K", "--iothread", "fast", "--iothread", "fast");
	refuse("--iothread main: it exists", "K", "--iothread", "main");
	refuse("--iothread vcpu0: ", "K", "--iothread", "vcpu0");
	refuse("--iothread a/b: must be letters", "K", "--iothread", "a/b");
	refuse("--iothread .a: must not start", "K", "--iothread", ".a");
	refuse("at most 12 characters", "K", "--iothread", "thirteenchars");
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

UNIT_MAIN("options_devices", disks, iothreads, nets)
