// SPDX-License-Identifier: GPL-2.0
/* KVM_GET and KVM_SET_VCPU_EVENTS: saving, restoring and stuffing what is pending. */
#include "lib/harness.h"
#include "lib/machine.h"

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

static void enable(struct vm *vm, u32 cap)
{
	struct kvm_enable_cap enable = { .cap = cap, .args[0] = 1 };

	vm_enable_cap(vm, &enable);
}

TEST_F(events, capabilities)
{
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD));
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT));
}

/* Without the capability a pending exception is told as an injected one, too. */
TEST_F(events, pending_exception)
{
	struct kvm_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB,
	};

	vcpu_set_guest_debug(&self->vcpu, &debug);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(1, self->events.exception.injected);
	EXPECT_EQ(1, self->events.exception.pending);
	EXPECT_EQ(DB_VECTOR, self->events.exception.nr);
	enable(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(0, self->events.exception.injected);
	EXPECT_EQ(1, self->events.exception.pending);
	EXPECT_EQ(KVM_VCPUEVENT_VALID_PAYLOAD, self->events.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
}

static void set_pending(struct kvm_vcpu_events *events, u8 vector, u64 payload)
{
	events->flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	events->exception.pending = 1;
	events->exception.nr = vector;
	events->exception_has_payload = 1;
	events->exception_payload = payload;
}

TEST_F(events, payload_of_db)
{
	struct kvm_debugregs regs = { .dr6 = 0xffff0ff1, .dr7 = 0x2400 };
	struct guest_trap trap;

	enable(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	vcpu_set_debugregs(&self->vcpu, &regs);
	set_pending(&self->events, DB_VECTOR, 0x1004);
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_debugregs(&self->vcpu, &regs);
	EXPECT_EQ(0xffff0ff1, regs.dr6);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(1, self->events.exception.pending);
	EXPECT_EQ(0, self->events.exception.injected);
	EXPECT_EQ(1, self->events.exception_has_payload);
	EXPECT_EQ(0x1004u, self->events.exception_payload);
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
	vcpu_get_debugregs(&self->vcpu, &regs);
	EXPECT_EQ(0xffff0ff4, regs.dr6);
	EXPECT_EQ(0x400u, regs.dr7);
}

TEST_F(events, payload_of_page_fault)
{
	static const struct deviation lost_cr2 = {
		.bochs_amd = BOCHS_CR2,
	};
	struct guest_trap trap;
	struct kvm_sregs sregs;

	if (skip_here(_metadata, &lost_cr2))
		return;
	enable(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	set_pending(&self->events, PF_VECTOR, UNMAPPED_GVA + 8);
	self->events.exception.has_error_code = 1;
	self->events.exception.error_code = 6;
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(0u, sregs.cr2);
	run_to_trap(_metadata, &self->vcpu, LONG, PF_VECTOR, &trap);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(UNMAPPED_GVA + 8, sregs.cr2);
	EXPECT_EQ(6u, trap.error);
}

/* What is not pending has no payload, and what is pending needs the flag. */
TEST_F(events, payloads_that_are_none)
{
	enable(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	set_pending(&self->events, DB_VECTOR, 1);
	self->events.exception.pending = 0;
	self->events.exception.injected = 1;
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(1, self->events.exception.injected);
	EXPECT_EQ(0, self->events.exception_has_payload);
	set_pending(&self->events, DB_VECTOR, 1);
	self->events.flags = 0;
	self->events.exception.injected = 0;
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_events(&self->vcpu, &self->events);
	EXPECT_EQ(0, self->events.exception.pending);
	set_pending(&self->events, 32, 1);
	EXPECT_EQ(-EINVAL, __vcpu_set_events(&self->vcpu, &self->events));
}

/* New registers drop what is pending; what is on its way already goes on. */
TEST_F(events, registers_drop_pending_exceptions)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	enable(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD);
	set_pending(&self->events, DB_VECTOR, 1);
	vcpu_set_events(&self->vcpu, &self->events);
	vcpu_get_regs(&self->vcpu, &regs);
	vcpu_set_regs(&self->vcpu, &regs);
	run_to_halt(_metadata, &self->vcpu, LONG);

	guest_restart(&self->vcpu);
	self->events.exception.pending = 0;
	self->events.exception.injected = 1;
	vcpu_set_events(&self->vcpu, &self->events);
	guest_restart(&self->vcpu);
	run_to_trap(_metadata, &self->vcpu, LONG, DB_VECTOR, &trap);
}

TEST_F(events, triple_fault)
{
	self->events.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	self->events.triple_fault.pending = 1;
	EXPECT_EQ(-EINVAL, __vcpu_set_events(&self->vcpu, &self->events));
	enable(&self->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
	for (int keep = 0; keep < 2; keep++) {
		self->events.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		self->events.triple_fault.pending = 1;
		vcpu_set_events(&self->vcpu, &self->events);
		vcpu_get_events(&self->vcpu, &self->events);
		EXPECT_EQ(KVM_VCPUEVENT_VALID_TRIPLE_FAULT,
			  self->events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
		EXPECT_EQ(1, self->events.triple_fault.pending);
		self->events.triple_fault.pending = keep;
		vcpu_set_events(&self->vcpu, &self->events);
		if (keep)
			vcpu_run_until(&self->vcpu, KVM_EXIT_SHUTDOWN);
		else
			run_to_halt(_metadata, &self->vcpu, LONG);
	}
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

static volatile u32 nmis;

GUEST_ISR(on_nmi)
{
	nmis++;
}

GUEST enables_and_says(u64 arg)
{
	(void)arg;
	xapic_enable();
	guest_say(0);
	guest_done();
}

/* A message to a vCPU that is not running is part of its state: it is told, and can be taken back. */
TEST(nmi_messages_are_state)
{
	struct kvm_vcpu_events events;
	struct machine m;

	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	for (u32 keep = 0; keep < 2; keep++) {
		machine_create(&m, KERNEL_IRQCHIP, 1);
		machine_set_gate(&m, NMI_VECTOR, on_nmi);
		machine_enter_at(&m, 0, enables_and_says, 0);
		vcpu_run_until_say(&m.vcpu[0]);
		EXPECT_EQ(1, __vm_signal_msi(&m.vm, MSI_ADDRESS(0), DM_NMI));
		vcpu_get_events(&m.vcpu[0], &events);
		EXPECT_EQ(1, events.nmi.pending);
		events.nmi.pending = keep;
		vcpu_set_events(&m.vcpu[0], &events);
		vcpu_run_until_done(&m.vcpu[0]);
		EXPECT_EQ(keep, nmis);
		machine_destroy(&m);
	}
}

TEST_HARNESS_MAIN
