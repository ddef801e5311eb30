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
#include <asm/mce.h>
#include <asm/msr-index.h>
#include <asm/msr.h>
#include <asm/mtrr.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../run/run.h"
#include "cr.h"
#include "exit.h"

enum {
	LISTED	 = BIT(0),	/* in KVM_GET_MSR_INDEX_LIST */
	GUEST_RO = BIT(1),	/* #GP when the guest writes */
	IGNORED	 = BIT(2),	/* writes have no effect, whatever the value */
};

/**
 * struct msr_row - one MSR, or a run of them
 * @index:	first index
 * @count:	how many
 * @flags:	as above
 * @writable:	bits that may be set
 * @reset:	value after a reset, for stored ones
 * @offset:	of the first value in struct vmlet_vcpu, for stored ones
 * @get:	where reading is not just reading what is stored
 * @set:	where writing is not just storing the value; returns 0 or -EINVAL
 */
struct msr_row {
	u32 index;
	u16 count;
	u8 flags;
	u16 offset;
	u64 writable;
	u64 reset;
	u64 (*get)(struct vmlet_vcpu *vcpu, u32 index);
	int (*set)(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);
};

static u64 get_zero(struct vmlet_vcpu *vcpu, u32 index)
{
	return 0;
}

static u64 get_tsc(struct vmlet_vcpu *vcpu, u32 index)
{
	return rdtsc_ordered() + vcpu->tsc_offset;
}

static void move_tsc(struct vmlet_vcpu *vcpu, u64 by)
{
	vcpu->tsc_offset += by;
	vmlet_replace(vcpu, VMLET_G_TSC);
}

/*
 * Userspace writes the same value to one vCPU after the other and means them to run in step: a value within a second of
 * what the last write has come to since is taken to be that.
 */
static void set_tsc_together(struct vmlet_vcpu *vcpu, u64 value)
{
	struct vmlet_vm *vm = vcpu->vm;
	u64 now = rdtsc_ordered();
	s64 apart;

	spin_lock(&vm->tsc_lock);
	apart = value - (now + vm->tsc_offset);
	if (abs(apart) > (s64)vm->tsc_khz * 1000)
		vm->tsc_offset = value - now;
	vcpu->tsc_offset = vm->tsc_offset;
	spin_unlock(&vm->tsc_lock);
	vmlet_replace(vcpu, VMLET_G_TSC);
}

/* The guest's own writes to its TSC show in TSC_ADJUST, userspace's do not. */
static int set_tsc(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 by = value - get_tsc(vcpu, index);

	if (host) {
		set_tsc_together(vcpu, value);
		return 0;
	}
	move_tsc(vcpu, by);
	vcpu->store.tsc_adjust += by;
	return 0;
}

static int set_tsc_adjust(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!host)
		move_tsc(vcpu, value - vcpu->store.tsc_adjust);
	vcpu->store.tsc_adjust = value;
	return 0;
}

static int set_apic_base(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!vmlet_apic_base_valid(vcpu, value))
		return -EINVAL;
	vcpu->apic_base = value;
	return 0;
}

