// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_INTERRUPT and the interrupt window, as a client with its own interrupt
 * controllers uses them.
 */
#include "lib/harness.h"

#define VECTOR 0x41

GUEST_PROGRAM(open_real, REAL, "sti\n nop\n nop\n inc %bx\n hlt");
GUEST_PROGRAM(open_prot, PROT, "sti\n nop\n nop\n inc %ebx\n hlt");
GUEST_PROGRAM(open_paged, PAGED, "sti\n nop\n nop\n inc %ebx\n hlt");
GUEST_PROGRAM(open_pae, PAE, "sti\n nop\n nop\n inc %ebx\n hlt");
GUEST_PROGRAM(open_compat, COMPAT, "sti\n nop\n nop\n inc %ebx\n hlt");
GUEST_PROGRAM(open_long, LONG, "sti\n nop\n nop\n inc %ebx\n hlt");
GUEST_PROGRAM(sti_hlt, LONG, "sti\n hlt\n inc %ebx\n hlt");
GUEST_PROGRAM(sti_out, LONG, "sti\n out %al, $0x80\n inc %ebx\n hlt");
GUEST_PROGRAM(mov_ss_out, LONG, "sti\n nop\n mov %ecx, %ss\n out %al, $0x80\n hlt");
GUEST_PROGRAM(closed, LONG, "hlt");
GUEST_PROGRAM(spins, LONG, "sti\n1: inc %rbx\n jmp 1b");

FIXTURE_ONE_VCPU(interrupt)

static void inject(struct vcpu *vcpu, u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	vcpu_interrupt(vcpu, &irq);
}

/* Window exit right behind the shadow of STI, then the vector, then onwards. */
static void expect_delivery(struct __test_metadata *_metadata,
			    struct vcpu *vcpu, const struct guest_program *program)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(vcpu, program);
	vcpu->run->request_interrupt_window = 1;
	vcpu_run_until(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(1, vcpu->run->ready_for_interrupt_injection);
	EXPECT_EQ(1, vcpu->run->if_flag);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 2, regs.rip);

	vcpu->run->request_interrupt_window = 0;
	inject(vcpu, VECTOR);
	run_to_trap(_metadata, vcpu, program->mode, VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 2, trap.rip);
	EXPECT_EQ(RFLAGS_IF, trap.rflags & RFLAGS_IF);
	EXPECT_EQ(0, vcpu->run->if_flag);
	EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);

	run_to_halt(_metadata, vcpu, program->mode);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
}

TEST_F(interrupt, window_and_delivery_in_every_mode)
{
	static const struct guest_program *const programs[] = {
		&open_real, &open_prot, &open_paged, &open_pae,
		&open_compat, &open_long,
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		expect_delivery(_metadata, &self->vcpu, programs[i]);
}

TEST_F(interrupt, wakes_after_hlt)
{
	struct guest_trap trap;

	guest_load(&self->vcpu, &sti_hlt);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(1, self->vcpu.run->if_flag);
	EXPECT_EQ(1, self->vcpu.run->ready_for_interrupt_injection);
	inject(&self->vcpu, VECTOR);
	run_to_trap(_metadata, &self->vcpu, LONG, VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE + 2, trap.rip);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(interrupt, not_ready_while_off)
{
	guest_load(&self->vcpu, &closed);
	self->vcpu.run->request_interrupt_window = 1;
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0, self->vcpu.run->if_flag);
	EXPECT_EQ(0, self->vcpu.run->ready_for_interrupt_injection);
}

static void expect_shadow(struct __test_metadata *_metadata, struct vcpu *vcpu,
			  const struct guest_program *program)
{
	struct row_regs row = { .rcx = SEL_DATA };
	struct kvm_vcpu_events events;

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
	vcpu_run_until(vcpu, KVM_EXIT_IO);
	EXPECT_EQ(1, vcpu->run->if_flag);
	EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);
	vcpu_get_events(vcpu, &events);
	EXPECT_NE(0, events.interrupt.shadow);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(1, vcpu->run->ready_for_interrupt_injection);
}

TEST_F(interrupt, not_ready_in_the_shadow_of_sti)
{
	expect_shadow(_metadata, &self->vcpu, &sti_out);
}

TEST_F(interrupt, not_ready_in_the_shadow_of_mov_ss)
{
	expect_shadow(_metadata, &self->vcpu, &mov_ss_out);
}

TEST_F(interrupt, window_interrupts_a_loop)
{
	struct guest_trap trap;

	guest_load(&self->vcpu, &spins);
	for (int round = 0; round < 50; round++) {
		self->vcpu.run->request_interrupt_window = 1;
		vcpu_run_until(&self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		self->vcpu.run->request_interrupt_window = 0;
		inject(&self->vcpu, 0x20 + round);
		run_to_trap(_metadata, &self->vcpu, LONG, 0x20 + round, &trap);
	}
}

TEST_F(interrupt, bad_vector)
{
	struct kvm_interrupt irq = { .irq = 256 };

	EXPECT_EQ(-EINVAL, __vcpu_interrupt(&self->vcpu, &irq));
	irq.irq = -1;
	EXPECT_EQ(-EINVAL, __vcpu_interrupt(&self->vcpu, &irq));
}

TEST_F(interrupt, a_queued_vector_is_visible_and_can_be_taken_back)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;

	guest_load(&self->vcpu, &sti_hlt);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	inject(&self->vcpu, VECTOR);

	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(1ull << (VECTOR % 64), sregs.interrupt_bitmap[VECTOR / 64]);
	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(1, events.interrupt.injected);
	EXPECT_EQ(VECTOR, events.interrupt.nr);

	events.interrupt.injected = 0;
	vcpu_set_events(&self->vcpu, &events);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(interrupt, set_sregs_queues_a_vector)
{
	struct guest_trap trap;
	struct kvm_sregs sregs;

	guest_load(&self->vcpu, &sti_hlt);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.interrupt_bitmap[0x99 / 64] = 1ull << (0x99 % 64);
	vcpu_set_sregs(&self->vcpu, &sregs);
	run_to_trap(_metadata, &self->vcpu, LONG, 0x99, &trap);
}

/*
 * The frame goes to a page that the second-level tables do not have yet: delivery
 * is cut short by that fault, and must be repeated, once.
 */
TEST_F(interrupt, delivery_through_an_unmapped_stack)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &sti_hlt);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rsp = 0x61000;
	vcpu_set_regs(&self->vcpu, &regs);
	inject(&self->vcpu, VECTOR);
	run_to_trap(_metadata, &self->vcpu, LONG, VECTOR, &trap);
	EXPECT_EQ(0x61000u - 40, trap.rsp);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
	EXPECT_EQ(0x61000u, regs.rsp);
}

TEST_HARNESS_MAIN
