// SPDX-License-Identifier: GPL-2.0
/* Model-specific registers: reset value, good and bad values, from userspace and guest. */
#include "lib/harness.h"

#define CANONICAL_HIGH	0xffff800000123000ul
#define NOT_CANONICAL	0x8000000000000000ul

FIXTURE(msr) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(msr) {
	u32 index;
	u64 reset;
	u64 good[3];	/* up to the first zero; every one reads back as written */
	u64 bad[3];	/* up to the first zero; #GP for the guest, refused for userspace */
	bool any_reset;
	bool readonly;
	bool address;	/* must be canonical */
};
FIXTURE_SETUP(msr)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(msr)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define MSR_ROW(id, ...) FIXTURE_VARIANT_ADD(msr, id) { __VA_ARGS__ }

MSR_ROW(sysenter_cs, 0x174, .good = { 0x10, 0xfff8 });
/* AMD's have 32 bits, and so have KVM's for a guest that AMD's CPUID is given to. */
MSR_ROW(sysenter_esp, 0x175, .good = { 0x1000, 0xfffff000 });
MSR_ROW(sysenter_eip, 0x176, .good = { 0x2000, 0xfffff000 });
MSR_ROW(pat, 0x277, 0x0007040600070406, .good = { 0x0606060606060606, 0x0007010600070406 },
	.bad = { 0x2, 0x0300000000000000, 0x0807040600070406 });
MSR_ROW(efer, 0xc0000080, .good = { 0x801, 1 }, .bad = { 1 << 1, 1 << 16, 1ul << 40 });
MSR_ROW(star, 0xc0000081, .good = { 0x0023001000000000, 0x1122334455667788 });
MSR_ROW(lstar, 0xc0000082, .good = { 0x4000, CANONICAL_HIGH }, .bad = { NOT_CANONICAL },
	.address = true);
MSR_ROW(cstar, 0xc0000083, .good = { 0x5000, CANONICAL_HIGH }, .bad = { NOT_CANONICAL },
	.address = true);
MSR_ROW(syscall_mask, 0xc0000084, .good = { 0x47700, 0x300 });
MSR_ROW(fs_base, 0xc0000100, .good = { 0x6000, CANONICAL_HIGH }, .bad = { NOT_CANONICAL },
	.address = true);
MSR_ROW(gs_base, 0xc0000101, .good = { 0x7000, CANONICAL_HIGH }, .bad = { NOT_CANONICAL },
	.address = true);
MSR_ROW(kernel_gs_base, 0xc0000102, .good = { 0x8000, CANONICAL_HIGH },
	.bad = { NOT_CANONICAL },
	.address = true);
MSR_ROW(mtrr_cap, 0xfe, 0x508, .readonly = true);
MSR_ROW(mtrr_def_type, 0x2ff, .good = { 0xc06, 0x800, 0xc00 },
	.bad = { 0xc02, 0xc07, 0x1000 });
MSR_ROW(mtrr_base_0, 0x200, .good = { 0x80000006, 0x1 }, .bad = { 0x80000002, 0x80000106 });
MSR_ROW(mtrr_mask_0, 0x201, .good = { 0xf80000800 }, .bad = { 0xf80000801 });
MSR_ROW(mtrr_base_7, 0x20e, .good = { 0xc0000000 });
MSR_ROW(mtrr_mask_7, 0x20f, .good = { 0xfc0000800 });
MSR_ROW(mtrr_fixed_64k, 0x250, .good = { 0x0606060606060606 }, .bad = { 2, 7 });
MSR_ROW(mtrr_fixed_16k_0, 0x258, .good = { 0x0606060606060606 });
MSR_ROW(mtrr_fixed_16k_1, 0x259, .good = { 0x0101010101010101 });
MSR_ROW(mtrr_fixed_4k_0, 0x268, .good = { 0x0505050505050505 }, .bad = { 3 });
MSR_ROW(mtrr_fixed_4k_7, 0x26f, .good = { 0x0404040404040404 });
MSR_ROW(hwcr, 0xc0010015, .good = { 1 << 24 }, .bad = { 1 << 1, 1ul << 40 });
MSR_ROW(microcode, 0x8b, .any_reset = true);
MSR_ROW(misc_enable, 0x1a0, .any_reset = true);
MSR_ROW(apic_base, 0x1b, .any_reset = true, .bad = { 0x400, 1ul << 60 });

