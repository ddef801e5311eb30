/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: running a vCPU
 *
 * Three rings. KVM_RUN (run.c) reads the run page once, finishes what the last return to userspace left open and
 * honours immediate_exit. The outer loop is preemptible: signals, slow handlers. The inner loop (loop.h) keeps
 * interrupts off and the guest's FPU state loaded: enter, decode, fast handler, enter again.
 */
#ifndef VMLET_RUN_H
#define VMLET_RUN_H

#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/vendor.h"

/* KVM_RUN. 0 with run->exit_reason set, or -errno. vcpu->mutex held. */
long vmlet_run(struct vmlet_vcpu *vcpu);

/* Advance RIP over the instruction of the last exit. VMLET_RESUME, or -errno. */
int vmlet_skip(struct vmlet_vcpu *vcpu);

/* Advance RIP by @len: interrupt shadow ends, a trap flag is honoured. */
void vmlet_skip_len(struct vmlet_vcpu *vcpu, unsigned int len);

/* Report KVM_EXIT_INTERNAL_ERROR / FAIL_ENTRY; both return VMLET_TO_USER, and may sleep. */
int vmlet_internal_error(struct vmlet_vcpu *vcpu, u32 suberror, const u64 *data, unsigned int n);
int vmlet_fail_entry(struct vmlet_vcpu *vcpu, u64 hw_reason);

/* KVM_EXIT_INTERNAL_ERROR, suberror EMULATION, with the instruction bytes if there are any. */
int vmlet_emulation_failed(struct vmlet_vcpu *vcpu, const u8 *bytes, unsigned int len);

/*
 * To userspace, and call @complete at the next KVM_RUN, unless RIP has been changed by then. @complete returns as
 * a slow handler does (VMLET_SKIP skips vcpu->exit's instruction; VMLET_TO_USER: once more).
 */
int vmlet_to_user(struct vmlet_vcpu *vcpu, u32 exit_reason, int (*complete)(struct vmlet_vcpu *vcpu));

/* events.c. Each returns VMLET_RESUME so that handlers can end with it. */
int vmlet_inject_exception(struct vmlet_vcpu *vcpu, u8 vector);
int vmlet_inject_error(struct vmlet_vcpu *vcpu, u8 vector, u32 error);
int vmlet_inject_pf(struct vmlet_vcpu *vcpu, u64 address, u32 error);
static inline int vmlet_inject_gp(struct vmlet_vcpu *vcpu)
{
	return vmlet_inject_error(vcpu, 13, 0);
}
static inline int vmlet_inject_ud(struct vmlet_vcpu *vcpu)
{
	return vmlet_inject_exception(vcpu, 6);
}

/* #DB, with what it sets in DR6. */
int vmlet_inject_db(struct vmlet_vcpu *vcpu, u64 dr6);

void vmlet_inject_nmi(struct vmlet_vcpu *vcpu);

/* Before the guest section, where CR2 may be in the CPU: what userspace's exception does to DR6 or CR2. */
void vmlet_events_payload(struct vmlet_vcpu *vcpu);

/* Before entry, interrupts off: hand what waits to the vendor, open windows for the rest. */
void vmlet_events_prepare(struct vmlet_vcpu *vcpu);

/* After an exit that cut a delivery short: to be delivered again first. Called by the vendors' decoders. */
static inline bool vmlet_exception_soft(u8 vector)
{
	return vector == X86_TRAP_BP || vector == X86_TRAP_OF;
}
void vmlet_requeue_exception(struct vmlet_vcpu *vcpu, u8 vector, bool has_error, u32 error);
void vmlet_requeue_nmi(struct vmlet_vcpu *vcpu);
void vmlet_requeue_irq(struct vmlet_vcpu *vcpu, u8 vector);

/* Does the guest take interrupts now? Is there one for it, of userspace's or of the kernel's controllers? */
static inline bool vmlet_irq_allowed(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_RFLAGS | VMLET_G_SHADOW);
	return (vcpu->rflags & X86_EFLAGS_IF) && !vcpu->int_shadow;
}
bool vmlet_irq_waits(struct vmlet_vcpu *vcpu);

/* Can userspace queue an interrupt that is then delivered at once? */
static inline bool vmlet_takes_irq(struct vmlet_vcpu *vcpu)
{
	return !(vcpu->events.mask & ~VMLET_EV_NMI) && vmlet_irq_allowed(vcpu);
}
bool vmlet_takes_user_irq_of(struct vmlet_vcpu *vcpu);	/* where a local APIC is in the kernel */
static inline bool vmlet_takes_user_irq(struct vmlet_vcpu *vcpu)
{
	return unlikely(vcpu->lapic) ? vmlet_takes_user_irq_of(vcpu) : vmlet_takes_irq(vcpu);
}

/* debug.c. KVM_EXIT_DEBUG, with what the guest would see in DR6. Returns VMLET_TO_USER. */
int vmlet_debug_exit(struct vmlet_vcpu *vcpu, u8 vector, u64 dr6);

/* An instruction was done for the guest, with a trap flag set, the guest's or userspace's. */
void vmlet_debug_trap(struct vmlet_vcpu *vcpu);

#define VMLET_DEBUG_FLAGS	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | \
				 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
				 KVM_GUESTDBG_BLOCKIRQ)

/* RFLAGS.TF while it is userspace's, which the API hides. */
static inline u64 vmlet_debug_tf(const struct vmlet_vcpu *vcpu)
{
	return vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP ? X86_EFLAGS_TF : 0;
}

/* request.c. Any context; the vCPU may be running elsewhere, or asleep. */
void vmlet_request(struct vmlet_vcpu *vcpu, enum vmlet_request request);
void vmlet_kick(struct vmlet_vcpu *vcpu);

/* By the vCPU's own thread, which is going to look anyway. */
static inline void vmlet_request_own(struct vmlet_vcpu *vcpu, enum vmlet_request request)
{
	set_bit(request, &vcpu->requests);
}

/* Taken back, true if it was posted; what was written before the request is seen behind this. */
static inline bool vmlet_request_take(struct vmlet_vcpu *vcpu, enum vmlet_request request)
{
	return test_bit(request, &vcpu->requests) && test_and_clear_bit(request, &vcpu->requests);
}

/* halt.c. Sleep until the vCPU has something to do. 0, or -EINTR. */
int vmlet_halt(struct vmlet_vcpu *vcpu);
extern unsigned int vmlet_halt_poll_ns;

u64 vmlet_linear_rip(struct vmlet_vcpu *vcpu);

#endif
