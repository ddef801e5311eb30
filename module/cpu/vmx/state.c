// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: register groups and events
 *
 * Between the VMCS and the vCPU. What an exit does not need is not read, what did not change is not written.
 */
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../../exit/cr.h"
#include "../../run/loop.h"
#include "vmx.h"

/* The VMCS has LDTR before TR; fields of one kind are two apart. */
static unsigned int seg_field(unsigned int first, unsigned int seg)
{
	return first + 2 * (seg < VMLET_TR ? seg : seg ^ 1);
}

static u32 pack_rights(const struct kvm_segment *seg)
{
	u32 ar = seg->dpl << 5;

	/* SS.DPL is the CPL, in an unusable segment too. */
	if (seg->unusable || !seg->present)
		return ar | VMX_AR_UNUSABLE_MASK;
	return ar | seg->type | seg->s << 4 | seg->present << 7 | seg->avl << 12 | seg->l << 13 |
	       seg->db << 14 | seg->g << 15;
}

static void unpack_rights(struct kvm_segment *seg, u32 ar)
{
	seg->unusable = !!(ar & VMX_AR_UNUSABLE_MASK);
	seg->present = !seg->unusable;
	seg->type = ar & 15;
	seg->s = (ar >> 4) & 1;
	seg->dpl = (ar >> 5) & 3;
	seg->avl = (ar >> 12) & 1;
	seg->l = (ar >> 13) & 1;
	seg->db = (ar >> 14) & 1;
	seg->g = (ar >> 15) & 1;
}

static void fetch_segs(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < VMLET_SEGS; i++) {
		struct kvm_segment *seg = &vcpu->seg[i];

		seg->selector = vmx_read(seg_field(GUEST_ES_SELECTOR, i));
		seg->base = vmx_read(seg_field(GUEST_ES_BASE, i));
		seg->limit = vmx_read(seg_field(GUEST_ES_LIMIT, i));
		unpack_rights(seg, vmx_read(seg_field(GUEST_ES_AR_BYTES, i)));
	}
}

static void flush_segs(struct vmlet_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < VMLET_SEGS; i++) {
		struct kvm_segment *seg = &vcpu->seg[i];
		u32 ar = pack_rights(seg);

		/* Entry wants code and data segments accessed, which userspace tends to forget. */
		if (i != VMLET_LDTR && !(ar & VMX_AR_UNUSABLE_MASK))
			ar |= 1;
		vmx_write(seg_field(GUEST_ES_SELECTOR, i), seg->selector);
		vmx_write(seg_field(GUEST_ES_BASE, i), seg->base);
		vmx_write(seg_field(GUEST_ES_LIMIT, i), seg->limit);
		vmx_write(seg_field(GUEST_ES_AR_BYTES, i), ar);
	}
}

static void fetch_mode(struct vmlet_vcpu *vcpu)
{
	u32 cs = vmx_read(GUEST_CS_AR_BYTES);

	vcpu->mode.cs_l = cs & VMX_AR_L_MASK;
	vcpu->mode.cs_db = cs & VMX_AR_DB_MASK;
	vcpu->mode.ss_dpl = VMX_AR_DPL(vmx_read(GUEST_SS_AR_BYTES));
}

static void fetch_cr(struct vmx_vcpu *vmx)
{
	struct vmlet_vcpu *vcpu = &vmx->vcpu;
	unsigned int i;

	vmx->hw_cr0 = vmx_read(GUEST_CR0);
	vmx->hw_cr3 = vmx_read(GUEST_CR3);
	vmx->hw_cr4 = vmx_read(GUEST_CR4);
	/* Bits that exit are still as they were written last, EFER too. */
	vcpu->cr0 = (vmx->hw_cr0 & VMX_CR0_GUEST) | (vmx->shadow0 & ~VMX_CR0_GUEST);
	vcpu->cr3 = vmx->hw_cr3;
	vcpu->cr4 = (vmx->hw_cr4 & vmx->cr4_guest) | (vmx->shadow4 & ~vmx->cr4_guest);
	vcpu->avail |= VMX_G_HW_CR;
	if (!vmlet_pae_paging(vcpu->cr0, vcpu->cr4, vcpu->efer))
		return;
	for (i = 0; i < ARRAY_SIZE(vcpu->pdpte); i++)
		vcpu->pdpte[i] = vmx_read(GUEST_PDPTR0 + 2 * i);
}

static void write_if_new(unsigned long field, u64 *old, u64 new, bool known)
{
	if (known && *old == new)
		return;
	*old = new;
	vmx_write(field, new);
}

