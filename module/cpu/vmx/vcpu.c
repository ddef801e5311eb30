// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: a vCPU's VMCS and the guest section
 *
 * A VMCS is active on at most one CPU, which may cache it: before it moves, the old CPU writes it back (VMCLEAR).
 * The guest section begins with load() and ends with put(): in between, state that VM entry and exit do not switch
 * is the guest's.
 */
#include <linux/gfp.h>
#include <linux/idr.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#include "../../api/api.h"
#include "../../run/loop.h"
#include "../bugs.h"
#include "vmx.h"

static DEFINE_IDA(vpids);

/* TSC ticks: PAUSEs closer than this are one loop, and that long a loop waits for another vCPU, or for the host. */
#define SPIN_GAP	128
#define SPIN_WINDOW	4096

/* VPID 0 is the host's. */
#define VPID_MAX	0xffff

/* Write back a VMCS that is active on this CPU. Interrupts off, as the list is changed by IPIs too. */
static void clear_here(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpus);

	vmx_vmclear(__pa(vmx->vmcs));
	if (this->current_vcpu == vmx)
		this->current_vcpu = NULL;
	list_del(&vmx->node);
	vmx->launched = false;
	/* The launch state and the list are done with before another CPU sees that it may load the VMCS. */
	smp_store_release(&vmx->cpu, -1);
}

static void clear_ipi(void *arg)
{
	struct vmx_vcpu *vmx = arg;

	if (vmx->cpu == smp_processor_id())
		clear_here(vmx);
}

/* Make the VMCS inactive, wherever it is. A CPU that went offline has done it when it went. */
static void clear_anywhere(struct vmx_vcpu *vmx)
{
	int cpu = smp_load_acquire(&vmx->cpu);	/* pairs with clear_here() */

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_ipi, vmx, 1);
}

void vmx_clear_active(struct vmx_cpu *this)
{
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, &this->active, node)
		clear_here(vmx);
}

/* Descriptor tables, per-CPU area and entry stack are the CPU's own. */
static void write_cpu_fields(void)
{
	const struct ldttss_desc *tss;
	struct desc_ptr gdt, idt;
	u64 value;

	native_store_gdt(&gdt);
	store_idt(&idt);
	tss = (const void *)(gdt.address + GDT_ENTRY_TSS * 8);
	vmx_write(HOST_TR_BASE, tss->base0 | tss->base1 << 16 | (u64)tss->base2 << 24 | (u64)tss->base3 << 32);
	vmx_write(HOST_GDTR_BASE, gdt.address);
	vmx_write(HOST_IDTR_BASE, idt.address);
	rdmsrl(MSR_GS_BASE, value);
	vmx_write(HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmx_write(HOST_IA32_SYSENTER_ESP, value);
	vmx_write(HOST_CR0, read_cr0());
}

/*
 * Preemption off; interrupts on, unless the VMCS is current already. Translations this CPU cached for the vCPU while it
 * was here before may be outdated. False: the host reboots and VMX operation is off.
 */
bool vmx_move_here(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpus);
	int cpu = smp_processor_id();

	if (vmx->cpu != cpu)
		clear_anywhere(vmx);
	guard(irq)();
	if (!this->on)
		return false;
	this->current_vcpu = vmx;
	vmx_vmptrld(__pa(vmx->vmcs));
	if (vmx->cpu != cpu) {
		list_add(&vmx->node, &this->active);
		vmx->cpu = cpu;
		write_cpu_fields();
		vmx_flush_tlb(&vmx->vcpu);
	}
	return true;
}

