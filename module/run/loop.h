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

#include "../cpu/vendor.h"
#include "../observe/records.h"
#include "../observe/times.h"
#include "../observe/trace.h"
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

	vmlet_times_exit(vcpu, reason);
	if (!fast)
		return VMLET_SLOW;
	if (fast == vmlet_exit_io_fast)
		return vmlet_exit_io_fast(vcpu);
	if (fast == vmlet_exit_nested_fault_fast)
		return vmlet_exit_nested_fault_fast(vcpu);
	return INDIRECT_CALL_4(fast, vmlet_exit_cpuid, vmlet_exit_hypercall, vmlet_exit_rdmsr,
			       vmlet_exit_wrmsr, vcpu);
}

/* An instruction was done for the guest, with a trap flag set, the guest's or userspace's, or with RF, which ends with it. */
static __always_inline void end_flags(struct vmlet_vcpu *vcpu)
{
	vcpu->rflags &= ~X86_EFLAGS_RF;
	/* Only breakpoints tell, and frames (inject()): the next instruction ends an RF that the processor still has. */
	if (unlikely(vmlet_dr_armed(vcpu)))
		vcpu->dirty |= VMLET_G_RFLAGS;
	if (unlikely(vcpu->rflags & X86_EFLAGS_TF))
		vmlet_debug_trap(vcpu);
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
	if (unlikely(vcpu->rflags & (X86_EFLAGS_TF | X86_EFLAGS_RF)))
		end_flags(vcpu);
}

/* vmlet_loop(), while readers of the statistics wait */
static __always_inline int vmlet_turns(struct vmlet_vcpu *vcpu,
				       void (*enter)(struct vmlet_vcpu *vcpu),
				       void (*skip)(struct vmlet_vcpu *vcpu),
				       void (*flush_tlb)(struct vmlet_vcpu *vcpu))
{
	int next;

	for (;;) {
		u64 gen = atomic64_read(&vcpu->vm->tlb_gen);
		unsigned long requests = READ_ONCE(vcpu->requests);

		if (unlikely(vmlet_host_wants() || (requests & ~BIT(VMLET_REQ_EVENT))))
			return VMLET_RESUME;
		if (unlikely(vcpu->tlb_gen != gen)) {
			vcpu->tlb_gen = gen;
			vcpu->stats->tlb_flush++;
			flush_tlb(vcpu);
		}
		if (unlikely(vcpu->events.mask | vcpu->want_window | requests))
			vmlet_events_prepare(vcpu);
		trace_kvm_entry(vcpu);
		vmlet_times_entry(vcpu);
		enter(vcpu);
		trace_kvm_exit(vcpu);
		if (static_branch_unlikely(&vmlet_exit_records))
			vmlet_record_exit(vcpu);
		next = vmlet_fast(vcpu);
		if (likely(next == VMLET_SKIP && vcpu->exit.insn_len))
			skip(vcpu);
		else if (next != VMLET_RESUME)
			return next;
	}
}

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

	vmlet_phase_end(vcpu, VMLET_PHASE_SWITCH);
	vmlet_times_toggle(vcpu);
	next = vmlet_turns(vcpu, enter, skip, flush_tlb);
	vmlet_times_toggle(vcpu);
	vmlet_phase_end(vcpu, VMLET_PHASE_INNER);
	return next;
}

#endif
