// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the guest's time-stamp counter
 *
 * The guest reads host TSC * ratio + offset, without an exit. The offset follows from an agreement of the whole VM (what
 * the TSC was or is meant to be at one moment), so that vCPUs of the same rate have the same offset to the bit; a
 * guest that moves the TSC of one vCPU leaves the agreement.
 */
#include <linux/math64.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>

#include "../api/api.h"
#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "time.h"

#define SCALE_MOST	256	/* ratios from here on do not fit the narrower of the two hardware formats */

/* Fraction bits of a ratio; 0: this CPU does not scale, and the only ratio is 1. Set once per load. */
static unsigned int fraction;

void vmlet_tsc_setup(void)
{
	fraction = vmlet_vendor->tsc_fraction();
}

bool vmlet_tsc_scales(void)
{
	return fraction;
}

static u64 scale(u64 tsc, u64 ratio)
{
	return likely(ratio == BIT_ULL(fraction)) ? tsc : mul_u64_u64_shr(tsc, ratio, fraction);
}

u64 vmlet_tsc_guest(struct vmlet_vcpu *vcpu, u64 tsc)
{
	return scale(tsc, vcpu->clock.ratio) + vcpu->tsc_offset;
}

u64 vmlet_tsc_hz(struct vmlet_vcpu *vcpu)
{
	return scale(tsc_khz * 1000ull, vcpu->clock.ratio);
}

/* Written by its owner at any time, who then asks for the clocks to be looked at again. */
static bool same_tsc(const struct vmlet_vcpu *a, const struct vmlet_vcpu *b)
{
	return READ_ONCE(a->tsc_offset) == READ_ONCE(b->tsc_offset) && READ_ONCE(a->clock.ratio) == READ_ONCE(b->clock.ratio);
}

bool vmlet_tsc_together(struct vmlet_vm *vm)
{
	unsigned int i, n = vmlet_vcpu_count(vm);

	for (i = 1; i < n && same_tsc(vm->vcpus[0], vm->vcpus[i]); i++)
		;
	return i == n;
}

/* What the VM has agreed on, as an offset for this ratio. */
static u64 agreed_offset(struct vmlet_clock *clock, u64 ratio)
{
	lockdep_assert_held(&clock->lock);
	return clock->tsc_value - scale(clock->tsc_host, ratio);
}

static void agree(struct vmlet_vcpu *vcpu, u64 host, u64 value)
{
	struct vmlet_clock *clock = &vcpu->vm->clock;

	lockdep_assert_held(&clock->lock);
	clock->tsc_host = host;
	clock->tsc_value = value;
	clock->tsc_khz = vcpu->tsc_khz;
}

/* All TSCs begin with the VM, at 0. */
void vmlet_tsc_vm_init(struct vmlet_vm *vm)
{
	vm->tsc_khz = tsc_khz;
	vm->clock.tsc_khz = tsc_khz;
	vm->clock.tsc_host = rdtsc_ordered();
}

/* The host's rate, give or take 250 ppm, is what works without scaling; 0 asks for just that. */
static int find_ratio(u32 *khz, u64 *ratio)
{
	u32 slack = tsc_khz / 4000;

	*khz = *khz ?: tsc_khz;
	*ratio = BIT_ULL(fraction);
	if (*khz >= tsc_khz - slack && *khz <= tsc_khz + slack)
		return 0;
	if (!fraction || *khz / SCALE_MOST >= tsc_khz)
		return -EINVAL;
	*ratio = mul_u64_u32_div(*ratio, *khz, tsc_khz);
	return 0;
}

/* For vCPUs that are made from now on. */
long vmlet_api_set_vm_tsc_khz(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vm *vm = obj;
	u32 khz = arg->value;
	u64 ratio;

	lockdep_assert_held(&vm->lock);
	if (find_ratio(&khz, &ratio))
		return -EINVAL;
	WRITE_ONCE(vm->tsc_khz, khz);
	return 0;
}

void vmlet_tsc_vcpu_init(struct vmlet_vcpu *vcpu)
{
	struct vmlet_clock *clock = &vcpu->vm->clock;

	vcpu->tsc_khz = vcpu->vm->tsc_khz;
	find_ratio(&vcpu->tsc_khz, &vcpu->clock.ratio);
	spin_lock(&clock->lock);
	vcpu->tsc_offset = agreed_offset(clock, vcpu->clock.ratio);
	spin_unlock(&clock->lock);
}

