/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: interrupts
 *
 * lapic*.c are the local APICs, ioapic.c, pic.c and pit.c the controllers and the timer of the board, route.c says where a
 * GSI goes, irqfd.c raises them from eventfds, bus.c finds who in the kernel serves an access to a port or an address.
 *
 * Everything here that is not an ioctl may be called with interrupts off: from the inner loop, from timers and from
 * eventfds' wake-ups. So locks are raw spinlocks, taken with irqsave, and nothing sleeps. An interrupt for a vCPU is a bit
 * set atomically in its local APIC, a request and a kick (run/run.h); nobody takes another vCPU's mutex.
 *
 * Lock order: PIT > IOAPIC or PIC (never both) > nothing. Local APICs have no lock: IRR is atomic, the rest is the vCPU's own.
 * An acknowledgment (vmlet_irq_acked) is told with no lock of a controller held.
 */
#ifndef VMLET_IRQ_H
#define VMLET_IRQ_H

#include <linux/rcupdate.h>

#include "../vmlet.h"

#define VMLET_MAX_GSI		4096
#define VMLET_IOAPIC_PINS	24
#define VMLET_PIC_PINS		16
#define VMLET_X2APIC_API	(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)

/* Who holds a level-triggered line up: lines are the OR of them. */
enum vmlet_irq_source { VMLET_IRQ_USER, VMLET_IRQ_RESAMPLE, VMLET_IRQ_PIT, VMLET_IRQ_SOURCES };

/*
 * What raising an interrupt came to; what KVM_IRQ_LINE_STATUS and KVM_SIGNAL_MSI tell: > 0 delivered (to so many vCPUs);
 * 0: the same interrupt is pending already; < 0: masked, or no such destination.
 */
#define VMLET_IRQ_IGNORED	(-1)
#define VMLET_IRQ_COALESCED	0

/* A message to local APICs: MSI, IOAPIC redirection entry or interprocessor interrupt. */
struct vmlet_irq_msg {
	u32 dest;		/* APIC ID or logical ID; x2APIC's are of 32 bits */
	u8 vector;
	u8 mode;		/* APIC_MODE_*'s number: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 6 SIPI, 7 ExtINT */
	u8 shorthand;		/* of an IPI: 0 none, 1 self, 2 all, 3 all but self */
	bool logical;
	bool level;		/* trigger mode */
	bool assert;
	bool lowest;		/* MSI redirection hint */
};

enum vmlet_irq_mode {
	VMLET_IRQ_FIXED = 0, VMLET_IRQ_LOWEST = 1, VMLET_IRQ_SMI = 2, VMLET_IRQ_NMI = 4, VMLET_IRQ_INIT = 5,
	VMLET_IRQ_SIPI = 6, VMLET_IRQ_EXTINT = 7,
};

static inline bool vmlet_irqchip_in_kernel(struct vmlet_vm *vm)
{
	return vm->irq.chip == VMLET_IRQCHIP_KERNEL;
}

/* The API's local APIC IDs have 32 bits in x2APIC mode and in messages. */
static inline bool vmlet_irq_wide_ids(const struct vmlet_vm *vm)
{
	return READ_ONCE(vm->irq.x2apic_api) & KVM_X2APIC_API_USE_32BIT_IDS;
}

