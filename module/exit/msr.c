// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: model-specific registers
 *
 * One table of rows, sorted by index: the guest's RDMSR and WRMSR, the API's reads and writes, the index list, reset
 * and Documentation/api.rst all follow from it. An MSR without a row does not exist: #GP.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include <asm/kvm_para.h>
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/mtrr.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "../observe/trace.h"
#include "../run/run.h"
#include "../time/time.h"
#include "cr.h"
#include "exit.h"
#include "mce.h"
#include "msr_filter.h"
#include "spec.h"

#define UCODE_REV	0x100000000	/* newer than any that guests ask for */

enum {
	LISTED	 = BIT(0),	/* in KVM_GET_MSR_INDEX_LIST */
	GUEST_RO = BIT(1),	/* #GP when the guest writes */
	IGNORED	 = BIT(2),	/* writes have no effect, whatever the value */
	PV	 = BIT(3),	/* of KVM's interfaces */
};

/**
 * struct msr_row - one MSR, or a run of them
 * @index:	first index
 * @count:	how many
 * @flags:	as above
 * @writable:	bits that may be set
 * @reset:	value after a reset, for stored ones
 * @offset:	of the first value in struct vmlet_vcpu, for stored ones
 * @needs:	there is none without one of these: VMLET_F_*, of the host for userspace, of its CPUID for the guest;
 *		of PV rows, of vcpu->pv_features
 * @get:	where reading is not just reading what is stored; returns 0, or -errno: #GP
 * @set:	where writing is not just storing the value; likewise
 */
struct msr_row {
	u32 index;
	u16 count;
	u8 flags;
	u16 offset;
	u32 needs;
	u64 writable;
	u64 reset;
	int (*get)(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host);
	int (*set)(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);
};

static int get_zero(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = 0;
	return 0;
}

static int set_apic_base(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	return vmlet_lapic_base_set(vcpu, value, host);
}

static int get_x2apic(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	return vmlet_lapic_msr_read(vcpu, index, value);
}

static int set_x2apic(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	return vmlet_lapic_msr_write(vcpu, index, value);
}

static int get_deadline(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = host ? vmlet_lapic_deadline_saved(vcpu) : vmlet_lapic_deadline(vcpu);
	return 0;
}

static int set_deadline(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	vmlet_lapic_deadline_set(vcpu, value);
	return 0;
}

static int get_efer(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	vmlet_need(vcpu, VMLET_G_CR);
	*value = vcpu->efer;
	return 0;
}

/* LMA follows CR0.PG and cannot be written; LME cannot change while paging is on. */
static int set_efer(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 allowed = host ? vmlet_efer_host() : vcpu->efer_allowed;

	vmlet_touch(vcpu, VMLET_G_CR);
	if (value & ~allowed)
		return -EINVAL;
	if (!host && (vcpu->cr0 & X86_CR0_PG) && ((value ^ vcpu->efer) & EFER_LME))
		return -EINVAL;
	vcpu->efer = (value & ~(u64)EFER_LMA) | (vcpu->efer & EFER_LMA);
	vmlet_want_flush(vcpu);
	return 0;
}

/* Non-canonical values in these would fault VM entry, or the host. */
static bool canonical(struct vmlet_vcpu *vcpu, u64 value)
{
	unsigned int bits = vcpu->cr4_allowed & X86_CR4_LA57 ? 57 : 48;

	return (u64)((s64)(value << (64 - bits)) >> (64 - bits)) == value;
}

static u64 *hw_msr(struct vmlet_vcpu *vcpu, u32 index)
{
	static const u32 order[VMLET_HW_MSRS] = {
		[VMLET_SYSENTER_CS] = MSR_IA32_SYSENTER_CS,
		[VMLET_SYSENTER_ESP] = MSR_IA32_SYSENTER_ESP,
		[VMLET_SYSENTER_EIP] = MSR_IA32_SYSENTER_EIP,
		[VMLET_STAR] = MSR_STAR, [VMLET_LSTAR] = MSR_LSTAR, [VMLET_CSTAR] = MSR_CSTAR,
		[VMLET_SFMASK] = MSR_SYSCALL_MASK, [VMLET_KERNEL_GS] = MSR_KERNEL_GS_BASE,
	};
	unsigned int i;

	for (i = 0; i < VMLET_HW_MSRS - 1 && order[i] != index; i++)
		;
	return &vcpu->msr[i];
}

