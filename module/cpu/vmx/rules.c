// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: why an entry failed
 *
 * The CPU says that the guest's state is invalid, not what of it. These are its checks once more, in software, of those
 * fields that vmlet and its users can set; asked only behind an entry that failed. The VMCS still has what was refused, but for
 * what was to be injected: that is vmlet's own affair.
 */
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>

#include "../../exit/cr.h"
#include "vmx.h"

#define RESERVED	"has a bit set that must be 0, or the other way round"
#define NOT_CANONICAL	"not canonical"

#define EFER_KNOWN	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)
#define RFLAGS_ZERO	(~0ull << 22 | BIT(15) | BIT(5) | BIT(3))
#define DEBUG_ZERO	(~0ull << 17 | BIT(15) | BIT(13) | GENMASK(11, 4))
#define SHADOWS		(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)
#define RIGHTS_ZERO	(GENMASK(31, 17) | GENMASK(11, 8))
#define V86_RIGHTS	0xf3

static bool ia32e(void)
{
	return vmx_read(VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;
}

static bool not_canonical(u64 address)
{
	return !__is_canonical_address(address, boot_cpu_has(X86_FEATURE_LA57) ? 57 : 48);
}

/* Unrestricted guest: paging and protection may be off. */
static bool cr0_fixed(u64 value)
{
	u64 ones = __rdmsr(MSR_IA32_VMX_CR0_FIXED0) & ~(X86_CR0_PE | X86_CR0_PG);

	return (ones & ~value) || (value & ~__rdmsr(MSR_IA32_VMX_CR0_FIXED1));
}

static bool cr0_paging(u64 value)
{
	return (value & X86_CR0_PG) && !(value & X86_CR0_PE);
}

static bool cr0_ia32e(u64 value)
{
	return ia32e() && !(value & X86_CR0_PG);
}

static bool cr4_fixed(u64 value)
{
	return (__rdmsr(MSR_IA32_VMX_CR4_FIXED0) & ~value) || (value & ~__rdmsr(MSR_IA32_VMX_CR4_FIXED1));
}

static bool cr4_pae(u64 value)
{
	return ia32e() && !(value & X86_CR4_PAE);
}

static bool cr4_pcid(u64 value)
{
	return !ia32e() && (value & X86_CR4_PCIDE);
}

static bool too_wide(u64 value)
{
	return value >> boot_cpu_data.x86_phys_bits;
}

static bool over_32(u64 value)
{
	return value >> 32;
}

static bool over_16(u64 value)
{
	return value >> 16;
}

static bool efer_reserved(u64 value)
{
	return value & ~(u64)EFER_KNOWN;
}

static bool efer_lma(u64 value)
{
	return !(value & EFER_LMA) == ia32e();
}

static bool efer_lme(u64 value)
{
	return (vmx_read(GUEST_CR0) & X86_CR0_PG) && !(value & EFER_LME) != !(value & EFER_LMA);
}

static bool rflags_reserved(u64 value)
{
	return (value & RFLAGS_ZERO) || !(value & X86_EFLAGS_FIXED);
}

static bool rflags_v86(u64 value)
{
	return (value & X86_EFLAGS_VM) && (ia32e() || !(vmx_read(GUEST_CR0) & X86_CR0_PE));
}

static bool in_64bit(void)
{
	return ia32e() && (vmx_read(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK);
}

static bool rip_wide(u64 value)
{
	return !in_64bit() && over_32(value);
}

static bool rip_not_canonical(u64 value)
{
	return in_64bit() && not_canonical(value);
}

static bool activity_unknown(u64 value)
{
	return value > GUEST_ACTIVITY_WAIT_SIPI;
}

static bool activity_user(u64 value)
{
	return value == GUEST_ACTIVITY_HLT && VMX_AR_DPL(vmx_read(GUEST_SS_AR_BYTES));
}

static bool activity_shadow(u64 value)
{
	return value != GUEST_ACTIVITY_ACTIVE && (vmx_read(GUEST_INTERRUPTIBILITY_INFO) & SHADOWS);
}

static bool shadow_reserved(u64 value)
{
	return value >> 5;
}

static bool shadow_both(u64 value)
{
	return (value & SHADOWS) == SHADOWS;
}

static bool shadow_closed(u64 value)
{
	return (value & GUEST_INTR_STATE_STI) && !(vmx_read(GUEST_RFLAGS) & X86_EFLAGS_IF);
}

static bool pending_reserved(u64 value)
{
	return value & DEBUG_ZERO;
}

static bool pending_step(u64 value)
{
	return (vmx_read(GUEST_INTERRUPTIBILITY_INFO) & SHADOWS) &&
	       !(value & DR_STEP) != !(vmx_read(GUEST_RFLAGS) & X86_EFLAGS_TF);
}

static bool link_is_there(u64 value)
{
	return value != ~0ull;
}

/* In the order of the manual's chapter. */
static const struct {
	const char *field, *check;
	unsigned long where;
	bool (*broken)(u64 value);
} rules[] = {
	{ "CR0", RESERVED, GUEST_CR0, cr0_fixed },
	{ "CR0", "PG without PE", GUEST_CR0, cr0_paging },
	{ "CR0", "IA-32e mode without paging", GUEST_CR0, cr0_ia32e },
	{ "CR4", RESERVED, GUEST_CR4, cr4_fixed },
	{ "CR4", "IA-32e mode without PAE", GUEST_CR4, cr4_pae },
	{ "CR4", "PCIDE outside IA-32e mode", GUEST_CR4, cr4_pcid },
	{ "CR3", "wider than physical addresses", GUEST_CR3, too_wide },
	{ "DR7", "wider than 32 bits", GUEST_DR7, over_32 },
	{ "IA32_SYSENTER_ESP", NOT_CANONICAL, GUEST_SYSENTER_ESP, not_canonical },
	{ "IA32_SYSENTER_EIP", NOT_CANONICAL, GUEST_SYSENTER_EIP, not_canonical },
	{ "IA32_EFER", RESERVED, GUEST_IA32_EFER, efer_reserved },
	{ "IA32_EFER", "LMA is not what the VM-entry control says", GUEST_IA32_EFER, efer_lma },
	{ "IA32_EFER", "LME is not as LMA, with paging", GUEST_IA32_EFER, efer_lme },
	{ "GDTR base", NOT_CANONICAL, GUEST_GDTR_BASE, not_canonical },
	{ "IDTR base", NOT_CANONICAL, GUEST_IDTR_BASE, not_canonical },
	{ "GDTR limit", "wider than 16 bits", GUEST_GDTR_LIMIT, over_16 },
	{ "IDTR limit", "wider than 16 bits", GUEST_IDTR_LIMIT, over_16 },
	{ "RIP", "wider than 32 bits, outside 64-bit mode", GUEST_RIP, rip_wide },
	{ "RIP", NOT_CANONICAL, GUEST_RIP, rip_not_canonical },
	{ "RFLAGS", RESERVED, GUEST_RFLAGS, rflags_reserved },
	{ "RFLAGS", "VM in IA-32e mode, or without CR0.PE", GUEST_RFLAGS, rflags_v86 },
	{ "activity state", "there is no such state", GUEST_ACTIVITY_STATE, activity_unknown },
	{ "activity state", "halted at a privilege level that is not 0", GUEST_ACTIVITY_STATE, activity_user },
	{ "activity state", "not active, in the shadow of STI or MOV SS", GUEST_ACTIVITY_STATE, activity_shadow },
	{ "interruptibility state", RESERVED, GUEST_INTERRUPTIBILITY_INFO, shadow_reserved },
	{ "interruptibility state", "shadows of STI and of MOV SS at once", GUEST_INTERRUPTIBILITY_INFO, shadow_both },
	{ "interruptibility state", "shadow of STI, and IF is clear", GUEST_INTERRUPTIBILITY_INFO, shadow_closed },
	{ "pending debug exceptions", RESERVED, GUEST_PENDING_DBG_EXCEPTIONS, pending_reserved },
	{ "pending debug exceptions", "BS is not as RFLAGS.TF, in a shadow", GUEST_PENDING_DBG_EXCEPTIONS, pending_step },
	{ "VMCS link pointer", "there is a VMCS", VMCS_LINK_POINTER, link_is_there },
};

/* A segment as the VMCS has it, by the number that vmlet uses. */
struct segment {
	u64 selector, base;
	u32 limit, rights;
	u8 number;
	u8 type, dpl;
	bool usable;
	bool v86, ia32e, real;	/* of the vCPU */
	u8 ss_dpl, cs_type;
};

/* The VMCS has LDTR before TR; fields of one kind are two apart. */
static u64 read_segment_field(unsigned long first, unsigned int number)
{
	return vmx_read(first + 2 * (number < VMLET_TR ? number : number ^ 1));
}

static struct segment read_segment(unsigned int number)
{
	u32 rights = read_segment_field(GUEST_ES_AR_BYTES, number);

	return (struct segment) {
		.selector	= read_segment_field(GUEST_ES_SELECTOR, number),
		.base		= read_segment_field(GUEST_ES_BASE, number),
		.limit		= read_segment_field(GUEST_ES_LIMIT, number),
		.rights		= rights,
		.number		= number,
		.type		= rights & VMX_AR_TYPE_MASK,
		.dpl		= VMX_AR_DPL(rights),
		.usable		= !(rights & VMX_AR_UNUSABLE_MASK),
		.v86		= vmx_read(GUEST_RFLAGS) & X86_EFLAGS_VM,
		.ia32e		= ia32e(),
		.real		= !(vmx_read(GUEST_CR0) & X86_CR0_PE),
		.ss_dpl		= VMX_AR_DPL(vmx_read(GUEST_SS_AR_BYTES)),
		.cs_type	= vmx_read(GUEST_CS_AR_BYTES) & VMX_AR_TYPE_MASK,
	};
}

static bool in_ldt(const struct segment *seg)
{
	return seg->usable && (seg->selector & SEGMENT_TI_MASK);
}

static bool base_canonical(const struct segment *seg)
{
	return (seg->usable || seg->number != VMLET_LDTR) && not_canonical(seg->base);
}

static bool base_wide(const struct segment *seg)
{
	return (seg->usable || seg->number == VMLET_CS) && over_32(seg->base);
}

static bool base_v86(const struct segment *seg)
{
	return seg->v86 && seg->base != seg->selector << 4;
}

static bool limit_v86(const struct segment *seg)
{
	return seg->v86 && seg->limit != 0xffff;
}

static bool rights_v86(const struct segment *seg)
{
	return seg->v86 && seg->rights != V86_RIGHTS;
}

static bool unusable(const struct segment *seg)
{
	return !seg->v86 && !seg->usable;
}

/* The rest is about segments that are usable, outside virtual-8086 mode. */
static bool of_the_other_kind(const struct segment *seg)
{
	return !(seg->rights & VMX_AR_S_MASK) == (seg->number < VMLET_TR);
}

/* Data that grows upwards is real mode's. */
static bool not_code(const struct segment *seg)
{
	return seg->type != 3 && (seg->type & 9) != 9;
}

static bool not_stack(const struct segment *seg)
{
	return (seg->type & ~4) != 3;
}

static bool not_data(const struct segment *seg)
{
	return !(seg->type & 1) || (seg->type & 10) == 8;
}

static bool not_tss(const struct segment *seg)
{
	return seg->type != VMX_AR_TYPE_BUSY_64_TSS && (seg->ia32e || seg->type != VMX_AR_TYPE_BUSY_16_TSS);
}

static bool not_ldt(const struct segment *seg)
{
	return seg->type != VMX_AR_TYPE_LDT;
}

static bool code_dpl(const struct segment *seg)
{
	if (seg->type == 3)
		return seg->dpl;
	return seg->type & 4 ? seg->dpl > seg->ss_dpl : seg->dpl != seg->ss_dpl;
}

static bool stack_dpl(const struct segment *seg)
{
	return (seg->cs_type == 3 || seg->real) && seg->dpl;
}

static bool not_present(const struct segment *seg)
{
	return !(seg->rights & VMX_AR_P_MASK);
}

static bool rights_reserved(const struct segment *seg)
{
	return seg->rights & RIGHTS_ZERO;
}

static bool two_sizes(const struct segment *seg)
{
	return seg->ia32e && (seg->rights & VMX_AR_L_MASK) && (seg->rights & VMX_AR_DB_MASK);
}

static bool limit_units(const struct segment *seg)
{
	bool pages = seg->rights & VMX_AR_G_MASK;

	return pages ? (seg->limit & 0xfff) != 0xfff : seg->limit >> 20;
}

#define CS	BIT(VMLET_CS)
#define SS	BIT(VMLET_SS)
#define DATA	(BIT(VMLET_ES) | BIT(VMLET_DS) | BIT(VMLET_FS) | BIT(VMLET_GS))
#define PLAIN	(CS | SS | DATA)
#define TR	BIT(VMLET_TR)
#define LDTR	BIT(VMLET_LDTR)
#define ANY	(PLAIN | TR | LDTR)
#define LONG	(BIT(VMLET_FS) | BIT(VMLET_GS) | TR | LDTR)	/* bases of 64 bits */

enum part { SELECTOR, BASE, LIMIT, RIGHTS };

static const struct {
	const char *check;
	u8 segments;
	u8 part;
	bool always;	/* also of a segment that is not usable, or in virtual-8086 mode */
	bool (*broken)(const struct segment *seg);
} segment_rules[] = {
	{ "in an LDT", TR | LDTR, SELECTOR, true, in_ldt },
	{ NOT_CANONICAL, LONG, BASE, true, base_canonical },
	{ "wider than 32 bits", ANY & ~LONG, BASE, true, base_wide },
	{ "not 16 times the selector, in virtual-8086 mode", PLAIN, BASE, true, base_v86 },
	{ "not 0xffff, in virtual-8086 mode", PLAIN, LIMIT, true, limit_v86 },
	{ "not 0xf3, in virtual-8086 mode", PLAIN, RIGHTS, true, rights_v86 },
	{ "not usable", CS | TR, RIGHTS, true, unusable },
	{ "system segment for code or data, or the other way round", ANY, RIGHTS, false, of_the_other_kind },
	{ "not an accessed code segment", CS, RIGHTS, false, not_code },
	{ "not an accessed, writable data segment", SS, RIGHTS, false, not_stack },
	{ "not accessed, or not readable", DATA, RIGHTS, false, not_data },
	{ "not a busy TSS, of 64 bits in IA-32e mode", TR, RIGHTS, false, not_tss },
	{ "not an LDT", LDTR, RIGHTS, false, not_ldt },
	{ "DPL does not go with that of SS", CS, RIGHTS, false, code_dpl },
	{ "DPL is not 0, in real mode", SS, RIGHTS, false, stack_dpl },
	{ "not present", ANY, RIGHTS, false, not_present },
	{ RESERVED, ANY, RIGHTS, false, rights_reserved },
	{ "64-bit code with a default operand size of 32 bits", CS, RIGHTS, false, two_sizes },
	{ "limit does not go with the granularity", ANY, RIGHTS, false, limit_units },
};

#define NAMES(name) { name " selector", name " base", name " limit", name " access rights" }
static const char *const segment_fields[VMLET_SEGS][4] = {
	NAMES("ES"), NAMES("CS"), NAMES("SS"), NAMES("DS"), NAMES("FS"), NAMES("GS"), NAMES("TR"), NAMES("LDTR"),
};

static bool explain_segment(unsigned int number, struct vmlet_broken_rule *rule)
{
	const struct segment seg = read_segment(number);
	const u64 parts[] = { seg.selector, seg.base, seg.limit, seg.rights };
	bool checked = seg.usable && (!seg.v86 || number >= VMLET_TR);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(segment_rules); i++) {
		if (!(segment_rules[i].segments & BIT(number)) || !(checked || segment_rules[i].always) ||
		    !segment_rules[i].broken(&seg))
			continue;
		*rule = (struct vmlet_broken_rule) {
			.field	= segment_fields[number][segment_rules[i].part],
			.check	= segment_rules[i].check,
			.value	= parts[segment_rules[i].part],
		};
		return true;
	}
	return false;
}

static void explain_state(struct vmlet_broken_rule *rule)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		u64 value = vmx_read(rules[i].where);

		if (!rules[i].broken(value))
			continue;
		*rule = (struct vmlet_broken_rule) { rules[i].field, rules[i].check, value };
		return;
	}
	for (i = 0; i < VMLET_SEGS; i++)
		if (explain_segment(i, rule))
			return;
}

/* What the CPU itself names. The numbers are the manual's. */
static const struct {
	u32 hw_reason;
	const char *field, *check;
} named[] = {
	{ 7, "VM-instruction error", "a control field is invalid" },
	{ 8, "VM-instruction error", "a field of the host's state is invalid" },
	{ 26, "VM-instruction error", "events are blocked by MOV SS" },
	{ VMX_EXIT_REASONS_FAILED_VMENTRY | EXIT_REASON_MSR_LOAD_FAIL, "entry of the VM-entry MSR-load area", "cannot be loaded" },
};

static void explain(const struct vmlet_exit *exit, struct vmlet_broken_rule *rule)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(named); i++)
		if (named[i].hw_reason == exit->hw_reason)
			*rule = (struct vmlet_broken_rule) { named[i].field, named[i].check, exit->raw[1] ?: exit->hw_reason };
	if (!rule->check)
		explain_state(rule);
}

void vmx_explain(struct vmlet_vcpu *vcpu, struct vmlet_broken_rule *rule)
{
	preempt_disable();
	if (vmx_make_current(to_vmx(vcpu)))
		explain(&vcpu->exit, rule);
	preempt_enable();
}
