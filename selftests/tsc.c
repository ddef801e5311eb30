// SPDX-License-Identifier: GPL-2.0
/* The time-stamp counter: its rate, its value, TSC_ADJUST, and who moves which. */
#include <x86intrin.h>

#include "lib/harness.h"
#include "lib/machine.h"

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

GUEST_PROGRAM(reads_twice, LONG,
	      "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %rbx\n out %al, $0x10\n"
	      "rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub %rbx, %rax\n hlt");

/* A stretch of time by the guest's counter, and by the host's from inside and outside. */
struct stretch {
	u64 guest, inner, outer;
};

static struct stretch measure(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	u64 begin = __rdtsc(), middle;
	struct stretch stretch;
	struct kvm_regs regs;

	guest_load(vcpu, &reads_twice);
	vcpu_run_until(vcpu, KVM_EXIT_IO);
	middle = __rdtsc();
	while (__rdtsc() - middle < 10000000)
		;
	stretch.inner = __rdtsc() - middle;
	run_to_halt(_metadata, vcpu, LONG);
	stretch.outer = __rdtsc() - begin;
	vcpu_get_regs(vcpu, &regs);
	stretch.guest = regs.rax;
	return stretch;
}

TEST_F(tsc, scaled)
{
	struct stretch stretch;
	u32 khz;

	if (device_cap(KVM_CAP_TSC_CONTROL) <= 0)
		SKIP(return, "the device has no KVM_CAP_TSC_CONTROL");
	khz = __fd_ioctl(self->vcpu.fd, KVM_GET_TSC_KHZ, 0);
	ASSERT_EQ(0, __fd_ioctl(self->vcpu.fd, KVM_SET_TSC_KHZ, khz / 2));
	EXPECT_EQ((int)khz / 2, __fd_ioctl(self->vcpu.fd, KVM_GET_TSC_KHZ, 0));
	stretch = measure(_metadata, &self->vcpu);
	EXPECT_LT(stretch.inner / 2 * 99 / 100, stretch.guest);
	EXPECT_GT(stretch.outer / 2 * 101 / 100, stretch.guest);
}

/* Without scaling a guest cannot have a slower counter than the host. */
TEST_F(tsc, not_scaled)
{
	u32 khz = __fd_ioctl(self->vcpu.fd, KVM_GET_TSC_KHZ, 0);

	if (device_cap(KVM_CAP_TSC_CONTROL) > 0)
		SKIP(return, "the device has KVM_CAP_TSC_CONTROL");
	EXPECT_EQ(-EINVAL, __fd_ioctl(self->vcpu.fd, KVM_SET_TSC_KHZ, khz / 2));
}

/* Userspace that resets all counters, one after the other, wants them in step. */
TEST_F(tsc, written_alike_they_agree)
{
	struct vcpu second;
	u64 last = 0;

	vcpu_create(&self->vm, &second, 1);
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC, 0));
	ASSERT_EQ(1, __vcpu_set_msr(&second, MSR_TSC, 0));
	for (int i = 0; i < 20; i++) {
		u64 value = vcpu_get_msr(i % 2 ? &second : &self->vcpu, MSR_TSC);

		EXPECT_LT(last, value);
		last = value;
	}
	EXPECT_GT(FAR, last);
	vcpu_destroy(&second);
}

TEST_F(tsc, a_new_vcpu_joins_the_others)
{
	struct vcpu second;
	u64 first, value;

	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_TSC, 0));
	vcpu_create(&self->vm, &second, 1);
	ASSERT_EQ(1, __vcpu_set_msr(&second, MSR_TSC, 0));
	first = vcpu_get_msr(&self->vcpu, MSR_TSC);
	value = vcpu_get_msr(&second, MSR_TSC);
	EXPECT_LE(first, value);
	EXPECT_GT(FAR, value);
	vcpu_destroy(&second);
}

FIXTURE_MACHINE(deadline, KERNEL_IRQCHIP, 1)

/* The deadline is there in its mode only, and userspace may save and restore it. */
TEST_F(deadline, saved_and_restored)
{
	struct vcpu *vcpu = &self->m.vcpu[0];
	struct kvm_lapic_state state;

	SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_TSC_DEADLINE, FAR));
	EXPECT_EQ(0u, vcpu_get_msr(vcpu, MSR_TSC_DEADLINE));
	vcpu_get_lapic(vcpu, &state);
	lapic_set_reg(&state, APIC_SVR, 0x1ff);
	lapic_set_reg(&state, APIC_LVTT, LVT_DEADLINE | 0x61);
	vcpu_set_lapic(vcpu, &state);
	ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_TSC_DEADLINE, FAR));
	EXPECT_EQ(FAR, vcpu_get_msr(vcpu, MSR_TSC_DEADLINE));
	ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_TSC_DEADLINE, 0));
	EXPECT_EQ(0u, vcpu_get_msr(vcpu, MSR_TSC_DEADLINE));
}

TEST_HARNESS_MAIN