static int get_hw(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	vmlet_need(vcpu, VMLET_G_MSR);
	*value = *hw_msr(vcpu, index);
	return 0;
}

static int set_hw(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	vmlet_touch(vcpu, VMLET_G_MSR);
	*hw_msr(vcpu, index) = value;
	return 0;
}

static int set_hw_address(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	return canonical(vcpu, value) ? set_hw(vcpu, index, value, host) : -EINVAL;
}

static struct kvm_segment *base_segment(struct vmlet_vcpu *vcpu, u32 index)
{
	return &vcpu->seg[index == MSR_FS_BASE ? VMLET_FS : VMLET_GS];
}

static int get_seg_base(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	vmlet_need(vcpu, VMLET_G_SEGS);
	*value = base_segment(vcpu, index)->base;
	return 0;
}

static int set_seg_base(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!canonical(vcpu, value))
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_SEGS);
	base_segment(vcpu, index)->base = value;
	return 0;
}

/* Intel's CPUs refuse the upper half, AMD's drop it. */
static int set_tsc_aux(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	bool refuses = boot_cpu_data.x86_vendor == X86_VENDOR_INTEL;

	if (refuses && upper_32_bits(value))
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_MSR);
	vcpu->tsc_aux = (u32)value;
	return 0;
}

static int set_spec_ctrl(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (value & ~(host ? vmlet_spec_ctrl_host() : vcpu->spec_ctrl_allowed))
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_MSR);
	vcpu->spec_ctrl = value;
	return 0;
}

static int set_virt_spec_ctrl(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (value & ~(u64)SPEC_CTRL_SSBD)
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_MSR);
	vcpu->virt_spec_ctrl = value;
	return 0;
}

/* Guests learn from it that they can have CPUID fault in user mode. */
static int get_platform_info(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = vcpu->store.platform_info;
	return host || READ_ONCE(vcpu->vm->show_platform_info) ? 0 : -EINVAL;
}

static int set_platform_info(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!(value & MSR_PLATFORM_INFO_CPUID_FAULT) && vcpu->store.misc_features)
		return -EINVAL;
	vcpu->store.platform_info = value;
	return 0;
}

static int set_misc_features(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (value & ~(u64)MSR_MISC_FEATURES_ENABLES_CPUID_FAULT)
		return -EINVAL;
	if (value && !(vcpu->store.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT))
		return -EINVAL;
	vcpu->store.misc_features = value;
	return 0;
}

/* Where it switches MWAIT, a CPU that has no SSE3 has no such bit. */
static int set_misc_enable(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 changed = value ^ vcpu->store.misc_enable;

	if ((changed & MSR_IA32_MISC_ENABLE_MWAIT) && !(vcpu->features & VMLET_F_SSE3) &&
	    !vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		return -EINVAL;
	vcpu->store.misc_enable = value;
	return 0;
}

/* No supervisor state is for guests: there is the MSR, and it is 0. */
static int get_xss(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = 0;
	return host || (vcpu->features & VMLET_F_XSAVES) ? 0 : -EINVAL;
}

static int set_xss(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	return value ? -EINVAL : get_xss(vcpu, index, &value, host);
}

/* Each byte is a memory type: 0, 1, 4, 5, 6, and in PAT also 7. Asked of all eight at once. */
static bool memory_types_valid(u64 value, bool pat)
{
	const u64 each = 0x0101010101010101;
	u64 bad = value & each * 0xf8;

	bad |= value & (each << 1) & ~(value >> 1);		/* 2, 3 */
	if (!pat)
		bad |= value & (value >> 1) & (value >> 2) & each;	/* 7 */
	return !bad;
}

/* Stored only: all guest memory is ordinary memory, and the nested page tables say so. */
static int set_pat(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!memory_types_valid(value, true))
		return -EINVAL;
	vcpu->store.pat = value;
	return 0;
}

static u64 *mtrr_fixed(struct vmlet_vcpu *vcpu, u32 index)
{
	unsigned int nr = index == MSR_MTRRfix64K_00000 ? 0 :
			  index <= MSR_MTRRfix16K_A0000 ? index - MSR_MTRRfix16K_80000 + 1 :
			  index - MSR_MTRRfix4K_C0000 + 3;

	return &vcpu->store.mtrr_fixed[nr];
}

static int get_mtrr_fixed(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = *mtrr_fixed(vcpu, index);
	return 0;
}

