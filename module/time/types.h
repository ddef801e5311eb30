/* SPDX-License-Identifier: GPL-2.0 */
/* What VMs and vCPUs hold of the time room; tags as in vmlet.h. */
#ifndef VMLET_TIME_TYPES_H
#define VMLET_TIME_TYPES_H

#include <linux/spinlock.h>
#include <linux/types.h>

/* One instant, on every clock that matters. */
struct vmlet_moment {
	u64 tsc;	/* the host's */
	u64 raw;	/* CLOCK_MONOTONIC_RAW, ns */
	u64 real;	/* CLOCK_REALTIME, ns */
};

/**
 * struct vmlet_clock - of a VM
 * @lock:	nests inside all others; never taken in the inner loop
 * @tsc_host, @tsc_value, @tsc_khz: userspace's last write of a TSC: when, what, for which rate	[@lock]
 * @tsc_set:	there was one; until then they are of the VM's creation				[@lock]
 * @ref, @ref_ns: the paravirtual clock showed @ref_ns at @ref; all that it shows follows	[@lock]
 * @used:	a vCPU has switched its clock on						[@lock]
 * @stable:	what pages were told: one page does for all vCPUs				[@lock]
 * @wall_msr:	where wall clock time was last asked for					[a]
 */
struct vmlet_clock {
	spinlock_t lock;
	u64 tsc_host, tsc_value;
	u32 tsc_khz;
	bool tsc_set;
	struct vmlet_moment ref;
	u64 ref_ns;
	bool used, stable;
	u64 wall_msr;
};

/**
 * struct vmlet_vcpu_clock - of a vCPU
 * @ratio:	of the guest's TSC rate to the host's, in the hardware's format			[m]
 * @system_msr:	GPA of the clock page, or'ed with 1 if it is on					[m]
 * @wall_due:	wall clock time is to be written						[m]
 * @stopped:	the guest is to be told that it was stopped					[m]
 * @follow:	the page is right on @cpu only: the host's TSCs differ				[m]
 * @steal_msr:	GPA of the steal time page, likewise						[m]
 * @steal:	it is on									[m]
 * @away:	the page says that the vCPU does not run					[m]
 * @runner, @run_delay: who ran this vCPU, and how long it had waited for a CPU by then	[m]
 */
struct vmlet_vcpu_clock {
	u64 ratio;
	u64 system_msr;
	bool wall_due, stopped, follow, steal, away;
	int cpu;
	u64 steal_msr;
	const void *runner;
	u64 run_delay;
};

#endif
