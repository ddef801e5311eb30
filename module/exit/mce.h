/* SPDX-License-Identifier: GPL-2.0 */
/* Machine checks of the guest: rows of the MSR table, and the API. */
#ifndef VMLET_EXIT_MCE_H
#define VMLET_EXIT_MCE_H

#include <linux/types.h>

struct vmlet_arg;
struct vmlet_vcpu;

#define VMLET_MCE_BANKS	32

void vmlet_mce_reset(struct vmlet_vcpu *vcpu);
int vmlet_mc_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host);
int vmlet_mc_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);
int vmlet_mcg_ctl_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host);
int vmlet_mcg_ctl_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);

long vmlet_api_get_mce_cap(void *obj, struct vmlet_arg *arg);
long vmlet_api_setup_mce(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_mce(void *obj, struct vmlet_arg *arg);

#endif