/* What is the same for all vCPUs and for ever. */
static void write_constants(void)
{
	static const struct {
		u16 field;
		u64 value;
	} constants[] = {
		{ PAGE_FAULT_ERROR_CODE_MASK, 0 },
		{ PAGE_FAULT_ERROR_CODE_MATCH, 0 },
		{ CR3_TARGET_COUNT,	0 },
		{ VM_EXIT_MSR_STORE_COUNT, 0 },
		{ VM_ENTRY_INTR_INFO_FIELD, 0 },
		{ VMCS_LINK_POINTER,	~0ull },
		{ CR0_GUEST_HOST_MASK,	~(u64)VMX_CR0_GUEST },
		{ GUEST_IA32_DEBUGCTL,	0 },
		{ GUEST_ACTIVITY_STATE,	0 },
		{ GUEST_PENDING_DBG_EXCEPTIONS, 0 },
		{ HOST_CS_SELECTOR,	__KERNEL_CS },
		{ HOST_SS_SELECTOR,	__KERNEL_DS },
		{ HOST_DS_SELECTOR,	0 },
		{ HOST_ES_SELECTOR,	0 },
		{ HOST_FS_SELECTOR,	0 },
		{ HOST_GS_SELECTOR,	0 },
		{ HOST_TR_SELECTOR,	GDT_ENTRY_TSS * 8 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(constants); i++)
		vmx_write(constants[i].field, constants[i].value);
}

static void write_host_constants(void)
{
	u64 value;

	rdmsrl(MSR_EFER, value);
	vmx_write(HOST_IA32_EFER, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmx_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmx_write(HOST_IA32_SYSENTER_EIP, value);
	vmx_write(HOST_FS_BASE, 0);
	vmx_write(HOST_RIP, (unsigned long)vmx_exit_point);
}

static void write_initial(struct vmx_vcpu *vmx)
{
	write_constants();
	write_host_constants();
	vmx_write(PIN_BASED_VM_EXEC_CONTROL, vmx_config.pin);
	vmx_write(VM_EXIT_CONTROLS, vmx_config.exit);
	vmx_write(VM_ENTRY_CONTROLS, vmx_config.entry);
	vmx_write(MSR_BITMAP, __pa(vmx_msr_bitmap));
	vmx_write(VM_ENTRY_MSR_LOAD_ADDR, __pa(&vmx->spec_ctrl[0]));
	vmx_write(VM_EXIT_MSR_LOAD_ADDR, __pa(&vmx->spec_ctrl[1]));
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(CR0_READ_SHADOW, 0);
	vmx_write(CR4_READ_SHADOW, 0);
	vmx_write(GUEST_IA32_EFER, 0);
	vmx_write(TSC_OFFSET, 0);
	if (vmx_config.cpu2 & SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
		vmx_write(PLE_GAP, SPIN_GAP);
		vmx_write(PLE_WINDOW, SPIN_WINDOW);
	}
	if (vmx_config.cpu2 & SECONDARY_EXEC_ENABLE_VPID)
		vmx_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (vmx_config.cpu2 & SECONDARY_EXEC_ENABLE_XSAVES)
		vmx_write(XSS_EXIT_BITMAP, 0);
	/* An enclave would run outside of every other control. */
	if (vmx_config.cpu2 & SECONDARY_EXEC_ENCLS_EXITING)
		vmx_write(ENCLS_EXITING_BITMAP, ~0ull);
}

static void free_memory(struct vmx_vcpu *vmx, int vpid)
{
	free_page((unsigned long)vmx->vmcs);
	kfree(vmx->spec_ctrl);
	ida_free(&vpids, vpid);
}

int vmx_vcpu_init(struct vmlet_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int vpid = ida_alloc_range(&vpids, 1, VPID_MAX, GFP_KERNEL_ACCOUNT);

	if (vpid < 0)
		return vpid;
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vmx->spec_ctrl = kcalloc(2, sizeof(*vmx->spec_ctrl), GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs || !vmx->spec_ctrl) {
		free_memory(vmx, vpid);
		return -ENOMEM;
	}
	*(u32 *)vmx->vmcs = vmx_config.revision;
	vmx->vpid = vpid;
	vmx->cpu = -1;
	vmx->ctl_cpu = vmx_config.cpu;
	vmx->ctl_entry = vmx_config.entry;
	vmx->eptp = __pa(vcpu->vm->root) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 |
		    (vmx_config.ept_dirty ? VMX_EPTP_AD_ENABLE_BIT : 0);
	/* Until the first exit the values in the vCPU count, not what the VMCS has. */
	vcpu->avail = VMLET_G_ALL;
	/* Whatever these bytes were, the CPU has nothing cached for this VMCS from now on. */
	vmx_vmclear(__pa(vmx->vmcs));
	preempt_disable();
	vmx_make_current(vmx);
	write_initial(vmx);
	preempt_enable();
	return 0;
}

void vmx_vcpu_destroy(struct vmlet_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	clear_anywhere(vmx);
	free_memory(vmx, vmx->vpid);
}

/*
 * Some instructions raise #UD where the guest's CPUID lacks them; CR4 bits that it lacks must exit to raise #GP. Without
 * bitmaps every MSR exits.
 */
void vmx_set_intercepts(struct vmlet_vcpu *vcpu)
{
	static const struct { u32 feature, control; } enables[] = {
		{ VMLET_F_INVPCID,	SECONDARY_EXEC_ENABLE_INVPCID },
		{ VMLET_F_TSC_AUX,	SECONDARY_EXEC_ENABLE_RDTSCP },
		{ VMLET_F_XSAVES,	SECONDARY_EXEC_ENABLE_XSAVES },
	};
	static const struct { u32 exit, cpu, cpu2; } optional[] = {
		{ KVM_X86_DISABLE_EXITS_HLT,	CPU_BASED_HLT_EXITING },
		{ KVM_X86_DISABLE_EXITS_MWAIT,	CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING },
		{ KVM_X86_DISABLE_EXITS_PAUSE,	0, SECONDARY_EXEC_PAUSE_LOOP_EXITING },
	};
	u32 disabled = READ_ONCE(vcpu->vm->disabled_exits);
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int i;

	vmx->ctl_cpu2 = vmx_config.cpu2;
	for (i = 0; i < ARRAY_SIZE(optional); i++) {
		if (!(disabled & optional[i].exit))
			continue;
		vmx->ctl_cpu &= ~optional[i].cpu;
		vmx->ctl_cpu2 &= ~optional[i].cpu2;
	}
	for (i = 0; i < ARRAY_SIZE(enables); i++)
		if (!(vcpu->features & enables[i].feature))
			vmx->ctl_cpu2 &= ~enables[i].control;
	/* What the guest owns is in the VMCS, the rest in the shadow: have all of it before the line moves. */
	vmlet_touch(vcpu, VMLET_G_CR);
	vmx->cr4_guest = VMX_CR4_GUEST & vcpu->cr4_allowed & vmx_config.cr4_fixed1;
	vmx->exceptions = BIT(X86_TRAP_DB) | BIT(X86_TRAP_UD) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);
	if (vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP)
		vmx->exceptions |= BIT(X86_TRAP_BP);
	vmx->ctl_cpu |= CPU_BASED_USE_MSR_BITMAPS;
	if (vmlet_filters_msrs(vcpu->vm))
		vmx->ctl_cpu &= ~CPU_BASED_USE_MSR_BITMAPS;
	vcpu->dirty |= VMX_G_CONTROLS;
}

/*
 * Host state that exits do not bring back as it was. Interrupts are off from here until restore_host(), as one that
 * changes the LDT would be undone. Selectors that user code uses become null: entry accepts no others.
 */
static void save_host(struct vmx_vcpu *vmx)
{
	struct vmx_saved *saved = &vmx->saved;

	native_store_gdt(&saved->gdt);
	store_idt(&saved->idt);
	store_ldt(saved->ldt);
	savesegment(ds, saved->ds);
	savesegment(es, saved->es);
	savesegment(fs, saved->fs);
	savesegment(gs, saved->gs);
	saved->fs_base = x86_fsbase_read_cpu();
	saved->kernel_gs = __rdmsr(MSR_KERNEL_GS_BASE);
	saved->debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
}

static void restore_selectors(const struct vmx_saved *saved)
{
	asm volatile("lldt %0" : : "m" (saved->ldt));
	loadsegment(ds, saved->ds);
	loadsegment(es, saved->es);
	loadsegment(fs, saved->fs);
	load_gs_index(saved->gs);
	/* Loading selectors has loaded bases. */
	x86_fsbase_write_cpu(saved->fs_base);
	native_wrmsrl(MSR_KERNEL_GS_BASE, saved->kernel_gs);
}

static void restore_host(struct vmx_vcpu *vmx)
{
	const struct vmx_saved *saved = &vmx->saved;

	native_load_gdt(&saved->gdt);
	native_load_idt(&saved->idt);
	invalidate_tss_limit();
	if (vmx->kernel_gs != saved->kernel_gs)
		native_wrmsrl(MSR_KERNEL_GS_BASE, saved->kernel_gs);
	if (unlikely(saved->ldt | saved->ds | saved->es | saved->fs | saved->gs))
		restore_selectors(saved);
	if (unlikely(saved->debugctl))
		native_wrmsrl(MSR_IA32_DEBUGCTLMSR, saved->debugctl);
}

void vmx_load(struct vmlet_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_make_current(vmx);
	vcpu->last_cpu = smp_processor_id();
	vmx_load_guest_msrs(vmx);
	vmx_set_spec_ctrl(vmx);
	if (unlikely(vmlet_l1d == VMLET_L1D_SECTION))
		vmx_l1d_flush();
}

void vmx_put(struct vmlet_vcpu *vcpu)
{
	struct vmx_cpu *this = this_cpu_ptr(&vmx_cpus);
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->guest_msrs) {
		vmx->guest_msrs = false;
		vmx_restore_msrs(this);
	}
}

