// SPDX-License-Identifier: GPL-2.0
/* KVM_SET_SREGS: what it takes, what it keeps, and that a refusal changes nothing. */
#include "lib/harness.h"

#define CR4_BIT(n) (1ull << (n))

/* One change to the special registers of a guest in a mode, and the answer. */
FIXTURE(sregs) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(sregs) {
	enum guest_mode mode;
	u64 cr0_on, cr0_off, cr4_on, cr4_off, efer_on, efer_off;
	u64 apic_base;	/* 0: not changed */
	u64 cr3_on;
	bool cs_l;
	int result;
};
FIXTURE_SETUP(sregs)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_set_mode(&self->vcpu, variant->mode);
}
FIXTURE_TEARDOWN(sregs)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define GOOD_ROW(id, ...) FIXTURE_VARIANT_ADD(sregs, id) { __VA_ARGS__ }
#define BAD_ROW(id, ...) \
FIXTURE_VARIANT_ADD(sregs, id) { __VA_ARGS__, .result = -EINVAL }

GOOD_ROW(real_as_it_is, REAL);
GOOD_ROW(prot_as_it_is, PROT);
GOOD_ROW(paged_as_it_is, PAGED);
GOOD_ROW(pae_as_it_is, PAE);
GOOD_ROW(compat_as_it_is, COMPAT);
GOOD_ROW(long_as_it_is, LONG);
GOOD_ROW(cache_off, LONG, .cr0_on = CR0_CD | CR0_NW);
GOOD_ROW(lme_before_paging, PROT, .efer_on = EFER_LME);
GOOD_ROW(apic_base_disabled, LONG, .apic_base = 0xfee00000);
GOOD_ROW(apic_base_moved, LONG, .apic_base = 0xfed00800);
BAD_ROW(paging_without_protection, PROT, .cr0_on = CR0_PG, .cr0_off = CR0_PE);
BAD_ROW(nw_without_cd, LONG, .cr0_on = CR0_NW);
BAD_ROW(cr0_upper_half, LONG, .cr0_on = 1ull << 32);
BAD_ROW(long_mode_without_pae, LONG, .cr4_off = CR4_PAE);
BAD_ROW(long_mode_without_lma, LONG, .efer_off = EFER_LMA);
BAD_ROW(lma_without_lme, LONG, .efer_off = EFER_LME);
BAD_ROW(lma_without_paging, LONG, .cr0_off = CR0_PG);
BAD_ROW(code_segment_long_without_lma, PROT, .cs_l = true);
BAD_ROW(cr4_reserved_bit_31, LONG, .cr4_on = CR4_BIT(31));
BAD_ROW(cr4_reserved_bit_15, LONG, .cr4_on = CR4_BIT(15));
BAD_ROW(cr4_reserved_bit_63, LONG, .cr4_on = CR4_BIT(63));
BAD_ROW(cr3_beyond_physical_width, LONG, .cr3_on = 1ull << 52);
BAD_ROW(apic_base_x2apic_without_enable, LONG, .apic_base = 0xfee00400);
BAD_ROW(apic_base_reserved_bit, LONG, .apic_base = 0xfee00801);
BAD_ROW(apic_base_beyond_physical_width, LONG, .apic_base = 1ull << 60 | 0xfee00800);

TEST_F(sregs, set)
{
	struct kvm_sregs before, wanted, after;

	vcpu_get_sregs(&self->vcpu, &before);
	wanted = before;
	wanted.cr0 = (wanted.cr0 | variant->cr0_on) & ~variant->cr0_off;
	wanted.cr3 |= variant->cr3_on;
	wanted.cr4 = (wanted.cr4 | variant->cr4_on) & ~variant->cr4_off;
	wanted.efer = (wanted.efer | variant->efer_on) & ~variant->efer_off;
	if (variant->apic_base)
		wanted.apic_base = variant->apic_base;
	if (variant->cs_l)
		wanted.cs.l = 1;

	/* A refused call must not have taken the harmless part either. */
	wanted.gdt.base = 0x77000;
	wanted.cr2 = 0x1234;
	EXPECT_EQ(variant->result, __vcpu_set_sregs(&self->vcpu, &wanted));
	vcpu_get_sregs(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(variant->result ? &before : &wanted, &after,
			    sizeof(after)));
}

