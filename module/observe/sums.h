/* SPDX-License-Identifier: GPL-2.0 */
/* Sums over vCPUs' statistics. */
#ifndef VMLET_OBSERVE_SUMS_H
#define VMLET_OBSERVE_SUMS_H

#include "../vmlet.h"

struct vmlet_sum {
	u64 count;
	u64 time[VMLET_TIMES];
};

struct vmlet_sums {
	u32 vcpus;
	struct vmlet_sum exit[VMLET_EXIT_COUNT];
};

/* sums.c. Add those of @vm as they are now. */
void vmlet_sums_add(struct vmlet_sums *sums, const struct vmlet_vm *vm);

/* vms.c. Those of all VMs, of those that have gone, too. Returns what vmlet_vms_walk() has as generation. */
unsigned int vmlet_vms_sum(struct vmlet_sums *sums);

#endif
