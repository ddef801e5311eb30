// SPDX-License-Identifier: GPL-2.0
/* KVM_SET_GUEST_DEBUG: userspace steps the guest and has breakpoints in it. */
#include "lib/harness.h"

#define DR6_FIXED	0xffff0ff0ul
#define DR6_BD		0x2000ul
#define DR6_BS		0x4000ul
#define DR7_FIXED	0x400ul
#define DR7_GD		0x2000ul
#define DR7_ON(i)	(2ul << 2 * (i))
#define DR7_WRITE(i)	(0xdul << (16 + 4 * (i)))	/* four bytes */
#define DR7_ACCESS(i)	(0xful << (16 + 4 * (i)))

FIXTURE_ONE_VCPU(guest_debug)

static const struct deviation no_steps = {
	.bochs_amd = BOCHS_STEPS,
};

static const struct deviation lost_dr6 = {
	.bochs_amd = "Bochs does not store DR6 for an intercepted #DB",
};

static const struct deviation no_bp = {
	.qemu = "QEMU's INT3 is not intercepted",
};

static const struct deviation no_soft = {
	.bochs_amd = BOCHS_SOFT,
};

static void set_control(struct vcpu *vcpu, u32 control)
{
	struct kvm_guest_debug debug = { .control = control };

	vcpu_set_guest_debug(vcpu, &debug);
}

/* One breakpoint of userspace's. */
static void set_breakpoint(struct vcpu *vcpu, int i, u64 address, u64 dr7)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg = { [7] = DR7_FIXED | DR7_ON(i) | dr7 },
	};

	debug.arch.debugreg[i] = address;
	vcpu_set_guest_debug(vcpu, &debug);
}

static void set_rip(struct vcpu *vcpu, u64 rip)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rip = rip;
	vcpu_set_regs(vcpu, &regs);
}

static void set_rsp(struct vcpu *vcpu, u64 rsp)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rsp = rsp;
	vcpu_set_regs(vcpu, &regs);
}

static u64 get_rbx(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	return regs.rbx;
}

static void run_to_debug(struct __test_metadata *_metadata, struct vcpu *vcpu, u32 vector, u64 offset)
{
	struct kvm_regs regs;

	vcpu_run_until(vcpu, KVM_EXIT_DEBUG);
	ASSERT_EQ(vector, vcpu->run->debug.arch.exception);
	ASSERT_EQ(GUEST_CODE + offset, vcpu->run->debug.arch.pc);
	vcpu_get_regs(vcpu, &regs);
	ASSERT_EQ(GUEST_CODE + offset, regs.rip);
}

TEST_F(guest_debug, capabilities)
{
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_SET_GUEST_DEBUG));
	EXPECT_EQ(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
		  KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |
		  KVM_GUESTDBG_BLOCKIRQ,
		  __vm_check_extension(&self->vm, KVM_CAP_SET_GUEST_DEBUG2));
}

GUEST_PROGRAM(works, LONG, "nop\n nop\n nop\n nop\n movl $1, 0x30000\n mov 0x30000, %ebx\n hlt");
#define WORKS_LOAD 15
#define WORKS_HLT 22

GUEST_PROGRAM(has_int3, LONG, "nop\n int3\n inc %rbx\n hlt");

TEST_F(guest_debug, software_breakpoint)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &no_bp))
		return;
	guest_load(&self->vcpu, &has_int3);
	set_control(&self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	run_to_debug(_metadata, &self->vcpu, BP_VECTOR, 1);
	set_rip(&self->vcpu, GUEST_CODE + 2);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1u, get_rbx(&self->vcpu));

	/* Stock KVM injects the guest's own. */
	if (!device_is_vmlet() && skip_here(_metadata, &no_soft))
		return;
	guest_restart(&self->vcpu);
	set_control(&self->vcpu, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, BP_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 2, trap.rip);
}

/* One that is not userspace's: the guest gets it. */
TEST_F(guest_debug, software_breakpoint_is_handed_on)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &no_bp) || skip_here(_metadata, &no_soft))
		return;
	guest_load(&self->vcpu, &has_int3);
	set_control(&self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	run_to_debug(_metadata, &self->vcpu, BP_VECTOR, 1);
	set_control(&self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP);
	run_to_trap(_metadata, &self->vcpu, LONG, BP_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 2, trap.rip);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1u, get_rbx(&self->vcpu));
}

