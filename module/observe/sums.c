// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: sums of statistics
 */
#include "sums.h"

static void add(struct vmlet_sum *sum, const struct vmlet_exit_stats *exit)
{
	unsigned int i;

	sum->count += READ_ONCE(exit->count);
	for (i = 0; i < VMLET_TIMES; i++)
		sum->time[i] += READ_ONCE(exit->time[i]);
}

void vmlet_sums_add(struct vmlet_sums *sums, const struct vmlet_vm *vm)
{
	unsigned int n = vmlet_vcpu_count(vm), i, reason;

	sums->vcpus += n;
	for (i = 0; i < n; i++)
		for (reason = 0; reason < VMLET_EXIT_COUNT; reason++)
			add(&sums->exit[reason], &vm->vcpus[i]->stats->exit[reason]);
}
