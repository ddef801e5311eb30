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
#include "../irq/irq.h"
#include "../run/run.h"
#include "../time/time.h"
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
/* Up to there the two are the same. */
static_assert(offsetof(struct kvm_sregs, interrupt_bitmap) == offsetof(struct kvm_sregs2, flags));

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

static void reset_registers(struct vmlet_vcpu *vcpu)
{
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->rip = 0xfff0;
	vcpu->rflags = X86_EFLAGS_FIXED;
	vcpu->regs[VMLET_RDX] = 0x600;	/* family 6 */
	vcpu->cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	vcpu->cr2 = vcpu->cr3 = vcpu->cr4 = vcpu->cr8 = vcpu->efer = 0;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = DR6_RESERVED;
	vcpu->dr7 = 0x400;
	vcpu->int_shadow = 0;
	vcpu->nmi_masked = false;
	vcpu->spec_ctrl = vcpu->virt_spec_ctrl = 0;
	reset_segments(vcpu);
}

/* State after a processor reset; memory is zero from allocation. */
void vmlet_vcpu_reset(struct vmlet_vcpu *vcpu)
{
	bool boots = vcpu->id == vcpu->vm->boot_id;

	reset_registers(vcpu);
	vmlet_msr_reset(vcpu);
	if (boots)
		vcpu->apic_base |= MSR_IA32_APICBASE_BSP;
	/* With local APICs in the kernel, the others wait to be started. */
	vcpu->mp_state = boots || !vcpu->lapic ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	vmlet_fpu_reset(vcpu);
	vmlet_cpuid_apply(vcpu);
	vmlet_replace(vcpu, VMLET_G_ALL);
}

/* INIT keeps the extended state, the TSC and most MSRs, and how caches are controlled. */
void vmlet_vcpu_init(struct vmlet_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *signature = vmlet_cpuid_find(vcpu, 1, 0);
	u64 caching;

	vmlet_need(vcpu, VMLET_G_ALL);
	caching = vcpu->cr0 & (X86_CR0_CD | X86_CR0_NW);
	reset_registers(vcpu);
	vcpu->cr0 = caching | X86_CR0_ET;
	if (signature)
		vcpu->regs[VMLET_RDX] = signature->eax;
	vcpu->events = (struct vmlet_events) {};
	vmlet_request_take(vcpu, VMLET_REQ_NMI);
	vcpu->complete = NULL;
	vcpu->unhalted = false;
	vmlet_clock_vcpu_reset(vcpu, true);
	vmlet_replace(vcpu, VMLET_G_ALL);
	vmlet_want_flush(vcpu);
}

/* SIPI: real mode, at the page that its vector names. */
void vmlet_vcpu_sipi(struct vmlet_vcpu *vcpu, u8 vector)
{
	vmlet_touch(vcpu, VMLET_G_SEGS);
	vcpu->seg[VMLET_CS].selector = vector << 8;
	vcpu->seg[VMLET_CS].base = vector << 12;
	vmlet_rip_set(vcpu, 0);
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
	regs->rflags = vcpu->rflags & ~vmlet_debug_tf(vcpu);
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
	vcpu->rflags = regs->rflags | X86_EFLAGS_FIXED | vmlet_debug_tf(vcpu);
	vmlet_replace(vcpu, VMLET_G_RIP | VMLET_G_RSP | VMLET_G_RFLAGS);
	vmlet_need(vcpu, VMLET_G_SHADOW);
	if (vcpu->int_shadow)	/* what goes with it depends on the trap flag */
		vcpu->dirty |= VMLET_G_SHADOW;
	if (!vcpu->events.injected)
		vcpu->events.mask &= ~VMLET_EV_EXCEPTION;
	return 0;
}

static void get_dt(struct kvm_dtable *out, const struct vmlet_dt *dt)
{
	out->base = dt->base;
	out->limit = dt->limit;
}

