// SPDX-License-Identifier: GPL-2.0
/* The IOAPIC: pins, triggers, masks, remote IRR, and its registers. */
#include "lib/harness.h"
#include "lib/machine.h"

#define PIN	5
#define VECTOR	0x45

static volatile u32 taken, nmis;
static volatile u64 in_service;		/* the pin's entry, seen by the handler */
static volatile u64 result[16];

GUEST_ISR(on_pin)
{
	taken++;
	in_service = ioapic_get(PIN);
}

GUEST_ISR(on_nmi)
{
	nmis++;
}

/* The PIC, which has the same lines, is kept out. */
GUEST_INLINE void set_up(u64 entry)
{
	xapic_enable();
	xapic_write(APIC_LVT0, LVT_MASKED);
	xapic_write(APIC_LDR, 0x01000000);
	ioapic_set(PIN, entry);
}

/*
 * A round lets interrupts in, then ends what is in service. The handler does not: a
 * line that stays up would keep the guest in there.
 */
GUEST serves(u64 entry)
{
	set_up(entry);
	for (;;) {
		guest_say(0);
		take_interrupts();
		if (apic_bit(APIC_ISR, VECTOR))
			xapic_write(APIC_EOI, 0);
	}
}

FIXTURE(ioapic) {
	struct machine m;
};
FIXTURE_SETUP(ioapic)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	machine_set_gate(&self->m, VECTOR, on_pin);
	machine_set_gate(&self->m, NMI_VECTOR, on_nmi);
}
FIXTURE_TEARDOWN(ioapic)
{
	machine_destroy(&self->m);
}

static void begin(struct machine *m, u64 entry)
{
	machine_enter_at(m, 0, serves, entry);
	vcpu_run_until_say(&m->vcpu[0]);
}

/* One round of the guest; how many interrupts it took in it. */
static u32 one_round(struct machine *m)
{
	u32 before = taken;

	vcpu_run_until_say(&m->vcpu[0]);
	return taken - before;
}

static void line(struct machine *m, int level)
{
	vm_irq_line(&m->vm, PIN, level);
}

TEST_F(ioapic, edge_latches_the_rise)
{
	begin(&self->m, VECTOR);
	EXPECT_EQ(0u, one_round(&self->m));
	line(&self->m, 1);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(0u, one_round(&self->m));
	line(&self->m, 1);
	EXPECT_EQ(0u, one_round(&self->m));
	line(&self->m, 0);
	EXPECT_EQ(0u, one_round(&self->m));
	line(&self->m, 1);
	line(&self->m, 0);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(0u, in_service & IOAPIC_RIRR);
}

TEST_F(ioapic, edges_merge_while_one_waits)
{
	begin(&self->m, VECTOR);
	for (int i = 0; i < 5; i++) {
		line(&self->m, 1);
		line(&self->m, 0);
	}
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(0u, one_round(&self->m));
}

TEST_F(ioapic, level_comes_again_until_it_falls)
{
	begin(&self->m, VECTOR | IOAPIC_LEVEL);
	line(&self->m, 1);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(IOAPIC_RIRR, in_service & IOAPIC_RIRR);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(1u, one_round(&self->m));
	line(&self->m, 0);
	EXPECT_EQ(1u, one_round(&self->m));	/* it was on its way since the EOI */
	EXPECT_EQ(0u, one_round(&self->m));
}

GUEST services_without_eoi(u64 entry)
{
	set_up(entry);
	guest_say(0);
	take_interrupts();
	guest_say(0);
	result[0] = ioapic_get(PIN) & IOAPIC_RIRR;
	xapic_write(APIC_EOI, 0);
	result[1] = ioapic_get(PIN) & IOAPIC_RIRR;
	take_interrupts();
	guest_done();
}

