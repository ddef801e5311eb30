// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the timer of the local APIC
 *
 * One high-resolution timer of the host serves all three modes. Its function only sets the bit in IRR; the current count
 * is computed from the time when the count began. All else is done by the vCPU's thread, also with interrupts off.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <asm/msr.h>

#include "../run/run.h"
#include "../time/time.h"
#include "lapic.h"

#define SHORTEST_PERIOD	200000	/* ns, of the periodic mode: it goes on whether or not the guest gets to run */
#define TIMER_MODE	(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)

static u32 timer_mode(struct vmlet_lapic *lapic)
{
	return READ_ONCE(lapic->regs[VMLET_APIC_LVTT]) & TIMER_MODE;
}

static bool is_periodic(struct vmlet_lapic *lapic)
{
	return timer_mode(lapic) == APIC_LVT_TIMER_PERIODIC;
}

static bool is_deadline(struct vmlet_lapic *lapic)
{
	return timer_mode(lapic) & APIC_LVT_TIMER_TSCDEADLINE;
}

/* log2 of the divisor; bits 0, 1 and 3: 0 is 2, 6 is 128, 7 is 1. */
static unsigned int divide_shift(u32 tdcr)
{
	return (((tdcr & 3) | (tdcr >> 1 & 4)) + 1) & 7;
}

/* Nanoseconds of one count. */
static u64 tick(struct vmlet_lapic *lapic)
{
	return (u64)lapic->vcpu->vm->irq.apic_bus_ns << divide_shift(lapic->regs[VMLET_APIC_TDCR]);
}

static u64 period(struct vmlet_lapic *lapic)
{
	return is_periodic(lapic) ? max(lapic->period, SHORTEST_PERIOD) : lapic->period;
}

/* In hard interrupt context, on any CPU. */
static enum hrtimer_restart fired(struct hrtimer *timer)
{
	struct vmlet_lapic *lapic = container_of(timer, struct vmlet_lapic, timer);

	vmlet_apic_local(lapic, VMLET_APIC_LVTT, false);
	if (!is_periodic(lapic))
		return HRTIMER_NORESTART;
	/* From one expiry to the next: it does not drift, and of periods that were missed one remains. */
	hrtimer_forward_now(timer, ns_to_ktime(period(lapic)));
	return HRTIMER_RESTART;
}

