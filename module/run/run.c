// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: KVM_RUN and the outer loop
 */
#include <linux/hw_breakpoint.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/trapnr.h>

#include "../api/api.h"
#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "../host/host.h"
#include "../insn/insn.h"
#include "../irq/irq.h"
#include "../observe/netlink.h"
#include "../observe/records.h"
#include "../observe/trace.h"
#include "../time/time.h"
#include "loop.h"
#include "run.h"

/* serial of the vCPU that ran last on this CPU */
static DEFINE_PER_CPU(u64, last_serial);

u64 vmlet_linear_rip(struct vmlet_vcpu *vcpu)
{
	if (vmlet_is_64bit(vcpu))
		return vmlet_rip(vcpu);
	vmlet_need(vcpu, VMLET_G_SEGS);
	return (u32)(vmlet_rip(vcpu) + vcpu->seg[VMLET_CS].base);
}

void vmlet_skip_len(struct vmlet_vcpu *vcpu, unsigned int len)
{
	vmlet_need(vcpu, VMLET_G_SKIP);
	vmlet_advance(vcpu, len);
}

/* Where the CPU has not told the length. VMLET_RESUME, or as vmlet_skip() returns. */
static noinline int decode_len(struct vmlet_vcpu *vcpu)
{
	struct vmlet_insn insn;
	int ret;

	ret = vmlet_insn_decode(vcpu, &insn);
	if (ret == -EINVAL || ret == -ENXIO)
		return vmlet_emulation_failed(vcpu, insn.bytes, ret == -EINVAL ? insn.len : 0);
	if (ret)
		return ret;
	vcpu->exit.insn_len = insn.len;
	return VMLET_RESUME;
}

int vmlet_skip(struct vmlet_vcpu *vcpu)
{
	if (unlikely(!vcpu->exit.insn_len)) {
		int ret = decode_len(vcpu);

		if (ret != VMLET_RESUME || !vcpu->exit.insn_len)
			return ret;
	}
	vmlet_skip_len(vcpu, vcpu->exit.insn_len);
	return VMLET_RESUME;
}

int vmlet_internal_error(struct vmlet_vcpu *vcpu, u32 suberror, const u64 *data, unsigned int n)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = n;
	memcpy(run->internal.data, data, n * sizeof(*data));
	vmlet_tell_internal_error(vcpu, suberror);
	return VMLET_TO_USER;
}

int vmlet_fail_entry(struct vmlet_vcpu *vcpu, u64 hw_reason)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = hw_reason;
	run->fail_entry.cpu = vcpu->last_cpu;
	vmlet_record_failure(vcpu, hw_reason);
	vmlet_tell_entry_failed(vcpu);
	return VMLET_TO_USER;
}

/*
 * An instruction of the guest's own user code must not stop the guest: its kernel gets #UD, unless userspace asked for
 * all of them.
 */
int vmlet_emulation_failed(struct vmlet_vcpu *vcpu, const u8 *bytes, unsigned int len)
{
	u64 data[3] = {};

	vcpu->stats->insn_emulation_fail++;
	if (vmlet_cpl(vcpu) && !READ_ONCE(vcpu->vm->exit_on_emulation_failure))
		return vmlet_inject_ud(vcpu);
	if (len) {
		data[0] = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		*(u8 *)&data[1] = len;
		memcpy((u8 *)&data[1] + 1, bytes, min_t(unsigned int, len, VMLET_INSN_MAX));
	}
	return vmlet_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, data, len ? 3 : 0);
}

int vmlet_to_user(struct vmlet_vcpu *vcpu, u32 exit_reason, int (*complete)(struct vmlet_vcpu *vcpu))
{
	vcpu->run->exit_reason = exit_reason;
	vcpu->complete = complete;
	return VMLET_TO_USER;
}

/* What the last return to userspace left open. KVM_SET_REGS and KVM_SET_SREGS drop it when they move RIP. */
static int complete_pending(struct vmlet_vcpu *vcpu)
{
	int (*complete)(struct vmlet_vcpu *vcpu) = vcpu->complete;
	int next;

	vcpu->complete = NULL;
	if (!complete)
		return VMLET_RESUME;
	vmlet_phase_end(vcpu, VMLET_PHASE_REST);
	next = complete(vcpu);
	if (next == VMLET_SKIP)
		next = vmlet_skip(vcpu);
	vmlet_phase_end(vcpu, VMLET_PHASE_HANDLER);
	return next;
}

/* Branch prediction that another vCPU has trained must not steer this one. */
static void isolate(struct vmlet_vcpu *vcpu)
{
	if (this_cpu_read(last_serial) == vcpu->serial)
		return;
	this_cpu_write(last_serial, vcpu->serial);
	indirect_branch_prediction_barrier();
}

/*
 * DR0 to DR3 are in the CPU only while a breakpoint is armed. The host's must not be armed with the guest's
 * addresses, nor an interrupt's handler see them: interrupts are off. An exit leaves DR7 without any.
 */
