/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration space as a guest sees it, by both of its doors. Bus 0, function 0. No locks: one CPU at a time. */
#ifndef PINVM_TESTS_GUEST_PCI_H
#define PINVM_TESTS_GUEST_PCI_H

#include "tests/guest/lib/guest.h"

#define PCI_DEVS 32

/* Mechanism 1 (ports). off + len within one dword; len is 1, 2 or 4. */
uint32_t pci_read(unsigned dev, unsigned off, unsigned len);
void pci_write(unsigned dev, unsigned off, unsigned len, uint32_t value);
/* The same by ECAM (memory). */
uint32_t ecam_read(unsigned dev, unsigned off, unsigned len);
void ecam_write(unsigned dev, unsigned off, unsigned len, uint32_t value);

/* The nth device (from 0) of these ids; false: there is none. */
bool pci_find(uint16_t vendor, uint16_t device, unsigned nth, unsigned *dev);
/* The next capability of a kind behind `after` (0: the first), or 0. */
unsigned pci_cap(unsigned dev, uint8_t id, unsigned after);
/* A memory BAR's address, and its size by the usual writing of ones; the BAR is put back. */
uint64_t pci_bar(unsigned dev, unsigned bar);
uint64_t pci_bar_size(unsigned dev, unsigned bar);
void pci_bar_set(unsigned dev, unsigned bar, uint64_t addr);
/* Memory decoding and bus mastering. */
void pci_enable(unsigned dev, bool on);

#endif