GUEST_PROGRAM(write_read, LONG, "wrmsr\n mov $-1, %eax\n mov $-1, %edx\n rdmsr\n hlt");
GUEST_PROGRAM(read_only, LONG, "rdmsr\n hlt");

static void guest_msr(struct vcpu *vcpu, const struct guest_program *program,
		      u32 index, u64 value)
{
	struct row_regs row = {
		.rcx = index, .rax = (u32)value, .rdx = value >> 32,
	};

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
}

static u64 guest_value(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	return regs.rdx << 32 | (u32)regs.rax;
}

TEST_F(msr, reset_value)
{
	u64 value;

	ASSERT_EQ(1, __vcpu_get_msr(&self->vcpu, variant->index, &value));
	if (!variant->any_reset)
		EXPECT_EQ(variant->reset, value);
}

TEST_F(msr, from_userspace)
{
	u64 before = vcpu_get_msr(&self->vcpu, variant->index);

	for (size_t i = 0; i < ARRAY_SIZE(variant->bad) && variant->bad[i]; i++) {
		EXPECT_EQ(0, __vcpu_set_msr(&self->vcpu, variant->index,
					    variant->bad[i]));
		EXPECT_EQ(before, vcpu_get_msr(&self->vcpu, variant->index));
	}
	for (size_t i = 0; i < ARRAY_SIZE(variant->good) && variant->good[i]; i++) {
		EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, variant->index,
					    variant->good[i]));
		EXPECT_EQ(variant->good[i], vcpu_get_msr(&self->vcpu, variant->index));
	}
	if (!variant->readonly)
		EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, variant->index, before));
}

/* The guest is in long mode: what it writes to EFER must say so. */
static u64 for_guest(u32 index, u64 value)
{
	return index == 0xc0000080 ? value | EFER_LME | EFER_LMA : value;
}

static const struct deviation unchecked_addresses = {
	.qemu = "QEMU does not check addresses in MSRs: bad ones not tried",
};

TEST_F(msr, from_the_guest)
{
	struct guest_trap trap;

	for (size_t i = 0; i < ARRAY_SIZE(variant->good) && variant->good[i]; i++) {
		u64 value = for_guest(variant->index, variant->good[i]);

		guest_msr(&self->vcpu, &write_read, variant->index, value);
		ASSERT_EQ(-1, guest_trap(&self->vcpu, LONG, &trap));
		ASSERT_EQ(value, guest_value(&self->vcpu));
		ASSERT_EQ(value, vcpu_get_msr(&self->vcpu, variant->index));
	}
	if (variant->address && skip_here(_metadata, &unchecked_addresses))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(variant->bad) && variant->bad[i]; i++) {
		u64 value = for_guest(variant->index, variant->bad[i]);

		guest_msr(&self->vcpu, &write_read, variant->index, value);
		EXPECT_EQ(GP_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
		EXPECT_EQ(0u, trap.error);
		EXPECT_EQ(GUEST_CODE, trap.rip);
	}
	if (variant->readonly) {
		guest_msr(&self->vcpu, &write_read, variant->index, 1);
		EXPECT_EQ(GP_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
	}
}

/* What userspace stored is what the guest reads. */
TEST_F(msr, userspace_to_guest)
{
	struct guest_trap trap;
	struct row_regs row = { .rcx = variant->index };
	u64 value = for_guest(variant->index, variant->good[0]);

	guest_load(&self->vcpu, &read_only);
	row_set_regs(&self->vcpu, &row);
	if (!value)
		value = vcpu_get_msr(&self->vcpu, variant->index);
	else
		ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, variant->index, value));
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	ASSERT_EQ(-1, guest_trap(&self->vcpu, LONG, &trap));
	EXPECT_EQ(value, guest_value(&self->vcpu));
}

