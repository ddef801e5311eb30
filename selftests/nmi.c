// SPDX-License-Identifier: GPL-2.0
/* KVM_NMI: delivered whatever IF says, and blocked until the handler's IRET. */
#include "lib/harness.h"

GUEST_PROGRAM(waits_real, REAL, "hlt\n inc %bx\n hlt");
GUEST_PROGRAM(waits_prot, PROT, "hlt\n inc %ebx\n hlt");
GUEST_PROGRAM(waits_pae, PAE, "hlt\n inc %ebx\n hlt");
GUEST_PROGRAM(waits_long, LONG, "hlt\n inc %ebx\n hlt");

FIXTURE_ONE_VCPU(nmi)

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
	static const struct guest_program *const programs[] = {
		&waits_real, &waits_prot, &waits_pae, &waits_long,
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		expect_nmi(_metadata, &self->vcpu, programs[i]);
}

/* Without virtual NMIs, the end of IRET is found by single-stepping over it. */
static const struct deviation step_into_host = {
	.bochs_amd = BOCHS_STEPS,
};

TEST_F(nmi, second_waits_for_iret)
{
	struct kvm_vcpu_events events;
	struct guest_trap first, second;

	if (skip_here(_metadata, &step_into_host))
		return;
	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &first);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.pending);

	vcpu_nmi(&self->vcpu, NULL);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.nmi.pending);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &second);
	EXPECT_EQ(first.rip, second.rip);
	EXPECT_EQ(first.rsp, second.rsp);

	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(0, events.nmi.masked);
	EXPECT_EQ(0, events.nmi.pending);
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
	struct kvm_regs regs;

	guest_load(&self->vcpu, &waits_long);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rsp = 0x61000;
	vcpu_set_regs(&self->vcpu, &regs);
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	EXPECT_EQ(0x61000u - 40, trap.rsp);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_HARNESS_MAIN
