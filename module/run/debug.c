// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: userspace debugs the guest
 *
 * KVM_SET_GUEST_DEBUG. A single step is the trap flag, in RFLAGS until the guest changes it or a delivery clears it; the API
 * does not show it. Userspace's breakpoint registers take the place of the guest's. While it steps or has any, every #DB is
 * its own: it injects those that are not.
 */
#include <asm/debugreg.h>
#include <asm/trapnr.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "run.h"

/* With a trap flag in a shadow VT-x would trap at once, and never get out of it. */
static void end_shadow(struct vmlet_vcpu *vcpu)
{
	vmlet_touch(vcpu, VMLET_G_SHADOW);
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		vcpu->int_shadow = 0;
}

int vmlet_debug_exit(struct vmlet_vcpu *vcpu, u8 vector, u64 dr6)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	vmlet_request_take(vcpu, VMLET_REQ_DEBUG);
	end_shadow(vcpu);
	arch->exception = vector;
	arch->pc = vmlet_linear_rip(vcpu);
	arch->dr6 = dr6 | DR6_RESERVED;
	arch->dr7 = vmlet_dr7(vcpu);
	return vmlet_to_user(vcpu, KVM_EXIT_DEBUG, NULL);
}

void vmlet_debug_trap(struct vmlet_vcpu *vcpu)
{
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		vmlet_request_own(vcpu, VMLET_REQ_DEBUG);
	else
		vmlet_inject_db(vcpu, DR_STEP);
}

static void set_debug(struct vmlet_vcpu *vcpu, const struct kvm_guest_debug *in)
{
	vmlet_touch(vcpu, VMLET_G_RFLAGS | VMLET_G_DR);
	vcpu->rflags &= ~vmlet_debug_tf(vcpu);
	vmlet_request_take(vcpu, VMLET_REQ_DEBUG);
	vcpu->debug.control = in->control & KVM_GUESTDBG_ENABLE ? in->control : 0;
	memcpy(vcpu->debug.dr, in->arch.debugreg, sizeof(vcpu->debug.dr));
	vcpu->debug.dr7 = vmlet_dr7_fixed(in->arch.debugreg[7]);
	vcpu->rflags |= vmlet_debug_tf(vcpu);
	end_shadow(vcpu);
	vmlet_vendor->set_intercepts(vcpu);
	/* Interrupts may have been held back. */
	vmlet_request_own(vcpu, VMLET_REQ_EVENT);
}

long vmlet_api_set_guest_debug(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_guest_debug *in = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	if (in->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (vcpu->events.mask & VMLET_EV_EXCEPTION)
			return -EBUSY;
		vmlet_inject_exception(vcpu, in->control & KVM_GUESTDBG_INJECT_DB ? X86_TRAP_DB : X86_TRAP_BP);
	}
	set_debug(vcpu, in);
	return 0;
}
