// SPDX-License-Identifier: GPL-2.0
/*
 * State that the API takes and the CPU does not: VM entry fails, userspace is told,
 * and the vCPU is good again as soon as its state is.
 */
#include "lib/harness.h"

GUEST_PROGRAM(halts, LONG, "inc %rbx\n hlt");

FIXTURE_ONE_VCPU(invalid)

static const struct deviation hangs = {
	.bochs_amd = "Bochs hangs after a VMRUN that fails",
};

TEST_F(invalid, code_segment_of_two_sizes)
{
	struct kvm_sregs good, bad;
	struct kvm_regs regs;

	if (skip_here(_metadata, &hangs))
		return;
	guest_load(&self->vcpu, &halts);
	vcpu_get_sregs(&self->vcpu, &good);
	bad = good;
	bad.cs.db = 1;
	vcpu_set_sregs(&self->vcpu, &bad);
	for (int i = 0; i < 3; i++) {
		vcpu_run_until(&self->vcpu, KVM_EXIT_FAIL_ENTRY);
		EXPECT_NE(0u, self->vcpu.run->fail_entry.hardware_entry_failure_reason);
	}
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rbx);

	/* QEMU's failed entries leave another RIP behind. */
	vcpu_set_sregs(&self->vcpu, &good);
	guest_restart(&self->vcpu);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
}

/* Another vCPU of the same VM has nothing to do with it. */
TEST_F(invalid, does_not_spread)
{
	struct kvm_sregs sregs;
	struct vcpu second;

	if (skip_here(_metadata, &hangs))
		return;
	vcpu_create(&self->vm, &second, 1);
	guest_load(&self->vcpu, &halts);
	guest_load(&second, &halts);
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.cs.db = 1;
	vcpu_set_sregs(&self->vcpu, &sregs);
	vcpu_run_until(&self->vcpu, KVM_EXIT_FAIL_ENTRY);
	run_to_halt(_metadata, &second, LONG);
	vcpu_destroy(&second);
}

TEST_HARNESS_MAIN
