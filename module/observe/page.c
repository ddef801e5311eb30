// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the statistics page
 *
 * A vCPU's statistics, as userspace maps them. The names in them make them readable by programs that were built for others.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "times.h"

static_assert(sizeof(struct vmlet_exit_stats) % sizeof(u64) == 0);

const char vmlet_exit_names[][sizeof_field(struct vmlet_exit_stats, name)] = {
#define X(sym, name) name,
	VMLET_EXIT_REASONS(X)
#undef X
};

static bool exit_times = true;
module_param(exit_times, bool, 0444);
MODULE_PARM_DESC(exit_times, "measure how long each exit takes");

DEFINE_STATIC_KEY_TRUE(vmlet_exit_times);

void __init vmlet_stats_setup(void)
{
	if (!exit_times)
		static_branch_disable(&vmlet_exit_times);
}

int vmlet_stats_alloc(struct vmlet_vcpu *vcpu)
{
	struct vmlet_stats *stats;
	unsigned int i;

	stats = __vmalloc(struct_size(stats, exit, VMLET_EXIT_COUNT), GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!stats)
		return -ENOMEM;
	stats->version = VMLET_STATS_VERSION;
	stats->size = struct_size(stats, exit, VMLET_EXIT_COUNT);
	stats->exit_offset = offsetof(struct vmlet_stats, exit);
	stats->exit_size = sizeof(struct vmlet_exit_stats);
	stats->exits = VMLET_EXIT_COUNT;
	stats->tsc_khz = tsc_khz;
	stats->record_offset = offsetof(struct vmlet_stats, record);
	stats->record_size = sizeof(struct vmlet_exit_record);
	stats->records = VMLET_RECORDS;
	stats->flags = exit_times ? VMLET_STATS_TIMES : 0;
	for (i = 0; i < VMLET_EXIT_COUNT; i++)
		memcpy(stats->exit[i].name, vmlet_exit_names[i], sizeof(vmlet_exit_names[i]));
	vcpu->stats = stats;
	vcpu->exit_stats = &stats->exit[VMLET_EXIT_UNKNOWN];
	return 0;
}

void vmlet_stats_free(struct vmlet_vcpu *vcpu)
{
	vfree(vcpu->stats);
}

struct page *vmlet_stats_page(struct vmlet_vcpu *vcpu, unsigned long index)
{
	if (index >= DIV_ROUND_UP(vcpu->stats->size, PAGE_SIZE))
		return NULL;
	return vmalloc_to_page((void *)vcpu->stats + index * PAGE_SIZE);
}

u64 vmlet_stats_exits(const struct vmlet_vcpu *vcpu)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < VMLET_EXIT_COUNT; i++)
		sum += READ_ONCE(vcpu->stats->exit[i].count);
	return sum;
}