static void load_breakpoints(struct vmlet_vcpu *vcpu)
{
	const u64 *dr = vmlet_debug_hw(vcpu) ? vcpu->debug.dr : vcpu->dr;
	unsigned int i;

	if (!vmlet_dr_armed(vcpu))
		return;
	vmlet_host_breakpoints_save();
	set_debugreg(0, 7);
	for (i = 0; i < ARRAY_SIZE(vcpu->dr); i++)
		set_debugreg(dr[i], i);
}

/* Enter the guest and come back: everything between has preemption off, the inner loop interrupts too. */
static int guest_section(struct vmlet_vcpu *vcpu)
{
	int next;

	vmlet_phase_end(vcpu, VMLET_PHASE_REST);
	vmlet_fpu_load(vcpu);
	isolate(vcpu);
	vmlet_vendor->load(vcpu);
	local_irq_disable();
	load_breakpoints(vcpu);
	vmlet_clock_follow(vcpu);
	/*
	 * A guest is as good as userspace: no reader of RCU's is in it. Whoever waits for RCU interrupts a guest that
	 * runs for long, so it is enough to say so behind an interrupt.
	 */
	if (vcpu->exit.reason == VMLET_EXIT_INTR)
		rcu_virt_note_context_switch();
	WRITE_ONCE(vcpu->mode_cpu, smp_processor_id());
	/* Pairs with the barrier of vmlet_flush_all(): either it sees us here or we see its tlb_gen. */
	smp_mb();
	vmlet_pkru_load(vcpu);
	next = vmlet_vendor->run(vcpu);
	vmlet_pkru_put(vcpu);
	WRITE_ONCE(vcpu->mode_cpu, -1);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	vmlet_host_guest_ran();
	local_irq_enable();
	vmlet_vendor->put(vcpu);
	vmlet_fpu_put(vcpu);
	vmlet_phase_end(vcpu, VMLET_PHASE_SWITCH);
	return next;
}

/* An interrupt of a level-triggered pin has ended: userspace, which has the IOAPIC, is to know. */
static int tell_eoi(struct vmlet_vcpu *vcpu)
{
	vcpu->run->eoi.vector = vcpu->eoi_vector;
	return vmlet_to_user(vcpu, KVM_EXIT_IOAPIC_EOI, NULL);
}

static int serve_requests(struct vmlet_vcpu *vcpu)
{
	if (vmlet_request_take(vcpu, VMLET_REQ_NMI))
		vmlet_inject_nmi(vcpu);
	if (vmlet_request_take(vcpu, VMLET_REQ_APIC))
		vmlet_lapic_accept_events(vcpu);
	if (vmlet_request_take(vcpu, VMLET_REQ_APIC_MAP))
		vmlet_apic_map_update(vcpu->vm);
	/* One that comes before the HLT that it is to end is kept for that. */
	if (vmlet_request_take(vcpu, VMLET_REQ_UNHALT)) {
		vcpu->unhalted = vcpu->mp_state != KVM_MP_STATE_HALTED;
		if (!vcpu->unhalted)
			vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	}
	if (vmlet_request_take(vcpu, VMLET_REQ_EOI_LENT)) {
		vmlet_lapic_eoi_settle(vcpu);
		vmlet_request_own(vcpu, VMLET_REQ_EVENT);
	}
	if (vmlet_request_take(vcpu, VMLET_REQ_CLOCK))
		vmlet_clock_update(vcpu);
	if (vmlet_request_take(vcpu, VMLET_REQ_STEAL))
		vmlet_steal_update(vcpu);
	if (vmlet_request_take(vcpu, VMLET_REQ_INTERCEPTS))
		vmlet_vendor->set_intercepts(vcpu);
	if (vmlet_request_take(vcpu, VMLET_REQ_TPR))
		return vmlet_lapic_tell_tpr(vcpu);
	if (test_bit(VMLET_REQ_DEBUG, &vcpu->requests))
		return vmlet_debug_exit(vcpu, X86_TRAP_DB, DR_STEP);
	return vmlet_request_take(vcpu, VMLET_REQ_EOI) ? tell_eoi(vcpu) : VMLET_RESUME;
}

static int do_halt(struct vmlet_vcpu *vcpu)
{
	int ret;

	vmlet_phase_end(vcpu, VMLET_PHASE_REST);
	ret = vmlet_halt(vcpu);
	vmlet_phase_end(vcpu, VMLET_PHASE_HALT);
	return ret;
}

/* HLT, or INIT without SIPI: sleep until there is a reason to go on. */
static int wait_until_runnable(struct vmlet_vcpu *vcpu)
{
	bool halted = vcpu->mp_state == KVM_MP_STATE_HALTED;
	int ret;

	ret = do_halt(vcpu);
	if (ret)
		return ret;
	if (halted) {
		vmlet_request_take(vcpu, VMLET_REQ_UNHALT);	/* for this halt, not for the next */
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	}
	return VMLET_RESUME;
}

