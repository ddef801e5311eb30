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

#include "../api/api.h"
#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "../host/host.h"
#include "../insn/insn.h"
#include "loop.h"
#include "run.h"

#define DR7_ARMED	0xff	/* local and global enables of four breakpoints */

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

int vmlet_skip(struct vmlet_vcpu *vcpu)
{
	struct vmlet_insn insn;
	int ret;

	if (!vcpu->exit.insn_len) {
		ret = vmlet_insn_decode(vcpu, &insn);
		if (ret == -EINVAL || ret == -ENXIO)
			return vmlet_emulation_failed(vcpu, insn.bytes, ret == -EINVAL ? insn.len : 0);
		if (ret)
			return ret;
		vcpu->exit.insn_len = insn.len;
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
	return VMLET_TO_USER;
}

int vmlet_fail_entry(struct vmlet_vcpu *vcpu, u64 hw_reason)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = hw_reason;
	run->fail_entry.cpu = vcpu->last_cpu;
	return VMLET_TO_USER;
}

/* An instruction of the guest's own user code must not stop the guest: its kernel gets #UD, as with KVM. */
int vmlet_emulation_failed(struct vmlet_vcpu *vcpu, const u8 *bytes, unsigned int len)
{
	u64 data[3] = {};

	if (vmlet_cpl(vcpu))
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
	next = complete(vcpu);
	return next == VMLET_SKIP ? vmlet_skip(vcpu) : next;
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
 * DR0 to DR3 are in the CPU only while the guest has a breakpoint armed. The host's must not be armed with the guest's
 * addresses, nor an interrupt's handler see them: interrupts are off. An exit leaves DR7 without any.
 */
static void load_breakpoints(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	if (!(vcpu->dr7 & DR7_ARMED))
		return;
	vmlet_host_breakpoints_save();
	set_debugreg(0, 7);
	for (i = 0; i < ARRAY_SIZE(vcpu->dr); i++)
		set_debugreg(vcpu->dr[i], i);
}

static void put_breakpoints(struct vmlet_vcpu *vcpu)
{
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	else if (unlikely(vcpu->dr6 != DR6_RESERVED))	/* may be in the CPU still */
		set_debugreg(DR6_RESERVED, 6);
}

/* Enter the guest and come back: everything between has preemption off, the inner loop interrupts too. */
static int guest_section(struct vmlet_vcpu *vcpu)
{
	int next;

	vmlet_fpu_load(vcpu);
	isolate(vcpu);
	vmlet_vendor->load(vcpu);
	local_irq_disable();
	load_breakpoints(vcpu);
	/*
	 * A guest is as good as userspace: no reader of RCU's is in it. Whoever waits for RCU interrupts a guest that
	 * runs for long, so it is enough to say so behind an interrupt.
	 */
	if (vcpu->exit.reason == VMLET_EXIT_INTR)
		rcu_virt_note_context_switch();
	WRITE_ONCE(vcpu->mode_cpu, smp_processor_id());
	/* Pairs with the barrier of vmlet_flush_all(): either it sees us here or we see its tlb_gen. */
	smp_mb();
	next = vmlet_vendor->run(vcpu);
	WRITE_ONCE(vcpu->mode_cpu, -1);
	put_breakpoints(vcpu);
	vmlet_host_guest_ran();
	local_irq_enable();
	vmlet_vendor->put(vcpu);
	vmlet_fpu_put(vcpu);
	return next;
}

/* One turn of the outer loop. */
static int turn(struct vmlet_vcpu *vcpu)
{
	int next;

	if (signal_pending(current))
		return -EINTR;
	if (vcpu->events.mask & VMLET_EV_TRIPLE) {
		vcpu->events.mask &= ~VMLET_EV_TRIPLE;
		return vmlet_to_user(vcpu, KVM_EXIT_SHUTDOWN, NULL);
	}
	cond_resched();
	if ((vcpu->dirty & VMLET_G_CR) && vmlet_load_pdptes(vcpu))
		return vmlet_fail_entry(vcpu, 0);
	next = guest_section(vcpu);
	if (next == VMLET_SLOW)
		next = vmlet_exit_table[vcpu->exit.reason].slow(vcpu);
	return next == VMLET_SKIP ? vmlet_skip(vcpu) : next;
}

static long run_guest(struct vmlet_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 immediate_exit = READ_ONCE(run->vmlet_immediate_exit);
	u64 cr8 = READ_ONCE(run->cr8);
	int next;

	if (READ_ONCE(run->kvm_valid_regs) || READ_ONCE(run->kvm_dirty_regs) || cr8 > 15)
		return -EINVAL;
	/* Without a local APIC in the kernel the task priority is userspace's to set. */
	if (cr8 != vcpu->cr8) {
		vcpu->cr8 = cr8;
		vmlet_replace(vcpu, VMLET_G_CR8);
	}
	vcpu->want_window = READ_ONCE(run->request_interrupt_window);
	next = complete_pending(vcpu);
	if (next > 0 && immediate_exit)
		return -EINTR;
	if (next > 0)
		run->exit_reason = KVM_EXIT_UNKNOWN;
	vcpu->has_run = true;
	while (next > 0)
		next = turn(vcpu);
	/* Some clients look at the reason alone: an old one would be served twice. */
	if (next == -EINTR)
		run->exit_reason = KVM_EXIT_INTR;
	return next;
}

long vmlet_run(struct vmlet_vcpu *vcpu)
{
	long ret;

	lockdep_assert_held(&vcpu->mutex);
	if (vcpu->sigmask_set)
		sigprocmask(SIG_SETMASK, &vcpu->sigmask, &current->real_blocked);
	ret = run_guest(vcpu);
	vmlet_update_run(vcpu);
	if (vcpu->sigmask_set) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	return ret;
}
