// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: task priority shared with the guest
 *
 * For guests that write TPR at every turn userspace patches the instructions: it learns from exits where they are, and the
 * patched code keeps the priority in memory. There it is read before each look for interrupts, and there the guest finds
 * which vectors wait and are in service, so that it knows when lowering its priority needs an exit.
 */
#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../mem/mem.h"
#include "../run/run.h"
#include "lapic.h"

void vmlet_apic_tpr_accessed(struct vmlet_lapic *lapic, bool write)
{
	lapic->tpr_rip = vmlet_rip(lapic->vcpu);
	lapic->tpr_write = write;
	vmlet_request_own(lapic->vcpu, VMLET_REQ_TPR);
}

int vmlet_lapic_tell_tpr(struct vmlet_vcpu *vcpu)
{
	vcpu->run->tpr_access.rip = vcpu->lapic->tpr_rip;
	vcpu->run->tpr_access.is_write = vcpu->lapic->tpr_write;
	return vmlet_to_user(vcpu, KVM_EXIT_TPR_ACCESS, NULL);
}

/* Interrupts may be off: where the page is not there now, what is known stays. */
void vmlet_apic_vapic_sync(struct vmlet_lapic *lapic, int waiting)
{
	struct vmlet_vcpu *vcpu = lapic->vcpu;
	u32 shared;

	if (vmlet_mem_read_now(vcpu, vcpu->vapic, &shared, sizeof(shared)))
		return;
	if ((u8)shared != lapic->regs[VMLET_APIC_TPR])
		vmlet_apic_tpr_take(lapic, shared);
	shared = (u8)shared | (max_t(int, lapic->isr_top, 0) & 0xf0) << 8 | max(waiting, 0) << 24;
	vmlet_mem_write_now(vcpu, vcpu->vapic, &shared, sizeof(shared));
}

/* KVM_RUN: the guest has left because of a priority that it lowered. Has the page there. */
void vmlet_lapic_vapic_run(struct vmlet_vcpu *vcpu)
{
	u32 shared;

	vmlet_mem_read(vcpu, vcpu->vapic, &shared, sizeof(shared));
	vmlet_request_own(vcpu, VMLET_REQ_EVENT);
}

long vmlet_api_set_vapic_addr(void *obj, struct vmlet_arg *arg)
{
	struct kvm_vapic_addr *vapic = arg->data;
	struct vmlet_vcpu *vcpu = obj;
	u32 shared;

	if (!vcpu->lapic || (vapic->vapic_addr && vmlet_mem_read(vcpu, vapic->vapic_addr, &shared, sizeof(shared))))
		return -EINVAL;
	vcpu->vapic = vapic->vapic_addr;
	return 0;
}

long vmlet_api_tpr_reporting(void *obj, struct vmlet_arg *arg)
{
	struct kvm_tpr_access_ctl *control = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	if (control->flags)
		return -EINVAL;
	if (vcpu->lapic)
		vcpu->lapic->reports_tpr = control->enabled;
	return 0;
}
