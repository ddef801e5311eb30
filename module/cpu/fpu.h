/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMLET_FPU_H
#define VMLET_FPU_H

#include <linux/types.h>

struct vmlet_vcpu;

/* Extended-state features a guest may have on this host: bits of XCR0. */
extern u64 vmlet_xcr0_host, vmlet_xcr0_guest;

int vmlet_fpu_setup(void);
int vmlet_fpu_alloc(struct vmlet_vcpu *vcpu);
void vmlet_fpu_free(struct vmlet_vcpu *vcpu);
void vmlet_fpu_reset(struct vmlet_vcpu *vcpu);

/* Host's state out, guest's in, and back. Preemption is off in between. */
void vmlet_fpu_load(struct vmlet_vcpu *vcpu);
void vmlet_fpu_put(struct vmlet_vcpu *vcpu);

/*
 * PKRU, around the inner loop, and around accesses to user memory in it while vcpu->pkru_loaded. Interrupts are off in
 * between. Whether the guest uses it (XCR0, CR4.PKE) changes outside of the loop only.
 */
void vmlet_pkru_load(struct vmlet_vcpu *vcpu);
void vmlet_pkru_put(struct vmlet_vcpu *vcpu);
void vmlet_pkru_guest(struct vmlet_vcpu *vcpu);
void vmlet_pkru_host(struct vmlet_vcpu *vcpu);

/* 16 bytes of a vector register, outside the guest section; or, if @vex, 32, and what is above becomes zero. */
void vmlet_fpu_vector(struct vmlet_vcpu *vcpu, u8 nr, u64 *value, bool vex);
void vmlet_fpu_vector_set(struct vmlet_vcpu *vcpu, u8 nr, const u64 *value, bool vex);

/* XSETBV by the guest, or KVM_SET_XCRS: 0 or -EINVAL. */
int vmlet_xcr0_set(struct vmlet_vcpu *vcpu, u64 xcr0);

#endif
