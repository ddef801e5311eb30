/* SPDX-License-Identifier: GPL-2.0 */
/* MSRs of speculation, for the table in msr.c. */
#ifndef VMLET_EXIT_SPEC_H
#define VMLET_EXIT_SPEC_H

#include <linux/types.h>

struct vmlet_vcpu;

int vmlet_command_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host);
int vmlet_command_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);

/* IA32_ARCH_CAPABILITIES as a guest on this host may read it. */
u64 vmlet_arch_capabilities(void);

/* MSR_AMD64_DE_CFG: bits that a guest may set. */
u64 vmlet_de_cfg(void);

#endif
