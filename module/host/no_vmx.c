// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: VT-x on kernels that keep it for KVM
 *
 * VMX operation needs CR4.VMXE, which must not change behind the kernel's copy of CR4: the kernel's next write would
 * clear it and fault. Where the kernel changes it for KVM's modules alone, this is in place of cpu/vmx/.
 */
#include "../cpu/vendor.h"

static int supported(void)
{
	vmlet_err("this kernel lets no module but KVM switch VT-x on (cr4_update_irqsoff is exported to KVM only): boot an older one, such as 6.12");
	return -EOPNOTSUPP;
}

const struct vmlet_vendor vmlet_vmx = {
	.name		= "VT-x",
	.supported	= supported,
};
