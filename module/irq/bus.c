// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: buses
 *
 * Who in the kernel serves an access to a port or to an address without memory. First the controllers, at addresses
 * that we know; then what userspace has asked for, in one table per bus: found by binary search, read under RCU alone,
 * replaced as a whole.
 */
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/apicdef.h>

#include "bus.h"
#include "irq.h"

#define MAX_ENTRIES	16384	/* per bus: those of one address are searched one after the other */
#define MAX_ZONES	1000

#define LOW_PORTS	0x100	/* those of PIC and PIT, but for two */
#define ELCR_PORTS	0x4d0

int vmlet_bus_init(struct vmlet_vm *vm)
{
	vm->irq.ring_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	raw_spin_lock_init(&vm->irq.ring_lock);
	return vm->irq.ring_page ? 0 : -ENOMEM;
}

/* No vCPU is left. */
void vmlet_bus_release(struct vmlet_vm *vm)
{
	struct vmlet_bus *bus;
	unsigned int kind, i;

	for (kind = 0; kind < VMLET_BUSES; kind++) {
		bus = rcu_dereference_protected(vm->irq.bus[kind], true);
		for (i = 0; bus && i < bus->count; i++)
			if (bus->entry[i].eventfd)
				eventfd_ctx_put(bus->entry[i].eventfd);
		kvfree(bus);
	}
	if (vm->irq.ring_page)
		put_page(vm->irq.ring_page);
}

struct vmlet_bus *vmlet_bus_table(struct vmlet_vm *vm, enum vmlet_bus_kind kind)
{
	return rcu_dereference_protected(vm->irq.bus[kind], lockdep_is_held(&vm->irq.lock));
}

static struct vmlet_bus *bus_alloc(unsigned int count)
{
	struct vmlet_bus *bus = kvzalloc(struct_size(bus, entry, count), GFP_KERNEL_ACCOUNT);

	if (bus)
		bus->count = count;
	return bus;
}

static void set_reach(struct vmlet_bus *bus)
{
	u64 reach = 0;
	unsigned int i;

	for (i = 0; i < bus->count; i++) {
		reach = max(reach, bus->entry[i].end);
		bus->entry[i].reach = reach;
	}
}

/* An ioeventfd is to be asked before a zone that begins where it is: the search goes from high to low. */
static bool goes_before(const struct vmlet_bus_entry *a, const struct vmlet_bus_entry *b)
{
	return a->start < b->start || (a->start == b->start && (!a->eventfd || b->eventfd));
}

static unsigned int zones(const struct vmlet_bus *bus)
{
	unsigned int i, n = 0;

	for (i = 0; bus && i < bus->count; i++)
		n += !bus->entry[i].eventfd;
	return n;
}

