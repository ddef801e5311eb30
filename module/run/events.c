// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: events on their way into the guest
 *
 * Exceptions, NMIs and interrupts wait in vcpu->events. Before an entry one of them is handed to the hardware and
 * windows are opened for the others. A delivery that an exit cut short comes back as a "redo".
 */
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/vendor.h"
#include "run.h"

#define CONTRIBUTORY (BIT(X86_TRAP_DE) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) | \
		      BIT(X86_TRAP_GP))

/* Does a fault of kind @second while delivering @first make a double fault? */
static bool doubles(u8 first, u8 second)
{
	if (first == X86_TRAP_PF)
		return second == X86_TRAP_PF || (BIT(second) & CONTRIBUTORY);
	return (BIT(first) & CONTRIBUTORY) && (BIT(second) & CONTRIBUTORY);
}

static int queue_exception(struct vmlet_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	struct vmlet_events *ev = &vcpu->events;

	if (ev->mask & VMLET_EV_EXCEPTION) {
		if (ev->vector == X86_TRAP_DF) {
			ev->mask = (ev->mask & ~VMLET_EV_EXCEPTION) | VMLET_EV_TRIPLE;
			return VMLET_RESUME;
		}
		if (doubles(ev->vector, vector)) {
			vector = X86_TRAP_DF;
			has_error = true;
			error = 0;
		}
	}
	ev->mask |= VMLET_EV_EXCEPTION;
	ev->vector = vector;
	ev->has_error = has_error;
	ev->error = error;
	return VMLET_RESUME;
}

int vmlet_inject_exception(struct vmlet_vcpu *vcpu, u8 vector)
{
	return queue_exception(vcpu, vector, false, 0);
}

int vmlet_inject_error(struct vmlet_vcpu *vcpu, u8 vector, u32 error)
{
	return queue_exception(vcpu, vector, true, error);
}

int vmlet_inject_pf(struct vmlet_vcpu *vcpu, u64 address, u32 error)
{
	vcpu->cr2 = address;
	return queue_exception(vcpu, X86_TRAP_PF, true, error);
}

void vmlet_inject_nmi(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (ev->mask & VMLET_EV_NMI)
		ev->nmi_again = 1;
	ev->mask |= VMLET_EV_NMI;
}

void vmlet_requeue_exception(struct vmlet_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	queue_exception(vcpu, vector, has_error, error);
}

void vmlet_requeue_nmi(struct vmlet_vcpu *vcpu)
{
	vcpu->events.mask |= VMLET_EV_REDO_NMI;
}

void vmlet_requeue_irq(struct vmlet_vcpu *vcpu, u8 vector)
{
	vcpu->events.redo_irq = vector;
	vcpu->events.mask |= VMLET_EV_REDO_IRQ;
}

bool vmlet_irq_allowed(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_RFLAGS | VMLET_G_SHADOW);
	return (vcpu->rflags & X86_EFLAGS_IF) && !vcpu->int_shadow;
}

static bool nmi_allowed(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_SHADOW);
	return !vcpu->nmi_masked && !vcpu->int_shadow;
}

/* Faults are delivered with RF set, so that returning does not hit the same instruction breakpoint; traps are not. */
static void deliver_exception(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;
	bool trap = ev->vector == X86_TRAP_DB || ev->vector == X86_TRAP_BP || ev->vector == X86_TRAP_OF;

	vmlet_need(vcpu, VMLET_G_CR);
	if (!trap) {
		vmlet_touch(vcpu, VMLET_G_RFLAGS);
		vcpu->rflags |= X86_EFLAGS_RF;
	}
	/* Real mode pushes no error codes. */
	vmlet_vendor->inject(vcpu, VMLET_INJECT_EXCEPTION, ev->vector,
			     ev->has_error && (vcpu->cr0 & X86_CR0_PE), ev->error);
	ev->mask &= ~VMLET_EV_EXCEPTION;
}

/* Hand over an event that must not wait. */
static bool deliver_now(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (ev->mask & VMLET_EV_EXCEPTION) {
		deliver_exception(vcpu);
	} else if (ev->mask & VMLET_EV_REDO_NMI) {
		ev->mask &= ~VMLET_EV_REDO_NMI;
		vmlet_vendor->inject(vcpu, VMLET_INJECT_NMI, X86_TRAP_NMI, false, 0);
	} else if (ev->mask & VMLET_EV_REDO_IRQ) {
		ev->mask &= ~VMLET_EV_REDO_IRQ;
		vmlet_vendor->inject(vcpu, VMLET_INJECT_IRQ, ev->redo_irq, false, 0);
	} else {
		return false;
	}
	return true;
}

static void deliver_nmi(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (!ev->nmi_again)
		ev->mask &= ~VMLET_EV_NMI;
	ev->nmi_again = 0;
	vmlet_vendor->inject(vcpu, VMLET_INJECT_NMI, X86_TRAP_NMI, false, 0);
}

void vmlet_events_prepare(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;
	bool busy = deliver_now(vcpu);

	if ((ev->mask & VMLET_EV_NMI) && !busy && nmi_allowed(vcpu)) {
		deliver_nmi(vcpu);
		busy = true;
	}
	if ((ev->mask & VMLET_EV_IRQ) && !busy && vmlet_irq_allowed(vcpu)) {
		ev->mask &= ~VMLET_EV_IRQ;
		vmlet_vendor->inject(vcpu, VMLET_INJECT_IRQ, ev->irq, false, 0);
	}
	vmlet_vendor->window(vcpu, VMLET_INJECT_NMI, ev->mask & VMLET_EV_NMI);
	vmlet_vendor->window(vcpu, VMLET_INJECT_IRQ, (ev->mask & VMLET_EV_IRQ) || vcpu->want_window);
}
