// SPDX-License-Identifier: GPL-2.0
/* The two PICs, and the way of their interrupts through LINT0. */
#include "lib/harness.h"
#include "lib/machine.h"

#define BASE	0x20
#define ELCR	0x4d0

static volatile u32 taken[16];
static volatile u8 order[16];
static volatile u32 count;
static volatile bool eoi;		/* does a round end what it took? */
static volatile u8 result[16];

#define PIC_ISR(irq)							\
GUEST_ISR(on_irq##irq)							\
{									\
	taken[irq]++;							\
	order[count++ % 16] = irq;					\
}
PIC_ISR(1)
PIC_ISR(5)
PIC_ISR(7)
PIC_ISR(10)

FIXTURE(pic) {
	struct machine m;
};
FIXTURE_SETUP(pic)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	machine_set_gate(&self->m, BASE + 1, on_irq1);
	machine_set_gate(&self->m, BASE + 5, on_irq5);
	machine_set_gate(&self->m, BASE + 7, on_irq7);
	machine_set_gate(&self->m, BASE + 10, on_irq10);
	eoi = true;
}
FIXTURE_TEARDOWN(pic)
{
	machine_destroy(&self->m);
}

/*
 * A round lets interrupts in, then ends what is in service. The handlers do not: a
 * line that stays up would keep the guest in there.
 */
GUEST_INLINE __attribute__((noreturn)) void serve_rounds(void)
{
	for (;;) {
		u32 before = count;

		guest_say(0);
		take_interrupts();
		if (!eoi || count == before)
			continue;
		outb(0xa0, 0x20);
		outb(0x20, 0x20);
	}
}

GUEST serves(u64 unmasked)
{
	pic_init(BASE, unmasked);
	serve_rounds();
}

#define LINES (1 << 1 | 1 << 2 | 1 << 5 | 1 << 7 | 1 << 10)

static void begin(struct machine *m, u64 unmasked)
{
	machine_enter_at(m, 0, serves, unmasked);
	vcpu_run_until_say(&m->vcpu[0]);
}

static u32 one_round(struct machine *m)
{
	u32 before = count;

	vcpu_run_until_say(&m->vcpu[0]);
	return count - before;
}

static void pulse(struct machine *m, int irq)
{
	vm_irq_line(&m->vm, irq, 1);
	vm_irq_line(&m->vm, irq, 0);
}

TEST_F(pic, lines_become_vectors)
{
	static const int irqs[] = { 1, 5, 7, 10 };

	begin(&self->m, LINES);
	for (size_t i = 0; i < ARRAY_SIZE(irqs); i++) {
		pulse(&self->m, irqs[i]);
		EXPECT_EQ(1u, one_round(&self->m));
		EXPECT_EQ(1u, taken[irqs[i]]);
	}
}

TEST_F(pic, an_edge_counts_once)
{
	begin(&self->m, LINES);
	vm_irq_line(&self->m.vm, 5, 1);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(0u, one_round(&self->m));
	vm_irq_line(&self->m.vm, 5, 0);
	EXPECT_EQ(0u, one_round(&self->m));
}

TEST_F(pic, priority)
{
	begin(&self->m, LINES);
	pulse(&self->m, 7);
	pulse(&self->m, 10);
	pulse(&self->m, 5);
	pulse(&self->m, 1);
	while (one_round(&self->m))
		;
	ASSERT_EQ(4u, count);
	EXPECT_EQ(1, order[0]);
	EXPECT_EQ(10, order[1]);
	EXPECT_EQ(5, order[2]);
	EXPECT_EQ(7, order[3]);
}

TEST_F(pic, masked_lines_wait)
{
	begin(&self->m, LINES & ~(1 << 5));
	vm_irq_line(&self->m.vm, 5, 1);
	EXPECT_EQ(0u, one_round(&self->m));
}

TEST_F(pic, without_an_eoi_nothing_of_lower_priority_comes)
{
	eoi = false;
	begin(&self->m, LINES);
	pulse(&self->m, 5);
	EXPECT_EQ(1u, one_round(&self->m));
	pulse(&self->m, 7);
	pulse(&self->m, 5);
	EXPECT_EQ(0u, one_round(&self->m));
	pulse(&self->m, 1);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(1u, taken[1]);
}

GUEST uses_elcr(u64 arg)
{
	(void)arg;
	outb(ELCR, 0xff);
	outb(ELCR + 1, 0xff);
	result[0] = inb(ELCR);
	result[1] = inb(ELCR + 1);
	outb(ELCR, 1 << 5);
	outb(ELCR + 1, 0);
	pic_init(BASE, LINES);
	serve_rounds();
}

