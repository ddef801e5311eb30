// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: local APIC: registers
 *
 * One table says what each register is. The guest's page of registers (xAPIC mode), its MSRs (x2APIC mode) and the
 * API's copy of all of them follow from it.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <asm/msr-index.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "../run/run.h"
#include "lapic.h"

#define PAGE_BYTES		0x1000
#define VERSION			0x50014		/* integrated, six LVT entries */
#define DELIVERY_STATUS		((u32)BIT(12))
#define REMOTE_IRR		BIT(14)
#define X2_MSR(nr)		(APIC_BASE_MSR + (nr))
#define X2_ICR_RESERVED		0xfff32000u	/* in xAPIC mode they are storage */

/* How a register behaves. */
enum {
	R	= BIT(0),
	W	= BIT(1),
	XAPIC	= BIT(2),	/* there in xAPIC mode only; */
	X2APIC	= BIT(3),	/* in x2APIC mode only */
	MAP	= BIT(4),	/* destinations follow from it */
	STATE	= BIT(5),	/* userspace's copy sets it */
	RW	= R | W,
};

/**
 * struct reg - one register
 * @flags:	as above
 * @stored:	bits that can be written and read back
 * @taken:	further bits that x2APIC mode does not fault on: they are read-only
 * @reset:	value after reset
 * @read:	where reading is not just reading what is stored
 * @write:	what writing does, where it is not just storing @value, which has @stored bits only
 */
struct reg {
	u8 flags;
	u32 stored, taken, reset;
	u32 (*read)(struct vmlet_lapic *lapic);
	void (*write)(struct vmlet_lapic *lapic, unsigned int nr, u32 value);
};

static u32 read_id(struct vmlet_lapic *lapic)
{
	return vmlet_is_x2apic(lapic->vcpu) ? lapic->vcpu->id : lapic->regs[VMLET_APIC_ID];
}

static u32 read_ppr(struct vmlet_lapic *lapic)
{
	return lapic->ppr;
}

static void write_tpr(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	vmlet_lapic_tpr_set(lapic->vcpu, value);
}

static void write_eoi(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	vmlet_apic_eoi(lapic);
}

/* In flat and cluster model alike only the upper half byte or byte counts; the rest reads as ones. */
static void write_dfr(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	WRITE_ONCE(lapic->regs[nr], value | 0x0fffffff);
}

/* LINT0 passes the PIC's interrupts on; without local APIC they go straight to the CPU. */
static void update_pic(struct vmlet_lapic *lapic)
{
	u32 lvt = lapic->regs[VMLET_APIC_LVT0];
	bool on = lapic->vcpu->apic_base & MSR_IA32_APICBASE_ENABLE;

	WRITE_ONCE(lapic->accepts_pic, !on || (!(lvt & APIC_LVT_MASKED) && (lvt >> 8 & 7) == VMLET_IRQ_EXTINT));
	vmlet_request_own(lapic->vcpu, VMLET_REQ_EVENT);
}

static void write_lvt(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	if (!vmlet_apic_enabled(lapic))
		value |= APIC_LVT_MASKED;
	if (nr == VMLET_APIC_LVTT)
		vmlet_apic_timer_lvt(lapic, value);
	else
		WRITE_ONCE(lapic->regs[nr], value);
	if (nr == VMLET_APIC_LVT0)
		update_pic(lapic);
}

static void write_svr(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	unsigned int lvt;

	WRITE_ONCE(lapic->regs[nr], value);
	if (value & APIC_SPIV_APIC_ENABLED)
		return;
	for (lvt = VMLET_APIC_LVTT; lvt <= VMLET_APIC_LVTERR; lvt++)
		write_lvt(lapic, lvt, lapic->regs[lvt]);
}

/* Writing shows the errors since the last write. */
static void write_esr(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	lapic->regs[nr] = lapic->errors;
	lapic->errors = 0;
}

static void write_icr(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	lapic->regs[nr] = value;
	vmlet_apic_send(lapic, value);
}

static void write_self_ipi(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	vmlet_apic_send(lapic, APIC_DEST_SELF | value);
}

static void write_tmict(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	if (lapic->regs[VMLET_APIC_LVTT] & APIC_LVT_TIMER_TSCDEADLINE)
		return;
	lapic->regs[nr] = value;
	vmlet_apic_timer_start(lapic, value);
}

static void write_tdcr(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	vmlet_apic_timer_divide(lapic, value);
}

#define LVT_ROW(mask, ro) { RW | STATE, (mask), DELIVERY_STATUS | (ro), APIC_LVT_MASKED, NULL, write_lvt }
#define BITMAP_ROWS(first) [first ... (first) + 7] = { R | STATE, ~0u }

