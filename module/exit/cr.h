/* SPDX-License-Identifier: GPL-2.0 */
/* Which values of control, debug and base registers are valid: for the guest's accesses and for the API's. */
#ifndef VMLET_EXIT_CR_H
#define VMLET_EXIT_CR_H

#include <linux/types.h>

struct vmlet_vcpu;

bool vmlet_cr0_valid(u64 cr0);
bool vmlet_cr3_valid(struct vmlet_vcpu *vcpu, u64 cr3);
bool vmlet_cr4_valid(struct vmlet_vcpu *vcpu, u64 cr4);
bool vmlet_apic_base_valid(struct vmlet_vcpu *vcpu, u64 base);

/* EFER bits this host can run. */
u64 vmlet_efer_host(void);

/* Reserved bits of the debug registers as the processor fixes them. */
u64 vmlet_dr6_fixed(u64 dr6);
u64 vmlet_dr7_fixed(u64 dr7);

/* PAE paging: read the four PDPTEs at CR3 for hardware that wants them loaded. 0, -EINVAL: reserved bits; -EFAULT. */
int vmlet_load_pdptes(struct vmlet_vcpu *vcpu);

#endif
