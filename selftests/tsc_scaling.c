// SPDX-License-Identifier: GPL-2.0
/* A TSC that runs at another rate than the host's, where the CPU can do that. */
#include <x86intrin.h>

#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define FAR	(1ull << 45)	/* much more than any run of this takes */

static struct pvclock page __attribute__((aligned(64)));
static volatile u64 tsc, clock_ns;

FIXTURE(scaling) {
	struct machine m;
	u32 khz;	/* the host's */
};
FIXTURE_SETUP(scaling)
{
	machine_create(&self->m, NO_IRQCHIP, 2);
	self->khz = __fd_ioctl(self->m.vcpu[0].fd, KVM_GET_TSC_KHZ, 0);
}
FIXTURE_TEARDOWN(scaling)
{
	machine_destroy(&self->m);
}

static int set_khz(struct machine *m, u32 i, u64 khz)
{
	return __fd_ioctl(m->vcpu[i].fd, KVM_SET_TSC_KHZ, khz);
}

GUEST reads_tsc(u64 arg)
{
	if (arg)
		wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&page | 1);
	for (;;) {
		tsc = rdtsc();
		clock_ns = arg ? pvclock_read(&page) : 0;
		guest_say(0);
	}
}

static u64 guest_tsc(struct machine *m)
{
	vcpu_run_until_say(&m->vcpu[0]);
	return tsc;
}

/* How far the guest's TSC goes while the host's goes on for a while, as between two readings of the guest's by the host. */
static void expect_ratio(struct __test_metadata *_metadata, struct machine *m, u64 num, u64 den)
{
	struct vcpu *vcpu = &m->vcpu[0];
	u64 outer, inner, most, least;

	for (int way = 0; way < 2; way++) {
		u64 h0 = __rdtsc(), g0 = way ? guest_tsc(m) : vcpu_get_msr(vcpu, MSR_TSC), h1 = __rdtsc(), g1, h2, h3;

		while (__rdtsc() - h1 < 20000000)
			;
		h2 = __rdtsc();
		g1 = way ? guest_tsc(m) : vcpu_get_msr(vcpu, MSR_TSC);
		h3 = __rdtsc();
		outer = h3 - h0;
		inner = h2 - h1;
		least = inner / den * num;
		most = (outer / den + 1) * num;
		EXPECT_LE(least - least / 10000, g1 - g0);
		EXPECT_GE(most + most / 10000, g1 - g0);
	}
}

/* Twice and half are told from once however slow the emulator: a reading takes less than the wait between. */
static const struct { u64 num, den; } ratios[] = { { 1, 1 }, { 4, 1 }, { 1, 4 }, { 1, 1 }, { 17, 1 } };

TEST_F(scaling, rates)
{
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_CONTROL);
	machine_enter_at(&self->m, 0, reads_tsc, 0);
	for (u32 i = 0; i < ARRAY_SIZE(ratios); i++) {
		u32 khz = self->khz * ratios[i].num / ratios[i].den;

		ASSERT_EQ(0, set_khz(&self->m, 0, khz));
		EXPECT_EQ(khz, (u32)__fd_ioctl(self->m.vcpu[0].fd, KVM_GET_TSC_KHZ, 0));
		expect_ratio(_metadata, &self->m, ratios[i].num, ratios[i].den);
	}
}

TEST_F(scaling, written_values_are_read)
{
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_CONTROL);
	machine_enter_at(&self->m, 0, reads_tsc, 0);
	ASSERT_EQ(0, set_khz(&self->m, 0, self->khz * 3));
	ASSERT_EQ(1, __vcpu_set_msr(&self->m.vcpu[0], MSR_TSC, FAR));
	EXPECT_LE(FAR, guest_tsc(&self->m));
	EXPECT_GT(2 * FAR, tsc);
	EXPECT_LE(tsc, vcpu_get_msr(&self->m.vcpu[0], MSR_TSC));
}

static volatile u64 deadline_read;

GUEST arms_far_away(u64 deadline)
{
	x2apic_enable();
	x2apic_write(APIC_LVTT, 0x61 | LVT_DEADLINE);
	wrmsr(MSR_TSC_DEADLINE, deadline);
	deadline_read = rdmsr(MSR_TSC_DEADLINE);
	guest_done();
}

/* The time till then has more nanoseconds than 64 bits hold. */
TEST(deadline_at_the_end_of_time)
{
	struct machine m;

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_CONTROL);
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	machine_create(&m, KERNEL_IRQCHIP, 1);
	ASSERT_EQ(0, set_khz(&m, 0, 1000));
	machine_enter_at(&m, 0, arms_far_away, ~0ull);
	vcpu_run_until_done(&m.vcpu[0]);
	EXPECT_EQ(~0ull, deadline_read);
	EXPECT_EQ(~0ull, vcpu_get_msr(&m.vcpu[0], MSR_TSC_DEADLINE));
	machine_destroy(&m);
}

