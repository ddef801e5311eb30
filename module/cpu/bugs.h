/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMLET_BUGS_H
#define VMLET_BUGS_H

#include <linux/cpu.h>
#include <asm/cpufeature.h>

/* L1TF: when the L1 data cache is flushed; set once, when the vendor is set up. */
enum vmlet_l1d { VMLET_L1D_NEVER, VMLET_L1D_SECTION, VMLET_L1D_ENTRY };

extern enum vmlet_l1d vmlet_l1d;

/* Gather Data Sampling: whether the microcode's remedy is on, which guests get without doing anything. */
bool vmlet_gds_mitigated(void);

/* SRSO: how much a CPU speculates that has guests. */
void vmlet_reduce_speculation(bool on);

/* Guests that execute from huge pages can bring the CPU down: theirs are small. */
static inline bool vmlet_small_pages(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

/* KVM_X86_DISABLE_EXITS_*: what guests can be let do without an exit. */
u32 vmlet_exits_optional(void);

#endif
