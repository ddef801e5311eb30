// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: exits of a few lines each
 */
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../host/host.h"
#include "../insn/insn.h"
#include "../mem/mem.h"
#include "../observe/trace.h"
#include "../run/run.h"
#include "../time/time.h"
#include "exit.h"
#include "misc.h"

int vmlet_exit_unknown(struct vmlet_vcpu *vcpu)
{
	u64 data[] = { vcpu->exit.hw_reason, vcpu->last_cpu };

	return vmlet_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, data, ARRAY_SIZE(data));
}

int vmlet_exit_fail_entry(struct vmlet_vcpu *vcpu)
{
	return vmlet_fail_entry(vcpu, vcpu->exit.raw[0]);
}

int vmlet_exit_resume(struct vmlet_vcpu *vcpu)
{
	return VMLET_RESUME;
}

int vmlet_exit_nop(struct vmlet_vcpu *vcpu)
{
	return VMLET_SKIP;
}

int vmlet_exit_gp(struct vmlet_vcpu *vcpu)
{
	return vmlet_inject_gp(vcpu);
}

int vmlet_exit_ud(struct vmlet_vcpu *vcpu)
{
	return vmlet_inject_ud(vcpu);
}

/* Is it the guest's own alignment check? If not, it is the host's detector of split locks. */
static bool guest_checks_alignment(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_CR | VMLET_G_RFLAGS);
	return vmlet_cpl(vcpu) == 3 && (vcpu->cr0 & X86_CR0_AM) && (vcpu->rflags & X86_EFLAGS_AC);
}

/* As KVM does, for the next time. Code that is not to be written to stays as it is: this call is served all the same. */
static void fix_call(struct vmlet_vcpu *vcpu)
{
	gpa_t gpa;

	if (!vmlet_cpl(vcpu) &&
	    !vmlet_gva_to_gpa(vcpu, vmlet_linear_rip(vcpu) + 2, VMLET_ACCESS_WRITE, &gpa, NULL))
		vmlet_mem_write(vcpu, gpa, &vmlet_vendor->call, 1);
}

/*
 * Guests and firmware that were made for the other vendor call by its instruction, which is #UD here. True if this was
 * one.
 */
static bool is_foreign_call(struct vmlet_vcpu *vcpu)
{
	const u8 call[] = { 0x0f, 0x01, vmlet_vendor->foreign_call };
	struct vmlet_insn insn;
	u64 cr2 = vcpu->cr2;
	int ret;

	if (!vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_FIX_HYPERCALL_INSN))
		return false;
	ret = vmlet_insn_decode(vcpu, &insn);
	vcpu->cr2 = cr2;	/* a fault of ours, behind the instruction, is not the guest's */
	if (ret || insn.len != sizeof(call) || memcmp(insn.bytes, call, sizeof(call)))
		return false;
	fix_call(vcpu);
	vcpu->exit.insn_len = insn.len;
	return true;
}