int vmlet_bus_insert(struct vmlet_vm *vm, enum vmlet_bus_kind kind, const struct vmlet_bus_entry *entry)
{
	struct vmlet_bus *old = vmlet_bus_table(vm, kind), *new;
	unsigned int count = old ? old->count : 0, i = 0;

	if (count == MAX_ENTRIES || (!entry->eventfd && zones(old) == MAX_ZONES))
		return -ENOSPC;
	new = bus_alloc(count + 1);
	if (!new)
		return -ENOMEM;
	while (i < count && goes_before(&old->entry[i], entry))
		i++;
	if (old) {
		memcpy(new->entry, old->entry, i * sizeof(*entry));
		memcpy(new->entry + i + 1, old->entry + i, (count - i) * sizeof(*entry));
	}
	new->entry[i] = *entry;
	set_reach(new);
	rcu_assign_pointer(vm->irq.bus[kind], new);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

int vmlet_bus_remove(struct vmlet_vm *vm, enum vmlet_bus_kind kind, unsigned int index)
{
	struct vmlet_bus *old = vmlet_bus_table(vm, kind), *new = bus_alloc(old->count - 1);

	if (!new)
		return -ENOMEM;
	memcpy(new->entry, old->entry, index * sizeof(*new->entry));
	memcpy(new->entry + index, old->entry + index + 1, (new->count - index) * sizeof(*new->entry));
	set_reach(new);
	rcu_assign_pointer(vm->irq.bus[kind], new);
	synchronize_rcu_expedited();
	kvfree(old);
	return 0;
}

static __always_inline bool takes(const struct vmlet_bus_entry *entry, u64 address, unsigned int len, u64 value)
{
	if (!entry->eventfd)
		return address + len <= entry->end && address + len > address;
	if (entry->start != address)
		return false;
	return !entry->len || (entry->len == len && (entry->wildcard || entry->match == value));
}

static __always_inline const struct vmlet_bus_entry *bus_find(const struct vmlet_bus *bus, u64 address,
							      unsigned int len, u64 value)
{
	unsigned int low = 0, high = bus->count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (bus->entry[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	while (low-- && bus->entry[low].reach > address)
		if (takes(&bus->entry[low], address, len, value))
			return &bus->entry[low];
	return NULL;
}

/* Of a length that is no integer's: the part of an access that is on one page. */
static noinline u64 value_of_part(const void *data, unsigned int len)
{
	u64 value = 0;

	memcpy(&value, data, min_t(unsigned int, len, sizeof(value)));
	return value;
}

static __always_inline u64 value_of(const void *data, unsigned int len)
{
	switch (len) {
	case 1:
		return *(const u8 *)data;
	case 2:
		return *(const u16 *)data;
	case 4:
		return *(const u32 *)data;
	case 8:
		return *(const u64 *)data;
	default:
		return value_of_part(data, len);
	}
}

static bool write_entry(struct vmlet_vm *vm, enum vmlet_bus_kind kind, u64 address, unsigned int len, const void *data)
{
	const struct vmlet_bus_entry *entry;
	const struct vmlet_bus *bus;
	u64 value;

	bus = rcu_dereference_check(vm->irq.bus[kind], irqs_disabled());
	if (!bus)
		return false;
	value = value_of(data, len);
	entry = bus_find(bus, address, len, value);
	if (!entry)
		return false;
	if (!entry->eventfd)
		return vmlet_coalesced_put(vm, kind, address, len, value);
	eventfd_signal(entry->eventfd);
	return true;
}

static __always_inline bool controller_port(struct vmlet_vm *vm, u64 port, unsigned int len, void *data, bool write)
{
	if (port >= LOW_PORTS && (port & ~1ull) != ELCR_PORTS)
		return false;
	if (!vmlet_irqchip_in_kernel(vm))
		return false;
	if (vmlet_pic_port(vm, port, len, data, write))
		return true;
	/* It may be made while vCPUs run. */
	return smp_load_acquire(&vm->irq.pit) && vmlet_pit_port(vm, port, len, data, write);
}

static __always_inline bool controller_mmio(struct vmlet_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data,
					    bool write)
{
	if (vcpu->lapic && (gpa ^ vcpu->apic_base) < PAGE_SIZE)
		return vmlet_lapic_mmio(vcpu, gpa, len, data, write);
	return (gpa ^ IO_APIC_DEFAULT_PHYS_BASE) < PAGE_SIZE && vmlet_irqchip_in_kernel(vcpu->vm) &&
		vmlet_ioapic_mmio(vcpu->vm, gpa, len, data, write);
}

bool vmlet_bus_access(struct vmlet_vcpu *vcpu, enum vmlet_bus_kind kind, u64 address, unsigned int len, void *data,
		      bool write)
{
	struct vmlet_vm *vm = vcpu->vm;

	if (kind == VMLET_BUS_PORT ? controller_port(vm, address, len, data, write) :
				     controller_mmio(vcpu, address, len, data, write))
		return true;
	return write && write_entry(vm, kind, address, len, data);
}
