/* SPDX-License-Identifier: GPL-2.0 */
/* CPUID leaves by which a guest reads its exits. */
#ifndef VMLET_OBSERVE_LEAVES_H
#define VMLET_OBSERVE_LEAVES_H

#include <linux/types.h>

struct vmlet_vcpu;

extern unsigned int vmlet_cpuid_leaves;	/* tunable; READ_ONCE */

/* Is it one of these, and are they on? Then the guest's registers have the answer. */
bool vmlet_leaves_answer(struct vmlet_vcpu *vcpu, u32 function, u32 index);

#endif