static void get_sregs(struct vmlet_vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct kvm_segment *seg = &sregs->cs;
	unsigned int i;

	vmlet_need(vcpu, VMLET_G_SEGS | VMLET_G_DT | VMLET_G_CR | VMLET_G_CR8);
	for (i = 0; i < ARRAY_SIZE(sregs_order); i++)
		seg[i] = vcpu->seg[sregs_order[i]];
	/* Legacy mode loads it without looking; KVM_SET_SREGS refuses it there. */
	if (!(vcpu->efer & EFER_LMA))
		sregs->cs.l = 0;
	get_dt(&sregs->gdt, &vcpu->gdt);
	get_dt(&sregs->idt, &vcpu->idt);
	sregs->cr0 = vcpu->cr0;
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = vcpu->cr3;
	sregs->cr4 = vcpu->cr4;
	sregs->cr8 = vcpu->cr8;
	sregs->efer = vcpu->efer;
	sregs->apic_base = vcpu->apic_base;
}

long vmlet_api_get_sregs(void *obj, struct vmlet_arg *arg)
{
	struct kvm_sregs *sregs = arg->data;
	u8 irq;

	get_sregs(obj, sregs);
	if (irq_waiting(obj, &irq))
		__set_bit(irq, (unsigned long *)sregs->interrupt_bitmap);
	return 0;
}

