/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM descriptor of KVM: capabilities, memory slots, the one owner of the GSI routing table, irqfds and ioeventfds.
 * Kernel document: Documentation/virt/kvm/api.rst. Order of calls: slots, irqchip, vCPUs, then irqfds and ioeventfds
 * (memory slot and vCPU ioctls after an io-bus registration wait for an SRCU grace period).
 */
#ifndef PINVM_VM_H
#define PINVM_VM_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"
#include "vmm/memory/mem.h"

#define VM_MAX_GSI 1024 /* routing entries: the board's pins, then MSIs (arch_first_msi_gsi()) */

struct kvm_irq_routing;
struct arch_vm;
struct irq_direct;
struct irq_src;

struct vm {
	int kvm_fd; /* /dev/kvm, open from vm_init to vm_exit */
	int fd;     /* the VM; changes when a guest restarts */
	unsigned run_size;
	const struct guest_config *cfg;
	const struct guest_mem *mem;
	struct arch_vm *arch; /* the architecture's own */
	const struct irq_direct *direct; /* set by arch_vm_init(), for good; NULL: irqfds */

	pthread_mutex_t irq_lock;          /* routing table below; never held while waiting for a loop */
	struct irq_src *gsi[VM_MAX_GSI];   /* NULL: free */
	struct kvm_irq_routing *table;     /* room to build the table in */
	_Atomic uint64_t route_writes;     /* KVM_SET_GSI_ROUTING calls made, for tests and the report */
};

/*
 * Open /dev/kvm and check API and required capabilities. -errno after one logged line that says what would help.
 * mem: may be empty until vm_open().
 */
int vm_init(struct vm *vm, const struct guest_config *cfg, const struct guest_mem *mem);
void vm_exit(struct vm *vm);

/* Create the VM descriptor with its slots and the architecture's interrupt controller (arch_vm_init()).
 * Called again for a restart, after vm_close(). */
int vm_open(struct vm *vm);
void vm_close(struct vm *vm);

/* KVM_CHECK_EXTENSION on the VM (or on /dev/kvm before there is one). >= 0. */
int vm_cap(const struct vm *vm, int cap);

/* Are that many vCPUs possible here? 0, or -EINVAL, logged. Main. */
int vm_check_vcpus(const struct vm *vm, unsigned count);

/*
 * Bind or unbind an eventfd to a guest-physical MMIO address: a write there signals fd, of any width, or with value >= 0 only
 * one of 4 bytes that writes that value. Any thread. 0 or -errno.
 */
#define VM_KICK_ANY (-1)
int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd);
int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd);

/* Used by irq.c only. */
int vm_gsi_take(struct vm *vm, struct irq_src *src, int gsi); /* the GSI, or -ENOSPC / -EBUSY */
void vm_gsi_free(struct vm *vm, int gsi);
int vm_irqfd(struct vm *vm, int gsi, int fd, bool on);
int vm_routes_write(struct vm *vm); /* caller holds irq_lock */

#endif