TEST_F(ioapic, remote_irr_stands_until_the_eoi)
{
	machine_enter_at(&self->m, 0, services_without_eoi, VECTOR | IOAPIC_LEVEL);
	vcpu_run_until_say(&self->m.vcpu[0]);
	line(&self->m, 1);
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(1u, taken);
	line(&self->m, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(IOAPIC_RIRR, result[0]);
	EXPECT_EQ(0u, result[1]);
	EXPECT_EQ(1u, taken);
}

/* A line that is high at the time of the EOI asks again at once. */
TEST_F(ioapic, redelivery_at_the_eoi)
{
	machine_enter_at(&self->m, 0, services_without_eoi, VECTOR | IOAPIC_LEVEL);
	vcpu_run_until_say(&self->m.vcpu[0]);
	line(&self->m, 1);
	vcpu_run_until_say(&self->m.vcpu[0]);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(IOAPIC_RIRR, result[1]);
	EXPECT_EQ(2u, taken);
}

/* What happens to a line that rises while masked, once the mask goes. */
GUEST unmasks(u64 entry)
{
	set_up(entry | IOAPIC_MASKED);
	guest_say(0);
	take_interrupts();
	result[0] = taken;
	ioapic_set(PIN, entry);
	take_interrupts();
	guest_done();
}

static u32 after_unmasking(struct machine *m, u64 entry, bool fall)
{
	machine_enter_at(m, 0, unmasks, entry);
	vcpu_run_until_say(&m->vcpu[0]);
	line(m, 1);
	if (fall)
		line(m, 0);
	vcpu_run_until_done(&m->vcpu[0]);
	return taken;
}

TEST_F(ioapic, masked_level_waits)
{
	EXPECT_EQ(1u, after_unmasking(&self->m, VECTOR | IOAPIC_LEVEL, false));
	EXPECT_EQ(0u, result[0]);
}

TEST_F(ioapic, masked_level_that_fell_is_gone)
{
	EXPECT_EQ(0u, after_unmasking(&self->m, VECTOR | IOAPIC_LEVEL, true));
}

TEST_F(ioapic, masked_edge_is_lost)
{
	EXPECT_EQ(0u, after_unmasking(&self->m, VECTOR, false));
	EXPECT_EQ(0u, result[0]);
}

/* Entries and whether they reach vCPU 0, whose logical ID is 1. */
static const struct {
	u64 entry;
	u32 irqs, nmis;
} targets[] = {
	{ VECTOR, 1, 0 },
	{ VECTOR | 1ull << 56, 0, 0 },			/* nobody's ID */
	{ VECTOR | 0xffull << 56, 1, 0 },		/* everybody's */
	{ VECTOR | DEST_LOGICAL | 1ull << 56, 1, 0 },
	{ VECTOR | DEST_LOGICAL | 0xfull << 56, 1, 0 },
	{ VECTOR | DEST_LOGICAL | 2ull << 56, 0, 0 },
	{ VECTOR | DEST_LOGICAL, 0, 0 },
	{ VECTOR | DM_LOWEST | DEST_LOGICAL | 0xffull << 56, 1, 0 },
	{ VECTOR | DM_LOWEST, 1, 0 },
	{ VECTOR | DM_NMI, 0, 1 },
};

TEST_F(ioapic, destinations)
{
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		taken = 0;
		nmis = 0;
		begin(&self->m, targets[i].entry);
		line(&self->m, 1);
		line(&self->m, 0);
		one_round(&self->m);
		EXPECT_EQ(targets[i].irqs, taken) {
			TH_LOG("row %zu", i);
		}
		EXPECT_EQ(targets[i].nmis, nmis) {
			TH_LOG("row %zu", i);
		}
	}
}

GUEST uses_registers(u64 arg)
{
	(void)arg;
	result[0] = ioapic_read(0);
	result[1] = ioapic_read(1);
	ioapic_write(0, 0xffffffff);
	result[2] = ioapic_read(0);
	result[3] = ioapic_read(2);
	ioapic_write(0, 0);
	ioapic_set(PIN, VECTOR | IOAPIC_MASKED | 0x5000 | 3ull << 56);
	result[4] = ioapic_get(PIN);
	result[5] = *(volatile u32 *)IOAPIC_GPA;
	guest_done();
}

TEST_F(ioapic, registers)
{
	machine_enter_at(&self->m, 0, uses_registers, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(0u, result[0]);
	EXPECT_EQ(0x170011u, result[1]);
	EXPECT_EQ(0x0f000000u, result[2]);
	EXPECT_EQ(0x0f000000u, result[3]);
	/* Delivery status and remote IRR are not the guest's to write. */
	EXPECT_EQ(VECTOR | IOAPIC_MASKED | 3ull << 56, result[4]);
	EXPECT_EQ(0x10u + 2 * PIN, result[5]);
}

TEST_F(ioapic, state_shows_the_line)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	begin(&self->m, VECTOR | IOAPIC_MASKED | IOAPIC_LEVEL);
	line(&self->m, 1);
	vm_get_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(1u << PIN, chip.chip.ioapic.irr);
	EXPECT_EQ(VECTOR | IOAPIC_MASKED | IOAPIC_LEVEL, chip.chip.ioapic.redirtbl[PIN].bits);
	line(&self->m, 0);
	vm_get_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(0u, chip.chip.ioapic.irr);
}

/* Restored with its line high, a level-triggered pin asks. */
TEST_F(ioapic, set_state_delivers)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	begin(&self->m, VECTOR | IOAPIC_MASKED | IOAPIC_LEVEL);
	vm_get_irqchip(&self->m.vm, &chip);
	chip.chip.ioapic.irr = 1u << PIN;
	chip.chip.ioapic.redirtbl[PIN].bits = VECTOR | IOAPIC_LEVEL;
	vm_set_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(1u, one_round(&self->m));
}

TEST_HARNESS_MAIN