/* Everything that depends on the TSC is to look again. */
static void set_offset(struct vmlet_vcpu *vcpu, u64 offset)
{
	WRITE_ONCE(vcpu->tsc_offset, offset);
	vmlet_replace(vcpu, VMLET_G_TSC);
	vmlet_request_own(vcpu, VMLET_REQ_CLOCK);
	if (vcpu->lapic)
		vmlet_lapic_tsc_changed(vcpu);
}

/*
 * Userspace writes to one vCPU after the other and means them to run in step: zero, or a value within a second of
 * what its last write has come to since, is taken to be what was agreed.
 */
static void set_together(struct vmlet_vcpu *vcpu, u64 value)
{
	struct vmlet_clock *clock = &vcpu->vm->clock;
	u64 now = rdtsc_ordered(), second = vcpu->tsc_khz * 1000ull, offset, agreed;

	spin_lock(&clock->lock);
	agreed = scale(now, vcpu->clock.ratio) + agreed_offset(clock, vcpu->clock.ratio);
	if (clock->tsc_khz != vcpu->tsc_khz ||
	    (value && !(clock->tsc_set && value - agreed + second < 2 * second)))
		agree(vcpu, now, value);
	clock->tsc_set = true;
	offset = agreed_offset(clock, vcpu->clock.ratio);
	spin_unlock(&clock->lock);
	set_offset(vcpu, offset);
}

int vmlet_tsc_get(struct vmlet_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	*value = vmlet_tsc_guest(vcpu, rdtsc_ordered());
	return 0;
}

/* The guest's own writes to its TSC show in TSC_ADJUST, userspace's do not. */
int vmlet_tsc_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 by;

	if (host) {
		set_together(vcpu, value);
		return 0;
	}
	by = value - vmlet_tsc_guest(vcpu, rdtsc_ordered());
	vcpu->store.tsc_adjust += by;
	set_offset(vcpu, vcpu->tsc_offset + by);
	return 0;
}

int vmlet_tsc_adjust_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 by = value - vcpu->store.tsc_adjust;

	vcpu->store.tsc_adjust = value;
	if (!host)
		set_offset(vcpu, vcpu->tsc_offset + by);
	return 0;
}

/* As if it had always run at this rate; what the guest itself has added stays added. */
static void set_ratio(struct vmlet_vcpu *vcpu, u64 ratio)
{
	struct vmlet_clock *clock = &vcpu->vm->clock;
	u64 offset;

	spin_lock(&clock->lock);
	offset = vcpu->tsc_offset - agreed_offset(clock, vcpu->clock.ratio) + agreed_offset(clock, ratio);
	spin_unlock(&clock->lock);
	WRITE_ONCE(vcpu->clock.ratio, ratio);
	set_offset(vcpu, offset);
}

long vmlet_api_get_tsc_khz(void *obj, struct vmlet_arg *arg)
{
	return ((struct vmlet_vcpu *)obj)->tsc_khz;
}

long vmlet_api_set_tsc_khz(void *obj, struct vmlet_arg *arg)
{
	struct vmlet_vcpu *vcpu = obj;
	u32 khz = arg->value;
	u64 ratio;

	if (find_ratio(&khz, &ratio))
		return -EINVAL;
	vcpu->tsc_khz = khz;
	set_ratio(vcpu, ratio);
	return 0;
}

static bool is_tsc_offset(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET;
}

long vmlet_api_has_vcpu_attr(void *obj, struct vmlet_arg *arg)
{
	return is_tsc_offset(arg->data) ? 0 : -ENXIO;
}

long vmlet_api_get_vcpu_attr(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_device_attr *attr = arg->data;
	struct vmlet_vcpu *vcpu = obj;

	if (!is_tsc_offset(attr))
		return -ENXIO;
	return put_user(vcpu->tsc_offset, (u64 __user *)u64_to_user_ptr(attr->addr));
}

/* Whoever knows the offset knows what the others are going to get: it is the VM's from now on. */
long vmlet_api_set_vcpu_attr(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_device_attr *attr = arg->data;
	struct vmlet_vcpu *vcpu = obj;
	struct vmlet_clock *clock = &vcpu->vm->clock;
	u64 offset, now;

	if (!is_tsc_offset(attr))
		return -ENXIO;
	if (get_user(offset, (u64 __user *)u64_to_user_ptr(attr->addr)))
		return -EFAULT;
	now = rdtsc_ordered();
	spin_lock(&clock->lock);
	agree(vcpu, now, scale(now, vcpu->clock.ratio) + offset);
	clock->tsc_set = true;
	spin_unlock(&clock->lock);
	set_offset(vcpu, offset);
	return 0;
}
