// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: interrupts in the local APIC
 *
 * Others set bits in IRR and TMR and post a request, from any context. Everything else belongs to the vCPU's thread: it
 * moves the highest vector from IRR to ISR when the guest takes it and clears it there at EOI.
 */
#include <linux/bitops.h>
#include <asm/kvm_para.h>
#include <asm/msr-index.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../run/run.h"
#include "lapic.h"

#define SEND_ILLEGAL_VECTOR	0x20

/* The highest of 256 bits, or -1. */
static __always_inline int highest(const unsigned long *bits)
{
	int i;

#pragma GCC unroll 4
	for (i = 3; i >= 0; i--) {
		unsigned long word = READ_ONCE(bits[i]);

		if (word)
			return i * 64 + __fls(word);
	}
	return -1;
}

static bool some_wait(struct vmlet_lapic *lapic)
{
	return highest(vmlet_apic_bits(lapic, VMLET_APIC_IRR)) >= 0;
}

static __always_inline int pending(struct vmlet_lapic *lapic)
{
	int vector = highest(vmlet_apic_bits(lapic, VMLET_APIC_IRR));

	return vector >> 4 > lapic->ppr >> 4 ? vector : -1;
}

static __always_inline void set_ppr(struct vmlet_lapic *lapic)
{
	u8 tpr = lapic->regs[VMLET_APIC_TPR], in_service = lapic->isr_top < 0 ? 0 : lapic->isr_top & 0xf0;

	lapic->ppr = tpr >> 4 >= in_service >> 4 ? tpr : in_service;
}

static __always_inline void update_ppr(struct vmlet_lapic *lapic)
{
	set_ppr(lapic);
	if (pending(lapic) >= 0 || unlikely(lapic->vcpu->vapic))
		vmlet_request_own(lapic->vcpu, VMLET_REQ_EVENT);
}

void vmlet_apic_update_priority(struct vmlet_lapic *lapic)
{
	lapic->isr_top = highest(vmlet_apic_bits(lapic, VMLET_APIC_ISR));
	update_ppr(lapic);
}

/* By who is about to look for interrupts: a request that nobody takes back would keep others from kicking. */
void vmlet_apic_tpr_take(struct vmlet_lapic *lapic, u8 tpr)
{
	lapic->regs[VMLET_APIC_TPR] = tpr;
	lapic->vcpu->cr8 = tpr >> 4;
	vmlet_replace(lapic->vcpu, VMLET_G_CR8);
	set_ppr(lapic);
}

static void notify(struct vmlet_vcpu *vcpu, enum vmlet_request request, bool own)
{
	if (own)
		vmlet_request_own(vcpu, request);
	else
		vmlet_request(vcpu, request);
}

/* The bit first, then the request: who takes the request back looks at the bits afterwards. */
static int accept_vector(struct vmlet_lapic *lapic, const struct vmlet_irq_msg *msg, bool own)
{
	unsigned long *tmr = vmlet_apic_bits(lapic, VMLET_APIC_TMR);

	if (msg->vector < 16 || !vmlet_apic_enabled(lapic))
		return VMLET_IRQ_IGNORED;
	if (test_bit(msg->vector, tmr) != msg->level)
		assign_bit(msg->vector, tmr, msg->level);
	if (test_and_set_bit(msg->vector, vmlet_apic_bits(lapic, VMLET_APIC_IRR)))
		return VMLET_IRQ_COALESCED;
	notify(lapic->vcpu, VMLET_REQ_EVENT, own);
	return 1;
}

static int accept_init(struct vmlet_lapic *lapic, const struct vmlet_irq_msg *msg, bool own)
{
	/* The level-triggered de-assertion is for processors of the last century. */
	if (msg->level && !msg->assert)
		return VMLET_IRQ_IGNORED;
	clear_bit(VMLET_APIC_SIPI, &lapic->pending);
	set_bit(VMLET_APIC_INIT, &lapic->pending);
	notify(lapic->vcpu, VMLET_REQ_APIC, own);
	return 1;
}

