// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: functions of the kernel that it exports to KVM's modules alone
 *
 * Under the kernel's names and by its declarations, with what every module may use.
 */
#include <linux/hw_breakpoint.h>
#include <linux/percpu.h>
#include <asm/cpu.h>
#include <asm/debugreg.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "host.h"

#ifndef VMLET_HAVE_CR4_SHADOW
unsigned long cr4_read_shadow(void)
{
	return __read_cr4();
}
#endif

#ifndef VMLET_HAVE_SPLIT_LOCK
/* What the administrator wants done about it is not known: the guest has #AC. */
bool handle_guest_split_lock(unsigned long ip)
{
	return false;
}
#endif

#ifndef VMLET_HAVE_BREAKPOINT_RESTORE
struct breakpoints {
	unsigned long addr[HBP_NUM];
	bool saved;
};

static DEFINE_PER_CPU(struct breakpoints, breakpoints);

void vmlet_host_breakpoints_save(void)
{
	struct breakpoints *here = this_cpu_ptr(&breakpoints);
	unsigned int i;

	lockdep_assert_irqs_disabled();
	/* If none is armed, nobody restores them, and arming one loads its address. */
	here->saved = hw_breakpoint_active();
	for (i = 0; here->saved && i < HBP_NUM; i++)
		get_debugreg(here->addr[i], i);
}

void hw_breakpoint_restore(void)
{
	struct breakpoints *here = this_cpu_ptr(&breakpoints);
	unsigned int i;

	lockdep_assert_irqs_disabled();
	for (i = 0; here->saved && i < HBP_NUM; i++)
		set_debugreg(here->addr[i], i);
	here->saved = false;
	set_debugreg(DR6_RESERVED, 6);
	set_debugreg(__this_cpu_read(cpu_dr7), 7);
}
#endif