long vmlet_api_get_sregs2(void *obj, struct vmlet_arg *arg)
{
	struct kvm_sregs2 *sregs = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	get_sregs(vcpu, arg->data);
	if (!vmlet_pae_paging(sregs->cr0, sregs->cr4, sregs->efer))
		return 0;
	if (vcpu->pdptes_due)
		vmlet_load_pdptes(vcpu);
	memcpy(sregs->pdptrs, vcpu->pdpte, sizeof(sregs->pdptrs));
	sregs->flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
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

static void set_task_priority(struct vmlet_vcpu *vcpu, u8 cr8)
{
	if (vcpu->lapic)
		vmlet_lapic_tpr_set(vcpu, cr8 << 4);
	else
		vcpu->cr8 = cr8;
}

/* Userspace that resets a machine may say so by registers alone: a boot CPU that waited starts. */
static void wake_at_reset(struct vmlet_vcpu *vcpu)
{
	if ((vcpu->apic_base & MSR_IA32_APICBASE_BSP) && vcpu->rip == 0xfff0 && !(vcpu->cr0 & X86_CR0_PE) &&
	    vcpu->seg[VMLET_CS].selector == 0xf000 && vcpu->seg[VMLET_CS].base == 0xffff0000)
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/* Local APICs in the kernel have this interrupt in service already: it is delivered whatever they say now. */
static void restore_irq(struct vmlet_vcpu *vcpu, u8 vector)
{
	struct vmlet_events *ev = &vcpu->events;

	if (vcpu->lapic) {
		ev->redo_irq = vector;
		ev->mask |= VMLET_EV_REDO_IRQ;
	} else {
		ev->irq = vector;
		ev->mask |= VMLET_EV_IRQ;
	}
}

static int set_sregs(struct vmlet_vcpu *vcpu, const struct kvm_sregs *sregs)
{
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
		set_task_priority(vcpu, sregs->cr8);
	vcpu->efer = sregs->efer;
	vcpu->pdptes_due = true;
	vmlet_replace(vcpu, VMLET_G_SEGS | VMLET_G_DT | VMLET_G_CR | VMLET_G_CR8);
	vmlet_want_flush(vcpu);
	vmlet_lapic_base_set(vcpu, sregs->apic_base, true);
	wake_at_reset(vcpu);
	return 0;
}

long vmlet_api_set_sregs(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_sregs *sregs = arg->data;
	int ret = set_sregs(obj, sregs);
	unsigned long irq;

	if (ret)
		return ret;
	irq = find_first_bit((unsigned long *)sregs->interrupt_bitmap, KVM_NR_INTERRUPTS);
	if (irq < KVM_NR_INTERRUPTS)
		restore_irq(obj, irq);
	return 0;
}

long vmlet_api_set_sregs2(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_sregs2 *sregs = arg->data;
	bool given = sregs->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	struct vmlet_vcpu *vcpu = obj;
	int ret;

	if (sregs->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (given && !vmlet_pae_paging(sregs->cr0, sregs->cr4, sregs->efer))
		return -EINVAL;
	ret = set_sregs(vcpu, arg->data);
	if (ret || !given)
		return ret;
	memcpy(vcpu->pdpte, sregs->pdptrs, sizeof(vcpu->pdpte));
	vcpu->pdptes_due = false;
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

/* One that came while nobody ran the vCPU is a request still. */
static void accept_nmi(struct vmlet_vcpu *vcpu)
{
	if (vmlet_request_take(vcpu, VMLET_REQ_NMI))
		vmlet_inject_nmi(vcpu);
}

/*
 * Unless userspace knows of payloads, one that has not begun is told as one that has, too. Of INT3 and INTO nothing is told: the guest
 * will execute them again.
 */
static void get_exception(struct vmlet_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	bool payloads = READ_ONCE(vcpu->vm->exception_payload);
	struct vmlet_events *ev = &vcpu->events;

	if (payloads)
		out->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (!(ev->mask & VMLET_EV_EXCEPTION) || vmlet_exception_soft(ev->vector))
		return;
	out->exception.injected = ev->injected || !payloads;
	out->exception.pending = !ev->injected;
	out->exception.nr = ev->vector;
	out->exception.has_error_code = ev->has_error;
	out->exception.error_code = ev->has_error ? ev->error : 0;
	out->exception_has_payload = ev->has_payload;
	out->exception_payload = ev->has_payload ? ev->payload : 0;
}

long vmlet_api_get_events(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_vcpu_events *out = arg->data;
	struct vmlet_events *ev = &vcpu->events;

	accept_nmi(vcpu);
	vmlet_need(vcpu, VMLET_G_SHADOW);
	out->interrupt.injected = irq_waiting(vcpu, &out->interrupt.nr);
	out->interrupt.shadow = vcpu->int_shadow;
	out->nmi.injected = !!(ev->mask & VMLET_EV_REDO_NMI);
	out->nmi.pending = ev->mask & VMLET_EV_NMI ? 1 + ev->nmi_again : 0;
	out->nmi.masked = vcpu->nmi_masked;
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	get_exception(vcpu, out);
	if (READ_ONCE(vcpu->vm->triple_fault_event)) {
		out->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		out->triple_fault.pending = !!(ev->mask & VMLET_EV_TRIPLE);
	}
	return 0;
}

/* What the flags do not say is there is not. */
static void normalize_exception(struct kvm_vcpu_events *in)
{
	if (!(in->flags & KVM_VCPUEVENT_VALID_PAYLOAD))
		in->exception.pending = 0;
	if (in->exception.pending)
		in->exception.injected = 0;
	else
		in->exception_has_payload = 0;
}

static bool events_valid(struct vmlet_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;

	if (READ_ONCE(vcpu->vm->exception_payload))
		known |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (READ_ONCE(vcpu->vm->triple_fault_event))
		known |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (in->flags & ~known)
		return false;
	if ((in->exception.injected || in->exception.pending) &&
	    (in->exception.nr > 31 || in->exception.nr == X86_TRAP_NMI))
		return false;
	return !(in->flags & KVM_VCPUEVENT_VALID_SMM) || !(in->smi.smm || in->smi.pending || in->smi.smm_inside_nmi);
}

static void set_event(struct vmlet_events *ev, u8 event, bool on)
{
	ev->mask = on ? ev->mask | event : ev->mask & ~event;
}

static void set_exception(struct vmlet_events *ev, const struct kvm_vcpu_events *in)
{
	set_event(ev, VMLET_EV_EXCEPTION, in->exception.injected || in->exception.pending);
	ev->injected = in->exception.injected;
	ev->vector = in->exception.nr;
	ev->has_error = in->exception.has_error_code;
	ev->error = in->exception.error_code;
	ev->has_payload = in->exception_has_payload;
	ev->payload = in->exception_payload;
}

long vmlet_api_set_events(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	struct kvm_vcpu_events *in = arg->data;
	struct vmlet_events *ev = &vcpu->events;

	normalize_exception(in);
	if (!events_valid(vcpu, in))
		return -EINVAL;
	vmlet_touch(vcpu, VMLET_G_SHADOW);
	accept_nmi(vcpu);
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING) {
		set_event(ev, VMLET_EV_NMI, in->nmi.pending);
		ev->nmi_again = in->nmi.pending > 1 && !in->nmi.masked;
	}
	if (in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		set_event(ev, VMLET_EV_TRIPLE, in->triple_fault.pending);
	set_exception(ev, in);
	set_event(ev, VMLET_EV_REDO_NMI, in->nmi.injected);
	ev->mask &= ~(VMLET_EV_IRQ | VMLET_EV_REDO_IRQ);
	if (in->interrupt.injected)
		restore_irq(vcpu, in->interrupt.nr);
	vcpu->nmi_masked = in->nmi.masked;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW)
		vcpu->int_shadow = in->interrupt.shadow & (VMLET_SHADOW_MOV_SS | VMLET_SHADOW_STI);
	return 0;
}

/* What the run page can hold too, in the order in which it is taken. */
static const struct sync_set {
	u64 bit;
	u16 offset, size;
	long (*get)(void *obj, struct vmlet_arg *arg);
	long (*set)(void *obj, struct vmlet_arg *arg);
} sync_sets[] = {
#define SYNC_SET(bit, member, name)							\
	{ bit, offsetof(struct kvm_sync_regs, member), sizeof_field(struct kvm_sync_regs, member),	\
	  vmlet_api_get_##name, vmlet_api_set_##name }
	SYNC_SET(KVM_SYNC_X86_REGS, regs, regs),
	SYNC_SET(KVM_SYNC_X86_SREGS, sregs, sregs),
	SYNC_SET(KVM_SYNC_X86_EVENTS, events, events),
#undef SYNC_SET
};

/* Copies: the page changes at any time. */
struct sync_copy {
	u64 data[sizeof(struct kvm_sregs) / sizeof(u64)];
};

static_assert(sizeof(struct kvm_regs) <= sizeof(struct sync_copy));
static_assert(sizeof(struct kvm_vcpu_events) <= sizeof(struct sync_copy));

int vmlet_sync_take(struct vmlet_vcpu *vcpu, u64 dirty)
{
	const struct sync_set *set;
	struct sync_copy copy;
	struct vmlet_arg arg = { .data = &copy };

	for (set = sync_sets; set < sync_sets + ARRAY_SIZE(sync_sets); set++) {
		if (!(dirty & set->bit))
			continue;
		memcpy(&copy, (void *)&vcpu->run->s.regs + set->offset, set->size);
		if (set->set(vcpu, &arg))
			return -EINVAL;
		dirty &= ~set->bit;
		WRITE_ONCE(vcpu->run->kvm_dirty_regs, dirty);
	}
	return 0;
}

static noinline void sync_give(struct vmlet_vcpu *vcpu, u64 valid)
{
	const struct sync_set *set;
	struct sync_copy copy;
	struct vmlet_arg arg = { .data = &copy };

	for (set = sync_sets; set < sync_sets + ARRAY_SIZE(sync_sets); set++) {
		if (!(valid & set->bit))
			continue;
		memset(&copy, 0, sizeof(copy));
		set->get(vcpu, &arg);
		memcpy((void *)&vcpu->run->s.regs + set->offset, &copy, set->size);
	}
}

/* What userspace may look at after every return from KVM_RUN. */
void vmlet_update_run(struct vmlet_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid;

	/* RIP is for the next KVM_RUN, which most often begins with skipping an instruction: one call for all. */
	vmlet_need(vcpu, VMLET_G_RIP | VMLET_G_RFLAGS | VMLET_G_SHADOW);
	run->if_flag = !!(vcpu->rflags & X86_EFLAGS_IF);
	run->cr8 = vcpu->cr8;
	run->apic_base = vcpu->apic_base;
	run->flags = 0;
	run->ready_for_interrupt_injection = vmlet_takes_user_irq(vcpu);
	valid = READ_ONCE(run->kvm_valid_regs);
	if (unlikely(valid))
		sync_give(vcpu, valid);
}
