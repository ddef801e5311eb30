// SPDX-License-Identifier: GPL-2.0
/* What the three kinds of file say to calls that they do not know or cannot take. */
#include <unistd.h>

#include "lib/harness.h"

enum target { DEVICE, VM, VCPU };

FIXTURE(ioctl_error) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(ioctl_error) {
	enum target target;
	unsigned long cmd;
	unsigned long arg;
	int result;
};
FIXTURE_SETUP(ioctl_error)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(ioctl_error)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define ERROR_ROW(id, target, cmd, arg, result)		\
FIXTURE_VARIANT_ADD(ioctl_error, id) { target, cmd, arg, result }

#define UNKNOWN		_IO(KVMIO, 0xfe)
#define OTHER_TYPE	_IO('x', 0x01)
#define BAD_POINTER	0x10

ERROR_ROW(device_unknown, DEVICE, UNKNOWN, 0, -EINVAL);
ERROR_ROW(device_other_type, DEVICE, OTHER_TYPE, 0, -EINVAL);
ERROR_ROW(device_vcpu_call, DEVICE, KVM_RUN, 0, -EINVAL);
ERROR_ROW(device_vm_call, DEVICE, KVM_CREATE_VCPU, 0, -EINVAL);
ERROR_ROW(device_version_arg, DEVICE, KVM_GET_API_VERSION, 1, -EINVAL);
ERROR_ROW(device_mmap_size_arg, DEVICE, KVM_GET_VCPU_MMAP_SIZE, 1, -EINVAL);
ERROR_ROW(device_unknown_vm_type, DEVICE, KVM_CREATE_VM, 0x7f, -EINVAL);
ERROR_ROW(device_cpuid_bad_pointer, DEVICE, KVM_GET_SUPPORTED_CPUID, BAD_POINTER,
	  -EFAULT);
ERROR_ROW(device_msr_list_bad_pointer, DEVICE, KVM_GET_MSR_INDEX_LIST, BAD_POINTER,
	  -EFAULT);
ERROR_ROW(device_version, DEVICE, KVM_GET_API_VERSION, 0, 12);
ERROR_ROW(device_unknown_extension, DEVICE, KVM_CHECK_EXTENSION, 0x7fff0000, 0);

ERROR_ROW(vm_unknown, VM, UNKNOWN, 0, -ENOTTY);
ERROR_ROW(vm_other_type, VM, OTHER_TYPE, 0, -ENOTTY);
ERROR_ROW(vm_device_call, VM, KVM_GET_API_VERSION, 0, -ENOTTY);
ERROR_ROW(vm_vcpu_call, VM, KVM_RUN, 0, -ENOTTY);
ERROR_ROW(vm_get_regs, VM, KVM_GET_REGS, BAD_POINTER, -ENOTTY);
ERROR_ROW(vm_memory_bad_pointer, VM, KVM_SET_USER_MEMORY_REGION, BAD_POINTER,
	  -EFAULT);
ERROR_ROW(vm_unknown_extension, VM, KVM_CHECK_EXTENSION, 0x7fff0000, 0);
ERROR_ROW(vm_vcpu_exists, VM, KVM_CREATE_VCPU, 0, -EEXIST);
ERROR_ROW(vm_vcpu_id_too_big, VM, KVM_CREATE_VCPU, 0x7fffffff, -EINVAL);
ERROR_ROW(vm_tss_addr, VM, KVM_SET_TSS_ADDR, 0xfffbd000, 0);
ERROR_ROW(vm_tss_addr_too_high, VM, KVM_SET_TSS_ADDR, 0xffffe000, -EINVAL);