/* Host state that changes with the task, or by an IPI until interrupts are off. */
static void write_host_fields(struct vmx_vcpu *vmx)
{
	unsigned long cr3 = __read_cr3(), cr4 = cr4_read_shadow(), fs_base = vmx->saved.fs_base;

	if (unlikely(cr3 != vmx->host_cr3)) {
		vmx->host_cr3 = cr3;
		vmx_write(HOST_CR3, cr3);
	}
	if (unlikely(cr4 != vmx->host_cr4)) {
		vmx->host_cr4 = cr4;
		vmx_write(HOST_CR4, cr4);
	}
	if (unlikely(fs_base != vmx->host_fs_base)) {
		vmx->host_fs_base = fs_base;
		vmx_write(HOST_FS_BASE, fs_base);
	}
}

static __always_inline void enter(struct vmlet_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	enum vmx_report report;
	u32 reason;

	if (likely(vcpu->dirty == VMLET_G_RIP)) {
		vcpu->dirty = 0;
		vmx_write(GUEST_RIP, vcpu->rip);
	} else if (vcpu->dirty) {
		vmx_flush(vmx);
	}
	if (static_branch_unlikely(&vmx_l1d_each_entry))
		vmx_l1d_flush();
	if (unlikely(vmx_enter_guest(vcpu->regs, &vmx->host_rsp, vmx->launched))) {
		vmx_decode_failure(vmx);
		return;
	}
	reason = vmx_read(VM_EXIT_REASON);
	vcpu->avail &= VMX_G_STABLE;
	vcpu->exit.hw_reason = reason;
	report = likely(reason < VMX_REASONS) ? vmx_reasons[reason].report : VMX_RAW;
	if (likely(report == VMX_INSN)) {
		vmx->launched = true;
		vcpu->exit.reason = vmx_reasons[reason].reason;
		vcpu->exit.insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
	} else if (likely(report == VMX_EPT)) {
		vmx->launched = true;
		vmx_decode_ept(vcpu);
	} else {
		vmx_decode(vmx, reason);
	}
}

