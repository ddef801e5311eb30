// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: L1TF: the L1 data cache before a guest
 *
 * What the host has left there, a guest can read. Exits that fast handlers finish leave nothing of others, so it is enough
 * to flush before each guest section: between two, there are handlers that sleep, interrupts, other tasks. Who boots with
 * l1tf=full wants it before each entry.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

#include "../bugs.h"
#include "vmx.h"

/* Larger than any such cache, whatever it replaces first. */
#define ORDER	4
#define SIZE	(PAGE_SIZE << ORDER)

DEFINE_STATIC_KEY_FALSE(vmx_l1d_each_entry);

static u8 *lines;

static bool needed(void)
{
	u64 caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return false;
	/* A hypervisor above that flushes for us says so. */
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	return !(caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

int vmx_l1d_setup(void)
{
	unsigned int i;

	vmlet_l1d = VMLET_L1D_NEVER;
	if (!needed())
		return 0;
	if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		lines = (u8 *)__get_free_pages(GFP_KERNEL, ORDER);
		if (!lines)
			return -ENOMEM;
		/* A hypervisor above must not merge them into one page. */
		for (i = 0; i < SIZE; i += PAGE_SIZE)
			memset(&lines[i], i / PAGE_SIZE + 1, PAGE_SIZE);
	}
	vmlet_l1d = VMLET_L1D_SECTION;
	if (l1tf_mitigation >= L1TF_MITIGATION_FULL) {
		vmlet_l1d = VMLET_L1D_ENTRY;
		static_branch_enable(&vmx_l1d_each_entry);
	}
	return 0;
}

void vmx_l1d_unsetup(void)
{
	static_branch_disable(&vmx_l1d_each_entry);
	free_pages((unsigned long)lines, ORDER);
	lines = NULL;
}

/* Without the command, by reading so much else; page walks first, so that they do not bring back what is gone. */
void vmx_l1d_flush(void)
{
	unsigned int i;

	if (!lines) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	for (i = 0; i < SIZE; i += PAGE_SIZE)
		READ_ONCE(lines[i]);
	/* All walks, then all lines, then the guest: loads of the one wait for those of the other. */
	rmb();
	for (i = 0; i < SIZE; i += 64)
		READ_ONCE(lines[i]);
	/* As above. */
	rmb();
}
