// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: into the guest, and from VMCB exit codes to struct vmlet_exit
 */
#include <linux/nospec.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../../host/host.h"
#include "../../insn/peek.h"
#include "../../run/loop.h"
#include "svm.h"

#define HAS_ERROR	(BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | \
			 BIT(X86_TRAP_PF) | BIT(X86_TRAP_AC))
#define EXIT_TABLE_SIZE	(SVM_EXIT_RDPRU + 1)

/**
 * struct row - an exit code
 * @reason:	VMLET_EXIT_*; 0 is VMLET_EXIT_UNKNOWN
 * @insn:	an instruction that is skipped as a rule
 * @detail:	fill in the operands, or change the reason
 */
struct row {
	u8 reason;
	bool insn;
	void (*detail)(struct svm_vcpu *svm);
};

static void detail_exception(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;

	exit->exception.vector = control->exit_code - SVM_EXIT_EXCP_BASE;
	exit->exception.has_error = BIT(exit->exception.vector) & HAS_ERROR;
	exit->exception.error = control->exit_info_1;
	exit->exception.dr6 = 0;
	if (exit->exception.vector == X86_TRAP_PF)
		svm->vcpu.cr2 = control->exit_info_2;
	if (exit->exception.vector == X86_TRAP_MC) {
		vmlet_host_machine_check();
		exit->reason = VMLET_EXIT_MCE;
	}
}

/*
 * The single step over an IRET or out of a shadow is ours, not the guest's: it ends with any exit, and begins again at
 * the next entry if it is still due.
 */
static void end_step(struct svm_vcpu *svm)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;

	svm->stepping = false;
	svm_intercept_faults(svm, false);
	if (svm->guest_tf)
		return;
	vmlet_touch(vcpu, VMLET_G_RFLAGS);
	vcpu->rflags &= ~(u64)(X86_EFLAGS_TF | X86_EFLAGS_RF);
}

/* The entry was refused; a TLB flush that it was to do may not have been done. */
static void fail_entry(struct svm_vcpu *svm)
{
	svm->vcpu.exit.raw[0] = svm->vmcb->control.exit_code;
	svm->asid_generation = 0;
	this_cpu_write(svm_cpu.next_asid, svm_asids);
}

/* The VMCB's DR6 has what is new; the CPU has it too. A step of our own over an IRET is not for the guest. */
static void detail_debug(struct svm_vcpu *svm)
{
	u64 dr6 = svm->vmcb->save.dr6 & ~(u64)DR6_RESERVED;
	struct vmlet_exit *exit = &svm->vcpu.exit;

	detail_exception(svm);
	svm->vmcb->save.dr6 = DR6_RESERVED;
	svm_dirty(svm, SVM_CLEAN_DR);
	set_debugreg(DR6_RESERVED, 6);
	if (svm->stepping) {
		end_step(svm);
		if (!svm->guest_tf && dr6 == DR_STEP)
			exit->reason = VMLET_EXIT_NMI_WINDOW;
		if (!svm->guest_tf)
			dr6 &= ~(u64)DR_STEP;
	}
	exit->exception.dr6 = dr6;
}

/* With decode assists the register is named, except for LMSW, SMSW and CLTS. */
static void detail_cr(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;

	exit->cr.valid = svm_decode_assists && (control->exit_info_1 >> 63) && exit->insn_len;
	exit->cr.nr = control->exit_code == SVM_EXIT_CR0_SEL_WRITE ? 0 : control->exit_code & 0xf;
	exit->cr.gpr = control->exit_info_1 & SVM_EXITINFO_REG_MASK;
}

static void detail_dr(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;

	exit->cr.valid = svm_decode_assists && exit->insn_len;
	exit->cr.nr = control->exit_code & 0xf;
	exit->cr.gpr = control->exit_info_1 & SVM_EXITINFO_REG_MASK;
}

static void detail_io(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;
	u32 info = control->exit_info_1;

	if (info & SVM_IOIO_STR_MASK) {
		exit->reason = VMLET_EXIT_IO_STRING;
		return;
	}
	exit->io.in = info & SVM_IOIO_TYPE_MASK;
	exit->io.size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
	exit->io.port = info >> 16;
	/* Told even by CPUs that tell no other length. */
	exit->insn_len = control->exit_info_2 - svm->vmcb->save.rip;
}

static void detail_msr(struct svm_vcpu *svm)
{
	if (svm->vmcb->control.exit_info_1)
		svm->vcpu.exit.reason = VMLET_EXIT_WRMSR;
}

/* The IRET that ends an NMI handler is about to run. NMIs stay blocked until it has. */
static void detail_iret(struct svm_vcpu *svm)
{
	svm_intercept(svm, INTERCEPT_IRET, false);
	svm->await_iret = true;
	svm->iret_rip = svm->vmcb->save.rip;
}

static void detail_nested_fault(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;
	u64 error = control->exit_info_1;

	exit->fault.gpa = control->exit_info_2;
	exit->fault.final = error & BIT_ULL(32);
	exit->fault.access = error & BIT(4) ? VMLET_ACCESS_EXEC :
			     error & BIT(1) ? VMLET_ACCESS_WRITE : VMLET_ACCESS_READ;
}