void vmlet_apic_timer_init(struct vmlet_lapic *lapic)
{
	hrtimer_setup(&lapic->timer, fired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
}

/* The function takes no lock: with interrupts off it may still be waited for. */
void vmlet_apic_timer_stop(struct vmlet_lapic *lapic)
{
	hrtimer_cancel(&lapic->timer);
	lapic->deadline = 0;
	lapic->period = 0;
}

static void run_until(struct vmlet_lapic *lapic, ktime_t end)
{
	hrtimer_start(&lapic->timer, end, HRTIMER_MODE_ABS_PINNED_HARD);
}

void vmlet_apic_timer_start(struct vmlet_lapic *lapic, u32 count)
{
	u64 rest = count * tick(lapic);
	ktime_t now = ktime_get();

	vmlet_apic_timer_stop(lapic);
	if (!count || !lapic->regs[VMLET_APIC_TMICT] || is_deadline(lapic))
		return;
	lapic->period = lapic->regs[VMLET_APIC_TMICT] * tick(lapic);
	rest = count == lapic->regs[VMLET_APIC_TMICT] ? period(lapic) : min(rest, period(lapic));
	lapic->start = ktime_sub_ns(now, period(lapic) - rest);
	run_until(lapic, ktime_add_safe(now, ns_to_ktime(rest)));	/* it can be centuries */
}

/* Not 0 before it has fired: a count of 0 will not be started again. */
u32 vmlet_apic_timer_count(struct vmlet_lapic *lapic)
{
	u64 elapsed, whole = period(lapic);

	if (!lapic->period)
		return 0;
	elapsed = ktime_to_ns(ktime_sub(ktime_get(), lapic->start));
	if (is_periodic(lapic))
		elapsed %= whole;
	if (elapsed < whole)
		return max(div64_u64(whole - elapsed, tick(lapic)), 1);
	return hrtimer_active(&lapic->timer);
}

/* To or from the deadline mode: what runs is off. */
void vmlet_apic_timer_lvt(struct vmlet_lapic *lapic, u32 value)
{
	u32 changed = lapic->regs[VMLET_APIC_LVTT] ^ value;

	if (changed & APIC_LVT_TIMER_TSCDEADLINE) {
		vmlet_apic_timer_stop(lapic);
		lapic->regs[VMLET_APIC_TMICT] = 0;
	}
	WRITE_ONCE(lapic->regs[VMLET_APIC_LVTT], value);
}

/* The count goes on from where it is, at another speed. */
void vmlet_apic_timer_divide(struct vmlet_lapic *lapic, u32 value)
{
	u32 count = vmlet_apic_timer_count(lapic);

	lapic->regs[VMLET_APIC_TDCR] = value;
	if (count)
		vmlet_apic_timer_start(lapic, count);
}

/* To the guest it is 0 as soon as it has passed. */
u64 vmlet_lapic_deadline(struct vmlet_vcpu *vcpu)
{
	struct vmlet_lapic *lapic = vcpu->lapic;

	return lapic && hrtimer_active(&lapic->timer) ? lapic->deadline : 0;
}

/* To userspace only if it had when the vCPU stopped: who has read IRR before it passed must find it here. */
u64 vmlet_lapic_deadline_saved(struct vmlet_vcpu *vcpu)
{
	return vcpu->lapic ? vcpu->lapic->deadline : 0;
}

void vmlet_lapic_stopped(struct vmlet_vcpu *vcpu)
{
	vmlet_lapic_eoi_settle(vcpu);
	vcpu->lapic->deadline = vmlet_lapic_deadline(vcpu);
}

/* Later than ktime_t reaches is as late as it does; the quotient need not fit into 64 bits. */
static u64 ns_of_ticks(struct vmlet_vcpu *vcpu, u64 ticks)
{
	if (ticks / vcpu->tsc_khz >= KTIME_MAX / NSEC_PER_MSEC)
		return KTIME_MAX - 1;
	return mul_u64_u32_div(ticks, NSEC_PER_MSEC, vcpu->tsc_khz);
}

/* In the past: it fires at once. */
void vmlet_lapic_deadline_set(struct vmlet_vcpu *vcpu, u64 tsc)
{
	struct vmlet_lapic *lapic = vcpu->lapic;
	u64 now;

	if (!lapic || !is_deadline(lapic))
		return;
	hrtimer_cancel(&lapic->timer);
	lapic->deadline = 0;
	if (!tsc)
		return;
	now = vmlet_tsc_guest(vcpu, rdtsc());
	if (tsc <= now) {
		vmlet_apic_local(lapic, VMLET_APIC_LVTT, true);
		return;
	}
	lapic->deadline = tsc;
	run_until(lapic, ktime_add_safe(ktime_get(), ns_of_ticks(vcpu, tsc - now) + 1));
}

/*
 * As userspace saved it. What does not know the current count has a whole period before it, or one that has run out:
 * too many interrupts do less harm than none.
 */
void vmlet_apic_timer_restore(struct vmlet_lapic *lapic, u32 count, u64 deadline)
{
	if (!count && is_periodic(lapic))
		count = lapic->regs[VMLET_APIC_TMICT];
	vmlet_apic_timer_start(lapic, count);
	if (is_deadline(lapic))
		vmlet_lapic_deadline_set(lapic->vcpu, deadline);
	else if (!count && lapic->regs[VMLET_APIC_TMICT])
		vmlet_apic_local(lapic, VMLET_APIC_LVTT, true);
}

void vmlet_lapic_tsc_changed(struct vmlet_vcpu *vcpu)
{
	u64 deadline = vmlet_lapic_deadline(vcpu);

	if (deadline)
		vmlet_lapic_deadline_set(vcpu, deadline);
}
