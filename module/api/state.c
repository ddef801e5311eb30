// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: register state
 *
 * Reset values, and the ioctls that read and write registers. All of it works on the register groups in the vCPU: what
 * is written here reaches the hardware at the next entry.
 */
#include <asm/apicdef.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../exit/cr.h"
#include "../run/run.h"
#include "api.h"

/* General registers in the order of struct kvm_regs. */
static const u8 regs_order[] = {
	VMLET_RAX, VMLET_RBX, VMLET_RCX, VMLET_RDX, VMLET_RSI, VMLET_RDI, VMLET_RSP, VMLET_RBP,
	VMLET_R8, VMLET_R9, VMLET_R10, VMLET_R11, VMLET_R12, VMLET_R13, VMLET_R14, VMLET_R15,
};

/* Segments in the order of struct kvm_sregs. */
static const u8 sregs_order[] = {
	VMLET_CS, VMLET_DS, VMLET_ES, VMLET_FS, VMLET_GS, VMLET_SS, VMLET_TR, VMLET_LDTR,
};

static_assert(offsetof(struct kvm_regs, rip) == sizeof(regs_order) * sizeof(u64));
static_assert(offsetof(struct kvm_sregs, gdt) == sizeof(regs_order) / 2 * sizeof(struct kvm_segment));

static void reset_segments(struct vmlet_vcpu *vcpu)
{
	static const struct kvm_segment data = {
		.limit = 0xffff, .type = 3, .present = 1, .s = 1,
	};
	unsigned int i;

	for (i = 0; i < VMLET_SEGS; i++)
		vcpu->seg[i] = data;
	vcpu->seg[VMLET_CS].selector = 0xf000;
	vcpu->seg[VMLET_CS].base = 0xffff0000;
	vcpu->seg[VMLET_CS].type = 0xb;
	vcpu->seg[VMLET_TR].type = 0xb;
	vcpu->seg[VMLET_TR].s = 0;
	vcpu->seg[VMLET_LDTR].type = 2;
	vcpu->seg[VMLET_LDTR].s = 0;
	vcpu->gdt.limit = 0xffff;
	vcpu->idt.limit = 0xffff;
}

/* State after a processor reset; memory is zero from allocation. */
void vmlet_vcpu_reset(struct vmlet_vcpu *vcpu)
{
	vcpu->rip = 0xfff0;
	vcpu->rflags = X86_EFLAGS_FIXED;
	vcpu->regs[VMLET_RDX] = 0x600;	/* family 6 */
	vcpu->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	vcpu->dr6 = DR6_RESERVED;
	vcpu->dr7 = 0x400;
	reset_segments(vcpu);
	vmlet_msr_reset(vcpu);
	if (vcpu->id == 0)
		vcpu->apic_base |= MSR_IA32_APICBASE_BSP;
	vmlet_fpu_reset(vcpu);
	vmlet_cpuid_apply(vcpu);
	vmlet_replace(vcpu, VMLET_G_ALL);
}

/* What userspace may look at after every return from KVM_RUN. */
void vmlet_update_run(struct vmlet_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	/* RIP is for the next KVM_RUN, which most often begins with skipping an instruction: one call for all. */
	vmlet_need(vcpu, VMLET_G_RIP | VMLET_G_RFLAGS | VMLET_G_SHADOW);
	run->if_flag = !!(vcpu->rflags & X86_EFLAGS_IF);
	run->cr8 = vcpu->cr8;
	run->apic_base = vcpu->apic_base;
	run->flags = 0;
	run->ready_for_interrupt_injection = !(vcpu->events.mask & ~VMLET_EV_NMI) && vmlet_irq_allowed(vcpu);
}

/* An interrupt that userspace queued and the guest has not taken yet. */
static bool irq_waiting(struct vmlet_vcpu *vcpu, u8 *vector)
{
	struct vmlet_events *ev = &vcpu->events;

	*vector = ev->mask & VMLET_EV_REDO_IRQ ? ev->redo_irq : ev->mask & VMLET_EV_IRQ ? ev->irq : 0;
	return ev->mask & (VMLET_EV_REDO_IRQ | VMLET_EV_IRQ);
}

