// SPDX-License-Identifier: GPL-2.0
/* KVM_GET and KVM_SET_VCPU_EVENTS: saving, restoring and stuffing what is pending. */
#include "lib/harness.h"

GUEST_PROGRAM(waits, LONG, "hlt\n inc %rbx\n hlt");

FIXTURE(events) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_vcpu_events events;
};
FIXTURE_SETUP(events)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &waits);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_events(&self->vcpu, &self->events);
}
FIXTURE_TEARDOWN(events)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

TEST_F(events, flags_say_what_is_valid)
{
	EXPECT_EQ(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
		  self->events.flags & 7);
	EXPECT_EQ(0u, self->events.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
}

TEST_F(events, what_was_got_can_be_set)
{
	struct kvm_vcpu_events after;

	EXPECT_EQ(0, __vcpu_set_events(&self->vcpu, &self->events));
	vcpu_get_events(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&self->events, &after, sizeof(after)));
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(events, unknown_flags)
{
	self->events.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, __vcpu_set_events(&self->vcpu, &self->events));
}

TEST_F(events, payload_without_its_capability)
{
	self->events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT_EQ(-EINVAL, __vcpu_set_events(&self->vcpu, &self->events));
}

TEST_F(events, vectors_that_are_no_exceptions)
{
	self->events.exception.injected = 1;
	self->events.exception.nr = 32;
	EXPECT_EQ(-EINVAL, __vcpu_set_events(&self->vcpu, &self->events));
	self->events.exception.nr = NMI_VECTOR;
	EXPECT_EQ(-EINVAL, __vcpu_set_events(&self->vcpu, &self->events));
}

TEST_F(events, exception_with_error_code)
{
	struct guest_trap trap;

	self->events.exception.injected = 1;
	self->events.exception.nr = GP_VECTOR;
	self->events.exception.has_error_code = 1;
	self->events.exception.error_code = 0x1230;
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(1, self->events.exception.injected);
	EXPECT_EQ(GP_VECTOR, self->events.exception.nr);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(0x1230u, trap.error);
	EXPECT_EQ(GUEST_CODE + 1, trap.rip);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(0, self->events.exception.injected);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(events, exception_without_error_code)
{
	struct guest_trap trap;

	self->events.exception.injected = 1;
	self->events.exception.nr = UD_VECTOR;
	vcpu_set_events(&self->vcpu, &self->events);
	run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 1, trap.rip);
}

TEST_F(events, exception_through_an_unmapped_stack)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	vcpu_get_regs(&self->vcpu, &regs);
	regs.rsp = 0x61000;
	vcpu_set_regs(&self->vcpu, &regs);
	self->events.exception.injected = 1;
	self->events.exception.nr = GP_VECTOR;
	self->events.exception.has_error_code = 1;
	self->events.exception.error_code = 0x4560;
	vcpu_set_events(&self->vcpu, &self->events);
	run_to_trap(_metadata, &self->vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(0x4560u, trap.error);
	EXPECT_EQ(0x61000u - 48, trap.rsp);
}

TEST_F(events, interrupt)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	vcpu_get_regs(&self->vcpu, &regs);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(&self->vcpu, &regs);
	self->events.interrupt.injected = 1;
	self->events.interrupt.nr = 0x77;
	vcpu_set_events(&self->vcpu, &self->events);
	run_to_trap(_metadata, &self->vcpu, LONG, 0x77, &trap);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(0, self->events.interrupt.injected);
}

TEST_F(events, shadow)
{
	struct kvm_regs regs;

	vcpu_get_regs(&self->vcpu, &regs);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(&self->vcpu, &regs);
	self->events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	self->events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_NE(0, self->events.interrupt.shadow & KVM_X86_SHADOW_INT_STI);
	self->events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	self->events.interrupt.shadow = 0;
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(0, self->events.interrupt.shadow);
}

TEST_HARNESS_MAIN
