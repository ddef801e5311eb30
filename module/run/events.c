// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: events on their way into the guest
 *
 * Exceptions, NMIs and interrupts wait in vcpu->events. Before an entry one of them is handed to the hardware and
 * windows are opened for the others. A delivery that an exit cut short comes back as a "redo".
 */
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "../irq/irq.h"
#include "../observe/trace.h"
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
	ev->injected = ev->has_payload = false;
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

/* Which breakpoints were hit is of the last #DB alone. */
static void add_dr6(struct vmlet_vcpu *vcpu, u64 dr6)
{
	vcpu->dr6 = vmlet_dr6_fixed((vcpu->dr6 & ~(u64)DR_TRAP_BITS) | dr6);
}

int vmlet_inject_db(struct vmlet_vcpu *vcpu, u64 dr6)
{
	add_dr6(vcpu, dr6);
	return vmlet_inject_exception(vcpu, X86_TRAP_DB);
}

void vmlet_events_payload(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (!(ev->mask & VMLET_EV_EXCEPTION))
		return;
	if (ev->vector == X86_TRAP_DB)
		add_dr6(vcpu, ev->payload);
	else if (ev->vector == X86_TRAP_PF)
		vcpu->cr2 = ev->payload;
}

void vmlet_inject_nmi(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	vmlet_need(vcpu, VMLET_G_SHADOW);
	if (ev->mask & VMLET_EV_NMI)
		ev->nmi_again = !vcpu->nmi_masked;
	ev->mask |= VMLET_EV_NMI;
}

/* INT3 and INTO are not delivered again: RIP is at the instruction, which will be executed again. */
void vmlet_requeue_exception(struct vmlet_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	if (vmlet_exception_soft(vector) && !vcpu->events.soft)
		return;
	queue_exception(vcpu, vector, has_error, error);
	vcpu->events.injected = true;
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

/* Where local APICs are in the kernel, an interrupt of userspace's is the external one that LINT0 lets through. */
static bool lets_user_irq(struct vmlet_vcpu *vcpu)
{
	return !vcpu->lapic || vmlet_lapic_accepts_pic(vcpu);
}

bool vmlet_takes_user_irq_of(struct vmlet_vcpu *vcpu)
{
	return vmlet_irqchip_in_kernel(vcpu->vm) || (lets_user_irq(vcpu) && vmlet_takes_irq(vcpu));
}

static bool nmi_allowed(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_SHADOW);
	return !vcpu->nmi_masked && !vcpu->int_shadow;
}

/*
 * Faults are delivered with RF set, so that returning does not hit the same instruction breakpoint; traps are not. The
 * handler of #DB gets at the debug registers.
 */
static void begin_exception(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (ev->vector != X86_TRAP_DB && !vmlet_exception_soft(ev->vector)) {
		vmlet_touch(vcpu, VMLET_G_RFLAGS);
		vcpu->rflags |= X86_EFLAGS_RF;
	}
	if (ev->vector == X86_TRAP_DB && (vcpu->dr7 & VMLET_DR7_GD)) {
		vmlet_touch(vcpu, VMLET_G_DR);
		vcpu->dr7 &= ~VMLET_DR7_GD;
	}
}

static void inject(struct vmlet_vcpu *vcpu, enum vmlet_inject type, u8 vector, bool has_error, u32 error)
{
	if (type == VMLET_INJECT_IRQ)
		trace_kvm_inj_virq(vector);
	else if (type == VMLET_INJECT_EXCEPTION)
		trace_kvm_inj_exception(vector, has_error, error);
	vcpu->stats->injections[type]++;
	/* An RF that ended in the copy alone is not pushed (end_flags()). */
	vcpu->dirty |= vcpu->avail & VMLET_G_RFLAGS;
	vmlet_vendor->inject(vcpu, type, vector, has_error, error);
}

static void deliver_exception(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (!ev->injected)
		begin_exception(vcpu);
	ev->soft = vmlet_exception_soft(ev->vector);
	if (ev->soft)	/* until the next exit only */
		vmlet_request_own(vcpu, VMLET_REQ_EVENT);
	vmlet_need(vcpu, VMLET_G_CR);
	/* Real mode pushes no error codes. */
	inject(vcpu, VMLET_INJECT_EXCEPTION, ev->vector, ev->has_error && (vcpu->cr0 & X86_CR0_PE), ev->error);
	ev->mask &= ~VMLET_EV_EXCEPTION;
}

