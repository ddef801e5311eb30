// SPDX-License-Identifier: GPL-2.0
/* What KVM_CHECK_EXTENSION promises, the same on the device and on a VM. */
#include "lib/harness.h"

FIXTURE(capability) {
	struct vm vm;
};
FIXTURE_VARIANT(capability) {
	long number;
	int least, most;
};
FIXTURE_SETUP(capability)
{
	vm_create(&self->vm);
}
FIXTURE_TEARDOWN(capability)
{
	vm_destroy(&self->vm);
}

#define CAP_ROW(id, ...) \
FIXTURE_VARIANT_ADD(capability, id) { KVM_CAP_##id, __VA_ARGS__ }
#define YES 1, 1

CAP_ROW(USER_MEMORY, YES);
CAP_ROW(USER_MEMORY2, YES);
CAP_ROW(SET_TSS_ADDR, YES);
CAP_ROW(SET_IDENTITY_MAP_ADDR, YES);
CAP_ROW(EXT_CPUID, YES);
CAP_ROW(HLT, YES);
CAP_ROW(IMMEDIATE_EXIT, YES);
CAP_ROW(MP_STATE, YES);
CAP_ROW(VCPU_EVENTS, YES);
CAP_ROW(DEBUGREGS, YES);
CAP_ROW(XSAVE, YES);
CAP_ROW(XCRS, YES);
CAP_ROW(X86_ROBUST_SINGLESTEP, YES);
CAP_ROW(SET_GUEST_DEBUG, YES);
CAP_ROW(EXCEPTION_PAYLOAD, YES);
CAP_ROW(X86_TRIPLE_FAULT_EVENT, YES);
CAP_ROW(X86_USER_SPACE_MSR, YES);
CAP_ROW(X86_MSR_FILTER, YES);
CAP_ROW(EXIT_ON_EMULATION_FAILURE, YES);
CAP_ROW(X2APIC_API, 3, 3);
CAP_ROW(X86_APIC_BUS_CYCLES_NS, YES);
CAP_ROW(GET_TSC_KHZ, YES);
CAP_ROW(USER_NMI, YES);
CAP_ROW(PRE_FAULT_MEMORY, YES);
CAP_ROW(BINARY_STATS_FD, YES);
CAP_ROW(SYNC_REGS, 7, 7);
CAP_ROW(SREGS2, YES);
CAP_ROW(READONLY_MEM, YES);
CAP_ROW(SYNC_MMU, YES);
CAP_ROW(DESTROY_MEMORY_REGION_WORKS, YES);
CAP_ROW(JOIN_MEMORY_REGIONS_WORKS, YES);
CAP_ROW(INTERNAL_ERROR_DATA, YES);
CAP_ROW(CHECK_EXTENSION_VM, YES);
CAP_ROW(NR_VCPUS, 1, 4096);
CAP_ROW(MAX_VCPUS, 1, 65536);
CAP_ROW(MAX_VCPU_ID, 1, 65536);
CAP_ROW(NR_MEMSLOTS, 32, 1 << 20);
/* Other architectures' and other worlds'. */
CAP_ROW(PPC_PAIRED_SINGLES, 0, 0);
CAP_ROW(S390_PSW, 0, 0);
CAP_ROW(ARM_EL1_32BIT, 0, 0);
CAP_ROW(MSI_DEVID, 0, 0);

TEST_F(capability, value)
{
	int value = __vm_check_extension(&self->vm, variant->number);

	EXPECT_LE(variant->least, value);
	EXPECT_GE(variant->most, value);
	EXPECT_EQ(value, __fd_ioctl(self->vm.dev, KVM_CHECK_EXTENSION,
				    variant->number));
}

FIXTURE_ONE_VCPU(limits)

TEST_F(limits, are_in_order)
{
	int recommended = __vm_check_extension(&self->vm, KVM_CAP_NR_VCPUS);
	int most = __vm_check_extension(&self->vm, KVM_CAP_MAX_VCPUS);
	int ids = __vm_check_extension(&self->vm, KVM_CAP_MAX_VCPU_ID);

	EXPECT_LE(recommended, most);
	EXPECT_LE(most, ids);
}

TEST_F(limits, no_number_is_an_error)
{
	for (long number = 0; number < 300; number++)
		EXPECT_LE(0, __vm_check_extension(&self->vm, number));
	EXPECT_EQ(0, __vm_check_extension(&self->vm, -1));
}

TEST_HARNESS_MAIN
