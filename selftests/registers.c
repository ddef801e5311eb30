// SPDX-License-Identifier: GPL-2.0
/* KVM_{GET,SET}_REGS: all sixteen, RIP and RFLAGS, there and back. */
#include "lib/harness.h"

#define PUSH_ALL \
	"push %r15\n push %r14\n push %r13\n push %r12\n push %r11\n push %r10\n" \
	"push %r9\n push %r8\n push %rdi\n push %rsi\n push %rbp\n push %rbx\n" \
	"push %rdx\n push %rcx\n push %rax\n"

GUEST_PROGRAM(pushes_all, LONG, PUSH_ALL "hlt");
GUEST_PROGRAM(loads_all, LONG,
	      "mov $1, %eax\n mov $2, %ebx\n mov $3, %ecx\n mov $4, %edx\n mov $5, %esi\n"
	      "mov $6, %edi\n mov $7, %esp\n mov $8, %ebp\n mov $9, %r8d\n mov $10, %r9d\n"
	      "mov $11, %r10d\n mov $12, %r11d\n mov $13, %r12d\n mov $14, %r13d\n"
	      "mov $15, %r14d\n mov $16, %r15d\n std\n stc\n hlt");
GUEST_PROGRAM(exits_inside, LONG,
	      "1: xor %eax, %eax\n xor %ecx, %ecx\n cpuid\n dec %ebp\n jnz 1b\n hlt");

GUEST_PROGRAM(halts, LONG, "hlt");

FIXTURE_ONE_VCPU(registers)

TEST_F(registers, set_is_what_the_guest_has)
{
	struct kvm_regs regs = {
		.rax = 0x1111111111111111, .rcx = 0x2222222222222222,
		.rdx = 0x3333333333333333, .rbx = 0x4444444444444444,
		.rbp = 0x5555555555555555, .rsi = 0x6666666666666666,
		.rdi = 0x7777777777777777, .r8 = 0x8888888888888888,
		.r9 = 0x9999999999999999, .r10 = 0xaaaaaaaaaaaaaaaa,
		.r11 = 0xbbbbbbbbbbbbbbbb, .r12 = 0xcccccccccccccccc,
		.r13 = 0xdddddddddddddddd, .r14 = 0xeeeeeeeeeeeeeeee,
		.r15 = 0xffffffffffffffff, .rsp = GUEST_STACK,
		.rip = GUEST_CODE, .rflags = RFLAGS_FIXED,
	};
	u64 *stack = (u64 *)(self->vm.ram + GUEST_STACK - 15 * 8);

	guest_load(&self->vcpu, &pushes_all);
	vcpu_set_regs(&self->vcpu, &regs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	for (u64 i = 0; i < 15; i++)
		EXPECT_EQ((i + 1) * 0x1111111111111111, stack[i]);
}

TEST_F(registers, the_guests_are_what_get_returns)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &loads_all);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	{
		struct kvm_regs expected = {
			.rax = 1, .rbx = 2, .rcx = 3, .rdx = 4, .rsi = 5, .rdi = 6,
			.rsp = 7, .rbp = 8, .r8 = 9, .r9 = 10, .r10 = 11, .r11 = 12,
			.r12 = 13, .r13 = 14, .r14 = 15, .r15 = 16,
			.rip = GUEST_CODE + (loads_all.end - loads_all.start),
			.rflags = RFLAGS_FIXED | RFLAGS_DF | 1,
		};

		EXPECT_EQ(0, memcmp(&expected, &regs, sizeof(regs)));
	}
}

TEST_F(registers, flags_have_their_fixed_bit)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &pushes_all);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rflags = 0;
	vcpu_set_regs(&self->vcpu, &regs);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(RFLAGS_FIXED, regs.rflags);
}

/* Those that no exit has to touch are kept over many. */
TEST_F(registers, kept_through_exits)
{
	struct kvm_regs before, after;

	guest_load(&self->vcpu, &exits_inside);
	vcpu_get_regs(&self->vcpu, &before);
	before.rbp = 5000;
	before.rsi = 0x0123456789abcdef;
	before.rdi = before.r8 = ~before.rsi;
	before.r9 = before.r15 = before.rsi << 1;
	before.r10 = before.r14 = before.rsi >> 1;
	before.r11 = before.r12 = before.r13 = 0x5a5a5a5a5a5a5a5a;
	vcpu_set_regs(&self->vcpu, &before);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &after);
	EXPECT_EQ(0u, after.rbp);
	EXPECT_EQ(before.rsp, after.rsp);
	EXPECT_EQ(before.rsi, after.rsi);
	EXPECT_EQ(before.rdi, after.rdi);
	EXPECT_EQ(0, memcmp(&before.r8, &after.r8, 8 * sizeof(u64)));
}

/* Whoever executes the instruction: a breakpoint on the next one would be missed. */
TEST_F(registers, resume_flag_ends_with_an_instruction)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &halts);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rflags |= RFLAGS_RF;
	vcpu_set_regs(&self->vcpu, &regs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(RFLAGS_FIXED, regs.rflags);
}

TEST_HARNESS_MAIN