/* lapic.c: a vCPU has one if the VM's irqchip is SPLIT or KERNEL. @vcpu: vcpu->mutex held unless said otherwise. */
int vmlet_lapic_create(struct vmlet_vcpu *vcpu);		/* 0 or -ENOMEM; vm->lock held */
void vmlet_lapic_destroy(struct vmlet_vcpu *vcpu);		/* on any state; timer stopped, out of the map */
void vmlet_lapic_reset(struct vmlet_vcpu *vcpu, bool init);	/* init: by INIT, which keeps ID and APIC base */
int vmlet_lapic_base_set(struct vmlet_vcpu *vcpu, u64 base, bool host);	/* IA32_APIC_BASE; 0 or -EINVAL */
int vmlet_lapic_msr_read(struct vmlet_vcpu *vcpu, u32 index, u64 *value);	/* x2APIC; 0 or -EINVAL */
int vmlet_lapic_msr_write(struct vmlet_vcpu *vcpu, u32 index, u64 value);
bool vmlet_lapic_mmio(struct vmlet_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data, bool write); /* false: not its page */
int vmlet_lapic_tell_tpr(struct vmlet_vcpu *vcpu);		/* VMLET_REQ_TPR: exit to userspace */
void vmlet_lapic_vapic_run(struct vmlet_vcpu *vcpu);		/* KVM_RUN with vcpu->vapic set */
void vmlet_lapic_tpr_set(struct vmlet_vcpu *vcpu, u8 tpr);	/* keeps vcpu->cr8 and VMLET_G_CR8 with it */
u64 vmlet_lapic_deadline(struct vmlet_vcpu *vcpu);		/* IA32_TSC_DEADLINE; moving the TSC re-arms it */
u64 vmlet_lapic_deadline_saved(struct vmlet_vcpu *vcpu);
void vmlet_lapic_stopped(struct vmlet_vcpu *vcpu);		/* KVM_RUN ends; has a local APIC */
void vmlet_lapic_deadline_set(struct vmlet_vcpu *vcpu, u64 tsc);
void vmlet_lapic_tsc_changed(struct vmlet_vcpu *vcpu);
void vmlet_lapic_eoi_settle(struct vmlet_vcpu *vcpu);		/* ISR is right behind this; may sleep */
int vmlet_lapic_pv_eoi_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host);
bool vmlet_lapic_accepts_pic(struct vmlet_vcpu *vcpu);		/* LINT0 lets ExtINT through; any context */

/* The highest interrupt that priorities let through, of the local APIC or of the PIC; -1: none. Cheap: asked at each request. */
int vmlet_irq_pending(struct vmlet_vcpu *vcpu);
/* Acknowledge it: it is in service from now on and will be injected. Same result, or another if a higher one came. */
int vmlet_irq_take(struct vmlet_vcpu *vcpu);

/* INIT and SIPI that wait for the vCPU (vcpu->requests has VMLET_REQ_APIC). Changes mp_state and registers. */
void vmlet_lapic_accept_events(struct vmlet_vcpu *vcpu);

/* KVM_MP_STATE_SIPI_RECEIVED of a saved vCPU: as after INIT and SIPI, both to be accepted. 0. */
int vmlet_lapic_sipi_restore(struct vmlet_vcpu *vcpu);

/* Any context. @source: the vCPU that sends, for shorthands; else NULL. */
int vmlet_irq_deliver(struct vmlet_vm *vm, struct vmlet_vcpu *source, const struct vmlet_irq_msg *msg);
void vmlet_apic_map_update(struct vmlet_vm *vm);		/* may sleep */
void vmlet_apic_map_destroy(struct vmlet_vm *vm);

