// SPDX-License-Identifier: Apache-2.0
/* The VM descriptor; see vm.h. Built by main; routing, irqfds and ioeventfds change from vCPU threads under irq_lock. */
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/irq.h"
#include "vmm/log.h"
#include "vmm/pi_mutex.h"
#include "vmm/util.h"

/* Say what would help: the usual reasons why /dev/kvm can not be opened each have a cure of their own. */
static int open_failed(int err)
{
	struct stat st;
	struct group *grp;

	if (err == -ENOENT || err == -ENODEV || err == -ENXIO)
		log_err("/dev/kvm: %s; %s", strerror(-err), arch_kvm_advice());
	else if ((err == -EACCES || err == -EPERM) && stat("/dev/kvm", &st) == 0 && (st.st_mode & 060) != 060)
		log_err("/dev/kvm: %s: its mode is %04o, for its owner alone; sudo chgrp kvm /dev/kvm, sudo chmod 660 /dev/kvm, "
			"and join that group: sudo usermod -aG kvm $USER",
			strerror(-err), (unsigned)st.st_mode & 07777);
	else if ((err == -EACCES || err == -EPERM) && stat("/dev/kvm", &st) == 0)
		log_err("/dev/kvm: %s; join its group: sudo usermod -aG %s $USER, then log in again", strerror(-err),
			(grp = getgrgid(st.st_gid)) ? grp->gr_name : "kvm");
	else
		log_errno(err, "/dev/kvm");
	return err;
}

int vm_init(struct vm *vm, const struct guest_config *cfg, const struct guest_mem *mem)
{
	int err;

	memset(vm, 0, sizeof(*vm));
	vm->fd = -1;
	vm->cfg = cfg;
	vm->mem = mem;
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return open_failed(-errno);
	err = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (err != KVM_API_VERSION) {
		log_err("/dev/kvm: API version %d, this program speaks %d", err, KVM_API_VERSION);
		err = -ENOTSUP;
		goto out;
	}
	/* The youngest of what every guest here takes (4.11): where it is, irqfd, ioeventfd of any width and routing are. */
	if (!vm_cap(vm, KVM_CAP_IMMEDIATE_EXIT)) {
		log_err("/dev/kvm: this kernel lacks KVM_CAP_IMMEDIATE_EXIT; Linux 5.10 or later has it");
		err = -ENOTSUP;
		goto out;
	}
	err = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (err < 0) {
		err = log_errno(-errno, "/dev/kvm: KVM_GET_VCPU_MMAP_SIZE");
		goto out;
	}
	vm->run_size = err;
	vm->table = calloc(1, sizeof(*vm->table) + VM_MAX_GSI * sizeof(vm->table->entries[0]));
	if (!vm->table) {
		err = -ENOMEM;
		goto out;
	}
	err = pi_mutex_init(&vm->irq_lock);
	if (!err)
		return 0;
	log_errno(err, "mutexes with priority inheritance; this kernel needs CONFIG_FUTEX_PI");
	free(vm->table);
	vm->table = NULL;
out:
	close(vm->kvm_fd);
	vm->kvm_fd = -1;
	return err;
}

void vm_exit(struct vm *vm)
{
	if (vm->kvm_fd < 0)
		return;
	vm_close(vm);
	arch_vm_exit(vm);
	pthread_mutex_destroy(&vm->irq_lock);
	free(vm->table);
	vm->table = NULL;
	close(vm->kvm_fd);
	vm->kvm_fd = -1;
}

int vm_cap(const struct vm *vm, int cap)
{
	int n = ioctl(vm->fd >= 0 ? vm->fd : vm->kvm_fd, KVM_CHECK_EXTENSION, cap);

	return n > 0 ? n : 0;
}

int vm_check_vcpus(const struct vm *vm, unsigned count)
{
	int max = count > 1 ? vm_cap(vm, KVM_CAP_MAX_VCPUS) : 1;

	if (count <= (unsigned)max)
		return 0;
	log_err("--cpus %u: this host's KVM allows %d", count, max);
	return -EINVAL;
}

static int slot_failed(const struct mem_region *r, int err)
{
	if (err == -EINVAL)
		log_err("--memory: KVM does not take %llu MiB in one piece at %#llx; give less", (unsigned long long)(r->size >> 20),
			(unsigned long long)r->gpa);
	else
		log_errno(err, "--memory: KVM_SET_USER_MEMORY_REGION of %llu MiB at %#llx", (unsigned long long)(r->size >> 20),
			(unsigned long long)r->gpa);
	return err;
}

static int add_slots(struct vm *vm)
{
	for (unsigned i = 0; i < vm->mem->n; i++) {
		const struct mem_region *r = &vm->mem->region[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = r->gpa,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)r->host,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return slot_failed(r, -errno);
	}
	return 0;
}

int vm_open(struct vm *vm)
{
	int err;

	do
		vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, arch_vm_type(vm));
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return log_errno(-errno, "KVM_CREATE_VM");
	err = add_slots(vm);
	if (!err)
		err = arch_vm_init(vm);
	if (err)
		vm_close(vm);
	return err;
}

void vm_close(struct vm *vm)
{
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
}

static int kick(struct vm *vm, uint64_t gpa, int value, int fd, uint32_t flags)
{
	struct kvm_ioeventfd io = {.addr = gpa, .fd = fd, .flags = flags};

	if (value >= 0) {
		io.datamatch = value;
		io.len = 4;
		io.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	}
	return ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

int vm_kick_add(struct vm *vm, uint64_t gpa, int value, int fd)
{
	return kick(vm, gpa, value, fd, 0);
}

int vm_kick_del(struct vm *vm, uint64_t gpa, int value, int fd)
{
	return kick(vm, gpa, value, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

int vm_gsi_take(struct vm *vm, struct irq_src *src, int gsi)
{
	if (gsi < 0)
		for (gsi = arch_first_msi_gsi(); gsi < VM_MAX_GSI && vm->gsi[gsi]; gsi++)
			;
	if (gsi >= VM_MAX_GSI)
		return -ENOSPC;
	if (vm->gsi[gsi])
		return -EBUSY;
	vm->gsi[gsi] = src;
	return gsi;
}

void vm_gsi_free(struct vm *vm, int gsi)
{
	vm->gsi[gsi] = NULL;
}

int vm_irqfd(struct vm *vm, int gsi, int fd, bool on)
{
	struct kvm_irqfd irqfd = {.fd = fd, .gsi = gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

	return ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int vm_routes_write(struct vm *vm)
{
	struct kvm_irq_routing *table = vm->table;

	table->nr = 0;
	for (int gsi = 0; gsi < VM_MAX_GSI; gsi++) {
		struct kvm_irq_routing_entry *entry = &table->entries[table->nr];

		if (!vm->gsi[gsi] || !irq_in_table(vm->gsi[gsi]))
			continue;
		memset(entry, 0, sizeof(*entry));
		entry->gsi = gsi;
		arch_msi_route(vm, entry, &vm->gsi[gsi]->msg);
		table->nr++;
	}
	count_add(&vm->route_writes, 1);
	return ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}