static __always_inline void skip(struct vmlet_vcpu *vcpu)
{
	vmx_fetch_skip(vcpu, VMLET_G_SKIP & ~vcpu->avail);
	vmlet_advance(vcpu, vcpu->exit.insn_len);
}

/*
 * Counters that perf wants stopped while a guest runs: above all precise events, whose records the processor would
 * write to a linear address of the guest's.
 */
static void switch_perf_msrs(const struct perf_guest_switch_msr *msrs, int nr, bool guest)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (msrs[i].host != msrs[i].guest)
			native_wrmsrl(msrs[i].msr, guest ? msrs[i].guest : msrs[i].host);
	}
}

int vmx_run(struct vmlet_vcpu *vcpu)
{
	struct perf_guest_switch_msr *perf_msrs;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int next, nr_perf = 0;

	/* A reboot switches VMX operation off under our feet, but not while interrupts are off. */
	if (unlikely(!this_cpu_read(vmx_cpus.on)))
		return -EIO;
	save_host(vmx);
	write_host_fields(vmx);
	perf_msrs = perf_guest_get_msrs(&nr_perf, NULL);
	switch_perf_msrs(perf_msrs, nr_perf, true);
	/* Interrupts may fault, so CR2 is the guest's only while they are off; NMIs preserve it. */
	if (native_read_cr2() != vcpu->cr2)
		native_write_cr2(vcpu->cr2);
	if (vmx->kernel_gs != vmx->saved.kernel_gs)
		native_write_msr_safe(MSR_KERNEL_GS_BASE, vmx->kernel_gs, vmx->kernel_gs >> 32);
	vmx->in_section = true;
	next = vmlet_loop(vcpu, enter, skip, vmx_flush_tlb);
	vmx->in_section = false;
	vmx->kernel_gs = __rdmsr(MSR_KERNEL_GS_BASE);
	vcpu->cr2 = native_read_cr2();
	switch_perf_msrs(perf_msrs, nr_perf, false);
	restore_host(vmx);
	return next;
}