/* A CR4 bit is there when the vCPU's CPUID has its feature, and only then. */
FIXTURE(cr4) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_cpuid2 *cpuid;
};
FIXTURE_VARIANT(cr4) {
	int bit;
	u32 function;
	int reg;	/* EAX, EBX, ECX, EDX */
	int feature;
};
FIXTURE_SETUP(cr4)
{
	vm_create(&self->vm);
	vcpu_create_bare(&self->vm, &self->vcpu, 0);
	self->cpuid = supported_cpuid(self->vm.dev);
}
FIXTURE_TEARDOWN(cr4)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define CR4_ROW(id, ...) FIXTURE_VARIANT_ADD(cr4, id) { __VA_ARGS__ }
CR4_ROW(umip, 11, 7, 2, 2);
CR4_ROW(la57, 12, 7, 2, 16);
CR4_ROW(fsgsbase, 16, 7, 1, 0);
CR4_ROW(pcide, 17, 1, 2, 17);
CR4_ROW(osxsave, 18, 1, 2, 26);
CR4_ROW(smep, 20, 7, 1, 7);
CR4_ROW(smap, 21, 7, 1, 20);
CR4_ROW(pke, 22, 7, 2, 3);

static int set_cr4(struct vcpu *vcpu, u64 bit)
{
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 |= bit;
	return __vcpu_set_sregs(vcpu, &sregs);
}

TEST_F(cr4, follows_cpuid)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(self->cpuid,
						    variant->function, 0);
	u32 *reg = &entry->eax + variant->reg;
	u32 mask = 1u << variant->feature;
	bool supported = *reg & mask;

	*reg &= ~mask;
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	guest_set_mode(&self->vcpu, LONG);
	EXPECT_EQ(-EINVAL, set_cr4(&self->vcpu, CR4_BIT(variant->bit)));
	if (!supported)
		return;
	*reg |= mask;
	vcpu_set_cpuid2(&self->vcpu, self->cpuid);
	EXPECT_EQ(0, set_cr4(&self->vcpu, CR4_BIT(variant->bit)));
}

FIXTURE_ONE_VCPU(segments)

TEST_F(segments, unusable_is_kept)
{
	struct kvm_sregs sregs, after;

	guest_set_mode(&self->vcpu, LONG);
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.gs = (struct kvm_segment) { .unusable = 1, .base = 0x1000 };
	sregs.ldt = (struct kvm_segment) { .unusable = 1 };
	vcpu_set_sregs(&self->vcpu, &sregs);
	vcpu_get_sregs(&self->vcpu, &after);
	EXPECT_EQ(1, after.gs.unusable);
	EXPECT_EQ(1, after.ldt.unusable);
	EXPECT_EQ(0x1000u, after.gs.base);
}

/* Clients that start from zeros: no APIC base, a task register of nothing. */
GUEST_PROGRAM(counts, LONG, "inc %rbx\n hlt");

TEST_F(segments, from_a_zeroed_structure)
{
	struct kvm_sregs sregs, zeroed = { 0 };

	guest_load(&self->vcpu, &counts);
	vcpu_get_sregs(&self->vcpu, &sregs);
	zeroed.cs = sregs.cs;
	zeroed.ds = zeroed.es = zeroed.fs = zeroed.gs = zeroed.ss = sregs.ds;
	zeroed.tr = (struct kvm_segment) { .type = 11, .present = 1 };
	zeroed.ldt.unusable = 1;
	zeroed.cr0 = sregs.cr0;
	zeroed.cr3 = sregs.cr3;
	zeroed.cr4 = sregs.cr4;
	zeroed.efer = sregs.efer;
	vcpu_set_sregs(&self->vcpu, &zeroed);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0u, self->vcpu.run->apic_base);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(0u, sregs.apic_base);
}