/* A guest that cannot execute SYSCALL, or RDTSCP and RDPID, cannot see theirs either: reading them exits. */
void vmx_load_guest_msrs(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpus);
	struct vmlet_vcpu *vcpu = &vmx->vcpu;
	bool syscall = vcpu->efer & EFER_SCE, aux = vcpu->features & VMLET_F_TSC_AUX;

	if (!syscall && !aux)
		return;
	vmx->guest_msrs = true;
	if (syscall) {
		vmx_set_msr(this, VMX_STAR, vcpu->msr[VMLET_STAR]);
		vmx_set_msr(this, VMX_LSTAR, vcpu->msr[VMLET_LSTAR]);
		vmx_set_msr(this, VMX_SFMASK, vcpu->msr[VMLET_SFMASK]);
	}
	if (aux)
		vmx_set_msr(this, VMX_TSC_AUX, vcpu->tsc_aux);
}

/*
 * In the guest section, where the host's does not change. A guest that has set nothing, or what the host has, runs with
 * the host's. Of the others, entry and exit switch it; nothing of it is in the code around them.
 */
void vmx_set_spec_ctrl(struct vmx_vcpu *vmx)
{
	u64 guest = vmx->vcpu.spec_ctrl, host = guest ? __rdmsr(MSR_IA32_SPEC_CTRL) : 0;
	u32 index = guest != host ? MSR_IA32_SPEC_CTRL : 0;
	struct vmx_msr_entry *msr = vmx->spec_ctrl;

	msr[0].value = guest;
	msr[1].value = host;
	if (likely(msr->index == index))
		return;
	msr[0].index = msr[1].index = index;
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, !!index);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, !!index);
}

static void flush_efer(struct vmx_vcpu *vmx)
{
	u64 efer = vmx->vcpu.efer;
	u32 entry = vmx_config.entry | (efer & EFER_LMA ? VM_ENTRY_IA32E_MODE : 0);
	u32 tr;

	if (efer == vmx->efer)
		return;
	vmx->efer = efer;
	vmx_write(GUEST_IA32_EFER, efer);
	vmx_load_guest_msrs(vmx);
	if (entry == vmx->ctl_entry)
		return;
	vmx->ctl_entry = entry;
	vmx_write(VM_ENTRY_CONTROLS, entry);
	/* Long mode may be entered with a 16-bit TSS, which entry refuses; a busy one of the other kind is as good. */
	tr = vmx_read(GUEST_TR_AR_BYTES);
	if ((efer & EFER_LMA) && (tr & VMX_AR_TYPE_MASK) == VMX_AR_TYPE_BUSY_16_TSS)
		vmx_write(GUEST_TR_AR_BYTES, tr | VMX_AR_TYPE_BUSY_64_TSS);
}

/* Hardware's CR0 has NE always and caches on; CR4 has VMXE, and MCE because machine checks are the host's. */
static void flush_cr(struct vmx_vcpu *vmx)
{
	struct vmlet_vcpu *vcpu = &vmx->vcpu;
	u64 cr0 = (vcpu->cr0 | X86_CR0_NE) & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	u64 cr4 = vcpu->cr4 | X86_CR4_VMXE | X86_CR4_MCE;
	bool known = vcpu->avail & VMX_G_HW_CR;
	unsigned int i;

	write_if_new(CR0_READ_SHADOW, &vmx->shadow0, vcpu->cr0, true);
	write_if_new(CR4_READ_SHADOW, &vmx->shadow4, vcpu->cr4, true);
	write_if_new(GUEST_CR0, &vmx->hw_cr0, cr0, known);
	write_if_new(GUEST_CR3, &vmx->hw_cr3, vcpu->cr3, known);
	write_if_new(GUEST_CR4, &vmx->hw_cr4, cr4, known);
	vcpu->avail |= VMX_G_HW_CR;
	flush_efer(vmx);
	if (!vmlet_pae_paging(vcpu->cr0, vcpu->cr4, vcpu->efer))
		return;
	for (i = 0; i < ARRAY_SIZE(vcpu->pdpte); i++)
		vmx_write(GUEST_PDPTR0 + 2 * i, vcpu->pdpte[i]);
}

