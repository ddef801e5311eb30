// SPDX-License-Identifier: GPL-2.0
/* Local APICs in the kernel, the other controllers in userspace. */
#include <unistd.h>
#include <sys/eventfd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define LEVEL_VECTOR	0x45
#define EDGE_VECTOR	0x55
#define FREE_VECTOR	0x65
#define PIC_VECTOR	0x30
#define MSI_LEVEL	(0x8000 | 0x4000)

static volatile u32 taken[256];

#define COUNTS(name, vector)						\
GUEST_ISR(name)								\
{									\
	taken[vector]++;						\
	xapic_write(APIC_EOI, 0);					\
}
COUNTS(on_level, LEVEL_VECTOR)
COUNTS(on_edge, EDGE_VECTOR)
COUNTS(on_free, FREE_VECTOR)

GUEST_ISR(on_pic)
{
	taken[PIC_VECTOR]++;
}

FIXTURE(split) {
	struct machine m;
	struct vcpu *vcpu;
};
FIXTURE_SETUP(split)
{
	struct kvm_irq_routing_entry routes[] = {
		MSI_ROUTE(5, MSI_ADDRESS(0), LEVEL_VECTOR | MSI_LEVEL),
		MSI_ROUTE(6, MSI_ADDRESS(0), EDGE_VECTOR),
		MSI_ROUTE(30, MSI_ADDRESS(0), FREE_VECTOR | MSI_LEVEL),	/* no pin */
	};

	SKIP_WITHOUT_CHIP(SPLIT_IRQCHIP);
	machine_create(&self->m, SPLIT_IRQCHIP, 1);
	machine_set_gate(&self->m, LEVEL_VECTOR, on_level);
	machine_set_gate(&self->m, EDGE_VECTOR, on_edge);
	machine_set_gate(&self->m, FREE_VECTOR, on_free);
	machine_set_gate(&self->m, PIC_VECTOR, on_pic);
	vm_set_routes(&self->m.vm, routes, ARRAY_SIZE(routes));
	self->vcpu = &self->m.vcpu[0];
}
FIXTURE_TEARDOWN(split)
{
	machine_destroy(&self->m);
}

GUEST serves(u64 arg)
{
	(void)arg;
	xapic_enable();
	for (;;) {
		guest_say(0);
		take_interrupts();
	}
}

static void begin(struct machine *m)
{
	machine_enter_at(m, 0, serves, 0);
	vcpu_run_until_say(&m->vcpu[0]);
}

/* The EOI of a level-triggered route's vector, and of no other, is userspace's to know. */
TEST_F(split, eoi_exit_for_level_routes)
{
	begin(&self->m);
	vm_irq_line(&self->m.vm, 5, 1);
	vcpu_run_until(self->vcpu, KVM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(LEVEL_VECTOR, self->vcpu->run->eoi.vector);
	EXPECT_EQ(1u, taken[LEVEL_VECTOR]);
	vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[LEVEL_VECTOR]);
}

TEST_F(split, no_eoi_exit_for_edge_routes)
{
	begin(&self->m);
	vm_irq_line(&self->m.vm, 6, 1);
	vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[EDGE_VECTOR]);
}

/* Only the first GSIs, as many as were asked for, are an IOAPIC's pins. */
TEST_F(split, no_eoi_exit_for_other_gsis)
{
	begin(&self->m);
	vm_irq_line(&self->m.vm, 30, 1);
	vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[FREE_VECTOR]);
}

TEST_F(split, eoi_exits_follow_the_routes)
{
	struct kvm_irq_routing_entry routes[] = {
		MSI_ROUTE(5, MSI_ADDRESS(0), EDGE_VECTOR),
		MSI_ROUTE(6, MSI_ADDRESS(0), FREE_VECTOR | MSI_LEVEL),
	};

	begin(&self->m);
	vm_set_routes(&self->m.vm, routes, ARRAY_SIZE(routes));
	vm_irq_line(&self->m.vm, 5, 1);
	vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[EDGE_VECTOR]);
	vm_irq_line(&self->m.vm, 6, 1);
	vcpu_run_until(self->vcpu, KVM_EXIT_IOAPIC_EOI);
	EXPECT_EQ(FREE_VECTOR, self->vcpu->run->eoi.vector);
}

TEST_F(split, messages_reach_the_apic)
{
	begin(&self->m);
	EXPECT_EQ(1, __vm_signal_msi(&self->m.vm, MSI_ADDRESS(0), EDGE_VECTOR));
	vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[EDGE_VECTOR]);
}

TEST_F(split, irqfd)
{
	struct kvm_irqfd irqfd = { .fd = eventfd(1, EFD_CLOEXEC), .gsi = 6 };

	SKIP_WITHOUT_CAP(KVM_CAP_IRQFD);
	begin(&self->m);
	ASSERT_EQ(0, __vm_irqfd(&self->m.vm, &irqfd));
	while (!taken[EDGE_VECTOR])
		vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[EDGE_VECTOR]);
	close(irqfd.fd);
}

TEST_F(split, no_resampling_irqfd)
{
	struct kvm_irqfd irqfd = {
		.fd = eventfd(0, EFD_CLOEXEC), .gsi = 5, .flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = eventfd(0, EFD_CLOEXEC),
	};

	SKIP_WITHOUT_CAP(KVM_CAP_IRQFD_RESAMPLE);
	EXPECT_EQ(-EINVAL, __vm_irqfd(&self->m.vm, &irqfd));
}

