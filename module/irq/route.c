// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: routing
 *
 * Where a GSI goes: to pins of the board's controllers, or as a message to local APICs. The table is indexed by GSI, read
 * under RCU and replaced as a whole. Back from a pin to its GSI, for acknowledgments, leads a second index.
 */
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "../api/api.h"
#include "irq.h"

#define CHIPS		3		/* KVM_IRQCHIP_PIC_MASTER, _SLAVE, _IOAPIC */
#define PIC_PINS	8		/* of one of the pair */
#define NO_PIN		0xff
#define NO_GSI		0xffff

/* Of one GSI. @pin by chip; a GSI with a message has no pins. */
struct route {
	bool has_msg;
	u8 pin[CHIPS];
	struct vmlet_irq_msg msg;
};

struct vmlet_routes {
	struct rcu_head rcu;
	u16 gsi_of[CHIPS][VMLET_IOAPIC_PINS];
	unsigned int count;
	struct route route[] __counted_by(count);
};

static const u8 chip_pins[CHIPS] = { PIC_PINS, PIC_PINS, VMLET_IOAPIC_PINS };

void vmlet_route_init(struct vmlet_vm *vm)
{
	mutex_init(&vm->irq.lock);
	INIT_LIST_HEAD(&vm->irq.irqfds);
	INIT_LIST_HEAD(&vm->irq.resamplers);
}

void vmlet_route_destroy(struct vmlet_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->irq.routes, true));
}

/* What an MSI's address and data say. Bits that mean nothing are ignored, as the hardware does. */
static int msi_decode(struct vmlet_vm *vm, struct vmlet_irq_msg *msg, u32 address_lo, u32 address_hi, u32 data)
{
	if (!vmlet_irq_wide_ids(vm))
		address_hi = 0;
	if (address_hi & 0xff)
		return -EINVAL;
	*msg = (struct vmlet_irq_msg) {
		.dest		= address_hi | ((address_lo >> 12) & 0xff),
		.logical	= address_lo & BIT(2),
		.lowest		= address_lo & BIT(3),
		.vector		= data & 0xff,
		.mode		= (data >> 8) & 7,
		.level		= data & BIT(15),
		.assert		= true,
	};
	return 0;
}

static int set_pin(struct vmlet_vm *vm, unsigned int chip, unsigned int pin, enum vmlet_irq_source source, bool level)
{
	if (chip == KVM_IRQCHIP_IOAPIC)
		return vmlet_ioapic_set(vm, pin, source, level);
	return vmlet_pic_set(vm, pin + (chip == KVM_IRQCHIP_PIC_SLAVE ? PIC_PINS : 0), source, level);
}

/* All that take it count; VMLET_IRQ_IGNORED only if nobody does. */
static int set_pins(struct vmlet_vm *vm, const struct route *route, enum vmlet_irq_source source, bool level)
{
	int ret = VMLET_IRQ_IGNORED, one;
	unsigned int chip;

	for (chip = 0; chip < CHIPS; chip++) {
		if (route->pin[chip] == NO_PIN)
			continue;
		one = set_pin(vm, chip, route->pin[chip], source, level);
		if (one >= 0)
			ret = one + max(ret, 0);
	}
	return ret;
}

int vmlet_irq_line(struct vmlet_vm *vm, u32 gsi, enum vmlet_irq_source source, bool level)
{
	const struct vmlet_routes *routes;
	const struct route *route;

	guard(rcu)();
	routes = rcu_dereference(vm->irq.routes);
	if (!routes || gsi >= routes->count)
		return VMLET_IRQ_IGNORED;
	route = &routes->route[array_index_nospec(gsi, routes->count)];
	if (!route->has_msg)
		return set_pins(vm, route, source, level);
	return level ? vmlet_irq_deliver(vm, NULL, &route->msg) : VMLET_IRQ_IGNORED;
}

