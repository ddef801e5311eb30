// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: exits by their names
 *
 * The hardware's exit reason indexes a table: the vendor-neutral reason, and what else the report holds.
 */
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#include "../../host/host.h"
#include "../../run/run.h"
#include "vmx.h"

const struct vmx_reason vmx_reasons[VMX_REASONS] = {
	[EXIT_REASON_EXCEPTION_NMI]	= { VMLET_EXIT_EXCEPTION,	VMX_EXCEPTION },
	[EXIT_REASON_EXTERNAL_INTERRUPT] = { VMLET_EXIT_INTR,		VMX_PLAIN },
	[EXIT_REASON_TRIPLE_FAULT]	= { VMLET_EXIT_TRIPLE_FAULT,	VMX_PLAIN },
	[EXIT_REASON_INIT_SIGNAL]	= { VMLET_EXIT_INIT,		VMX_PLAIN },
	[EXIT_REASON_INTERRUPT_WINDOW]	= { VMLET_EXIT_INTR_WINDOW,	VMX_PLAIN },
	[EXIT_REASON_NMI_WINDOW]	= { VMLET_EXIT_NMI_WINDOW,	VMX_PLAIN },
	[EXIT_REASON_TASK_SWITCH]	= { VMLET_EXIT_TASK_SWITCH,	VMX_TASK },
	[EXIT_REASON_CPUID]		= { VMLET_EXIT_CPUID,		VMX_INSN },
	[11 /* GETSEC */]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_HLT]		= { VMLET_EXIT_HLT,		VMX_INSN },
	[EXIT_REASON_INVD]		= { VMLET_EXIT_INVD,		VMX_INSN },
	[EXIT_REASON_RDPMC]		= { VMLET_EXIT_RDPMC,		VMX_INSN },
	[EXIT_REASON_RDTSC]		= { VMLET_EXIT_RDTSC,		VMX_INSN },
	[EXIT_REASON_VMCALL]		= { VMLET_EXIT_HYPERCALL,	VMX_INSN },
	[EXIT_REASON_VMCLEAR]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMLAUNCH]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMPTRLD]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMPTRST]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMREAD]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMRESUME]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMWRITE]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMOFF]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_VMON]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_CR_ACCESS]		= { VMLET_EXIT_CR_WRITE,	VMX_CR },
	[EXIT_REASON_DR_ACCESS]		= { VMLET_EXIT_DR_WRITE,	VMX_DR },
	[EXIT_REASON_IO_INSTRUCTION]	= { VMLET_EXIT_IO,		VMX_IO },
	[EXIT_REASON_MSR_READ]		= { VMLET_EXIT_RDMSR,		VMX_INSN },
	[EXIT_REASON_MSR_WRITE]		= { VMLET_EXIT_WRMSR,		VMX_INSN },
	[EXIT_REASON_MWAIT_INSTRUCTION]	= { VMLET_EXIT_MWAIT,		VMX_INSN },
	[EXIT_REASON_MONITOR_INSTRUCTION] = { VMLET_EXIT_MONITOR,	VMX_INSN },
	[EXIT_REASON_PAUSE_INSTRUCTION]	= { VMLET_EXIT_PAUSE,		VMX_INSN },
	[EXIT_REASON_EPT_VIOLATION]	= { VMLET_EXIT_NESTED_FAULT,	VMX_EPT },
	[EXIT_REASON_INVEPT]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_INVVPID]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_WBINVD]		= { VMLET_EXIT_WBINVD,		VMX_INSN },
	[EXIT_REASON_XSETBV]		= { VMLET_EXIT_XSETBV,		VMX_INSN },
	[EXIT_REASON_VMFUNC]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
	[EXIT_REASON_ENCLS]		= { VMLET_EXIT_VIRT_INSN,	VMX_INSN },
};

/* IRET had unblocked NMIs before it faulted: it will be executed again, so they are still blocked. */
static void reblock_nmi(void)
{
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, vmx_read(GUEST_INTERRUPTIBILITY_INFO) | GUEST_INTR_STATE_NMI);
}

static noinline void requeue(struct vmlet_vcpu *vcpu, u32 info)
{
	u8 vector = info & VECTORING_INFO_VECTOR_MASK;
	bool has_error = info & VECTORING_INFO_DELIVER_CODE_MASK;

	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_EXT_INTR:
		vmlet_requeue_irq(vcpu, vector);
		break;
	case INTR_TYPE_NMI_INTR:
		/* Delivery blocks NMIs; it has not happened yet. */
		vmlet_touch(vcpu, VMLET_G_SHADOW);
		vcpu->nmi_masked = false;
		vmlet_requeue_nmi(vcpu);
		break;
	case INTR_TYPE_SOFT_EXCEPTION:
	case INTR_TYPE_HARD_EXCEPTION:
		vmlet_requeue_exception(vcpu, vector, has_error,
					has_error ? vmx_read(IDT_VECTORING_ERROR_CODE) : 0);
	}
}