static int set_mtrr_fixed(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!memory_types_valid(value, false))
		return -EINVAL;
	*mtrr_fixed(vcpu, index) = value;
	return 0;
}

static u64 *mtrr_var(struct vmlet_vcpu *vcpu, u32 index)
{
	return &vcpu->store.mtrr_var[index - MTRRphysBase_MSR(0)];
}

static int get_mtrr_var(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = *mtrr_var(vcpu, index);
	return 0;
}

static int set_mtrr_var(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 reserved = ~GENMASK_ULL(vcpu->maxphyaddr - 1, 0);

	reserved |= index & 1 ? 0x7ff : 0xf00;
	if ((value & reserved) || (!(index & 1) && !memory_types_valid(value & 0xff, false)))
		return -EINVAL;
	*mtrr_var(vcpu, index) = value;
	return 0;
}

static int set_mtrr_def(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if ((value & ~0xcffull) || !memory_types_valid(value & 0xff, false))
		return -EINVAL;
	vcpu->store.mtrr_def = value;
	return 0;
}

/* Bits that software sets to say that it has done its part are taken and dropped. */
static int set_hwcr(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	value &= ~(u64)(BIT(3) | BIT(6) | BIT(8));	/* TLB and cache workarounds */
	if (value & ~(u64)(BIT(18) | BIT(24)))
		return -EINVAL;
	vcpu->store.hwcr = value;
	return 0;
}

/* Guests have no performance counters; userspace may save and restore that. */
static int get_perf_caps(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = vcpu->store.perf_caps;
	return host ? 0 : -EINVAL;
}

static int set_de_cfg(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (value & ~vmlet_de_cfg())
		return -EINVAL;
	vcpu->store.de_cfg = value;
	return 0;
}

#define AT(field) .offset = offsetof(struct vmlet_vcpu, field)
#define STORED(field) AT(store.field)
#define ANY ~0ull
/* No CPU has the other bits of it without one of these. */
#define SPEC_CTRL (VMLET_F_IBRS | VMLET_F_STIBP | VMLET_F_SSBD)
#define OF(pv) LISTED | PV, .needs = BIT(KVM_FEATURE_##pv)