/* One turn of the outer loop. */
static int turn(struct vmlet_vcpu *vcpu)
{
	int next;

	/* Before signals: what userspace is to be told must not wait in here while it saves the vCPU. */
	if (READ_ONCE(vcpu->requests) & ~BIT(VMLET_REQ_EVENT)) {
		next = serve_requests(vcpu);
		if (next != VMLET_RESUME)
			return next;
	}
	if (signal_pending(current))
		return -EINTR;
	/* Not only when the hardware says so: the window may be open before the entry, or an exit has come first. */
	if (unlikely(vcpu->want_window) && vmlet_takes_user_irq(vcpu)) {
		vcpu->stats->request_irq_exits++;
		return vmlet_to_user(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN, NULL);
	}
	if (unlikely(vcpu->mp_state != KVM_MP_STATE_RUNNABLE))
		return wait_until_runnable(vcpu);
	if (vcpu->events.mask & VMLET_EV_TRIPLE) {
		vcpu->events.mask &= ~VMLET_EV_TRIPLE;
		return vmlet_to_user(vcpu, KVM_EXIT_SHUTDOWN, NULL);
	}
	if (need_resched()) {
		vmlet_steal_leave(vcpu);
		cond_resched();
	}
	if ((vcpu->dirty & VMLET_G_CR) && vcpu->pdptes_due && vmlet_load_pdptes(vcpu))
		return vmlet_fail_entry(vcpu, 0);
	vmlet_steal_follow(vcpu);
	next = guest_section(vcpu);
	if (next == VMLET_SLOW)
		next = vmlet_exit_table[vcpu->exit.reason].slow(vcpu);
	if (next == VMLET_SKIP)
		next = vmlet_skip(vcpu);
	vmlet_phase_end(vcpu, VMLET_PHASE_HANDLER);
	return next;
}

/* Until the first INIT. Userspace then calls again: so it learns that the vCPU has been started. */
static long await_start(struct vmlet_vcpu *vcpu)
{
	int ret = do_halt(vcpu);

	vcpu->run->exit_reason = ret ? KVM_EXIT_INTR : KVM_EXIT_UNKNOWN;
	if (ret)
		return ret;
	if (vmlet_request_take(vcpu, VMLET_REQ_APIC))
		vmlet_lapic_accept_events(vcpu);
	return -EAGAIN;
}

static long run_guest(struct vmlet_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 immediate_exit = READ_ONCE(run->vmlet_immediate_exit);
	u64 cr8 = READ_ONCE(run->cr8), dirty = READ_ONCE(run->kvm_dirty_regs);
	int next;

	if (unlikely(vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED))
		return immediate_exit ? -EINTR : await_start(vcpu);
	if ((READ_ONCE(run->kvm_valid_regs) | dirty) & ~(u64)KVM_SYNC_X86_VALID_FIELDS)
		return -EINVAL;
	if (unlikely(dirty) && vmlet_sync_take(vcpu, dirty))
		return -EINVAL;
	if (cr8 > 15 && !vcpu->lapic)
		return -EINVAL;
	/* Without a local APIC in the kernel the task priority is userspace's to set. */
	if (cr8 != vcpu->cr8 && !vcpu->lapic) {
		vcpu->cr8 = cr8;
		vmlet_replace(vcpu, VMLET_G_CR8);
	}
	vcpu->want_window = READ_ONCE(run->request_interrupt_window) && !vmlet_irqchip_in_kernel(vcpu->vm);
	next = complete_pending(vcpu);
	if (next > 0 && immediate_exit)
		return -EINTR;
	if (next)
		run->exit_reason = KVM_EXIT_UNKNOWN;
	vcpu->has_run = true;
	if (unlikely(vcpu->events.has_payload))
		vmlet_events_payload(vcpu);
	if (unlikely(vcpu->vapic))
		vmlet_lapic_vapic_run(vcpu);
	while (next > 0)
		next = turn(vcpu);
	/* Some clients look at the reason alone: an old one would be served twice. */
	if (next == -EINTR) {
		run->exit_reason = KVM_EXIT_INTR;
		vcpu->stats->signal_exits++;
	}
	return next;
}

long vmlet_run(struct vmlet_vcpu *vcpu)
{
	long ret;

	lockdep_assert_held(&vcpu->mutex);
	vmlet_thread_follow(vcpu);
	if (vcpu->sigmask_set)
		sigprocmask(SIG_SETMASK, &vcpu->sigmask, &current->real_blocked);
	vmlet_times_call(vcpu);
	ret = run_guest(vcpu);
	if (vcpu->lapic)
		vmlet_lapic_stopped(vcpu);
	vmlet_update_run(vcpu);
	if (vcpu->sigmask_set) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	trace_kvm_userspace_exit(vcpu->run->exit_reason, ret);
	vmlet_times_return(vcpu);
	return ret;
}