TEST_F(guest_debug, code_breakpoints)
{
	if (skip_here(_metadata, &lost_dr6))
		return;
	guest_load(&self->vcpu, &works);
	for (int i = 0; i < 4; i++) {
		set_breakpoint(&self->vcpu, i, GUEST_CODE + i, 0);
		run_to_debug(_metadata, &self->vcpu, DB_VECTOR, i);
		EXPECT_EQ(DR6_FIXED | 1 << i, self->vcpu.run->debug.arch.dr6);
		EXPECT_EQ(DR7_FIXED | DR7_ON(i), self->vcpu.run->debug.arch.dr7);
	}
	set_control(&self->vcpu, 0);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(guest_debug, data_breakpoints)
{
	if (skip_here(_metadata, &lost_dr6))
		return;
	for (int i = 0; i < 4; i++) {
		guest_load(&self->vcpu, &works);
		set_breakpoint(&self->vcpu, i, 0x30000, DR7_WRITE(i));
		run_to_debug(_metadata, &self->vcpu, DB_VECTOR, WORKS_LOAD);
		EXPECT_EQ(DR6_FIXED | 1 << i, self->vcpu.run->debug.arch.dr6);
		set_breakpoint(&self->vcpu, i, 0x30000, DR7_ACCESS(i));
		run_to_debug(_metadata, &self->vcpu, DB_VECTOR, WORKS_HLT);
		EXPECT_EQ(DR6_FIXED | 1 << i, self->vcpu.run->debug.arch.dr6);
		EXPECT_EQ(1u, get_rbx(&self->vcpu));
	}
}

GUEST_PROGRAM(breaks_itself, LONG,
	      "lea 1f(%rip), %rax\n mov %rax, %dr0\n mov $0x402, %eax\n mov %rax, %dr7\n"
	      "nop\n1: nop\n nop\n mov %dr0, %rcx\n mov %dr7, %rbx\n hlt");
#define OWN_BREAK 19

/* The guest's own do not count meanwhile, but it reads and writes them as ever. */
TEST_F(guest_debug, breakpoints_of_the_guest_are_hidden)
{
	struct kvm_debugregs regs;
	struct guest_trap trap;

	if (skip_here(_metadata, &lost_dr6))
		return;
	guest_load(&self->vcpu, &breaks_itself);
	set_breakpoint(&self->vcpu, 1, GUEST_CODE + OWN_BREAK + 1, 0);
	run_to_debug(_metadata, &self->vcpu, DB_VECTOR, OWN_BREAK + 1);
	EXPECT_EQ(DR6_FIXED | 2, self->vcpu.run->debug.arch.dr6);
	vcpu_get_debugregs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + OWN_BREAK, regs.db[0]);
	EXPECT_EQ(0x402u, regs.dr7);
	EXPECT_EQ(DR6_FIXED, regs.dr6);
	set_breakpoint(&self->vcpu, 1, 0, 0);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0x402u, get_rbx(&self->vcpu));

	guest_restart(&self->vcpu);
	set_control(&self->vcpu, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + OWN_BREAK, trap.rip);
}

GUEST_PROGRAM(reads_dr, LONG, "nop\n mov %dr0, %rax\n inc %rbx\n hlt");

static const struct deviation no_general_detect = {
	.qemu = "QEMU has no DR7.GD, and stock KVM relies on it",
	.bochs_amd = "Bochs does not store DR6 for an intercepted #DB",
};

TEST_F(guest_debug, general_detect)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
		.arch.debugreg[7] = DR7_FIXED | DR7_GD,
	};

	if (skip_here(_metadata, device_is_vmlet() ? &lost_dr6 : &no_general_detect))
		return;
	guest_load(&self->vcpu, &reads_dr);
	vcpu_set_guest_debug(&self->vcpu, &debug);
	run_to_debug(_metadata, &self->vcpu, DB_VECTOR, 1);
	EXPECT_EQ(DR6_FIXED | DR6_BD, self->vcpu.run->debug.arch.dr6);
	EXPECT_EQ(DR7_FIXED | DR7_GD, self->vcpu.run->debug.arch.dr7);
	set_control(&self->vcpu, 0);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1u, get_rbx(&self->vcpu));
}

TEST_F(guest_debug, injected_db)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB,
	};
	struct guest_trap trap;

	guest_load(&self->vcpu, &works);
	vcpu_set_guest_debug(&self->vcpu, &debug);
	EXPECT_EQ(-EBUSY, __vcpu_set_guest_debug(&self->vcpu, &debug));
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE, trap.rip);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

/* Behind the instruction, whatever that is. */
TEST_F(guest_debug, injected_bp)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP,
	};
	struct guest_trap trap;

	if (skip_here(_metadata, &no_soft))
		return;
	if (!device_is_vmlet())
		SKIP(return, "stock KVM takes its length from an earlier exit, or drops it");
	/* The second is cut short by a fault of the second-level tables. */
	for (int i = 0; i < 2; i++) {
		guest_load(&self->vcpu, &works);
		set_rsp(&self->vcpu, i ? 0x61000 : GUEST_STACK);
		vcpu_set_guest_debug(&self->vcpu, &debug);
		run_to_trap(_metadata, &self->vcpu, LONG, BP_VECTOR, &trap);
		EXPECT_EQ(GUEST_CODE + 1, trap.rip);
		run_to_halt(_metadata, &self->vcpu, LONG);
	}
}

TEST_F(guest_debug, nmi_is_blocked)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &no_steps))
		return;
	guest_load(&self->vcpu, &works);
	set_control(&self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_debug(_metadata, &self->vcpu, DB_VECTOR, 1);
	run_to_debug(_metadata, &self->vcpu, DB_VECTOR, 2);
	set_control(&self->vcpu, 0);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 2, trap.rip);
	EXPECT_EQ(0u, trap.rflags & RFLAGS_TF);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(guest_debug, trap_flag_is_not_shown)
{
	struct kvm_regs regs;

	if (skip_here(_metadata, &no_steps))
		return;
	guest_load(&self->vcpu, &works);
	set_control(&self->vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rflags & RFLAGS_TF);
	vcpu_set_regs(&self->vcpu, &regs);
	run_to_debug(_metadata, &self->vcpu, DB_VECTOR, 1);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rflags & RFLAGS_TF);
	set_control(&self->vcpu, 0);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

