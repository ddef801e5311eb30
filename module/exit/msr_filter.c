// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the MSR filter
 *
 * KVM_X86_SET_MSR_FILTER: which MSRs a VM's guests may access. While there is one, all MSRs exit, and the handlers ask here.
 */
#include <linux/bitops.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <asm/apicdef.h>

#include "../api/api.h"
#include "../mem/mem.h"
#include "msr_filter.h"

/* As userspace gave it, with the bits of each range. */
struct vmlet_msr_filter {
	struct kvm_msr_filter given;
	unsigned long bits[KVM_MSR_FILTER_MAX_RANGES][KVM_MSR_FILTER_MAX_BITMAP_SIZE / sizeof(long)];
};

/* The first range that has the MSR decides. A range that wraps has none. Those of the x2APIC cannot be filtered. */
int vmlet_msr_filter_check(struct vmlet_vm *vm, u32 index, u32 access)
{
	const struct vmlet_msr_filter *filter = rcu_dereference_check(vm->msr_filter, irqs_disabled());
	const struct kvm_msr_filter_range *range;
	unsigned int i;

	if (!filter || index - APIC_BASE_MSR < 0x100)
		return 0;
	for (i = 0; i < ARRAY_SIZE(filter->bits); i++) {
		range = &filter->given.ranges[i];
		if (!(range->flags & access) || index < range->base || index >= range->base + range->nmsrs)
			continue;
		index = array_index_nospec(index - range->base, range->nmsrs);
		return test_bit(index, filter->bits[i]) ? 0 : -EPERM;
	}
	return filter->given.flags & KVM_MSR_FILTER_DEFAULT_DENY ? -EPERM : 0;
}

static int copy_range(struct vmlet_msr_filter *filter, unsigned int i)
{
	const struct kvm_msr_filter_range *range = &filter->given.ranges[i];
	size_t size = BITS_TO_LONGS(range->nmsrs) * sizeof(long);

	if (!range->nmsrs)
		return 0;
	if (!range->flags || (range->flags & ~KVM_MSR_FILTER_RANGE_VALID_MASK) || size > sizeof(filter->bits[i]))
		return -EINVAL;
	return copy_from_user(filter->bits[i], (void __user *)range->bitmap, size) ? -EFAULT : 0;
}

static struct vmlet_msr_filter *filter_alloc(const struct kvm_msr_filter *given)
{
	struct vmlet_msr_filter *filter = kvzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	int ret = 0;

	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->given = *given;
	for (i = 0; i < ARRAY_SIZE(given->ranges) && !ret; i++)
		ret = copy_range(filter, i);
	if (!ret)
		return filter;
	kvfree(filter);
	return ERR_PTR(ret);
}

/* When it returns no vCPU is in the guest with the old filter, or with the intercepts that went with it. */
static void publish(struct vmlet_vm *vm, struct vmlet_msr_filter *filter)
{
	struct vmlet_msr_filter *old;
	unsigned int i;

	old = rcu_replace_pointer(vm->msr_filter, filter, lockdep_is_held(&vm->lock));
	for (i = 0; i < vm->nr_vcpus; i++)
		set_bit(VMLET_REQ_INTERCEPTS, &vm->vcpus[i]->requests);
	spin_lock(&vm->mmu_lock);
	vmlet_leave_all(vm);
	spin_unlock(&vm->mmu_lock);
	kvfree(old);
}

/* One that denies nothing is none. */
long vmlet_api_set_msr_filter(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_msr_filter *given = arg->data;
	struct vmlet_msr_filter *filter = NULL;
	unsigned int i = 0;

	if (given->flags & ~KVM_MSR_FILTER_VALID_MASK)
		return -EINVAL;
	while (i < ARRAY_SIZE(given->ranges) && !given->ranges[i].nmsrs)
		i++;
	if (i < ARRAY_SIZE(given->ranges))
		filter = filter_alloc(given);
	else if (given->flags)
		return -EINVAL;
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	publish(obj, filter);
	return 0;
}