/* Sorted by index. */
static const struct msr_row rows[] = {
	{ MSR_IA32_TSC, 1, LISTED, .get = vmlet_tsc_get, .set = vmlet_tsc_set },
	{ MSR_KVM_WALL_CLOCK, 1, OF(CLOCKSOURCE), .get = vmlet_clock_wall_get, .set = vmlet_clock_wall_set },
	{ MSR_KVM_SYSTEM_TIME, 1, OF(CLOCKSOURCE), AT(clock.system_msr), .set = vmlet_clock_system_set },
	{ MSR_IA32_PLATFORM_ID, 1, GUEST_RO | IGNORED, .get = get_zero },
	{ MSR_IA32_APICBASE, 1, 0, AT(apic_base), .reset = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE, .set = set_apic_base },
	{ MSR_IA32_FEAT_CTL, 1, LISTED, STORED(feature_ctl), .writable = BIT(0) },
	{ MSR_IA32_TSC_ADJUST, 1, LISTED, STORED(tsc_adjust), .set = vmlet_tsc_adjust_set },
	{ MSR_IA32_SPEC_CTRL, 1, LISTED, AT(spec_ctrl), SPEC_CTRL, .set = set_spec_ctrl },
	{ MSR_IA32_PRED_CMD, 1, 0, .needs = VMLET_F_IBPB, .get = vmlet_command_get, .set = vmlet_command_set },
	{ MSR_IA32_UCODE_REV, 1, LISTED | IGNORED, STORED(ucode_rev), .writable = ANY },
	{ MSR_PLATFORM_INFO, 1, LISTED | GUEST_RO, .get = get_platform_info, .set = set_platform_info },
	{ MSR_MTRRcap, 1, GUEST_RO | IGNORED, STORED(mtrr_cap), .reset = 0x508 },
	{ MSR_IA32_ARCH_CAPABILITIES, 1, LISTED | GUEST_RO, STORED(arch_caps), VMLET_F_ARCH_CAPS, .writable = ANY },
	{ MSR_IA32_FLUSH_CMD, 1, 0, .needs = VMLET_F_FLUSH_L1D, .get = vmlet_command_get, .set = vmlet_command_set },
	{ MSR_MISC_FEATURES_ENABLES, 1, LISTED, STORED(misc_features), .set = set_misc_features },
	{ MSR_IA32_SYSENTER_CS, 1, LISTED, .get = get_hw, .set = set_hw },
	{ MSR_IA32_SYSENTER_ESP, 2, LISTED, .get = get_hw, .set = set_hw_address },
	{ MSR_IA32_MCG_CAP, 1, GUEST_RO | IGNORED, STORED(mcg_cap), .reset = 32 },
	{ MSR_IA32_MCG_STATUS, 1, LISTED, STORED(mcg_status), .writable = ANY },
	{ MSR_IA32_MCG_CTL, 1, LISTED, .get = vmlet_mcg_ctl_get, .set = vmlet_mcg_ctl_set },
	{ MSR_IA32_MISC_ENABLE, 1, LISTED, STORED(misc_enable), .set = set_misc_enable, .reset = 1 },
	{ MSR_IA32_POWER_CTL, 1, LISTED, STORED(power_ctl), .writable = ANY },
	{ MTRRphysBase_MSR(0), 16, 0, .get = get_mtrr_var, .set = set_mtrr_var },
	{ MSR_MTRRfix64K_00000, 1, 0, .get = get_mtrr_fixed, .set = set_mtrr_fixed },
	{ MSR_MTRRfix16K_80000, 2, 0, .get = get_mtrr_fixed, .set = set_mtrr_fixed },
	{ MSR_MTRRfix4K_C0000, 8, 0, .get = get_mtrr_fixed, .set = set_mtrr_fixed },
	{ MSR_IA32_CR_PAT, 1, LISTED, STORED(pat), .set = set_pat, .reset = 0x0007040600070406 },
	{ MSR_MTRRdefType, 1, 0, STORED(mtrr_def), .set = set_mtrr_def },
	{ MSR_IA32_PERF_CAPABILITIES, 1, LISTED | GUEST_RO, STORED(perf_caps), .get = get_perf_caps },
	{ MSR_IA32_MCx_CTL(0), VMLET_MCE_BANKS * 4, 0, .get = vmlet_mc_get, .set = vmlet_mc_set },
	{ MSR_IA32_TSC_DEADLINE, 1, LISTED, .get = get_deadline, .set = set_deadline },
	{ APIC_BASE_MSR, 0x100, 0, .get = get_x2apic, .set = set_x2apic },
	{ MSR_IA32_XSS, 1, 0, .get = get_xss, .set = set_xss },
	{ MSR_KVM_WALL_CLOCK_NEW, 1, OF(CLOCKSOURCE2), .get = vmlet_clock_wall_get, .set = vmlet_clock_wall_set },
	{ MSR_KVM_SYSTEM_TIME_NEW, 1, OF(CLOCKSOURCE2), AT(clock.system_msr), .set = vmlet_clock_system_set },
	{ MSR_KVM_STEAL_TIME, 1, OF(STEAL_TIME), AT(clock.steal_msr), .set = vmlet_steal_set },
	{ MSR_KVM_PV_EOI_EN, 1, OF(PV_EOI), AT(pv_eoi), .set = vmlet_lapic_pv_eoi_set },
	{ MSR_EFER, 1, 0, .get = get_efer, .set = set_efer },
	{ MSR_STAR, 1, LISTED, .get = get_hw, .set = set_hw },
	{ MSR_LSTAR, 2, LISTED, .get = get_hw, .set = set_hw_address },
	{ MSR_SYSCALL_MASK, 1, LISTED, .get = get_hw, .set = set_hw },
	{ MSR_FS_BASE, 2, 0, .get = get_seg_base, .set = set_seg_base },
	{ MSR_KERNEL_GS_BASE, 1, LISTED, .get = get_hw, .set = set_hw_address },
	{ MSR_TSC_AUX, 1, LISTED, AT(tsc_aux), VMLET_F_TSC_AUX, .set = set_tsc_aux },
	{ MSR_K7_EVNTSEL0, 8, IGNORED, .get = get_zero },
	{ MSR_AMD64_SYSCFG, 1, IGNORED, .get = get_zero },
	{ MSR_K7_HWCR, 1, LISTED, STORED(hwcr), .set = set_hwcr },
	{ MSR_AMD64_NB_CFG, 1, IGNORED, .get = get_zero },
	{ MSR_AMD64_VIRT_SPEC_CTRL, 1, LISTED, AT(virt_spec_ctrl), VMLET_F_VIRT_SSBD, .set = set_virt_spec_ctrl },
	{ MSR_AMD64_LS_CFG, 1, IGNORED, .get = get_zero },
	{ MSR_AMD64_DC_CFG, 1, IGNORED, .get = get_zero },
	{ MSR_AMD64_DE_CFG, 1, 0, STORED(de_cfg), .set = set_de_cfg },
};