/*
 * An event whose delivery the exit cut short is delivered again. Software interrupts and INT1 are not: RIP is still at the
 * instruction, which will be executed again. True: there was one.
 */
static __always_inline bool requeue_event(struct vmlet_vcpu *vcpu)
{
	u32 info = vmx_read(IDT_VECTORING_INFO_FIELD);

	if (likely(!(info & VECTORING_INFO_VALID_MASK)))
		return false;
	requeue(vcpu, info);
	return true;
}

/* INT1 exits as a fault but is a trap: step over it. */
static void step_over_int1(struct vmlet_vcpu *vcpu)
{
	vmlet_skip_len(vcpu, vmx_read(VM_EXIT_INSTRUCTION_LEN));
}

/* Not inline: other exits are not to save registers for it. */
static noinline void decode_exception(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	u32 info = vmx_read(VM_EXIT_INTR_INFO);
	u8 vector = info & INTR_INFO_VECTOR_MASK;
	bool again = requeue_event(vcpu);

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR) {
		exit->reason = VMLET_EXIT_NMI;
		return;
	}
	if (vector == X86_TRAP_MC) {
		exit->reason = VMLET_EXIT_MCE;
		return;
	}
	if ((info & INTR_INFO_UNBLOCK_NMI) && !again && vector != X86_TRAP_DF)
		reblock_nmi();
	exit->exception.vector = vector;
	exit->exception.has_error = info & INTR_INFO_DELIVER_CODE_MASK;
	exit->exception.error = exit->exception.has_error ? vmx_read(VM_EXIT_INTR_ERROR_CODE) : 0;
	exit->exception.dr6 = 0;
	if (vector != X86_TRAP_DB)
		return;
	exit->exception.dr6 = vmx_read(EXIT_QUALIFICATION) & (DR_TRAP_BITS | DR_STEP | BIT(13));
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION) {
		step_over_int1(vcpu);
		return;
	}
	/* Delivered in an interrupt shadow, entry wants a single step to be pending too; flush_shadow() says so. */
	vmlet_need(vcpu, VMLET_G_SHADOW);
	if (vcpu->int_shadow)
		vcpu->dirty |= VMLET_G_SHADOW;
}

static void decode_cr(struct vmlet_vcpu *vcpu)
{
	static const u8 kinds[] = { VMLET_EXIT_CR_WRITE, VMLET_EXIT_CR_READ, VMLET_EXIT_CLTS, VMLET_EXIT_LMSW };
	u64 qual = vmx_read(EXIT_QUALIFICATION);
	struct vmlet_exit *exit = &vcpu->exit;

	exit->reason = kinds[(qual >> 4) & 3];
	exit->cr.nr = qual & 15;
	exit->cr.gpr = (qual >> 8) & 15;
	exit->cr.value = qual >> 16;
	exit->cr.valid = true;
}

static void decode_dr(struct vmlet_vcpu *vcpu)
{
	u64 qual = vmx_read(EXIT_QUALIFICATION);
	struct vmlet_exit *exit = &vcpu->exit;

	exit->reason = qual & DEBUG_REG_ACCESS_TYPE ? VMLET_EXIT_DR_READ : VMLET_EXIT_DR_WRITE;
	exit->cr.nr = qual & DEBUG_REG_ACCESS_NUM;
	exit->cr.gpr = DEBUG_REG_ACCESS_REG(qual);
	exit->cr.valid = true;
}

static void decode_io(struct vmlet_vcpu *vcpu)
{
	u64 qual = vmx_read(EXIT_QUALIFICATION);
	struct vmlet_exit *exit = &vcpu->exit;

	if (qual & BIT(4))
		exit->reason = VMLET_EXIT_IO_STRING;
	exit->io.port = qual >> 16;
	exit->io.size = (qual & 7) + 1;
	exit->io.in = qual & BIT(3);
}

void vmx_decode_ept(struct vmlet_vcpu *vcpu)
{
	u64 qual = vmx_read(EXIT_QUALIFICATION);
	struct vmlet_exit *exit = &vcpu->exit;

	exit->reason = VMLET_EXIT_NESTED_FAULT;
	exit->insn_len = 0;
	exit->fault.gpa = vmx_read(GUEST_PHYSICAL_ADDRESS);
	exit->fault.access = (qual & EPT_VIOLATION_ACC_READ ? VMLET_ACCESS_READ : 0) |
			     (qual & EPT_VIOLATION_ACC_WRITE ? VMLET_ACCESS_WRITE : 0) |
			     (qual & EPT_VIOLATION_ACC_INSTR ? VMLET_ACCESS_EXEC : 0);
	exit->fault.final = (qual & EPT_VIOLATION_GVA_IS_VALID) && (qual & EPT_VIOLATION_GVA_TRANSLATED);
	if (!requeue_event(vcpu) && (qual & INTR_INFO_UNBLOCK_NMI))
		reblock_nmi();
}

