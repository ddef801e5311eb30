// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: a vCPU that waits
 *
 * For an interrupt after HLT, or to be started by another vCPU. Before it sleeps it polls, for as long as that has paid
 * lately: waking a sleeper costs more than a short wait.
 */
#include <linux/ktime.h>
#include <linux/rcuwait.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "../time/time.h"
#include "run.h"

#define POLL_FIRST_NS	10000

/* Tunable: the longest that is polled for; 0: not at all. */
unsigned int vmlet_halt_poll_ns = 200000;

static bool is_posted(struct vmlet_vcpu *vcpu, enum vmlet_request request)
{
	return test_bit(request, &vcpu->requests);
}

/* What ends a halt whatever the interrupt flag says. */
static bool has_event(struct vmlet_vcpu *vcpu)
{
	u8 mask = vcpu->events.mask & ~VMLET_EV_IRQ;

	if (vcpu->nmi_masked)
		mask &= ~VMLET_EV_NMI;
	return mask || (!vcpu->nmi_masked && is_posted(vcpu, VMLET_REQ_NMI)) || is_posted(vcpu, VMLET_REQ_UNHALT);
}

/* While INIT and SIPI are waited for, nothing else counts. */
static bool has_work(struct vmlet_vcpu *vcpu)
{
	/* Taken before the look: what comes later posts it again, and kicks. */
	vmlet_request_take(vcpu, VMLET_REQ_EVENT);
	if (is_posted(vcpu, VMLET_REQ_APIC))
		return true;
	if (vcpu->mp_state != KVM_MP_STATE_HALTED)
		return false;
	return has_event(vcpu) || (vmlet_irq_allowed(vcpu) && vmlet_irq_waits(vcpu));
}

static bool poll(struct vmlet_vcpu *vcpu, ktime_t until)
{
	vcpu->stats->halt_attempted_poll++;
	do {
		if (has_work(vcpu)) {
			vcpu->stats->halt_successful_poll++;
			return true;
		}
		cpu_relax();
	} while (single_task_running() && !need_resched() && !signal_pending(current) && ktime_before(ktime_get(), until));
	return false;
}

/* Would polling have caught it? If so poll for longer next time; if the wait was long, not at all. */
static void adapt(struct vmlet_vcpu *vcpu, u32 most, s64 waited)
{
	if (waited > most)
		vcpu->poll_ns = 0;
	else if (waited > vcpu->poll_ns)
		vcpu->poll_ns = max_t(u32, vcpu->poll_ns * 2, POLL_FIRST_NS);
}

static int sleep(struct vmlet_vcpu *vcpu)
{
	int ret = 0;

	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (has_work(vcpu))
			break;
		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		schedule();
		vcpu->stats->halt_wakeup++;
	}
	finish_rcuwait(&vcpu->wait);
	return ret;
}

int vmlet_halt(struct vmlet_vcpu *vcpu)
{
	u32 most = READ_ONCE(vmlet_halt_poll_ns);
	u32 poll_ns = min(vcpu->poll_ns, most);
	ktime_t start = ktime_get();
	int ret = 0;

	lockdep_assert_held(&vcpu->mutex);
	/* A vCPU that waits does not change these; asked of the hardware now, not while about to sleep. */
	vmlet_need(vcpu, VMLET_G_RFLAGS | VMLET_G_SHADOW);
	vmlet_lapic_eoi_settle(vcpu);
	if (!poll_ns || !poll(vcpu, ktime_add_ns(start, poll_ns))) {
		vmlet_steal_leave(vcpu);
		ret = sleep(vcpu);
		adapt(vcpu, most, ktime_to_ns(ktime_sub(ktime_get(), start)));
	}
	/* Taken back by has_work(), whatever ended the halt: an interrupt that it could not let in may wait still. */
	vmlet_request_own(vcpu, VMLET_REQ_EVENT);
	return ret;
}
