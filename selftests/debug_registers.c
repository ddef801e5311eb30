// SPDX-License-Identifier: GPL-2.0
/* Debug registers: through the API, in the guest, and a breakpoint that the guest set. */
#include "lib/harness.h"

FIXTURE_ONE_VCPU(debug)

static const struct deviation lost_dr6 = {
	.bochs_amd = "Bochs does not store DR6 for an intercepted #DB",
};

static const struct deviation step_into_host = {
	.bochs_amd = BOCHS_STEPS,
};

GUEST_PROGRAM(reads_all, LONG,
	      "mov %dr0, %rax\n mov %dr1, %rbx\n mov %dr2, %rcx\n mov %dr3, %rdx\n"
	      "mov %dr6, %rsi\n mov %dr7, %rdi\n hlt");

TEST_F(debug, set_is_what_the_guest_reads)
{
	struct row_regs expected = {
		.rax = 0x1000, .rbx = 0x2000, .rcx = 0x3000, .rdx = 0x4000,
		.rsi = 0xffff4ff0, .rdi = 0x400,
	};
	struct kvm_debugregs set = {
		.db = { 0x1000, 0x2000, 0x3000, 0x4000 },
		.dr6 = 0xffff4ff0, .dr7 = 0x400,
	}, got;

	guest_load(&self->vcpu, &reads_all);
	vcpu_set_debugregs(&self->vcpu, &set);
	run_to_halt(_metadata, &self->vcpu, LONG);
	row_expect_regs(_metadata, &self->vcpu, &expected);
	vcpu_get_debugregs(&self->vcpu, &got);
	EXPECT_EQ(0, memcmp(&set, &got, sizeof(got)));
}

GUEST_PROGRAM(reads_32_bits, PROT, "mov %dr0, %eax\n mov %dr3, %ebx\n hlt");

TEST_F(debug, a_register_of_32_bits_gets_32)
{
	struct row_regs in = { .rbx = ~0ull }, expected = { .rax = 0x9abcdef0, .rbx = 0x1000 };
	struct kvm_debugregs set = {
		.db = { 0x123456789abcdef0, 0, 0, 0xffff800000001000 }, .dr6 = 0xffff0ff0, .dr7 = 0x400,
	};

	guest_load(&self->vcpu, &reads_32_bits);
	row_set_regs(&self->vcpu, &in);
	vcpu_set_debugregs(&self->vcpu, &set);
	run_to_halt(_metadata, &self->vcpu, PROT);
	row_expect_regs(_metadata, &self->vcpu, &expected);
}

GUEST_PROGRAM(writes_all, LONG,
	      "mov $0x5000, %eax\n mov %rax, %dr0\n mov $0x6000, %eax\n mov %rax, %dr1\n"
	      "mov $0x7000, %eax\n mov %rax, %dr2\n mov $0x8000, %eax\n mov %rax, %dr3\n"
	      "hlt\n mov %dr0, %rbx\n hlt");

TEST_F(debug, the_guests_are_what_get_returns)
{
	struct kvm_debugregs got;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &writes_all);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_debugregs(&self->vcpu, &got);
	for (u64 i = 0; i < 4; i++)
		EXPECT_EQ(0x5000 + i * 0x1000, got.db[i]);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x5000u, regs.rbx);
}

TEST_F(debug, bad_values)
{
	struct kvm_debugregs before, bad, after;

	vcpu_get_debugregs(&self->vcpu, &before);
	bad = before;
	bad.dr6 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, __vcpu_set_debugregs(&self->vcpu, &bad));
	bad = before;
	bad.dr7 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, __vcpu_set_debugregs(&self->vcpu, &bad));
	bad = before;
	bad.flags = 1;
	EXPECT_EQ(-EINVAL, __vcpu_set_debugregs(&self->vcpu, &bad));
	vcpu_get_debugregs(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
}

GUEST_PROGRAM(breaks, LONG,
	      "lea 1f(%rip), %rax\n mov %rax, %dr0\n mov $0x402, %eax\n mov %rax, %dr7\n"
	      "nop\n1: inc %rbx\n mov %dr6, %rcx\n hlt");

TEST_F(debug, instruction_breakpoint_of_the_guest)
{
	struct guest_trap trap;
	struct kvm_debugregs got;
	struct kvm_regs regs;

	if (skip_here(_metadata, &lost_dr6))
		return;
	guest_load(&self->vcpu, &breaks);
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rbx);
	vcpu_get_debugregs(&self->vcpu, &got);
	EXPECT_EQ(got.db[0], trap.rip);
	EXPECT_EQ(1u, got.dr6 & 0xf);
}

GUEST_PROGRAM(watches, LONG,
	      "mov $0x30000, %eax\n mov %rax, %dr1\n mov $0xd00408, %eax\n mov %rax, %dr7\n"
	      "incl 0x2fff0\n movl $1, 0x30000\n inc %rbx\n hlt");

TEST_F(debug, data_breakpoint_of_the_guest)
{
	struct guest_trap trap;
	struct kvm_debugregs got;

	if (skip_here(_metadata, &lost_dr6))
		return;
	guest_load(&self->vcpu, &watches);
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
	vcpu_get_debugregs(&self->vcpu, &got);
	EXPECT_EQ(2u, got.dr6 & 0xf);
	EXPECT_EQ(1u, *(u32 *)(self->vm.ram + 0x30000));
}

GUEST_PROGRAM(dr4_with_de, LONG,
	      "mov %cr4, %rax\n or $8, %eax\n mov %rax, %cr4\n mov %dr4, %rbx\n hlt");

TEST_F(debug, dr4_is_undefined_with_debug_extensions)
{
	struct guest_trap trap;

	guest_load(&self->vcpu, &dr4_with_de);
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
}

GUEST_PROGRAM(steps_over_cpuid, LONG,
	      "pushf\n orl $0x100, (%rsp)\n popf\n cpuid\n nop\n hlt");

/* Single step over an instruction that exits: the trap comes behind it, not later. */
TEST_F(debug, single_step_over_an_exit)
{
	struct guest_trap trap;
	struct kvm_debugregs got;

	if (skip_here(_metadata, &step_into_host))
		return;
	guest_load(&self->vcpu, &steps_over_cpuid);
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 11, trap.rip);
	vcpu_get_debugregs(&self->vcpu, &got);
	EXPECT_EQ(1u << 14, got.dr6 & 1 << 14);
}

TEST_HARNESS_MAIN