long vmlet_api_get_regs(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_regs *regs = arg->data;
	u64 *gpr = (u64 *)regs;
	unsigned int i;

	vmlet_need(vcpu, VMLET_G_RIP | VMLET_G_RSP | VMLET_G_RFLAGS);
	for (i = 0; i < ARRAY_SIZE(regs_order); i++)
		gpr[i] = vcpu->regs[regs_order[i]];
	regs->rip = vcpu->rip;
	regs->rflags = vcpu->rflags;
	return 0;
}

long vmlet_api_set_regs(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_regs *regs = arg->data;
	u64 *gpr = (u64 *)regs;
	unsigned int i;

	/* A machine reset in the middle of an access: the instruction will not be finished. */
	if (regs->rip != vmlet_rip(vcpu))
		vcpu->complete = NULL;
	for (i = 0; i < ARRAY_SIZE(regs_order); i++)
		vcpu->regs[regs_order[i]] = gpr[i];
	vcpu->rip = regs->rip;
	vcpu->rflags = regs->rflags | X86_EFLAGS_FIXED;
	vmlet_replace(vcpu, VMLET_G_RIP | VMLET_G_RSP | VMLET_G_RFLAGS);
	vcpu->events.mask &= ~VMLET_EV_EXCEPTION;
	return 0;
}

static void get_dt(struct kvm_dtable *out, const struct vmlet_dt *dt)
{
	out->base = dt->base;
	out->limit = dt->limit;
}

long vmlet_api_get_sregs(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_sregs *sregs = arg->data;
	struct kvm_segment *seg = &sregs->cs;
	unsigned int i;
	u8 irq;

	vmlet_need(vcpu, VMLET_G_SEGS | VMLET_G_DT | VMLET_G_CR | VMLET_G_CR8);
	for (i = 0; i < ARRAY_SIZE(sregs_order); i++)
		seg[i] = vcpu->seg[sregs_order[i]];
	get_dt(&sregs->gdt, &vcpu->gdt);
	get_dt(&sregs->idt, &vcpu->idt);
	sregs->cr0 = vcpu->cr0;
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = vcpu->cr3;
	sregs->cr4 = vcpu->cr4;
	sregs->cr8 = vcpu->cr8;
	sregs->efer = vcpu->efer;
	sregs->apic_base = vcpu->apic_base;
	if (irq_waiting(vcpu, &irq))
		__set_bit(irq, (unsigned long *)sregs->interrupt_bitmap);
	return 0;
}

/* Would this combination be refused by the processor? Checked before anything is changed. */
static bool sregs_valid(struct vmlet_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	bool paging64 = (sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG);

	if (paging64 && (!(sregs->cr4 & X86_CR4_PAE) || !(sregs->efer & EFER_LMA)))
		return false;
	if (paging64 && !vmlet_cr3_valid(vcpu, sregs->cr3))
		return false;
	if (!paging64 && ((sregs->efer & EFER_LMA) || sregs->cs.l))
		return false;
	return vmlet_cr0_valid(sregs->cr0) && vmlet_cr4_valid(vcpu, sregs->cr4) &&
	       !(sregs->efer & ~vmlet_efer_host()) && vmlet_apic_base_valid(vcpu, sregs->apic_base);
}

static void set_segments(struct vmlet_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	const struct kvm_segment *seg = &sregs->cs;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sregs_order); i++) {
		vcpu->seg[sregs_order[i]] = seg[i];
		vcpu->seg[sregs_order[i]].padding = 0;
	}
	vcpu->gdt.base = sregs->gdt.base;
	vcpu->gdt.limit = sregs->gdt.limit;
	vcpu->idt.base = sregs->idt.base;
	vcpu->idt.limit = sregs->idt.limit;
}

