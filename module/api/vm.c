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

#include "../cpu/bugs.h"
#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "../mem/mem.h"
#include "../observe/netlink.h"
#include "../time/time.h"
#include "api.h"
#include "vcpu.h"

#define MIN_MMU_PAGES	64	/* the least that KVM takes */

static void vm_destroy(struct vmlet_vm *vm)
{
	unsigned int i;

	vmlet_vms_remove(vm);
	/* Next: what interrupts vCPUs and what the MMU notifier looks at them for. */
	vmlet_irqfd_release(vm);
	vmlet_pit_destroy(vm);
	vmlet_ioapic_destroy(vm);
	vmlet_pic_destroy(vm);
	vmlet_mem_destroy(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		vmlet_vcpu_destroy(vm->vcpus[i]);
	vmlet_bus_release(vm);
	vmlet_route_destroy(vm);
	vmlet_apic_map_destroy(vm);
	kvfree(rcu_dereference_protected(vm->msr_filter, true));
	vmlet_owner_destroy(vm);
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
	struct vmlet_vm *vm = obj;

	if (arg->value >= (vm->max_vcpu_id ?: VMLET_MAX_VCPU_ID))
		return -EINVAL;
	return vmlet_vcpu_create(vm, arg->value);
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

static long set_nr_mmu_pages(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	if (arg->value < MIN_MMU_PAGES)
		return -EINVAL;
	vm->nr_mmu_pages = arg->value;
	return 0;
}

static long get_nr_mmu_pages(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	/* What userspace's int holds: a larger number would read as an error there. */
	return min_t(unsigned long, vm->nr_mmu_pages, INT_MAX);
}

static long get_tsc_khz(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	return READ_ONCE(vm->tsc_khz);
}

/* It can be set once, and not below the ID of the vCPU that starts. */
static int limit_vcpu_ids(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	u64 limit = cap->args[0];

	if (limit > VMLET_MAX_VCPU_ID || limit < vm->boot_id || (vm->max_vcpu_id && vm->max_vcpu_id != limit))
		return -EINVAL;
	vm->max_vcpu_id = limit;
	return 0;
}

static int disable_exits(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] & ~(u64)vmlet_exits_optional())
		return -EINVAL;
	WRITE_ONCE(vm->disabled_exits, vm->disabled_exits | cap->args[0]);
	return 0;
}

/* The older call takes what it does not know, too. */
static int disable_quirks(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->cap == KVM_CAP_DISABLE_QUIRKS2 && (cap->args[0] & ~(u64)VMLET_QUIRKS))
		return -EINVAL;
	WRITE_ONCE(vm->disabled_quirks, vm->disabled_quirks | (cap->args[0] & VMLET_QUIRKS));
	return 0;
}

static int protect_dirty_log(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	return vmlet_dirty_manual(vm, cap->args[0]);
}

/*
 * A row has a handler, or the argument goes into flags of the VM. @valid: bits that there are; 0: all that is not 0 switches
 * one on.
 */
#define FLAGS(field) .flags = offsetof(struct vmlet_vm, field)

static const struct cap {
	u32 nr;
	int (*fn)(struct vmlet_vm *vm, const struct kvm_enable_cap *cap);
	u32 flags;
	u32 valid;
} caps[] = {
	{ KVM_CAP_DISABLE_QUIRKS,		disable_quirks },
	{ KVM_CAP_SPLIT_IRQCHIP,		vmlet_irq_split },
	{ KVM_CAP_MAX_VCPU_ID,			limit_vcpu_ids },
	{ KVM_CAP_X2APIC_API,			vmlet_irq_x2apic_api },
	{ KVM_CAP_X86_DISABLE_EXITS,		disable_exits },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,	protect_dirty_log },
	{ KVM_CAP_MSR_PLATFORM_INFO,		FLAGS(show_platform_info) },
	{ KVM_CAP_EXCEPTION_PAYLOAD,		FLAGS(exception_payload) },
	{ KVM_CAP_X86_USER_SPACE_MSR,		FLAGS(msr_exits), .valid = KVM_MSR_EXIT_REASON_VALID_MASK },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE,	FLAGS(exit_on_emulation_failure), .valid = 1 },
	{ KVM_CAP_EXIT_HYPERCALL,		FLAGS(exit_hypercall), .valid = VMLET_EXIT_HYPERCALLS },
	{ KVM_CAP_DISABLE_QUIRKS2,		disable_quirks },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT,	FLAGS(triple_fault_event) },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS,	vmlet_irq_bus_clock },
};

static int set_flags(struct vmlet_vm *vm, const struct cap *row, u64 value)
{
	u32 *flags = (void *)vm + row->flags;

	if (!row->valid)
		value = !!value;
	else if (value & ~(u64)row->valid)
		return -EINVAL;
	WRITE_ONCE(*flags, value);
	return 0;
}

static long enable_cap(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_enable_cap *cap = arg->data;
	unsigned int i;

	if (cap->flags)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].nr == cap->cap)
			return caps[i].fn ? caps[i].fn(obj, cap) : set_flags(obj, &caps[i], cap->args[0]);
	return -EINVAL;
}

