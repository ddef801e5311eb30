// SPDX-License-Identifier: GPL-2.0
/* The paravirtual end of interrupt: a bit in memory instead of a write of EOI, where nothing else follows from it. */
#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define LOW		0x41
#define HIGH		0x61
#define PIN		5
#define ROUNDS		100

static volatile u32 flag __attribute__((aligned(64)));
static volatile u32 taken[256], by_flag[256], by_write[256];
static volatile u32 result[4];
static volatile bool x2apic;

GUEST_INLINE void end(u8 vector)
{
	bool was_set;

	asm volatile("btrl $0, %0" : "+m"(flag), "=@ccc"(was_set));
	if (was_set) {
		by_flag[vector]++;
	} else {
		apic_eoi();
		by_write[vector]++;
	}
}

GUEST_INLINE void self_ipi(u8 vector)
{
	apic_icr(0, ICR_SELF | ICR_ASSERT | vector);
}

GUEST_ISR(on_high)
{
	taken[HIGH]++;
	end(HIGH);
}

/* Another of a higher class comes while it is in service. */
GUEST_ISR(on_low)
{
	taken[LOW]++;
	self_ipi(HIGH);
	take_interrupts();
	end(LOW);
}

/* Another waits for its end. */
GUEST_ISR(on_high_with_low_behind)
{
	taken[HIGH]++;
	self_ipi(LOW);
	end(HIGH);
}

GUEST_ISR(on_plain_low)
{
	taken[LOW]++;
	end(LOW);
}

FIXTURE(pv_eoi) {
	struct machine m;
};
FIXTURE_VARIANT(pv_eoi) {
	bool x2apic;
};
FIXTURE_VARIANT_ADD(pv_eoi, xapic) { false };
FIXTURE_VARIANT_ADD(pv_eoi, x2apic) { true };
FIXTURE_SETUP(pv_eoi)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	SKIP_WITHOUT_PV(PV_EOI);
	x2apic = variant->x2apic;
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	machine_set_gate(&self->m, HIGH, on_high);
	machine_set_gate(&self->m, LOW, on_low);
}
FIXTURE_TEARDOWN(pv_eoi)
{
	machine_destroy(&self->m);
}

GUEST_INLINE void pv_enable(void)
{
	if (x2apic)
		x2apic_enable();
	else
		xapic_enable();
	wrmsr(MSR_KVM_PV_EOI_EN, (u64)&flag | 1);
}

GUEST_INLINE bool in_service(void)
{
	return apic_bit(APIC_ISR, HIGH) || apic_bit(APIC_ISR, LOW);
}

GUEST sends_rounds(u64 vector)
{
	pv_enable();
	for (int i = 0; i < ROUNDS; i++) {
		self_ipi(vector);
		take_interrupts();
	}
	result[0] = in_service();
	guest_done();
}

static void run_rounds(struct machine *m, u8 vector)
{
	machine_enter_at(m, 0, sends_rounds, vector);
	vcpu_run_until_done(&m->vcpu[0]);
}

/* Almost always: not before memory is there, nor, in KVM, where an interrupt of the host's came in between. */
static void expect_by_flag(struct __test_metadata *_metadata, u8 vector)
{
	EXPECT_EQ(ROUNDS, by_flag[vector] + by_write[vector]);
	EXPECT_LT(ROUNDS / 2, by_flag[vector]);
}

TEST_F(pv_eoi, alone_needs_no_write)
{
	run_rounds(&self->m, HIGH);
	EXPECT_EQ(ROUNDS, taken[HIGH]);
	expect_by_flag(_metadata, HIGH);
	EXPECT_EQ(0u, result[0]);
}

TEST_F(pv_eoi, nested)
{
	run_rounds(&self->m, LOW);
	EXPECT_EQ(ROUNDS, taken[LOW]);
	EXPECT_EQ(ROUNDS, taken[HIGH]);
	expect_by_flag(_metadata, HIGH);
	EXPECT_EQ(ROUNDS, by_write[LOW]);
	EXPECT_EQ(0u, result[0]);
}

