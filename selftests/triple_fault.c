// SPDX-License-Identifier: GPL-2.0
/* A triple fault is KVM_EXIT_SHUTDOWN, and the vCPU can be set up again after it. */
#include "lib/harness.h"

GUEST_PROGRAM(fault_long, LONG, "lidt 0xc000\n ud2\n hlt");
GUEST_PROGRAM(fault_pae, PAE, "lidt 0xc000\n ud2\n hlt");
GUEST_PROGRAM(fault_prot, PROT, "lidt 0xc000\n int3\n hlt");
GUEST_PROGRAM(fault_real, REAL, "lidt 0xc000\n int $0x20\n hlt");
GUEST_PROGRAM(fine, LONG, "inc %rbx\n hlt");

FIXTURE_ONE_VCPU(triple_fault)

TEST_F(triple_fault, shuts_down_in_every_mode)
{
	static const struct guest_program *const programs[] = {
		&fault_long, &fault_pae, &fault_prot, &fault_real,
	};

	/* At GUEST_DATA there are zeros: an IDT without limit. */
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		guest_load(&self->vcpu, programs[i]);
		vcpu_run_until(&self->vcpu, KVM_EXIT_SHUTDOWN);
	}
}

TEST_F(triple_fault, the_vcpu_is_usable_afterwards)
{
	struct kvm_regs regs;

	for (int round = 0; round < 3; round++) {
		guest_load(&self->vcpu, &fault_long);
		vcpu_run_until(&self->vcpu, KVM_EXIT_SHUTDOWN);
		guest_load(&self->vcpu, &fine);
		run_to_halt(_metadata, &self->vcpu, LONG);
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(1u, regs.rbx);
	}
}

TEST_HARNESS_MAIN