static u32 gsi_of(struct vmlet_vm *vm, u32 chip, unsigned int pin)
{
	const struct vmlet_routes *routes;

	guard(rcu)();
	routes = rcu_dereference(vm->irq.routes);
	return routes && chip < CHIPS && pin < chip_pins[chip] ? routes->gsi_of[chip][pin] : NO_GSI;
}

void vmlet_irq_acked(struct vmlet_vm *vm, u32 chip, unsigned int pin)
{
	u32 gsi = gsi_of(vm, chip, pin);

	if (gsi == NO_GSI)
		return;
	/* The timer's own; it may be made while vCPUs run. */
	if (!gsi && smp_load_acquire(&vm->irq.pit))
		vmlet_pit_acked(vm);
	vmlet_irqfd_acked(vm, gsi);
}

/*
 * An interrupt that is in service may be of a route that has been changed since, so that a vector counts that ever was a
 * pin's: userspace looks at its pins anyway.
 */
bool vmlet_route_wants_eoi(struct vmlet_vcpu *vcpu, u8 vector)
{
	return vcpu->vm->irq.chip == VMLET_IRQCHIP_SPLIT && test_bit(vector, vcpu->vm->irq.level_vectors);
}

static struct vmlet_routes *routes_alloc(unsigned int count)
{
	struct vmlet_routes *routes = kvzalloc(struct_size(routes, route, count), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!routes)
		return NULL;
	routes->count = count;
	memset(routes->gsi_of, 0xff, sizeof(routes->gsi_of));
	for (i = 0; i < count; i++)
		memset(routes->route[i].pin, NO_PIN, CHIPS);
	return routes;
}

static bool has_pins(const struct route *route)
{
	return route->pin[0] != NO_PIN || route->pin[1] != NO_PIN || route->pin[2] != NO_PIN;
}

/* Up to one pin per chip, or one message. */
static int add_pin(struct vmlet_routes *routes, u32 gsi, u32 chip, u32 pin)
{
	struct route *route = &routes->route[gsi];

	if (chip >= CHIPS)
		return -EINVAL;
	chip = array_index_nospec(chip, CHIPS);
	if (pin >= chip_pins[chip] || route->has_msg || route->pin[chip] != NO_PIN)
		return -EINVAL;
	route->pin[chip] = pin;
	routes->gsi_of[chip][array_index_nospec(pin, VMLET_IOAPIC_PINS)] = gsi;
	return 0;
}

static int add_msg(struct vmlet_vm *vm, struct vmlet_routes *routes, u32 gsi, const struct kvm_irq_routing_msi *msi)
{
	struct route *route = &routes->route[gsi];

	if (route->has_msg || has_pins(route))
		return -EINVAL;
	route->has_msg = true;
	if (msi_decode(vm, &route->msg, msi->address_lo, msi->address_hi, msi->data))
		return -EINVAL;
	if (gsi < vm->irq.split_pins && route->msg.level)
		set_bit(route->msg.vector, vm->irq.level_vectors);
	return 0;
}

static int add_entry(struct vmlet_vm *vm, struct vmlet_routes *routes, const struct kvm_irq_routing_entry *entry)
{
	u32 gsi = array_index_nospec(entry->gsi, routes->count);

	if (entry->type == KVM_IRQ_ROUTING_MSI && !(entry->flags & ~KVM_MSI_VALID_DEVID))
		return add_msg(vm, routes, gsi, &entry->u.msi);
	if (entry->type == KVM_IRQ_ROUTING_IRQCHIP && !entry->flags && vmlet_irqchip_in_kernel(vm))
		return add_pin(routes, gsi, entry->u.irqchip.irqchip, entry->u.irqchip.pin);
	return -EINVAL;
}

/* Does a GSI that went somewhere go elsewhere, or nowhere, from now on? */
static bool changes(const struct vmlet_routes *old, const struct vmlet_routes *new)
{
	static const struct route nowhere = { .pin = { NO_PIN, NO_PIN, NO_PIN } };
	unsigned int i;

	for (i = 0; old && i < old->count; i++)
		if (memcmp(&old->route[i], i < new->count ? &new->route[i] : &nowhere, sizeof(nowhere)) &&
		    memcmp(&old->route[i], &nowhere, sizeof(nowhere)))
			return true;
	return false;
}

