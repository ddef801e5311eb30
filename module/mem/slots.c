// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: memory slots
 *
 * Which GFNs are memory, and where in the process it is. Readers find all slots of a VM in sorted arrays that are
 * never changed: a change makes new arrays, publishes them and frees the old ones when their readers are gone. Nothing is
 * checked about the memory behind a slot until the guest touches it.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "../cpu/vendor.h"
#include "../observe/trace.h"
#include "pt.h"

#define MAX_SLOT_PAGES	((1ull << 31) - 1)

struct vmlet_slot *vmlet_slot_find(const struct vmlet_slots *slots, gfn_t gfn)
{
	unsigned int low = 0, high = slots->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;
		struct vmlet_slot *slot = slots->slot[middle];

		if (gfn < slot->base_gfn)
			high = middle;
		else if (gfn - slot->base_gfn >= slot->npages)
			low = middle + 1;
		else
			return slot;
	}
	return NULL;
}

struct vmlet_slot *vmlet_slot_by_id(struct vmlet_vm *vm, u32 id)
{
	lockdep_assert_held(&vm->slots_lock);
	return xa_load(&vm->slot_ids, id);
}

/* Lists of slots are sorted by GFN or else by HVA. */
static u64 start_of(const struct vmlet_slot *slot, bool by_gfn)
{
	return by_gfn ? slot->base_gfn : slot->hva;
}

/* Where in the @list of @n the first slot is that begins at @start or behind it. */
static unsigned int place(struct vmlet_slot *const *list, unsigned int n, u64 start, bool by_gfn)
{
	unsigned int low = 0, high = n;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (start_of(list[middle], by_gfn) < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

unsigned int vmlet_slots_below(const struct vmlet_slots *slots, hva_t end)
{
	return place(slots->by_hva, slots->count, end, false);
}

/* Besides the slot that has its ID and will make room for it. */
static bool overlaps(const struct vmlet_slots *slots, const struct vmlet_slot *new)
{
	unsigned int i = place(slots->slot, slots->count, new->base_gfn, true);
	const struct vmlet_slot *slot;

	/* The one before it may reach into it. */
	for (i -= !!i; i < slots->count && slots->slot[i]->base_gfn < new->base_gfn + new->npages; i++) {
		slot = slots->slot[i];
		if (slot->id != new->id && new->base_gfn < slot->base_gfn + slot->npages)
			return true;
	}
	return false;
}

/* GFNs that both the CPU and the tables can address. */
static gfn_t gfn_limit(void)
{
	unsigned int bits = 36;

	/* Not x86_phys_bits: memory encryption takes from those, but not from guest-physical addresses. */
	if (boot_cpu_data.extended_cpuid_level >= 0x80000008)
		bits = cpuid_eax(0x80000008) & 0xff;
	return min(1ull << (bits - PAGE_SHIFT), vmlet_pt_limit());
}

/* What can be said of a region by itself. */
static int check_region(const struct kvm_userspace_memory_region2 *region)
{
	if (region->flags & ~(u32)(KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES))
		return -EINVAL;
	if (!PAGE_ALIGNED(region->memory_size) || !PAGE_ALIGNED(region->guest_phys_addr) ||
	    !PAGE_ALIGNED(region->userspace_addr))
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)region->userspace_addr, region->memory_size))
		return -EINVAL;
	/* Bits 16 and up would be an address space, of which there is one. */
	if (region->slot >= VMLET_MAX_SLOTS)
		return -EINVAL;
	if (region->guest_phys_addr + region->memory_size < region->guest_phys_addr)
		return -EINVAL;
	if (region->memory_size >> PAGE_SHIFT > MAX_SLOT_PAGES)
		return -EINVAL;
	return 0;
}