static const struct reg regs[VMLET_APIC_REGS] = {
	[VMLET_APIC_ID]		= { RW | MAP | STATE, 0xff000000, .read = read_id },
	[VMLET_APIC_VERSION]	= { R, .reset = VERSION },
	[VMLET_APIC_TPR]	= { RW | STATE, 0xff, .write = write_tpr },
	[VMLET_APIC_APR]	= { R | XAPIC },
	[VMLET_APIC_PPR]	= { R, .read = read_ppr },
	[VMLET_APIC_EOI]	= { W, .write = write_eoi },
	[VMLET_APIC_RRD]	= { R | XAPIC },
	[VMLET_APIC_LDR]	= { RW | MAP | STATE, 0xff000000 },
	[VMLET_APIC_DFR]	= { RW | XAPIC | MAP | STATE, 0xf0000000, .reset = ~0u, .write = write_dfr },
	[VMLET_APIC_SVR]	= { RW | STATE, 0x3ff, .reset = 0xff, .write = write_svr },
	BITMAP_ROWS(VMLET_APIC_ISR),
	BITMAP_ROWS(VMLET_APIC_TMR),
	BITMAP_ROWS(VMLET_APIC_IRR),
	[VMLET_APIC_ESR]	= { RW | STATE, 0xff, .write = write_esr },
	[VMLET_APIC_ICR]	= { RW | STATE, ~DELIVERY_STATUS, DELIVERY_STATUS, .write = write_icr },
	[VMLET_APIC_ICR2]	= { RW | XAPIC | STATE, 0xff000000 },
	[VMLET_APIC_LVTT]	= LVT_ROW(0x700ff, 0),
	[VMLET_APIC_LVTTHMR]	= LVT_ROW(0x107ff, 0),
	[VMLET_APIC_LVTPC]	= LVT_ROW(0x107ff, 0),
	[VMLET_APIC_LVT0]	= LVT_ROW(0x1a7ff, REMOTE_IRR),
	[VMLET_APIC_LVT1]	= LVT_ROW(0x1a7ff, REMOTE_IRR),
	[VMLET_APIC_LVTERR]	= LVT_ROW(0x100ff, 0),
	[VMLET_APIC_TMICT]	= { RW | STATE, ~0u, .write = write_tmict },
	[VMLET_APIC_TMCCT]	= { R, .read = vmlet_apic_timer_count },
	[VMLET_APIC_TDCR]	= { RW | STATE, 0xb, .write = write_tdcr },
	[VMLET_APIC_SELF_IPI]	= { W | X2APIC, 0xff, .write = write_self_ipi },
};

static u32 reg_read(struct vmlet_lapic *lapic, unsigned int nr)
{
	const struct reg *reg = &regs[nr];

	if (unlikely(lapic->eoi_lent) && (nr == VMLET_APIC_PPR || nr - VMLET_APIC_ISR < 8))
		vmlet_apic_eoi_settle_now(lapic);
	return reg->read ? reg->read(lapic) : lapic->regs[nr];
}

/* A change of who answers to what is complete before the guest runs on: the map is made in the outer loop. */
static void reg_write(struct vmlet_lapic *lapic, unsigned int nr, u32 value)
{
	const struct reg *reg = &regs[nr];

	value &= reg->stored;
	if (reg->write)
		reg->write(lapic, nr, value);
	else
		WRITE_ONCE(lapic->regs[nr], value);
	if (reg->flags & MAP)
		vmlet_request_own(lapic->vcpu, VMLET_REQ_APIC_MAP);
}

/* The register, if @access is possible and it is not one of those that are there in the @other mode only. */
static const struct reg *find_reg(unsigned int nr, u8 access, u8 other)
{
	const struct reg *reg = &regs[array_index_nospec(nr, VMLET_APIC_REGS)];

	return nr < VMLET_APIC_REGS && (reg->flags & (access | other)) == access ? reg : NULL;
}

static const struct reg *x2apic_reg(struct vmlet_vcpu *vcpu, u32 index, u8 access)
{
	return vcpu->lapic && vmlet_is_x2apic(vcpu) ? find_reg(index - APIC_BASE_MSR, access, XAPIC) : NULL;
}

int vmlet_lapic_msr_read(struct vmlet_vcpu *vcpu, u32 index, u64 *value)
{
	const struct reg *reg = x2apic_reg(vcpu, index, R);

	if (!reg)
		return -EINVAL;
	*value = reg_read(vcpu->lapic, reg - regs);
	if (reg == &regs[VMLET_APIC_ICR])
		*value |= (u64)vcpu->lapic->regs[VMLET_APIC_ICR2] << 32;
	return 0;
}

