// SPDX-License-Identifier: GPL-2.0
/* The paravirtual clock: its page, the wall clock, and userspace's hand on it. */
#include <time.h>
#include <x86intrin.h>

#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define SECOND	1000000000ull
/* No emulator is so slow, or its counter so odd, that a right clock is off by this much. */
#define SLACK	(SECOND / 2)

static struct pvclock page[2] __attribute__((aligned(64)));
static struct pvclock_wall wall __attribute__((aligned(64)));
static volatile u64 now[2];
static volatile u64 msr;

/* Says the time, again and again. */
GUEST tells_the_time(u64 me)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&page[me] | 1);
	msr = rdmsr(MSR_KVM_SYSTEM_TIME_NEW);
	for (;;) {
		now[me] = pvclock_read(&page[me]);
		guest_say(me);
	}
}

FIXTURE(kvmclock) {
	struct machine m;
};
FIXTURE_SETUP(kvmclock)
{
	SKIP_WITHOUT_PV(PV_CLOCKSOURCE2);
	machine_create(&self->m, machine_missing(KERNEL_IRQCHIP) ? NO_IRQCHIP : KERNEL_IRQCHIP, 2);
	for (u32 i = 0; i < 2; i++)
		machine_enter_at(&self->m, i, tells_the_time, i);
}
FIXTURE_TEARDOWN(kvmclock)
{
	machine_destroy(&self->m);
}

static u64 guest_time(struct machine *m, u32 i)
{
	vcpu_run_until_say(&m->vcpu[i]);
	return now[i];
}

static u64 vm_time(struct machine *m)
{
	struct kvm_clock_data data;

	vm_get_clock(&m->vm, &data);
	return data.clock;
}

