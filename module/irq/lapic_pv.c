// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: end of interrupt without an exit
 *
 * The guest names a byte of its memory. Where nothing follows from the end of an interrupt but the bit in ISR, the byte
 * says so when it is delivered, and the guest clears that instead of writing EOI. Whether it has is looked at when it
 * matters what is in service; until then ISR has the bit still. That is never while an interrupt waits: who sends one
 * asks for a look at interrupts.
 */
#include <asm/kvm_para.h>

#include "../mem/mem.h"
#include "../run/run.h"
#include "lapic.h"

#define MSR_RESERVED	BIT(1)
#define EOI_UNNEEDED	BIT(0)

static gpa_t where(const struct vmlet_lapic *lapic)
{
	return lapic->vcpu->pv_eoi & ~(u64)KVM_MSR_ENABLED;
}

void vmlet_apic_eoi_lend(struct vmlet_lapic *lapic)
{
	u8 flag = EOI_UNNEEDED;

	lapic->eoi_lent = !vmlet_mem_write_now(lapic->vcpu, where(lapic), &flag, sizeof(flag));
}

/* The flag, which is clear from now on. @now: nothing may sleep. */
static int take_back(struct vmlet_lapic *lapic, bool now, u8 *flag)
{
	struct vmlet_vcpu *vcpu = lapic->vcpu;
	gpa_t gpa = where(lapic);
	u8 none = 0;
	int ret;

	ret = now ? vmlet_mem_read_now(vcpu, gpa, flag, 1) : vmlet_mem_read(vcpu, gpa, flag, 1);
	if (ret || !(*flag & EOI_UNNEEDED))
		return ret;
	return now ? vmlet_mem_write_now(vcpu, gpa, &none, 1) : vmlet_mem_write(vcpu, gpa, &none, 1);
}

static void settle(struct vmlet_lapic *lapic, bool ended)
{
	lapic->eoi_lent = false;
	if (ended)
		vmlet_apic_end(lapic);
}

/* Any context. False: the memory is not there now, and VMLET_REQ_EOI_LENT asks for a look that may sleep. */
bool vmlet_apic_eoi_settle(struct vmlet_lapic *lapic)
{
	u8 flag;

	if (take_back(lapic, true, &flag)) {
		vmlet_request_own(lapic->vcpu, VMLET_REQ_EOI_LENT);
		return false;
	}
	settle(lapic, !(flag & EOI_UNNEEDED));
	return true;
}

static void settle_for_good(struct vmlet_lapic *lapic, bool now)
{
	u8 flag;

	settle(lapic, take_back(lapic, now, &flag) || !(flag & EOI_UNNEEDED));
}

/* Where nothing can wait: a guest that does something else with its local APIC has seen to this before. */
void vmlet_apic_eoi_settle_now(struct vmlet_lapic *lapic)
{
	settle_for_good(lapic, true);
}

void vmlet_lapic_eoi_settle(struct vmlet_vcpu *vcpu)
{
	lockdep_assert_held(&vcpu->mutex);
	if (unlikely(vcpu->lapic && vcpu->lapic->eoi_lent))
		settle_for_good(vcpu->lapic, false);
}

int vmlet_lapic_pv_eoi_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (value & MSR_RESERVED)
		return -EINVAL;
	if (vcpu->lapic && vcpu->lapic->eoi_lent)
		vmlet_apic_eoi_settle_now(vcpu->lapic);
	vcpu->pv_eoi = value;
	return 0;
}
