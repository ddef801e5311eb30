/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the general registers around an entry, for both vendors' assembly
 *
 * regs[] is in the order in which instructions encode registers. RSP is in the VMCS or the VMCB; RAX is the vendor's own.
 */
#ifndef VMLET_CPU_ENTER_H
#define VMLET_CPU_ENTER_H

#define VMLET_REG(n)	((n) * 8)

/* The guest's, from where RDI points. */
.macro VMLET_LOAD_REGS
	mov	VMLET_REG(1)(%rdi), %rcx
	mov	VMLET_REG(2)(%rdi), %rdx
	mov	VMLET_REG(3)(%rdi), %rbx
	mov	VMLET_REG(5)(%rdi), %rbp
	mov	VMLET_REG(6)(%rdi), %rsi
	.irp	n, 8, 9, 10, 11, 12, 13, 14, 15
	mov	VMLET_REG(\n)(%rdi), %r\n
	.endr
	mov	VMLET_REG(7)(%rdi), %rdi
.endm

/* To where RAX points. */
.macro VMLET_STORE_REGS
	mov	%rcx, VMLET_REG(1)(%rax)
	mov	%rdx, VMLET_REG(2)(%rax)
	mov	%rbx, VMLET_REG(3)(%rax)
	mov	%rbp, VMLET_REG(5)(%rax)
	mov	%rsi, VMLET_REG(6)(%rax)
	mov	%rdi, VMLET_REG(7)(%rax)
	.irp	n, 8, 9, 10, 11, 12, 13, 14, 15
	mov	%r\n, VMLET_REG(\n)(%rax)
	.endr
.endm

/* No value of the guest's may steer speculation of the host's. RAX and RBX are the vendor's to clear. */
.macro VMLET_CLEAR_REGS
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	.irp	reg, r8d, r9d, r10d, r11d, r12d, r13d, r14d, r15d
	xor	%\reg, %\reg
	.endr
.endm

#endif
