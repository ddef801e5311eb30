// SPDX-License-Identifier: GPL-2.0
/* Port I/O in every width: data out, data into RAX, and where RIP is meanwhile. */
#include "lib/harness.h"

#define ONES 0xfedcba9876543210ul

TEST_GUEST_ROWS

GUEST_ROW(out_imm_8, LONG, "out %al, $0x7f",
	  .in = { .rax = ONES }, .out = { .rax = ONES },
	  .steps = { OUT(0x7f, 1, 0x10) });
GUEST_ROW(out_imm_16, LONG, "out %ax, $0x80",
	  .in = { .rax = ONES }, .out = { .rax = ONES },
	  .steps = { OUT(0x80, 2, 0x3210) });
GUEST_ROW(out_imm_32, LONG, "out %eax, $0xff",
	  .in = { .rax = ONES }, .out = { .rax = ONES },
	  .steps = { OUT(0xff, 4, 0x76543210) });
GUEST_ROW(out_dx_8, LONG, "out %al, %dx",
	  .in = { .rax = ONES, .rdx = 0xabcd03f8 },
	  .out = { .rax = ONES, .rdx = 0xabcd03f8 },
	  .steps = { OUT(0x3f8, 1, 0x10) });
GUEST_ROW(out_dx_16, LONG, "out %ax, %dx",
	  .in = { .rax = ONES, .rdx = 0xffff }, .out = { .rax = ONES, .rdx = 0xffff },
	  .steps = { OUT(0xffff, 2, 0x3210) });
GUEST_ROW(out_dx_32, LONG, "out %eax, %dx",
	  .in = { .rax = ONES, .rdx = 0xcf8 }, .out = { .rax = ONES, .rdx = 0xcf8 },
	  .steps = { OUT(0xcf8, 4, 0x76543210) });
GUEST_ROW(in_8_merges, LONG, "in %dx, %al",
	  .in = { .rax = ONES, .rdx = 0x60 },
	  .out = { .rax = 0xfedcba98765432a5, .rdx = 0x60 },
	  .steps = { IN(0x60, 1, 0xa5) });
GUEST_ROW(in_16_merges, LONG, "in $0x61, %ax",
	  .in = { .rax = ONES }, .out = { .rax = 0xfedcba987654c3a5 },
	  .steps = { IN(0x61, 2, 0xc3a5) });
GUEST_ROW(in_32_zero_extends, LONG, "in %dx, %eax",
	  .in = { .rax = ONES, .rdx = 0xcfc },
	  .out = { .rax = 0x87654321, .rdx = 0xcfc },
	  .steps = { IN(0xcfc, 4, 0x87654321) });
GUEST_ROW(all_in_turn, LONG,
	  "in $1, %al\n out %al, $2\n in $3, %ax\n out %ax, $4\n"
	  "in $5, %eax\n out %eax, $6",
	  .out = { .rax = 0x12345678 },
	  .steps = { IN(1, 1, 0x99), OUT(2, 1, 0x99), IN(3, 2, 0x9876),
		     OUT(4, 2, 0x9876), IN(5, 4, 0x12345678),
		     OUT(6, 4, 0x12345678) });
GUEST_ROW(loop_of_out, LONG, "1: out %al, $0x10\n inc %al\n loop 1b",
	  .in = { .rax = 1, .rcx = 3 }, .out = { .rax = 4 },
	  .steps = { OUT(0x10, 1, 1), OUT(0x10, 1, 2), OUT(0x10, 1, 3) });
GUEST_ROW(out_port_7e, LONG, "out %al, $0x7e\n inc %eax",
	  .in = { .rax = 7 }, .out = { .rax = 8 },
	  .steps = { OUT(0x7e, 1, 7) });
GUEST_ROW(real_out_8, REAL, "out %al, %dx\n inc %ax",
	  .in = { .rax = ONES, .rdx = 0xe9 },
	  .out = { .rax = 0xfedcba9876543211, .rdx = 0xe9 },
	  .steps = { OUT(0xe9, 1, 0x10) });
GUEST_ROW(real_out_32, REAL, "out %eax, %dx",
	  .in = { .rax = 0xdeadbeef, .rdx = 0x500 },
	  .out = { .rax = 0xdeadbeef, .rdx = 0x500 },
	  .steps = { OUT(0x500, 4, 0xdeadbeef) });
