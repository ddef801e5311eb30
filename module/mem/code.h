/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: code at hand
 *
 * Where the kernel has to know the instruction that exited, it is as a rule one of the last few. How the guest's tables led
 * to it is remembered, and verified by reading the same entries and the same bytes again: that is a tenth of a walk,
 * and as right as one. Nothing sleeps: in the inner loop, where interrupts are off, or else vm->srcu held.
 */
#ifndef VMLET_MEM_CODE_H
#define VMLET_MEM_CODE_H

#include <linux/uaccess.h>

#include "../cpu/vendor.h"
#include "mem.h"

/* Find the way to @vcpu->rip, in 64-bit mode, if the tables are in memory and the CPU has gone it too. */
bool vmlet_code_find(struct vmlet_vcpu *vcpu, struct vmlet_code *code, const struct vmlet_slots *slots);

/* 0: the way is as it was, and the bytes are; 1: the bytes are others; -EAGAIN: look for the way. */
static __always_inline int vmlet_code_read(struct vmlet_code *code)
{
	u64 entry, first, second;
	unsigned int i;

	if (!user_read_access_begin(code->code, sizeof(code->bytes)))
		return -EAGAIN;
#pragma GCC unroll 5
	for (i = 0; i < VMLET_CODE_LEVELS; i++) {
		unsafe_get_user(entry, code->at[i], gone);
		if (entry != code->entry[i])
			goto gone;
	}
	unsafe_get_user(first, &code->code[0], gone);
	unsafe_get_user(second, &code->code[1], gone);
	user_read_access_end();
	if (!((code->bytes[0] ^ first) | (code->bytes[1] ^ second)))
		return 0;
	code->bytes[0] = first;
	code->bytes[1] = second;
	return 1;
gone:
	user_read_access_end();
	return -EAGAIN;
}

/*
 * Likewise; RIP, CR3 and CPL are available. Of CR4 and EFER only bits count that the guest does not change without an exit, and
 * none of CR0.
 */
static __always_inline int vmlet_code_check(struct vmlet_vcpu *vcpu, struct vmlet_code *code,
					    const struct vmlet_slots *slots)
{
	u64 cr2;
	int ret;

	if ((code->slots ^ slots->serial) | (code->rip ^ vcpu->rip) | (code->cr3 ^ vcpu->cr3) |
	    (code->cr4 ^ vcpu->cr4) | (code->efer ^ vcpu->efer) | (code->cpl ^ vmlet_cpl(vcpu)))
		return -EAGAIN;
	cr2 = vmlet_user_begin(vcpu);
	ret = vmlet_code_read(code);
	vmlet_user_end(vcpu, cr2, ret < 0);
	return ret;
}

#endif
