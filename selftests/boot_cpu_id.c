// SPDX-License-Identifier: GPL-2.0
/* Which vCPU is the bootstrap processor. */
#include "lib/harness.h"
#include "lib/machine.h"

FIXTURE(boot_cpu) {
	struct vm vm;
};
FIXTURE_SETUP(boot_cpu)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	if (device_cap(KVM_CAP_SET_BOOT_CPU_ID) <= 0)
		SKIP(return, "the device has no KVM_CAP_SET_BOOT_CPU_ID");
	vm_create(&self->vm);
}
FIXTURE_TEARDOWN(boot_cpu)
{
	vm_destroy(&self->vm);
}

static void expect_boot(struct __test_metadata *_metadata, struct vm *vm, u32 id, bool boot)
{
	struct kvm_mp_state state;
	struct kvm_sregs sregs;
	struct vcpu vcpu;

	vcpu_create(vm, &vcpu, id);
	vcpu_get_sregs(&vcpu, &sregs);
	EXPECT_EQ(boot, !!(sregs.apic_base & APICBASE_BSP));
	vcpu_get_mp_state(&vcpu, &state);
	EXPECT_EQ(boot ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED, state.mp_state);
	vcpu_destroy(&vcpu);
}

TEST_F(boot_cpu, is_vcpu_0)
{
	fd_ioctl(self->vm.fd, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
	expect_boot(_metadata, &self->vm, 0, true);
	expect_boot(_metadata, &self->vm, 1, false);
}

TEST_F(boot_cpu, is_what_was_asked_for)
{
	fd_ioctl(self->vm.fd, KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
	EXPECT_EQ(0, __fd_ioctl(self->vm.fd, KVM_SET_BOOT_CPU_ID, 1));
	expect_boot(_metadata, &self->vm, 0, false);
	expect_boot(_metadata, &self->vm, 1, true);
}

TEST_F(boot_cpu, cannot_change_under_a_vcpu)
{
	expect_boot(_metadata, &self->vm, 0, true);
	EXPECT_EQ(-EBUSY, __fd_ioctl(self->vm.fd, KVM_SET_BOOT_CPU_ID, 1));
}

TEST_HARNESS_MAIN