static int accept_sipi(struct vmlet_lapic *lapic, const struct vmlet_irq_msg *msg, bool own)
{
	WRITE_ONCE(lapic->sipi_vector, msg->vector);
	smp_wmb();	/* vector before bit; pairs with vmlet_lapic_accept_events() */
	set_bit(VMLET_APIC_SIPI, &lapic->pending);
	notify(lapic->vcpu, VMLET_REQ_APIC, own);
	return 1;
}

/* There is no SMM; an ExtINT is asked of the PIC, not of a message. */
int vmlet_apic_accept(struct vmlet_lapic *lapic, const struct vmlet_irq_msg *msg, bool own)
{
	switch (msg->mode) {
	case VMLET_IRQ_FIXED:
	case VMLET_IRQ_LOWEST:
		return accept_vector(lapic, msg, own);
	case VMLET_IRQ_NMI:
		notify(lapic->vcpu, VMLET_REQ_NMI, own);
		return 1;
	case VMLET_IRQ_INIT:
		return accept_init(lapic, msg, own);
	case VMLET_IRQ_SIPI:
		return accept_sipi(lapic, msg, own);
	}
	return VMLET_IRQ_IGNORED;
}

/* An interrupt of the local APIC itself. Any context. */
void vmlet_apic_local(struct vmlet_lapic *lapic, unsigned int nr, bool own)
{
	u32 lvt = READ_ONCE(lapic->regs[nr]);
	struct vmlet_irq_msg msg = { .vector = lvt, .mode = lvt >> 8 & 7, .assert = true };

	if (!(lvt & APIC_LVT_MASKED))
		vmlet_apic_accept(lapic, &msg, own);
}

void vmlet_apic_error(struct vmlet_lapic *lapic, u32 error)
{
	lapic->errors |= error;
	vmlet_apic_local(lapic, VMLET_APIC_LVTERR, true);
}

/* A fixed one with a vector below 16 is an error and goes nowhere. */
void vmlet_apic_send(struct vmlet_lapic *lapic, u32 low)
{
	u32 dest = lapic->regs[VMLET_APIC_ICR2];
	struct vmlet_irq_msg msg = {
		.dest = vmlet_is_x2apic(lapic->vcpu) ? dest : dest >> 24,
		.vector = low, .mode = low >> 8 & 7, .shorthand = low >> 18 & 3,
		.logical = low & APIC_DEST_LOGICAL, .assert = low & APIC_INT_ASSERT,
	};

	msg.level = msg.mode == VMLET_IRQ_INIT && (low & APIC_INT_LEVELTRIG);
	if (msg.mode <= VMLET_IRQ_LOWEST && msg.vector < 16)
		vmlet_apic_error(lapic, SEND_ILLEGAL_VECTOR);
	else
		vmlet_irq_deliver(lapic->vcpu->vm, lapic->vcpu, &msg);
}

/*
 * Of a level-triggered interrupt whoever holds the line is told; that can be userspace. The PIT wants to know of its
 * edges, too.
 */
static noinline void broadcast_eoi(struct vmlet_vcpu *vcpu, u8 vector)
{
	if (vmlet_irqchip_in_kernel(vcpu->vm)) {
		vmlet_ioapic_eoi(vcpu, vector);
	} else if (vmlet_route_wants_eoi(vcpu, vector)) {
		vcpu->eoi_vector = vector;
		vmlet_request_own(vcpu, VMLET_REQ_EOI);
	}
}

static __always_inline void clear_top(struct vmlet_lapic *lapic)
{
	unsigned long *isr = vmlet_apic_bits(lapic, VMLET_APIC_ISR);

	__clear_bit(lapic->isr_top, isr);
	lapic->isr_top = highest(isr);
}

/* Of an interrupt that was lent: nothing waits for it, and nobody is to be told. */
void vmlet_apic_end(struct vmlet_lapic *lapic)
{
	clear_top(lapic);
	set_ppr(lapic);
}

