// SPDX-License-Identifier: GPL-2.0
/* KVM_GET_SREGS2 and KVM_SET_SREGS2: KVM_GET_SREGS with the PDPTEs of PAE paging for the queued interrupt. */
#include "lib/harness.h"

OBJECT_IOCTL(vcpu, get_sregs2, KVM_GET_SREGS2, struct kvm_sregs2)
OBJECT_IOCTL(vcpu, set_sregs2, KVM_SET_SREGS2, struct kvm_sregs2)

#define COMMON	offsetof(struct kvm_sregs2, flags)
#define GIVEN	KVM_SREGS2_FLAGS_PDPTRS_VALID

FIXTURE(sregs2) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(sregs2) {
	enum guest_mode mode;
	u64 flags;
};
FIXTURE_SETUP(sregs2)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_set_mode(&self->vcpu, variant->mode);
}
FIXTURE_TEARDOWN(sregs2)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define MODE_ROW(id, ...) FIXTURE_VARIANT_ADD(sregs2, id) { __VA_ARGS__ }

MODE_ROW(real, REAL);
MODE_ROW(prot, PROT);
MODE_ROW(paged, PAGED);
MODE_ROW(pae, PAE, GIVEN);
MODE_ROW(long, LONG);

TEST_F(sregs2, as_sregs)
{
	struct kvm_sregs2 sregs2, after;
	struct kvm_sregs sregs;

	vcpu_get_sregs2(&self->vcpu, &sregs2);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(0, memcmp(&sregs, &sregs2, COMMON));
	EXPECT_EQ(variant->flags, sregs2.flags);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(variant->flags ? ((u64 *)(self->vm.ram + sregs.cr3))[i] : 0, sregs2.pdptrs[i]);

	sregs2.gdt.base = 0x77000;
	sregs2.cr2 = 0x1234;
	vcpu_set_sregs2(&self->vcpu, &sregs2);
	vcpu_get_sregs2(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&sregs2, &after, sizeof(after)));
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(0, memcmp(&sregs, &sregs2, COMMON));
}

TEST_F(sregs2, refused)
{
	struct kvm_sregs2 before, wanted, after;

	vcpu_get_sregs2(&self->vcpu, &before);
	wanted = before;
	wanted.cr2 = 0x1234;
	for (u64 flag = 1; flag; flag <<= 1) {
		if (flag == GIVEN && variant->flags)
			continue;
		wanted.flags = flag;
		EXPECT_EQ(-EINVAL, __vcpu_set_sregs2(&self->vcpu, &wanted));
	}
	wanted.flags = 0;
	wanted.cr0 |= 1ull << 32;
	EXPECT_EQ(-EINVAL, __vcpu_set_sregs2(&self->vcpu, &wanted));
	vcpu_get_sregs2(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
}

FIXTURE_ONE_VCPU(pdptes)

GUEST_PROGRAM(loads, PAE, "mov $5, %ebx\n out %al, $0x10\n mov 0xc000, %eax\n hlt");

TEST_F(pdptes, capability)
{
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_SREGS2));
}

/* A queued interrupt is no part of it: none is told, and none is queued by what was there. */
TEST_F(pdptes, no_interrupt)
{
	struct kvm_sregs sregs;
	struct kvm_sregs2 sregs2;

	guest_load(&self->vcpu, &loads);
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.interrupt_bitmap[0] = 1ull << 0x30;
	vcpu_set_sregs(&self->vcpu, &sregs);
	vcpu_get_sregs2(&self->vcpu, &sregs2);
	vcpu_set_sregs2(&self->vcpu, &sregs2);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(1ull << 0x30, sregs.interrupt_bitmap[0]);
}

/* With what was read, before and in the middle of a guest's run. */
TEST_F(pdptes, read_and_set)
{
	struct kvm_sregs2 sregs2;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &loads);
	*(u32 *)(self->vm.ram + GUEST_DATA) = 0x5678;
	vcpu_get_sregs2(&self->vcpu, &sregs2);
	ASSERT_EQ(GIVEN, sregs2.flags);
	vcpu_set_sregs2(&self->vcpu, &sregs2);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_sregs2(&self->vcpu, &sregs2);
	ASSERT_EQ(GIVEN, sregs2.flags);
	/* QEMU sets an accessed bit. */
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(((u64 *)(self->vm.ram + sregs2.cr3))[i] & ~0x20ull, sregs2.pdptrs[i] & ~0x20ull);
	vcpu_set_sregs2(&self->vcpu, &sregs2);
	run_to_halt(_metadata, &self->vcpu, PAE);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x5678u, regs.rax);
}

/* VT-x has them in registers: those that were set hold, whatever is in memory until the guest loads CR3. */
TEST_F(pdptes, not_those_in_memory)
{
	struct kvm_sregs2 sregs2, after;
	struct kvm_regs regs;

	if (host_is_amd())
		SKIP(return, "AMD-V reads PDPTEs from memory");
	guest_load(&self->vcpu, &loads);
	*(u32 *)(self->vm.ram + GUEST_DATA) = 0x5678;
	vcpu_get_sregs2(&self->vcpu, &sregs2);
	memset(self->vm.ram + sregs2.cr3, 0, sizeof(sregs2.pdptrs));
	vcpu_set_sregs2(&self->vcpu, &sregs2);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_sregs2(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(sregs2.pdptrs, after.pdptrs, sizeof(after.pdptrs)));
	vcpu_set_sregs2(&self->vcpu, &after);
	run_to_halt(_metadata, &self->vcpu, PAE);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x5678u, regs.rax);
}

TEST_HARNESS_MAIN
