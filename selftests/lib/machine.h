/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine: a VM with interrupt controllers, vCPUs that may have threads, and
 * guests written in C.
 *
 * The test's own image is mapped into the guest where it is in the process, so
 * that a guest is a function of the test file, and what both sides share is a
 * volatile variable. Guest functions are marked GUEST, handlers are GUEST_ISR;
 * they call nothing but GUEST_INLINE functions, and no C library.
 *
 * A guest talks to its host by OUT: guest_say() gives a number, guest_done() ends
 * the guest. A vector without a handler of its own ends the test.
 */
#ifndef SELFTESTS_MACHINE_H
#define SELFTESTS_MACHINE_H

#include <pthread.h>
#include <string.h>

#include "guest.h"
#include "x86.h"

#define MACHINE_VCPUS	64
#define PORT_DONE	0xe0
#define PORT_SAY	0xe4
#define PORT_TRAP	0xe8	/* the default handler's */

#define GUEST static __attribute__((noinline, used)) GENERAL_REGS void

/* Volatile, for the compiler does not know that IRET reads it. */
struct isr_frame {
	volatile u64 ip, cs, flags, sp, ss;
};

#define GUEST_ISR(name)							\
static __attribute__((interrupt, used)) GENERAL_REGS			\
void name(struct isr_frame *frame __attribute__((unused)))

/* For vectors with an error code. */
#define GUEST_FAULT_ISR(name)						\
static __attribute__((interrupt, used)) GENERAL_REGS			\
void name(struct isr_frame *frame, u64 error __attribute__((unused)))

enum irqchip { NO_IRQCHIP, KERNEL_IRQCHIP, SPLIT_IRQCHIP };

struct machine {
	struct vm vm;
	unsigned int vcpus;
	struct vcpu vcpu[MACHINE_VCPUS];
	pthread_t thread[MACHINE_VCPUS];
};

/* Why this device cannot have such a machine, or NULL. */
const char *machine_missing(enum irqchip kind);
void machine_create(struct machine *m, enum irqchip kind, unsigned int vcpus);
void machine_add_vcpu(struct machine *m);
void machine_add_vcpu_id(struct machine *m, u32 id);
void machine_destroy(struct machine *m);

/* The vCPU is runnable, and begins at the function, in long mode, interrupts off. */
void machine_enter_at(struct machine *m, unsigned int i, void (*function)(u64), u64 arg);

void machine_set_gate(struct machine *m, u8 vector, void *isr);

/* Runs the guest until it says something, which must be on this port. */
u32 vcpu_run_until_out(struct vcpu *vcpu, u16 port);
u32 vcpu_run_until_say(struct vcpu *vcpu);
void vcpu_run_until_done(struct vcpu *vcpu);

/* The vCPU runs on a thread until its guest is done, or until it is stopped. */
void machine_start(struct machine *m, unsigned int i);
void machine_join(struct machine *m, unsigned int i);
void machine_stop(struct machine *m, unsigned int i);

/* A capability of the device. */
int device_cap(long cap);

/* Both KVM_IRQ_LINE calls; the second returns the status. */
void vm_irq_line(struct vm *vm, u32 gsi, int level);
int vm_irq_line_status(struct vm *vm, u32 gsi, int level);

void vm_set_routes(struct vm *vm, const struct kvm_irq_routing_entry *entries, int count);
int __vm_set_routes(struct vm *vm, const struct kvm_irq_routing_entry *entries, int count);
int __vm_signal_msi(struct vm *vm, u32 address, u32 data);

/* MSI address and data of a fixed interrupt for one xAPIC destination. */
#define MSI_ADDRESS(apic_id) (0xfee00000u | (apic_id) << 12)
#define MSI_ROUTE(number, address, message) (struct kvm_irq_routing_entry) { \
	.gsi = (number), .type = KVM_IRQ_ROUTING_MSI,			\
	.u.msi = { .address_lo = (address), .data = (message) } }
#define CHIP_ROUTE(number, chip, chip_pin) (struct kvm_irq_routing_entry) { \
	.gsi = (number), .type = KVM_IRQ_ROUTING_IRQCHIP,		\
	.u.irqchip = { .irqchip = (chip), .pin = (chip_pin) } }