/* The clock runs at its own rate whatever the TSC's is. */
TEST_F(scaling, the_clock_is_right)
{
	struct kvm_clock_data first, last;

	SKIP_WITHOUT_CAP(KVM_CAP_TSC_CONTROL);
	for (u32 i = 0; i < 2; i++) {
		ASSERT_EQ(0, set_khz(&self->m, i, self->khz * 3));
		ASSERT_EQ(1, __vcpu_set_msr(&self->m.vcpu[i], MSR_TSC, 0));
	}
	machine_enter_at(&self->m, 0, reads_tsc, 1);
	guest_tsc(&self->m);
	for (u32 i = 0; i < 5; i++) {
		vm_get_clock(&self->m.vm, &first);
		guest_tsc(&self->m);
		vm_get_clock(&self->m.vm, &last);
		if (!(last.flags & KVM_CLOCK_TSC_STABLE))
			SKIP(return, "the host's clock is not its TSC");
		/* Rates are rounded: three times the error of one. */
		EXPECT_LE(first.clock, clock_ns + 1000);
		EXPECT_GE(last.clock + 1000, clock_ns);
	}
}

TEST_F(scaling, refused)
{
	if (device_cap(KVM_CAP_TSC_CONTROL) > 0)
		SKIP(return, "the CPU can do it");
	EXPECT_EQ(-EINVAL, set_khz(&self->m, 0, self->khz / 2));
}

/* Within 250 ppm it is the host's rate, near enough. */
TEST_F(scaling, nearly_the_hosts)
{
	u32 khz = self->khz + self->khz / 5000;

	EXPECT_EQ(0, set_khz(&self->m, 0, khz));
	EXPECT_EQ(khz, (u32)__fd_ioctl(self->m.vcpu[0].fd, KVM_GET_TSC_KHZ, 0));
	machine_enter_at(&self->m, 0, reads_tsc, 0);
	expect_ratio(_metadata, &self->m, 1, 1);
}

static int khz_of(int fd)
{
	return __fd_ioctl(fd, KVM_GET_TSC_KHZ, 0);
}

/* The VM's rate is that of vCPUs that are made from then on, and they are in step. */
TEST(the_vms)
{
	struct machine m;
	u32 khz;
	u64 first;

	SKIP_WITHOUT_CAP(KVM_CAP_VM_TSC_CONTROL);
	machine_create(&m, NO_IRQCHIP, 0);
	khz = khz_of(m.vm.fd);
	ASSERT_EQ(0, __fd_ioctl(m.vm.fd, KVM_SET_TSC_KHZ, 3 * khz));
	EXPECT_EQ(3 * khz, (u32)khz_of(m.vm.fd));
	machine_add_vcpu(&m);
	machine_add_vcpu(&m);
	EXPECT_EQ(0, __fd_ioctl(m.vm.fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(khz, (u32)khz_of(m.vm.fd));
	machine_add_vcpu(&m);
	EXPECT_EQ(3 * khz, (u32)khz_of(m.vcpu[0].fd));
	EXPECT_EQ(3 * khz, (u32)khz_of(m.vcpu[1].fd));
	EXPECT_EQ(khz, (u32)khz_of(m.vcpu[2].fd));
	machine_enter_at(&m, 0, reads_tsc, 0);
	expect_ratio(_metadata, &m, 3, 1);
	first = vcpu_get_msr(&m.vcpu[0], MSR_TSC);
	EXPECT_LE(first, vcpu_get_msr(&m.vcpu[1], MSR_TSC));
	EXPECT_LE(vcpu_get_msr(&m.vcpu[1], MSR_TSC), vcpu_get_msr(&m.vcpu[0], MSR_TSC));
	EXPECT_EQ(-EINVAL, __fd_ioctl(m.vm.fd, KVM_SET_TSC_KHZ, 0xffffffff));
	machine_destroy(&m);
}

/* What every host can do. */
TEST_F(scaling, the_vms_as_the_hosts)
{
	EXPECT_EQ(0, __fd_ioctl(self->m.vm.fd, KVM_SET_TSC_KHZ, self->khz));
	EXPECT_EQ(0, __fd_ioctl(self->m.vm.fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(self->khz, (u32)khz_of(self->m.vm.fd));
}

TEST_HARNESS_MAIN