/* The last row that does not begin behind @index has it, if any. Unrolled, a step is a comparison and a move. */
static __always_inline const struct msr_row *find_row(u32 index)
{
	const unsigned int half = rounddown_pow_of_two(ARRAY_SIZE(rows)), rest = ARRAY_SIZE(rows) - half;
	const struct msr_row *row = index >= rows[rest].index ? &rows[rest] : rows;
	unsigned int step;

#pragma GCC unroll 8
	for (step = half / 2; step; step /= 2)
		if (index >= row[step].index)
			row += step;
	return index - row->index < row->count ? row : NULL;
}

static u64 *stored(struct vmlet_vcpu *vcpu, const struct msr_row *row)
{
	return (void *)vcpu + row->offset;
}

static bool exists(struct vmlet_vcpu *vcpu, const struct msr_row *row, bool host)
{
	if (!row->needs)
		return true;
	if (row->flags & PV)
		return vcpu->pv_features & row->needs;
	return (host ? vmlet_host_features() : vcpu->features) & row->needs;
}

/* Userspace that saves and restores all that are listed may do so where the guest is not told of some: they are 0. */
static int absent(const struct msr_row *row, u64 value, bool host)
{
	if (!(row->flags & PV))
		return -EINVAL;
	return host && !value ? 0 : -ENOENT;
}

static int msr_read(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct msr_row *row = find_row(index);

	if (!row)
		return -ENOENT;
	if (!exists(vcpu, row, host))
		return absent(row, *value = 0, host);
	if (row->get)
		return row->get(vcpu, index, value, host);
	*value = *stored(vcpu, row);
	return 0;
}

static int msr_write(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	const struct msr_row *row = find_row(index);

	if (!row)
		return -ENOENT;
	if (!exists(vcpu, row, host))
		return absent(row, value, host);
	if (!host && (row->flags & GUEST_RO))
		return -EINVAL;
	if (row->set)
		return row->set(vcpu, index, value, host);
	if ((row->flags & IGNORED) && (!host || !row->writable))
		return 0;
	if (value & ~row->writable)
		return -EINVAL;
	*stored(vcpu, row) = value;
	return 0;
}

void vmlet_msr_reset(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (!rows[i].get)
			*stored(vcpu, &rows[i]) = rows[i].reset;
	if (vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_STUFF_FEATURE_MSRS)) {
		vcpu->store.ucode_rev = UCODE_REV;
		vcpu->store.arch_caps = vmlet_arch_capabilities();
		vcpu->store.platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	}
	vmlet_mce_reset(vcpu);
}

static int give(struct vmlet_vcpu *vcpu, u64 value)
{
	vcpu->regs[VMLET_RAX] = (u32)value;
	vcpu->regs[VMLET_RDX] = value >> 32;
	return VMLET_SKIP;
}

static int complete_wrmsr(struct vmlet_vcpu *vcpu)
{
	return READ_ONCE(vcpu->run->msr.error) ? vmlet_inject_gp(vcpu) : VMLET_SKIP;
}

static int complete_rdmsr(struct vmlet_vcpu *vcpu)
{
	int next = complete_wrmsr(vcpu);

	return next == VMLET_SKIP ? give(vcpu, READ_ONCE(vcpu->run->msr.data)) : next;
}

/* An access that the kernel does not do: #GP, unless userspace wants to answer it. */
static int refuse(struct vmlet_vcpu *vcpu, int error, u32 exit_reason, u64 value)
{
	u32 reason = error == -EPERM ? KVM_MSR_EXIT_REASON_FILTER :
		     error == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
	struct kvm_run *run = vcpu->run;

	if (!(READ_ONCE(vcpu->vm->msr_exits) & reason))
		return vmlet_inject_gp(vcpu);
	memset(&run->msr, 0, sizeof(run->msr));
	run->msr.reason = reason;
	run->msr.index = vcpu->regs[VMLET_RCX];
	run->msr.data = value;
	return vmlet_to_user(vcpu, exit_reason, exit_reason == KVM_EXIT_X86_RDMSR ? complete_rdmsr : complete_wrmsr);
}

