// SPDX-License-Identifier: Apache-2.0
/* The address map put to use: where RAM lies, where PCI windows and slots are. Main only. */
#include "arch/arm64/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "arch/arch.h"
#include "devices/pci.h"
#include "devices/virtio/devs.h"
#include "vmm/memory/mem.h"

#define PAGE	     4096
#define IPA_BITS_OLD 40 /* of every KVM that cannot say */
#define IPA_BITS_MIN 32 /* Documentation/virt/kvm/api.rst, 4.2 KVM_CREATE_VM */

int arch_ram_ranges(uint64_t size, struct ram_range *out, unsigned max)
{
	if (!size || size % PAGE || size > UINT64_MAX - RAM_BASE || !max)
		return -EINVAL;
	out[0] = (struct ram_range){.gpa = RAM_BASE, .size = size};
	return 1;
}

uint64_t arm64_tail(const struct guest_mem *mem)
{
	uint64_t top = mem_top(mem);

	if (top > RAM_BASE + BOOT_WINDOW)
		top = RAM_BASE + BOOT_WINDOW;
	return (top & ~(TAIL_SIZE - 1)) - TAIL_SIZE;
}

unsigned arch_phys_bits(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), bits;

	if (fd < 0)
		return IPA_BITS_OLD;
	bits = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
	close(fd);
	return bits > 0 ? (unsigned)bits : IPA_BITS_OLD;
}

unsigned arm64_ipa_bits(uint64_t mem_top, unsigned most)
{
	uint64_t end = (mem_top + 2 * PCI_MEM64_MIN - 1) & ~(PCI_MEM64_MIN - 1);
	unsigned bits = IPA_BITS_MIN;

	while (bits < most && end > 1ULL << bits)
		bits++;
	return bits;
}

void arm64_pci_layout(struct pci_layout *out, uint64_t mem_top, unsigned most)
{
	*out = (struct pci_layout){
		.ecam = PCI_ECAM_BASE,
		.ecam_size = PCI_ECAM_SIZE,
		.mem32 = PCI_MEM32_BASE,
		.mem32_size = PCI_MEM32_SIZE,
		.mem64_size = PCI_MEM64_SIZE,
	};
	pci_place_mem64(out, mem_top, PCI_MEM64_MIN, arm64_ipa_bits(mem_top, most));
}

void arch_pci_layout(struct pci_layout *out, uint64_t mem_top)
{
	arm64_pci_layout(out, mem_top, arch_phys_bits());
}

_Static_assert(PIN_MMIO_FIRST + MMIO_SLOTS <= BOARD_PINS, "slots have pins of the board");
_Static_assert(256 * PVTIME_EACH <= PVTIME_SIZE, "every vCPU has its stolen time");
_Static_assert(FDT_MAX % 0x10000 == 0 && TAIL_SIZE % 0x20000 == 0, "stolen time has pages of its own");
_Static_assert(GIC_ITS % 0x10000 == 0, "KVM_VGIC_ITS_ADDR_TYPE takes it");
_Static_assert(GIC_INTIDS % 32 == 0 && GIC_INTIDS <= 1020, "KVM_DEV_ARM_VGIC_GRP_NR_IRQS takes it");

unsigned arch_mmio_slots(void)
{
	return MMIO_SLOTS;
}

void arch_mmio_slot(struct mmio_slot *out, unsigned i)
{
	*out = (struct mmio_slot){
		.base = MMIO_SLOT_BASE + i * MMIO_SLOT_SIZE,
		.size = MMIO_SLOT_SIZE,
		.gsi = PIN_MMIO_FIRST + i,
	};
}
