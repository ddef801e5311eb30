// SPDX-License-Identifier: GPL-2.0
/* KVM_PRE_FAULT_MEMORY: memory that the guest finds mapped. */
#include <unistd.h>
#include <sys/mman.h>

#include "lib/harness.h"

#define PAGE	0x1000ul
#define HIGH	0x1000000ul	/* the second slot */
#define PAGES	4

OBJECT_IOCTL(vcpu, pre_fault, KVM_PRE_FAULT_MEMORY, struct kvm_pre_fault_memory)

FIXTURE(pre_fault) {
	struct vm vm;
	struct vcpu vcpu;
	void *high;
};
FIXTURE_VARIANT(pre_fault) {
	u64 gpa, size, flags, left;
	int result;
};
FIXTURE_SETUP(pre_fault)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->high = pages_alloc(PAGES * PAGE);
	vm_set_memory(&self->vm, 1, 0, HIGH, PAGES * PAGE, self->high);
}
FIXTURE_TEARDOWN(pre_fault)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
	munmap(self->high, PAGES * PAGE);
}

#define ROW(id, ...) FIXTURE_VARIANT_ADD(pre_fault, id) { __VA_ARGS__ }

ROW(a_page, HIGH, PAGE);
ROW(a_slot, HIGH, PAGES * PAGE);
ROW(up_to_its_end, HIGH + PAGE, 8 * PAGE, .left = 5 * PAGE);
ROW(behind_it, HIGH + PAGES * PAGE, PAGE, .left = PAGE, .result = -ENOENT);
ROW(beyond_any_address, 1ull << 62, PAGE, .left = PAGE, .result = -ENOENT);
ROW(flags, HIGH, PAGE, .flags = 1, .left = PAGE, .result = -EINVAL);
ROW(odd_address, HIGH + 1, PAGE, .left = PAGE, .result = -EINVAL);
ROW(odd_size, HIGH, PAGE + 1, .left = PAGE + 1, .result = -EINVAL);
ROW(no_size, HIGH, 0, .result = -EINVAL);
ROW(wraps, -PAGE, 2 * PAGE, .left = 2 * PAGE, .result = -EINVAL);

TEST_F(pre_fault, result)
{
	struct kvm_pre_fault_memory range = {
		.gpa = variant->gpa, .size = variant->size, .flags = variant->flags,
	};

	EXPECT_EQ(variant->result, __vcpu_pre_fault(&self->vcpu, &range));
	EXPECT_EQ(variant->left, range.size);
	EXPECT_EQ(variant->gpa + variant->size - variant->left, range.gpa);
	EXPECT_EQ(variant->flags, range.flags);
}

FIXTURE_ONE_VCPU(memory)

TEST_F(memory, capability)
{
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_PRE_FAULT_MEMORY));
}

TEST_F(memory, not_in_the_process)
{
	struct kvm_pre_fault_memory range = { .gpa = HIGH, .size = 2 * PAGE };
	char *pages = pages_alloc(2 * PAGE);

	vm_set_memory(&self->vm, 1, 0, HIGH, 2 * PAGE, pages);
	ASSERT_EQ(0, mprotect(pages + PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(0, __vcpu_pre_fault(&self->vcpu, &range));
	EXPECT_EQ(HIGH + PAGE, range.gpa);
	EXPECT_EQ(-EFAULT, __vcpu_pre_fault(&self->vcpu, &range));
	EXPECT_EQ(PAGE, range.size);
	munmap(pages, 2 * PAGE);
}

TEST_F(memory, read_only)
{
	struct kvm_pre_fault_memory range = { .gpa = HIGH, .size = PAGE };
	char *pages = pages_alloc(PAGE);

	vm_set_memory(&self->vm, 1, KVM_MEM_READONLY, HIGH, PAGE, pages);
	EXPECT_EQ(0, __vcpu_pre_fault(&self->vcpu, &range));
	EXPECT_EQ(0u, range.size);
	munmap(pages, PAGE);
}

GUEST_PROGRAM(reads, LONG, "mov $0x10000, %ebx\n 1: mov (%rbx), %eax\n add $0x1000, %ebx\n"
	      "cmp $0x60000, %ebx\n jb 1b\n hlt");

TEST_F(memory, the_guest_does_not_fault)
{
	struct kvm_pre_fault_memory range = { .size = RAM_SIZE };
	u64 before;

	memset(self->vm.ram, 0, RAM_SIZE);
	guest_load(&self->vcpu, &reads);
	while (range.size)
		vcpu_pre_fault(&self->vcpu, &range);
	before = fd_stat(self->vcpu.fd, "pf_taken");
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(before, fd_stat(self->vcpu.fd, "pf_taken"));
}

TEST_HARNESS_MAIN
