/* SPDX-License-Identifier: GPL-2.0 */
/* Which values of control, debug and base registers are valid: for the guest's accesses and for the API's. */
#ifndef VMLET_EXIT_CR_H
#define VMLET_EXIT_CR_H

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <linux/types.h>

struct vmlet_insn;
struct vmlet_vcpu;

bool vmlet_cr0_valid(u64 cr0);
bool vmlet_cr3_valid(struct vmlet_vcpu *vcpu, u64 cr3);
bool vmlet_cr4_valid(struct vmlet_vcpu *vcpu, u64 cr4);
bool vmlet_apic_base_valid(struct vmlet_vcpu *vcpu, u64 base);

/* General detect: an access to a debug register is trapped. */
#define VMLET_DR6_BD	0x2000ull
#define VMLET_DR7_GD	0x2000ull

/* A new task's CR3. 0; VMLET_RESUME: #GP was queued, because its PDPTEs are bad. */
int vmlet_cr3_load(struct vmlet_vcpu *vcpu, u64 cr3);

/* Reserved bits of the debug registers as the processor fixes them. */
u64 vmlet_dr6_fixed(u64 dr6);
u64 vmlet_dr7_fixed(u64 dr7);

static inline bool vmlet_pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

/*
 * A move to or from a control or debug register, of a CPU that tells no operands: exit.cr gets them, and is valid then.
 * Otherwise what a handler returns.
 */
int vmlet_decode_move(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn);

/* PAE paging: read the four PDPTEs at CR3 for hardware that wants them loaded. 0, -EINVAL: reserved bits; -EFAULT. */
int vmlet_load_pdptes(struct vmlet_vcpu *vcpu);

#endif
