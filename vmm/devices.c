// SPDX-License-Identifier: Apache-2.0
/* The devices of a guest; see devices.h. Main only. */
#include "vmm/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/arch.h"
#include "devices/pci.h"
#include "devices/power.h"
#include "devices/serial.h"
#include "devices/virtio/devs.h"
#include "vmm/console/console.h"
#include "vmm/disk.h"
#include "vmm/guest.h"
#include "vmm/iothread.h"
#include "vmm/log.h"
#include "vmm/options/values.h"
#include "vmm/util.h"

static void console_quit(void *arg)
{
	guest_stop(arg, "Ctrl-A x");
}

int board_open(struct guest *guest)
{
	int err = console_open(&guest->console, guest->cfg, guest->loop, console_quit, guest);

	if (err)
		return err;
	err = irq_open(&guest->serial_irq, &guest->vm, arch_gsi(BOARD_SERIAL));
	if (!err)
		err = irq_open(&guest->power_irq, &guest->vm, arch_gsi(BOARD_POWER));
	if (!err)
		err = serial_create(&guest->serial, &guest->serial_irq, guest->console);
	if (!err)
		err = power_create(&guest->power, guest, &guest->power_irq);
	if (!err)
		err = arch_board_create(guest);
	return err;
}

void board_close(struct guest *guest)
{
	arch_board_destroy(guest);
	power_destroy(guest->power);
	serial_destroy(guest->serial);
	irq_close(&guest->power_irq);
	irq_close(&guest->serial_irq);
	console_close(guest->console);
}

_Static_assert(CONFIG_MAX_DEVICES == PCI_SLOTS - 1, "a bus that is full refuses what the arrays do not hold");

static int plug_mmio(struct guest *guest, struct virtio_dev *dev, struct virtio_transport **transport)
{
	struct mmio_slot slot;
	struct irq_src *irq;
	int err;

	arch_mmio_slot(&slot, guest->ndevices);
	err = virtio_mmio_create(transport, &guest->bus, &slot, &guest->vm, dev, &irq);
	if (!err)
		arch_irq_connect(guest, slot.gsi, irq);
	return err;
}

/* Put a new device where the guest finds it, at the next slot of the PCI bus or of the board; config_check() counted them. */
static int plug(struct guest *guest, struct virtio_dev *dev)
{
	unsigned n = guest->ndevices;
	struct virtio_transport *transport;
	int err;

	if (guest->cfg->transport == TRANSPORT_MMIO)
		err = plug_mmio(guest, dev, &transport);
	else
		err = virtio_pci_create(&transport, guest->pci, &guest->vm, dev);
	if (err)
		return err; /* logged, and dev is gone */
	guest->transport[n] = transport;
	guest->device[n] = dev;
	guest->ndevices++;
	return 0;
}

static int disk_plug(struct guest *guest, unsigned i)
{
	const struct disk_config *cfg = &guest->cfg->disks[i];
	struct loop *loop = iothread_loop(guest, cfg->iothread);
	struct virtio_dev *dev;
	struct disk *disk;
	char name[16];
	int err;

	if (!loop) {
		log_err("--disk %s,iothread=%s: there is no --iothread %s", cfg->path, cfg->iothread, cfg->iothread);
		return -ENOENT;
	}
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return -ENOMEM;
	err = disk_open(disk, cfg);
	if (err) {
		free(disk);
		return err;
	}
	snprintf(name, sizeof(name), "disk%u", i);
	err = virtio_blk_create(&dev, name, &guest->mem, loop, disk, cfg);
	if (err)
		return err;
	err = guest->cfg->profile_times ? virtio_time(dev) : 0;
	if (err) {
		dev->ops->destroy(dev);
		return log_errno(err, "%s", name);
	}
	err = plug(guest, dev);
	if (!err)
		guest->disk[guest->ndevices - 1] = disk;
	return err;
}

/* A tap that is made is often one whose name was mistyped, and then nobody hears the guest. */
static void say_net(const char *name, const struct tap *tap, struct virtio_dev *dev)
{
	char text[MAC_TEXT];
	uint8_t mac[6];

	virtio_net_mac(dev, mac);
	if (tap->made)
		log_note("%s: there was no tap %s: made one, without an address and in no bridge", name, tap->name);
	log_info("%s: tap %s, mac %s, mtu %u, pairs %u, link %s", name, tap->name, mac_text(mac, text), tap->mtu, tap->pairs,
		tap_link_name(tap->link));
}

static int net_plug(struct guest *guest, unsigned i)
{
	const struct net_config *cfg = &guest->cfg->nets[i];
	struct loop *loops[TAP_MAX_PAIRS] = {iothread_loop(guest, NULL)};
	struct virtio_dev *dev;
	char name[16] = "";
	unsigned n = 0;
	int err;

	while (cfg->iothread && n < TAP_MAX_PAIRS && !value_name_at(cfg->iothread, n, name, sizeof(name)) && *name) {
		loops[n] = iothread_loop(guest, name);
		if (!loops[n++]) {
			log_err("--net iothread=%s: there is no --iothread %s", cfg->iothread, name);
			return -ENOENT;
		}
	}
	snprintf(name, sizeof(name), "net%u", i);
	err = virtio_net_create(&dev, name, &guest->mem, loops, n ? n : 1, cfg);
	if (err)
		return err;
	err = plug(guest, dev);
	if (err)
		return err;
	guest->tap[guest->ndevices - 1] = virtio_net_tap(dev);
	say_net(name, virtio_net_tap(dev), dev);
	return 0;
}

static int pci_open(struct guest *guest)
{
	struct pci_layout layout;

	arch_pci_layout(&layout, mem_top(&guest->mem));
	return pci_bus_create(&guest->pci, &guest->bus, &layout);
}

/* All devices of a guest, in the order it sees them. */
int devices_open(struct guest *guest)
{
	struct virtio_dev *dev;
	int err = guest->cfg->transport == TRANSPORT_PCI ? pci_open(guest) : 0;

	for (unsigned i = 0; !err && i < guest->cfg->ndisks; i++)
		err = disk_plug(guest, i);
	for (unsigned i = 0; !err && i < guest->cfg->nnets; i++)
		err = net_plug(guest, i);
	if (!err && guest->cfg->rng) {
		err = virtio_rng_create(&dev, "rng", &guest->mem, iothread_loop(guest, NULL));
		if (!err)
			err = plug(guest, dev);
	}
	return err;
}

int devices_drain(struct guest *guest)
{
	int err = 0;

	for (unsigned i = 0; i < guest->ndevices; i++)
		guest->transport[i]->ask_reset(guest->transport[i]);
	for (unsigned i = 0; i < guest->ndevices; i++) {
		int e = guest->transport[i]->reset(guest->transport[i]);

		err = err ? err : e;
	}
	return err;
}

int devices_reset(struct guest *guest)
{
	int err = devices_drain(guest);

	if (err)
		return err; /* a late read would land in the next kernel's RAM */
	if (guest->pci)
		pci_bus_reset(guest->pci);
	serial_reset(guest->serial);
	power_reset(guest->power);
	arch_board_reset(guest);
	return 0;
}

void devices_close(struct guest *guest)
{
	for (unsigned i = guest->ndevices; i-- > 0;)
		guest->transport[i]->destroy(guest->transport[i]);
	pci_bus_destroy(guest->pci);
}
