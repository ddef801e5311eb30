// SPDX-License-Identifier: GPL-2.0
/* The run page's fields that are new on every return, whatever the reason for it. */
#include "lib/harness.h"

GUEST_PROGRAM(changes, LONG,
	      "sti\n nop\n out %al, $0x10\n cli\n out %al, $0x11\n"
	      "mov $6, %eax\n mov %rax, %cr8\n in $0x12, %al\n sti\n nop\n hlt");
GUEST_PROGRAM(touches, LONG, "sti\n nop\n mov 0x30000, %eax\n hlt");

FIXTURE_ONE_VCPU(run_page)

static void poison(struct kvm_run *run)
{
	run->if_flag = 0x55;
	run->cr8 = 0x5555;
	run->apic_base = 0x5555;
	run->ready_for_interrupt_injection = 0x55;
	run->flags = 0x5555;
}

static void expect_fields(struct __test_metadata *_metadata, struct kvm_run *run,
			  u8 if_flag, u64 cr8)
{
	EXPECT_EQ(if_flag, run->if_flag);
	EXPECT_EQ(if_flag, run->ready_for_interrupt_injection);
	EXPECT_EQ(cr8, run->cr8);
	EXPECT_EQ(0xfee00900u, run->apic_base);
	EXPECT_EQ(0, run->flags);
}

TEST_F(run_page, fields_on_every_exit)
{
	struct kvm_run *run = self->vcpu.run;
	static const struct {
		u32 exit;
		u8 if_flag;
		u64 cr8;
	} exits[] = {
		{ KVM_EXIT_IO, 1, 0 }, { KVM_EXIT_IO, 0, 0 },
		{ KVM_EXIT_IO, 0, 6 }, { KVM_EXIT_HLT, 1, 6 },
	};

	guest_load(&self->vcpu, &changes);
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++) {
		u64 cr8 = i ? exits[i - 1].cr8 : 0;

		poison(run);
		run->cr8 = cr8;
		vcpu_run_until(&self->vcpu, exits[i].exit);
		expect_fields(_metadata, run, exits[i].if_flag, exits[i].cr8);
	}
}

TEST_F(run_page, fields_on_immediate_exit)
{
	struct kvm_run *run = self->vcpu.run;

	guest_load(&self->vcpu, &changes);
	poison(run);
	run->cr8 = 0;
	run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	expect_fields(_metadata, run, 0, 0);
}

TEST_F(run_page, fields_on_an_error)
{
	struct kvm_run *run = self->vcpu.run;

	guest_load(&self->vcpu, &touches);
	vm_set_memory(&self->vm, 0, 0, 0, 0, NULL);
	vm_set_memory(&self->vm, 0, 0, 0, 0x30000, self->vm.ram);
	vm_set_memory(&self->vm, 1, 0, 0x30000, 4096, NULL);
	poison(run);
	run->cr8 = 0;
	EXPECT_EQ(-EFAULT, __vcpu_run(&self->vcpu));
	expect_fields(_metadata, run, 1, 0);
}

/* Without an in-kernel APIC, the run page is the way in for CR8. */
TEST_F(run_page, cr8_is_taken_from_it)
{
	struct kvm_sregs sregs;

	guest_load(&self->vcpu, &changes);
	self->vcpu.run->cr8 = 4;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(4u, sregs.cr8);
	EXPECT_EQ(4u, self->vcpu.run->cr8);
}

TEST_F(run_page, bad_cr8_is_refused)
{
	guest_load(&self->vcpu, &changes);
	self->vcpu.run->cr8 = 0x10;
	EXPECT_EQ(-EINVAL, __vcpu_run(&self->vcpu));
}

TEST_HARNESS_MAIN
