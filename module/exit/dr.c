// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: debug registers
 *
 * Every MOV to or from a debug register exits: the vCPU's own copy is always right, and DR0 to DR3 are in the CPU only
 * while a breakpoint is armed.
 */
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/vendor.h"
#include "../insn/insn.h"
#include "../run/run.h"
#include "cr.h"
#include "exit.h"

#define DR6_SETTABLE	0xe00full	/* B0-B3, BD, BS, BT */
#define DR7_FIXED	0x400ull
#define DR7_RESERVED	0xd800ull	/* without RTM */

u64 vmlet_dr6_fixed(u64 dr6)
{
	return (dr6 & DR6_SETTABLE) | (DR6_RESERVED);
}

u64 vmlet_dr7_fixed(u64 dr7)
{
	return ((dr7 & 0xffffffff) & ~DR7_RESERVED) | DR7_FIXED;
}

static int dr_write(struct vmlet_vcpu *vcpu, unsigned int nr, u64 value)
{
	if (nr < 4) {
		vcpu->dr[nr] = value;
		return VMLET_SKIP;
	}
	if (upper_32_bits(value))
		return vmlet_inject_gp(vcpu);
	if (nr == 6)
		vcpu->dr6 = vmlet_dr6_fixed(value);
	else
		vcpu->dr7 = vmlet_dr7_fixed(value);
	return VMLET_SKIP;
}

/* The access itself is trapped, for userspace or for the guest. */
static int general_detect(struct vmlet_vcpu *vcpu)
{
	if (vmlet_debug_hw(vcpu))
		return vmlet_debug_exit(vcpu, X86_TRAP_DB, VMLET_DR6_BD);
	return vmlet_inject_db(vcpu, VMLET_DR6_BD);
}

int vmlet_exit_dr(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	struct vmlet_insn insn;
	unsigned int nr;
	u64 value;
	int ret;

	if (!exit->cr.valid) {
		ret = vmlet_decode_move(vcpu, &insn);
		if (!exit->cr.valid)
			return ret;
	}
	vmlet_need(vcpu, VMLET_G_CR);
	vmlet_touch(vcpu, VMLET_G_DR);
	nr = exit->cr.nr;
	if (nr == 4 || nr == 5) {	/* aliases of 6 and 7, once */
		if (vcpu->cr4 & X86_CR4_DE)
			return vmlet_inject_ud(vcpu);
		nr += 2;
	}
	if (nr > 7)
		return vmlet_inject_ud(vcpu);
	if (vmlet_cpl(vcpu))	/* VT-x exits before it looks */
		return vmlet_inject_gp(vcpu);
	if (vmlet_dr7(vcpu) & VMLET_DR7_GD)
		return general_detect(vcpu);
	if (exit->reason == VMLET_EXIT_DR_WRITE) {
		value = vmlet_gpr(vcpu, exit->cr.gpr);
		return dr_write(vcpu, nr, vmlet_is_64bit(vcpu) ? value : (u32)value);
	}
	value = nr < 4 ? vcpu->dr[nr] : nr == 6 ? vcpu->dr6 : vcpu->dr7;
	vmlet_gpr_set(vcpu, exit->cr.gpr, vmlet_is_64bit(vcpu) ? value : (u32)value);
	return VMLET_SKIP;
}
