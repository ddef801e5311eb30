/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: mitigations around the entry into a guest, in assembly, as the kernel has them
 */
#ifndef VMLET_HOST_ENTRY_H
#define VMLET_HOST_ENTRY_H

#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

/*
 * Before a guest: what the host left in the CPU's buffers goes. Where kernels have a flag for guests of its own, it is set
 * for AMD's CPUs alone; on Intel's CLEAR_CPU_BUFFERS, which is for user code, stands for both.
 */
#ifdef VM_CLEAR_CPU_BUFFERS
#define VMLET_CLEAR_BUFFERS	VM_CLEAR_CPU_BUFFERS
#elif defined(X86_FEATURE_CLEAR_CPU_BUF_VM)
#define VMLET_CLEAR_BUFFERS	ALTERNATIVE "", __CLEAR_CPU_BUFFERS, X86_FEATURE_CLEAR_CPU_BUF_VM
#else
#define VMLET_CLEAR_BUFFERS	CLEAR_CPU_BUFFERS
#endif

/* Behind a guest, before the first return: what it taught the predictor of returns goes. */
#ifdef UNTRAIN_RET_VM
#define VMLET_UNTRAIN_RET	UNTRAIN_RET_VM
#else
#define VMLET_UNTRAIN_RET	UNTRAIN_RET
#endif

#endif
