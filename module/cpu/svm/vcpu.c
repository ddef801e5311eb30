// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the VMCB: register groups in and out, events, ASIDs
 *
 * The VMCB is ordinary memory: reading a group is a copy. Writing one also clears its clean bit, so that the CPU
 * reads it again.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#include "../../host/host.h"
#include "../../run/run.h"
#include "svm.h"

#define ALL_WRITEBACK	0x0606060606060606ull

/* So many PAUSEs, none further than so many cycles from the one before, are a loop that waits for somebody. */
#define SPIN_PAUSES	3000
#define SPIN_GAP	128

/* All that is intercepted always; CR0 and CR4 reads, IRET and windows come and go; set_intercepts() has others. */
static const u8 intercepts[] = {
	INTERCEPT_CR4_WRITE, INTERCEPT_CR8_WRITE,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_UD,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_INIT, INTERCEPT_SELECTIVE_CR0, INTERCEPT_RDPMC, INTERCEPT_CPUID,
	INTERCEPT_RSM, INTERCEPT_INVD, INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
	INTERCEPT_TASK_SWITCH, INTERCEPT_FERR_FREEZE, INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN, INTERCEPT_VMMCALL,
	INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT,
	INTERCEPT_WBINVD, INTERCEPT_XSETBV, INTERCEPT_RDPRU,
};

int svm_vcpu_init(struct vmlet_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control;
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	unsigned int i;

	if (!page)
		return -ENOMEM;
	svm->vmcb = page_address(page);
	svm->vmcb_pa = __sme_set(page_to_phys(page));
	control = &svm->vmcb->control;
	for (i = 0; i < ARRAY_SIZE(intercepts); i++)
		svm_intercept(svm, intercepts[i], true);
	control->intercepts[INTERCEPT_DR] = 0x00ff00ff;	/* every MOV to and from DR0 to DR7 */
	control->pause_filter_count = SPIN_PAUSES;
	control->pause_filter_thresh = SPIN_GAP;
	control->iopm_base_pa = svm_iopm_pa;
	control->int_ctl = V_INTR_MASKING_MASK;
	control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	control->nested_cr3 = __sme_set(__pa(vcpu->vm->root));
	/* Guest memory is ordinary memory, whatever the guest's PAT says. */
	svm->vmcb->save.g_pat = ALL_WRITEBACK;
	svm->vmcb->save.dr6 = DR6_RESERVED;	/* between exits it collects what is new */
	return 0;
}

void svm_vcpu_destroy(struct vmlet_vcpu *vcpu)
{
	free_page((unsigned long)to_svm(vcpu)->vmcb);
}

/* Segment attributes as the VMCB packs them: the descriptor's, without the limit's four bits. */
static u16 pack_attrib(const struct kvm_segment *seg)
{
	return seg->type | seg->s << SVM_SELECTOR_S_SHIFT | (seg->dpl & 3) << SVM_SELECTOR_DPL_SHIFT |
	       (seg->present && !seg->unusable) << SVM_SELECTOR_P_SHIFT | seg->avl << SVM_SELECTOR_AVL_SHIFT |
	       seg->l << SVM_SELECTOR_L_SHIFT | seg->db << SVM_SELECTOR_DB_SHIFT |
	       seg->g << SVM_SELECTOR_G_SHIFT;
}

static void unpack_attrib(struct kvm_segment *seg, u16 attrib)
{
	seg->type = attrib & SVM_SELECTOR_TYPE_MASK;
	seg->s = attrib >> SVM_SELECTOR_S_SHIFT & 1;
	seg->dpl = attrib >> SVM_SELECTOR_DPL_SHIFT & 3;
	seg->present = attrib >> SVM_SELECTOR_P_SHIFT & 1;
	seg->avl = attrib >> SVM_SELECTOR_AVL_SHIFT & 1;
	seg->l = attrib >> SVM_SELECTOR_L_SHIFT & 1;
	seg->db = attrib >> SVM_SELECTOR_DB_SHIFT & 1;
	seg->g = attrib >> SVM_SELECTOR_G_SHIFT & 1;
	seg->unusable = !seg->present;
}

