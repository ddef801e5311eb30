// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: ioeventfds
 *
 * A write of the guest to an address that signals an eventfd and is done with that.
 */
#include <linux/cleanup.h>
#include <linux/eventfd.h>

#include "../api/api.h"
#include "bus.h"
#include "irq.h"

#define FLAGS	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)

/* Is there a write that both would take? */
static bool collide(const struct vmlet_bus_entry *a, const struct vmlet_bus_entry *b)
{
	if (!a->eventfd || a->start != b->start)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->wildcard || b->wildcard || a->match == b->match);
}

static bool same(const struct vmlet_bus_entry *a, const struct vmlet_bus_entry *b)
{
	return a->eventfd == b->eventfd && a->start == b->start && a->len == b->len && a->wildcard == b->wildcard &&
		(a->wildcard || a->match == b->match);
}

/* The index of the first entry that @is like @entry; -1: none. */
static int find(struct vmlet_vm *vm, enum vmlet_bus_kind kind, const struct vmlet_bus_entry *entry,
		bool (*is)(const struct vmlet_bus_entry *a, const struct vmlet_bus_entry *b))
{
	const struct vmlet_bus *bus = vmlet_bus_table(vm, kind);
	unsigned int i;

	for (i = 0; bus && i < bus->count; i++)
		if (is(&bus->entry[i], entry))
			return i;
	return -1;
}

static int assign(struct vmlet_vm *vm, enum vmlet_bus_kind kind, const struct vmlet_bus_entry *entry)
{
	return find(vm, kind, entry, collide) < 0 ? vmlet_bus_insert(vm, kind, entry) : -EEXIST;
}

static int deassign(struct vmlet_vm *vm, enum vmlet_bus_kind kind, const struct vmlet_bus_entry *entry)
{
	int index = find(vm, kind, entry, same);
	int ret;

	if (index < 0)
		return -ENOENT;
	ret = vmlet_bus_remove(vm, kind, index);
	if (!ret)
		eventfd_ctx_put(entry->eventfd);	/* the table's */
	return ret;
}

static bool valid(const struct kvm_ioeventfd *args)
{
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)	/* what was never assigned is not found */
		return !(args->flags & ~FLAGS);
	if (args->len > 8 || (args->len & (args->len - 1)))
		return false;
	if (args->addr + args->len < args->addr || (args->flags & ~FLAGS))
		return false;
	return args->len || !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
}

long vmlet_api_ioeventfd(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_ioeventfd *args = arg->data;
	enum vmlet_bus_kind kind = args->flags & KVM_IOEVENTFD_FLAG_PIO ? VMLET_BUS_PORT : VMLET_BUS_MMIO;
	struct vmlet_bus_entry entry = {
		.start		= args->addr,
		.end		= args->addr + 1,
		.match		= args->datamatch,
		.len		= args->len,
		.wildcard	= !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
	};
	struct vmlet_vm *vm = obj;
	int ret;

	if (!valid(args))
		return -EINVAL;
	entry.eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(entry.eventfd))
		return PTR_ERR(entry.eventfd);
	scoped_guard(mutex, &vm->irq.lock)
		ret = args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN ? deassign(vm, kind, &entry) : assign(vm, kind, &entry);
	if (ret || (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
		eventfd_ctx_put(entry.eventfd);		/* ours; the table has it otherwise */
	return ret;
}
