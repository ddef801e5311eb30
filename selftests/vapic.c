// SPDX-License-Identifier: GPL-2.0
/* What clients tell the kernel about a task priority shared with the guest. */
#include "lib/harness.h"
#include "lib/machine.h"

FIXTURE_MACHINE(vapic, KERNEL_IRQCHIP, 1)

static int set_addr(struct vcpu *vcpu, u64 address)
{
	struct kvm_vapic_addr vapic = { .vapic_addr = address };

	return __vcpu_set_vapic_addr(vcpu, &vapic);
}

TEST_F(vapic, none)
{
	EXPECT_EQ(0, set_addr(&self->m.vcpu[0], 0));
	EXPECT_EQ(0, set_addr(&self->m.vcpu[0], 0));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->m.vcpu[0].fd, KVM_SET_VAPIC_ADDR, 0x10));
}

TEST_F(vapic, reporting)
{
	struct kvm_tpr_access_ctl control = { .enabled = 1 };
	int cap = __vm_check_extension(&self->m.vm, KVM_CAP_VAPIC);

	if (cap <= 0)
		SKIP(return, "the device has no KVM_CAP_VAPIC");
	EXPECT_EQ(0, __vcpu_tpr_reporting(&self->m.vcpu[0], &control));
	control.enabled = 0;
	EXPECT_EQ(0, __vcpu_tpr_reporting(&self->m.vcpu[0], &control));
	control.flags = 1;
	EXPECT_EQ(-EINVAL, __vcpu_tpr_reporting(&self->m.vcpu[0], &control));
}

GUEST writes_tpr(u64 arg)
{
	(void)arg;
	xapic_enable();
	guest_say(xapic_read(APIC_TPR));
	xapic_write(APIC_TPR, 0x30);
	guest_say(xapic_read(APIC_TPR));
	guest_done();
}

/* With reporting on, accesses exit; the guest sees the same either way. */
TEST_F(vapic, accesses_are_reported)
{
	struct kvm_tpr_access_ctl control = { .enabled = 1 };
	struct vcpu *vcpu = &self->m.vcpu[0];
	u32 reports = 0, said = 0;

	if (__vm_check_extension(&self->m.vm, KVM_CAP_VAPIC) <= 0)
		SKIP(return, "the device has no KVM_CAP_VAPIC");
	vcpu_tpr_reporting(vcpu, &control);
	machine_enter_at(&self->m, 0, writes_tpr, 0);
	for (;;) {
		ASSERT_EQ(0, __vcpu_run(vcpu));
		if (vcpu->run->exit_reason == KVM_EXIT_TPR_ACCESS) {
			EXPECT_EQ(reports == 1, vcpu->run->tpr_access.is_write);
			reports++;
			continue;
		}
		ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
		if (vcpu->run->io.port == PORT_DONE)
			break;
		said = *(u32 *)((u8 *)vcpu->run + vcpu->run->io.data_offset);
	}
	EXPECT_EQ(3u, reports);
	EXPECT_EQ(0x30u, said);
}

TEST_HARNESS_MAIN
