// SPDX-License-Identifier: GPL-2.0
/* KVM_TRANSLATE walks the guest's own page tables, whatever the mode. */
#include "lib/harness.h"

FIXTURE(translate) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(translate) {
	enum guest_mode mode;
	u64 linear;
	bool valid;
	u64 physical;
};
FIXTURE_SETUP(translate)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_set_mode(&self->vcpu, variant->mode);
}
FIXTURE_TEARDOWN(translate)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define TRANSLATE_ROW(id, ...) FIXTURE_VARIANT_ADD(translate, id) { __VA_ARGS__ }

TRANSLATE_ROW(real, REAL, 0x12345, true, 0x12345);
TRANSLATE_ROW(prot, PROT, 0xfedc1234, true, 0xfedc1234);
TRANSLATE_ROW(paged, PAGED, 0x12345, true, 0x12345);
TRANSLATE_ROW(paged_unmapped, PAGED, UNMAPPED_GVA, false);
TRANSLATE_ROW(paged_moved, PAGED, 0x2a00123, true, 0xa00123);
TRANSLATE_ROW(pae, PAE, 0x345678, true, 0x345678);
TRANSLATE_ROW(pae_unmapped, PAE, UNMAPPED_GVA, false);
TRANSLATE_ROW(large_page, LONG, 0x345678, true, 0x345678);
TRANSLATE_ROW(small_page, LONG, 0x3fe01234, true, 0x5234);
TRANSLATE_ROW(small_page_unmapped, LONG, 0x3fe02000, false);
TRANSLATE_ROW(unmapped, LONG, UNMAPPED_GVA, false);
TRANSLATE_ROW(high_half_unmapped, LONG, 0xffffffff80000000, false);
TRANSLATE_ROW(compat, COMPAT, 0x345678, true, 0x345678);

TEST_F(translate, linear_to_physical)
{
	struct kvm_translation tr = { .linear_address = variant->linear };
	u64 *pd = (u64 *)(self->vm.ram + GUEST_PD);
	u64 *pt = (u64 *)(self->vm.ram + GUEST_PT);
	u32 *pd32 = (u32 *)(self->vm.ram + GUEST_PD32);

	pd[511] = GUEST_PT | PTE_P | PTE_W;
	memset(pt, 0, 4096);
	pt[1] = 0x5000 | PTE_P;
	pd32[10] = 0x800000 | PTE_PS | PTE_P;
	EXPECT_EQ(0, __vcpu_translate(&self->vcpu, &tr));
	EXPECT_EQ(variant->valid, tr.valid);
	if (variant->valid)
		EXPECT_EQ(variant->physical, tr.physical_address);
}

TEST_HARNESS_MAIN
