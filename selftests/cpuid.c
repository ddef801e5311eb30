// SPDX-License-Identifier: GPL-2.0
/* CPUID: what is offered, what a vCPU is given, what its guest sees. */
#include "lib/harness.h"

GUEST_PROGRAM(asks, LONG, "cpuid\n hlt");

/* Every guest here is a 64-bit one: its CPUID must say that there is such a mode. */
#define LONG_MODE { .function = 0x80000001, .edx = 0x20100800 }

FIXTURE(cpuid) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_cpuid2 *supported;
};
FIXTURE_SETUP(cpuid)
{
	vm_create(&self->vm);
	vcpu_create_bare(&self->vm, &self->vcpu, 0);
	self->supported = supported_cpuid(self->vm.dev);
}
FIXTURE_TEARDOWN(cpuid)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static struct kvm_regs ask(struct vcpu *vcpu, u32 function, u32 index)
{
	struct row_regs row = {
		.rax = 0xffffffff00000000 | function,
		.rcx = 0xffffffff00000000 | index, .rbx = -1ul, .rdx = -1ul,
	};
	struct kvm_regs regs;

	guest_load(vcpu, &asks);
	row_set_regs(vcpu, &row);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	return regs;
}

static void expect_answer(struct __test_metadata *_metadata, struct vcpu *vcpu,
			  const struct kvm_cpuid_entry2 *entry)
{
	struct kvm_regs regs = ask(vcpu, entry->function, entry->index);

	EXPECT_EQ(entry->eax, regs.rax);
	EXPECT_EQ(entry->ebx, regs.rbx);
	EXPECT_EQ(entry->ecx, regs.rcx);
	EXPECT_EQ(entry->edx, regs.rdx);
}

static int ask_supported(int dev, struct kvm_cpuid2 *cpuid)
{
	return __fd_ioctl(dev, KVM_GET_SUPPORTED_CPUID, (unsigned long)cpuid);
}

TEST_F(cpuid, too_few_entries_is_e2big)
{
	struct kvm_cpuid2 *small = cpuid_alloc(1);

	EXPECT_EQ(-E2BIG, ask_supported(self->vm.dev, small));
	EXPECT_EQ(1u, small->nent);
	small = cpuid_alloc(self->supported->nent - 1);
	EXPECT_EQ(-E2BIG, ask_supported(self->vm.dev, small));
	EXPECT_EQ(self->supported->nent - 1, small->nent);
}

TEST_F(cpuid, exactly_enough_entries)
{
	struct kvm_cpuid2 *exact = cpuid_alloc(self->supported->nent);

	EXPECT_EQ(0, ask_supported(self->vm.dev, exact));
	EXPECT_EQ(self->supported->nent, exact->nent);
	EXPECT_EQ(0, memcmp(exact->entries, self->supported->entries,
			    exact->nent * sizeof(exact->entries[0])));
}

TEST_F(cpuid, fits_the_buffers_of_clients)
{
	EXPECT_GE(100u, self->supported->nent);
}

TEST_F(cpuid, no_leaf_twice)
{
	const struct kvm_cpuid_entry2 *entry = self->supported->entries;

	for (u32 i = 0; i < self->supported->nent; i++)
		for (u32 j = 0; j < i; j++)
			EXPECT_FALSE(entry[i].function == entry[j].function &&
				     entry[i].index == entry[j].index);
}

