// SPDX-License-Identifier: GPL-2.0
/* The paravirtual clock where it is hard: TSCs that are moved, several vCPUs at once, pages that are not there. */
#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define MSR_SYSTEM_OLD	0x12
#define ON		1
#define NEAR		(1000 * 1000000000ull)	/* more than any run of this takes */
#define VCPUS		4

static struct pvclock pages[VCPUS] __attribute__((aligned(64)));
static volatile u64 seen;

FIXTURE_MACHINE(clock, NO_IRQCHIP, VCPUS)

/* The vCPU's number and the MSR, packed. */
#define SWITCHES_ON(index, nr)	((u64)(nr) << 32 | (index))

GUEST shows_clock(u64 what)
{
	struct pvclock *page = &pages[what >> 32];

	wrmsr(what, (u64)page | ON);
	for (;;) {
		seen = pvclock_read(page);
		guest_say(0);
	}
}

static u64 guest_clock(struct machine *m)
{
	vcpu_run_until_say(&m->vcpu[0]);
	return seen;
}

static u64 begin(struct machine *m, u32 index)
{
	machine_enter_at(m, 0, shows_clock, SWITCHES_ON(index, 0));
	return guest_clock(m);
}

/* Only where its host has a stable clock does the guest read just what the host tells. */
static u64 host_clock(struct machine *m, bool *stable)
{
	struct kvm_clock_data data = {};

	vm_get_clock(&m->vm, &data);
	*stable = data.flags & KVM_CLOCK_TSC_STABLE;
	return data.clock;
}

static void expect_the_hosts(struct __test_metadata *_metadata, struct machine *m, u32 index)
{
	u64 first, value;
	bool stable;

	begin(m, index);
	first = host_clock(m, &stable);
	if (!stable)
		SKIP(return, "the host's clock is not its TSC");
	value = guest_clock(m);
	EXPECT_LE(first, value);
	EXPECT_GE(host_clock(m, &stable), value);
	EXPECT_EQ((u64)&pages[0] | ON, vcpu_get_msr(&m->vcpu[0], index));
	EXPECT_EQ(PVCLOCK_STABLE, pages[0].flags & PVCLOCK_STABLE);
}

TEST_F(clock, is_the_hosts_to_the_nanosecond)
{
	expect_the_hosts(_metadata, &self->m, MSR_KVM_SYSTEM_TIME_NEW);
}

TEST_F(clock, by_the_old_msr)
{
	expect_the_hosts(_metadata, &self->m, MSR_SYSTEM_OLD);
}

/* A TSC that is moved does not move the clock. */
TEST_F(clock, does_not_follow_a_tsc_that_is_set)
{
	u64 first = begin(&self->m, MSR_KVM_SYSTEM_TIME_NEW);

	ASSERT_EQ(1, __vcpu_set_msr(&self->m.vcpu[0], MSR_TSC, 1ull << 55));
	for (int i = 0; i < 3; i++) {
		EXPECT_LE(first, guest_clock(&self->m));
		EXPECT_GT(first + NEAR, seen);
	}
}

GUEST moves_its_tsc(u64 nr)
{
	struct pvclock *page = &pages[nr];

	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)page | ON);
	seen = pvclock_read(page);
	guest_say(0);
	wrmsr(MSR_TSC, 1ull << 54);
	seen = pvclock_read(page);
	guest_say(1);
	wrmsr(MSR_TSC_ADJUST, 0);
	seen = pvclock_read(page);
	guest_done();
}

TEST_F(clock, does_not_follow_a_guest_that_moves_its_tsc)
{
	struct vcpu *vcpu = &self->m.vcpu[1];
	u64 first;

	if (!device_is_vmlet())
		SKIP(return, "stock KVM does not correct its pages");
	begin(&self->m, MSR_KVM_SYSTEM_TIME_NEW);
	machine_enter_at(&self->m, 1, moves_its_tsc, 1);
	vcpu_run_until_say(vcpu);
	first = seen;
	vcpu_run_until_say(vcpu);
	EXPECT_LE(first, seen);
	EXPECT_GT(first + NEAR, seen);
	/* A page of another vCPU is no good any more for this one. */
	EXPECT_EQ(0, pages[1].flags & PVCLOCK_STABLE);
	guest_clock(&self->m);
	EXPECT_EQ(0, pages[0].flags & PVCLOCK_STABLE);
	vcpu_run_until_done(vcpu);
	EXPECT_LE(first, seen);
	EXPECT_GT(first + NEAR, seen);
}

TEST_F(clock, pages_of_all_vcpus_are_alike)
{
	if (!device_is_vmlet())
		SKIP(return, "stock KVM names new moments now and then");
	begin(&self->m, MSR_KVM_SYSTEM_TIME_NEW);
	if (!(pages[0].flags & PVCLOCK_STABLE))
		SKIP(return, "the host's clock is not its TSC");
	for (int i = 1; i < VCPUS; i++) {
		machine_enter_at(&self->m, i, shows_clock, SWITCHES_ON(MSR_KVM_SYSTEM_TIME_NEW, i));
		vcpu_run_until_say(&self->m.vcpu[i]);
	}
	guest_clock(&self->m);
	for (int i = 1; i < VCPUS; i++) {
		EXPECT_EQ(pages[0].tsc, pages[i].tsc);
		EXPECT_EQ(pages[0].system_time, pages[i].system_time);
		EXPECT_EQ(pages[0].mul, pages[i].mul);
		EXPECT_EQ(pages[0].shift, pages[i].shift);
	}
}

#define RACE_STEPS 20000u

static volatile u64 last, backwards;

/* Each looks at what the others have seen, then at its own clock. */
GUEST races(u64 nr)
{
	struct pvclock *page = &pages[nr];

	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)page | ON);
	for (u32 i = 0; i < RACE_STEPS; i++) {
		u64 before = last, now;

		asm volatile("lfence" : : : "memory");
		now = pvclock_read(page);
		if (now < before)
			__atomic_fetch_add(&backwards, 1, __ATOMIC_SEQ_CST);
		last = now;
	}
	guest_done();
}

TEST_F_TIMEOUT(clock, never_goes_backwards_from_vcpu_to_vcpu, LONG_TEST_SECONDS)
{
	for (int i = 0; i < VCPUS; i++) {
		machine_enter_at(&self->m, i, races, i);
		machine_start(&self->m, i);
	}
	for (int i = 0; i < VCPUS; i++)
		machine_join(&self->m, i);
	if (!(pages[0].flags & PVCLOCK_STABLE))
		SKIP(return, "the host's clock is not its TSC");
	EXPECT_EQ(0u, backwards);
}

/* Addresses where there is no page to write: the guest goes on, and later ones work. */
static const u64 nowhere[] = {
	0x40000000, 0x000ffffffffff000, 0xfffffffffffff000, 0x40000ffe, ~1ull,
};

GUEST names_bad_pages(u64 arg)
{
	(void)arg;
	for (u32 i = 0; i < ARRAY_SIZE(nowhere); i++) {
		wrmsr(MSR_KVM_SYSTEM_TIME_NEW, nowhere[i] | ON);
		wrmsr(MSR_KVM_WALL_CLOCK_NEW, nowhere[i]);
	}
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&pages[0] | ON);
	seen = pvclock_read(&pages[0]);
	guest_done();
}

TEST_F(clock, pages_that_are_not_there)
{
	machine_enter_at(&self->m, 0, names_bad_pages, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_LT(0u, seen);
	EXPECT_GT(NEAR, seen);
}

TEST_HARNESS_MAIN
