/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMRUN. It switches RAX, RSP, RIP, RFLAGS, the control registers and some segments by itself; VMLOAD and VMSAVE
 * switch FS, GS, TR, LDTR and the system call MSRs; the other general registers are moved here.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>

#include "../../host/entry.h"

#define R(n) ((n) * 8)

.section .noinstr.text, "ax"

/* void svm_enter(u64 *regs %rdi, hpa_t vmcb_pa %rsi, hpa_t host_state_pa %rdx) */
SYM_FUNC_START(svm_enter)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi
	push	%rdx
	mov	%rsi, %rax

	mov	R(1)(%rdi), %rcx
	mov	R(2)(%rdi), %rdx
	mov	R(3)(%rdi), %rbx
	mov	R(5)(%rdi), %rbp
	mov	R(6)(%rdi), %rsi
	mov	R(8)(%rdi), %r8
	mov	R(9)(%rdi), %r9
	mov	R(10)(%rdi), %r10
	mov	R(11)(%rdi), %r11
	mov	R(12)(%rdi), %r12
	mov	R(13)(%rdi), %r13
	mov	R(14)(%rdi), %r14
	mov	R(15)(%rdi), %r15
	mov	R(7)(%rdi), %rdi

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
	mov	%rcx, R(1)(%rax)
	mov	%rdx, R(2)(%rax)
	mov	%rbx, R(3)(%rax)
	mov	%rbp, R(5)(%rax)
	mov	%rsi, R(6)(%rax)
	mov	%rdi, R(7)(%rax)
	mov	%r8, R(8)(%rax)
	mov	%r9, R(9)(%rax)
	mov	%r10, R(10)(%rax)
	mov	%r11, R(11)(%rax)
	mov	%r12, R(12)(%rax)
	mov	%r13, R(13)(%rax)
	mov	%r14, R(14)(%rax)
	mov	%r15, R(15)(%rax)

	/* No value of the guest's may steer speculation from here on. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	VMLET_UNTRAIN_RET

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_enter)
