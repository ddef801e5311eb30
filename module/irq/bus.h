/* SPDX-License-Identifier: GPL-2.0 */
/* What userspace has put on a VM's buses. Between bus.c, ioeventfd.c and coalesced.c. */
#ifndef VMLET_IRQ_BUS_H
#define VMLET_IRQ_BUS_H

#include <linux/rcupdate.h>

#include "../vmlet.h"

/**
 * struct vmlet_bus_entry - an ioeventfd or a coalesced zone
 * @start:	its first address
 * @end:	behind its last; of an ioeventfd, which is found by the address alone, @start + 1
 * @reach:	the highest @end up to this entry of the table: nothing before it goes further
 * @match:	the value to write, unless @wildcard
 * @eventfd:	NULL: a zone
 * @len:	of the write; 0: any
 * @wildcard:	any value will do
 */
struct vmlet_bus_entry {
	u64 start, end, reach;
	u64 match;
	struct eventfd_ctx *eventfd;
	u32 len;
	bool wildcard;
};

/* Sorted by @start; behind each other: zones, then ioeventfds. */
struct vmlet_bus {
	struct rcu_head rcu;
	unsigned int count;
	struct vmlet_bus_entry entry[] __counted_by(count);
};

/* For those who change a table: vm->irq.lock held. NULL: empty. */
struct vmlet_bus *vmlet_bus_table(struct vmlet_vm *vm, enum vmlet_bus_kind kind);

/* 0, -ENOMEM or -ENOSPC. The entry is copied. */
int vmlet_bus_insert(struct vmlet_vm *vm, enum vmlet_bus_kind kind, const struct vmlet_bus_entry *entry);

/* Nobody uses the entry any more when this returns. 0 or -ENOMEM. */
int vmlet_bus_remove(struct vmlet_vm *vm, enum vmlet_bus_kind kind, unsigned int index);

/* A write of @len bytes into a zone. False: the ring is full. */
bool vmlet_coalesced_put(struct vmlet_vm *vm, enum vmlet_bus_kind kind, u64 address, unsigned int len, u64 value);

#endif