/* Steps: where the guest is after each, and what else exits on the way there. */
#define STEPS 10
#define AT_START 0xff

FIXTURE(steps) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(steps) {
	struct guest_program program;
	struct row_regs in;
	u8 stops[STEPS];	/* offsets; 0 ends */
	u32 other;		/* exit reason between steps */
	u8 others;		/* mask of the steps before which it comes */
	struct deviation deviation;
	bool not_stock_intel;
};
FIXTURE_SETUP(steps)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &variant->program);
}
FIXTURE_TEARDOWN(steps)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define STEPS_ROW(id, guest_mode, insns, ...)				\
GUEST_CODE_BYTES(id, BITS_##guest_mode, insns);				\
FIXTURE_VARIANT_ADD(steps, id) {					\
	.program = { guest_mode, id##_start, id##_end }, __VA_ARGS__	\
}

STEPS_ROW(plain, LONG, "nop\n xor %eax, %eax\n jmp 1f\n nop\n1: hlt",
	  .stops = { 1, 3, 6 });
STEPS_ROW(plain_real, REAL, "nop\n xor %ax, %ax\n nop", .stops = { 1, 3, 4 });
STEPS_ROW(plain_prot, PROT, "nop\n xor %eax, %eax\n nop", .stops = { 1, 3, 4 });
STEPS_ROW(exiting, LONG, "cpuid\n rdmsr\n nop", .in = { .rcx = 0x174 },
	  .stops = { 2 });
STEPS_ROW(rdmsr, LONG, "mov $0x174, %ecx\n rdmsr\n wrmsr\n nop\n mov %cr0, %rax\n mov %rax, %cr0\n nop",
	  .stops = { 5, 7, 9, 10, 13, 16, 17 });
STEPS_ROW(sti, LONG, "sti\n nop\n cli\n nop", .stops = { 1, 2, 3, 4 });
/* No trap behind a move to SS. */
STEPS_ROW(mov_ss, LONG, "mov %ss, %ax\n mov %ax, %ss\n nop\n nop", .stops = { 3, 6, 7 });
STEPS_ROW(mov_ss_exit, LONG, "mov %ss, %si\n mov %si, %ss\n cpuid\n nop", .stops = { 3, 7, 8 },
	  .not_stock_intel = true);
STEPS_ROW(iret, LONG,
	  "push $0x10\n push $0xf000\n pushf\n push $0x08\n lea 1f(%rip), %rax\n push %rax\n iretq\n nop\n1: nop",
	  .stops = { 2, 7, 8, 10, 17, 18, 21, 22 });
STEPS_ROW(rep_movs, LONG, "rep movsb\n nop",
	  .in = { .rcx = 3, .rsi = GUEST_DATA, .rdi = 0x30000 }, .stops = { AT_START, AT_START, 2, 3 },
	  .deviation.qemu = "QEMU traps once more before it leaves a repeated instruction");
STEPS_ROW(out, LONG, "out %al, $0x80\n nop", .stops = { 2, 3 },
	  .other = KVM_EXIT_IO, .others = 1);
STEPS_ROW(in, LONG, "in $0x80, %al\n nop", .stops = { 2, 3 },
	  .other = KVM_EXIT_IO, .others = 1);
STEPS_ROW(mmio, LONG, "mov (%rcx), %eax\n nop", .in = { .rcx = MMIO_BASE }, .stops = { 2, 3 },
	  .other = KVM_EXIT_MMIO, .others = 1);
STEPS_ROW(hlt, LONG, "nop\n hlt\n nop\n nop", .stops = { 1, 3, 4 },
	  .other = KVM_EXIT_HLT, .others = 2);

static void one_step(struct __test_metadata *_metadata, struct vcpu *vcpu, u64 offset)
{
	run_to_debug(_metadata, vcpu, DB_VECTOR, offset);
	ASSERT_EQ(DR6_FIXED | DR6_BS, vcpu->run->debug.arch.dr6);
}

TEST_F(steps, one_by_one)
{
	struct vcpu *vcpu = &self->vcpu;

	if (skip_here(_metadata, &no_steps) || skip_here(_metadata, &variant->deviation))
		return;
	if (variant->not_stock_intel && !device_is_vmlet() && !host_is_amd())
		SKIP(return, "stock KVM traps once more");
	row_set_regs(vcpu, &variant->in);
	for (int i = 0; i < STEPS && variant->stops[i]; i++) {
		set_control(vcpu, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
		if (variant->others >> i & 1)
			vcpu_run_until(vcpu, variant->other);
		one_step(_metadata, vcpu, variant->stops[i] == AT_START ? 0 : variant->stops[i]);
	}
}

TEST_HARNESS_MAIN