/* What can be said of a slot @new that is to take the place of @old, or to be added. 1: nothing to do. */
static int check_change(const struct vmlet_slots *slots, const struct vmlet_slot *old, const struct vmlet_slot *new)
{
	if (old) {
		if (old->hva != new->hva || old->npages != new->npages || ((old->flags ^ new->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		if (old->base_gfn == new->base_gfn)
			return old->flags == new->flags;
	}
	if (overlaps(slots, new))
		return -EEXIST;
	return new->base_gfn + new->npages > gfn_limit() ? -EINVAL : 0;
}

static struct vmlet_slots *slots_alloc(unsigned int count)
{
	struct vmlet_slots *slots;

	slots = kvmalloc(struct_size(slots, slot, 2 * count) + count * sizeof(*slots->reach), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return NULL;
	slots->serial = 1;
	slots->count = count;
	slots->by_hva = slots->slot + count;
	slots->reach = (hva_t *)(slots->by_hva + count);
	return slots;
}

/* @to is the list @from of @n slots without @old and with @new. */
static void list_change(struct vmlet_slot **to, struct vmlet_slot *const *from, unsigned int n,
			const struct vmlet_slot *old, struct vmlet_slot *new, bool by_gfn)
{
	unsigned int i = n;

	if (old) {
		i = place(from, n, start_of(old, by_gfn), by_gfn);
		while (from[i] != old)
			i++;
		n--;
		memcpy(to + i, from + i + 1, (n - i) * sizeof(*to));
	}
	memcpy(to, from, i * sizeof(*to));
	if (new) {
		i = place(to, n, start_of(new, by_gfn), by_gfn);
		memmove(to + i + 1, to + i, (n - i) * sizeof(*to));
		to[i] = new;
	}
}

/* A copy of @slots without @old and with @new; either may be NULL. */
static struct vmlet_slots *slots_with(const struct vmlet_slots *slots, const struct vmlet_slot *old,
				      struct vmlet_slot *new)
{
	struct vmlet_slots *copy = slots_alloc(slots->count - !!old + !!new);
	hva_t reach = 0;
	unsigned int i;

	if (!copy)
		return NULL;
	copy->serial = slots->serial + 1;
	list_change(copy->slot, slots->slot, slots->count, old, new, true);
	list_change(copy->by_hva, slots->by_hva, slots->count, old, new, false);
	for (i = 0; i < copy->count; i++) {
		reach = max(reach, vmlet_slot_hva_end(copy->by_hva[i]));
		copy->reach[i] = reach;
	}
	return copy;
}

/*
 * Nothing is mapped from @slot any more, and nothing will be. The MMU notifier still finds it, so that no page is freed
 * under a leaf that is not zapped yet. A fault that found @slot alive has read invalidate_seq before it changes here:
 * either it sees the change and installs nothing, or what it installed is zapped.
 */
static void unmap_slot(struct vmlet_vm *vm, struct vmlet_slot *slot)
{
	WRITE_ONCE(slot->dying, true);
	/* Who sees the new sequence sees that the slot is dying. */
	smp_wmb();
	spin_lock(&vm->mmu_lock);
	vm->invalidate_seq++;
	spin_unlock(&vm->mmu_lock);
	vmlet_pt_zap(vm, slot->base_gfn, slot->base_gfn + slot->npages, true);
}

static void slot_free(struct vmlet_slot *slot, const struct vmlet_slot *heir)
{
	if (!slot)
		return;
	if (!heir || heir->dirty != slot->dirty)
		kvfree(slot->dirty);
	kfree(slot);
}

/* From now on @slots counts and @old, unless it is NULL, has gone or become @new. */
static void publish(struct vmlet_vm *vm, struct vmlet_slots *slots, struct vmlet_slot *old,
		    const struct vmlet_slot *new)
{
	bool stays = old && new && old->base_gfn == new->base_gfn;
	struct vmlet_slots *previous;

	if (old && !stays)
		unmap_slot(vm, old);
	previous = rcu_replace_pointer(vm->slots, slots, lockdep_is_held(&vm->slots_lock));
	WRITE_ONCE(vm->nr_slots, slots->count);
	WRITE_ONCE(vm->slot_pages, vm->slot_pages + (new ? new->npages : 0) - (old ? old->npages : 0));
	/* Without vCPUs there are no readers: see the notifier. */
	if (vm->nr_vcpus) {
		spin_lock(&vm->mmu_lock);
		vmlet_leave_all(vm);
		spin_unlock(&vm->mmu_lock);
		synchronize_srcu_expedited(&vm->srcu);
	}
	if (stays)
		vmlet_dirty_switched(vm, new);
	kvfree(previous);
	slot_free(old, new);
}

static int replace(struct vmlet_vm *vm, struct vmlet_slot *old, struct vmlet_slot *new)
{
	struct vmlet_slots *slots;
	int ret = 0;

	slots = slots_with(rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock)), old, new);
	if (!slots)
		return -ENOMEM;
	if (new)
		ret = xa_err(xa_store(&vm->slot_ids, new->id, new, GFP_KERNEL));
	else
		xa_erase(&vm->slot_ids, old->id);
	if (ret)
		kvfree(slots);
	else
		publish(vm, slots, old, new);
	return ret;
}

int vmlet_slots_set(struct vmlet_vm *vm, const struct kvm_userspace_memory_region2 *region)
{
	const struct vmlet_slots *slots;
	struct vmlet_slot *old, *new;
	int ret;

	lockdep_assert_held(&vm->lock);
	ret = check_region(region);
	if (ret)
		return ret;
	guard(mutex)(&vm->slots_lock);
	slots = rcu_dereference_protected(vm->slots, lockdep_is_held(&vm->slots_lock));
	old = vmlet_slot_by_id(vm, region->slot);
	trace_vmlet_memory_slot(vm->owner.id, region);
	if (!region->memory_size)
		return old ? replace(vm, old, NULL) : -EINVAL;
	new = kmalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	*new = (struct vmlet_slot) {
		.base_gfn	= region->guest_phys_addr >> PAGE_SHIFT,
		.npages		= region->memory_size >> PAGE_SHIFT,
		.hva		= region->userspace_addr,
		.id		= region->slot,
		.flags		= region->flags,
	};
	ret = check_change(slots, old, new) ?: vmlet_dirty_prepare(vm, old, new) ?: replace(vm, old, new);
	if (ret)
		slot_free(new, old);
	return ret < 0 ? ret : 0;
}

int vmlet_slots_init(struct vmlet_vm *vm)
{
	struct vmlet_slots *slots = slots_alloc(0);

	if (!slots)
		return -ENOMEM;
	RCU_INIT_POINTER(vm->slots, slots);
	xa_init_flags(&vm->slot_ids, XA_FLAGS_ACCOUNT);
	return 0;
}

void vmlet_slots_destroy(struct vmlet_vm *vm)
{
	struct vmlet_slots *slots = rcu_dereference_protected(vm->slots, true);
	unsigned int i;

	for (i = 0; i < slots->count; i++)
		slot_free(slots->slot[i], NULL);
	kvfree(slots);
	xa_destroy(&vm->slot_ids);
}
