// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: /dev/vmlet
 *
 * The system file: which API, which capabilities, make a VM. Also the dispatcher that the three tables share.
 */
#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include "../cpu/bugs.h"
#include "../cpu/vendor.h"
#include "../exit/mce.h"
#include "../irq/irq.h"
#include "../mem/mem.h"
#include "../run/run.h"
#include "../time/time.h"
#include "api.h"

/* Larger arguments do not go on the stack. */
#define ARG_ON_STACK	320

const struct vmlet_ioctl *vmlet_ioctl_find(const struct vmlet_ioctl *rows, unsigned int n, unsigned int cmd)
{
	for (; n; n--, rows++)
		if (rows->cmd == cmd)
			return rows;
	return NULL;
}

static long copy_and_call(const struct vmlet_ioctl *row, void *obj, struct vmlet_arg *arg)
{
	size_t size = _IOC_SIZE(row->cmd);
	long ret;

	if (row->kind == VMLET_ARG_OUT)
		memset(arg->data, 0, size);
	else if (copy_from_user(arg->data, arg->user, size))
		return -EFAULT;
	ret = row->fn(obj, arg);
	if (ret >= 0 && row->kind != VMLET_ARG_IN && copy_to_user(arg->user, arg->data, size))
		return -EFAULT;
	return ret;
}

/* Apart from its caller, so that KVM_RUN does not pay for the buffer. */
static noinline long call_with_data(const struct vmlet_ioctl *row, void *obj, struct vmlet_arg *arg)
{
	u64 small[ARG_ON_STACK / sizeof(u64)];
	long ret;

	if (_IOC_SIZE(row->cmd) <= sizeof(small)) {
		arg->data = small;
		return copy_and_call(row, obj, arg);
	}
	arg->data = kmalloc(_IOC_SIZE(row->cmd), GFP_KERNEL_ACCOUNT);
	if (!arg->data)
		return -ENOMEM;
	ret = copy_and_call(row, obj, arg);
	kfree(arg->data);
	return ret;
}

long vmlet_ioctl_call(const struct vmlet_ioctl *row, void *obj, unsigned long value)
{
	struct vmlet_arg arg = { .value = value, .user = (void __user *)value };

	switch (row->kind) {
	case VMLET_ARG_NONE:
		return value ? -EINVAL : row->fn(obj, &arg);
	case VMLET_ARG_VALUE:
	case VMLET_ARG_USER:
		return row->fn(obj, &arg);
	default:
		return call_with_data(row, obj, &arg);
	}
}

/* Capabilities: what is not here is 0. Documentation/api.rst has a line per row. */
static const struct { u32 nr; u32 value; } capabilities[] = {
	{ KVM_CAP_IRQCHIP,			1 },
	{ KVM_CAP_HLT,				1 },
	{ KVM_CAP_USER_MEMORY,			1 },
	{ KVM_CAP_VAPIC,			1 },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL,	1 },
	{ KVM_CAP_SET_TSS_ADDR,			1 },
	{ KVM_CAP_EXT_CPUID,			1 },
	{ KVM_CAP_CLOCKSOURCE,			1 },
	{ KVM_CAP_NR_MEMSLOTS,			VMLET_MAX_SLOTS },
	{ KVM_CAP_PIT,				1 },
	{ KVM_CAP_NOP_IO_DELAY,			1 },
	{ KVM_CAP_COALESCED_MMIO,		VMLET_RING_PAGE },
	{ KVM_CAP_MP_STATE,			1 },
	{ KVM_CAP_SYNC_MMU,			1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS,	1 },
	{ KVM_CAP_USER_NMI,			1 },
	{ KVM_CAP_REINJECT_CONTROL,		1 },
	{ KVM_CAP_IRQ_ROUTING,			VMLET_MAX_GSI },
	{ KVM_CAP_IRQ_INJECT_STATUS,		1 },
	{ KVM_CAP_SET_GUEST_DEBUG,		1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,	1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR,	1 },
	{ KVM_CAP_MCE,				VMLET_MCE_BANKS },
	{ KVM_CAP_IRQFD,			1 },
	{ KVM_CAP_PIT2,				1 },
	{ KVM_CAP_SET_BOOT_CPU_ID,		1 },
	{ KVM_CAP_PIT_STATE2,			1 },
	{ KVM_CAP_ADJUST_CLOCK,			VMLET_CLOCK_FLAGS },
	{ KVM_CAP_IOEVENTFD,			1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA,		1 },
	{ KVM_CAP_VCPU_EVENTS,			1 },
	{ KVM_CAP_DEBUGREGS,			1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP,	1 },
	{ KVM_CAP_ENABLE_CAP,			1 },
	{ KVM_CAP_XSAVE,			1 },
	{ KVM_CAP_XCRS,				1 },
	{ KVM_CAP_GET_TSC_KHZ,			1 },
	{ KVM_CAP_KVMCLOCK_CTRL,		1 },
	{ KVM_CAP_VCPU_ATTRIBUTES,		1 },
	{ KVM_CAP_MAX_VCPUS,			VMLET_MAX_VCPUS },
	{ KVM_CAP_TSC_DEADLINE_TIMER,		1 },
	{ KVM_CAP_SIGNAL_MSI,			1 },
	{ KVM_CAP_READONLY_MEM,			1 },
	{ KVM_CAP_IRQFD_RESAMPLE,		1 },
	{ KVM_CAP_ENABLE_CAP_VM,		1 },
	{ KVM_CAP_CHECK_EXTENSION_VM,		1 },
	{ KVM_CAP_DISABLE_QUIRKS,		1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH,		1 },
	{ KVM_CAP_SPLIT_IRQCHIP,		1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH,		1 },
	{ KVM_CAP_X2APIC_API,			VMLET_X2APIC_API },
	{ KVM_CAP_MAX_VCPU_ID,			VMLET_MAX_VCPU_ID },
	{ KVM_CAP_IMMEDIATE_EXIT,		1 },
	{ KVM_CAP_SYNC_REGS,			KVM_SYNC_X86_VALID_FIELDS },
	{ KVM_CAP_COALESCED_PIO,		1 },
	{ KVM_CAP_SET_GUEST_DEBUG2,		VMLET_DEBUG_FLAGS },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,	VMLET_DIRTY_MANUAL },
	{ KVM_CAP_EXCEPTION_PAYLOAD,		1 },
	{ KVM_CAP_X86_USER_SPACE_MSR,		1 },
	{ KVM_CAP_X86_MSR_FILTER,		1 },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE,	1 },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID,	1 },
	{ KVM_CAP_EXIT_HYPERCALL,		VMLET_EXIT_HYPERCALLS },
	{ KVM_CAP_DISABLE_QUIRKS2,		VMLET_QUIRKS },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT,	1 },
	{ KVM_CAP_GET_MSR_FEATURES,		1 },
	{ KVM_CAP_MSR_PLATFORM_INFO,		1 },
	{ KVM_CAP_SREGS2,			1 },
	{ KVM_CAP_BINARY_STATS_FD,		1 },
	{ KVM_CAP_XSAVE2,			sizeof(struct kvm_xsave) },
	{ KVM_CAP_USER_MEMORY2,			1 },
	{ KVM_CAP_PRE_FAULT_MEMORY,		1 },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS,	1 },
};