/* Where each segment is in the save area. */
#define AT(reg) offsetof(struct vmcb_save_area, reg)
static const u16 seg_offset[VMLET_SEGS] = {
	[VMLET_ES] = AT(es), [VMLET_CS] = AT(cs), [VMLET_SS] = AT(ss), [VMLET_DS] = AT(ds),
	[VMLET_FS] = AT(fs), [VMLET_GS] = AT(gs), [VMLET_TR] = AT(tr), [VMLET_LDTR] = AT(ldtr),
};

/* The system call MSRs, in the order of enum vmlet_hw_msr. */
static const u16 msr_offset[VMLET_HW_MSRS] = {
	AT(sysenter_cs), AT(sysenter_esp), AT(sysenter_eip),
	AT(star), AT(lstar), AT(cstar), AT(sfmask), AT(kernel_gs_base),
};

static struct vmcb_seg *save_seg(struct svm_vcpu *svm, unsigned int nr)
{
	return (void *)&svm->vmcb->save + seg_offset[nr];
}

static u64 *save_msr(struct svm_vcpu *svm, unsigned int nr)
{
	return (void *)&svm->vmcb->save + msr_offset[nr];
}

static void fetch_segs(struct svm_vcpu *svm)
{
	unsigned int i;

	for (i = 0; i < VMLET_SEGS; i++) {
		struct vmcb_seg *from = save_seg(svm, i);
		struct kvm_segment *seg = &svm->vcpu.seg[i];

		seg->selector = from->selector;
		seg->base = from->base;
		seg->limit = from->limit;
		unpack_attrib(seg, from->attrib);
	}
	/* The CPU keeps the privilege level apart, and the busy bit of TR clear at times. */
	svm->vcpu.seg[VMLET_SS].dpl = svm->vmcb->save.cpl;
	svm->vcpu.seg[VMLET_TR].type |= 2;
}

static void flush_segs(struct svm_vcpu *svm)
{
	unsigned int i;

	for (i = 0; i < VMLET_SEGS; i++) {
		struct kvm_segment *seg = &svm->vcpu.seg[i];
		struct vmcb_seg *to = save_seg(svm, i);

		to->selector = seg->selector;
		to->base = seg->base;
		to->limit = seg->limit;
		to->attrib = pack_attrib(seg);
	}
	svm->vmcb->save.cpl = svm->vcpu.seg[VMLET_SS].dpl & 3;
	svm_dirty(svm, SVM_CLEAN_SEG);
}

static void fetch_msrs(struct svm_vcpu *svm)
{
	unsigned int i;

	for (i = 0; i < VMLET_HW_MSRS; i++)
		svm->vcpu.msr[i] = *save_msr(svm, i);
}

static void set_virt_spec_ctrl(u64 value)
{
	struct svm_cpu *here = this_cpu_ptr(&svm_cpu);

	if (likely(here->virt_spec_ctrl == value))
		return;
	vmlet_host_virt_spec_ctrl(value ?: here->virt_spec_ctrl, value);
	here->virt_spec_ctrl = value;
}

/*
 * A guest that has set nothing, or what the host has, runs with the host's. A CPU that virtualizes SPEC_CTRL ORs the
 * two. In the guest section, where the host's does not change.
 */
static void set_spec_ctrl(struct svm_vcpu *svm)
{
	u64 guest = svm->vcpu.spec_ctrl;

	if (boot_cpu_has(X86_FEATURE_V_SPEC_CTRL)) {
		svm->vmcb->save.spec_ctrl = guest;
	} else {
		svm->host_spec_ctrl = 0;
		if (guest)
			rdmsrl(MSR_IA32_SPEC_CTRL, svm->host_spec_ctrl);
		svm->spec_ctrl = guest != svm->host_spec_ctrl ? guest : 0;
	}
	set_virt_spec_ctrl(svm->vcpu.virt_spec_ctrl);
}

