// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: exits of a few lines each
 */
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../host/host.h"
#include "../insn/insn.h"
#include "../mem/mem.h"
#include "../run/run.h"
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

/*
 * #DB and #AC are intercepted only because a guest could make the CPU deliver them for ever without an exit. They are
 * the guest's all the same.
 */
int vmlet_exit_exception(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;

	if (exit->exception.vector == X86_TRAP_DB) {
		vmlet_touch(vcpu, VMLET_G_DR);
		vcpu->dr6 = (vcpu->dr6 & ~0xfull) | exit->exception.dr6;
	} else if (exit->exception.vector != X86_TRAP_AC) {
		return vmlet_exit_unknown(vcpu);
	} else if (!guest_checks_alignment(vcpu) && vmlet_host_split_lock(vmlet_rip(vcpu))) {
		return VMLET_RESUME;
	}
	if (exit->exception.has_error)
		return vmlet_inject_error(vcpu, exit->exception.vector, exit->exception.error);
	return vmlet_inject_exception(vcpu, exit->exception.vector);
}

int vmlet_exit_intr_window(struct vmlet_vcpu *vcpu)
{
	vmlet_vendor->window(vcpu, VMLET_INJECT_IRQ, false);
	if (vcpu->want_window && !(vcpu->events.mask & ~VMLET_EV_NMI) && vmlet_irq_allowed(vcpu))
		return vmlet_to_user(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN, NULL);
	return VMLET_RESUME;
}

int vmlet_exit_nmi_window(struct vmlet_vcpu *vcpu)
{
	vmlet_vendor->window(vcpu, VMLET_INJECT_NMI, false);
	return VMLET_RESUME;
}

int vmlet_exit_triple_fault(struct vmlet_vcpu *vcpu)
{
	return vmlet_to_user(vcpu, KVM_EXIT_SHUTDOWN, NULL);
}

/* Without a local APIC in the kernel, waiting is userspace's affair. RIP is behind the HLT. */
int vmlet_exit_hlt(struct vmlet_vcpu *vcpu)
{
	int next = vmlet_skip(vcpu);

	return next == VMLET_RESUME ? vmlet_to_user(vcpu, KVM_EXIT_HLT, NULL) : next;
}

int vmlet_exit_rdtsc(struct vmlet_vcpu *vcpu)
{
	u64 tsc = rdtsc_ordered() + vcpu->tsc_offset;

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

int vmlet_exit_nested_fault(struct vmlet_vcpu *vcpu)
{
	int ret = vmlet_mem_fault(vcpu, vcpu->exit.fault.gpa, vcpu->exit.fault.access);

	return ret == -ENXIO ? vmlet_mmio_emulate(vcpu) : ret;
}