GUEST_INLINE void guest_say(u32 value)
{
	outl(PORT_SAY, value);
}

GUEST_INLINE void guest_done(void)
{
	outl(PORT_DONE, 0);
	__builtin_unreachable();
}

#define SKIP_WITHOUT_CAP(cap)						\
do {									\
	if (device_cap(cap) <= 0)					\
		SKIP(return, "the device has no " #cap);		\
} while (0)

#define SKIP_WITHOUT_CHIP(kind)						\
do {									\
	if (machine_missing(kind))					\
		SKIP(return, "%s", machine_missing(kind));		\
} while (0)

/* The fixture: a machine of this kind, whose vCPUs have no code yet. */
#define FIXTURE_MACHINE(name, kind, count)				\
FIXTURE(name) {								\
	struct machine m;						\
};									\
FIXTURE_SETUP(name)							\
{									\
	SKIP_WITHOUT_CHIP(kind);					\
	machine_create(&self->m, kind, count);				\
}									\
FIXTURE_TEARDOWN(name)							\
{									\
	machine_destroy(&self->m);					\
}

OBJECT_IOCTL(vm, get_irqchip, KVM_GET_IRQCHIP, struct kvm_irqchip)
OBJECT_IOCTL(vm, set_irqchip, KVM_SET_IRQCHIP, struct kvm_irqchip)
OBJECT_IOCTL(vm, create_pit2, KVM_CREATE_PIT2, struct kvm_pit_config)
OBJECT_IOCTL(vm, get_pit2, KVM_GET_PIT2, struct kvm_pit_state2)
OBJECT_IOCTL(vm, set_pit2, KVM_SET_PIT2, struct kvm_pit_state2)
OBJECT_IOCTL(vm, reinject_control, KVM_REINJECT_CONTROL, struct kvm_reinject_control)
OBJECT_IOCTL(vm, irqfd, KVM_IRQFD, struct kvm_irqfd)
OBJECT_IOCTL(vm, ioeventfd, KVM_IOEVENTFD, struct kvm_ioeventfd)
OBJECT_IOCTL(vm, get_clock, KVM_GET_CLOCK, struct kvm_clock_data)
OBJECT_IOCTL(vm, set_clock, KVM_SET_CLOCK, struct kvm_clock_data)
OBJECT_IOCTL(vm, get_dirty_log, KVM_GET_DIRTY_LOG, struct kvm_dirty_log)
OBJECT_IOCTL(vm, clear_dirty_log, KVM_CLEAR_DIRTY_LOG, struct kvm_clear_dirty_log)
OBJECT_IOCTL(vm, coalesce, KVM_REGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone)
OBJECT_IOCTL(vm, uncoalesce, KVM_UNREGISTER_COALESCED_MMIO, struct kvm_coalesced_mmio_zone)
OBJECT_IOCTL(vcpu, get_lapic, KVM_GET_LAPIC, struct kvm_lapic_state)
OBJECT_IOCTL(vcpu, set_lapic, KVM_SET_LAPIC, struct kvm_lapic_state)
OBJECT_IOCTL(vcpu, set_vapic_addr, KVM_SET_VAPIC_ADDR, struct kvm_vapic_addr)
OBJECT_IOCTL(vcpu, tpr_reporting, KVM_TPR_ACCESS_REPORTING, struct kvm_tpr_access_ctl)
OBJECT_IOCTL(vcpu, setup_mce, KVM_X86_SETUP_MCE, u64)
OBJECT_IOCTL(vcpu, set_mce, KVM_X86_SET_MCE, struct kvm_x86_mce)

static inline u32 lapic_reg(const struct kvm_lapic_state *state, u32 reg)
{
	u32 value;

	memcpy(&value, state->regs + reg, sizeof(value));
	return value;
}

static inline void lapic_set_reg(struct kvm_lapic_state *state, u32 reg, u32 value)
{
	memcpy(state->regs + reg, &value, sizeof(value));
}

#endif
