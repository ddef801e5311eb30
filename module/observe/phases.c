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

	if (!static_branch_likely(&vmlet_exit_times))
		return;
	/* No phase of the exit's has ended yet, or it was not measured. */
	if ((s64)(vcpu->moment - since) > 0)
		since = vcpu->moment;
	now = rdtsc();
	vcpu->phase_moment = now;
	vmlet_times_sequence(exit);
	exit->phase[what] += now - since;
	exit->left += what == VMLET_PHASE_INNER;
	vmlet_times_sequence(exit);
}
