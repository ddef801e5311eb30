/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the instruction at RIP, in the inner loop
 *
 * Inline, because each exit to a device of the kernel's pays for it.
 */
#ifndef VMLET_PEEK_H
#define VMLET_PEEK_H

#include "../mem/code.h"
#include "insn.h"

/* decode.c: @code is not what it was, vmlet_code_check() said @change. False: decode it the long way. */
bool vmlet_insn_anew(struct vmlet_vcpu *vcpu, struct vmlet_code *code, const struct vmlet_slots *slots, int change);

/* Effective address of the memory operand. */
static __always_inline u64 vmlet_insn_address(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn)
{
	u64 ea = insn->disp;

	if (insn->base == VMLET_REG_RIP)
		ea += vmlet_rip(vcpu) + insn->len;
	else if (insn->base != VMLET_REG_NONE)
		ea += vmlet_gpr(vcpu, insn->base);
	if (insn->index != VMLET_REG_NONE)
		ea += vmlet_gpr(vcpu, insn->index) << insn->scale;
	return likely(insn->ad_bytes == 8) ? ea : ea & vmlet_size_mask(insn->ad_bytes);
}

/*
 * As vmlet_insn_decode(), without sleeping, for 64-bit code that is at hand: see mem/code.h. NULL: decode it the long way. The
 * result is good until the next call.
 */
static __always_inline struct vmlet_code *vmlet_insn_peek(struct vmlet_vcpu *vcpu, const struct vmlet_slots *slots)
{
	struct vmlet_code *code;
	int change;

	if (!(vcpu->efer & EFER_LMA))
		return NULL;
	vmlet_need(vcpu, VMLET_G_RIP | VMLET_G_MODE | VMLET_G_CR3);
	if (!vmlet_is_64bit(vcpu))
		return NULL;
	code = &vcpu->code[(vcpu->rip ^ vcpu->rip >> 2) % VMLET_CODES];
	/* Compute it once, not for each use. */
	OPTIMIZER_HIDE_VAR(code);
	change = vmlet_code_check(vcpu, code, slots);
	if (unlikely(change) && !vmlet_insn_anew(vcpu, code, slots, change))
		return NULL;
	code->insn.ea = vmlet_insn_address(vcpu, &code->insn);
	return code;
}

#endif