static void fetch_msr(struct vmx_vcpu *vmx)
{
	u64 *msr = vmx->vcpu.msr;

	msr[VMLET_SYSENTER_CS] = vmx_read(GUEST_SYSENTER_CS);
	msr[VMLET_SYSENTER_ESP] = vmx_read(GUEST_SYSENTER_ESP);
	msr[VMLET_SYSENTER_EIP] = vmx_read(GUEST_SYSENTER_EIP);
	if (vmx->in_section)
		vmx->kernel_gs = __rdmsr(MSR_KERNEL_GS_BASE);
	msr[VMLET_KERNEL_GS] = vmx->kernel_gs;
}

static void flush_msr(struct vmx_vcpu *vmx)
{
	u64 *msr = vmx->vcpu.msr;

	vmx_write(GUEST_SYSENTER_CS, msr[VMLET_SYSENTER_CS]);
	vmx_write(GUEST_SYSENTER_ESP, msr[VMLET_SYSENTER_ESP]);
	vmx_write(GUEST_SYSENTER_EIP, msr[VMLET_SYSENTER_EIP]);
	vmx->kernel_gs = msr[VMLET_KERNEL_GS];
	native_write_msr_safe(MSR_KERNEL_GS_BASE, vmx->kernel_gs, vmx->kernel_gs >> 32);
	vmx_load_guest_msrs(vmx);
	vmx_set_spec_ctrl(vmx);
}

static void flush_shadow(struct vmlet_vcpu *vcpu)
{
	u32 info = vmx_swap_shadows(vcpu->int_shadow);

	/* Not both at once; the stronger one. */
	if (info & GUEST_INTR_STATE_MOV_SS)
		info = GUEST_INTR_STATE_MOV_SS;
	if (info) {
		/* In a shadow entry wants a single step, if one is on, to be pending. */
		vmlet_need(vcpu, VMLET_G_RFLAGS);
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, vcpu->rflags & X86_EFLAGS_TF ? DR_STEP : 0);
	} else if (vmx_read(GUEST_INTERRUPTIBILITY_INFO) & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)) {
		/* Its instruction is done, and has had its trap. */
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	}
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, info | (vcpu->nmi_masked ? GUEST_INTR_STATE_NMI : 0));
}

static void fetch_dt(struct vmlet_vcpu *vcpu)
{
	vcpu->gdt.base = vmx_read(GUEST_GDTR_BASE);
	vcpu->gdt.limit = vmx_read(GUEST_GDTR_LIMIT);
	vcpu->idt.base = vmx_read(GUEST_IDTR_BASE);
	vcpu->idt.limit = vmx_read(GUEST_IDTR_LIMIT);
}

static void flush_dt(struct vmlet_vcpu *vcpu)
{
	vmx_write(GUEST_GDTR_BASE, vcpu->gdt.base);
	vmx_write(GUEST_GDTR_LIMIT, vcpu->gdt.limit);
	vmx_write(GUEST_IDTR_BASE, vcpu->idt.base);
	vmx_write(GUEST_IDTR_LIMIT, vcpu->idt.limit);
}

static void fetch_rare(struct vmlet_vcpu *vcpu, u32 groups)
{
	if (groups & VMLET_G_RSP)
		vcpu->regs[VMLET_RSP] = vmx_read(GUEST_RSP);
	if (groups & VMLET_G_CR)
		fetch_cr(to_vmx(vcpu));
	if (groups & VMLET_G_SEGS)
		fetch_segs(vcpu);
	if (groups & VMLET_G_DT)
		fetch_dt(vcpu);
	if (groups & VMLET_G_MSR)
		fetch_msr(to_vmx(vcpu));
}

/* The VMCS is current. */
static void fetch(struct vmlet_vcpu *vcpu, u32 groups)
{
	vmx_fetch_skip(vcpu, groups & VMLET_G_SKIP);
	vcpu->avail |= groups;
	if ((groups & VMLET_G_CR3) && !(vcpu->avail & VMLET_G_CR))
		vcpu->cr3 = vmx_read(GUEST_CR3);
	if (groups & VMLET_G_MODE)
		fetch_mode(vcpu);
	if (groups & ~(VMLET_G_SKIP | VMLET_G_CR3 | VMLET_G_MODE))
		fetch_rare(vcpu, groups);
}

void vmx_fetch(struct vmlet_vcpu *vcpu, u32 groups)
{
	/* Who wants one of these wants the others soon, and coming here is dearer than three reads. */
	if (groups & VMLET_G_SKIP)
		groups |= VMLET_G_SKIP & ~vcpu->avail;
	/* In the guest section it is current, and stays so. */
	if (likely(vcpu->mode_cpu >= 0)) {
		fetch(vcpu, groups);
		return;
	}
	preempt_disable();
	if (vmx_make_current(to_vmx(vcpu)))
		fetch(vcpu, groups);
	preempt_enable();
}

