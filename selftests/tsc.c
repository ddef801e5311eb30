// SPDX-License-Identifier: GPL-2.0
/* The time-stamp counter: its rate, its value, TSC_ADJUST, and who moves which. */
#include "lib/harness.h"

#define MSR_TSC		0x10
#define MSR_TSC_ADJUST	0x3b
#define MSR_TSC_AUX	0xc0000103
#define FAR		(1ull << 45)	/* much more than any run of this takes */

GUEST_PROGRAM(reads_tsc, LONG, "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n hlt");
GUEST_PROGRAM(writes_msr, LONG, "wrmsr\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n hlt");
GUEST_PROGRAM(user_rdtsc, LONG,
	      "mov %cr4, %rax\n or $4, %eax\n mov %rax, %cr4\n"
	      "push $0x2b\n push $0xf800\n push $2\n push $0x23\n"
	      "lea 1f(%rip), %rax\n push %rax\n iretq\n1: rdtsc\n ud2");
GUEST_PROGRAM(reads_aux, LONG, "rdtscp\n hlt");

FIXTURE_ONE_VCPU(tsc)

static u64 guest_rax(struct __test_metadata *_metadata, struct vcpu *vcpu,
		     const struct guest_program *program, u32 index, u64 value)
{
	struct row_regs row = {
		.rcx = index, .rax = (u32)value, .rdx = value >> 32,
	};
	struct kvm_regs regs;

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
	run_to_halt(_metadata, vcpu, LONG);
	vcpu_get_regs(vcpu, &regs);
	return regs.rax;
}

TEST_F(tsc, frequency)
{
	int vm = __fd_ioctl(self->vm.fd, KVM_GET_TSC_KHZ, 0);
	int vcpu = __fd_ioctl(self->vcpu.fd, KVM_GET_TSC_KHZ, 0);

	EXPECT_LT(0, vm);
	EXPECT_EQ(vm, vcpu);
	EXPECT_EQ(0, __fd_ioctl(self->vcpu.fd, KVM_SET_TSC_KHZ, vcpu));
	EXPECT_EQ(0, __fd_ioctl(self->vcpu.fd, KVM_SET_TSC_KHZ, 0));
	EXPECT_EQ(vcpu, __fd_ioctl(self->vcpu.fd, KVM_GET_TSC_KHZ, 0));
}

TEST_F(tsc, userspace_moves_it)
{
	u64 value;

	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC, FAR));
	value = vcpu_get_msr(&self->vcpu, MSR_TSC);
	EXPECT_LE(FAR, value);
	EXPECT_GT(2 * FAR, value);
	value = guest_rax(_metadata, &self->vcpu, &reads_tsc, 0, 0);
	EXPECT_LE(FAR, value);
	EXPECT_GT(2 * FAR, value);
	EXPECT_LE(value, vcpu_get_msr(&self->vcpu, MSR_TSC));
}

TEST_F(tsc, runs_on_from_exit_to_exit)
{
	u64 last = 0;

	for (int i = 0; i < 20; i++) {
		u64 now = guest_rax(_metadata, &self->vcpu, &reads_tsc, 0, 0);

		EXPECT_LT(last, now);
		last = now;
	}
}

TEST_F(tsc, the_guest_moves_it)
{
	u64 value = guest_rax(_metadata, &self->vcpu, &writes_msr, MSR_TSC, FAR);

	EXPECT_LE(FAR, value);
	EXPECT_GT(2 * FAR, value);
}

TEST_F(tsc, adjust_follows_the_guests_writes_only)
{
	EXPECT_EQ(0u, vcpu_get_msr(&self->vcpu, MSR_TSC_ADJUST));
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC, FAR));
	EXPECT_EQ(0u, vcpu_get_msr(&self->vcpu, MSR_TSC_ADJUST));
	guest_rax(_metadata, &self->vcpu, &writes_msr, MSR_TSC, 4 * FAR);
	EXPECT_LT(2 * FAR, vcpu_get_msr(&self->vcpu, MSR_TSC_ADJUST));
	EXPECT_GT(4 * FAR, vcpu_get_msr(&self->vcpu, MSR_TSC_ADJUST));
}

TEST_F(tsc, adjust_by_the_guest_moves_the_counter)
{
	u64 value;

	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC, 0));
	value = guest_rax(_metadata, &self->vcpu, &writes_msr, MSR_TSC_ADJUST, FAR);
	EXPECT_LE(FAR, value);
	EXPECT_GT(2 * FAR, value);
	EXPECT_EQ(FAR, vcpu_get_msr(&self->vcpu, MSR_TSC_ADJUST));
}

/* Userspace restores both; the second must not undo the first. */
TEST_F(tsc, adjust_by_userspace_does_not_move_the_counter)
{
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC, 0));
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC_ADJUST, FAR));
	EXPECT_GT(FAR, vcpu_get_msr(&self->vcpu, MSR_TSC));
	EXPECT_EQ(FAR, vcpu_get_msr(&self->vcpu, MSR_TSC_ADJUST));
}

TEST_F(tsc, disabled_for_ring_3)
{
	struct guest_trap trap;

	guest_load(&self->vcpu, &user_rdtsc);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
}

TEST_F(tsc, rdtscp_reads_the_guests_aux)
{
	struct kvm_cpuid_entry2 *ext;
	struct kvm_regs regs;

	ext = cpuid_find(supported_cpuid(self->vm.dev), 0x80000001, 0);
	if (!(ext->edx & 1 << 27))
		SKIP(return, "RDTSCP is not offered");
	guest_load(&self->vcpu, &reads_aux);
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC_AUX, 0x1234abcd));
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x1234abcdu, regs.rcx);
	EXPECT_EQ(0x1234abcdu, vcpu_get_msr(&self->vcpu, MSR_TSC_AUX));
}

TEST_HARNESS_MAIN
