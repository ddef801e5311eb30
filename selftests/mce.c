// SPDX-License-Identifier: GPL-2.0
/* Machine check banks: how many, what they keep, and what userspace may report. */
#include "lib/harness.h"
#include "lib/machine.h"

#define MCG_CTL_P	(1ull << 8)
#define MCG_SER_P	(1ull << 24)
#define MCI_VAL		(1ull << 63)
#define MCI_UC		(1ull << 61)
#define MCI_EN		(1ull << 60)

#define MSR_MCG_CAP	0x179
#define MSR_MCG_STATUS	0x17a
#define MSR_MCG_CTL	0x17b
#define MC_CTL(bank)	(0x400 + 4 * (bank))
#define MC_STATUS(bank)	(0x401 + 4 * (bank))
#define MC_ADDR(bank)	(0x402 + 4 * (bank))
#define MC_MISC(bank)	(0x403 + 4 * (bank))

FIXTURE(mce) {
	struct vm vm;
	struct vcpu vcpu;
	u64 supported;
};
FIXTURE_SETUP(mce)
{
	if (device_cap(KVM_CAP_MCE) <= 0)
		SKIP(return, "the device has no KVM_CAP_MCE");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	fd_ioctl(self->vm.dev, KVM_X86_GET_MCE_CAP_SUPPORTED, (unsigned long)&self->supported,
		 "KVM_X86_GET_MCE_CAP_SUPPORTED");
}
FIXTURE_TEARDOWN(mce)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static int set_up(struct vcpu *vcpu, u64 cap)
{
	return __vcpu_setup_mce(vcpu, &cap);
}

TEST_F(mce, supported)
{
	EXPECT_EQ(MCG_CTL_P, self->supported & MCG_CTL_P);
	EXPECT_EQ(MCG_SER_P, self->supported & MCG_SER_P);
	EXPECT_LE(10, device_cap(KVM_CAP_MCE));
}

TEST_F(mce, set_up)
{
	/* AMD's processors have no software recovery to report. */
	u64 kept = host_is_amd() ? self->supported & 0x1ff : self->supported;
	int banks = device_cap(KVM_CAP_MCE);

	EXPECT_EQ(-EINVAL, set_up(&self->vcpu, 0));
	EXPECT_EQ(-EINVAL, set_up(&self->vcpu, banks + 1));
	EXPECT_EQ(-EINVAL, set_up(&self->vcpu, 10 | 1ull << 63));
	EXPECT_EQ(0, set_up(&self->vcpu, 10));
	EXPECT_EQ(10u, vcpu_get_msr(&self->vcpu, MSR_MCG_CAP));
	EXPECT_EQ(0, set_up(&self->vcpu, 10 | self->supported));
	EXPECT_EQ(10 | kept, vcpu_get_msr(&self->vcpu, MSR_MCG_CAP));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->vcpu.fd, KVM_X86_SETUP_MCE, 0x10));
}

TEST_F(mce, set_up_enables_the_banks)
{
	ASSERT_EQ(0, set_up(&self->vcpu, 10 | MCG_CTL_P));
	EXPECT_EQ(-1ull, vcpu_get_msr(&self->vcpu, MSR_MCG_CTL));
	EXPECT_EQ(0u, vcpu_get_msr(&self->vcpu, MSR_MCG_STATUS));
	for (u32 bank = 0; bank < 10; bank++) {
		EXPECT_EQ(-1ull, vcpu_get_msr(&self->vcpu, MC_CTL(bank)));
		EXPECT_EQ(0u, vcpu_get_msr(&self->vcpu, MC_STATUS(bank)));
	}
}

/* With ten banks and MCG_CTL: which writes of userspace's succeed. */
static const struct {
	u32 index;
	u64 value;
	int result;
} writes[] = {
	{ MSR_MCG_STATUS, 5, 1 },
	{ MSR_MCG_CTL, 0, 1 },
	{ MSR_MCG_CTL, -1ull, 1 },
	{ MC_CTL(0), 0, 1 },
	{ MC_CTL(9), -1ull, 1 },
	{ MC_STATUS(3), MCI_VAL | 0x123, 1 },
	{ MC_ADDR(3), 0x12345000, 1 },
	{ MC_MISC(3), 0x8c, 1 },
	{ MC_CTL(10), 0, 0 },		/* there is no such bank */
	{ MC_MISC(31), 0, 0 },
};

TEST_F(mce, banks)
{
	u64 value;

	ASSERT_EQ(0, set_up(&self->vcpu, 10 | MCG_CTL_P));
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		EXPECT_EQ(writes[i].result,
			  __vcpu_set_msr(&self->vcpu, writes[i].index, writes[i].value)) {
			TH_LOG("MSR %#x", writes[i].index);
		}
		EXPECT_EQ(writes[i].result, __vcpu_get_msr(&self->vcpu, writes[i].index, &value));
		if (writes[i].result)
			EXPECT_EQ(writes[i].value, value);
	}
}

GUEST_PROGRAM(takes, LONG, "mov %cr4, %rax\n or $0x40, %eax\n mov %rax, %cr4\n hlt\n ud2");

/* A corrected error is left in its bank, and the guest hears nothing of it. */
TEST_F(mce, a_corrected_error)
{
	struct kvm_x86_mce error = {
		.bank = 2, .status = MCI_VAL | MCI_EN | 0x150, .addr = 0x5000, .misc = 0x8c,
	};

	ASSERT_EQ(0, set_up(&self->vcpu, 10 | MCG_CTL_P));
	guest_load(&self->vcpu, &takes);
	run_to_halt(_metadata, &self->vcpu, LONG);
	ASSERT_EQ(0, __vcpu_set_mce(&self->vcpu, &error));
	EXPECT_EQ(error.status, vcpu_get_msr(&self->vcpu, MC_STATUS(2)));
	EXPECT_EQ(error.addr, vcpu_get_msr(&self->vcpu, MC_ADDR(2)));
	EXPECT_EQ(error.misc, vcpu_get_msr(&self->vcpu, MC_MISC(2)));
	error.bank = 10;
	EXPECT_EQ(-EINVAL, __vcpu_set_mce(&self->vcpu, &error));
	error.bank = 0;
	error.status = 0x150;
	EXPECT_EQ(-EINVAL, __vcpu_set_mce(&self->vcpu, &error));
}

#define MC_VECTOR 18

/* An uncorrected one is a machine check, once the guest has switched them on. */
TEST_F(mce, an_uncorrected_error)
{
	struct kvm_x86_mce error = {
		.bank = 2, .status = MCI_VAL | MCI_UC | MCI_EN | 0x150, .mcg_status = 4,
	};
	struct guest_trap trap;

	ASSERT_EQ(0, set_up(&self->vcpu, 10 | MCG_CTL_P));
	guest_load(&self->vcpu, &takes);
	run_to_halt(_metadata, &self->vcpu, LONG);
	ASSERT_EQ(0, __vcpu_set_mce(&self->vcpu, &error));
	run_to_trap(_metadata, &self->vcpu, LONG, MC_VECTOR, &trap);
	EXPECT_EQ(4u, vcpu_get_msr(&self->vcpu, MSR_MCG_STATUS));
	EXPECT_EQ(error.status, vcpu_get_msr(&self->vcpu, MC_STATUS(2)));
}

TEST_HARNESS_MAIN
