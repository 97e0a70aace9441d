/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt controllers in this process (--irqchip user): KVM has none, HLT and the local APIC's registers come to user
 * space, vectors are injected with KVM_INTERRUPT. The local APICs themselves are lapic.h; here are their vCPUs, clocks and
 * devices. Documentation/virt/kvm/api.rst: KVM_INTERRUPT, KVM_CAP_X86_USER_SPACE_MSR, KVM_X86_SET_MSR_FILTER.
 */
#ifndef PINVM_X86_USERCHIP_H
#define PINVM_X86_USERCHIP_H

#include <stdbool.h>

#define MSR_KVM_POLL_CONTROL 0x4b564d05 /* Documentation/virt/kvm/x86/msr.rst; bit 0: the host is to poll */

struct guest_config;
struct userchip;
struct vcpu;
struct vm;
struct bus;

/* Can this host do it? 0, or -ENOTSUP, logged. Main. */
int userchip_check(const struct vm *vm);
/*
 * For a new VM descriptor: what shall exit, and vm->direct. The first call makes *chip, a later one brings it to its
 * power-up state. 0 or -errno, logged. Main, before there are vCPUs; devices of an earlier VM must be quiet.
 */
int userchip_open(struct userchip **chip, struct vm *vm);
/* A vCPU of that VM, in the order of their indices, before it is given registers. 0 or -errno, logged. Main. */
int userchip_vcpu(struct userchip *chip, struct vcpu *vcpu);
/* The page of the local APICs. 0 or -errno. Main. */
int userchip_add(struct userchip *chip, struct bus *bus);
/* When the vCPUs' threads have ended. NULL: nothing happens. */
void userchip_destroy(struct userchip *chip);

/* An exit that only this mode has (HLT, MSRs, CR8, the interrupt window). 0, or -ENOTSUP: it is none. vCPU thread. */
int userchip_exit(struct vcpu *vcpu);

#endif