long vmlet_api_set_sregs(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_sregs *sregs = arg->data;
	unsigned long irq;

	if (!sregs_valid(vcpu, sregs))
		return -EINVAL;
	vmlet_need(vcpu, VMLET_G_SEGS);
	if (sregs->cs.base != vcpu->seg[VMLET_CS].base)
		vcpu->complete = NULL;
	set_segments(vcpu, sregs);
	vcpu->cr0 = sregs->cr0 | X86_CR0_ET;
	vcpu->cr2 = sregs->cr2;
	vcpu->cr3 = sregs->cr3;
	vcpu->cr4 = sregs->cr4;
	if (sregs->cr8 < 16)
		vcpu->cr8 = sregs->cr8;
	vcpu->efer = sregs->efer;
	vcpu->apic_base = sregs->apic_base;
	vmlet_replace(vcpu, VMLET_G_SEGS | VMLET_G_DT | VMLET_G_CR | VMLET_G_CR8);
	vmlet_want_flush(vcpu);
	irq = find_first_bit((unsigned long *)sregs->interrupt_bitmap, KVM_NR_INTERRUPTS);
	if (irq < KVM_NR_INTERRUPTS) {
		vcpu->events.irq = irq;
		vcpu->events.mask |= VMLET_EV_IRQ;
	}
	return 0;
}

long vmlet_api_get_debugregs(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_debugregs *dbg = arg->data;

	vmlet_need(vcpu, VMLET_G_DR);
	memcpy(dbg->db, vcpu->dr, sizeof(dbg->db));
	dbg->dr6 = vcpu->dr6;
	dbg->dr7 = vcpu->dr7;
	return 0;
}

long vmlet_api_set_debugregs(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_debugregs *dbg = arg->data;

	if (dbg->flags || upper_32_bits(dbg->dr6) || upper_32_bits(dbg->dr7))
		return -EINVAL;
	memcpy(vcpu->dr, dbg->db, sizeof(vcpu->dr));
	vcpu->dr6 = vmlet_dr6_fixed(dbg->dr6);
	vcpu->dr7 = vmlet_dr7_fixed(dbg->dr7);
	vmlet_replace(vcpu, VMLET_G_DR);
	return 0;
}

long vmlet_api_get_events(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_vcpu_events *out = arg->data;
	struct vmlet_events *ev = &vcpu->events;

	vmlet_need(vcpu, VMLET_G_SHADOW);
	/* Without exception payloads a pending exception is told as an injected one. */
	if (ev->mask & VMLET_EV_EXCEPTION) {
		out->exception.injected = 1;
		out->exception.nr = ev->vector;
		out->exception.has_error_code = ev->has_error;
		out->exception.error_code = ev->has_error ? ev->error : 0;
	}
	out->interrupt.injected = irq_waiting(vcpu, &out->interrupt.nr);
	out->interrupt.shadow = vcpu->int_shadow;
	out->nmi.injected = !!(ev->mask & VMLET_EV_REDO_NMI);
	out->nmi.pending = !!(ev->mask & VMLET_EV_NMI);
	out->nmi.masked = vcpu->nmi_masked;
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	return 0;
}

static bool events_valid(const struct kvm_vcpu_events *in)
{
	u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;

	if (in->flags & ~known)
		return false;
	if (in->exception.injected && (in->exception.nr > 31 || in->exception.nr == X86_TRAP_NMI))
		return false;
	return !(in->flags & KVM_VCPUEVENT_VALID_SMM) || !(in->smi.smm || in->smi.pending || in->smi.smm_inside_nmi);
}

long vmlet_api_set_events(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_vcpu_events *in = arg->data;
	struct vmlet_events *ev = &vcpu->events;
	u8 keep = ev->mask & VMLET_EV_NMI;

	if (!events_valid(in))
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_SHADOW);
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		keep = in->nmi.pending ? VMLET_EV_NMI : 0;
	ev->nmi_again = keep ? ev->nmi_again : 0;
	ev->mask = keep;
	if (in->exception.injected) {
		ev->mask |= VMLET_EV_EXCEPTION;
		ev->vector = in->exception.nr;
		ev->has_error = in->exception.has_error_code;
		ev->error = in->exception.error_code;
	}
	if (in->interrupt.injected) {
		ev->mask |= VMLET_EV_IRQ;
		ev->irq = in->interrupt.nr;
	}
	if (in->nmi.injected)
		ev->mask |= VMLET_EV_REDO_NMI;
	vcpu->nmi_masked = in->nmi.masked;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW)
		vcpu->int_shadow = in->interrupt.shadow & (VMLET_SHADOW_MOV_SS | VMLET_SHADOW_STI);
	return 0;
}
