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

/* XSETBV by the guest, or KVM_SET_XCRS: 0 or -EINVAL. */
int vmlet_xcr0_set(struct vmlet_vcpu *vcpu, u64 xcr0);

#endif
