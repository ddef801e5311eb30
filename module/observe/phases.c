// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: phases of the kernel's time of an exit
 */
#include "times.h"

DEFINE_STATIC_KEY_FALSE(vmlet_exit_phases);

void vmlet_phase_add(struct vmlet_vcpu *vcpu, enum vmlet_phase what)
{
	struct vmlet_exit_stats *exit = vcpu->exit_stats;
	u64 since = vcpu->phase_moment, now;
	bool first = (s64)(vcpu->moment - since) > 0;	/* of this exit */

	if (!static_branch_likely(&vmlet_exit_times))
		return;
	now = rdtsc();
	vcpu->phase_moment = now;
	/* Any other has begun before phases were measured. */
	if (first && what != VMLET_PHASE_INNER)
		return;
	vmlet_times_sequence(exit);
	exit->phase[what] += now - (first ? vcpu->moment : since);
	exit->left += first;
	vmlet_times_sequence(exit);
}
