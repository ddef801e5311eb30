// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: coalesced zones
 *
 * Writes of the guest that userspace need not see at once: they go into a ring in memory that it shares, the last page of
 * every vCPU's mapping, and it looks there after its next exit. Userspace may write anything into the ring, so its
 * indices are no more than hints until they are checked.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/nospec.h>

#include "../api/api.h"
#include "bus.h"
#include "irq.h"

#define RING_SIZE ((PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))

/* False: it is full, or its index makes no sense. */
static bool ring_put(struct kvm_coalesced_mmio_ring *ring, const struct kvm_coalesced_mmio *write)
{
	u32 last = READ_ONCE(ring->last);
	u32 next = (last + 1) % RING_SIZE;

	if (last >= RING_SIZE || next == READ_ONCE(ring->first))
		return false;
	ring->coalesced_mmio[array_index_nospec(last, RING_SIZE)] = *write;
	/* Who sees the index sees the write. */
	smp_store_release(&ring->last, next);
	return true;
}

bool vmlet_coalesced_put(struct vmlet_vm *vm, enum vmlet_bus_kind kind, u64 address, unsigned int len, u64 value)
{
	struct kvm_coalesced_mmio write = {
		.phys_addr = address,
		.len = len,
		.pio = kind == VMLET_BUS_PORT,
	};
	unsigned long flags;
	bool ret;

	if (len > sizeof(write.data))
		return false;
	memcpy(write.data, &value, sizeof(write.data));
	raw_spin_lock_irqsave(&vm->irq.ring_lock, flags);
	ret = ring_put(page_address(vm->irq.ring_page), &write);
	raw_spin_unlock_irqrestore(&vm->irq.ring_lock, flags);
	return ret;
}

static enum vmlet_bus_kind kind_of(const struct kvm_coalesced_mmio_zone *zone)
{
	return zone->pio ? VMLET_BUS_PORT : VMLET_BUS_MMIO;
}

long vmlet_api_register_coalesced(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_coalesced_mmio_zone *zone = arg->data;
	struct vmlet_bus_entry entry = { .start = zone->addr, .end = zone->addr + zone->size };
	struct vmlet_vm *vm = obj;

	if (zone->pio > 1)
		return -EINVAL;
	guard(mutex)(&vm->irq.lock);
	return vmlet_bus_insert(vm, kind_of(zone), &entry);
}

/* A registered zone that the given range is in; -1: none. */
static int find(struct vmlet_vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	const struct vmlet_bus *bus = vmlet_bus_table(vm, kind_of(zone));
	u64 end = zone->addr + zone->size;
	unsigned int i;

	for (i = 0; bus && i < bus->count; i++)
		if (!bus->entry[i].eventfd && bus->entry[i].start <= zone->addr && end <= bus->entry[i].end &&
		    end >= zone->addr)
			return i;
	return -1;
}

/* There being none is no error. */
long vmlet_api_unregister_coalesced(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_coalesced_mmio_zone *zone = arg->data;
	struct vmlet_vm *vm = obj;
	int index, ret = 0;

	if (zone->pio > 1)
		return -EINVAL;
	guard(mutex)(&vm->irq.lock);
	while (!ret && (index = find(vm, zone)) >= 0)
		ret = vmlet_bus_remove(vm, kind_of(zone), index);
	return ret;
}