FIXTURE_ONE_VCPU(calls)

static struct kvm_msrs *msrs_alloc(u32 nmsrs)
{
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) +
				       nmsrs * sizeof(msrs->entries[0]));

	if (!msrs)
		die("no memory for %u MSRs", nmsrs);
	msrs->nmsrs = nmsrs;
	return msrs;
}

TEST_F(calls, none_at_all)
{
	struct kvm_msrs none = { 0 };

	EXPECT_EQ(0, __vcpu_get_msrs(&self->vcpu, &none));
	EXPECT_EQ(0, __vcpu_set_msrs(&self->vcpu, &none));
}

TEST_F(calls, too_many)
{
	struct kvm_msrs *msrs = msrs_alloc(256);

	EXPECT_EQ(-E2BIG, __vcpu_get_msrs(&self->vcpu, msrs));
	EXPECT_EQ(-E2BIG, __vcpu_set_msrs(&self->vcpu, msrs));
}

/* The first that fails ends the call; those before it are done and counted. */
TEST_F(calls, the_first_failure_ends_the_count)
{
	struct kvm_msrs *msrs = msrs_alloc(3);

	msrs->entries[0].index = 0x174;
	msrs->entries[0].data = 0x33;
	msrs->entries[1].index = 0x12345678;
	msrs->entries[2].index = 0x175;
	msrs->entries[2].data = 0x44;
	EXPECT_EQ(1, __vcpu_set_msrs(&self->vcpu, msrs));
	EXPECT_EQ(0x33u, vcpu_get_msr(&self->vcpu, 0x174));
	EXPECT_EQ(0u, vcpu_get_msr(&self->vcpu, 0x175));

	msrs->entries[0].data = 0;
	EXPECT_EQ(1, __vcpu_get_msrs(&self->vcpu, msrs));
	EXPECT_EQ(0x33u, msrs->entries[0].data);
}

TEST_F(calls, unknown_index)
{
	u64 value;

	EXPECT_EQ(0, __vcpu_get_msr(&self->vcpu, 0x12345678, &value));
	EXPECT_EQ(0, __vcpu_set_msr(&self->vcpu, 0x12345678, 0));
}

static struct kvm_msr_list *index_list(int dev)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 1024 * sizeof(u32));

	if (!list)
		die("no memory for the list of MSRs");
	list->nmsrs = 1024;
	fd_ioctl(dev, KVM_GET_MSR_INDEX_LIST, (unsigned long)list,
		 "KVM_GET_MSR_INDEX_LIST");
	return list;
}

TEST_F(calls, index_list_says_how_long_it_is)
{
	struct kvm_msr_list *list = index_list(self->vm.dev);
	struct kvm_msr_list none = { 0 };

	EXPECT_LT(10u, list->nmsrs);
	EXPECT_EQ(-E2BIG, __fd_ioctl(self->vm.dev, KVM_GET_MSR_INDEX_LIST,
				     (unsigned long)&none));
	EXPECT_EQ(list->nmsrs, none.nmsrs);
	EXPECT_EQ(0, __fd_ioctl(self->vm.dev, KVM_GET_MSR_INDEX_LIST,
				(unsigned long)list));
	EXPECT_EQ(none.nmsrs, list->nmsrs);
}

