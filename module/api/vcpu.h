/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMLET_API_VCPU_H
#define VMLET_API_VCPU_H

struct vmlet_vcpu;

/* Called when the VM goes, with no file left that could use the vCPU. */
void vmlet_vcpu_destroy(struct vmlet_vcpu *vcpu);

#endif