TEST_F(pic, level_triggered_by_elcr)
{
	machine_enter_at(&self->m, 0, uses_elcr, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	EXPECT_EQ(0xf8, result[0]);
	EXPECT_EQ(0xde, result[1]);
	vm_irq_line(&self->m.vm, 5, 1);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(1u, one_round(&self->m));
	vm_irq_line(&self->m.vm, 5, 0);
	EXPECT_EQ(0u, one_round(&self->m));
}

/* A level that falls before it is acknowledged is gone. */
TEST_F(pic, a_level_that_fell_is_gone)
{
	machine_enter_at(&self->m, 0, uses_elcr, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	pulse(&self->m, 5);
	EXPECT_EQ(0u, one_round(&self->m));
}

/* Only an edge can be merged with one that waits: a line that is up already asks for nothing. */
TEST_F(pic, status_of_a_line_that_is_up)
{
	begin(&self->m, LINES);
	EXPECT_EQ(1, vm_irq_line_status(&self->m.vm, 5, 1));
	EXPECT_EQ(1, vm_irq_line_status(&self->m.vm, 5, 1));
	vm_irq_line(&self->m.vm, 5, 0);
	EXPECT_EQ(0, vm_irq_line_status(&self->m.vm, 5, 1));
	vm_irq_line(&self->m.vm, 5, 0);
}

GUEST polls(u64 arg)
{
	(void)arg;
	pic_init(BASE, LINES);
	guest_say(0);
	outb(0x20, 0x0a);		/* read IRR */
	result[0] = inb(0x20);
	outb(0x20, 0x0b);		/* read ISR */
	result[1] = inb(0x20);
	outb(0x20, 0x0c);		/* poll: acknowledge, and say which */
	result[2] = inb(0x20);
	outb(0x20, 0x60 | 5);		/* a specific EOI */
	outb(0x20, 0x0b);
	result[3] = inb(0x20);
	result[4] = inb(0x21);
	guest_done();
}

TEST_F(pic, registers_and_polling)
{
	machine_enter_at(&self->m, 0, polls, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	vm_irq_line(&self->m.vm, 5, 1);
	vm_irq_line(&self->m.vm, 5, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(1 << 5, result[0]);
	EXPECT_EQ(0, result[1]);
	EXPECT_EQ(0x80 | 5, result[2]);
	EXPECT_EQ(0, result[3]);
	EXPECT_EQ((u8)~LINES, result[4]);
}

GUEST ends_by_itself(u64 arg)
{
	(void)arg;
	pic_init(BASE, LINES);
	outb(0x20, 0x11);
	outb(0x21, BASE);
	outb(0x21, 4);
	outb(0x21, 3);			/* automatic end of interrupt */
	outb(0x21, (u8)~LINES);
	serve_rounds();
}

TEST_F(pic, automatic_end_of_interrupt)
{
	eoi = false;
	machine_enter_at(&self->m, 0, ends_by_itself, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	for (u32 i = 1; i <= 3; i++) {
		pulse(&self->m, 5);
		EXPECT_EQ(1u, one_round(&self->m));
	}
}

/* LINT0's entry, and does the PIC reach the processor through it? */
static const struct {
	u32 lvt0;
	u32 irqs;
} lint0[] = {
	{ DM_EXTINT, 1 },
	{ DM_EXTINT | LVT_MASKED, 0 },
	{ DM_FIXED | 0x80, 0 },
};

GUEST sets_lint0(u64 lvt0)
{
	xapic_enable();
	xapic_write(APIC_LVT0, lvt0);
	pic_init(BASE, LINES);
	serve_rounds();
}

TEST_F(pic, through_lint0)
{
	for (size_t i = 0; i < ARRAY_SIZE(lint0); i++) {
		machine_enter_at(&self->m, 0, sets_lint0, lint0[i].lvt0);
		vcpu_run_until_say(&self->m.vcpu[0]);
		pulse(&self->m, 5);
		EXPECT_EQ(lint0[i].irqs, one_round(&self->m)) {
			TH_LOG("LVT0 %#x", lint0[i].lvt0);
		}
	}
}

GUEST switches_the_apic_off(u64 arg)
{
	(void)arg;
	xapic_enable();
	xapic_write(APIC_LVT0, DM_EXTINT | LVT_MASKED);
	wrmsr(MSR_APICBASE, APIC_GPA | APICBASE_BSP);
	pic_init(BASE, LINES);
	serve_rounds();
}

TEST_F(pic, without_a_local_apic)
{
	machine_enter_at(&self->m, 0, switches_the_apic_off, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	pulse(&self->m, 5);
	EXPECT_EQ(1u, one_round(&self->m));
}

GUEST halts(u64 arg)
{
	(void)arg;
	pic_init(BASE, LINES);
	guest_say(0);
	while (!taken[5])
		sti_hlt();
	guest_done();
}

/* The line rises while the vCPU is halted in the kernel, or just before it. */
TEST_F(pic, wakes_a_halted_vcpu)
{
	machine_enter_at(&self->m, 0, halts, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	machine_start(&self->m, 0);
	pulse(&self->m, 5);
	machine_join(&self->m, 0);
	EXPECT_EQ(1u, taken[5]);
}

TEST_F(pic, saved_with_an_interrupt_pending)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	begin(&self->m, LINES);
	pulse(&self->m, 5);
	vm_get_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(1 << 5, chip.chip.pic.irr);
	EXPECT_EQ(0, chip.chip.pic.isr);
	EXPECT_EQ(BASE, chip.chip.pic.irq_base);
	EXPECT_EQ((u8)~LINES, chip.chip.pic.imr);
	chip.chip.pic.irr = 1 << 7;
	vm_set_irqchip(&self->m.vm, &chip);
	EXPECT_EQ(1u, one_round(&self->m));
	EXPECT_EQ(1u, taken[7]);
}

TEST_HARNESS_MAIN