static u64 host_time(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

TEST_F(kvmclock, the_page)
{
	guest_time(&self->m, 0);
	EXPECT_EQ((u64)&page[0] | 1, msr);
	EXPECT_NE(0u, page[0].version);
	EXPECT_EQ(0u, page[0].version & 1);
	EXPECT_NE(0u, page[0].mul);
	EXPECT_EQ(0u, page[1].version);
}

/* The rate that the page tells is the one that KVM_GET_TSC_KHZ tells. */
TEST_F(kvmclock, rate)
{
	u64 khz = __fd_ioctl(self->m.vcpu[0].fd, KVM_GET_TSC_KHZ, 0), ns;

	guest_time(&self->m, 0);
	ns = khz * 1000;		/* ticks of one second */
	ns = page[0].shift < 0 ? ns >> -page[0].shift : ns << page[0].shift;
	ns = (u64)((__uint128_t)ns * page[0].mul >> 32);
	EXPECT_LT(SECOND - SECOND / 1000, ns);
	EXPECT_GT(SECOND + SECOND / 1000, ns);
}

TEST_F(kvmclock, agrees_with_the_vms)
{
	guest_time(&self->m, 0);
	for (int i = 0; i < 5; i++) {
		u64 before = vm_time(&self->m);
		u64 guest = guest_time(&self->m, 0);
		u64 after = vm_time(&self->m);

		EXPECT_LT(before, guest + SLACK);
		EXPECT_GT(after + SLACK, guest);
	}
}

TEST_F(kvmclock, never_goes_back)
{
	u64 last = 0;

	for (int i = 0; i < 50; i++) {
		u64 time = guest_time(&self->m, 0);

		ASSERT_LT(last, time);
		last = time;
	}
}

/* What the stable flag promises. */
TEST_F(kvmclock, never_goes_back_from_vcpu_to_vcpu)
{
	u64 last = 0;

	guest_time(&self->m, 0);
	guest_time(&self->m, 1);
	if (!(page[0].flags & page[1].flags & PVCLOCK_STABLE))
		SKIP(return, "the host's counter does not allow it");
	for (int i = 0; i < 50; i++) {
		u64 time = guest_time(&self->m, i % 2);

		ASSERT_LE(last, time);
		last = time;
	}
}

TEST_F(kvmclock, set)
{
	struct kvm_clock_data data = { .clock = 1000 * SECOND };

	guest_time(&self->m, 0);
	vm_set_clock(&self->m.vm, &data);
	EXPECT_LE(1000 * SECOND, vm_time(&self->m));
	EXPECT_GT(1100 * SECOND, vm_time(&self->m));
	EXPECT_LE(1000 * SECOND, guest_time(&self->m, 0));
	EXPECT_GT(1100 * SECOND, now[0]);
	EXPECT_LE(1000 * SECOND, guest_time(&self->m, 1));
	EXPECT_GT(1100 * SECOND, now[1]);
}

TEST_F(kvmclock, flags)
{
	struct kvm_clock_data data = { .flags = 1u << 31 };
	int supported = device_cap(KVM_CAP_ADJUST_CLOCK);

	EXPECT_EQ(-EINVAL, __vm_set_clock(&self->m.vm, &data));
	guest_time(&self->m, 0);
	vm_get_clock(&self->m.vm, &data);
	EXPECT_EQ(0u, data.flags & ~supported);
	EXPECT_EQ(KVM_CLOCK_TSC_STABLE, supported & KVM_CLOCK_TSC_STABLE);
	EXPECT_EQ(!!(data.flags & KVM_CLOCK_TSC_STABLE), page[0].flags & PVCLOCK_STABLE);
}

TEST_F(kvmclock, with_the_hosts_clocks)
{
	u64 real, tsc = __rdtsc();
	struct kvm_clock_data data;

	guest_time(&self->m, 0);
	real = host_time(CLOCK_REALTIME);
	vm_get_clock(&self->m.vm, &data);
	if (data.flags & KVM_CLOCK_REALTIME) {
		EXPECT_LE(real, data.realtime + SLACK);
		EXPECT_GE(host_time(CLOCK_REALTIME) + SLACK, data.realtime);
	}
	if (data.flags & KVM_CLOCK_HOST_TSC) {
		EXPECT_LE(tsc, data.host_tsc);
		EXPECT_GE(__rdtsc(), data.host_tsc);
	}
}

/* Saved ten seconds ago, it is now ten seconds later. */
TEST_F(kvmclock, set_with_real_time)
{
	struct kvm_clock_data data = { .clock = 500 * SECOND, .flags = KVM_CLOCK_REALTIME };

	if (!(device_cap(KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME))
		SKIP(return, "the device has no KVM_CLOCK_REALTIME");
	data.realtime = host_time(CLOCK_REALTIME) - 10 * SECOND;
	ASSERT_EQ(0, __vm_set_clock(&self->m.vm, &data));
	EXPECT_LE(510 * SECOND, vm_time(&self->m) + SLACK);
	EXPECT_GT(600 * SECOND, vm_time(&self->m));
}

GUEST asks_for_the_wall_clock(u64 arg)
{
	(void)arg;
	wrmsr(MSR_KVM_WALL_CLOCK_NEW, (u64)&wall);
	guest_done();
}

/* The wall clock is the time at which the VM's clock was zero. */
TEST_F(kvmclock, wall_clock)
{
	u64 real, boot;

	machine_enter_at(&self->m, 0, asks_for_the_wall_clock, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(0u, wall.version & 1);
	EXPECT_GT(SECOND, wall.nsec);
	boot = wall.sec * SECOND + wall.nsec;
	real = host_time(CLOCK_REALTIME);
	EXPECT_LT(real, boot + vm_time(&self->m) + 2 * SECOND);
	EXPECT_GT(real + 2 * SECOND, boot + vm_time(&self->m));
}

GUEST switches_off(u64 me)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, 0);
	guest_say(me);
	guest_done();
}

TEST_F(kvmclock, switched_off_the_page_stays_as_it_is)
{
	struct kvm_clock_data data = { .clock = 1000 * SECOND };
	u32 version;

	guest_time(&self->m, 0);
	machine_enter_at(&self->m, 0, switches_off, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	version = page[0].version;
	vm_set_clock(&self->m.vm, &data);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(version, page[0].version);
	EXPECT_EQ(0u, vcpu_get_msr(&self->m.vcpu[0], MSR_KVM_SYSTEM_TIME_NEW));
}

/* Userspace tells a guest that it was paused, once it has a clock. */
TEST_F(kvmclock, paused)
{
	SKIP_WITHOUT_CAP(KVM_CAP_KVMCLOCK_CTRL);
	EXPECT_EQ(-EINVAL, __fd_ioctl(self->m.vcpu[0].fd, KVM_KVMCLOCK_CTRL, 0));
	guest_time(&self->m, 0);
	EXPECT_EQ(0, page[0].flags & PVCLOCK_STOPPED);
	EXPECT_EQ(0, __fd_ioctl(self->m.vcpu[0].fd, KVM_KVMCLOCK_CTRL, 0));
	guest_time(&self->m, 0);
	EXPECT_EQ(PVCLOCK_STOPPED, page[0].flags & PVCLOCK_STOPPED);
}

/* Restored by userspace, it works without the guest's doing. */
TEST_F(kvmclock, restored)
{
	ASSERT_EQ(1, __vcpu_set_msr(&self->m.vcpu[1], MSR_KVM_SYSTEM_TIME_NEW, (u64)&page[0] | 1));
	EXPECT_EQ((u64)&page[0] | 1, vcpu_get_msr(&self->m.vcpu[1], MSR_KVM_SYSTEM_TIME_NEW));
	guest_time(&self->m, 1);
	EXPECT_EQ((u64)&page[1] | 1, vcpu_get_msr(&self->m.vcpu[1], MSR_KVM_SYSTEM_TIME_NEW));
}

#define LOG_SLOT	5
#define LOG_GPA		0x10000000ul

GUEST has_its_clock_in_the_log(u64 arg)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, LOG_GPA + 0x1040 + 1);
	(void)arg;
	guest_say(0);
	guest_say(1);
	guest_done();
}

/* The kernel's own writes are writes. */
TEST_F(kvmclock, updates_are_in_the_dirty_log)
{
	struct kvm_clock_data data = { .clock = 1000 * SECOND };
	struct kvm_dirty_log log = { .slot = LOG_SLOT };
	struct vm *vm = &self->m.vm;
	u64 bitmap;

	log.dirty_bitmap = &bitmap;
	if (__vm_set_memory(vm, LOG_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, 4 * 4096,
			    pages_alloc(4 * 4096)))
		SKIP(return, "the device does not log");
	machine_enter_at(&self->m, 0, has_its_clock_in_the_log, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	vm_get_dirty_log(vm, &log);
	EXPECT_EQ(1u << 1, bitmap);
	vm_set_clock(vm, &data);
	vcpu_run_until_say(&self->m.vcpu[0]);
	vm_get_dirty_log(vm, &log);
	EXPECT_EQ(1u << 1, bitmap);
}

TEST_HARNESS_MAIN
