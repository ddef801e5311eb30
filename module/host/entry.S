/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what the kernel's own macros refer to, where the kernel exports it to KVM's modules alone
 *
 * Under the kernel's names, so that the macros are used as they are.
 */
#include <linux/linkage.h>
#include <asm/msr-index.h>
#include <asm/segment.h>

#include "entry.h"

#ifndef VMLET_HAVE_VERW_SEL
	.section .rodata
	.balign 2
SYM_DATA(x86_verw_sel, .word __KERNEL_DS)
#endif

#if defined(VMLET_HAVE_CALLED_IBPB) && !defined(VMLET_HAVE_WRITE_IBPB)
	.section .noinstr.text, "ax"

/* Spoils RAX, RCX and RDX, as its callers know. */
SYM_FUNC_START(write_ibpb)
	mov	$MSR_IA32_PRED_CMD, %ecx
	mov	$PRED_CMD_IBPB, %eax
	xor	%edx, %edx
	wrmsr
	/* Some CPUs keep predictions of returns over this. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_BUG_IBPB_NO_RET
	RET
SYM_FUNC_END(write_ibpb)
#endif

	.section .note.GNU-stack, "", @progbits
