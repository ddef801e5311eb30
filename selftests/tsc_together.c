// SPDX-License-Identifier: GPL-2.0
/* vCPUs whose TSCs userspace writes one after the other run in step; and the offset by itself. */
#include <x86intrin.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define VCPUS	3
#define FAR	(1ull << 45)	/* much more than any run of this takes */

FIXTURE_MACHINE(tsc, NO_IRQCHIP, VCPUS)

static int attr(struct vcpu *vcpu, unsigned int command, u32 group, u64 nr, u64 *value)
{
	struct kvm_device_attr attr = { .group = group, .attr = nr, .addr = (u64)value };

	return __fd_ioctl(vcpu->fd, command, (unsigned long)&attr);
}

static u64 offset(struct machine *m, u32 i)
{
	u64 value = 0;
	int ret = attr(&m->vcpu[i], KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &value);

	if (ret)
		die("KVM_VCPU_TSC_OFFSET: %s", strerror(-ret));
	return value;
}

static void expect_together(struct __test_metadata *_metadata, struct machine *m)
{
	for (u32 i = 1; i < VCPUS; i++)
		EXPECT_EQ(offset(m, 0), offset(m, i));
}

static void write_all(struct __test_metadata *_metadata, struct machine *m, u64 value)
{
	for (u32 i = 0; i < VCPUS; i++)
		ASSERT_EQ(1, __vcpu_set_msr(&m->vcpu[i], MSR_TSC, value));
}

TEST_F(tsc, from_the_beginning)
{
	expect_together(_metadata, &self->m);
}

TEST_F(tsc, written_one_after_the_other)
{
	static const u64 values[] = { FAR, 0, 3 * FAR, FAR };

	for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
		write_all(_metadata, &self->m, values[i]);
		expect_together(_metadata, &self->m);
	}
	EXPECT_LE(FAR, vcpu_get_msr(&self->m.vcpu[1], MSR_TSC));
	EXPECT_GT(2 * FAR, vcpu_get_msr(&self->m.vcpu[1], MSR_TSC));
}

/* What is read of one is given to the others, a little later: they mean the same. */
TEST_F(tsc, restored)
{
	u64 value;

	write_all(_metadata, &self->m, FAR);
	value = vcpu_get_msr(&self->m.vcpu[0], MSR_TSC);
	for (u32 i = 0; i < VCPUS; i++)
		ASSERT_EQ(1, __vcpu_set_msr(&self->m.vcpu[i], MSR_TSC, value + 1000 * i));
	expect_together(_metadata, &self->m);
}

TEST_F(tsc, written_to_one)
{
	write_all(_metadata, &self->m, FAR);
	ASSERT_EQ(1, __vcpu_set_msr(&self->m.vcpu[1], MSR_TSC, 8 * FAR));
	EXPECT_EQ(offset(&self->m, 0), offset(&self->m, 2));
	EXPECT_LT(6 * FAR, offset(&self->m, 1) - offset(&self->m, 0));
	EXPECT_GT(8 * FAR, offset(&self->m, 1) - offset(&self->m, 0));
}

TEST_F(tsc, attributes)
{
	struct vcpu *vcpu = &self->m.vcpu[0];
	u64 value = 0;

	EXPECT_EQ(0, attr(vcpu, KVM_HAS_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, NULL));
	EXPECT_EQ(-ENXIO, attr(vcpu, KVM_HAS_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, 1, NULL));
	EXPECT_EQ(-ENXIO, attr(vcpu, KVM_HAS_DEVICE_ATTR, 1, KVM_VCPU_TSC_OFFSET, NULL));
	EXPECT_EQ(-ENXIO, attr(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, 1, &value));
	EXPECT_EQ(-ENXIO, attr(vcpu, KVM_SET_DEVICE_ATTR, 1, KVM_VCPU_TSC_OFFSET, &value));
	EXPECT_EQ(-EFAULT, attr(vcpu, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, NULL));
	EXPECT_EQ(-EFAULT, attr(vcpu, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, NULL));
}

TEST_F(tsc, offset_is_added)
{
	u64 value = FAR + 12345, before, now;

	for (u32 i = 0; i < VCPUS; i++)
		ASSERT_EQ(0, attr(&self->m.vcpu[i], KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_CTRL,
				  KVM_VCPU_TSC_OFFSET, &value));
	for (u32 i = 0; i < VCPUS; i++) {
		EXPECT_EQ(value, offset(&self->m, i));
		before = __rdtsc();
		now = vcpu_get_msr(&self->m.vcpu[i], MSR_TSC);
		EXPECT_LE(before + value, now);
		EXPECT_GE(__rdtsc() + value, now);
	}
}

TEST_HARNESS_MAIN