static void flush_msrs(struct svm_vcpu *svm)
{
	unsigned int i;

	for (i = 0; i < VMLET_HW_MSRS; i++)
		*save_msr(svm, i) = svm->vcpu.msr[i];
	svm_set_aux(svm->vcpu.tsc_aux);
	set_spec_ctrl(svm);
}

/* Only CR3 and two bits of CR0 change without an exit. */
static void fetch_cr(struct svm_vcpu *svm)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;

	vcpu->cr0 = (vcpu->cr0 & ~(u64)SVM_CR0_SELECTIVE_MASK) |
		    (svm->vmcb->save.cr0 & SVM_CR0_SELECTIVE_MASK);
	vcpu->cr3 = svm->vmcb->save.cr3;
	vcpu->pdptes_due = true;	/* the CPU keeps none */
}

/*
 * The CPU runs with caches on and with the host's machine check enable. Where the guest's view differs, its accesses
 * must exit.
 */
static void flush_cr(struct svm_vcpu *svm)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;
	struct vmcb_save_area *save = &svm->vmcb->save;

	save->cr0 = vcpu->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	save->cr3 = vcpu->cr3;
	save->cr4 = vcpu->cr4 | (cr4_read_shadow() & X86_CR4_MCE);
	/* Without paging LME says nothing to the CPU, but QEMU's does not find back from it to a host if PAE is off. */
	save->efer = (vcpu->efer & EFER_LMA ? vcpu->efer : vcpu->efer & ~(u64)EFER_LME) | EFER_SVME;
	svm_intercept(svm, INTERCEPT_CR0_READ, save->cr0 != vcpu->cr0);
	svm_intercept(svm, INTERCEPT_CR0_WRITE, save->cr0 != vcpu->cr0);
	svm_intercept(svm, INTERCEPT_CR4_READ, save->cr4 != vcpu->cr4);
	svm_dirty(svm, SVM_CLEAN_CR);
}

static void fetch_dt(struct vmlet_dt *dt, const struct vmcb_seg *from)
{
	dt->base = from->base;
	dt->limit = from->limit;
}

static void flush_dt(const struct vmlet_dt *dt, struct vmcb_seg *to)
{
	to->base = dt->base;
	to->limit = dt->limit;
}

static void fetch_shadow(struct svm_vcpu *svm)
{
	/* The CPU has one bit for both kinds of shadow. */
	svm->vcpu.int_shadow = svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK ?
			       VMLET_SHADOW_STI | VMLET_SHADOW_MOV_SS : 0;
}

static void flush_shadow(struct svm_vcpu *svm)
{
	u32 *state = &svm->vmcb->control.int_state;

	*state &= ~(u32)SVM_INTERRUPT_SHADOW_MASK;
	if (svm->vcpu.int_shadow)
		*state |= SVM_INTERRUPT_SHADOW_MASK;
	if (!svm->vcpu.nmi_masked)
		svm->await_iret = false;
	svm_intercept(svm, INTERCEPT_IRET, svm->vcpu.nmi_masked && !svm->await_iret);
}

static void fetch_rare(struct svm_vcpu *svm, u32 groups)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;
	struct vmcb_save_area *save = &svm->vmcb->save;

	if (groups & VMLET_G_SEGS)
		fetch_segs(svm);
	if (groups & VMLET_G_DT) {
		fetch_dt(&vcpu->gdt, &save->gdtr);
		fetch_dt(&vcpu->idt, &save->idtr);
	}
	if (groups & VMLET_G_MSR)
		fetch_msrs(svm);
}