static void decode_task(struct vmlet_vcpu *vcpu)
{
	u32 info = vmx_read(IDT_VECTORING_INFO_FIELD) & VECTORING_INFO_TYPE_MASK;
	u64 qual = vmx_read(EXIT_QUALIFICATION);
	struct vmlet_exit *exit = &vcpu->exit;

	exit->task.selector = qual;
	exit->task.source = qual >> 30 & 3;
	exit->task.is_insn = !requeue_event(vcpu) || info >= INTR_TYPE_SOFT_INTR;
	if (exit->task.is_insn)
		exit->insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
}

static void decode_raw(struct vmlet_vcpu *vcpu)
{
	vcpu->exit.raw[0] = vcpu->exit.hw_reason;
	vcpu->exit.raw[1] = vmx_read(EXIT_QUALIFICATION);
}

static void decode_report(struct vmlet_vcpu *vcpu, enum vmx_report report)
{
	struct vmlet_exit *exit = &vcpu->exit;

	exit->insn_len = 0;
	switch (report) {
	case VMX_INSN:
		exit->insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
		break;
	case VMX_EXCEPTION:
		decode_exception(vcpu);
		break;
	case VMX_IO:
		exit->insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
		decode_io(vcpu);
		break;
	case VMX_CR:
		exit->insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
		decode_cr(vcpu);
		break;
	case VMX_DR:
		exit->insn_len = vmx_read(VM_EXIT_INSTRUCTION_LEN);
		decode_dr(vcpu);
		break;
	case VMX_TASK:
		decode_task(vcpu);
		break;
	case VMX_RAW:
		decode_raw(vcpu);
		break;
	default:
		break;
	}
}

/* The entry failed while guest state was loaded, or a machine check came in its way. */
static void decode_failed_entry(struct vmlet_vcpu *vcpu)
{
	vcpu->exit.insn_len = 0;
	vcpu->exit.reason = (u16)vcpu->exit.hw_reason == EXIT_REASON_MCE_DURING_VMENTRY ?
			    VMLET_EXIT_MCE : VMLET_EXIT_FAIL_ENTRY;
	decode_raw(vcpu);
	/* Only an exit takes back what was to be injected. */
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/*
 * The host's NMIs and machine checks, before anything else. After an NMI exit NMIs are blocked as they are during
 * their delivery, until an IRET: INT 2 enters the host's handler just so, by its gate and on its stack, and its IRET
 * unblocks them. Nothing in between executes an IRET, so no second NMI comes upon the first. The host's state is
 * what it is anywhere in the kernel.
 */
static __always_inline void host_event(u32 reason)
{
	u32 info;

	if (reason == (EXIT_REASON_MCE_DURING_VMENTRY | VMX_EXIT_REASONS_FAILED_VMENTRY))
		vmlet_host_machine_check();
	if (reason != EXIT_REASON_EXCEPTION_NMI)
		return;
	info = vmx_read(VM_EXIT_INTR_INFO);
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		asm volatile("int $2" : : : "memory");
	else if ((info & INTR_INFO_VECTOR_MASK) == X86_TRAP_MC)
		vmlet_host_machine_check();
}

/* Exits that are neither an instruction and its length nor an EPT violation; not traced, as a tracer's trap would unblock NMIs. */
notrace void vmx_decode(struct vmx_vcpu *vmx, u32 reason)
{
	struct vmlet_vcpu *vcpu = &vmx->vcpu;

	host_event(reason);
	if (unlikely(reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		decode_failed_entry(vcpu);
		return;
	}
	vmx->launched = true;
	reason = (u16)reason;
	if (unlikely(reason >= VMX_REASONS))
		reason = EXIT_REASON_INVLPG;	/* a row that is empty */
	vcpu->exit.reason = vmx_reasons[reason].reason;
	decode_report(vcpu, vmx_reasons[reason].report);
}

/* The entry failed before any guest state was loaded: the vCPU is as it was. */
void vmx_decode_failure(struct vmx_vcpu *vmx)
{
	struct vmlet_exit *exit = &vmx->vcpu.exit;

	exit->reason = VMLET_EXIT_FAIL_ENTRY;
	exit->insn_len = 0;
	exit->hw_reason = vmx_read(VM_INSTRUCTION_ERROR);
	exit->raw[0] = exit->hw_reason;
	exit->raw[1] = 0;
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}
