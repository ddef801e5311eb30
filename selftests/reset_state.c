// SPDX-License-Identifier: GPL-2.0
/* A new vCPU: the architecture's state after reset, zeros elsewhere, and it runs. */
#include "lib/harness.h"

#define TOP_PAGE 0xfffff000ul

FIXTURE(reset) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_sregs sregs;
};
FIXTURE_SETUP(reset)
{
	vm_create(&self->vm);
	vcpu_create_bare(&self->vm, &self->vcpu, 0);
	vcpu_get_sregs(&self->vcpu, &self->sregs);
}
FIXTURE_TEARDOWN(reset)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

TEST_F(reset, general_registers)
{
	struct kvm_regs regs, expected = {
		.rip = 0xfff0, .rflags = RFLAGS_FIXED, .rdx = 0x600,
	};

	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0, memcmp(&expected, &regs, sizeof(regs)));
}

TEST_F(reset, control_registers)
{
	EXPECT_EQ(0x60000010u, self->sregs.cr0);
	EXPECT_EQ(0u, self->sregs.cr2);
	EXPECT_EQ(0u, self->sregs.cr3);
	EXPECT_EQ(0u, self->sregs.cr4);
	EXPECT_EQ(0u, self->sregs.cr8);
	EXPECT_EQ(0u, self->sregs.efer);
	EXPECT_EQ(0xfee00900u, self->sregs.apic_base);
	for (size_t i = 0; i < ARRAY_SIZE(self->sregs.interrupt_bitmap); i++)
		EXPECT_EQ(0u, self->sregs.interrupt_bitmap[i]);
}

static void expect_segment(struct __test_metadata *_metadata,
			   const struct kvm_segment *segment, u16 selector,
			   u64 base, u8 type, u8 s)
{
	EXPECT_EQ(selector, segment->selector);
	EXPECT_EQ(base, segment->base);
	EXPECT_EQ(0xffffu, segment->limit);
	/* VT-x wants the accessed bit, KVM on AMD-V begins without it. */
	EXPECT_EQ(type, segment->type | (s ? 1 : 0));
	EXPECT_EQ(s, segment->s);
	EXPECT_EQ(1, segment->present);
	EXPECT_EQ(0, segment->dpl);
	EXPECT_EQ(0, segment->db);
	EXPECT_EQ(0, segment->l);
	EXPECT_EQ(0, segment->g);
	EXPECT_EQ(0, segment->unusable);
}

TEST_F(reset, segments)
{
	expect_segment(_metadata, &self->sregs.cs, 0xf000, 0xffff0000, 11, 1);
	expect_segment(_metadata, &self->sregs.ds, 0, 0, 3, 1);
	expect_segment(_metadata, &self->sregs.es, 0, 0, 3, 1);
	expect_segment(_metadata, &self->sregs.fs, 0, 0, 3, 1);
	expect_segment(_metadata, &self->sregs.gs, 0, 0, 3, 1);
	expect_segment(_metadata, &self->sregs.ss, 0, 0, 3, 1);
	expect_segment(_metadata, &self->sregs.ldt, 0, 0, 2, 0);
	EXPECT_EQ(0u, self->sregs.tr.selector);
	EXPECT_EQ(0xffffu, self->sregs.tr.limit);
	EXPECT_EQ(0u, self->sregs.gdt.base);
	EXPECT_EQ(0xffffu, self->sregs.gdt.limit);
	EXPECT_EQ(0u, self->sregs.idt.base);
	EXPECT_EQ(0xffffu, self->sregs.idt.limit);
}

TEST_F(reset, debug_registers)
{
	struct kvm_debugregs debug;

	vcpu_get_debugregs(&self->vcpu, &debug);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0u, debug.db[i]);
	EXPECT_EQ(0xffff0ff0u, debug.dr6);
	EXPECT_EQ(0x400u, debug.dr7);
	EXPECT_EQ(0u, debug.flags);
}

TEST_F(reset, floating_point)
{
	struct kvm_xsave xsave;
	struct kvm_fpu fpu;

	vcpu_get_fpu(&self->vcpu, &fpu);
	vcpu_get_xsave(&self->vcpu, &xsave);
	EXPECT_EQ(0x37f, fpu.fcw);
	EXPECT_EQ(0, fpu.fsw);
	EXPECT_EQ(0, fpu.ftwx);
	EXPECT_EQ(0x1f80u, xsave.region[6]);
	for (size_t i = 0; i < sizeof(fpu.xmm); i++)
		EXPECT_EQ(0, ((u8 *)fpu.xmm)[i]);
}

TEST_F(reset, events)
{
	struct kvm_vcpu_events events, zero = { 0 };

	vcpu_get_events(&self->vcpu, &events);
	EXPECT_EQ(0, memcmp(&zero.exception, &events.exception, sizeof(zero.exception)));
	EXPECT_EQ(0, memcmp(&zero.interrupt, &events.interrupt, sizeof(zero.interrupt)));
	EXPECT_EQ(0, memcmp(&zero.nmi, &events.nmi, sizeof(zero.nmi)));
}

/* Nothing of the kernel's is in the page that userspace sees. */
TEST_F(reset, run_page_is_zero)
{
	u8 *page = (u8 *)self->vcpu.run;

	for (size_t i = 0; i < self->vcpu.run_size; i++)
		ASSERT_EQ(0, page[i]);
}

TEST_F(reset, runs_from_the_reset_vector)
{
	/* out %al, $0x80; ljmp $0, $0xa000 */
	static const u8 code[] = { 0xe6, 0x80, 0xea, 0x00, 0xa0, 0x00, 0x00 };
	u8 *top = pages_alloc(4096);
	struct kvm_regs regs;

	memcpy(top + 0xff0, code, sizeof(code));
	self->vm.ram[GUEST_CODE] = 0xf4;
	vm_set_memory(&self->vm, 1, 0, TOP_PAGE, 4096, top);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(0x80, self->vcpu.run->io.port);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 1, regs.rip);
	vcpu_get_sregs(&self->vcpu, &self->sregs);
	EXPECT_EQ(0u, self->sregs.cs.base);
	EXPECT_EQ(0u, self->sregs.cs.selector);
}

TEST_F(reset, second_vcpu_is_not_the_first)
{
	struct vcpu second;

	vcpu_create_bare(&self->vm, &second, 1);
	vcpu_get_sregs(&second, &self->sregs);
	EXPECT_EQ(0xfee00800u, self->sregs.apic_base);
	vcpu_destroy(&second);
}

TEST_HARNESS_MAIN
