/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: running a vCPU
 *
 * Three rings. KVM_RUN (run.c) reads the run page once, finishes what the last return to userspace left open and
 * honours immediate_exit. The outer loop is preemptible: signals, slow handlers. The inner loop (loop.h) keeps
 * interrupts off and the guest's FPU state loaded: enter, decode, fast handler, enter again.
 */
#ifndef VMLET_RUN_H
#define VMLET_RUN_H

#include "../vmlet.h"

/* KVM_RUN. 0 with run->exit_reason set, or -errno. vcpu->mutex held. */
long vmlet_run(struct vmlet_vcpu *vcpu);

/* Advance RIP over the instruction of the last exit. VMLET_RESUME, or -errno. */
int vmlet_skip(struct vmlet_vcpu *vcpu);

/* Advance RIP by @len: interrupt shadow ends, a trap flag is honoured. */
void vmlet_skip_len(struct vmlet_vcpu *vcpu, unsigned int len);

/* Report KVM_EXIT_INTERNAL_ERROR / FAIL_ENTRY; both return VMLET_TO_USER. */
int vmlet_internal_error(struct vmlet_vcpu *vcpu, u32 suberror, const u64 *data, unsigned int n);
int vmlet_fail_entry(struct vmlet_vcpu *vcpu, u64 hw_reason);

/* KVM_EXIT_INTERNAL_ERROR, suberror EMULATION, with the instruction bytes if there are any. */
int vmlet_emulation_failed(struct vmlet_vcpu *vcpu, const u8 *bytes, unsigned int len);

/*
 * To userspace, and call @complete at the next KVM_RUN, unless RIP has been changed by then. @complete returns as
 * a slow handler does (VMLET_SKIP skips vcpu->exit's instruction; VMLET_TO_USER: once more).
 */
int vmlet_to_user(struct vmlet_vcpu *vcpu, u32 exit_reason, int (*complete)(struct vmlet_vcpu *vcpu));

/* events.c. Each returns VMLET_RESUME so that handlers can end with it. */
int vmlet_inject_exception(struct vmlet_vcpu *vcpu, u8 vector);
int vmlet_inject_error(struct vmlet_vcpu *vcpu, u8 vector, u32 error);
int vmlet_inject_pf(struct vmlet_vcpu *vcpu, u64 address, u32 error);
static inline int vmlet_inject_gp(struct vmlet_vcpu *vcpu)
{
	return vmlet_inject_error(vcpu, 13, 0);
}
static inline int vmlet_inject_ud(struct vmlet_vcpu *vcpu)
{
	return vmlet_inject_exception(vcpu, 6);
}

void vmlet_inject_nmi(struct vmlet_vcpu *vcpu);

/* Before entry, interrupts off: hand what waits to the vendor, open windows for the rest. */
void vmlet_events_prepare(struct vmlet_vcpu *vcpu);

/* After an exit that cut a delivery short: to be delivered again first. Called by the vendors' decoders. */
void vmlet_requeue_exception(struct vmlet_vcpu *vcpu, u8 vector, bool has_error, u32 error);
void vmlet_requeue_nmi(struct vmlet_vcpu *vcpu);
void vmlet_requeue_irq(struct vmlet_vcpu *vcpu, u8 vector);

bool vmlet_irq_allowed(struct vmlet_vcpu *vcpu);

u64 vmlet_linear_rip(struct vmlet_vcpu *vcpu);

#endif
