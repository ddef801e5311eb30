// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: VM files
 *
 * A VM lives as long as its own file or a file of one of its vCPUs is open.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <asm/tsc.h>

#include "../cpu/vendor.h"
#include "../mem/mem.h"
#include "api.h"
#include "vcpu.h"

static void vm_destroy(struct vmlet_vm *vm)
{
	unsigned int i;

	/* First: the MMU notifier looks at vCPUs until it is unregistered. */
	vmlet_mem_destroy(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		vmlet_vcpu_destroy(vm->vcpus[i]);
	mmdrop(vm->mm);
	kvfree(vm);
}

void vmlet_vm_get(struct vmlet_vm *vm)
{
	refcount_inc(&vm->users);
}

void vmlet_vm_put(struct vmlet_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		vm_destroy(vm);
}

static long set_region(struct vmlet_vm *vm, const struct kvm_userspace_memory_region *region)
{
	struct kvm_userspace_memory_region2 region2 = {
		.slot			= region->slot,
		.flags			= region->flags,
		.guest_phys_addr	= region->guest_phys_addr,
		.memory_size		= region->memory_size,
		.userspace_addr		= region->userspace_addr,
	};

	return vmlet_slots_set(vm, &region2);
}

static long set_user_memory_region(void *obj, struct vmlet_arg *arg)
{
	return set_region(obj, arg->data);
}

static long set_user_memory_region2(void *obj, struct vmlet_arg *arg)
{
	return vmlet_slots_set(obj, arg->data);
}

static long create_vcpu(void *obj, struct vmlet_arg *arg)
{
	if (arg->value >= VMLET_MAX_VCPU_ID)
		return -EINVAL;
	return vmlet_vcpu_create(obj, arg->value);
}

static long set_tss_addr(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	/* Three pages below 4 GiB, as the API documents. */
	if (arg->value > (u32)(-3 * PAGE_SIZE))
		return -EINVAL;
	vm->tss_addr = arg->value;
	return 0;
}

static long set_identity_map_addr(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	if (vm->nr_vcpus)
		return -EINVAL;
	vm->identity_addr = *(u64 *)arg->data;
	return 0;
}

static long get_tsc_khz(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	return vm->tsc_khz;
}

static const struct vmlet_ioctl vm_ioctls[] = {
	{ KVM_CHECK_EXTENSION,		VMLET_ARG_VALUE,	.fn = vmlet_api_check_extension },
	{ KVM_CREATE_VCPU,		VMLET_ARG_VALUE,	true,	create_vcpu },
	{ KVM_SET_USER_MEMORY_REGION,	VMLET_ARG_IN,		true,	set_user_memory_region },
	{ KVM_SET_USER_MEMORY_REGION2,	VMLET_ARG_IN,		true,	set_user_memory_region2 },
	{ KVM_SET_TSS_ADDR,		VMLET_ARG_VALUE,	true,	set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR,	VMLET_ARG_IN,		true,	set_identity_map_addr },
	{ KVM_GET_TSC_KHZ,		VMLET_ARG_VALUE,	.fn = get_tsc_khz },
};

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	const struct vmlet_ioctl *row = vmlet_ioctl_find(vm_ioctls, ARRAY_SIZE(vm_ioctls), cmd);
	struct vmlet_vm *vm = file->private_data;
	long ret;

	if (vm->mm != current->mm)
		return -EIO;
	if (!row)
		return -ENOTTY;
	if (!row->lock)
		return vmlet_ioctl_call(row, vm, value);
	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	ret = vmlet_ioctl_call(row, vm, value);
	mutex_unlock(&vm->lock);
	return ret;
}

static int vm_release(struct inode *inode, struct file *file)
{
	vmlet_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner		= THIS_MODULE,
	.release	= vm_release,
	.unlocked_ioctl	= vm_ioctl,
	.llseek		= noop_llseek,
};

static struct vmlet_vm *vm_alloc(void)
{
	struct vmlet_vm *vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	vm->tsc_khz = tsc_khz;
	spin_lock_init(&vm->tsc_lock);
	vm->tsc_offset = -rdtsc_ordered();
	vm->mm = current->mm;
	mmgrab(vm->mm);
	ret = vmlet_mem_init(vm);
	if (!ret)
		return vm;
	mmdrop(vm->mm);
	kvfree(vm);
	return ERR_PTR(ret);
}

/* A new VM's file descriptor, or -errno. It is installed last: from then on anybody may close it. */
int vmlet_vm_create(void)
{
	struct vmlet_vm *vm;
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vm = vm_alloc();
	if (IS_ERR(vm)) {
		put_unused_fd(fd);
		return PTR_ERR(vm);
	}
	file = anon_inode_getfile("vmlet-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vmlet_vm_put(vm);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
