// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: hypercalls
 *
 * None is implemented: a guest is told so in RAX, as the KVM hypercall ABI says.
 */
#include <linux/kvm_para.h>

#include "../cpu/vendor.h"
#include "../run/run.h"
#include "exit.h"

int vmlet_exit_hypercall(struct vmlet_vcpu *vcpu)
{
	u64 result = vmlet_cpl(vcpu) ? -KVM_EPERM : -KVM_ENOSYS;

	vcpu->regs[VMLET_RAX] = vmlet_is_64bit(vcpu) ? result : (u32)result;
	return VMLET_SKIP;
}
