/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: into the guest and out of it
 *
 * The processor switches RIP, RSP, RFLAGS, segments and control registers; the other general registers are
 * switched here.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/percpu.h>

#include "../../host/entry.h"
#include "../enter.h"

#define HOST_RSP	0x6c14		/* <asm/vmx.h> has it in an enum */

	.text

/* bool vmx_enter_guest(u64 *regs, unsigned long *host_rsp, bool launched) */
SYM_FUNC_START(vmx_enter_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi			/* on top when the guest exits */

	cmp	%rsp, (%rsi)
	je	.Lrsp_known
	mov	%rsp, (%rsi)
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
.Lrsp_known:
	/* VERW below spoils ZF, so keep the answer in CF. */
	bt	$0, %edx

	mov	VMLET_REG(0)(%rdi), %rax
	VMLET_LOAD_REGS

	CLEAR_CPU_BUFFERS
	jnc	.Llaunch
	vmresume
	jmp	vmx_exit_point
.Llaunch:
	vmlaunch

/*
 * HOST_RIP, and where an entry that failed falls through to. An exit clears RFLAGS, a failed entry sets CF or ZF: nothing
 * up to SETBE may touch them. After a failed entry registers are stored as they were loaded.
 */
SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	VMLET_STORE_REGS
	pop	VMLET_REG(0)(%rax)
	setbe	%bl
	movzbl	%bl, %ebx

	VMLET_CLEAR_REGS

	/* All of this before the first RET, which the guest may have trained. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE

	/* Legacy IBRS protects only after it is written anew in the more privileged mode. */
	ALTERNATIVE "jmp .Lno_ibrs", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	movq	PER_CPU_VAR(x86_spec_ctrl_current), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lno_ibrs:
	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%ebx, %eax
	pop	%rdi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(vmx_enter_guest)

	.section .note.GNU-stack, "", @progbits