static void flush_controls(struct vmx_vcpu *vmx)
{
	vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx->ctl_cpu);
	vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx->ctl_cpu2);
	vmx_write(EPT_POINTER, vmx->eptp);
	vmx_write(EXCEPTION_BITMAP, vmx->exceptions);
	vmx_write(CR4_GUEST_HOST_MASK, ~vmx->cr4_guest);
}

static void flush_tsc(struct vmlet_vcpu *vcpu)
{
	vmx_write(TSC_OFFSET, vcpu->tsc_offset);
	if (vmx_config.cpu2 & SECONDARY_EXEC_TSC_SCALING)
		vmx_write(TSC_MULTIPLIER, vcpu->clock.ratio);
}

/* A guest that may halt by itself goes on in its HLT, unless something has happened to it. */
static void wake(struct vmlet_vcpu *vcpu)
{
	if (unlikely(READ_ONCE(vcpu->vm->disabled_exits) & KVM_X86_DISABLE_EXITS_HLT))
		vmx_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
}

/* In the guest section: what changed since the last exit goes into the VMCS and the MSRs. */
void vmx_flush(struct vmx_vcpu *vmx)
{
	struct vmlet_vcpu *vcpu = &vmx->vcpu;
	u32 dirty = vcpu->dirty;

	vcpu->dirty = 0;
	if (dirty & VMLET_G_RIP)
		vmx_write(GUEST_RIP, vcpu->rip);
	if (dirty & VMX_G_CONTROLS)
		flush_controls(vmx);
	if (dirty & VMLET_G_RSP)
		vmx_write(GUEST_RSP, vcpu->regs[VMLET_RSP]);
	if (dirty & VMLET_G_RFLAGS)
		vmx_write(GUEST_RFLAGS, vcpu->rflags);
	if (dirty & VMLET_G_SEGS)
		flush_segs(vcpu);
	if (dirty & VMLET_G_DT)
		flush_dt(vcpu);
	if (dirty & VMLET_G_CR)
		flush_cr(vmx);
	if (dirty & VMLET_G_MSR)
		flush_msr(vmx);
	if (dirty & VMLET_G_SHADOW)
		flush_shadow(vcpu);
	if (dirty & VMLET_G_TSC)
		flush_tsc(vcpu);
	if (dirty & VMLET_G_DR)
		vmx_write(GUEST_DR7, vmlet_dr7(vcpu));
	if (dirty & VMLET_G_ALL)
		wake(vcpu);
}

void vmx_inject(struct vmlet_vcpu *vcpu, enum vmlet_inject type, u8 vector, bool has_error, u32 error)
{
	u32 info = INTR_INFO_VALID_MASK | vector;

	switch (type) {
	case VMLET_INJECT_NMI:
		info |= INTR_TYPE_NMI_INTR;
		break;
	case VMLET_INJECT_IRQ:
		info |= INTR_TYPE_EXT_INTR;
		break;
	case VMLET_INJECT_EXCEPTION:
		/* INT3 and INTO, of one byte: the return address is behind them. */
		if (vmlet_exception_soft(vector)) {
			info |= INTR_TYPE_SOFT_EXCEPTION;
			vmx_write(VM_ENTRY_INSTRUCTION_LEN, 1);
		} else {
			info |= INTR_TYPE_HARD_EXCEPTION;
		}
	}
	if (has_error) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmx_write(VM_ENTRY_EXCEPTION_ERROR_CODE, error);
	}
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, info);
	wake(vcpu);
}

void vmx_window(struct vmlet_vcpu *vcpu, enum vmlet_inject type, bool on)
{
	u32 bit = type == VMLET_INJECT_NMI ? CPU_BASED_NMI_WINDOW_EXITING : CPU_BASED_INTR_WINDOW_EXITING;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 ctl;

	/* In the shadow of STI a CPU may exit for an NMI at once, and never get out of it; IF is set, and interrupts wait for its end. */
	if (type == VMLET_INJECT_NMI && on) {
		vmlet_need(vcpu, VMLET_G_SHADOW);
		if (vcpu->int_shadow & VMLET_SHADOW_STI)
			bit = CPU_BASED_INTR_WINDOW_EXITING;
	}
	ctl = on ? vmx->ctl_cpu | bit : vmx->ctl_cpu & ~bit;
	if (ctl == vmx->ctl_cpu)
		return;
	vmx->ctl_cpu = ctl;
	vcpu->dirty |= VMX_G_CONTROLS;
}