/* Here ID and LDR cannot be written, EOI and ESR take only 0, and ICR has 64 bits. */
int vmlet_lapic_msr_write(struct vmlet_vcpu *vcpu, u32 index, u64 value)
{
	const struct reg *reg = x2apic_reg(vcpu, index, W);
	u32 high = value >> 32;

	if (unlikely(!reg || (reg->flags & MAP)))
		return -EINVAL;
	if (index == X2_MSR(VMLET_APIC_EOI)) {
		if (value)
			return -EINVAL;
		vmlet_apic_eoi(vcpu->lapic);
		return 0;
	}
	if ((u32)value & ~(reg->stored | reg->taken) || (index == X2_MSR(VMLET_APIC_ESR) && value))
		return -EINVAL;
	if (index == X2_MSR(VMLET_APIC_ICR)) {
		if ((u32)value & X2_ICR_RESERVED)
			return -EINVAL;
		vcpu->lapic->regs[VMLET_APIC_ICR2] = high;
	} else if (high) {
		return -EINVAL;
	}
	reg_write(vcpu->lapic, reg - regs, value);
	return 0;
}

/* Registers are 32 bits wide and 16 bytes apart; parts of them can be read. */
static void page_read(struct vmlet_lapic *lapic, unsigned int offset, unsigned int len, void *data)
{
	const struct reg *reg = find_reg(offset >> 4, R, X2APIC);
	unsigned int byte = offset & 0xf;
	u32 value;

	memset(data, 0, len);
	if (!reg || byte + len > sizeof(value))
		return;
	value = reg_read(lapic, reg - regs);
	if (unlikely(lapic->reports_tpr) && reg == &regs[VMLET_APIC_TPR])
		vmlet_apic_tpr_accessed(lapic, false);
	memcpy(data, (u8 *)&value + byte, len);
}

static void page_write(struct vmlet_lapic *lapic, unsigned int offset, unsigned int len, const void *data)
{
	const struct reg *reg = find_reg(offset >> 4, W, X2APIC);

	if (!reg || len != sizeof(u32) || offset & 0xf)
		return;
	reg_write(lapic, reg - regs, *(u32 *)data);
	if (unlikely(lapic->reports_tpr) && reg == &regs[VMLET_APIC_TPR])
		vmlet_apic_tpr_accessed(lapic, true);
}

/* Where the page is, but nobody in it, accesses end here all the same: a quirk. */
bool vmlet_lapic_mmio(struct vmlet_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data, bool write)
{
	u64 offset = gpa - (vcpu->apic_base & ~(u64)(PAGE_BYTES - 1));
	struct vmlet_lapic *lapic = vcpu->lapic;

	if (!lapic || offset >= PAGE_BYTES)
		return false;
	if ((vcpu->apic_base & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)) != MSR_IA32_APICBASE_ENABLE) {
		if (!vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_LAPIC_MMIO_HOLE))
			return false;
		if (!write)
			memset(data, 0xff, len);
		return true;
	}
	if (write)
		page_write(lapic, offset, len, data);
	else
		page_read(lapic, offset, len, data);
	return true;
}

static void mirror_tpr(struct vmlet_lapic *lapic)
{
	lapic->vcpu->cr8 = lapic->regs[VMLET_APIC_TPR] >> 4;
	vmlet_replace(lapic->vcpu, VMLET_G_CR8);
	vmlet_apic_update_priority(lapic);
}

void vmlet_lapic_tpr_set(struct vmlet_vcpu *vcpu, u8 tpr)
{
	vcpu->lapic->regs[VMLET_APIC_TPR] = tpr;
	mirror_tpr(vcpu->lapic);
}

static u32 x2apic_ldr(u32 id)
{
	return id >> 4 << 16 | 1 << (id & 0xf);
}

/* What follows from the mode; on its change both IDs are as the vCPU's. */
static void set_ids(struct vmlet_lapic *lapic)
{
	u32 id = lapic->vcpu->id;

	WRITE_ONCE(lapic->regs[VMLET_APIC_ID], id << 24);
	WRITE_ONCE(lapic->regs[VMLET_APIC_LDR], vmlet_is_x2apic(lapic->vcpu) ? x2apic_ldr(id) : 0);
}

void vmlet_lapic_reset(struct vmlet_vcpu *vcpu, bool init)
{
	struct vmlet_lapic *lapic = vcpu->lapic;
	u32 id = lapic->regs[VMLET_APIC_ID];
	unsigned int nr;

	vmlet_apic_timer_stop(lapic);
	if (lapic->eoi_lent)
		vmlet_apic_eoi_settle_now(lapic);
	for (nr = 0; nr < VMLET_APIC_REGS; nr++)
		WRITE_ONCE(lapic->regs[nr], regs[nr].reset);
	set_ids(lapic);
	if (init)
		WRITE_ONCE(lapic->regs[VMLET_APIC_ID], id);
	/* The boot CPU's is as the firmware of old machines leaves it: the PIC works from the start. */
	if ((vcpu->apic_base & MSR_IA32_APICBASE_BSP) && vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_LINT0_REENABLED))
		lapic->regs[VMLET_APIC_LVT0] = VMLET_IRQ_EXTINT << 8;
	lapic->errors = 0;
	mirror_tpr(lapic);
	update_pic(lapic);
	vmlet_request_own(vcpu, VMLET_REQ_APIC_MAP);
}

