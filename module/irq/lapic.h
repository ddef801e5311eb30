/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the local APIC share; tags as in vmlet.h. */
#ifndef VMLET_LAPIC_H
#define VMLET_LAPIC_H

#include <linux/bitmap.h>
#include <linux/hrtimer.h>
#include <asm/apicdef.h>

#include "irq.h"

/* Registers by number: offset in the page / 16, x2APIC MSR - 0x800. */
enum {
	VMLET_APIC_ID = 0x02, VMLET_APIC_VERSION, VMLET_APIC_TPR = 0x08, VMLET_APIC_APR, VMLET_APIC_PPR, VMLET_APIC_EOI,
	VMLET_APIC_RRD, VMLET_APIC_LDR, VMLET_APIC_DFR, VMLET_APIC_SVR, VMLET_APIC_ISR, VMLET_APIC_TMR = 0x18,
	VMLET_APIC_IRR = 0x20, VMLET_APIC_ESR = 0x28, VMLET_APIC_ICR = 0x30, VMLET_APIC_ICR2, VMLET_APIC_LVTT,
	VMLET_APIC_LVTTHMR, VMLET_APIC_LVTPC, VMLET_APIC_LVT0, VMLET_APIC_LVT1, VMLET_APIC_LVTERR, VMLET_APIC_TMICT,
	VMLET_APIC_TMCCT, VMLET_APIC_TDCR = 0x3e, VMLET_APIC_SELF_IPI = 0x3f, VMLET_APIC_REGS
};

enum { VMLET_APIC_INIT, VMLET_APIC_SIPI };

/**
 * struct vmlet_lapic - local APIC of a vCPU
 * @vcpu:	it								[c]
 * @regs:	registers; of IRR and TMR the bits are others' to set		[m], IRR, TMR [a]; others read some
 * @isr_top:	highest vector in service, or -1				[m]
 * @ppr:	processor priority						[m]
 * @accepts_pic: LINT0 lets the PIC's interrupts through			[a]
 * @eoi_lent:	the guest has been told that @isr_top needs no EOI: lapic_pv.c	[m]
 * @reports_tpr: userspace wants to know who accesses TPR		[m]
 * @tpr_write, @tpr_rip: the last access, for VMLET_REQ_TPR		[m]
 * @pending:	VMLET_APIC_INIT, VMLET_APIC_SIPI wait for the vCPU		[a]
 * @sipi_vector: of the latter							[a]
 * @errors:	ESR as the guest's next write to it will show it		[m]
 * @timer:	of the vCPU's CPU at the time; its function runs anywhere, in hard interrupts
 * @start:	when the count began						[m]
 * @period:	ns of the whole count						[m] while @timer does not run
 * @deadline:	IA32_TSC_DEADLINE, which has passed if @timer does not run; 0: none	[m]
 */
struct vmlet_lapic {
	struct vmlet_vcpu *vcpu;
	u32 regs[VMLET_APIC_REGS] __aligned(8);
	s16 isr_top;
	u8 ppr;
	bool accepts_pic;
	bool eoi_lent;
	bool reports_tpr, tpr_write;
	u64 tpr_rip;
	unsigned long pending;
	u8 sipi_vector;
	u32 errors;
	struct hrtimer timer;
	ktime_t start;
	u64 period;
	u64 deadline;
};

static inline unsigned long *vmlet_apic_bits(struct vmlet_lapic *lapic, unsigned int first)
{
	return (unsigned long *)&lapic->regs[first];
}

static inline bool vmlet_is_x2apic(struct vmlet_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic_base) & X2APIC_ENABLE;
}

/* Enabled by software: takes interrupts other than NMI, INIT and SIPI. */
static inline bool vmlet_apic_enabled(struct vmlet_lapic *lapic)
{
	return READ_ONCE(lapic->regs[VMLET_APIC_SVR]) & APIC_SPIV_APIC_ENABLED;
}

/* Is it the vCPU @dest, addressed logically? */
static inline bool vmlet_apic_logical(struct vmlet_vcpu *vcpu, u32 dest)
{
	u32 ldr = READ_ONCE(vcpu->lapic->regs[VMLET_APIC_LDR]);

	if (vmlet_is_x2apic(vcpu))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	if (READ_ONCE(vcpu->lapic->regs[VMLET_APIC_DFR]) >> 28 == 0xf)
		return !(dest >> 8) && (ldr & dest);
	return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
}

/* lapic_irq.c. The vCPU takes, or does not take, an interrupt; @own: called by its own thread. */
int vmlet_apic_accept(struct vmlet_lapic *lapic, const struct vmlet_irq_msg *msg, bool own);
void vmlet_apic_local(struct vmlet_lapic *lapic, unsigned int lvt, bool own);
void vmlet_apic_error(struct vmlet_lapic *lapic, u32 error);
void vmlet_apic_send(struct vmlet_lapic *lapic, u32 low);	/* what ICR says; @low: its lower half */
void vmlet_apic_eoi(struct vmlet_lapic *lapic);
void vmlet_apic_end(struct vmlet_lapic *lapic);
void vmlet_apic_update_priority(struct vmlet_lapic *lapic);	/* TPR or ISR has changed */
void vmlet_apic_tpr_take(struct vmlet_lapic *lapic, u8 tpr);

/* lapic_timer.c */
void vmlet_apic_timer_init(struct vmlet_lapic *lapic);
void vmlet_apic_timer_stop(struct vmlet_lapic *lapic);
void vmlet_apic_timer_start(struct vmlet_lapic *lapic, u32 count);	/* of TMICT; the rest of it is still to run */
void vmlet_apic_timer_restore(struct vmlet_lapic *lapic, u32 count, u64 deadline);
u32 vmlet_apic_timer_count(struct vmlet_lapic *lapic);
void vmlet_apic_timer_lvt(struct vmlet_lapic *lapic, u32 value);
void vmlet_apic_timer_divide(struct vmlet_lapic *lapic, u32 value);

/* lapic_pv.c */
void vmlet_apic_eoi_lend(struct vmlet_lapic *lapic);
bool vmlet_apic_eoi_settle(struct vmlet_lapic *lapic);
void vmlet_apic_eoi_settle_now(struct vmlet_lapic *lapic);

/* lapic_tpr.c */
void vmlet_apic_tpr_accessed(struct vmlet_lapic *lapic, bool write);
void vmlet_apic_vapic_sync(struct vmlet_lapic *lapic, int waiting);	/* @waiting: highest vector in IRR, or -1 */

#endif
