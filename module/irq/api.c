// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: interrupt controllers in the API
 *
 * Which controllers a VM has is settled before its first vCPU; a PIT may come later.
 */
#include <linux/kvm.h>
#include <linux/nospec.h>

#include "../api/api.h"
#include "irq.h"

long vmlet_api_create_irqchip(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (vm->irq.chip != VMLET_IRQCHIP_NONE)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EINVAL;
	ret = vmlet_pic_create(vm);
	if (!ret)
		ret = vmlet_ioapic_create(vm);
	/* From here on they may be called. */
	if (!ret)
		ret = vmlet_route_default(vm);
	if (ret) {
		vmlet_ioapic_destroy(vm);
		vmlet_pic_destroy(vm);
		return ret;
	}
	WRITE_ONCE(vm->irq.chip, VMLET_IRQCHIP_KERNEL);
	return 0;
}

int vmlet_irq_split(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (cap->args[0] > VMLET_MAX_GSI)
		return -EINVAL;
	if (vm->irq.chip != VMLET_IRQCHIP_NONE || vm->nr_vcpus)
		return -EEXIST;
	ret = vmlet_route_empty(vm);
	if (ret)
		return ret;
	vm->irq.split_pins = cap->args[0];
	WRITE_ONCE(vm->irq.chip, VMLET_IRQCHIP_SPLIT);
	return 0;
}

int vmlet_irq_x2apic_api(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	lockdep_assert_held(&vm->lock);
	if (cap->args[0] & ~VMLET_X2APIC_API)
		return -EINVAL;
	WRITE_ONCE(vm->irq.x2apic_api, vm->irq.x2apic_api | cap->args[0]);
	return 0;
}

/* The longest count, at the highest divisor, must not overflow. */
int vmlet_irq_bus_clock(struct vmlet_vm *vm, const struct kvm_enable_cap *cap)
{
	lockdep_assert_held(&vm->lock);
	if (!cap->args[0] || cap->args[0] > U64_MAX / U32_MAX / 128)
		return -EINVAL;
	if (vm->irq.chip == VMLET_IRQCHIP_NONE)
		return -ENXIO;
	if (vm->nr_vcpus)
		return -EINVAL;
	vm->irq.apic_bus_ns = cap->args[0];
	return 0;
}

static long create_pit(struct vmlet_vm *vm, u32 flags)
{
	lockdep_assert_held(&vm->lock);
	if (vm->irq.pit)
		return -EEXIST;
	return vmlet_irqchip_in_kernel(vm) ? vmlet_pit_create(vm, flags) : -ENOENT;
}

long vmlet_api_create_pit2(void *obj, struct vmlet_arg *arg)
{
	struct kvm_pit_config *config = arg->data;

	return create_pit(obj, config->flags);
}

long vmlet_api_create_pit(void *obj, struct vmlet_arg *arg)
{
	return create_pit(obj, KVM_PIT_SPEAKER_DUMMY);
}

/* The older structures end before the flags. */
static long access_pit(struct vmlet_vm *vm, struct kvm_pit_channel_state *channels, u32 *flags,
		       bool put)
{
	lockdep_assert_held(&vm->lock);
	if (!vm->irq.pit)
		return -ENXIO;
	if (put)
		vmlet_pit_put(vm, channels, flags);
	else
		vmlet_pit_get(vm, channels, flags);
	return 0;
}

long vmlet_api_get_pit(void *obj, struct vmlet_arg *arg)
{
	return access_pit(obj, ((struct kvm_pit_state *)arg->data)->channels, NULL, false);
}

long vmlet_api_set_pit(void *obj, struct vmlet_arg *arg)
{
	return access_pit(obj, ((struct kvm_pit_state *)arg->data)->channels, NULL, true);
}

long vmlet_api_get_pit2(void *obj, struct vmlet_arg *arg)
{
	struct kvm_pit_state2 *state = arg->data;

	return access_pit(obj, state->channels, &state->flags, false);
}

long vmlet_api_set_pit2(void *obj, struct vmlet_arg *arg)
{
	struct kvm_pit_state2 *state = arg->data;

	return access_pit(obj, state->channels, &state->flags, true);
}

long vmlet_api_reinject_control(void *obj, struct vmlet_arg *arg)
{
	struct kvm_reinject_control control;
	struct vmlet_vm *vm = obj;

	lockdep_assert_held(&vm->lock);
	if (copy_from_user(&control, arg->user, sizeof(control)))
		return -EFAULT;
	if (!vm->irq.pit)
		return -ENXIO;
	vmlet_pit_reinject(vm, control.pit_reinject);
	return 0;
}

static long access_irqchip(struct vmlet_vm *vm, struct kvm_irqchip *chip, bool put)
{
	lockdep_assert_held(&vm->lock);
	if (!vmlet_irqchip_in_kernel(vm))
		return -ENXIO;
	if (chip->chip_id >= KVM_NR_IRQCHIPS)
		return -EINVAL;
	chip->chip_id = array_index_nospec(chip->chip_id, KVM_NR_IRQCHIPS);
	if (chip->chip_id == KVM_IRQCHIP_IOAPIC && put)
		vmlet_ioapic_put(vm, &chip->chip.ioapic);
	else if (chip->chip_id == KVM_IRQCHIP_IOAPIC)
		vmlet_ioapic_get(vm, &chip->chip.ioapic);
	else if (put)
		vmlet_pic_put(vm, chip->chip_id, &chip->chip.pic);
	else
		vmlet_pic_get(vm, chip->chip_id, &chip->chip.pic);
	return 0;
}

long vmlet_api_get_irqchip(void *obj, struct vmlet_arg *arg)
{
	return access_irqchip(obj, arg->data, false);
}

long vmlet_api_set_irqchip(void *obj, struct vmlet_arg *arg)
{
	return access_irqchip(obj, arg->data, true);
}

/* The limit itself is let through, as ever: such a VM then has no vCPU that starts. */
long vmlet_api_set_boot_cpu_id(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;

	lockdep_assert_held(&vm->lock);
	if (vm->nr_vcpus)
		return -EBUSY;
	if (arg->value > (vm->max_vcpu_id ?: VMLET_MAX_VCPU_ID))
		return -EINVAL;
	vm->boot_id = arg->value;
	return 0;
}
