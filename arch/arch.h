/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the CPU demands: the one set of prototypes that each architecture's folder implements, chosen at link time.
 * Everything under vmm/ and devices/ meets an architecture here and nowhere else.
 */
#ifndef PINVM_ARCH_H
#define PINVM_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arch_boot;
struct bus;
struct guest;
struct guest_config;
struct guest_mem;
struct irq_msg;
struct irq_src;
struct kvm_irq_routing_entry;
struct mmio_slot;
struct pci_layout;
struct vcpu;
struct vm;

struct ram_range {
	uint64_t gpa, size;
};

/* name.c: "x86" or "arm64", as the options table spells it. */
const char *arch_name(void);
/* name.c: what makes a /dev/kvm that is not there, for a message. */
const char *arch_kvm_advice(void);

/* cpufeature.c: is this a CPU feature's name, as /proc/cpuinfo spells it, that -feat and +feat may use? Any thread. */
bool arch_cpu_feature_known(const char *name);
const char *arch_cpu_feature_names(void); /* which those are, in words that follow "no such CPU feature; " */

/* layout: split `size` bytes of RAM around the holes of the address map. Returns the number of ranges, or -EINVAL. */
int arch_ram_ranges(uint64_t size, struct ram_range *out, unsigned max);
/* Width of a physical address on this host, in bits; on arm64 the most that a guest's may have. */
unsigned arch_phys_bits(void);
/* mem_top: first byte after RAM. A 64-bit window that would end beyond the guest's addresses shrinks, or is absent (size 0). */
void arch_pci_layout(struct pci_layout *out, uint64_t mem_top);
/* Devices behind virtio-mmio: how many the board has room for, and where slot i is. */
unsigned arch_mmio_slots(void);
void arch_mmio_slot(struct mmio_slot *out, unsigned i);

/*
 * vm.c
 * arch_vm_type: the argument of KVM_CREATE_VM.
 * arch_vm_init: the interrupt controller, right after the memory slots. arch_vm_ready: after all vCPUs exist.
 * arch_vm_check: is this configuration possible here? One logged line and -errno when not. Nothing was created yet, not even RAM.
 */
unsigned long arch_vm_type(const struct vm *vm);
int arch_vm_check(struct vm *vm, const struct guest_config *cfg);
int arch_vm_init(struct vm *vm);
void arch_vm_exit(struct vm *vm); /* undoes arch_vm_check() */
int arch_vm_ready(struct vm *vm);
/* Who makes the guest's interrupts, in words for the log and the report; msi NULL: no device sends one. After vm_open(). */
struct irqchip_words {
	const char *controller, *msi;
};
struct irqchip_words arch_irqchip(const struct vm *vm);
/* MSIs take GSIs from here up; board pins are below. */
int arch_first_msi_gsi(void);
/* Fill the routing entry of entry->gsi: for an MSI, or what a board pin that irq_wired() knows has. */
void arch_msi_route(const struct vm *vm, struct kvm_irq_routing_entry *entry, const struct irq_msg *msg);

/*
 * board.c
 * Where the board's devices sit: arch_board_create() makes what belongs to the architecture (an IOAPIC) and adds it
 * and the devices devices.c made (serial, power, ...) to the bus.
 */
enum board_pin { BOARD_SERIAL, BOARD_POWER };
int arch_gsi(enum board_pin pin);
int arch_board_create(struct guest *guest);
/* Connect a source (opened for this GSI) to its pin. After arch_board_create(), before vCPUs run. */
void arch_irq_connect(struct guest *guest, int gsi, struct irq_src *src);
/* The VM and all devices are there, and no vCPU runs: at the start, and after a restart's arch_board_reset(). */
int arch_board_start(struct guest *guest);
void arch_board_reset(struct guest *guest);
void arch_board_destroy(struct guest *guest);

/*
 * vcpu.c
 * arch_vcpu_id: the id KVM_CREATE_VCPU gets (the APIC id on x86).
 * arch_vcpu_init: all that does not depend on the kernel image (CPUID, MSRs). Main.
 * arch_vcpu_boot: registers of the boot CPU for the loaded image. Main.
 * arch_vcpu_exit: an exit reason vmm/vcpu.c does not know. vCPU thread. > 0: continue, 0: continue after completing the
 *   exit, -errno: not known either.
 * arch_vcpu_dump: registers into the log, after a fatal exit. vCPU thread.
 */
unsigned arch_vcpu_id(const struct guest_config *cfg, unsigned index);
int arch_vcpu_init(struct vcpu *vcpu);
int arch_vcpu_boot(struct vcpu *vcpu, const struct arch_boot *boot);
int arch_vcpu_exit(struct vcpu *vcpu);
void arch_vcpu_dump(struct vcpu *vcpu);

/*
 * haltpoll.c: did the guest turn the host's halt polling off, since it polls by itself? 1, 0, -1: not known. It waits for
 * KVM_RUN to end, so by the vCPU's thread, or while that is parked.
 */
int arch_vcpu_guest_polls(const struct vcpu *vcpu);

/*
 * boot.c
 * The kernel image is opened and recognised once (arch_boot_open), and laid into RAM at each start or restart
 * (arch_boot_load), always from the same open file. Errors are one logged line that names --kernel / --initrd / --append.
 */
int arch_boot_open(struct arch_boot **boot, const struct guest_config *cfg);
int arch_boot_load(struct arch_boot *boot, const struct guest_config *cfg, const struct guest_mem *mem);
void arch_boot_close(struct arch_boot *boot);
const char *arch_boot_protocol(const struct arch_boot *boot); /* "linux64", "pvh", "multiboot", "image" */

/*
 * describe.c
 * Tell the guest its hardware (ACPI tables, FDT), after arch_boot_load().
 */
int arch_describe(struct guest *guest, struct arch_boot *boot);

#endif