/* The guest cannot leave x2APIC mode but by disabling the APIC, nor enter it from there. */
static bool transition_valid(u64 old, u64 new)
{
	if (old & X2APIC_ENABLE)
		return (new & X2APIC_ENABLE) || !(new & MSR_IA32_APICBASE_ENABLE);
	return !(new & X2APIC_ENABLE) || (old & MSR_IA32_APICBASE_ENABLE);
}

int vmlet_lapic_base_set(struct vmlet_vcpu *vcpu, u64 base, bool host)
{
	u64 old = vcpu->apic_base, changed = (base ^ old) & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);

	if (!vmlet_apic_base_valid(vcpu, base) || (!host && !transition_valid(old, base)))
		return -EINVAL;
	WRITE_ONCE(vcpu->apic_base, base);
	if (!vcpu->lapic || !changed)
		return 0;
	if (!host && !(base & MSR_IA32_APICBASE_ENABLE))
		vmlet_lapic_reset(vcpu, true);
	set_ids(vcpu->lapic);
	update_pic(vcpu->lapic);
	if (host)
		vmlet_apic_map_update(vcpu->vm);
	else
		vmlet_request_own(vcpu, VMLET_REQ_APIC_MAP);
	return 0;
}

int vmlet_lapic_create(struct vmlet_vcpu *vcpu)
{
	struct vmlet_lapic *lapic = kzalloc(sizeof(*lapic), GFP_KERNEL_ACCOUNT);

	if (!lapic)
		return -ENOMEM;
	lapic->vcpu = vcpu;
	vmlet_apic_timer_init(lapic);
	vcpu->lapic = lapic;
	return 0;
}

/* With the VM, or before the vCPU is in the map. */
void vmlet_lapic_destroy(struct vmlet_vcpu *vcpu)
{
	vmlet_apic_timer_stop(vcpu->lapic);
	kfree(vcpu->lapic);
	vcpu->lapic = NULL;
}

static u32 *state_reg(struct kvm_lapic_state *state, unsigned int nr)
{
	return (u32 *)(state->regs + nr * 16);
}

/* The ID is in its upper byte in either mode, unless it has 32 bits. From the end, for an interrupt to be seen in the timer's count or in IRR. */
long vmlet_api_get_lapic(void *obj, struct vmlet_arg *arg)
{
	struct kvm_lapic_state *state = arg->data;
	struct vmlet_vcpu *vcpu = obj;
	unsigned int nr;

	if (!vcpu->lapic)
		return -EINVAL;
	for (nr = VMLET_APIC_REGS; nr--; )
		if (regs[nr].flags & R)
			*state_reg(state, nr) = reg_read(vcpu->lapic, nr);
	if (!vmlet_irq_wide_ids(vcpu->vm))
		*state_reg(state, VMLET_APIC_ID) = vcpu->lapic->regs[VMLET_APIC_ID];
	return 0;
}

/* All at once, not as writes one after the other; then what follows from it. The timer goes on from the current count. */
long vmlet_api_set_lapic(void *obj, struct vmlet_arg *arg)
{
	struct kvm_lapic_state *state = arg->data;
	struct vmlet_vcpu *vcpu = obj;
	struct vmlet_lapic *lapic = vcpu->lapic;
	unsigned int nr;
	u64 deadline;

	if (!lapic)
		return -EINVAL;
	if (vmlet_irq_wide_ids(vcpu->vm) && vmlet_is_x2apic(vcpu) && *state_reg(state, VMLET_APIC_ID) != vcpu->id)
		return -EINVAL;
	deadline = lapic->deadline;
	vmlet_apic_timer_stop(lapic);
	for (nr = 0; nr < VMLET_APIC_REGS; nr++)
		if (regs[nr].flags & STATE)
			WRITE_ONCE(lapic->regs[nr], *state_reg(state, nr) & regs[nr].stored);
	if (vmlet_is_x2apic(vcpu)) {
		lapic->regs[VMLET_APIC_ICR2] = *state_reg(state, VMLET_APIC_ICR2);
		set_ids(lapic);
	}
	write_dfr(lapic, VMLET_APIC_DFR, lapic->regs[VMLET_APIC_DFR]);
	mirror_tpr(lapic);
	update_pic(lapic);
	vmlet_apic_timer_restore(lapic, *state_reg(state, VMLET_APIC_TMCCT), deadline);
	vmlet_apic_map_update(vcpu->vm);
	return 0;
}
