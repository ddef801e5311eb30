// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the exit table
 *
 * Where each exit goes. Rows that are not listed, and hardware reasons that the decoders do not know, stop the VM
 * with a report.
 */
#include "../mem/mem.h"
#include "../run/run.h"
#include "exit.h"
#include "misc.h"

const struct vmlet_exit_handler vmlet_exit_table[VMLET_EXIT_COUNT] = {
	[0 ... VMLET_EXIT_COUNT - 1]	= { .slow = vmlet_exit_unknown },
	[VMLET_EXIT_FAIL_ENTRY]		= { .slow = vmlet_exit_fail_entry },
	/* Interrupts and machine checks are taken when the outer loop switches interrupts on; NMIs have been. */
	[VMLET_EXIT_INTR]		= { .slow = vmlet_exit_resume },
	[VMLET_EXIT_NMI]		= { .fast = vmlet_exit_resume, .slow = vmlet_exit_resume },
	[VMLET_EXIT_MCE]		= { .slow = vmlet_exit_resume },
	[VMLET_EXIT_INIT]		= { .slow = vmlet_exit_resume },
	[VMLET_EXIT_EXCEPTION]		= { .slow = vmlet_exit_exception },
	[VMLET_EXIT_INTR_WINDOW]	= { vmlet_exit_intr_window_fast, vmlet_exit_resume },
	[VMLET_EXIT_NMI_WINDOW]		= { .slow = vmlet_exit_nmi_window },
	[VMLET_EXIT_TRIPLE_FAULT]	= { .slow = vmlet_exit_triple_fault },
	[VMLET_EXIT_TASK_SWITCH]	= { .slow = vmlet_exit_task_switch },
	[VMLET_EXIT_CPUID]		= { vmlet_exit_cpuid,		vmlet_exit_cpuid },
	[VMLET_EXIT_HLT]		= { .slow = vmlet_exit_hlt },
	[VMLET_EXIT_INVD]		= { vmlet_exit_nop,		vmlet_exit_nop },
	[VMLET_EXIT_WBINVD]		= { vmlet_exit_nop,		vmlet_exit_nop },
	[VMLET_EXIT_RDPMC]		= { vmlet_exit_gp,		vmlet_exit_gp },
	[VMLET_EXIT_RDTSC]		= { vmlet_exit_rdtsc,		vmlet_exit_rdtsc },
	[VMLET_EXIT_RDTSCP]		= { vmlet_exit_ud,		vmlet_exit_ud },
	[VMLET_EXIT_HYPERCALL]		= { vmlet_exit_hypercall,	vmlet_exit_hypercall },
	[VMLET_EXIT_CR_READ]		= { vmlet_exit_cr_fast,		vmlet_exit_cr },
	[VMLET_EXIT_CR_WRITE]		= { vmlet_exit_cr_fast,		vmlet_exit_cr },
	[VMLET_EXIT_CLTS]		= { .slow = vmlet_exit_cr },
	[VMLET_EXIT_LMSW]		= { .slow = vmlet_exit_cr },
	[VMLET_EXIT_DR_READ]		= { .slow = vmlet_exit_dr },
	[VMLET_EXIT_DR_WRITE]		= { .slow = vmlet_exit_dr },
	[VMLET_EXIT_IO]			= { vmlet_exit_io_fast,		vmlet_exit_io },
	[VMLET_EXIT_IO_STRING]		= { .slow = vmlet_exit_io_string },
	[VMLET_EXIT_RDMSR]		= { vmlet_exit_rdmsr,		vmlet_exit_rdmsr },
	[VMLET_EXIT_WRMSR]		= { vmlet_exit_wrmsr,		vmlet_exit_wrmsr },
	[VMLET_EXIT_XSETBV]		= { .slow = vmlet_exit_xsetbv },
	[VMLET_EXIT_MONITOR]		= { vmlet_exit_mwait,		vmlet_exit_mwait },
	[VMLET_EXIT_MWAIT]		= { vmlet_exit_mwait,		vmlet_exit_mwait },
	[VMLET_EXIT_PAUSE]		= { .slow = vmlet_exit_pause },
	[VMLET_EXIT_NESTED_FAULT]	= { vmlet_exit_nested_fault_fast,	vmlet_exit_nested_fault },
	[VMLET_EXIT_VIRT_INSN]		= { vmlet_exit_ud,		vmlet_exit_ud },
};