TEST_F(cpuid, needed_leaves)
{
	static const u32 leaves[][2] = {
		{ 0, 0 }, { 1, 0 }, { 7, 0 }, { 0xd, 0 }, { 0xd, 1 },
		{ 0x80000000, 0 }, { 0x80000001, 0 }, { 0x80000002, 0 },
		{ 0x80000003, 0 }, { 0x80000004, 0 }, { 0x80000005, 0 },
		{ 0x80000006, 0 }, { 0x80000008, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		EXPECT_NE(NULL, cpuid_find(self->supported, leaves[i][0],
					   leaves[i][1]));
}

TEST_F(cpuid, offers_what_a_64_bit_guest_needs)
{
	struct kvm_cpuid_entry2 *one = cpuid_find(self->supported, 1, 0);
	struct kvm_cpuid_entry2 *ext = cpuid_find(self->supported, 0x80000001, 0);

	/* FPU, TSC, MSR, PAE, CX8, PGE, CMOV, PAT, FXSR, SSE, SSE2; LM, NX, SYSCALL. */
	EXPECT_EQ(0x07012171u, one->edx & 0x07012171u);
	EXPECT_EQ(0x20100800u, ext->edx & 0x20100800u);
	/* Never VMX or SVM where nothing nests; KVM offers them when it nests. */
	if (device_is_vmlet()) {
		EXPECT_EQ(0u, one->ecx & 1 << 5);
		EXPECT_EQ(0u, ext->ecx & 1 << 2);
	}
}

/* Caches as the host has them, topology for userspace to fill in, and the leaf that is the last. */
TEST_F(cpuid, leaves_of_amds_cpus)
{
	struct kvm_cpuid_entry2 *top = cpuid_find(self->supported, 0x80000000, 0), *caches, *topology, *last;
	struct kvm_regs regs;
	u32 i = 0;

	if (!host_is_amd() || top->eax < 0x8000001d)
		SKIP(return, "this host's CPU has not so many leaves");
	while ((caches = cpuid_find(self->supported, 0x8000001d, i)) && caches->eax & 0x1f)
		i++;
	ASSERT_NE(NULL, caches);
	topology = cpuid_find(self->supported, 0x8000001e, 0);
	ASSERT_NE(NULL, topology);
	EXPECT_EQ(0u, topology->eax | topology->ebx | topology->ecx | topology->edx);
	last = cpuid_find(self->supported, 0x80000021, 0);
	ASSERT_NE(NULL, last);
	EXPECT_NE(0u, last->eax);
	vcpu_set_cpuid2(&self->vcpu, self->supported);
	regs = ask(&self->vcpu, 0x80000021, 0);
	EXPECT_EQ(last->eax, regs.rax);
}

TEST_F(cpuid, set_and_get)
{
	struct kvm_cpuid2 *got = cpuid_alloc(self->supported->nent);

	vcpu_set_cpuid2(&self->vcpu, self->supported);
	vcpu_get_cpuid2(&self->vcpu, got);
	EXPECT_EQ(self->supported->nent, got->nent);
	for (u32 i = 0; i < got->nent; i++) {
		EXPECT_EQ(self->supported->entries[i].function, got->entries[i].function);
		EXPECT_EQ(self->supported->entries[i].index, got->entries[i].index);
		EXPECT_EQ(self->supported->entries[i].flags, got->entries[i].flags);
	}
}

TEST_F(cpuid, get_into_too_few_entries)
{
	struct kvm_cpuid2 *small = cpuid_alloc(self->supported->nent - 1);

	vcpu_set_cpuid2(&self->vcpu, self->supported);
	EXPECT_EQ(-E2BIG, __vcpu_get_cpuid2(&self->vcpu, small));
	EXPECT_EQ(self->supported->nent - 1, small->nent);
}

TEST_F(cpuid, none_at_first)
{
	struct kvm_cpuid2 *got = cpuid_alloc(4);

	EXPECT_EQ(0, __vcpu_get_cpuid2(&self->vcpu, got));
	EXPECT_EQ(0u, got->nent);
}

TEST_F(cpuid, too_many_entries)
{
	struct kvm_cpuid2 *many = cpuid_alloc(257);

	EXPECT_EQ(-E2BIG, __vcpu_set_cpuid2(&self->vcpu, many));
}

TEST_F(cpuid, odd_width_of_linear_addresses)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(self->supported, 0x80000008, 0);

	entry->eax = (entry->eax & ~0xff00u) | 40 << 8;
	EXPECT_EQ(-EINVAL, __vcpu_set_cpuid2(&self->vcpu, self->supported));
}

TEST_F(cpuid, guest_sees_what_was_set)
{
	static const struct kvm_cpuid_entry2 ours[] = {
		{ .function = 0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163,
		  .edx = 0x69746e65 },
		{ .function = 2, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4 },
		{ .function = 4, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 0x40, .ebx = 0x41, .ecx = 0x42, .edx = 0x43 },
		{ .function = 4, .index = 3, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 0x50, .ebx = 0x51, .ecx = 0x52, .edx = 0x53 },
		{ .function = 0x40000000, .eax = 0x40000001, .ebx = 0x74657374,
		  .ecx = 0x74657374, .edx = 0x74657374 },
		{ .function = 0x80000000, .eax = 0x80000004 },
		LONG_MODE,
		{ .function = 0x80000002, .eax = 0xffffffff, .ebx = 0x80000000,
		  .ecx = 0x7fffffff, .edx = 1 },
	};
	struct kvm_cpuid2 *cpuid = cpuid_alloc(ARRAY_SIZE(ours));

	memcpy(cpuid->entries, ours, sizeof(ours));
	vcpu_set_cpuid2(&self->vcpu, cpuid);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		expect_answer(_metadata, &self->vcpu, &ours[i]);
}

TEST_F(cpuid, absent_leaves_are_zero_for_amd)
{
	struct kvm_cpuid2 *cpuid = cpuid_alloc(2);
	static const u32 absent[] = { 5, 0x20, 0x40000010, 0x80000050, 0xc0000000 };

	cpuid->entries[0] = (struct kvm_cpuid_entry2) {
		.function = 0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163,
		.edx = 0x69746e65,
	};
	cpuid->entries[1] = (struct kvm_cpuid_entry2) LONG_MODE;
	vcpu_set_cpuid2(&self->vcpu, cpuid);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		struct kvm_cpuid_entry2 zero = { .function = absent[i] };

		expect_answer(_metadata, &self->vcpu, &zero);
	}
}

