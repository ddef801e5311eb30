// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: into the guest, and from VMCB exit codes to struct vmlet_exit
 */
#include <linux/nospec.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../../host/host.h"
#include "../../run/loop.h"
#include "svm.h"

#define EXIT_TABLE_SIZE	(SVM_EXIT_RDPRU + 1)

/**
 * struct row - an exit code
 * @reason:	VMLET_EXIT_*; 0 is VMLET_EXIT_UNKNOWN
 * @len:	instruction length where the CPU does not tell: without prefixes. 0: ask the decoder
 * @detail:	fill in the operands, or change the reason
 */
struct row {
	u8 reason;
	u8 len;
	void (*detail)(struct svm_vcpu *svm);
};

static void detail_exception(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;

	exit->exception.vector = control->exit_code - SVM_EXIT_EXCP_BASE;
	exit->exception.has_error = exit->exception.vector == X86_TRAP_AC;
	exit->exception.error = control->exit_info_1;
	exit->exception.dr6 = 0;
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

/* The VMCB's DR6 has what the guest is to see. A step of our own over an IRET is not for the guest. */
static void detail_debug(struct svm_vcpu *svm)
{
	struct vmlet_vcpu *vcpu = &svm->vcpu;

	detail_exception(svm);
	vcpu->exit.exception.dr6 = svm->vmcb->save.dr6 & ~(u64)DR6_RESERVED;
	if (!svm->stepping)
		return;
	end_step(svm);
	if (!svm->guest_tf && (svm->vmcb->save.dr6 & (DR_STEP | DR_TRAP_BITS)) == DR_STEP) {
		vmlet_touch(vcpu, VMLET_G_DR);
		vcpu->dr6 &= ~(u64)DR_STEP;
		vcpu->exit.reason = VMLET_EXIT_NMI_WINDOW;
	}
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

static const struct row rows[EXIT_TABLE_SIZE] = {
	[SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR8]	= { VMLET_EXIT_CR_READ, 0, detail_cr },
	[SVM_EXIT_WRITE_CR0 ... SVM_EXIT_WRITE_CR8]	= { VMLET_EXIT_CR_WRITE, 0, detail_cr },
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7]	= { VMLET_EXIT_DR_READ, 0, detail_dr },
	[SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7]	= { VMLET_EXIT_DR_WRITE, 0, detail_dr },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_DB]		= { VMLET_EXIT_EXCEPTION, 0, detail_debug },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_AC]		= { VMLET_EXIT_EXCEPTION, 0, detail_exception },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_MC]		= { VMLET_EXIT_EXCEPTION, 0, detail_exception },
	[SVM_EXIT_INTR]			= { VMLET_EXIT_INTR },
	[SVM_EXIT_NMI]			= { VMLET_EXIT_NMI },
	[SVM_EXIT_INIT]			= { VMLET_EXIT_INIT },
	[SVM_EXIT_VINTR]		= { VMLET_EXIT_INTR_WINDOW },
	[SVM_EXIT_CR0_SEL_WRITE]	= { VMLET_EXIT_CR_WRITE, 0, detail_cr },
	[SVM_EXIT_RDPMC]		= { VMLET_EXIT_RDPMC, 2 },
	[SVM_EXIT_CPUID]		= { VMLET_EXIT_CPUID, 2 },
	[SVM_EXIT_RSM]			= { VMLET_EXIT_VIRT_INSN, 2 },
	[SVM_EXIT_IRET]			= { VMLET_EXIT_NMI_WINDOW, 0, detail_iret },
	[SVM_EXIT_INVD]			= { VMLET_EXIT_INVD, 2 },
	[SVM_EXIT_HLT]			= { VMLET_EXIT_HLT, 1 },
	[SVM_EXIT_INVLPGA]		= { VMLET_EXIT_VIRT_INSN, 3 },
	[SVM_EXIT_IOIO]			= { VMLET_EXIT_IO, 0, detail_io },
	[SVM_EXIT_MSR]			= { VMLET_EXIT_RDMSR, 2, detail_msr },
	[SVM_EXIT_TASK_SWITCH]		= { VMLET_EXIT_TASK_SWITCH },
	[SVM_EXIT_SHUTDOWN]		= { VMLET_EXIT_TRIPLE_FAULT },
	[SVM_EXIT_VMRUN]		= { VMLET_EXIT_VIRT_INSN, 3 },
	[SVM_EXIT_VMMCALL]		= { VMLET_EXIT_HYPERCALL, 3 },
	[SVM_EXIT_VMLOAD ... SVM_EXIT_SKINIT] = { VMLET_EXIT_VIRT_INSN, 3 },
	[SVM_EXIT_RDTSCP]		= { VMLET_EXIT_RDTSCP, 3 },
	[SVM_EXIT_WBINVD]		= { VMLET_EXIT_WBINVD, 2 },
	[SVM_EXIT_MONITOR]		= { VMLET_EXIT_MONITOR, 3 },
	[SVM_EXIT_MWAIT ... SVM_EXIT_MWAIT_COND] = { VMLET_EXIT_MWAIT, 3 },
	[SVM_EXIT_XSETBV]		= { VMLET_EXIT_XSETBV, 3 },
	[SVM_EXIT_RDPRU]		= { VMLET_EXIT_VIRT_INSN, 3 },
};

static const struct row nested_fault_row = { VMLET_EXIT_NESTED_FAULT, 0, detail_nested_fault };
static const struct row failed_row = { VMLET_EXIT_FAIL_ENTRY };

/*
 * An event whose delivery the exit cut short. Software interrupts and breakpoints are not delivered again: RIP is
 * still at the instruction, which will raise them again.
 */
static void requeue(struct svm_vcpu *svm)
{
	u32 info = svm->vmcb->control.exit_int_info;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_INTR:
		vmlet_requeue_irq(&svm->vcpu, vector);
		break;
	case SVM_EXITINTINFO_TYPE_NMI:
		vmlet_requeue_nmi(&svm->vcpu);
		break;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		if (vector != X86_TRAP_BP && vector != X86_TRAP_OF)
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

static __always_inline void decode(struct svm_vcpu *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct vmlet_exit *exit = &svm->vcpu.exit;
	const struct row *row = find_row(control->exit_code);

	exit->reason = row->reason;
	exit->hw_reason = control->exit_code;
	exit->insn_len = row->len;
	if (svm_nrips && control->next_rip)
		exit->insn_len = control->next_rip - svm->vmcb->save.rip;
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
	svm_enter(vcpu->regs, svm->vmcb_pa, svm->host_state_pa);
	vcpu->regs[VMLET_RAX] = vmcb->save.rax;
	vcpu->cr2 = vmcb->save.cr2;
	vcpu->avail = VMLET_G_CR8 | VMLET_G_TSC;
	vmcb->control.clean = SVM_CLEAN_ALL;
	vmcb->control.event_inj = 0;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	decode(svm);
}

/* In the VMCB at once, unless the groups are cached or something follows the instruction. */
static __always_inline void skip(struct vmlet_vcpu *vcpu)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	u64 rip = vmcb->save.rip + vcpu->exit.insn_len;
	u32 missing = VMLET_G_SKIP & ~vcpu->avail;

	if (likely(missing == VMLET_G_SKIP && !(vmcb->save.rflags & X86_EFLAGS_TF) &&
		   !(vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK) && !((rip ^ vmcb->save.rip) >> 32))) {
		vmcb->save.rip = rip;
		return;
	}
	if (missing)
		svm_fetch(vcpu, missing);
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
