// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: why an entry failed
 *
 * The CPU says that VMRUN was refused, not why. These are its checks once more, in software; asked only behind an entry
 * that failed. What was refused is in the VMCB, but for what was to be injected.
 */
#include <asm/processor-flags.h>

#include "svm.h"

#define EFER_KNOWN	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_SVME | EFER_LMSLE | EFER_FFXSR | BIT(15) | EFER_AUTOIBRS)
#define CR4_KNOWN	(GENMASK_ULL(11, 0) | X86_CR4_LA57 | GENMASK_ULL(18, 16) | GENMASK_ULL(23, 20))

static bool paging_64(const struct vmcb *vmcb)
{
	return (vmcb->save.efer & EFER_LME) && (vmcb->save.cr0 & X86_CR0_PG);
}

static bool efer_off(const struct vmcb *vmcb)
{
	return !(vmcb->save.efer & EFER_SVME);
}

static bool efer_reserved(const struct vmcb *vmcb)
{
	return vmcb->save.efer & ~(u64)EFER_KNOWN;
}

static bool cr0_wide(const struct vmcb *vmcb)
{
	return vmcb->save.cr0 >> 32;
}

static bool cr0_caches(const struct vmcb *vmcb)
{
	return (vmcb->save.cr0 & (X86_CR0_CD | X86_CR0_NW)) == X86_CR0_NW;
}

static bool cr0_long(const struct vmcb *vmcb)
{
	return paging_64(vmcb) && !(vmcb->save.cr0 & X86_CR0_PE);
}

static bool cr3_wide(const struct vmcb *vmcb)
{
	return paging_64(vmcb) && vmcb->save.cr3 >> boot_cpu_data.x86_phys_bits;
}

static bool cr4_reserved(const struct vmcb *vmcb)
{
	return vmcb->save.cr4 & ~(u64)CR4_KNOWN;
}

static bool cr4_long(const struct vmcb *vmcb)
{
	return paging_64(vmcb) && !(vmcb->save.cr4 & X86_CR4_PAE);
}

static bool code_sizes(const struct vmcb *vmcb)
{
	const u16 both = SVM_SELECTOR_L_MASK | SVM_SELECTOR_DB_MASK;

	return paging_64(vmcb) && (vmcb->save.cr4 & X86_CR4_PAE) && (vmcb->save.cs.attrib & both) == both;
}

static bool dr6_wide(const struct vmcb *vmcb)
{
	return vmcb->save.dr6 >> 32;
}

static bool dr7_wide(const struct vmcb *vmcb)
{
	return vmcb->save.dr7 >> 32;
}

static bool no_asid(const struct vmcb *vmcb)
{
	return !vmcb->control.asid;
}

#define SAVE(reg)	offsetof(struct vmcb, save.reg), sizeof_field(struct vmcb, save.reg)
#define CONTROL(reg)	offsetof(struct vmcb, control.reg), sizeof_field(struct vmcb, control.reg)

static const struct {
	const char *field, *check;
	u16 offset, size;
	bool (*broken)(const struct vmcb *vmcb);
} rules[] = {
	{ "EFER", "SVME is clear", SAVE(efer), efer_off },
	{ "EFER", "a reserved bit is set", SAVE(efer), efer_reserved },
	{ "CR0", "wider than 32 bits", SAVE(cr0), cr0_wide },
	{ "CR0", "NW without CD", SAVE(cr0), cr0_caches },
	{ "CR0", "long mode without PE", SAVE(cr0), cr0_long },
	{ "CR3", "wider than physical addresses", SAVE(cr3), cr3_wide },
	{ "CR4", "a reserved bit is set", SAVE(cr4), cr4_reserved },
	{ "CR4", "long mode without PAE", SAVE(cr4), cr4_long },
	{ "CS access rights", "64-bit code with a default operand size of 32 bits", SAVE(cs.attrib), code_sizes },
	{ "DR6", "wider than 32 bits", SAVE(dr6), dr6_wide },
	{ "DR7", "wider than 32 bits", SAVE(dr7), dr7_wide },
	{ "guest ASID", "0 is the host's", CONTROL(asid), no_asid },
};

void svm_explain(struct vmlet_vcpu *vcpu, struct vmlet_broken_rule *rule)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		if (!rules[i].broken(vmcb))
			continue;
		rule->field = rules[i].field;
		rule->check = rules[i].check;
		memcpy(&rule->value, (const u8 *)vmcb + rules[i].offset, rules[i].size);	/* little-endian */
		return;
	}
}
