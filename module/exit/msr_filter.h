/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMLET_MSR_FILTER_H
#define VMLET_MSR_FILTER_H

#include "../vmlet.h"

/* There is a filter: 0, or -EPERM if it denies @access, KVM_MSR_FILTER_READ or _WRITE. Interrupts off. */
int vmlet_msr_filter_check(struct vmlet_vm *vm, u32 index, u32 access);

static __always_inline int vmlet_msr_filter(struct vmlet_vcpu *vcpu, u32 index, u32 access)
{
	return unlikely(vmlet_filters_msrs(vcpu->vm)) ? vmlet_msr_filter_check(vcpu->vm, index, access) : 0;
}

#endif
