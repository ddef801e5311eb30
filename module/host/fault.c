// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: exceptions of a guest's that are the host's to handle
 */
#include <asm/cpu.h>
#include <asm/mce.h>
#include <asm/processor-flags.h>
#include <asm/ptrace.h>

#include "host.h"

#ifdef CONFIG_X86_MCE
void vmlet_host_machine_check(void)
{
	struct pt_regs regs = {
		.cs = 3,	/* privilege level 3 */
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
}
#else
/* The host has machine checks off: one shuts the CPU down, in a guest too. */
void vmlet_host_machine_check(void)
{
}
#endif

bool vmlet_host_split_lock(unsigned long ip)
{
	return boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) && handle_guest_split_lock(ip);
}