static void detail_task(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	u32 event = control->exit_int_info, type = event & SVM_EXITINTINFO_TYPE_MASK;
	struct vmlet_exit *exit = &svm->vcpu.exit;
	u64 info = control->exit_info_2;

	exit->task.selector = control->exit_info_1;
	exit->task.source = info & BIT_ULL(SVM_EXITINFOSHIFT_TS_REASON_IRET) ? VMLET_TASK_IRET :
			    info & BIT_ULL(SVM_EXITINFOSHIFT_TS_REASON_JMP) ? VMLET_TASK_JMP :
			    event & SVM_EXITINTINFO_VALID ? VMLET_TASK_GATE : VMLET_TASK_CALL;
	exit->task.is_insn = exit->task.source != VMLET_TASK_GATE || type == SVM_EXITINTINFO_TYPE_SOFT ||
			     (type == SVM_EXITINTINFO_TYPE_EXEPT &&
			      vmlet_exception_soft(event & SVM_EXITINTINFO_VEC_MASK));
	if (svm->vcpu.events.soft)
		exit->insn_len = 1;
}

static const struct row rows[EXIT_TABLE_SIZE] = {
	[SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR8]	= { VMLET_EXIT_CR_READ, false, detail_cr },
	[SVM_EXIT_WRITE_CR0 ... SVM_EXIT_WRITE_CR8]	= { VMLET_EXIT_CR_WRITE, false, detail_cr },
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7]	= { VMLET_EXIT_DR_READ, false, detail_dr },
	[SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7]	= { VMLET_EXIT_DR_WRITE, false, detail_dr },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_DE]		= { VMLET_EXIT_EXCEPTION, false, detail_exception },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_DB]		= { VMLET_EXIT_EXCEPTION, false, detail_debug },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_BP ... SVM_EXIT_EXCP_BASE + X86_TRAP_XF] = { VMLET_EXIT_EXCEPTION, false, detail_exception },
	[SVM_EXIT_INTR]			= { VMLET_EXIT_INTR },
	[SVM_EXIT_NMI]			= { VMLET_EXIT_NMI },
	[SVM_EXIT_INIT]			= { VMLET_EXIT_INIT },
	[SVM_EXIT_VINTR]		= { VMLET_EXIT_INTR_WINDOW },
	[SVM_EXIT_CR0_SEL_WRITE]	= { VMLET_EXIT_CR_WRITE, false, detail_cr },
	[SVM_EXIT_RDPMC]		= { VMLET_EXIT_RDPMC, true },
	[SVM_EXIT_CPUID]		= { VMLET_EXIT_CPUID, true },
	[SVM_EXIT_RSM]			= { VMLET_EXIT_VIRT_INSN, true },
	[SVM_EXIT_IRET]			= { VMLET_EXIT_NMI_WINDOW, false, detail_iret },
	[SVM_EXIT_INVD]			= { VMLET_EXIT_INVD, true },
	[SVM_EXIT_PAUSE]		= { VMLET_EXIT_PAUSE, true },
	[SVM_EXIT_HLT]			= { VMLET_EXIT_HLT, true },
	[SVM_EXIT_INVLPGA]		= { VMLET_EXIT_VIRT_INSN, true },
	[SVM_EXIT_IOIO]			= { VMLET_EXIT_IO, false, detail_io },
	[SVM_EXIT_MSR]			= { VMLET_EXIT_RDMSR, true, detail_msr },
	[SVM_EXIT_TASK_SWITCH]		= { VMLET_EXIT_TASK_SWITCH, false, detail_task },
	[SVM_EXIT_SHUTDOWN]		= { VMLET_EXIT_TRIPLE_FAULT },
	[SVM_EXIT_VMRUN]		= { VMLET_EXIT_VIRT_INSN, true },
	[SVM_EXIT_VMMCALL]		= { VMLET_EXIT_HYPERCALL, true },
	[SVM_EXIT_VMLOAD ... SVM_EXIT_SKINIT] = { VMLET_EXIT_VIRT_INSN, true },
	[SVM_EXIT_RDTSCP]		= { VMLET_EXIT_RDTSCP, true },
	[SVM_EXIT_WBINVD]		= { VMLET_EXIT_WBINVD, true },
	[SVM_EXIT_MONITOR]		= { VMLET_EXIT_MONITOR, true },
	[SVM_EXIT_MWAIT ... SVM_EXIT_MWAIT_COND] = { VMLET_EXIT_MWAIT, true },
	[SVM_EXIT_XSETBV]		= { VMLET_EXIT_XSETBV, true },
	[SVM_EXIT_RDPRU]		= { VMLET_EXIT_VIRT_INSN, true },
};

static const struct row nested_fault_row = { VMLET_EXIT_NESTED_FAULT, false, detail_nested_fault };
static const struct row failed_row = { VMLET_EXIT_FAIL_ENTRY };