long vmlet_api_check_extension(void *obj, struct vmlet_arg *arg)
{
	unsigned int i;

	/* The number of vCPUs that make sense depends on the host. */
	if (arg->value == KVM_CAP_NR_VCPUS)
		return min_t(unsigned int, num_online_cpus(), VMLET_MAX_VCPUS);
	if (arg->value == KVM_CAP_X86_DISABLE_EXITS)
		return vmlet_exits_optional();
	if (arg->value == KVM_CAP_TSC_CONTROL || arg->value == KVM_CAP_VM_TSC_CONTROL)
		return vmlet_tsc_scales();
	for (i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].nr == arg->value)
			return capabilities[i].value;
	return 0;
}

static long get_api_version(void *obj, struct vmlet_arg *arg)
{
	return KVM_API_VERSION;
}

static long get_vcpu_mmap_size(void *obj, struct vmlet_arg *arg)
{
	return VMLET_RUN_PAGES * PAGE_SIZE;
}

static long create_vm(void *obj, struct vmlet_arg *arg)
{
	if (arg->value)		/* there is one type of VM */
		return -EINVAL;
	return vmlet_vm_create();
}

static const struct vmlet_ioctl device_ioctls[] = {
	{ KVM_GET_API_VERSION,		VMLET_ARG_NONE,		.fn = get_api_version },
	{ KVM_CREATE_VM,		VMLET_ARG_VALUE,	.fn = create_vm },
	{ KVM_CHECK_EXTENSION,		VMLET_ARG_VALUE,	.fn = vmlet_api_check_extension },
	{ KVM_GET_VCPU_MMAP_SIZE,	VMLET_ARG_NONE,		.fn = get_vcpu_mmap_size },
	{ KVM_GET_SUPPORTED_CPUID,	VMLET_ARG_USER,		.fn = vmlet_api_get_supported_cpuid },
	{ KVM_GET_MSR_INDEX_LIST,	VMLET_ARG_USER,		.fn = vmlet_api_get_msr_index_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, VMLET_ARG_USER,	.fn = vmlet_api_get_feature_list },
	{ KVM_GET_MSRS,			VMLET_ARG_USER,		.fn = vmlet_api_get_msrs },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, VMLET_ARG_OUT,		.fn = vmlet_api_get_mce_cap },
};

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long value)
{
	const struct vmlet_ioctl *row = vmlet_ioctl_find(device_ioctls, ARRAY_SIZE(device_ioctls), cmd);

	return row ? vmlet_ioctl_call(row, NULL, value) : -EINVAL;
}

const struct file_operations vmlet_device_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= device_ioctl,
	.llseek		= noop_llseek,
};