/* Teardown functions run on any state: what was never made is left alone. */
long vmlet_api_get_lapic(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_lapic(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_vapic_addr(void *obj, struct vmlet_arg *arg);
long vmlet_api_tpr_reporting(void *obj, struct vmlet_arg *arg);

/* ioapic.c, pic.c: @pin's line of @source goes to @level; results as above. Any context. */
int vmlet_ioapic_create(struct vmlet_vm *vm);
void vmlet_ioapic_destroy(struct vmlet_vm *vm);
int vmlet_ioapic_set(struct vmlet_vm *vm, unsigned int pin, enum vmlet_irq_source source, bool level);
/* Told by the local APIC of level-triggered vectors, and of the edge-triggered ones that are in vm->irq.edge_eois. */
void vmlet_ioapic_eoi(struct vmlet_vcpu *vcpu, u8 vector);
bool vmlet_ioapic_mmio(struct vmlet_vm *vm, gpa_t gpa, unsigned int len, void *data, bool write);
void vmlet_ioapic_get(struct vmlet_vm *vm, struct kvm_ioapic_state *state);
void vmlet_ioapic_put(struct vmlet_vm *vm, const struct kvm_ioapic_state *state);

int vmlet_pic_create(struct vmlet_vm *vm);
void vmlet_pic_destroy(struct vmlet_vm *vm);
int vmlet_pic_set(struct vmlet_vm *vm, unsigned int pin, enum vmlet_irq_source source, bool level);
bool vmlet_pic_pending(struct vmlet_vm *vm);			/* the output line, without a lock */
int vmlet_pic_take(struct vmlet_vm *vm);			/* INTA cycle: the vector */
bool vmlet_pic_port(struct vmlet_vm *vm, u16 port, unsigned int len, void *data, bool write);
void vmlet_pic_get(struct vmlet_vm *vm, unsigned int nr, struct kvm_pic_state *state);
void vmlet_pic_put(struct vmlet_vm *vm, unsigned int nr, const struct kvm_pic_state *state);

int vmlet_pit_create(struct vmlet_vm *vm, u32 flags);		/* vm->lock held */
void vmlet_pit_destroy(struct vmlet_vm *vm);
bool vmlet_pit_port(struct vmlet_vm *vm, u16 port, unsigned int len, void *data, bool write);
void vmlet_pit_acked(struct vmlet_vm *vm);			/* the guest acknowledged IRQ 0: reinjection */
void vmlet_pit_unmasked(struct vmlet_vm *vm);			/* a controller lets IRQ 0 through again: nothing is owed */

/* Of a VM that has one, vm->lock held. @flags: KVM_PIT_FLAGS_*, or NULL. */
void vmlet_pit_get(struct vmlet_vm *vm, struct kvm_pit_channel_state *channels, u32 *flags);
void vmlet_pit_put(struct vmlet_vm *vm, const struct kvm_pit_channel_state *channels, const u32 *flags);
void vmlet_pit_reinject(struct vmlet_vm *vm, bool reinject);

/* api.c: ioctls of the VM; vm->lock held. */
int vmlet_irq_split(struct vmlet_vm *vm, const struct kvm_enable_cap *cap);
int vmlet_irq_x2apic_api(struct vmlet_vm *vm, const struct kvm_enable_cap *cap);
int vmlet_irq_bus_clock(struct vmlet_vm *vm, const struct kvm_enable_cap *cap);
long vmlet_api_create_irqchip(void *obj, struct vmlet_arg *arg);
long vmlet_api_create_pit(void *obj, struct vmlet_arg *arg);
long vmlet_api_create_pit2(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_irqchip(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_irqchip(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_pit(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_pit(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_pit2(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_pit2(void *obj, struct vmlet_arg *arg);
long vmlet_api_reinject_control(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_boot_cpu_id(void *obj, struct vmlet_arg *arg);

/* route.c */
void vmlet_route_init(struct vmlet_vm *vm);			/* locks and lists: nothing that can fail */
void vmlet_route_destroy(struct vmlet_vm *vm);
int vmlet_route_default(struct vmlet_vm *vm);			/* KVM_CREATE_IRQCHIP's table */
int vmlet_route_empty(struct vmlet_vm *vm);			/* split mode's */
int vmlet_irq_line(struct vmlet_vm *vm, u32 gsi, enum vmlet_irq_source source, bool level);	/* any context */
void vmlet_irq_acked(struct vmlet_vm *vm, u32 chip, unsigned int pin);	/* KVM_IRQCHIP_*: EOI; no controller's lock held */
bool vmlet_route_wants_eoi(struct vmlet_vcpu *vcpu, u8 vector);	/* split: EOI of @vector goes to userspace */
long vmlet_api_irq_line(void *obj, struct vmlet_arg *arg);
long vmlet_api_signal_msi(void *obj, struct vmlet_arg *arg);
long vmlet_api_set_gsi_routing(void *obj, struct vmlet_arg *arg);	/* vm->lock held */

/* irqfd.c, bus.c */
void vmlet_irqfd_release(struct vmlet_vm *vm);			/* all of them, when the VM's file is closed */
void vmlet_irqfd_acked(struct vmlet_vm *vm, u32 gsi);		/* any context, no controller's lock held */
long vmlet_api_irqfd(void *obj, struct vmlet_arg *arg);
int vmlet_bus_init(struct vmlet_vm *vm);			/* 0 or -ENOMEM */
void vmlet_bus_release(struct vmlet_vm *vm);
long vmlet_api_ioeventfd(void *obj, struct vmlet_arg *arg);
long vmlet_api_register_coalesced(void *obj, struct vmlet_arg *arg);
long vmlet_api_unregister_coalesced(void *obj, struct vmlet_arg *arg);

/*
 * An access of the guest: true if somebody in the kernel has served it (local APIC, IOAPIC, PIC, PIT, ioeventfd, coalesced
 * zone). @data: @len bytes in or out. Under rcu_read_lock(), or with interrupts off.
 */
bool vmlet_bus_access(struct vmlet_vcpu *vcpu, enum vmlet_bus_kind bus, u64 address, unsigned int len, void *data, bool write);

#endif