/*
 * An event whose delivery the exit cut short. Software interrupts are not delivered again: RIP is still at the
 * instruction, which will raise them again.
 */
static void requeue(struct svm_vcpu *svm)
{
	u32 info = svm->vmcb->control.exit_int_info;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	if (svm->vcpu.events.soft && !svm_nrips)
		vmlet_rip_set(&svm->vcpu, svm->soft_rip);

	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_INTR:
		vmlet_requeue_irq(&svm->vcpu, vector);
		break;
	case SVM_EXITINTINFO_TYPE_NMI:
		vmlet_requeue_nmi(&svm->vcpu);
		break;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		vmlet_requeue_exception(&svm->vcpu, vector, info & SVM_EXITINTINFO_VALID_ERR,
					svm->vmcb->control.exit_int_info_err);
		break;
	}
}

static const struct row *find_row(u32 code)
{
	if (code == SVM_EXIT_NPF)
		return &nested_fault_row;
	if (code < EXIT_TABLE_SIZE)
		return &rows[array_index_nospec(code, EXIT_TABLE_SIZE)];
	return code == (u32)SVM_EXIT_ERR ? &failed_row : &rows[SVM_EXIT_SMI];
}

/* Where the CPU does not tell, the code does, if it is at hand: 64-bit code. 0: vmlet_skip() decodes it the long way. */
static noinline u8 code_len(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_code *code = vmlet_insn_peek(vcpu, vmlet_slots(vcpu->vm));

	return code ? code->insn.len : 0;
}

static __always_inline void decode(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;
	const struct row *row = find_row(control->exit_code);

	exit->reason = row->reason;
	exit->hw_reason = control->exit_code;
	exit->insn_len = 0;
	if (likely(svm_nrips)) {
		if (control->next_rip)
			exit->insn_len = control->next_rip - svm->vmcb->save.rip;
	} else if (row->insn) {
		exit->insn_len = code_len(&svm->vcpu);
	}
	if (unlikely(control->exit_int_info & SVM_EXITINTINFO_VALID))
		requeue(svm);
	if (unlikely(svm->await_iret) && svm->vmcb->save.rip != svm->iret_rip) {
		svm->await_iret = false;
		svm->vcpu.nmi_masked = false;
	}
	if (row->detail)
		INDIRECT_CALL_2(row->detail, detail_msr, detail_io, svm);
	else if (row->reason == VMLET_EXIT_FAIL_ENTRY)
		fail_entry(svm);
	if (unlikely(svm->stepping) && row->detail != detail_debug)
		end_step(svm);
}

/* Before: cached groups into the VMCB. After: what every exit needs back out of it. */
static __always_inline void enter(struct vmlet_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	if (vcpu->dirty)
		svm_flush(vcpu);
	if (vmcb->save.cr2 != vcpu->cr2) {
		vmcb->save.cr2 = vcpu->cr2;
		svm_dirty(svm, SVM_CLEAN_CR2);
	}
	vmcb->save.rax = vcpu->regs[VMLET_RAX];
	if (unlikely(svm->spec_ctrl))
		svm_enter_spec(vcpu->regs, svm->vmcb_pa, svm->host_state_pa, svm->spec_ctrl, svm->host_spec_ctrl);
	else
		svm_enter(vcpu->regs, svm->vmcb_pa, svm->host_state_pa);
	vcpu->regs[VMLET_RAX] = vmcb->save.rax;
	vcpu->cr2 = vmcb->save.cr2;
	vcpu->avail = SVM_G_STABLE;
	vmcb->control.clean = SVM_CLEAN_ALL;
	vmcb->control.event_inj = 0;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	decode(svm);
}

/* In the VMCB at once, unless it is not up to date or something follows the instruction. */
static __always_inline void skip(struct vmlet_vcpu *vcpu)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	u64 rip = vmcb->save.rip + vcpu->exit.insn_len;

	if (likely(!(vcpu->dirty & VMLET_G_SKIP) && !(vmcb->save.rflags & (X86_EFLAGS_TF | X86_EFLAGS_RF)) &&
		   !(vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK) && !((rip ^ vmcb->save.rip) >> 32))) {
		vmcb->save.rip = rip;
		vcpu->avail &= ~VMLET_G_RIP;
		return;
	}
	if (VMLET_G_SKIP & ~vcpu->avail)
		svm_fetch(vcpu, VMLET_G_SKIP & ~vcpu->avail);
	vmlet_advance(vcpu, vcpu->exit.insn_len);
}

int svm_run(struct vmlet_vcpu *vcpu)
{
	/* A reboot switches AMD-V off under our feet, but not while interrupts are off. */
	if (unlikely(!this_cpu_read(svm_cpu.ours)))
		return -EIO;
	/* For the VMLOAD behind each exit. Interrupts that change the LDT must not come in between. */
	asm volatile("vmsave %0" : : "a" (to_svm(vcpu)->host_state_pa) : "memory");
	return vmlet_loop(vcpu, enter, skip, svm_flush_tlb);
}