static int inject(struct vcpu *vcpu, u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return __vcpu_interrupt(vcpu, &irq);
}

/* Userspace's PIC has one place for a vector, and it is taken when the guest lets it. */
TEST_F(split, external_interrupt)
{
	begin(&self->m);
	EXPECT_EQ(0, inject(self->vcpu, PIC_VECTOR));
	EXPECT_EQ(-EEXIST, inject(self->vcpu, PIC_VECTOR));
	vcpu_run_until_say(self->vcpu);
	EXPECT_EQ(1u, taken[PIC_VECTOR]);
	EXPECT_EQ(0, inject(self->vcpu, PIC_VECTOR));
}

GUEST opens_and_says(u64 arg)
{
	(void)arg;
	xapic_enable();
	guest_say(1);
	asm volatile("sti; nop; nop" : : : "memory");
	guest_say(2);
	guest_done();
}

TEST_F(split, interrupt_window)
{
	machine_enter_at(&self->m, 0, opens_and_says, 0);
	self->vcpu->run->request_interrupt_window = 1;
	EXPECT_EQ(1u, vcpu_run_until_say(self->vcpu));
	EXPECT_EQ(0, self->vcpu->run->ready_for_interrupt_injection);
	vcpu_run_until(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(1, self->vcpu->run->ready_for_interrupt_injection);
	self->vcpu->run->request_interrupt_window = 0;
	EXPECT_EQ(0, inject(self->vcpu, PIC_VECTOR));
	EXPECT_EQ(2u, vcpu_run_until_say(self->vcpu));
	EXPECT_EQ(1u, taken[PIC_VECTOR]);
	vcpu_run_until_done(self->vcpu);
}

GUEST masks_lint0(u64 arg)
{
	(void)arg;
	xapic_enable();
	xapic_write(APIC_LVT0, LVT_MASKED);
	sti();
	asm volatile("nop");
	guest_say(1);
	xapic_write(APIC_LVT0, DM_EXTINT);
	guest_say(2);
	guest_done();
}

/* Userspace's PIC is wired to LINT0, whose mask counts. */
TEST_F(split, not_ready_while_lint0_is_masked)
{
	machine_enter_at(&self->m, 0, masks_lint0, 0);
	EXPECT_EQ(1u, vcpu_run_until_say(self->vcpu));
	EXPECT_EQ(0, self->vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(2u, vcpu_run_until_say(self->vcpu));
	EXPECT_EQ(1, self->vcpu->run->ready_for_interrupt_injection);
}

GUEST uses_ports(u64 arg)
{
	(void)arg;
	outb(0x20, 0x11);
	outb(0x43, 0x34);
	*(volatile u32 *)IOAPIC_GPA = 1;
	guest_done();
}

TEST_F(split, the_other_controllers_are_userspaces)
{
	machine_enter_at(&self->m, 0, uses_ports, 0);
	EXPECT_EQ(0x11u, vcpu_run_until_out(self->vcpu, 0x20));
	EXPECT_EQ(0x34u, vcpu_run_until_out(self->vcpu, 0x43));
	vcpu_run_until(self->vcpu, KVM_EXIT_MMIO);
	EXPECT_EQ(IOAPIC_GPA, self->vcpu->run->mmio.phys_addr);
	vcpu_run_until_done(self->vcpu);
}

GUEST halts(u64 arg)
{
	(void)arg;
	xapic_enable();
	guest_say(0);
	sti_hlt();
	guest_done();
}

/* HLT is in the shadow of the STI that opens the window: userspace has an interrupt, and nothing else ends the halt. */
TEST_F(split, interrupt_window_in_a_halt)
{
	machine_enter_at(&self->m, 0, halts, 0);
	vcpu_run_until_say(self->vcpu);
	self->vcpu->run->request_interrupt_window = 1;
	vcpu_run_until(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	self->vcpu->run->request_interrupt_window = 0;
	EXPECT_EQ(0, inject(self->vcpu, PIC_VECTOR));
	vcpu_run_until_done(self->vcpu);
	EXPECT_EQ(1u, taken[PIC_VECTOR]);
}

/* A window that is asked for while LINT0 is masked opens with LINT0; until then the guest goes on. */
TEST_F(split, window_waits_for_lint0)
{
	machine_enter_at(&self->m, 0, masks_lint0, 0);
	self->vcpu->run->request_interrupt_window = 1;
	/* Before the guest masks it, it is open once. */
	while (__vcpu_run(self->vcpu) == 0 && self->vcpu->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN)
		;
	EXPECT_EQ(KVM_EXIT_IO, self->vcpu->run->exit_reason);
	vcpu_run_until(self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	self->vcpu->run->request_interrupt_window = 0;
	EXPECT_EQ(2u, vcpu_run_until_say(self->vcpu));
}

TEST_F(split, a_halt_ends_in_the_kernel)
{
	machine_enter_at(&self->m, 0, halts, 0);
	vcpu_run_until_say(self->vcpu);
	machine_start(&self->m, 0);
	EXPECT_EQ(1, __vm_signal_msi(&self->m.vm, MSI_ADDRESS(0), EDGE_VECTOR));
	machine_join(&self->m, 0);
	EXPECT_EQ(1u, taken[EDGE_VECTOR]);
}

TEST_HARNESS_MAIN