void svm_fetch(struct vmlet_vcpu *vcpu, u32 groups)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;

	if (groups & VMLET_G_RIP)
		vcpu->rip = save->rip;
	if (groups & VMLET_G_RSP)
		vcpu->regs[VMLET_RSP] = save->rsp;
	if (groups & VMLET_G_RFLAGS)
		vcpu->rflags = save->rflags;
	if (groups & VMLET_G_SHADOW)
		fetch_shadow(svm);
	if (groups & VMLET_G_CR)
		fetch_cr(svm);
	if ((groups & VMLET_G_CR3) && !(vcpu->avail & VMLET_G_CR))
		vcpu->cr3 = save->cr3;
	if (groups & VMLET_G_MODE) {
		vcpu->mode.ss_dpl = save->cpl;
		vcpu->mode.cs_l = save->cs.attrib & SVM_SELECTOR_L_MASK;
		vcpu->mode.cs_db = save->cs.attrib & SVM_SELECTOR_DB_MASK;
	}
	if (groups & (VMLET_G_SEGS | VMLET_G_DT | VMLET_G_MSR))
		fetch_rare(svm, groups);
	vcpu->avail |= groups;
}

static void flush_rare(struct svm_vcpu *svm, u32 groups)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;
	struct vmcb_save_area *save = &svm->vmcb->save;

	if (groups & VMLET_G_SEGS)
		flush_segs(svm);
	if (groups & VMLET_G_DT) {
		flush_dt(&vcpu->gdt, &save->gdtr);
		flush_dt(&vcpu->idt, &save->idtr);
		svm_dirty(svm, SVM_CLEAN_DT);
	}
	if (groups & VMLET_G_DR) {
		save->dr7 = vmlet_dr7(vcpu);
		svm_dirty(svm, SVM_CLEAN_DR);
	}
	if (groups & VMLET_G_MSR)
		flush_msrs(svm);
	if (groups & VMLET_G_CR8) {	/* what MOV from CR8 reads */
		svm->vmcb->control.int_ctl &= ~V_TPR_MASK;
		svm->vmcb->control.int_ctl |= vcpu->cr8;
		svm_dirty(svm, SVM_CLEAN_INTR);
	}
	if (groups & VMLET_G_TSC) {
		svm->vmcb->control.tsc_offset = vcpu->tsc_offset;
		svm_dirty(svm, SVM_CLEAN_INTERCEPTS);
	}
}

void svm_flush(struct vmlet_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *save = &svm->vmcb->save;
	u32 groups = vcpu->dirty;

	vcpu->dirty = 0;
	if (groups & VMLET_G_RIP)
		save->rip = vcpu->rip;
	if (groups & VMLET_G_RSP)
		save->rsp = vcpu->regs[VMLET_RSP];
	if (groups & VMLET_G_RFLAGS)
		save->rflags = vcpu->rflags;
	if (groups & VMLET_G_SHADOW)
		flush_shadow(svm);
	if (groups & VMLET_G_CR)
		flush_cr(svm);
	if (groups & (VMLET_G_SEGS | VMLET_G_DT | VMLET_G_DR | VMLET_G_MSR | VMLET_G_CR8 | VMLET_G_TSC))
		flush_rare(svm, groups);
}