ERROR_ROW(vcpu_unknown, VCPU, UNKNOWN, 0, -EINVAL);
ERROR_ROW(vcpu_other_type, VCPU, OTHER_TYPE, 0, -EINVAL);
ERROR_ROW(vcpu_vm_call, VCPU, KVM_CREATE_VCPU, 0, -EINVAL);
ERROR_ROW(vcpu_run_arg, VCPU, KVM_RUN, 1, -EINVAL);
ERROR_ROW(vcpu_get_regs_bad_pointer, VCPU, KVM_GET_REGS, BAD_POINTER, -EFAULT);
ERROR_ROW(vcpu_set_regs_bad_pointer, VCPU, KVM_SET_REGS, BAD_POINTER, -EFAULT);
ERROR_ROW(vcpu_get_sregs_bad_pointer, VCPU, KVM_GET_SREGS, BAD_POINTER, -EFAULT);
ERROR_ROW(vcpu_set_sregs_bad_pointer, VCPU, KVM_SET_SREGS, BAD_POINTER, -EFAULT);
ERROR_ROW(vcpu_get_fpu_bad_pointer, VCPU, KVM_GET_FPU, BAD_POINTER, -EFAULT);
ERROR_ROW(vcpu_get_msrs_bad_pointer, VCPU, KVM_GET_MSRS, BAD_POINTER, -EFAULT);
ERROR_ROW(vcpu_interrupt_bad_pointer, VCPU, KVM_INTERRUPT, BAD_POINTER, -EFAULT);

TEST_F(ioctl_error, result)
{
	int fds[] = { self->vm.dev, self->vm.fd, self->vcpu.fd };

	EXPECT_EQ(variant->result, __fd_ioctl(fds[variant->target], variant->cmd,
					      variant->arg));
}

FIXTURE_ONE_VCPU(order)

TEST_F(order, identity_map_must_precede_vcpus)
{
	u64 address = 0xfeffc000;
	struct vm vm;

	EXPECT_EQ(-EINVAL, __fd_ioctl(self->vm.fd, KVM_SET_IDENTITY_MAP_ADDR,
				      (unsigned long)&address));
	vm_create_bare(&vm);
	EXPECT_EQ(-EFAULT, __fd_ioctl(vm.fd, KVM_SET_IDENTITY_MAP_ADDR, BAD_POINTER));
	EXPECT_EQ(0, __fd_ioctl(vm.fd, KVM_SET_IDENTITY_MAP_ADDR,
				(unsigned long)&address));
	vm_destroy(&vm);
}

TEST_F(order, mmap_size_holds_run_data_and_ring)
{
	EXPECT_LE(sizeof(struct kvm_run) + 4096, self->vcpu.run_size);
	EXPECT_EQ(0u, self->vcpu.run_size % 4096);
}

/* Later kernels' KVM has only the call that sets it. */
TEST_F(order, mmu_pages_read_as_no_error)
{
	static const struct {
		unsigned long set;
		int get;
	} rows[] = {
		{ 64, 64 }, { 0x7fffffff, 0x7fffffff }, { 0xffffffff, 0x7fffffff }, { 0x1fffffff0, 0x7fffffff },
		{ -1ul, 0x7fffffff },
	};

	if (__fd_ioctl(self->vm.fd, KVM_GET_NR_MMU_PAGES, 0) == -ENOTTY)
		SKIP(return, "the device has no KVM_GET_NR_MMU_PAGES");
	EXPECT_EQ(-EINVAL, __fd_ioctl(self->vm.fd, KVM_SET_NR_MMU_PAGES, 63));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EXPECT_EQ(0, __fd_ioctl(self->vm.fd, KVM_SET_NR_MMU_PAGES, rows[i].set));
		EXPECT_EQ(rows[i].get, __fd_ioctl(self->vm.fd, KVM_GET_NR_MMU_PAGES, 0));
	}
}

TEST_F(order, highest_vcpu_id)
{
	int max = __vm_check_extension(&self->vm, KVM_CAP_MAX_VCPU_ID);
	int fd;

	if (max == 0)
		max = __vm_check_extension(&self->vm, KVM_CAP_MAX_VCPUS);
	ASSERT_LT(0, max);
	EXPECT_EQ(-EINVAL, __fd_ioctl(self->vm.fd, KVM_CREATE_VCPU, max));
	if (max == 1)
		return;
	fd = __fd_ioctl(self->vm.fd, KVM_CREATE_VCPU, max - 1);
	EXPECT_LE(0, fd);
	close(fd);
}

TEST_F(order, many_vcpus)
{
	int most = __vm_check_extension(&self->vm, KVM_CAP_NR_VCPUS);

	if (most > 8)
		most = 8;
	for (int id = 1; id < most; id++)
		EXPECT_LE(0, __fd_ioctl(self->vm.fd, KVM_CREATE_VCPU, id));
}

TEST_HARNESS_MAIN
