// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: control registers
 *
 * What the bits of CR0, CR3, CR4, CR8 and EFER mean, for the guest's accesses and for the API's.
 */
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../insn/peek.h"
#include "../irq/irq.h"
#include "../mem/mem.h"
#include "../run/run.h"
#include "cr.h"
#include "exit.h"

/* Of a PAE PDPTE; bit 5, Accessed, is left out: CPUs with nested paging may set it. */
#define PDPTE_RESERVED	0x1c6
/* Changes of these bits have no effect but the change itself. */
#define CR0_PLAIN	(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_AM)
/* A change of these flushes the TLB and, in PAE paging, reloads the PDPTEs. */
#define CR4_PAGING	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP | \
			 X86_CR4_PCIDE | X86_CR4_LA57 | X86_CR4_PKE)

bool vmlet_cr0_valid(u64 cr0)
{
	if (upper_32_bits(cr0))
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

bool vmlet_cr3_valid(struct vmlet_vcpu *vcpu, u64 cr3)
{
	return !(cr3 >> vcpu->maxphyaddr);
}

bool vmlet_cr4_valid(struct vmlet_vcpu *vcpu, u64 cr4)
{
	return !(cr4 & ~vcpu->cr4_allowed);
}

/* Bits 9 to 0 except BSP are reserved; x2APIC mode is there with a local APIC in the kernel, where CPUID says so. */
bool vmlet_apic_base_valid(struct vmlet_vcpu *vcpu, u64 base)
{
	bool has_x2apic = vcpu->lapic && (!vcpu->nr_cpuid || (vcpu->features & VMLET_F_X2APIC));

	if ((base & X2APIC_ENABLE) && (!has_x2apic || !(base & MSR_IA32_APICBASE_ENABLE)))
		return false;
	return !(base >> vcpu->maxphyaddr) && !(base & 0x2ff);
}

int vmlet_load_pdptes(struct vmlet_vcpu *vcpu)
{
	u64 pdpte[4], reserved = ~GENMASK_ULL(vcpu->maxphyaddr - 1, 0) | PDPTE_RESERVED;
	unsigned int i;
	int ret;

	vmlet_need(vcpu, VMLET_G_CR);
	if (!vmlet_pae_paging(vcpu->cr0, vcpu->cr4, vcpu->efer))
		return 0;
	ret = vmlet_mem_read(vcpu, vcpu->cr3 & 0xffffffe0, pdpte, sizeof(pdpte));
	if (ret)
		return ret;
	for (i = 0; i < ARRAY_SIZE(pdpte); i++)
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return -EINVAL;
	memcpy(vcpu->pdpte, pdpte, sizeof(pdpte));
	vcpu->pdptes_due = false;
	return 0;
}

/* Take over a new CR0, CR3, CR4 and EFER as one; back to the old ones if the PDPTEs are bad. */
static int commit(struct vmlet_vcpu *vcpu, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	u64 old0 = vcpu->cr0, old3 = vcpu->cr3, old4 = vcpu->cr4, old_efer = vcpu->efer;

	vcpu->cr0 = cr0;
	vcpu->cr3 = cr3;
	vcpu->cr4 = cr4;
	vcpu->efer = efer;
	if (vmlet_load_pdptes(vcpu)) {
		vcpu->cr0 = old0;
		vcpu->cr3 = old3;
		vcpu->cr4 = old4;
		vcpu->efer = old_efer;
		return vmlet_inject_gp(vcpu);
	}
	vcpu->dirty |= VMLET_G_CR;
	vmlet_want_flush(vcpu);
	return VMLET_SKIP;
}

int vmlet_cr3_load(struct vmlet_vcpu *vcpu, u64 cr3)
{
	int next = commit(vcpu, vcpu->cr0, cr3, vcpu->cr4, vcpu->efer);

	return next == VMLET_SKIP ? 0 : next;
}

/* CR0.PG switches long mode on and off. */
static int cr0_write(struct vmlet_vcpu *vcpu, u64 cr0)
{
	u64 efer = vcpu->efer;

	if (!vmlet_cr0_valid(cr0))
		return vmlet_inject_gp(vcpu);
	cr0 |= X86_CR0_ET;
	if ((cr0 & X86_CR0_PG) && !(vcpu->cr0 & X86_CR0_PG) && (efer & EFER_LME)) {
		vmlet_need(vcpu, VMLET_G_SEGS);
		if (!(vcpu->cr4 & X86_CR4_PAE) || vcpu->seg[VMLET_CS].l)
			return vmlet_inject_gp(vcpu);
		efer |= EFER_LMA;
	}
	if (!(cr0 & X86_CR0_PG)) {
		if (vmlet_is_64bit(vcpu) || (vcpu->cr4 & X86_CR4_PCIDE))
			return vmlet_inject_gp(vcpu);
		efer &= ~EFER_LMA;
	}
	return commit(vcpu, cr0, vcpu->cr3, vcpu->cr4, efer);
}

/* vmlet asks for no exit here, but QEMU's AMD-V exits on every control register while CR0 is intercepted. */
static int cr3_write(struct vmlet_vcpu *vcpu, u64 cr3)
{
	if (vcpu->cr4 & X86_CR4_PCIDE)
		cr3 &= ~BIT_ULL(63);	/* "keep the TLB" is a hint */
	if ((vcpu->efer & EFER_LMA) && !vmlet_cr3_valid(vcpu, cr3))
		return vmlet_inject_gp(vcpu);
	return commit(vcpu, vcpu->cr0, cr3, vcpu->cr4, vcpu->efer);
}

static int cr4_write(struct vmlet_vcpu *vcpu, u64 cr4)
{
	u64 changed = cr4 ^ vcpu->cr4;

	if (!vmlet_cr4_valid(vcpu, cr4))
		return vmlet_inject_gp(vcpu);
	if ((vcpu->efer & EFER_LMA) && (!(cr4 & X86_CR4_PAE) || (changed & X86_CR4_LA57)))
		return vmlet_inject_gp(vcpu);
	if ((changed & cr4 & X86_CR4_PCIDE) && (!(vcpu->efer & EFER_LMA) || (vcpu->cr3 & 0xfff)))
		return vmlet_inject_gp(vcpu);
	if (changed & CR4_PAGING)
		return commit(vcpu, vcpu->cr0, vcpu->cr3, cr4, vcpu->efer);
	vcpu->cr4 = cr4;
	vcpu->dirty |= VMLET_G_CR;
	return VMLET_SKIP;
}

/* A lowered task priority is told to userspace, which has the interrupt controller. */
static int cr8_write(struct vmlet_vcpu *vcpu, u64 cr8)
{
	u64 old = vcpu->cr8;
	int next;

	if (cr8 > 15)
		return vmlet_inject_gp(vcpu);
	if (vcpu->lapic) {
		vmlet_lapic_tpr_set(vcpu, cr8 << 4);
		return VMLET_SKIP;
	}
	vcpu->cr8 = cr8;
	vmlet_replace(vcpu, VMLET_G_CR8);
	if (cr8 >= old)
		return VMLET_SKIP;
	next = vmlet_skip(vcpu);
	return next == VMLET_RESUME ? vmlet_to_user(vcpu, KVM_EXIT_SET_TPR, NULL) : next;
}

/* Nobody asks for exits by CR2. QEMU's CPU has them all the same where it is asked for those by CR0. */
static int cr_write(struct vmlet_vcpu *vcpu, unsigned int nr, u64 value)
{
	switch (nr) {
	case 0:
		return cr0_write(vcpu, value);
	case 2:
		vcpu->cr2 = value;
		return VMLET_SKIP;
	case 3:
		return cr3_write(vcpu, value);
	case 4:
		return cr4_write(vcpu, value);
	case 8:
		return cr8_write(vcpu, value);
	}
	return vmlet_inject_ud(vcpu);
}

static int cr_read(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	u64 value;

	switch (exit->cr.nr) {
	case 0:
		value = vcpu->cr0;
		break;
	case 2:
		value = vcpu->cr2;
		break;
	case 3:
		value = vcpu->cr3;
		break;
	case 4:
		value = vcpu->cr4;
		break;
	case 8:
		value = vcpu->cr8;
		break;
	default:
		return vmlet_inject_ud(vcpu);
	}
	vmlet_gpr_set(vcpu, exit->cr.gpr, vmlet_is_64bit(vcpu) ? value : (u32)value);
	return VMLET_SKIP;
}

static u64 cr_operand(struct vmlet_vcpu *vcpu)
{
	u64 value = vmlet_gpr(vcpu, vcpu->exit.cr.gpr);

	return vmlet_is_64bit(vcpu) ? value : (u32)value;
}

static void name_move(struct vmlet_exit *exit, const struct vmlet_insn *insn)
{
	exit->insn_len = insn->len;
	exit->cr.valid = true;
	exit->cr.gpr = insn->rm;
	exit->cr.nr = insn->reg;
}

/* Without decode assists: a MOV, in code that is at hand. */
static void peek_move(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_code *code = vmlet_insn_peek(vcpu, vmlet_slots(vcpu->vm));
	u8 opcode = vcpu->exit.reason == VMLET_EXIT_CR_READ ? 0x20 : 0x22;

	if (code && code->insn.map == 1 && code->insn.opcode == opcode && !code->insn.lock && !code->insn.is_mem)
		name_move(&vcpu->exit, &code->insn);
}

/* CR0 writes that change only plain bits, as every FPU switch of some guests does, and a local APIC's task priority. */
int vmlet_exit_cr_fast(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	u64 value;

	if (!exit->cr.valid)
		peek_move(vcpu);
	if (exit->cr.valid && exit->cr.nr == 8 && vcpu->lapic)
		return exit->reason == VMLET_EXIT_CR_READ ? cr_read(vcpu) : cr8_write(vcpu, cr_operand(vcpu));
	if (!exit->cr.valid || exit->cr.nr)
		return VMLET_SLOW;
	vmlet_need(vcpu, VMLET_G_CR);
	if (exit->reason == VMLET_EXIT_CR_READ)
		return cr_read(vcpu);
	value = cr_operand(vcpu);
	if ((value ^ vcpu->cr0) & ~CR0_PLAIN)
		return VMLET_SLOW;
	vcpu->cr0 = value | X86_CR0_ET;
	vcpu->dirty |= VMLET_G_CR;
	return VMLET_SKIP;
}

/* To a register: of 16 bits, or all of CR0. */
static int smsw(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn)
{
	u64 value = vcpu->cr0;

	if (insn->op_bytes == 2)
		value = (vmlet_gpr(vcpu, insn->rm) & ~0xffffull) | (u16)value;
	vmlet_gpr_set(vcpu, insn->rm, value);
	return VMLET_SKIP;
}

int vmlet_decode_move(struct vmlet_vcpu *vcpu, struct vmlet_insn *insn)
{
	int ret = vmlet_insn_decode(vcpu, insn);

	if (ret == -EINVAL)
		return vmlet_emulation_failed(vcpu, insn->bytes, insn->len);
	if (ret)
		return ret;
	name_move(&vcpu->exit, insn);
	return 0;
}

/* Without decode assists: which of MOV, LMSW, SMSW, CLTS was it? exit.cr.valid then, else the handler's return value. */
static int decode_cr(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	struct vmlet_insn insn;
	int ret = vmlet_decode_move(vcpu, &insn);

	if (!exit->cr.valid)
		return ret;
	if (insn.map != 1 || insn.is_mem) {
		exit->cr.valid = false;
		return vmlet_emulation_failed(vcpu, insn.bytes, insn.len);
	}
	switch (insn.opcode) {
	case 0x20:
	case 0x22:
		if (insn.lock)	/* LOCK MOV CR0 is CR8 on AMD */
			exit->cr.nr = 8;
		break;
	case 0x06:
		exit->reason = VMLET_EXIT_CLTS;
		break;
	default:
		if (exit->reason == VMLET_EXIT_CR_READ) {
			exit->cr.valid = false;
			return smsw(vcpu, &insn);
		}
		exit->reason = VMLET_EXIT_LMSW;
		exit->cr.value = vmlet_gpr(vcpu, insn.rm);
	}
	return 0;
}

int vmlet_exit_cr(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	int ret;

	vmlet_need(vcpu, VMLET_G_CR);
	if (!exit->cr.valid) {
		ret = decode_cr(vcpu);
		if (!exit->cr.valid)
			return ret;
	}
	switch (exit->reason) {
	case VMLET_EXIT_CR_READ:
		return cr_read(vcpu);
	case VMLET_EXIT_CLTS:
		return cr0_write(vcpu, vcpu->cr0 & ~(u64)X86_CR0_TS);
	case VMLET_EXIT_LMSW:
		/* PE can be set by it, not cleared. */
		return cr0_write(vcpu, (vcpu->cr0 & ~0xeull) | (exit->cr.value & 0xf));
	}
	return cr_write(vcpu, exit->cr.nr, cr_operand(vcpu));
}