/* The end lets the next one in, so it must be seen. */
TEST_F(pv_eoi, another_waits)
{
	machine_set_gate(&self->m, HIGH, on_high_with_low_behind);
	machine_set_gate(&self->m, LOW, on_plain_low);
	run_rounds(&self->m, HIGH);
	EXPECT_EQ(ROUNDS, taken[HIGH]);
	EXPECT_EQ(ROUNDS, taken[LOW]);
	EXPECT_EQ(ROUNDS, by_write[HIGH]);
	expect_by_flag(_metadata, LOW);
	EXPECT_EQ(0u, result[0]);
}

GUEST serves_a_pin(u64 entry)
{
	pv_enable();
	ioapic_set(PIN, entry);
	for (;;) {
		guest_say(0);
		take_interrupts();
	}
}

/* The IOAPIC waits for the end of a level-triggered interrupt. */
TEST_F(pv_eoi, level_triggered)
{
	struct kvm_irq_routing_entry route = CHIP_ROUTE(PIN, KVM_IRQCHIP_IOAPIC, PIN);
	struct vcpu *vcpu = &self->m.vcpu[0];

	vm_set_routes(&self->m.vm, &route, 1);
	machine_enter_at(&self->m, 0, serves_a_pin, HIGH | IOAPIC_LEVEL);
	vcpu_run_until_say(vcpu);
	for (u32 i = 1; i <= 3; i++) {
		vm_irq_line(&self->m.vm, PIN, 1);
		vm_irq_line(&self->m.vm, PIN, 0);
		vcpu_run_until_say(vcpu);
		EXPECT_EQ(i, by_write[HIGH]);
	}
	EXPECT_EQ(0u, by_flag[HIGH]);
}

GUEST_ISR(stops_before_and_after)
{
	taken[HIGH]++;
	guest_say(flag);
	end(HIGH);
	guest_say(flag);
}

GUEST takes_one(u64 vector)
{
	pv_enable();
	flag = 0;	/* so that the memory is there */
	self_ipi(vector);
	take_interrupts();
	result[0] = in_service();
	guest_done();
}

static u32 high_in_service(struct vcpu *vcpu)
{
	struct kvm_lapic_state state;

	vcpu_get_lapic(vcpu, &state);
	return lapic_reg(&state, APIC_ISR + HIGH / 32 * 0x10) >> HIGH % 32 & 1;
}

/* Where userspace stops the vCPU, its local APIC says what is true, and memory asks for nothing. */
TEST_F(pv_eoi, saved_in_service)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	machine_set_gate(&self->m, HIGH, stops_before_and_after);
	machine_enter_at(&self->m, 0, takes_one, HIGH);
	EXPECT_EQ(1u, vcpu_run_until_say(vcpu));
	EXPECT_EQ(1u, high_in_service(vcpu));
	EXPECT_EQ(0u, flag);
	vcpu_run_until_say(vcpu);
	EXPECT_EQ(1u, by_write[HIGH]);
	EXPECT_EQ(0u, high_in_service(vcpu));
	vcpu_run_until_done(vcpu);
}

GUEST_ISR(stops_after)
{
	end(HIGH);
	guest_say(flag);
}

TEST_F(pv_eoi, saved_after_the_end)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	machine_set_gate(&self->m, HIGH, stops_after);
	machine_enter_at(&self->m, 0, takes_one, HIGH);
	vcpu_run_until_say(vcpu);
	EXPECT_EQ(1u, by_flag[HIGH]);
	EXPECT_EQ(0u, high_in_service(vcpu));
	vcpu_run_until_done(vcpu);
	EXPECT_EQ(0u, result[0]);
}

TEST_F(pv_eoi, msr)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	EXPECT_EQ(0u, vcpu_get_msr(vcpu, MSR_KVM_PV_EOI_EN));
	EXPECT_EQ(1, __vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, (u64)&flag | 1));
	EXPECT_EQ((u64)&flag | 1, vcpu_get_msr(vcpu, MSR_KVM_PV_EOI_EN));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, ((u64)&flag | 3)));
	EXPECT_EQ(1, __vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, 0));
}

TEST_HARNESS_MAIN