static const struct vmlet_ioctl vm_ioctls[] = {
	{ KVM_CHECK_EXTENSION,		VMLET_ARG_VALUE,	.fn = vmlet_api_check_extension },
	{ KVM_CREATE_VCPU,		VMLET_ARG_VALUE,	true,	create_vcpu },
	{ KVM_SET_USER_MEMORY_REGION,	VMLET_ARG_IN,		true,	set_user_memory_region },
	{ KVM_SET_USER_MEMORY_REGION2,	VMLET_ARG_IN,		true,	set_user_memory_region2 },
	{ KVM_SET_TSS_ADDR,		VMLET_ARG_VALUE,	true,	set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR,	VMLET_ARG_IN,		true,	set_identity_map_addr },
	{ KVM_IRQ_LINE,			VMLET_ARG_IN,		.fn = vmlet_api_irq_line },
	{ KVM_IRQ_LINE_STATUS,		VMLET_ARG_INOUT,	.fn = vmlet_api_irq_line },
	{ KVM_SIGNAL_MSI,		VMLET_ARG_IN,		.fn = vmlet_api_signal_msi },
	{ KVM_SET_GSI_ROUTING,		VMLET_ARG_USER,		true,	vmlet_api_set_gsi_routing },
	{ KVM_IRQFD,			VMLET_ARG_IN,		.fn = vmlet_api_irqfd },
	{ KVM_IOEVENTFD,		VMLET_ARG_IN,		.fn = vmlet_api_ioeventfd },
	{ KVM_REGISTER_COALESCED_MMIO,	VMLET_ARG_IN,		.fn = vmlet_api_register_coalesced },
	{ KVM_UNREGISTER_COALESCED_MMIO, VMLET_ARG_IN,		.fn = vmlet_api_unregister_coalesced },
	{ KVM_GET_DIRTY_LOG,		VMLET_ARG_IN,		.fn = vmlet_api_get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG,		VMLET_ARG_IN,		.fn = vmlet_api_clear_dirty_log },
	{ KVM_SET_NR_MMU_PAGES,		VMLET_ARG_VALUE,	true,	set_nr_mmu_pages },
	{ KVM_GET_NR_MMU_PAGES,		VMLET_ARG_VALUE,	true,	get_nr_mmu_pages },
	{ KVM_GET_TSC_KHZ,		VMLET_ARG_VALUE,	.fn = get_tsc_khz },
	{ KVM_SET_TSC_KHZ,		VMLET_ARG_VALUE,	true,	vmlet_api_set_vm_tsc_khz },
	{ KVM_GET_CLOCK,		VMLET_ARG_OUT,		true,	vmlet_api_get_clock },
	{ KVM_SET_CLOCK,		VMLET_ARG_IN,		true,	vmlet_api_set_clock },
	{ KVM_X86_SET_MSR_FILTER,	VMLET_ARG_IN,		true,	vmlet_api_set_msr_filter },
	{ KVM_ENABLE_CAP,		VMLET_ARG_IN,		true,	enable_cap },
	{ KVM_SET_BOOT_CPU_ID,		VMLET_ARG_VALUE,	true,	vmlet_api_set_boot_cpu_id },
	{ KVM_CREATE_IRQCHIP,		VMLET_ARG_VALUE,	true,	vmlet_api_create_irqchip },
	{ KVM_GET_IRQCHIP,		VMLET_ARG_INOUT,	true,	vmlet_api_get_irqchip },
	{ KVM_SET_IRQCHIP,		VMLET_ARG_IN,		true,	vmlet_api_set_irqchip },
	{ KVM_CREATE_PIT,		VMLET_ARG_VALUE,	true,	vmlet_api_create_pit },
	{ KVM_CREATE_PIT2,		VMLET_ARG_IN,		true,	vmlet_api_create_pit2 },
	{ KVM_GET_PIT,			VMLET_ARG_OUT,		true,	vmlet_api_get_pit },
	{ KVM_SET_PIT,			VMLET_ARG_IN,		true,	vmlet_api_set_pit },
	{ KVM_GET_PIT2,			VMLET_ARG_OUT,		true,	vmlet_api_get_pit2 },
	{ KVM_SET_PIT2,			VMLET_ARG_IN,		true,	vmlet_api_set_pit2 },
	{ KVM_GET_STATS_FD,		VMLET_ARG_VALUE,	.fn = vmlet_api_vm_stats },
	{ KVM_REINJECT_CONTROL,		VMLET_ARG_USER,		true,	vmlet_api_reinject_control },
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
	if (row->lock && mutex_lock_killable(&vm->lock))
		return -EINTR;
	ret = vmlet_ioctl_call(row, vm, value);
	if (row->lock)
		mutex_unlock(&vm->lock);
	if (ret == -ENOMEM)
		vmlet_tell_memory(vm, NULL);
	return ret;
}

static int vm_release(struct inode *inode, struct file *file)
{
	/* No more ioctls on this file; eventfds would go on otherwise as long as a vCPU is open. */
	vmlet_irqfd_release(file->private_data);
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
	vm->mm = current->mm;
	vm->pid = task_pid_nr(current);
	mmgrab(vm->mm);
	ret = vmlet_bus_init(vm);
	if (!ret)
		ret = vmlet_mem_init(vm);
	if (!ret) {
		mutex_init(&vm->irq.map_lock);
		vm->irq.apic_bus_ns = 1;
		vm->show_platform_info = true;
		vmlet_route_init(vm);
		vmlet_clock_vm_init(vm);
		vmlet_owner_init(vm);
		return vm;
	}
	vmlet_bus_release(vm);
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
	vmlet_vms_add(vm);
	fd_install(fd, file);
	return fd;
}
