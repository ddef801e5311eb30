// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: CPUID leaves by which a guest reads its exits
 *
 * As courses on KVM have their students add them: the vCPU's exits, and the ticks from exit to entry; all, or for one of
 * VT-x's exit reasons, whatever the CPU. Off unless somebody wants them: what a guest learns of its host is little, but
 * more than nothing.
 */
#include <asm/vmx.h>

#include "../vmlet.h"
#include "leaves.h"

#define LEAF_TIME_OF	0x4ffffffc
#define LEAF_COUNT_OF	0x4ffffffd
#define LEAF_TIME	0x4ffffffe
#define LEAF_COUNT	0x4fffffff

#define NUMBERS		(EXIT_REASON_NOTIFY + 1)
#define NOT_COUNTED	0xff

unsigned int vmlet_cpuid_leaves;

static const u8 numbers[VMLET_EXIT_COUNT] = {
	[VMLET_EXIT_UNKNOWN]		= NOT_COUNTED,
	[VMLET_EXIT_FAIL_ENTRY]		= EXIT_REASON_INVALID_STATE,
	[VMLET_EXIT_INTR]		= EXIT_REASON_EXTERNAL_INTERRUPT,
	[VMLET_EXIT_NMI]		= EXIT_REASON_EXCEPTION_NMI,
	[VMLET_EXIT_MCE]		= EXIT_REASON_MCE_DURING_VMENTRY,
	[VMLET_EXIT_EXCEPTION]		= EXIT_REASON_EXCEPTION_NMI,
	[VMLET_EXIT_INTR_WINDOW]	= EXIT_REASON_INTERRUPT_WINDOW,
	[VMLET_EXIT_NMI_WINDOW]		= EXIT_REASON_NMI_WINDOW,
	[VMLET_EXIT_TRIPLE_FAULT]	= EXIT_REASON_TRIPLE_FAULT,
	[VMLET_EXIT_INIT]		= EXIT_REASON_INIT_SIGNAL,
	[VMLET_EXIT_TASK_SWITCH]	= EXIT_REASON_TASK_SWITCH,
	[VMLET_EXIT_CPUID]		= EXIT_REASON_CPUID,
	[VMLET_EXIT_HLT]		= EXIT_REASON_HLT,
	[VMLET_EXIT_INVD]		= EXIT_REASON_INVD,
	[VMLET_EXIT_WBINVD]		= EXIT_REASON_WBINVD,
	[VMLET_EXIT_RDPMC]		= EXIT_REASON_RDPMC,
	[VMLET_EXIT_RDTSC]		= EXIT_REASON_RDTSC,
	[VMLET_EXIT_RDTSCP]		= EXIT_REASON_RDTSCP,
	[VMLET_EXIT_HYPERCALL]		= EXIT_REASON_VMCALL,
	[VMLET_EXIT_CR_READ]		= EXIT_REASON_CR_ACCESS,
	[VMLET_EXIT_CR_WRITE]		= EXIT_REASON_CR_ACCESS,
	[VMLET_EXIT_CLTS]		= EXIT_REASON_CR_ACCESS,
	[VMLET_EXIT_LMSW]		= EXIT_REASON_CR_ACCESS,
	[VMLET_EXIT_DR_READ]		= EXIT_REASON_DR_ACCESS,
	[VMLET_EXIT_DR_WRITE]		= EXIT_REASON_DR_ACCESS,
	[VMLET_EXIT_IO]			= EXIT_REASON_IO_INSTRUCTION,
	[VMLET_EXIT_IO_STRING]		= EXIT_REASON_IO_INSTRUCTION,
	[VMLET_EXIT_RDMSR]		= EXIT_REASON_MSR_READ,
	[VMLET_EXIT_WRMSR]		= EXIT_REASON_MSR_WRITE,
	[VMLET_EXIT_XSETBV]		= EXIT_REASON_XSETBV,
	[VMLET_EXIT_MONITOR]		= EXIT_REASON_MONITOR_INSTRUCTION,
	[VMLET_EXIT_MWAIT]		= EXIT_REASON_MWAIT_INSTRUCTION,
	[VMLET_EXIT_PAUSE]		= EXIT_REASON_PAUSE_INSTRUCTION,
	[VMLET_EXIT_NESTED_FAULT]	= EXIT_REASON_EPT_VIOLATION,
	[VMLET_EXIT_VIRT_INSN]		= NOT_COUNTED,
};

struct answer {
	u64 count, ticks;
};

/* @number: VT-x's; all, if it is not one of them. */
static struct answer sum(const struct vmlet_vcpu *vcpu, u32 number)
{
	struct answer answer = {};
	unsigned int i;

	for (i = 0; i < VMLET_EXIT_COUNT; i++) {
		const struct vmlet_exit_stats *exit = &vcpu->stats->exit[i];

		if (number < NUMBERS && number != numbers[i])
			continue;
		answer.count += exit->count;
		answer.ticks += exit->time[VMLET_TIME_KERNEL] + exit->time[VMLET_TIME_USER];
	}
	return answer;
}

bool vmlet_leaves_answer(struct vmlet_vcpu *vcpu, u32 function, u32 index)
{
	bool one = function == LEAF_TIME_OF || function == LEAF_COUNT_OF;
	bool exists = !one || index < NUMBERS, time = function == LEAF_TIME || function == LEAF_TIME_OF;
	struct answer answer = {};
	u64 *regs = vcpu->regs;

	if (likely(!READ_ONCE(vmlet_cpuid_leaves)) || function < LEAF_TIME_OF || function > LEAF_COUNT)
		return false;
	if (exists)
		answer = sum(vcpu, one ? index : NUMBERS);
	regs[VMLET_RAX] = time ? 0 : (u32)answer.count;
	regs[VMLET_RBX] = time ? answer.ticks >> 32 : 0;
	regs[VMLET_RCX] = time ? (u32)answer.ticks : 0;
	regs[VMLET_RDX] = exists ? 0 : U32_MAX;
	return true;
}