int vmlet_exit_rdmsr(struct vmlet_vcpu *vcpu)
{
	u32 index = vcpu->regs[VMLET_RCX];
	u64 value;
	int ret = vmlet_msr_filter(vcpu, index, KVM_MSR_FILTER_READ) ?: msr_read(vcpu, index, &value, false);

	trace_kvm_msr(0, index, ret ? 0 : value, ret);
	return ret ? refuse(vcpu, ret, KVM_EXIT_X86_RDMSR, 0) : give(vcpu, value);
}

int vmlet_exit_wrmsr(struct vmlet_vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[VMLET_RAX] | vcpu->regs[VMLET_RDX] << 32;
	u32 index = vcpu->regs[VMLET_RCX];
	int ret = vmlet_msr_filter(vcpu, index, KVM_MSR_FILTER_WRITE) ?: msr_write(vcpu, index, value, false);

	trace_kvm_msr(1, index, value, ret);
	return ret ? refuse(vcpu, ret, KVM_EXIT_X86_WRMSR, value) : VMLET_SKIP;
}

static bool listed(const struct msr_row *row)
{
	return (row->flags & LISTED) && ((row->flags & PV) || exists(NULL, row, true));
}

long vmlet_api_get_msr_index_list(void *obj, struct vmlet_arg *arg)
{
	struct kvm_msr_list __user *user = arg->user;
	u32 n = 0, room, i, j;

	if (get_user(room, &user->nmsrs))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (listed(&rows[i]))
			n += rows[i].count;
	if (put_user(n, &user->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	for (i = 0, n = 0; i < ARRAY_SIZE(rows); i++)
		for (j = 0; listed(&rows[i]) && j < rows[i].count; j++)
			if (put_user(rows[i].index + j, &user->indices[n++]))
				return -EFAULT;
	return 0;
}

/* MSRs of the device: what the host has of them, for userspace that wants to know what a vCPU can be given. */
static const u32 feature_msrs[] = {
	MSR_IA32_UCODE_REV, MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_PERF_CAPABILITIES, MSR_AMD64_DE_CFG,
};

static bool feature_read(struct kvm_msr_entry *entry)
{
	entry->data = 0;
	switch (entry->index) {
	case MSR_IA32_UCODE_REV:
		return !rdmsrl_safe(MSR_IA32_UCODE_REV, &entry->data);
	case MSR_IA32_ARCH_CAPABILITIES:
		entry->data = vmlet_arch_capabilities();
		return true;
	case MSR_IA32_PERF_CAPABILITIES:
		return true;
	case MSR_AMD64_DE_CFG:
		entry->data = vmlet_de_cfg();
		return entry->data;
	}
	return false;
}

long vmlet_api_get_feature_list(void *obj, struct vmlet_arg *arg)
{
	struct kvm_msr_list __user *user = arg->user;
	u32 room, n = 0, i, indices[ARRAY_SIZE(feature_msrs)];

	for (i = 0; i < ARRAY_SIZE(feature_msrs); i++) {
		struct kvm_msr_entry entry = { .index = feature_msrs[i] };

		if (feature_read(&entry))
			indices[n++] = entry.index;
	}
	if (get_user(room, &user->nmsrs) || put_user(n, &user->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(user->indices, indices, n * sizeof(*indices)) ? -EFAULT : 0;
}

static bool access_entry(struct vmlet_vcpu *vcpu, struct kvm_msr_entry *entry, bool write)
{
	if (!vcpu)
		return feature_read(entry);
	if (write)
		return !msr_write(vcpu, entry->index, entry->data, true);
	return !msr_read(vcpu, entry->index, &entry->data, true);
}

/* Returns how many entries were done: the first that fails ends it. What was read until then is handed back. */
static long access_msrs(struct vmlet_vcpu *vcpu, struct kvm_msrs __user *user, bool write)
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	long i = 0;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs >= 256)
		return -E2BIG;
	size = head.nmsrs * sizeof(*entries);
	if (!size)
		return 0;
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	while (i < head.nmsrs && access_entry(vcpu, &entries[i], write))
		i++;
	if (!write && copy_to_user(user->entries, entries, size))
		i = -EFAULT;
	kfree(entries);
	return i;
}

long vmlet_api_get_msrs(void *obj, struct vmlet_arg *arg)
{
	return access_msrs(obj, arg->user, false);
}

long vmlet_api_set_msrs(void *obj, struct vmlet_arg *arg)
{
	return access_msrs(obj, arg->user, true);
}