static u64 get_efer(struct vmlet_vcpu *vcpu, u32 index)
{
	vmlet_need(vcpu, VMLET_G_CR);
	return vcpu->efer;
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

static u64 get_hw(struct vmlet_vcpu *vcpu, u32 index)
{
	vmlet_need(vcpu, VMLET_G_MSR);
	return *hw_msr(vcpu, index);
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

static u64 get_seg_base(struct vmlet_vcpu *vcpu, u32 index)
{
	vmlet_need(vcpu, VMLET_G_SEGS);
	return base_segment(vcpu, index)->base;
}

static int set_seg_base(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!canonical(vcpu, value))
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_SEGS);
	base_segment(vcpu, index)->base = value;
	return 0;
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

static u64 get_mtrr_fixed(struct vmlet_vcpu *vcpu, u32 index)
{
	return *mtrr_fixed(vcpu, index);
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

static u64 get_mtrr_var(struct vmlet_vcpu *vcpu, u32 index)
{
	return *mtrr_var(vcpu, index);
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

static u64 get_mc(struct vmlet_vcpu *vcpu, u32 index)
{
	return vcpu->store.mc[index - MSR_IA32_MCx_CTL(0)];
}

/* CTL is all or nothing; the guest can only clear STATUS. */
static int set_mc(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	unsigned int nr = index - MSR_IA32_MCx_CTL(0);

	if (nr % 4 == 0 && value && value != ~0ull)
		return -EINVAL;
	if (nr % 4 == 1 && value && !host)
		return -EINVAL;
	vcpu->store.mc[nr] = value;
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

#define AT(field) .offset = offsetof(struct vmlet_vcpu, field)
#define STORED(field) AT(store.field)
#define ANY ~0ull

/* Sorted by index. */
static const struct msr_row rows[] = {
	{ MSR_IA32_TSC, 1, LISTED, .get = get_tsc, .set = set_tsc },
	{ MSR_IA32_PLATFORM_ID, 1, GUEST_RO | IGNORED, .get = get_zero },
	{ MSR_IA32_APICBASE, 1, 0, AT(apic_base), .reset = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE, .set = set_apic_base },
	{ MSR_IA32_FEAT_CTL, 1, LISTED, STORED(feature_ctl), .writable = BIT(0) },
	{ MSR_IA32_TSC_ADJUST, 1, LISTED, STORED(tsc_adjust), .set = set_tsc_adjust },
	{ MSR_IA32_UCODE_REV, 1, LISTED | IGNORED, STORED(ucode_rev), .writable = ANY, .reset = 0x100000000 },
	{ MSR_PLATFORM_INFO, 1, LISTED | GUEST_RO, STORED(platform_info), .writable = ANY },
	{ MSR_MTRRcap, 1, GUEST_RO | IGNORED, STORED(mtrr_cap), .reset = 0x508 },
	{ MSR_IA32_SYSENTER_CS, 1, LISTED, .get = get_hw, .set = set_hw },
	{ MSR_IA32_SYSENTER_ESP, 2, LISTED, .get = get_hw, .set = set_hw_address },
	{ MSR_IA32_MCG_CAP, 1, GUEST_RO | IGNORED, STORED(mcg_cap), .reset = 32 },
	{ MSR_IA32_MCG_STATUS, 1, LISTED, STORED(mcg_status), .writable = ANY },
	{ MSR_IA32_MISC_ENABLE, 1, LISTED, STORED(misc_enable), .writable = ANY, .reset = 1 },
	{ MTRRphysBase_MSR(0), 16, 0, .get = get_mtrr_var, .set = set_mtrr_var },
	{ MSR_MTRRfix64K_00000, 1, 0, .get = get_mtrr_fixed, .set = set_mtrr_fixed },
	{ MSR_MTRRfix16K_80000, 2, 0, .get = get_mtrr_fixed, .set = set_mtrr_fixed },
	{ MSR_MTRRfix4K_C0000, 8, 0, .get = get_mtrr_fixed, .set = set_mtrr_fixed },
	{ MSR_IA32_CR_PAT, 1, LISTED, STORED(pat), .set = set_pat, .reset = 0x0007040600070406 },
	{ MSR_MTRRdefType, 1, 0, STORED(mtrr_def), .set = set_mtrr_def },
	{ MSR_IA32_MCx_CTL(0), 32 * 4, 0, .get = get_mc, .set = set_mc },
	{ MSR_EFER, 1, 0, .get = get_efer, .set = set_efer },
	{ MSR_STAR, 1, LISTED, .get = get_hw, .set = set_hw },
	{ MSR_LSTAR, 2, LISTED, .get = get_hw, .set = set_hw_address },
	{ MSR_SYSCALL_MASK, 1, LISTED, .get = get_hw, .set = set_hw },
	{ MSR_FS_BASE, 2, 0, .get = get_seg_base, .set = set_seg_base },
	{ MSR_KERNEL_GS_BASE, 1, LISTED, .get = get_hw, .set = set_hw_address },
	{ MSR_AMD64_SYSCFG, 1, IGNORED, .get = get_zero },
	{ MSR_K7_HWCR, 1, LISTED, STORED(hwcr), .set = set_hwcr },
	{ MSR_AMD64_NB_CFG, 1, IGNORED, .get = get_zero },
	{ MSR_AMD64_LS_CFG, 1, IGNORED, .get = get_zero },
	{ MSR_AMD64_DC_CFG, 1, IGNORED, .get = get_zero },
	{ MSR_AMD64_DE_CFG, 1, IGNORED, .get = get_zero },
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

static int msr_read(struct vmlet_vcpu *vcpu, u32 index, u64 *value)
{
	const struct msr_row *row = find_row(index);

	if (!row)
		return -EINVAL;
	*value = row->get ? row->get(vcpu, index) : *stored(vcpu, row);
	return 0;
}

static int msr_write(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	const struct msr_row *row = find_row(index);

	if (!row || (!host && (row->flags & GUEST_RO)))
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
	for (i = 0; i < ARRAY_SIZE(vcpu->store.mc); i += 4)
		vcpu->store.mc[i] = ~0ull;
}

int vmlet_exit_rdmsr(struct vmlet_vcpu *vcpu)
{
	u64 value;

	if (msr_read(vcpu, vcpu->regs[VMLET_RCX], &value))
		return vmlet_inject_gp(vcpu);
	vcpu->regs[VMLET_RAX] = (u32)value;
	vcpu->regs[VMLET_RDX] = value >> 32;
	return VMLET_SKIP;
}

int vmlet_exit_wrmsr(struct vmlet_vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[VMLET_RAX] | vcpu->regs[VMLET_RDX] << 32;

	if (msr_write(vcpu, vcpu->regs[VMLET_RCX], value, false))
		return vmlet_inject_gp(vcpu);
	return VMLET_SKIP;
}

long vmlet_api_get_msr_index_list(void *obj, struct vmlet_arg *arg)
{
	struct kvm_msr_list __user *user = arg->user;
	u32 n = 0, room, i, j;

	if (get_user(room, &user->nmsrs))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].flags & LISTED)
			n += rows[i].count;
	if (put_user(n, &user->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	for (i = 0, n = 0; i < ARRAY_SIZE(rows); i++)
		for (j = 0; (rows[i].flags & LISTED) && j < rows[i].count; j++)
			if (put_user(rows[i].index + j, &user->indices[n++]))
				return -EFAULT;
	return 0;
}

static bool access_entry(struct vmlet_vcpu *vcpu, struct kvm_msr_entry *entry, bool write)
{
	if (write)
		return !msr_write(vcpu, entry->index, entry->data, true);
	return !msr_read(vcpu, entry->index, &entry->data);
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
