/* SPDX-License-Identifier: GPL-2.0 */
/* What a VM holds of the interrupt room; tags as in vmlet.h. */
#ifndef VMLET_IRQ_TYPES_H
#define VMLET_IRQ_TYPES_H

#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* Who has the interrupt controllers. */
enum vmlet_irqchip {
	VMLET_IRQCHIP_NONE,	/* userspace, all of them */
	VMLET_IRQCHIP_SPLIT,	/* local APICs in the kernel; IOAPIC, PIC and PIT in userspace */
	VMLET_IRQCHIP_KERNEL,	/* all in the kernel */
};

enum vmlet_bus_kind { VMLET_BUS_PORT, VMLET_BUS_MMIO, VMLET_BUSES };

/*
 * struct vmlet_irq - of a VM
 * @chip:	enum vmlet_irqchip; set before the first vCPU				[l], then [c]
 * @split_pins:	GSIs that are userspace's IOAPIC pins in split mode			[c]
 * @ioapic, @pic: set together with @chip						[c]
 * @pit:	set last, when it works							[a] acquire/release
 * @x2apic_api:	KVM_X2APIC_API_*; bits are only set				[a]
 * @apic_bus_ns: a cycle of the clock of local APICs' timers			[l], then [c]
 * @edge_eois:	vectors of edge-triggered pins whose EOI the IOAPIC wants to know	[a]
 * @lock:	routing, irqfds, ioeventfds and coalesced zones are changed under it
 * @routes:	GSI routing, replaced as a whole; read under RCU			[@lock]
 * @level_vectors: vectors that a level-triggered message of a split pin has had; bits are only set	[a]
 * @irqfds:	list of struct vmlet_irqfd						[@lock]
 * @resamplers:	those of them that are resampled; read under RCU			[@lock]
 * @bus:	ioeventfds and coalesced zones, sorted, replaced as a whole; read under RCU [@lock]
 * @ring_lock:	who writes to the ring
 * @ring_page:	the coalesced ring, mapped by every vCPU's file; hostile		[c]
 * @map:	destinations to vCPUs, replaced as a whole; read under RCU		[@map_lock]
 */
struct vmlet_irq {
	u8 chip;
	u16 split_pins;
	struct vmlet_ioapic *ioapic;
	struct vmlet_pic *pic;
	struct vmlet_pit *pit;
	u32 x2apic_api;
	u32 apic_bus_ns;
	DECLARE_BITMAP(edge_eois, 256);

	struct mutex lock;
	struct vmlet_routes __rcu *routes;
	DECLARE_BITMAP(level_vectors, 256);
	struct list_head irqfds;
	struct list_head resamplers;
	struct vmlet_bus __rcu *bus[VMLET_BUSES];
	raw_spinlock_t ring_lock;
	struct page *ring_page;

	struct mutex map_lock;
	struct vmlet_apic_map __rcu *map;
};

#endif
