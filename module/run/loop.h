/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the inner loop
 *
 * Instantiated once per vendor with that vendor's functions as constants, so that nothing on the path of an exit
 * that a fast handler finishes is an indirect call.
 */
#ifndef VMLET_LOOP_H
#define VMLET_LOOP_H

#include <linux/indirect_call_wrapper.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>

#include "../cpu/vendor.h"
#include "run.h"

/*
 * Is there work for the host? A notification that sets the flag after this look also sends an interrupt, which ends
 * the guest's run at once.
 */
static __always_inline bool vmlet_host_wants(void)
{
	return READ_ONCE(current_thread_info()->flags) &
		(_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | _TIF_NEED_RESCHED);
}

static __always_inline int vmlet_fast(struct vmlet_vcpu *vcpu)
{
	unsigned int reason = array_index_nospec(vcpu->exit.reason, VMLET_EXIT_COUNT);
	int (*fast)(struct vmlet_vcpu *vcpu) = vmlet_exit_table[reason].fast;

	if (!fast)
		return VMLET_SLOW;
	return INDIRECT_CALL_4(fast, vmlet_exit_cpuid, vmlet_exit_hypercall, vmlet_exit_rdmsr,
			       vmlet_exit_wrmsr, vcpu);
}

/* Advance RIP by exit.insn_len; the groups it needs must be available. */
static __always_inline void vmlet_advance(struct vmlet_vcpu *vcpu, unsigned int len)
{
	u64 rip = vcpu->rip + len;

	/* Only outside 64-bit mode does RIP wrap at 4 GiB, and asking is dear: ask when it would. */
	if (unlikely((rip ^ vcpu->rip) >> 32) && !vmlet_is_64bit(vcpu))
		rip = (u32)rip;
	vcpu->rip = rip;
	vcpu->dirty |= VMLET_G_RIP;
	if (unlikely(vcpu->int_shadow)) {
		vcpu->int_shadow = 0;
		vcpu->dirty |= VMLET_G_SHADOW;
	}
	if (unlikely(vcpu->rflags & X86_EFLAGS_TF)) {
		vmlet_touch(vcpu, VMLET_G_DR);
		vcpu->dr6 |= DR_STEP;
		vmlet_inject_exception(vcpu, X86_TRAP_DB);
	}
}

#define VMLET_G_SKIP	(VMLET_G_RIP | VMLET_G_RFLAGS | VMLET_G_SHADOW)

/**
 * vmlet_loop - enter the guest until an exit needs more than a fast handler
 * @vcpu:	in the guest section, interrupts off
 * @enter:	flush dirty groups, enter, leave, decode into vcpu->exit; drops vcpu->avail
 * @skip:	advance RIP by exit.insn_len, as vmlet_advance() does, by the shortest way
 * @flush_tlb:	the vendor's own
 *
 * Return: as a handler; VMLET_RESUME: the host wants the CPU.
 */
static __always_inline int vmlet_loop(struct vmlet_vcpu *vcpu,
				      void (*enter)(struct vmlet_vcpu *vcpu),
				      void (*skip)(struct vmlet_vcpu *vcpu),
				      void (*flush_tlb)(struct vmlet_vcpu *vcpu))
{
	int next;

	for (;;) {
		u64 gen = atomic64_read(&vcpu->vm->tlb_gen);

		if (unlikely(vmlet_host_wants()))
			return VMLET_RESUME;
		if (unlikely(vcpu->tlb_gen != gen)) {
			vcpu->tlb_gen = gen;
			flush_tlb(vcpu);
		}
		if (unlikely(vcpu->events.mask | vcpu->want_window))
			vmlet_events_prepare(vcpu);
		enter(vcpu);
		next = vmlet_fast(vcpu);
		if (likely(next == VMLET_SKIP && vcpu->exit.insn_len))
			skip(vcpu);
		else if (next != VMLET_RESUME)
			return next;
	}
}

#endif