/* Translations are tagged with ASIDs. Each CPU deals out its own; when it runs out it flushes and starts again. */
static void new_asid(struct svm_vcpu *svm)
{
	struct svm_cpu *here = this_cpu_ptr(&svm_cpu);

	if (here->next_asid >= svm_asids) {
		here->generation++;
		here->next_asid = 1;	/* 0 is the host */
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->asid_generation = here->generation;
	svm->vmcb->control.asid = here->next_asid++;
	svm_dirty(svm, SVM_CLEAN_ASID);
}

void svm_flush_tlb(struct vmlet_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	u8 *tlb_ctl = &svm->vmcb->control.tlb_ctl;

	if (!svm_flush_by_asid)
		new_asid(svm);
	else if (*tlb_ctl == TLB_CONTROL_DO_NOTHING)	/* a flush of all that is due flushes this too */
		*tlb_ctl = TLB_CONTROL_FLUSH_ASID;
}

void svm_load(struct vmlet_vcpu *vcpu)
{
	struct svm_cpu *here = this_cpu_ptr(&svm_cpu);
	struct svm_vcpu *svm = to_svm(vcpu);
	int cpu = smp_processor_id();

	if (vcpu->last_cpu != cpu) {
		vcpu->last_cpu = cpu;
		svm->vmcb->control.clean = 0;
		svm->host_state_pa = here->host_state_pa;
		svm->asid_generation = 0;
	}
	if (svm->asid_generation != here->generation)
		new_asid(svm);
	if (svm_tsc_scales && vcpu->clock.ratio != here->tsc_ratio)
		svm_set_tsc_ratio(here, vcpu->clock.ratio);
	svm_set_aux(vcpu->tsc_aux);
	set_spec_ctrl(svm);
}

void svm_put(struct vmlet_vcpu *vcpu)
{
	svm_set_aux(this_cpu_read(svm_cpu.host_aux));
	set_virt_spec_ctrl(0);
}

/* The return address of INT3 and INTO is behind them, where the CPU expects to find it. */
static void step_over_soft(struct svm_vcpu *svm)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;

	svm->soft_rip = vmlet_rip(vcpu);
	if (svm_nrips)
		svm->vmcb->control.next_rip = svm->soft_rip + 1;
	else
		vmlet_rip_set(vcpu, svm->soft_rip + 1);
}

void svm_inject(struct vmlet_vcpu *vcpu, enum vmlet_inject type, u8 vector, bool has_error, u32 error)
{
	static const u32 types[] = {
		[VMLET_INJECT_EXCEPTION] = SVM_EVTINJ_TYPE_EXEPT,
		[VMLET_INJECT_NMI] = SVM_EVTINJ_TYPE_NMI,
		[VMLET_INJECT_IRQ] = SVM_EVTINJ_TYPE_INTR,
	};
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;

	control->event_inj = SVM_EVTINJ_VALID | types[type] | vector | (has_error ? SVM_EVTINJ_VALID_ERR : 0);
	control->event_inj_err = error;
	if (type == VMLET_INJECT_EXCEPTION && vmlet_exception_soft(vector))
		step_over_soft(svm);
	/* A shadow ends with it. The IRET that was about to run will not yet: the next one exits. */
	vmlet_touch(vcpu, VMLET_G_SHADOW);
	vcpu->int_shadow = 0;
	svm->await_iret = false;
	if (type == VMLET_INJECT_NMI)
		vcpu->nmi_masked = true;
}

/* A virtual interrupt that is never delivered: it exits as soon as the guest would take one. */
static void irq_window(struct svm_vcpu *svm, bool on)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	if (svm_intercepted(svm, INTERCEPT_VINTR) == on)
		return;
	svm_intercept(svm, INTERCEPT_VINTR, on);
	control->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	control->int_vector = 0;
	if (on)
		control->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	svm_dirty(svm, SVM_CLEAN_INTR);
}

/*
 * NMIs are blocked until an IRET is done. Its beginning exits (INTERCEPT_IRET, on since the injection); to see its
 * end the guest is single-stepped over it. The same step gets past an interrupt shadow.
 */
static void nmi_window(struct svm_vcpu *svm)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;

	/* IRET exits, or will as soon as a mask that userspace has set is flushed. */
	if (svm->stepping || (vcpu->nmi_masked && !svm->await_iret))
		return;
	/* The trap flag would get into its frame: come back as soon as it is delivered. */
	if (svm->vmcb->control.event_inj & SVM_EVTINJ_VALID) {
		vmlet_host_kick_cpu(smp_processor_id());
		return;
	}
	vmlet_touch(vcpu, VMLET_G_RFLAGS);
	svm->guest_tf = vcpu->rflags & X86_EFLAGS_TF;
	svm->stepping = true;
	svm_intercept_faults(svm, true);
	vcpu->rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
}

void svm_window(struct vmlet_vcpu *vcpu, enum vmlet_inject type, bool on)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (type == VMLET_INJECT_IRQ)
		irq_window(svm, on);
	else if (on)
		nmi_window(svm);
}