GUEST_ROW(real_in_16, REAL, "in %dx, %ax",
	  .in = { .rax = 0x11111111, .rdx = 0x1f0 },
	  .out = { .rax = 0x11112222, .rdx = 0x1f0 },
	  .steps = { IN(0x1f0, 2, 0x2222) });
GUEST_ROW(prot_in_32, PROT, "in %dx, %eax\n out %ax, %dx",
	  .in = { .rdx = 0x70 }, .out = { .rax = 0xcafe1234, .rdx = 0x70 },
	  .steps = { IN(0x70, 4, 0xcafe1234), OUT(0x70, 2, 0x1234) });
GUEST_ROW(compat_in_8, COMPAT, "in $0x71, %al",
	  .in = { .rax = 0x55555555 }, .out = { .rax = 0x555555aa },
	  .steps = { IN(0x71, 1, 0xaa) });

GUEST_PROGRAM(in_then_halt, LONG, "in %dx, %eax\n hlt\n nop\n nop\n inc %rbx\n hlt");
GUEST_PROGRAM(out_then_halt, LONG, "out %eax, %dx\n hlt\n nop\n nop\n inc %rbx\n hlt");
#define AFTER_HALT 4	/* from the start to the second half of both */

FIXTURE_ONE_VCPU(completion)

TEST_F(completion, rip_stays_on_in)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &in_then_halt);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE, regs.rip);
	EXPECT_EQ(0u, regs.rax);
	*(u32 *)((u8 *)self->vcpu.run + self->vcpu.run->io.data_offset) = 0x1234;
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 2, regs.rip);
	EXPECT_EQ(0x1234u, regs.rax);
}

GUEST_PROGRAM(out_then_in, LONG, "out %eax, %dx\n in %dx, %eax\n hlt");

/* Not every client answers for every port: what was in the buffer must not come back. */
TEST_F(completion, an_unanswered_read_is_0)
{
	struct row_regs row = { .rax = ONES, .rdx = 0x70 };
	struct kvm_regs regs;

	guest_load(&self->vcpu, &out_then_in);
	row_set_regs(&self->vcpu, &row);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rax);
}

GUEST_PROGRAM(out_7e, LONG, "out %al, $0x7e\n hlt");

/* There QEMU patches the code of a guest that has called it, by RIP behind the instruction. */
TEST_F(completion, rip_is_behind_out_7e)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &out_7e);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 2, regs.rip);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

static void move_rip_at_io(struct vcpu *vcpu, const struct guest_program *program)
{
	struct kvm_regs regs;

	guest_load(vcpu, program);
	vcpu_run_until(vcpu, KVM_EXIT_IO);
	*(u32 *)((u8 *)vcpu->run + vcpu->run->io.data_offset) = 0x1234;
	vcpu_get_regs(vcpu, &regs);
	regs.rip = GUEST_CODE + AFTER_HALT;
	regs.rax = 77;
	regs.rbx = 1;
	vcpu_set_regs(vcpu, &regs);
}

TEST_F(completion, in_is_dropped_when_rip_moves)
{
	struct kvm_regs regs;

	move_rip_at_io(&self->vcpu, &in_then_halt);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(77u, regs.rax);
	EXPECT_EQ(2u, regs.rbx);
	EXPECT_EQ(GUEST_CODE + AFTER_HALT + 4, regs.rip);
}

TEST_F(completion, out_is_not_skipped_when_rip_moves)
{
	struct kvm_regs regs;

	move_rip_at_io(&self->vcpu, &out_then_halt);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(77u, regs.rax);
	EXPECT_EQ(2u, regs.rbx);
	EXPECT_EQ(GUEST_CODE + AFTER_HALT + 4, regs.rip);
}

TEST_F(completion, data_area_is_inside_the_mapping)
{
	guest_load(&self->vcpu, &in_then_halt);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_GE(self->vcpu.run->io.data_offset, sizeof(struct kvm_run));
	EXPECT_LE(self->vcpu.run->io.data_offset + 4096, self->vcpu.run_size);
}

TEST_HARNESS_MAIN