/* What the old table said does not happen after this; a table that only adds to it need not be waited for. */
static void routes_replace(struct vmlet_vm *vm, struct vmlet_routes *new)
{
	struct vmlet_routes *old;

	guard(mutex)(&vm->irq.lock);
	old = rcu_replace_pointer(vm->irq.routes, new, lockdep_is_held(&vm->irq.lock));
	if (changes(old, new)) {
		synchronize_rcu_expedited();
		kvfree(old);
	} else if (old) {
		kvfree_rcu(old, rcu);
	}
}

int vmlet_route_default(struct vmlet_vm *vm)
{
	struct vmlet_routes *routes = routes_alloc(VMLET_IOAPIC_PINS);
	unsigned int gsi;

	if (!routes)
		return -ENOMEM;
	for (gsi = 0; gsi < VMLET_IOAPIC_PINS; gsi++) {
		if (gsi < 2 * PIC_PINS)
			add_pin(routes, gsi, KVM_IRQCHIP_PIC_MASTER + gsi / PIC_PINS, gsi % PIC_PINS);
		add_pin(routes, gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
	routes_replace(vm, routes);
	return 0;
}

int vmlet_route_empty(struct vmlet_vm *vm)
{
	struct vmlet_routes *routes = routes_alloc(0);

	if (!routes)
		return -ENOMEM;
	routes_replace(vm, routes);
	return 0;
}

static int set_routing(struct vmlet_vm *vm, const struct kvm_irq_routing_entry *entries, unsigned int n)
{
	struct vmlet_routes *routes;
	unsigned int i, count = 0;
	int ret = 0;

	for (i = 0; i < n; i++) {
		if (entries[i].gsi >= VMLET_MAX_GSI)
			return -EINVAL;
		count = max(count, entries[i].gsi + 1);
	}
	routes = routes_alloc(count);
	if (!routes)
		return -ENOMEM;
	for (i = 0; i < n && !ret; i++)
		ret = add_entry(vm, routes, &entries[i]);
	if (ret)
		kvfree(routes);
	else
		routes_replace(vm, routes);
	return ret;
}

long vmlet_api_set_gsi_routing(void *obj, struct vmlet_arg *arg)
{
	struct kvm_irq_routing __user *user = arg->user;
	struct kvm_irq_routing_entry *entries;
	struct kvm_irq_routing head;
	struct vmlet_vm *vm = obj;
	long ret;

	lockdep_assert_held(&vm->lock);
	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (vm->irq.chip == VMLET_IRQCHIP_NONE || head.nr > VMLET_MAX_GSI || head.flags)
		return -EINVAL;
	entries = vmemdup_user(user->entries, array_size(head.nr, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = set_routing(vm, entries, head.nr);
	kvfree(entries);
	return ret;
}

/* KVM_IRQ_LINE, and KVM_IRQ_LINE_STATUS, whose argument travels back. */
long vmlet_api_irq_line(void *obj, struct vmlet_arg *arg)
{
	struct kvm_irq_level *line = arg->data;
	struct vmlet_vm *vm = obj;

	if (READ_ONCE(vm->irq.chip) == VMLET_IRQCHIP_NONE)
		return -ENXIO;
	line->status = vmlet_irq_line(vm, line->irq, VMLET_IRQ_USER, line->level);
	return 0;
}

/* The number of local APICs that took it: 0 if the guest blocks it, or nobody is there. */
long vmlet_api_signal_msi(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_msi *msi = arg->data;
	struct vmlet_vm *vm = obj;
	struct vmlet_irq_msg msg;

	if (READ_ONCE(vm->irq.chip) == VMLET_IRQCHIP_NONE || msi->flags ||
	    msi_decode(vm, &msg, msi->address_lo, msi->address_hi, msi->data))
		return -EINVAL;
	return max(vmlet_irq_deliver(vm, NULL, &msg), 0);
}
