/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: statistics
 *
 * A vCPU's are struct vmlet_stats, memory that userspace maps: written by the thread that runs it, plain and without
 * locks. Who reads gets each number as of some moment. A VM's are in the VM.
 */
#ifndef VMLET_OBSERVE_STATS_H
#define VMLET_OBSERVE_STATS_H

#include <linux/stddef.h>
#include <linux/types.h>

#include "../../uapi/vmlet.h"

struct page;
struct vmlet_arg;
struct vmlet_vcpu;

/* All under vm->mmu_lock. */
struct vmlet_vm_stats {
	u64 remote_tlb_flush, remote_tlb_flush_requests;
	u64 pages[3];			/* leaves of nested page tables, by level */
};

/* page.c. 0 or -ENOMEM; vmlet_stats_free() undoes it, whole or not at all done */
int vmlet_stats_alloc(struct vmlet_vcpu *vcpu);
void vmlet_stats_free(struct vmlet_vcpu *vcpu);
struct page *vmlet_stats_page(struct vmlet_vcpu *vcpu, unsigned long index);	/* or NULL: there are not so many */
extern const char vmlet_exit_names[][sizeof_field(struct vmlet_exit_stats, name)];
u64 vmlet_stats_exits(const struct vmlet_vcpu *vcpu);

/* KVM_GET_STATS_FD */
long vmlet_api_vm_stats(void *obj, struct vmlet_arg *arg);
long vmlet_api_vcpu_stats(void *obj, struct vmlet_arg *arg);

#endif
