/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI root bus with endpoints (bus 0, one function a slot): configuration space by ECAM and by mechanism 1
 * (0xcf8/0xcfc, where the architecture has port I/O), memory BARs inside two windows, MSI-X.
 * Register access comes from vCPU threads. BAR look-ups inside the windows are lock-free (seqlock); each
 * device's registers are behind that device's own mutex. PCI Local Bus 3.0 section 6, PCI Express base
 * specification section 7.
 */
#ifndef PINVM_PCI_H
#define PINVM_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/irq.h"

#define PCI_SLOTS 32
#define PCI_BARS  6

/* Where the architecture puts PCI (arch_pci_layout()). Sizes 0: absent. */
struct pci_layout {
	uint64_t ecam, ecam_size;   /* 1 MiB: bus 0 */
	uint64_t mem32, mem32_size; /* window for 32-bit BARs */
	uint64_t mem64, mem64_size; /* window for 64-bit BARs */
	bool mech1;		    /* 0xcf8/0xcfc */
};

/*
 * Put the window of 64-bit BARs above floor, on a multiple of its own size (a power of two, as it is wished
 * for). Where addresses of that many bits end before, it shrinks to `least` (1..) bytes, or is absent. Main.
 */
void pci_place_mem64(struct pci_layout *layout, uint64_t floor, uint64_t least, unsigned bits);

struct pci_dev;

struct pci_dev_ops {
	/* vCPU thread, device mutex held. off + len inside the BAR; len 1..8. */
	void (*bar_read)(struct pci_dev *dev, unsigned bar, uint64_t off, uint8_t *data, unsigned len);
	void (*bar_write)(struct pci_dev *dev, unsigned bar, uint64_t off, const uint8_t *data, unsigned len);
	/* A BAR became visible at (on) or left (off) guest-physical address gpa: move ioeventfds. mutex held.
	 * May be NULL. */
	void (*bar_mapped)(struct pci_dev *dev, unsigned bar, uint64_t gpa, bool on);
	/* Configuration bytes are about to be read / were written (the common part has handled them): for
	 * capabilities with registers behind them. mutex held. May be NULL. */
	void (*cfg_read)(struct pci_dev *dev, unsigned off, unsigned len);
	void (*cfg_written)(struct pci_dev *dev, unsigned off, unsigned len);
};

struct pci_bar {
	uint64_t size; /* power of two, 0: absent */
	uint64_t addr; /* current, as the guest programmed it */
	uint64_t at;   /* where it answers, while mapped; changes under the bus's lock and the device mutex */
	bool is64, prefetch, mapped;
};

struct pci_dev {
	const struct pci_dev_ops *ops;
	const char *name;
	unsigned slot;
	struct pci_bus *bus;
	pthread_mutex_t lock;			 /* PTHREAD_PRIO_INHERIT */
	uint8_t cfg[256], wmask[256], cfg0[256]; /* now; writable bits; as at power-on */
	struct pci_bar bar[PCI_BARS];
	unsigned cap_end; /* where the next capability goes */
	struct msix *msix;
};

struct pci_bus;
struct vm;

/* Put a bus with its host bridge (slot 0) on the board, before that is frozen. 0, -ENOMEM or what bus_add()
 * said. Main. */
int pci_bus_create(struct pci_bus **bus, struct bus *board, const struct pci_layout *layout);
/* Where it is, for whoever tells the guest. Constant, any thread. */
const struct pci_layout *pci_bus_layout(const struct pci_bus *bus);
/* Power-on state of the bus itself (host bridge, selected register); its devices have pci_dev_reset(). Main,
 * while no vCPU runs. */
void pci_bus_reset(struct pci_bus *bus);
/* Main, after every device is gone and nobody looks anything up on the board any more. */
void pci_bus_destroy(struct pci_bus *bus);

/* Fill a device's header (type 0) with ids and class; nothing is visible before pci_dev_add(). */
void pci_dev_init(struct pci_dev *dev, const struct pci_dev_ops *ops, const char *name, uint16_t vendor,
	uint16_t device, uint16_t subvendor, uint16_t subdevice, uint32_t class_rev);
/* Declare a memory BAR. size: a power of two >= 16. A 64-bit one takes registers bar and bar + 1. */
void pci_dev_bar(struct pci_dev *dev, unsigned bar, uint64_t size, bool is64, bool prefetch);
/* Append a capability of len bytes; the first two bytes of body are filled in here (id, next). Returns its
 * offset, or -ENOSPC. wmask: writable bits, len bytes, or NULL. */
int pci_dev_cap(struct pci_dev *dev, uint8_t id, const void *body, unsigned len, const void *wmask);
/* MSI-X capability, its table and PBA at off inside BAR bar (handled here, before bar_read/bar_write). 0 or
 * -errno. */
int pci_dev_msix(struct pci_dev *dev, struct vm *vm, unsigned nvec, unsigned bar, uint32_t off);
/* Bytes a table and PBA of nvec vectors take. */
uint32_t msix_size(unsigned nvec);
/* Interrupt through vector v (ignored when v is out of range or MSI-X is off). Any thread, lock-free. */
void pci_msix_raise(struct pci_dev *dev, unsigned v, struct loop *loop);

/* Plug into the next free slot and give its BARs addresses inside the windows. Decoding stays off (COMMAND 0)
 * until the guest turns it on. -ENOSPC: no slot, or no room in a window. Main, before vCPUs run. */
int pci_dev_add(struct pci_bus *bus, struct pci_dev *dev);
/* Power-on state of one device: configuration space, BAR addresses, MSI-X. Main, while no vCPU runs. */
void pci_dev_reset(struct pci_dev *dev);
/* Unplug, close MSI-X. Main, when no vCPU will run again. Also right for a device that was never added. */
void pci_dev_fini(struct pci_dev *dev);

/* Access a BAR as the guest would, whether it is mapped or not. Device mutex held. Ones, and no write, unless
 * off + len lies inside the BAR; len 1..8. */
void pci_bar_read(struct pci_dev *dev, unsigned bar, uint64_t off, uint8_t *data, unsigned len);
void pci_bar_write(struct pci_dev *dev, unsigned bar, uint64_t off, const uint8_t *data, unsigned len);

#endif
