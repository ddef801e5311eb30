/* SPDX-License-Identifier: GPL-2.0 */
/* AMD-V: what the files of this room share. */
#ifndef VMLET_SVM_H
#define VMLET_SVM_H

#include <linux/percpu.h>
#include <asm/svm.h>
#include <asm/trapnr.h>

#include "../vendor.h"

/* VMCB clean bits: a set bit says that the cached copy of these fields is still right. */
enum {
	SVM_CLEAN_INTERCEPTS	= BIT(0),
	SVM_CLEAN_MAPS		= BIT(1),	/* of ports and MSRs */
	SVM_CLEAN_ASID		= BIT(2),
	SVM_CLEAN_INTR		= BIT(3),
	SVM_CLEAN_NPT		= BIT(4),
	SVM_CLEAN_CR		= BIT(5),
	SVM_CLEAN_DR		= BIT(6),
	SVM_CLEAN_DT		= BIT(7),
	SVM_CLEAN_SEG		= BIT(8),
	SVM_CLEAN_CR2		= BIT(9),
	SVM_CLEAN_ALL		= BIT(10) - 1,
};

/**
 * struct svm_cpu - per CPU
 * @host_save:	page of VM_HSAVE_PA: the CPU's own
 * @host_state:	page for VMSAVE and VMLOAD of the host's FS, GS, TR, LDTR and MSRs
 * @generation:	of the ASIDs; a vCPU with an older one takes a new ASID
 * @tsc_ratio:	what MSR_AMD64_TSC_RATIO holds, where there is one
 * @tsc_aux:	what TSC_AUX holds, where there is one
 * @host_aux:	what the host has in it
 * @virt_spec_ctrl: a guest's that the kernel has put into effect; 0: the host's
 * @ours:	EFER.SVME was set by us
 */
struct svm_cpu {
	struct page *host_save, *host_state;
	hpa_t host_state_pa;
	u64 generation;
	u32 next_asid;
	u64 tsc_ratio, tsc_aux, host_aux, virt_spec_ctrl;
	bool ours;
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

/**
 * struct svm_vcpu - a vCPU on AMD-V
 * @asid_generation: 0: take a new ASID before the next entry
 * @await_iret:	an IRET has begun that ends the blocking of NMIs when it is done; it is at @iret_rip
 * @soft_rip:	of an INT3 or INTO that is injected, while RIP is behind it
 * @stepping:	the guest is single-stepped over that IRET because an NMI waits
 * @spec_ctrl:	the guest's, while entry and exit have to switch it; otherwise 0
 * @host_spec_ctrl: what they switch it back to
 */
struct svm_vcpu {
	struct vmlet_vcpu vcpu;
	struct vmcb *vmcb;
	hpa_t vmcb_pa;
	hpa_t host_state_pa;
	u64 asid_generation;
	u64 iret_rip;
	u64 soft_rip;
	u64 spec_ctrl, host_spec_ctrl;
	bool await_iret;
	bool stepping;
	bool guest_tf;
};

/* Groups that the guest cannot change without an exit. */
#define SVM_G_STABLE	(VMLET_G_DR | VMLET_G_CR8 | VMLET_G_TSC)

static inline struct svm_vcpu *to_svm(struct vmlet_vcpu *vcpu)
{
	return container_of(vcpu, struct svm_vcpu, vcpu);
}

static inline void svm_dirty(struct svm_vcpu *svm, u32 clean_bits)
{
	svm->vmcb->control.clean &= ~clean_bits;
}

static inline bool svm_intercepted(struct svm_vcpu *svm, unsigned int bit)
{
	return svm->vmcb->control.intercepts[bit / 32] & BIT(bit & 31);
}

static inline void svm_intercept(struct svm_vcpu *svm, unsigned int bit, bool on)
{
	if (svm_intercepted(svm, bit) == on)
		return;
	svm->vmcb->control.intercepts[bit / 32] ^= BIT(bit & 31);
	svm_dirty(svm, SVM_CLEAN_INTERCEPTS);
}

/*
 * While the guest is stepped, what the instruction can raise exits: its frame would have our trap flag. Others of these are
 * intercepted always.
 */
static inline void svm_intercept_faults(struct svm_vcpu *svm, bool on)
{
	const u32 faults = BIT(X86_TRAP_DE) | BIT(X86_TRAP_BR) | BIT(X86_TRAP_NM) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) |
			   BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) | BIT(X86_TRAP_MF) | BIT(X86_TRAP_XF);
	u32 *word = &svm->vmcb->control.intercepts[INTERCEPT_EXCEPTION];

	*word = on ? *word | faults : *word & ~faults;
	svm_dirty(svm, SVM_CLEAN_INTERCEPTS);
}

extern bool svm_nrips, svm_decode_assists, svm_flush_by_asid, svm_tsc_scales, svm_has_aux;
extern u32 svm_asids;
extern hpa_t svm_iopm_pa;

/* svm.c */
void svm_set_tsc_ratio(struct svm_cpu *here, u64 ratio);
void svm_set_aux(u64 aux);

/* vcpu.c */
int svm_vcpu_init(struct vmlet_vcpu *vcpu);
void svm_vcpu_destroy(struct vmlet_vcpu *vcpu);
void svm_fetch(struct vmlet_vcpu *vcpu, u32 groups);
void svm_flush(struct vmlet_vcpu *vcpu);
void svm_load(struct vmlet_vcpu *vcpu);
void svm_put(struct vmlet_vcpu *vcpu);
void svm_inject(struct vmlet_vcpu *vcpu, enum vmlet_inject type, u8 vector, bool has_error, u32 error);
void svm_window(struct vmlet_vcpu *vcpu, enum vmlet_inject type, bool on);
void svm_flush_tlb(struct vmlet_vcpu *vcpu);

/* rules.c */
void svm_explain(struct vmlet_vcpu *vcpu, struct vmlet_broken_rule *rule);

/* decode.c */
int svm_run(struct vmlet_vcpu *vcpu);

/* enter.S: interrupts off and GIF set, before and after. */
asmlinkage void svm_enter(u64 *regs, hpa_t vmcb_pa, hpa_t host_state_pa);
asmlinkage void svm_enter_spec(u64 *regs, hpa_t vmcb_pa, hpa_t host_state_pa, u64 guest_spec_ctrl,
			       u64 host_spec_ctrl);

#endif