TEST_F(calls, everything_listed_reads_and_writes_back)
{
	struct kvm_msr_list *list = index_list(self->vm.dev);
	u64 value;

	for (u32 i = 0; i < list->nmsrs; i++) {
		u32 index = list->indices[i];

		for (u32 j = 0; j < i; j++)
			EXPECT_NE(index, list->indices[j]);
		if (__vcpu_get_msr(&self->vcpu, index, &value) != 1)
			die("MSR %#x is listed and cannot be read", index);
		/* KVM's own ones for its local APIC, which these VMs do not have. */
		if (index >> 8 == 0x4b564d)
			continue;
		if (__vcpu_set_msr(&self->vcpu, index, value) != 1)
			die("MSR %#x does not take back %#llx", index,
			    (unsigned long long)value);
	}
}

TEST_F(calls, list_has_what_a_64_bit_system_needs)
{
	static const u32 needed[] = {
		0x10, 0x174, 0x175, 0x176, 0x277, 0xc0000081, 0xc0000082,
		0xc0000083, 0xc0000084, 0xc0000102,
	};
	struct kvm_msr_list *list = index_list(self->vm.dev);

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		u32 j = 0;

		while (j < list->nmsrs && list->indices[j] != needed[i])
			j++;
		EXPECT_GT(list->nmsrs, j);
	}
}

/* Work-around bits that firmware sets are swallowed, the others are stored. */
TEST_F(calls, hwcr_ignores_some_bits)
{
	EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xc0010015,
				    1 << 3 | 1 << 6 | 1 << 8 | 1 << 24));
	EXPECT_EQ(1u << 24, vcpu_get_msr(&self->vcpu, 0xc0010015));
}

/* FS_BASE as an MSR and as part of the segment are one thing. */
TEST_F(calls, segment_bases_are_the_segments)
{
	struct kvm_sregs sregs;

	guest_set_mode(&self->vcpu, LONG);
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xc0000100, 0x12345000));
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xc0000101, 0x54321000));
	vcpu_get_sregs(&self->vcpu, &sregs);
	EXPECT_EQ(0x12345000u, sregs.fs.base);
	EXPECT_EQ(0x54321000u, sregs.gs.base);
	EXPECT_EQ(sregs.apic_base, vcpu_get_msr(&self->vcpu, 0x1b));
	EXPECT_EQ(sregs.efer, vcpu_get_msr(&self->vcpu, 0xc0000080));
}

GUEST_PROGRAM(swaps_gs, LONG, "swapgs\n mov $0xc0000101, %ecx\n rdmsr\n hlt");

TEST_F(calls, swapgs)
{
	guest_load(&self->vcpu, &swaps_gs);
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xc0000101, 0x1111));
	ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, 0xc0000102, 0x2222));
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0x2222u, guest_value(&self->vcpu));
	EXPECT_EQ(0x1111u, vcpu_get_msr(&self->vcpu, 0xc0000102));
}

/* SYSCALL uses STAR, LSTAR and the mask; SYSRET brings the user back. */
GUEST_PROGRAM(does_syscall, LONG,
	      "mov $0xc0000080, %ecx\n rdmsr\n or $1, %eax\n wrmsr\n"
	      "mov $0xc0000081, %ecx\n xor %eax, %eax\n mov $0x00130008, %edx\n wrmsr\n"
	      "mov $0xc0000082, %ecx\n lea 2f(%rip), %rax\n xor %edx, %edx\n wrmsr\n"
	      "mov $0xc0000084, %ecx\n mov $0x200, %eax\n wrmsr\n"
	      "lea 1f(%rip), %rcx\n mov $0x202, %r11d\n sysretq\n"
	      "1: inc %ebx\n syscall\n"
	      "2: mov %cs, %esi\n pushf\n pop %rdi\n and $0x200, %edi\n hlt");

TEST_F(calls, syscall_and_sysret)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &does_syscall);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(1u, regs.rbx);
	EXPECT_EQ(SEL_CODE64, regs.rsi);
	EXPECT_EQ(0u, regs.rdi);
	EXPECT_EQ(RFLAGS_IF, regs.r11 & RFLAGS_IF);
}

TEST_HARNESS_MAIN