static int exit_db(struct vmlet_vcpu *vcpu)
{
	if (vcpu->debug.control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return vmlet_debug_exit(vcpu, X86_TRAP_DB, vcpu->exit.exception.dr6);
	return vmlet_inject_db(vcpu, vcpu->exit.exception.dr6);
}

/*
 * #DB and #AC are intercepted only because a guest could make the CPU deliver them for ever without an exit. They are
 * the guest's all the same, unless userspace debugs it; #BP is intercepted only then, others while AMD-V steps the guest.
 */
int vmlet_exit_exception(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;

	switch (exit->exception.vector) {
	case X86_TRAP_DB:
		return exit_db(vcpu);
	case X86_TRAP_BP:
		return vmlet_debug_exit(vcpu, X86_TRAP_BP, 0);
	case X86_TRAP_UD:
		return is_foreign_call(vcpu) ? vmlet_exit_hypercall(vcpu) : vmlet_inject_ud(vcpu);
	case X86_TRAP_AC:
		if (!guest_checks_alignment(vcpu) && vmlet_host_split_lock(vmlet_rip(vcpu)))
			return VMLET_RESUME;
		break;
	}
	if (exit->exception.has_error)
		return vmlet_inject_error(vcpu, exit->exception.vector, exit->exception.error);
	return vmlet_inject_exception(vcpu, exit->exception.vector);
}

/* Interrupts of the kernel's own controllers need nobody else. */
int vmlet_exit_intr_window_fast(struct vmlet_vcpu *vcpu)
{
	vmlet_vendor->window(vcpu, VMLET_INJECT_IRQ, false);
	if (vcpu->want_window)
		return VMLET_SLOW;
	vmlet_request_own(vcpu, VMLET_REQ_EVENT);
	return VMLET_RESUME;
}

int vmlet_exit_nmi_window(struct vmlet_vcpu *vcpu)
{
	vmlet_vendor->window(vcpu, VMLET_INJECT_NMI, false);
	return VMLET_RESUME;
}

int vmlet_exit_triple_fault(struct vmlet_vcpu *vcpu)
{
	/* AMD-V says what was being delivered. It never will be. */
	vcpu->events.mask &= ~(VMLET_EV_EXCEPTION | VMLET_EV_REDO_NMI | VMLET_EV_REDO_IRQ);
	return vmlet_to_user(vcpu, KVM_EXIT_SHUTDOWN, NULL);
}

/* Without a local APIC in the kernel, waiting is userspace's affair. RIP is behind the HLT. */
int vmlet_exit_hlt(struct vmlet_vcpu *vcpu)
{
	int next = vmlet_skip(vcpu);

	if (next != VMLET_RESUME)
		return next;
	if (!vcpu->lapic) {
		vmlet_request_take(vcpu, VMLET_REQ_DEBUG);	/* there is one exit at a time, and it is behind the HLT too */
		return vmlet_to_user(vcpu, KVM_EXIT_HLT, NULL);
	}
	if (!vcpu->unhalted)
		vcpu->mp_state = KVM_MP_STATE_HALTED;
	vcpu->unhalted = false;
	return VMLET_RESUME;
}

/*
 * The guest spins: for another of its vCPUs, which may wait for this CPU, or for a device's thread, which may too. The
 * scheduler says who is to run.
 */
int vmlet_exit_pause(struct vmlet_vcpu *vcpu)
{
	if (!single_task_running()) {
		vmlet_steal_leave(vcpu);
		schedule();
	}
	return VMLET_SKIP;
}

int vmlet_exit_rdtsc(struct vmlet_vcpu *vcpu)
{
	u64 tsc = vmlet_tsc_guest(vcpu, rdtsc_ordered());

	vcpu->regs[VMLET_RAX] = (u32)tsc;
	vcpu->regs[VMLET_RDX] = tsc >> 32;
	return VMLET_SKIP;
}

/* XCR0 is switched around the guest section: handled outside of it. */
int vmlet_exit_xsetbv(struct vmlet_vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[VMLET_RAX] | vcpu->regs[VMLET_RDX] << 32;

	if (vmlet_cpl(vcpu) || (u32)vcpu->regs[VMLET_RCX] || vmlet_xcr0_set(vcpu, value))
		return vmlet_inject_gp(vcpu);
	return VMLET_SKIP;
}

/*
 * Might it be device memory? Asked first, since most faults are of memory: was the last one not of memory but here, or has the
 * kernel any device that memory could hide?
 */
static bool may_be_device(const struct vmlet_vcpu *vcpu)
{
	const struct vmlet_vm *vm = vcpu->vm;

	return vcpu->hole.gfn == vcpu->exit.fault.gpa >> PAGE_SHIFT || vm->irq.chip != VMLET_IRQCHIP_NONE ||
	       rcu_access_pointer(vm->irq.bus[VMLET_BUS_MMIO]);
}

static int map_now(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;

	if (!vmlet_mem_fault_now(vcpu, exit->fault.gpa, exit->fault.access))
		return VMLET_SLOW;
	trace_kvm_page_fault(vcpu, exit->fault.gpa, exit->fault.access);
	return VMLET_RESUME;
}

int vmlet_exit_nested_fault_fast(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;

	exit->fault.prepared = false;
	if (exit->fault.final && !(exit->fault.access & VMLET_ACCESS_EXEC) && may_be_device(vcpu) &&
	    vmlet_mem_is_device(vcpu, vmlet_slots(vcpu->vm), exit->fault.gpa >> PAGE_SHIFT))
		return vmlet_mmio_move(vcpu);
	return vcpu->page_absent ? VMLET_SLOW : map_now(vcpu);
}

int vmlet_exit_nested_fault(struct vmlet_vcpu *vcpu)
{
	gpa_t gpa = vcpu->exit.fault.gpa;
	int ret;

	if (vcpu->exit.fault.prepared)
		return vmlet_mmio_ask(vcpu);
	trace_kvm_page_fault(vcpu, gpa, vcpu->exit.fault.access);
	ret = vmlet_mem_fault(vcpu, gpa, vcpu->exit.fault.access);
	if (ret != -ENXIO)
		return ret;
	/* Perhaps: it may be a write to read-only memory. */
	vcpu->hole.gfn = gpa >> PAGE_SHIFT;
	vcpu->hole.slots = 0;
	return vmlet_mmio_emulate(vcpu);
}
