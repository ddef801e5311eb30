// SPDX-License-Identifier: GPL-2.0
/* HLT without an in-kernel interrupt controller: an exit, with RIP after it. */
#include "lib/harness.h"

GUEST_PROGRAM(halts_real, REAL, "hlt\n inc %ax\n hlt");
GUEST_PROGRAM(halts_prot, PROT, "hlt\n inc %eax\n hlt");
GUEST_PROGRAM(halts_paged, PAGED, "hlt\n inc %eax\n hlt");
GUEST_PROGRAM(halts_pae, PAE, "hlt\n inc %eax\n hlt");
GUEST_PROGRAM(halts_compat, COMPAT, "hlt\n inc %eax\n hlt");
GUEST_PROGRAM(halts_long, LONG, "hlt\n inc %eax\n hlt");

FIXTURE_ONE_VCPU(hlt)

static void expect_halts(struct __test_metadata *_metadata, struct vcpu *vcpu,
			 const struct guest_program *program)
{
	size_t size = program->end - program->start;
	struct kvm_regs regs;

	guest_load(vcpu, program);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 1, regs.rip);
	EXPECT_EQ(0u, regs.rax);

	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + size, regs.rip);
	EXPECT_EQ(1u, regs.rax);
}

TEST_F(hlt, rip_is_after_hlt_in_every_mode)
{
	static const struct guest_program *const programs[] = {
		&halts_real, &halts_prot, &halts_paged, &halts_pae,
		&halts_compat, &halts_long,
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		expect_halts(_metadata, &self->vcpu, programs[i]);
}

TEST_F(hlt, with_interrupts_on_too)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &halts_long);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(&self->vcpu, &regs);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(1, self->vcpu.run->if_flag);
}

TEST_HARNESS_MAIN