/* An Intel CPU answers leaves above its highest basic one with that one. */
TEST_F(cpuid, leaves_out_of_range_repeat_the_last_for_intel)
{
	struct kvm_cpuid2 *cpuid = cpuid_alloc(4);
	struct kvm_cpuid_entry2 expected = {
		.eax = 0xa1, .ebx = 0xb2, .ecx = 0xc3, .edx = 0xd4,
	};

	cpuid->entries[0] = (struct kvm_cpuid_entry2) {
		.function = 0, .eax = 3, .ebx = 0x756e6547, .ecx = 0x6c65746e,
		.edx = 0x49656e69,
	};
	cpuid->entries[1] = (struct kvm_cpuid_entry2) { .function = 1 };
	cpuid->entries[2] = expected;
	cpuid->entries[2].function = 3;
	cpuid->entries[3] = (struct kvm_cpuid_entry2) LONG_MODE;
	vcpu_set_cpuid2(&self->vcpu, cpuid);
	expected.function = 0x20;
	expect_answer(_metadata, &self->vcpu, &expected);
	expected.function = 0x3fffffff;
	expect_answer(_metadata, &self->vcpu, &expected);
}

TEST_F(cpuid, after_a_run_only_the_same)
{
	struct kvm_cpuid2 *got = cpuid_alloc(256);

	vcpu_set_cpuid2(&self->vcpu, self->supported);
	ask(&self->vcpu, 0, 0);
	vcpu_get_cpuid2(&self->vcpu, got);
	EXPECT_EQ(0, __vcpu_set_cpuid2(&self->vcpu, got));
	got->entries[0].ebx ^= 1;
	EXPECT_EQ(-EINVAL, __vcpu_set_cpuid2(&self->vcpu, got));
	got->entries[0].ebx ^= 1;
	got->nent--;
	EXPECT_EQ(-EINVAL, __vcpu_set_cpuid2(&self->vcpu, got));
	got->nent++;
	EXPECT_EQ(0, __vcpu_set_cpuid2(&self->vcpu, got));
}

TEST_F(cpuid, may_change_before_the_first_run)
{
	vcpu_set_cpuid2(&self->vcpu, self->supported);
	self->supported->entries[0].ebx ^= 1;
	EXPECT_EQ(0, __vcpu_set_cpuid2(&self->vcpu, self->supported));
	self->supported->nent = 0;
	EXPECT_EQ(0, __vcpu_set_cpuid2(&self->vcpu, self->supported));
}

GUEST_PROGRAM(osxsave, LONG,
	      "mov $1, %eax\n cpuid\n mov %ecx, %esi\n"
	      "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n"
	      "mov $1, %eax\n cpuid\n mov %ecx, %edi\n"
	      "mov $0xd, %eax\n xor %ecx, %ecx\n cpuid\n mov %ebx, %ebp\n"
	      "xor %ecx, %ecx\n xor %edx, %edx\n mov $3, %eax\n xsetbv\n"
	      "xor %edx, %edx\n mov $0xd, %eax\n xor %ecx, %ecx\n cpuid\n hlt");

TEST_F(cpuid, osxsave_and_the_size_of_its_area_follow_the_guest)
{
	struct kvm_regs regs;

	if (!(cpuid_find(self->supported, 1, 0)->ecx & 1 << 26))
		SKIP(return, "this host's CPU has no XSAVE");
	vcpu_set_cpuid2(&self->vcpu, self->supported);
	guest_load(&self->vcpu, &osxsave);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rsi & 1 << 27);
	EXPECT_EQ(1u << 27, regs.rdi & 1 << 27);
	EXPECT_EQ(576u, regs.rbp);
	EXPECT_EQ(576u, regs.rbx);
	/* And so does what userspace is told. */
	vcpu_get_cpuid2(&self->vcpu, self->supported);
	EXPECT_EQ(1u << 27, cpuid_find(self->supported, 1, 0)->ecx & 1 << 27);
	EXPECT_EQ(576u, cpuid_find(self->supported, 0xd, 0)->ebx);
	if (cpuid_find(self->supported, 0xd, 1)->eax & 0xa)
		EXPECT_EQ(576u, cpuid_find(self->supported, 0xd, 1)->ebx);
}

TEST_HARNESS_MAIN
