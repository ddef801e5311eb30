// SPDX-License-Identifier: GPL-2.0
/*
 * immediate_exit: KVM_RUN finishes the I/O that is pending, enters no guest, leaves
 * exit_reason as it was and returns EINTR. This is how clients take snapshots.
 */
#include "lib/harness.h"

GUEST_PROGRAM(out_once, LONG, "out %al, $0x80\n inc %rbx\n hlt");
GUEST_PROGRAM(in_once, LONG, "in $0x80, %eax\n inc %rbx\n hlt");
GUEST_PROGRAM(read_once, LONG, "mov (%rcx), %eax\n inc %rbx\n hlt");
GUEST_PROGRAM(write_once, LONG, "mov %eax, (%rcx)\n inc %rbx\n hlt");

FIXTURE(immediate) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(immediate) {
	const struct guest_program *program;
	u32 exit;
	u64 rip;	/* offset, after completion */
	u64 rax;
};
FIXTURE_SETUP(immediate)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(immediate)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

FIXTURE_VARIANT_ADD(immediate, out) { &out_once, KVM_EXIT_IO, 2, 0 };
FIXTURE_VARIANT_ADD(immediate, in) { &in_once, KVM_EXIT_IO, 2, 0x55667788 };
FIXTURE_VARIANT_ADD(immediate, mmio_read) { &read_once, KVM_EXIT_MMIO, 2, 0x55667788 };
FIXTURE_VARIANT_ADD(immediate, mmio_write) { &write_once, KVM_EXIT_MMIO, 2, 0 };

static void answer(struct kvm_run *run)
{
	u32 data = 0x55667788;

	if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN)
		memcpy((u8 *)run + run->io.data_offset, &data, sizeof(data));
	else if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
		memcpy(run->mmio.data, &data, sizeof(data));
}

TEST_F(immediate, completes_and_stays_out)
{
	struct row_regs row = { .rcx = MMIO_BASE };
	struct vcpu *vcpu = &self->vcpu;
	struct kvm_regs regs;

	guest_load(vcpu, variant->program);
	row_set_regs(vcpu, &row);
	vcpu_run_until(vcpu, variant->exit);
	answer(vcpu->run);
	for (int i = 0; i < 2; i++) {
		vcpu->run->immediate_exit = 1;
		EXPECT_EQ(-EINTR, __vcpu_run(vcpu));
		EXPECT_EQ(variant->exit, vcpu->run->exit_reason);
		EXPECT_EQ(1, vcpu->run->immediate_exit);
		vcpu_get_regs(vcpu, &regs);
		EXPECT_EQ(GUEST_CODE + variant->rip, regs.rip);
		EXPECT_EQ(variant->rax, regs.rax);
		EXPECT_EQ(0u, regs.rbx);
	}
	vcpu->run->immediate_exit = 0;
	run_to_halt(_metadata, vcpu, LONG);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
	EXPECT_EQ(variant->rax, regs.rax);
}

FIXTURE_ONE_VCPU(fresh)

TEST_F(fresh, exit_reason_stays)
{
	guest_load(&self->vcpu, &out_once);
	self->vcpu.run->exit_reason = 77;
	self->vcpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	EXPECT_EQ(77u, self->vcpu.run->exit_reason);
	self->vcpu.run->immediate_exit = 0;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
}

GUEST_PROGRAM(read_over_pages, LONG, "mov 0xd0ffe, %eax\n inc %rbx\n hlt");

/* Of an access in two parts, the second is asked for before the call returns EINTR. */
TEST_F(fresh, second_part_of_an_access_comes_first)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &read_over_pages);
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(0xd0ffeu, run->mmio.phys_addr);
	memcpy(run->mmio.data, "\x11\x22", 2);
	run->immediate_exit = 1;
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(0xd1000u, run->mmio.phys_addr);
	EXPECT_EQ(2u, run->mmio.len);
	memcpy(run->mmio.data, "\x33\x44", 2);
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x44332211u, regs.rax);
	EXPECT_EQ(0u, regs.rbx);
}

TEST_HARNESS_MAIN
