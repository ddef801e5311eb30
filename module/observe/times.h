/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the time of exits
 *
 * Four moments of a vCPU's way: entry, exit, return to userspace, call from there. At each the time since the last one
 * is added to what it was spent on, for the reason of the last exit. By the thread that has vcpu->mutex.
 *
 * While the tunable exit_phases is on, likewise the end of each phase of the kernel's time, outside of the inner loop.
 */
#ifndef VMLET_OBSERVE_TIMES_H
#define VMLET_OBSERVE_TIMES_H

#include <linux/jump_label.h>
#include <asm/tsc.h>

#include "../vmlet.h"

/* On, unless the module was loaded with exit_times=0. Never changed later: half a measurement would stay. */
DECLARE_STATIC_KEY_TRUE(vmlet_exit_times);

DECLARE_STATIC_KEY_FALSE(vmlet_exit_phases);

void vmlet_stats_setup(void);

/* phases.c */
void vmlet_phase_add(struct vmlet_vcpu *vcpu, enum vmlet_phase what);

static __always_inline void vmlet_times_add(struct vmlet_vcpu *vcpu, struct vmlet_exit_stats *exit, enum vmlet_time what)
{
	u64 now = rdtsc(), time = now - vcpu->moment;

	vcpu->moment = now;
	exit->time[what] += time;
	exit->histogram[what][__fls(time | 1) + 1]++;
}

/* Readers do not trust what is written in between. The CPU does not reorder writes, the compiler must not. */
static __always_inline void vmlet_times_sequence(struct vmlet_exit_stats *exit)
{
	barrier();
	exit->sequence++;
	barrier();
}

static __always_inline void vmlet_times_entry(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit_stats *exit = vcpu->exit_stats;

	if (!static_branch_likely(&vmlet_exit_times))
		return;
	vmlet_times_add(vcpu, exit, VMLET_TIME_KERNEL);
	vmlet_times_sequence(exit);
}

static __always_inline void vmlet_times_exit(struct vmlet_vcpu *vcpu, unsigned int reason)
{
	struct vmlet_exit_stats *exit = &vcpu->stats->exit[reason];

	/* Compute it once, not for each use. */
	OPTIMIZER_HIDE_VAR(exit);
	if (static_branch_likely(&vmlet_exit_times)) {
		vcpu->exit_stats = exit;
		vmlet_times_sequence(exit);
		vmlet_times_add(vcpu, exit, VMLET_TIME_GUEST);
	}
	exit->count++;
}

/* The inner loop begins, or ends: readers wait, or need not. */
static __always_inline void vmlet_times_toggle(struct vmlet_vcpu *vcpu)
{
	if (static_branch_likely(&vmlet_exit_times))
		vmlet_times_sequence(vcpu->exit_stats);
}

/* What ends here was that. */
static __always_inline void vmlet_phase_end(struct vmlet_vcpu *vcpu, enum vmlet_phase what)
{
	if (static_branch_unlikely(&vmlet_exit_phases))
		vmlet_phase_add(vcpu, what);
}

/* The kernel's part so far is kept, and counts from the next call on as if it had been just before. */
static inline void vmlet_times_return(struct vmlet_vcpu *vcpu)
{
	u64 now;

	if (!static_branch_likely(&vmlet_exit_times))
		return;
	vmlet_phase_end(vcpu, VMLET_PHASE_REST);
	now = rdtsc();
	vcpu->kernel_time = now - vcpu->moment;
	vcpu->moment = now;
}

static inline void vmlet_times_call(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit_stats *exit = vcpu->exit_stats;

	if (!static_branch_likely(&vmlet_exit_times))
		return;
	if (vcpu->moment) {
		vmlet_times_sequence(exit);
		vmlet_times_add(vcpu, exit, VMLET_TIME_USER);
		vmlet_times_sequence(exit);
	} else {	/* the first */
		vcpu->moment = rdtsc();
	}
	vcpu->phase_moment = vcpu->moment;
	vcpu->moment -= vcpu->kernel_time;
}

#endif