TEST_F(segments, bases_and_limits_hold_in_the_guest)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	GUEST_PROGRAM(through_fs, PROT, "mov %fs:0x10, %eax\n mov %gs:0x20, %ebx\n hlt");
	guest_load(&self->vcpu, &through_fs);
	*(u32 *)(self->vm.ram + 0x30010) = 0xf5f5;
	*(u32 *)(self->vm.ram + 0x40020) = 0xa6a6;
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.fs.base = 0x30000;
	sregs.gs.base = 0x40000;
	sregs.gs.limit = 0x23;
	sregs.gs.g = 0;
	vcpu_set_sregs(&self->vcpu, &sregs);
	run_to_halt(_metadata, &self->vcpu, PROT);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0xf5f5u, regs.rax);
	EXPECT_EQ(0xa6a6u, regs.rbx);
}

GUEST_PROGRAM(loads_all, LONG,
	      "mov $0x2b, %eax\n mov %eax, %ds\n mov %eax, %fs\n xor %eax, %eax\n"
	      "mov %eax, %gs\n mov %rsp, %cr2\n mov $5, %eax\n mov %rax, %cr8\n hlt");

/* What the guest loads is what the call returns. */
TEST_F(segments, the_guests_own_loads_are_seen)
{
	struct kvm_sregs sregs;

	guest_load(&self->vcpu, &loads_all);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(SEL_UDATA, sregs.ds.selector);
	EXPECT_EQ(3, sregs.ds.dpl);
	EXPECT_EQ(0xffffffffu, sregs.ds.limit);
	EXPECT_EQ(SEL_UDATA, sregs.fs.selector);
	EXPECT_EQ(1, sregs.gs.unusable);
	EXPECT_EQ(5u, sregs.cr8);
	expect_cr2(_metadata, &self->vcpu, GUEST_STACK);
}

GUEST_PROGRAM(loads_64_bit_code, PROT, "ljmp $8, $0xa007\n hlt");

/* Legacy mode does not look at CS.L of what it loads: what is told can be given back all the same. */
TEST_F(segments, code_of_64_bits_in_legacy_mode)
{
	struct kvm_sregs sregs;

	if (!device_is_vmlet())
		SKIP(return, "stock KVM refuses what it tells");
	guest_load(&self->vcpu, &loads_64_bit_code);
	run_to_halt(_metadata, &self->vcpu, PROT);
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(SEL_CODE64, sregs.cs.selector);
	EXPECT_EQ(0, sregs.cs.l);
	EXPECT_EQ(0, __vcpu_set_sregs(&self->vcpu, &sregs));
}

GUEST_PROGRAM(reads_efer, PROT, "mov $0xc0000080, %ecx\n rdmsr\n hlt");

static const struct deviation lme_without_pae = {
	.qemu = "the host does not come back from a guest with EFER.LME and without CR4.PAE",
};

/* A guest on its way to long mode, which asks for it first. */
TEST_F(segments, long_mode_enabled_before_pae)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (!device_is_vmlet() && skip_here(_metadata, &lme_without_pae))
		return;
	guest_load(&self->vcpu, &reads_efer);
	vcpu_get_sregs(&self->vcpu, &sregs);
	sregs.efer |= EFER_LME;
	vcpu_set_sregs(&self->vcpu, &sregs);
	run_to_halt(_metadata, &self->vcpu, PROT);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(EFER_LME, regs.rax & (EFER_LME | EFER_LMA));
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(EFER_LME, sregs.efer & (EFER_LME | EFER_LMA));
}

TEST_HARNESS_MAIN