/* Of userspace's PIC one that was restored while the guest lets none in was queued when it was saved. */
static bool redo_irq(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if ((ev->mask & VMLET_EV_IRQ) && !vmlet_irq_allowed(vcpu))
		return false;	/* there is one place, and whoever is in it opens the window */
	ev->mask &= ~VMLET_EV_REDO_IRQ;
	if (vcpu->vm->irq.chip != VMLET_IRQCHIP_SPLIT || vmlet_irq_allowed(vcpu)) {
		inject(vcpu, VMLET_INJECT_IRQ, ev->redo_irq, false, 0);
		return true;
	}
	ev->irq = ev->redo_irq;
	ev->mask |= VMLET_EV_IRQ;
	return false;
}

/* Hand over an event that must not wait. */
static bool deliver_now(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (ev->mask & VMLET_EV_EXCEPTION) {
		deliver_exception(vcpu);
	} else if (ev->mask & VMLET_EV_REDO_NMI) {
		ev->mask &= ~VMLET_EV_REDO_NMI;
		inject(vcpu, VMLET_INJECT_NMI, X86_TRAP_NMI, false, 0);
	} else {
		return (ev->mask & VMLET_EV_REDO_IRQ) && redo_irq(vcpu);
	}
	return true;
}

static void deliver_nmi(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;

	if (!ev->nmi_again)
		ev->mask &= ~VMLET_EV_NMI;
	ev->nmi_again = 0;
	inject(vcpu, VMLET_INJECT_NMI, X86_TRAP_NMI, false, 0);
}

static bool user_irq_pending(struct vmlet_vcpu *vcpu)
{
	return (vcpu->events.mask & VMLET_EV_IRQ) && lets_user_irq(vcpu);
}

bool vmlet_irq_waits(struct vmlet_vcpu *vcpu)
{
	return user_irq_pending(vcpu) || (vcpu->lapic && vmlet_irq_pending(vcpu) >= 0);
}

/* Its vector; it is in service from now on. Negative: it has gone again. */
static int take_irq(struct vmlet_vcpu *vcpu)
{
	if (!user_irq_pending(vcpu))
		return vmlet_irq_take(vcpu);
	vcpu->events.mask &= ~VMLET_EV_IRQ;
	return vcpu->events.irq;
}

/* True if another waits, or the same one still. */
static bool deliver_irq(struct vmlet_vcpu *vcpu, bool busy)
{
	int vector;

	if (!vmlet_irq_waits(vcpu))
		return false;
	if (busy || !vmlet_irq_allowed(vcpu))
		return true;
	vector = take_irq(vcpu);
	if (vector >= 0)
		inject(vcpu, VMLET_INJECT_IRQ, vector, false, 0);
	return vmlet_irq_waits(vcpu);
}

void vmlet_events_prepare(struct vmlet_vcpu *vcpu)
{
	struct vmlet_events *ev = &vcpu->events;
	bool busy, irq;

	/* Before the look: what comes later asks for another. */
	vmlet_request_take(vcpu, VMLET_REQ_EVENT);
	ev->soft = false;
	busy = deliver_now(vcpu);
	if (unlikely(vcpu->debug.control & KVM_GUESTDBG_BLOCKIRQ)) {
		vmlet_vendor->window(vcpu, VMLET_INJECT_NMI, false);
		vmlet_vendor->window(vcpu, VMLET_INJECT_IRQ, false);
		return;
	}
	if ((ev->mask & VMLET_EV_NMI) && !busy && nmi_allowed(vcpu)) {
		deliver_nmi(vcpu);
		busy = true;
	}
	irq = deliver_irq(vcpu, busy);
	vmlet_vendor->window(vcpu, VMLET_INJECT_IRQ, irq || (vcpu->want_window && lets_user_irq(vcpu)));
	vmlet_vendor->window(vcpu, VMLET_INJECT_NMI, ev->mask & VMLET_EV_NMI);
}
