// SPDX-License-Identifier: GPL-2.0
/* KVM_NMI: delivered whatever IF says, and blocked until the handler's IRET. */
#include "lib/harness.h"

GUEST_PROGRAM(waits_real, REAL, "hlt\n inc %bx\n hlt");
GUEST_PROGRAM(waits_prot, PROT, "hlt\n inc %ebx\n hlt");
GUEST_PROGRAM(waits_pae, PAE, "hlt\n inc %ebx\n hlt");
GUEST_PROGRAM(waits_long, LONG, "hlt\n inc %ebx\n hlt");

FIXTURE_ONE_VCPU(nmi)

static const struct guest_program *const programs[] = {
	&waits_real, &waits_prot, &waits_pae, &waits_long,
};

static void expect_nmi(struct __test_metadata *_metadata, struct vcpu *vcpu,
		       const struct guest_program *program)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(vcpu, program);
	run_to_halt(_metadata, vcpu, program->mode);
	vcpu_nmi(vcpu, NULL);
	run_to_trap(_metadata, vcpu, program->mode, NMI_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 1, trap.rip);
	run_to_halt(_metadata, vcpu, program->mode);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
}

TEST_F(nmi, delivered_with_interrupts_off)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		expect_nmi(_metadata, &self->vcpu, programs[i]);
}

/* Without virtual NMIs, the end of IRET is found by single-stepping over it. */
static const struct deviation step_into_host = {
	.bochs_amd = BOCHS_STEPS,
};

static void expect_second(struct __test_metadata *_metadata, struct vcpu *vcpu,
			  const struct guest_program *program)
{
	struct kvm_vcpu_events events;
	struct guest_trap first, second;

	guest_load(vcpu, program);
	run_to_halt(_metadata, vcpu, program->mode);
	vcpu_nmi(vcpu, NULL);
	run_to_trap(_metadata, vcpu, program->mode, NMI_VECTOR, &first);
	vcpu_get_events(vcpu, &events);
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.pending);

	vcpu_nmi(vcpu, NULL);
	vcpu_get_events(vcpu, &events);
	EXPECT_EQ(1, events.nmi.pending);
	run_to_trap(_metadata, vcpu, program->mode, NMI_VECTOR, &second);
	EXPECT_EQ(first.rip, second.rip);
	EXPECT_EQ(first.rsp, second.rsp);
	EXPECT_EQ(0u, second.rflags & RFLAGS_TF);

	run_to_halt(_metadata, vcpu, program->mode);
	vcpu_get_events(vcpu, &events);
	EXPECT_EQ(0, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.pending);
}

TEST_F(nmi, second_waits_for_iret)
{
	if (skip_here(_metadata, &step_into_host))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		expect_second(_metadata, &self->vcpu, programs[i]);
}

static void move_stack(struct vcpu *vcpu, u64 rsp)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rsp = rsp;
	vcpu_set_regs(vcpu, &regs);
}

/* IRET that the second-level tables do not let finish has not finished. */
TEST_F(nmi, second_waits_for_iret_behind_a_violation)
{
	struct guest_trap first, second;

	if (skip_here(_metadata, &step_into_host))
		return;
	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	move_stack(&self->vcpu, 0x61000);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &first);
	vcpu_nmi(&self->vcpu, NULL);
	vm_set_memory(&self->vm, 0, 0, 0, 0, self->vm.ram);
	vm_set_memory(&self->vm, 0, 0, 0, RAM_SIZE, self->vm.ram);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &second);
	EXPECT_EQ(first.rip, second.rip);
	EXPECT_EQ(first.rsp, second.rsp);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

/*
 * IRET that faults. VT-x lets NMIs in from then on, AMD-V behind the next IRET; both let
 * the second in once, and no frame shows how the hypervisor waited for that.
 */
