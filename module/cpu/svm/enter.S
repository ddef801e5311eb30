/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMRUN. It switches RAX, RSP, RIP, RFLAGS, the control registers and some segments by itself; VMLOAD and VMSAVE
 * switch FS, GS, TR, LDTR and the system call MSRs; the other general registers are moved here.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>

#include "../../host/entry.h"
#include "../enter.h"

.section .noinstr.text, "ax"

/* EDX is zero: all bits that there are, are in EAX. */
.macro WRITE_SPEC_CTRL value:req
	mov	\value, %rax
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	xor	%edx, %edx
	wrmsr
.endm

/*
 * regs %rdi, vmcb_pa %rsi, host_state_pa %rdx, and if @spec guest's and host's SPEC_CTRL %rcx, %r8: of most guests they
 * are the same, and their path has no test for it.
 */
.macro ENTER spec=0
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	.if \spec
	push	%r8
	.endif
	push	%rdi
	push	%rdx
	.if \spec
	WRITE_SPEC_CTRL %rcx
	.endif
	mov	%rsi, %rax

	VMLET_LOAD_REGS

	/* With GIF clear nothing is taken; IF must be set for host interrupts to end the guest's run. */
	clgi
	sti
	vmload	%rax
	VMLET_CLEAR_BUFFERS
	vmrun	%rax
	vmsave	%rax
	pop	%rax
	vmload	%rax
	cli
	stgi

	pop	%rax
	VMLET_STORE_REGS
	VMLET_CLEAR_REGS
	xor	%eax, %eax
	xor	%ebx, %ebx
	.if \spec
	pop	%rbx
	WRITE_SPEC_CTRL %rbx
	.endif
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	VMLET_UNTRAIN_RET

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
.endm

SYM_FUNC_START(svm_enter)
	ENTER
SYM_FUNC_END(svm_enter)

SYM_FUNC_START(svm_enter_spec)
	ENTER spec=1
SYM_FUNC_END(svm_enter_spec)
