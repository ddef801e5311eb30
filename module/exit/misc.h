/* SPDX-License-Identifier: GPL-2.0 */
/* Handlers of a few lines; see the exit table for who uses them. */
#ifndef VMLET_EXIT_MISC_H
#define VMLET_EXIT_MISC_H

struct vmlet_vcpu;

int vmlet_exit_unknown(struct vmlet_vcpu *vcpu);
int vmlet_exit_fail_entry(struct vmlet_vcpu *vcpu);
int vmlet_exit_resume(struct vmlet_vcpu *vcpu);
int vmlet_exit_nop(struct vmlet_vcpu *vcpu);
int vmlet_exit_gp(struct vmlet_vcpu *vcpu);
int vmlet_exit_ud(struct vmlet_vcpu *vcpu);
int vmlet_exit_exception(struct vmlet_vcpu *vcpu);
int vmlet_exit_intr_window_fast(struct vmlet_vcpu *vcpu);
int vmlet_exit_nmi_window(struct vmlet_vcpu *vcpu);
int vmlet_exit_triple_fault(struct vmlet_vcpu *vcpu);
int vmlet_exit_hlt(struct vmlet_vcpu *vcpu);
int vmlet_exit_pause(struct vmlet_vcpu *vcpu);
int vmlet_exit_rdtsc(struct vmlet_vcpu *vcpu);

#endif
