// SPDX-License-Identifier: GPL-2.0
/* Exceptions of the guest reach the guest: vector, error code, frame and CR2. */
#include "lib/harness.h"

FIXTURE(exception) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(exception) {
	struct guest_program program;
	struct row_regs in;
	int vector;
	u64 error;
	u64 offset;	/* of the saved RIP in the program */
	u64 cr2;	/* checked for #PF */
	struct deviation deviation;
};
FIXTURE_SETUP(exception)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &variant->program);
}
FIXTURE_TEARDOWN(exception)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define EXCEPTION_ROW(id, guest_mode, insns, ...)			\
GUEST_CODE_BYTES(id, BITS_##guest_mode, insns "\n hlt");		\
FIXTURE_VARIANT_ADD(exception, id) {					\
	.program = { guest_mode, id##_start, id##_end }, __VA_ARGS__	\
}

/*
 * Software interrupts whose delivery is cut short by a fault of the second-level
 * tables are repeated by the hypervisor. With what delivery needs touched before, the
 * CPU delivers them by itself.
 */
#define TOUCH "push %rax\n pop %rax\n push 0x1000\n push 0x2000\n pop %rax\n pop %rax\n"
#define TOUCH_REAL "push 0\n pop %ax\n"
#define TOUCHED 18
#define TOUCHED_REAL 5

EXCEPTION_ROW(de_long, LONG, "nop\n div %ecx", .vector = DE_VECTOR, .offset = 1);
EXCEPTION_ROW(de_prot, PROT, "nop\n div %ecx", .vector = DE_VECTOR, .offset = 1);
EXCEPTION_ROW(de_real, REAL, "nop\n div %cx", .vector = DE_VECTOR, .offset = 1);
EXCEPTION_ROW(bp_long, LONG, TOUCH "int3\n nop", .vector = BP_VECTOR,
	      .offset = TOUCHED + 1);
EXCEPTION_ROW(bp_real, REAL, TOUCH_REAL "int3\n nop", .vector = BP_VECTOR,
	      .offset = TOUCHED_REAL + 1);
EXCEPTION_ROW(int_80, LONG, TOUCH "int $0x80\n nop", .vector = 0x80,
	      .offset = TOUCHED + 2);
EXCEPTION_ROW(db_icebp, LONG, TOUCH ".byte 0xf1\n nop", .vector = DB_VECTOR,
	      .offset = TOUCHED + 1);
EXCEPTION_ROW(bp_first_touch, LONG, "int3\n nop", .vector = BP_VECTOR, .offset = 1,
	      .deviation.bochs_amd = BOCHS_SOFT);
EXCEPTION_ROW(int_80_first_touch, LONG, "int $0x80\n nop", .vector = 0x80, .offset = 2,
	      .deviation.bochs_amd = BOCHS_SOFT);
EXCEPTION_ROW(db_icebp_first_touch, LONG, ".byte 0xf1\n nop", .vector = DB_VECTOR,
	      .offset = 1, .deviation.bochs_amd = BOCHS_SOFT);
EXCEPTION_ROW(ud_long, LONG, "nop\n ud2", .vector = UD_VECTOR, .offset = 1);
EXCEPTION_ROW(ud_real, REAL, "nop\n ud2", .vector = UD_VECTOR, .offset = 1);
EXCEPTION_ROW(ud_compat, COMPAT, "nop\n ud2", .vector = UD_VECTOR, .offset = 1);
EXCEPTION_ROW(db_single_step, LONG,
	      "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop",
	      .vector = DB_VECTOR, .offset = 10);
EXCEPTION_ROW(gp_non_canonical, LONG, "mov (%rcx), %eax",
	      .in = { .rcx = 0x8000000000000000 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_selector, LONG, "mov %ecx, %ds",
	      .in = { .rcx = 0x1008 }, .vector = GP_VECTOR, .error = 0x1008);
EXCEPTION_ROW(np_interrupt_gate_beyond_limit, PROT,
	      "subl $16, (%ecx)\n lidt (%ecx)\n int $0xff",
	      .in = { .rcx = GUEST_DATA }, .vector = GP_VECTOR,
	      .error = 0xff * 8 + 2, .offset = 6);
EXCEPTION_ROW(gp_cr0_pg_without_pe, PROT, "mov %ecx, %cr0",
	      .in = { .rcx = 0x80000010 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_cr0_nw_without_cd, LONG, "mov %rcx, %cr0",
	      .in = { .rcx = 0xa0000031 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_cr0_high_bits, LONG, "mov %rcx, %cr0",
	      .in = { .rcx = 0x180000031 }, .vector = GP_VECTOR,
	      .deviation.qemu = "QEMU does not check the upper half of CR0");
EXCEPTION_ROW(gp_cr4_reserved, LONG, "mov %rcx, %cr4",
	      .in = { .rcx = 0x40000620 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_cr4_pae_off_in_long_mode, LONG, "mov %rcx, %cr4",
	      .in = { .rcx = 0x600 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_cr3_reserved, LONG, "mov %rcx, %cr3",
	      .in = { .rcx = 0xc000000000003000 }, .vector = GP_VECTOR,
	      .deviation.qemu = "QEMU does not check reserved bits of CR3");
EXCEPTION_ROW(gp_cr8_reserved, LONG, "mov %rcx, %cr8",
	      .in = { .rcx = 0x10 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_efer_reserved, LONG, "wrmsr",
	      .in = { .rcx = 0xc0000080, .rax = 0x10002 | 0x500 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_efer_lme_off_while_paging, LONG, "wrmsr",
	      .in = { .rcx = 0xc0000080, .rax = 0 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_unknown_msr_read, LONG, "rdmsr",
	      .in = { .rcx = 0x12345678 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_unknown_msr_write, LONG, "wrmsr",
	      .in = { .rcx = 0x12345678 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_xsetbv_without_x87, LONG,
	      "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n"
	      "xor %eax, %eax\n xsetbv",
	      .vector = GP_VECTOR, .offset = 13);
EXCEPTION_ROW(gp_xsetbv_bad_register, LONG,
	      "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n"
	      "mov $1, %eax\n xsetbv",
	      .in = { .rcx = 5 }, .vector = GP_VECTOR, .offset = 16);
EXCEPTION_ROW(ud_xsetbv_without_osxsave, LONG, "xsetbv", .vector = UD_VECTOR,
	      .deviation.qemu = "QEMU intercepts XSETBV before it checks CR4.OSXSAVE");
EXCEPTION_ROW(pf_not_present, LONG, "nop\n mov (%rcx), %eax",
	      .in = { .rcx = UNMAPPED_GVA + 0x123 }, .vector = PF_VECTOR,
	      .offset = 1, .cr2 = UNMAPPED_GVA + 0x123);
EXCEPTION_ROW(pf_write, LONG, "mov %eax, (%rcx)",
	      .in = { .rcx = UNMAPPED_GVA }, .vector = PF_VECTOR, .error = 2,
	      .cr2 = UNMAPPED_GVA);
EXCEPTION_ROW(pf_fetch, LONG,
	      "mov $0xc0000080, %ecx\n rdmsr\n or $0x800, %eax\n wrmsr\n"
	      "mov $0x40000000, %ecx\n jmp *%rcx",
	      .vector = PF_VECTOR, .error = 0x10, .cr2 = UNMAPPED_GVA,
	      .offset = UNMAPPED_GVA - GUEST_CODE);
EXCEPTION_ROW(pf_readonly_page, LONG,
	      "andl $~2, 0x5008\n invlpg 0x200000\n movl $1, 0x200000",
	      .vector = PF_VECTOR, .error = 3, .cr2 = 0x200000, .offset = 16);
EXCEPTION_ROW(pf_prot_pae, PAE, "mov %eax, (%ecx)",
	      .in = { .rcx = UNMAPPED_GVA }, .vector = PF_VECTOR, .error = 2,
	      .cr2 = UNMAPPED_GVA);
EXCEPTION_ROW(pf_paged, PAGED, "mov (%ecx), %eax",
	      .in = { .rcx = UNMAPPED_GVA }, .vector = PF_VECTOR,
	      .cr2 = UNMAPPED_GVA);
EXCEPTION_ROW(nm_task_switched, LONG,
	      "mov %cr0, %rax\n or $8, %eax\n mov %rax, %cr0\n movq %xmm0, %rbx",
	      .vector = 7, .offset = 9);
EXCEPTION_ROW(xm_sse_unmasked, LONG,
	      "movl $0x1d80, 0xc000\n ldmxcsr 0xc000\n mov $1, %eax\n cvtsi2ss %eax, %xmm0\n"
	      "xorps %xmm1, %xmm1\n divss %xmm1, %xmm0\n",
	      .vector = 19, .offset = 31,
	      .deviation.qemu = "QEMU raises no exceptions for SSE arithmetic");
EXCEPTION_ROW(gp_rdpmc, LONG, "rdpmc", .in = { .rcx = 0x123456 }, .vector = GP_VECTOR);
EXCEPTION_ROW(ud_rsm, LONG, "rsm", .vector = UD_VECTOR);
EXCEPTION_ROW(gp_wrmsr_apic_base_reserved, LONG, "wrmsr",
	      .in = { .rcx = 0x1b, .rax = 0xfee00401 }, .vector = GP_VECTOR);
EXCEPTION_ROW(gp_mov_dr7_upper_half, LONG, "mov %rcx, %dr7",
	      .in = { .rcx = 1ul << 32 }, .vector = GP_VECTOR);
EXCEPTION_ROW(ss_non_canonical_stack, LONG, "mov (%rsp,%rcx), %eax",
	      .in = { .rcx = 0x8000000000000000 }, .vector = 12,
	      .deviation.qemu = "QEMU raises #GP where the stack segment calls for #SS");
/* Into ring 3, where the same instructions are not allowed. */
#define TO_RING_3 "push $0x2b\n push $0xf800\n push $2\n push $0x23\n" \
		  "lea 1f(%rip), %rax\n push %rax\n iretq\n1: "
#define RING_3 21
EXCEPTION_ROW(user_hlt, LONG, TO_RING_3 "hlt", .vector = GP_VECTOR, .offset = RING_3);
EXCEPTION_ROW(user_out, LONG, TO_RING_3 "out %al, $0x80", .vector = GP_VECTOR,
	      .offset = RING_3);
EXCEPTION_ROW(user_in, LONG, TO_RING_3 "in $0x80, %al", .vector = GP_VECTOR,
	      .offset = RING_3);
EXCEPTION_ROW(user_insb, LONG, TO_RING_3 "insb", .vector = GP_VECTOR,
	      .offset = RING_3);
EXCEPTION_ROW(user_rdmsr, LONG, TO_RING_3 "rdmsr", .vector = GP_VECTOR,
	      .offset = RING_3);
EXCEPTION_ROW(user_wbinvd, LONG, TO_RING_3 "wbinvd", .vector = GP_VECTOR,
	      .offset = RING_3,
	      .deviation.qemu = "QEMU intercepts WBINVD before it checks the privilege level");
EXCEPTION_ROW(user_mov_cr0, LONG, TO_RING_3 "mov %cr0, %rax", .vector = GP_VECTOR,
	      .offset = RING_3);
EXCEPTION_ROW(user_mov_dr7, LONG, TO_RING_3 "mov %dr7, %rax", .vector = GP_VECTOR,
	      .offset = RING_3);
EXCEPTION_ROW(user_xsetbv, LONG,
	      "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n"
	      TO_RING_3 "xsetbv", .vector = GP_VECTOR, .offset = RING_3 + 11);
EXCEPTION_ROW(user_page_fault, LONG, TO_RING_3 "mov 0x40000000, %eax",
	      .vector = PF_VECTOR, .error = 4, .offset = RING_3,
	      .cr2 = UNMAPPED_GVA);

TEST_F(exception, frame)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &variant->deviation))
		return;
	*(u16 *)(self->vm.ram + GUEST_DATA) = 0xff * 8 + 15;
	*(u32 *)(self->vm.ram + GUEST_DATA + 2) = GUEST_IDT;
	row_set_regs(&self->vcpu, &variant->in);
	run_to_trap(_metadata, &self->vcpu, variant->program.mode,
		    variant->vector, &trap);
	EXPECT_EQ(variant->error, trap.error);
	EXPECT_EQ(GUEST_CODE + variant->offset, trap.rip);
	if (variant->vector == PF_VECTOR)
		expect_cr2(_metadata, &self->vcpu, variant->cr2);
}

GUEST_PROGRAM(divides, LONG, "nop\n div %ecx\n inc %rbx\n hlt");

FIXTURE_ONE_VCPU(resume)

/* The handler returns to the instruction, which then succeeds. */
TEST_F(resume, after_the_cause_is_gone)
{
	struct row_regs row = { .rax = 6 };
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &divides);
	row_set_regs(&self->vcpu, &row);
	run_to_trap(_metadata, &self->vcpu, LONG, DE_VECTOR, &trap);
	row.rcx = 3;
	row_set_regs(&self->vcpu, &row);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(2u, regs.rax);
	EXPECT_EQ(1u, regs.rbx);
	EXPECT_EQ(GUEST_STACK, regs.rsp);
}

/* A fault on the way into a handler becomes a double fault. */
GUEST_PROGRAM(gp_then_np, LONG, "movl $0, 0x20d4\n mov (%rcx), %eax\n hlt");

TEST_F(resume, double_fault)
{
	struct row_regs row = { .rcx = 0x8000000000000000 };
	struct guest_trap trap;

	guest_load(&self->vcpu, &gp_then_np);
	row_set_regs(&self->vcpu, &row);
	run_to_trap(_metadata, &self->vcpu, LONG, DF_VECTOR, &trap);
	EXPECT_EQ(0u, trap.error);
}

TEST_HARNESS_MAIN
