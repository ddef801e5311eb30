// SPDX-License-Identifier: GPL-2.0
/* KVM_CAP_SYNC_REGS: registers in the run page, as the ioctls have them, taken and given on request. */
#include <pthread.h>

#include "lib/harness.h"

#define ALL		(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

GUEST_PROGRAM(counts, LONG, "1: inc %rbx\n out %al, $0x10\n jmp 1b");
GUEST_PROGRAM(reads, LONG, "in $0x10, %al\n mov %rax, %rcx\n hlt");

FIXTURE_ONE_VCPU(sync)

TEST_F(sync, capability)
{
	EXPECT_EQ(ALL, __vm_check_extension(&self->vm, KVM_CAP_SYNC_REGS));
}

TEST_F(sync, unknown_sets_are_refused)
{
	struct kvm_run *run = self->vcpu.run;

	guest_load(&self->vcpu, &counts);
	for (int bit = 3; bit < 32; bit += 28) {
		u64 bad = 1ull << bit;

		run->kvm_valid_regs = bad | ALL;
		EXPECT_EQ(-EINVAL, __vcpu_run(&self->vcpu));
		run->kvm_valid_regs = 0;
		run->kvm_dirty_regs = bad | KVM_SYNC_X86_REGS;
		EXPECT_EQ(-EINVAL, __vcpu_run(&self->vcpu));
		EXPECT_EQ(bad | KVM_SYNC_X86_REGS, run->kvm_dirty_regs);
		run->kvm_dirty_regs = 0;
	}
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
}

/* Each set by itself: what is asked for is there, the rest of the page is left alone. */
TEST_F(sync, given_as_by_the_ioctls)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_sync_regs *page = &run->s.regs, poison;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &counts);
	memset(&poison, 0, sizeof(poison));
	poison.regs.rbx = poison.sregs.cr2 = poison.events.exception.nr = 0x5a;
	for (u64 sets = 0; sets <= ALL; sets++) {
		*page = poison;
		run->kvm_valid_regs = sets;
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		vcpu_get_regs(&self->vcpu, &regs);
		vcpu_get_sregs(&self->vcpu, &sregs);
		vcpu_get_events(&self->vcpu, &events);
		EXPECT_EQ(sets + 1, regs.rbx);
		EXPECT_EQ(0, memcmp(&page->regs, sets & KVM_SYNC_X86_REGS ? &regs : &poison.regs, sizeof(regs)));
		EXPECT_EQ(0, memcmp(&page->sregs, sets & KVM_SYNC_X86_SREGS ? &sregs : &poison.sregs,
				    sizeof(sregs)));
		EXPECT_EQ(0, memcmp(&page->events, sets & KVM_SYNC_X86_EVENTS ? &events : &poison.events,
				    offsetof(struct kvm_vcpu_events, reserved)));
		EXPECT_EQ(sets, run->kvm_valid_regs);
	}
}

TEST_F(sync, given_when_nothing_ran)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &counts);
	vcpu_get_regs(&self->vcpu, &regs);
	run->kvm_valid_regs = ALL;
	run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	EXPECT_EQ(0, memcmp(&run->s.regs.regs, &regs, sizeof(regs)));
}

TEST_F(sync, taken_once)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &counts);
	run->kvm_valid_regs = ALL;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run->kvm_valid_regs = 0;
	run->s.regs.regs.rbx = 100;
	run->s.regs.sregs.gdt.base = 0x77000;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(0u, run->kvm_dirty_regs);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(&self->vcpu, &regs);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(102u, regs.rbx);
	EXPECT_EQ(0x77000u, sregs.gdt.base);
}

TEST_F(sync, an_event_is_delivered)
{
	struct kvm_run *run = self->vcpu.run;
	struct guest_trap trap;

	guest_load(&self->vcpu, &counts);
	vcpu_get_events(&self->vcpu, &run->s.regs.events);
	run->s.regs.events.exception.injected = 1;
	run->s.regs.events.exception.nr = UD_VECTOR;
	run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE, trap.rip);
	EXPECT_EQ(0u, run->kvm_dirty_regs);
}

/* Before the access that is open is finished, as KVM_SET_REGS would be. */
TEST_F(sync, taken_before_an_open_access_is_finished)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &reads);
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	*((u8 *)run + run->io.data_offset) = 0x34;
	run->s.regs.regs.rax = 0x1200;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x1234u, regs.rcx);
}

/* What comes before a bad set is taken, it and what follows are not. */
TEST_F(sync, bad_sregs_are_refused)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &counts);
	run->kvm_valid_regs = ALL;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run->kvm_valid_regs = 0;
	run->s.regs.regs.rbx = 100;
	run->s.regs.sregs.gdt.base = 0x77000;
	run->s.regs.sregs.cr4 &= ~CR4_PAE;
	run->kvm_dirty_regs = ALL;
	EXPECT_EQ(-EINVAL, __vcpu_run(&self->vcpu));
	EXPECT_EQ(KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS, run->kvm_dirty_regs);
	vcpu_get_regs(&self->vcpu, &regs);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(100u, regs.rbx);
	EXPECT_EQ(GUEST_GDT, sregs.gdt.base);
}

TEST_F(sync, bad_events_are_refused)
{
	struct kvm_run *run = self->vcpu.run;

	guest_load(&self->vcpu, &counts);
	vcpu_get_events(&self->vcpu, &run->s.regs.events);
	run->s.regs.events.exception.injected = 1;
	run->s.regs.events.exception.nr = 32;
	run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	EXPECT_EQ(-EINVAL, __vcpu_run(&self->vcpu));
	EXPECT_EQ(KVM_SYNC_X86_EVENTS, run->kvm_dirty_regs);
	run->kvm_dirty_regs = 0;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
}

/* State that entry would refuse, behind the back of the check. */
struct racer {
	struct kvm_run *run;
	volatile bool stop;
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	volatile struct kvm_sync_regs *page = &racer->run->s.regs;
	u64 cr4 = page->sregs.cr4;

	while (!racer->stop) {
		racer->run->kvm_dirty_regs = ALL;
		page->sregs.cr4 = cr4 & ~CR4_PAE;
		page->events.exception.nr = 255;
		page->sregs.cr4 = cr4;
		page->events.exception.nr = UD_VECTOR;
	}
	return NULL;
}

TEST_F_TIMEOUT(sync, changed_while_they_are_taken, LONG_TEST_SECONDS)
{
	struct racer racer = { self->vcpu.run, false };
	struct kvm_run *run = self->vcpu.run;
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	pthread_t thread;

	guest_load(&self->vcpu, &counts);
	run->kvm_valid_regs = ALL;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run->kvm_valid_regs = 0;
	run->s.regs.events.exception.injected = 1;
	ASSERT_EQ(0, pthread_create(&thread, NULL, race, &racer));
	for (int i = 0; i < 2000; i++) {
		int ret = __vcpu_run(&self->vcpu);

		ASSERT_TRUE(ret == 0 || ret == -EINVAL);
		vcpu_get_sregs(&self->vcpu, &sregs);
		vcpu_get_events(&self->vcpu, &events);
		ASSERT_NE(0u, sregs.cr4 & CR4_PAE);
		ASSERT_GT(32, events.exception.nr);
	}
	racer.stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_HARNESS_MAIN