void vmlet_apic_eoi(struct vmlet_lapic *lapic)
{
	int vector;

	if (unlikely(lapic->eoi_lent))
		vmlet_apic_eoi_settle_now(lapic);
	vector = lapic->isr_top;
	if (unlikely(vector < 0))
		return;
	clear_top(lapic);
	update_ppr(lapic);
	if (unlikely(test_bit(vector, vmlet_apic_bits(lapic, VMLET_APIC_TMR)) ||
		     test_bit(vector, lapic->vcpu->vm->irq.edge_eois)))
		broadcast_eoi(lapic->vcpu, vector);
}

static bool pic_pending(struct vmlet_vcpu *vcpu)
{
	return READ_ONCE(vcpu->lapic->accepts_pic) && vmlet_irqchip_in_kernel(vcpu->vm) && vmlet_pic_pending(vcpu->vm);
}

/* What the PIC's vector will be, only its acknowledgment tells; what waits behind one that was lent, the outer loop. */
int vmlet_irq_pending(struct vmlet_vcpu *vcpu)
{
	if (unlikely(pic_pending(vcpu)))
		return 0;
	if (unlikely(vcpu->vapic))
		vmlet_apic_vapic_sync(vcpu->lapic, highest(vmlet_apic_bits(vcpu->lapic, VMLET_APIC_IRR)));
	if (unlikely(vcpu->lapic->eoi_lent) && some_wait(vcpu->lapic) && !vmlet_apic_eoi_settle(vcpu->lapic))
		return 0;
	return vcpu->apic_base & MSR_IA32_APICBASE_ENABLE ? pending(vcpu->lapic) : -1;
}

/* Does nothing follow from its end? What comes later asks for a look at interrupts. */
static bool can_lend(struct vmlet_lapic *lapic, int vector)
{
	return !test_bit(vector, vmlet_apic_bits(lapic, VMLET_APIC_TMR)) &&
	       !test_bit(vector, lapic->vcpu->vm->irq.edge_eois) && !some_wait(lapic);
}

int vmlet_irq_take(struct vmlet_vcpu *vcpu)
{
	struct vmlet_lapic *lapic = vcpu->lapic;
	int vector;

	if (unlikely(pic_pending(vcpu)))
		return vmlet_pic_take(vcpu->vm);
	vector = vmlet_irq_pending(vcpu);
	if (vector < 16)	/* none, or only now the PIC's */
		return -1;
	clear_bit(vector, vmlet_apic_bits(lapic, VMLET_APIC_IRR));
	__set_bit(vector, vmlet_apic_bits(lapic, VMLET_APIC_ISR));
	lapic->isr_top = vector;
	lapic->ppr = vector & 0xf0;
	if (unlikely(vcpu->pv_eoi & KVM_MSR_ENABLED) && can_lend(lapic, vector))
		vmlet_apic_eoi_lend(lapic);
	return vector;
}

bool vmlet_lapic_accepts_pic(struct vmlet_vcpu *vcpu)
{
	return READ_ONCE(vcpu->lapic->accepts_pic);
}

/* INIT first: it makes the vCPU wait for the SIPI that may be there already. */
void vmlet_lapic_accept_events(struct vmlet_vcpu *vcpu)
{
	struct vmlet_lapic *lapic = vcpu->lapic;

	if (!lapic)
		return;
	if (test_and_clear_bit(VMLET_APIC_INIT, &lapic->pending)) {
		vmlet_vcpu_init(vcpu);
		vmlet_lapic_reset(vcpu, true);
		vcpu->pv_eoi = 0;
		vcpu->mp_state = vcpu->apic_base & MSR_IA32_APICBASE_BSP ? KVM_MP_STATE_RUNNABLE :
			KVM_MP_STATE_INIT_RECEIVED;
	}
	if (!test_and_clear_bit(VMLET_APIC_SIPI, &lapic->pending) || vcpu->mp_state != KVM_MP_STATE_INIT_RECEIVED)
		return;
	smp_rmb();	/* bit before vector */
	vmlet_vcpu_sipi(vcpu, READ_ONCE(lapic->sipi_vector));
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

int vmlet_lapic_sipi_restore(struct vmlet_vcpu *vcpu)
{
	vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
	set_bit(VMLET_APIC_SIPI, &vcpu->lapic->pending);
	vmlet_request_own(vcpu, VMLET_REQ_APIC);
	return 0;
}