TEST_F(nmi, iret_that_faults)
{
	int seen[32] = {};
	struct guest_trap trap;
	struct kvm_regs regs;
	u64 *cs;

	if (skip_here(_metadata, &step_into_host))
		return;
	if (!device_is_vmlet() && host_is_amd())
		SKIP(return, "stock KVM's single step is in the frame");
	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	vcpu_nmi(&self->vcpu, NULL);
	cs = (u64 *)(self->vm.ram + trap.rsp + 8);
	*cs = 0x1008;
	while (vcpu_run_until(&self->vcpu, KVM_EXIT_HLT),
	       guest_trap(&self->vcpu, LONG, &trap) >= 0) {
		ASSERT_LT(trap.vector, 32);
		ASSERT_EQ(1, ++seen[trap.vector]);
		EXPECT_EQ(0u, trap.rflags & RFLAGS_TF);
		if (trap.vector == GP_VECTOR)
			*cs = SEL_CODE64;
	}
	EXPECT_EQ(1, seen[NMI_VECTOR]);
	EXPECT_EQ(1, seen[GP_VECTOR]);
	EXPECT_EQ(0, seen[DB_VECTOR]);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
	EXPECT_EQ(0u, regs.rflags & RFLAGS_TF);
}

GUEST_PROGRAM(in_shadow, LONG, "nop\n nop\n hlt");
GUEST_PROGRAM(faults_in_shadow, LONG, "div %ecx\n hlt");

static void pend_in_shadow(struct vcpu *vcpu, u8 shadow)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, &regs);
	vcpu_get_events(vcpu, &events);
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	events.nmi.pending = 1;
	events.nmi.masked = 0;
	events.interrupt.shadow = shadow;
	vcpu_set_events(vcpu, &events);
}

static const u8 shadows[] = { KVM_X86_SHADOW_INT_STI, KVM_X86_SHADOW_INT_MOV_SS };

TEST_F(nmi, waits_in_a_shadow)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &step_into_host))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(shadows); i++) {
		guest_load(&self->vcpu, &in_shadow);
		pend_in_shadow(&self->vcpu, shadows[i]);
		run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
		EXPECT_EQ(GUEST_CODE + 1, trap.rip);
		EXPECT_EQ(RFLAGS_IF, trap.rflags & (RFLAGS_IF | RFLAGS_TF));
		run_to_halt(_metadata, &self->vcpu, LONG);
	}
}

/* The shadow ends with a fault, too: the NMI comes at its handler's first instruction. */
TEST_F(nmi, fault_in_a_shadow)
{
	struct guest_trap trap;

	if (skip_here(_metadata, &step_into_host))
		return;
	if (!device_is_vmlet() && host_is_amd())
		SKIP(return, "stock KVM's single step is in the frame");
	for (size_t i = 0; i < ARRAY_SIZE(shadows); i++) {
		guest_load(&self->vcpu, &faults_in_shadow);
		pend_in_shadow(&self->vcpu, shadows[i]);
		run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
		EXPECT_EQ(GUEST_STUBS + DE_VECTOR * 16, trap.rip);
		run_to_trap(_metadata, &self->vcpu, LONG, DE_VECTOR, &trap);
		EXPECT_EQ(GUEST_CODE, trap.rip);
		EXPECT_EQ(0u, trap.rflags & RFLAGS_TF);
	}
}

/* The CPU remembers one, and so does whoever saves its state. */
TEST_F(nmi, merge_while_one_is_handled)
{
	struct kvm_vcpu_events events;
	struct guest_trap trap;

	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	vcpu_nmi(&self->vcpu, NULL);
	vcpu_nmi(&self->vcpu, NULL);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(1, events.nmi.pending);
	events.nmi.pending = 2;
	vcpu_set_events(&self->vcpu, &events);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.nmi.pending);
}

TEST_F(nmi, can_be_set_and_masked_through_events)
{
	struct kvm_vcpu_events events;
	struct guest_trap trap;

	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_events(&self->vcpu, &events);
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	events.nmi.pending = 1;
	vcpu_set_events(&self->vcpu, &events);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	run_to_halt(_metadata, &self->vcpu, LONG);

	guest_restart(&self->vcpu);
	vcpu_get_events(&self->vcpu, &events);
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	events.nmi.pending = 1;
	events.nmi.masked = 1;
	vcpu_set_events(&self->vcpu, &events);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(1, events.nmi.pending);
}

TEST_F(nmi, delivery_through_an_unmapped_stack)
{
	struct guest_trap trap;

	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	move_stack(&self->vcpu, 0x61000);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	EXPECT_EQ(0x61000u - 40, trap.rsp);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_HARNESS_MAIN
