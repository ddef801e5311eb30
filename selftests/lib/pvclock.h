/* SPDX-License-Identifier: GPL-2.0 */
/* The paravirtual clock, as a guest uses it: the MSRs, the page, and reading it. */
#ifndef SELFTESTS_PVCLOCK_H
#define SELFTESTS_PVCLOCK_H

#include <stdlib.h>
#include <unistd.h>

#include "machine.h"

#define MSR_KVM_WALL_CLOCK_NEW	0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01
#define MSR_KVM_STEAL_TIME	0x4b564d03
#define MSR_KVM_PV_EOI_EN	0x4b564d04

/* CPUID 0x40000001, EAX */
#define PV_CLOCKSOURCE2		(1u << 3)
#define PV_STEAL_TIME		(1u << 5)
#define PV_EOI			(1u << 6)
#define PV_UNHALT		(1u << 7)
#define PV_TLB_FLUSH		(1u << 9)
#define PV_SEND_IPI		(1u << 11)
#define PV_CLOCKSOURCE_STABLE	(1u << 24)

#define PVCLOCK_STABLE		1	/* in flags: comparable between vCPUs */
#define PVCLOCK_STOPPED		2	/* userspace says it has paused the guest */

struct pvclock {
	volatile u32 version, pad;
	volatile u64 tsc, system_time;
	volatile u32 mul;
	volatile int8_t shift;
	volatile u8 flags, pad2[2];
};

struct pvclock_wall {
	volatile u32 version, sec, nsec;
};

/* Nanoseconds; waits while the host is writing. */
GUEST_INLINE u64 pvclock_read(const struct pvclock *clock)
{
	u32 version;
	u64 now;

	do {
		u64 delta;

		version = clock->version;
		delta = rdtsc() - clock->tsc;
		delta = clock->shift < 0 ? delta >> -clock->shift : delta << clock->shift;
		now = clock->system_time + (u64)((__uint128_t)delta * clock->mul >> 32);
	} while ((version & 1) || version != clock->version);
	return now;
}

/* What the device offers of the paravirtual features. */
static inline u32 pv_features(void)
{
	int dev = dev_open();
	struct kvm_cpuid2 *cpuid = supported_cpuid(dev);
	struct kvm_cpuid_entry2 *leaf = cpuid_find(cpuid, 0x40000001, 0);
	u32 features = leaf ? leaf->eax : 0;

	free(cpuid);
	close(dev);
	return features;
}

#define SKIP_WITHOUT_PV(feature)					\
do {									\
	if (!(pv_features() & (feature)))				\
		SKIP(return, "the device does not offer " #feature);	\
} while (0)

#endif
