// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: IOAPIC
 *
 * 24 pins, each with an entry that says where its interrupts go, behind a window of two registers.
 * A line is the OR of its sources. The polarity of an entry is kept and means nothing: callers say
 * whether a line is asserted.
 *
 * The lock is held over the delivery: remote IRR and the local APIC's answer are one step.
 * Acknowledgments are told without it, and before the end of the interrupt is looked at: who held
 * the line up may have let go of it by then.
 */
#include <linux/bitfield.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <asm/apicdef.h>

#include "irq.h"

#define WINDOW		0x100
#define REG_SELECT	0x00
#define REG_DATA	0x10

#define INDEX_ID	0
#define INDEX_VERSION	1
#define INDEX_ARB	2
#define INDEX_ENTRIES	0x10
#define VERSION		(0x11 | (VMLET_IOAPIC_PINS - 1) << 16)

#define E_VECTOR	GENMASK_ULL(7, 0)
#define E_MODE		GENMASK_ULL(10, 8)
#define E_LOGICAL	BIT_ULL(11)
#define E_POLARITY	BIT_ULL(13)
#define E_REMOTE_IRR	BIT_ULL(14)
#define E_LEVEL		BIT_ULL(15)
#define E_MASKED	BIT_ULL(16)
#define E_DEST		GENMASK_ULL(63, 56)
#define E_WRITABLE	(E_VECTOR | E_MODE | E_LOGICAL | E_POLARITY | E_LEVEL | E_MASKED | E_DEST)

/* A line that nobody lowers may have the guest this often in a row; then it waits a while. */
#define AGAIN_MOST	10000
#define AGAIN_DELAY	(10 * NSEC_PER_MSEC)

/*
 * struct vmlet_ioapic - of a VM; everything but @vm under @lock
 * @entry:	the redirection table
 * @irr:	lines that are up, as the state says it
 * @told:	edges among them that have been delivered: no longer part of the state
 * @stuck:	level-triggered pins that wait for @retry
 * @pit_pins:	pins where the PIT has been seen
 * @acked_pins:	pins whose EOI somebody wants to know, edge-triggered or not
 * @again:	deliveries since the line was last seen down
 * @source:	by pin: who holds the line up, bits of enum vmlet_irq_source
 */
struct vmlet_ioapic {
	raw_spinlock_t lock;
	struct vmlet_vm *vm;
	struct hrtimer retry;
	u64 entry[VMLET_IOAPIC_PINS];
	u32 irr, told, stuck, pit_pins, acked_pins;
	u16 again[VMLET_IOAPIC_PINS];
	u8 source[VMLET_IOAPIC_PINS];
	u8 select, id;
};

/* Only what ends with an EOI has a remote IRR. */
static bool has_eoi(u64 entry)
{
	return FIELD_GET(E_MODE, entry) <= VMLET_IRQ_LOWEST;
}

static int deliver(struct vmlet_ioapic *ioapic, unsigned int pin)
{
	u64 entry = ioapic->entry[pin];
	struct vmlet_irq_msg msg = {
		.dest	 = FIELD_GET(E_DEST, entry),
		.vector	 = FIELD_GET(E_VECTOR, entry),
		.mode	 = FIELD_GET(E_MODE, entry),
		.logical = entry & E_LOGICAL,
		.level	 = entry & E_LEVEL,
		.assert	 = true,
	};
	int ret;

	lockdep_assert_held(&ioapic->lock);
	if ((entry & E_MASKED) || (msg.level && (entry & E_REMOTE_IRR)))
		return VMLET_IRQ_IGNORED;
	if (!msg.level) {
		ioapic->told |= BIT(pin);
		if (ioapic->acked_pins & BIT(pin))
			set_bit(msg.vector, ioapic->vm->irq.edge_eois);
	}
	ret = vmlet_irq_deliver(ioapic->vm, NULL, &msg);
	if (msg.level && ret > 0 && has_eoi(entry))
		ioapic->entry[pin] |= E_REMOTE_IRR;
	return ret;
}

static int set_line(struct vmlet_ioapic *ioapic, unsigned int pin, bool level)
{
	u32 bit = BIT(pin);

	if (!level) {
		ioapic->irr &= ~bit;
		return 1;
	}
	if (!(ioapic->entry[pin] & E_LEVEL)) {
		if (ioapic->irr & bit)
			return VMLET_IRQ_COALESCED;
		ioapic->told &= ~bit;
	}
	ioapic->irr |= bit;
	return deliver(ioapic, pin);
}

int vmlet_ioapic_set(struct vmlet_vm *vm, unsigned int pin, enum vmlet_irq_source source,
		     bool level)
{
	struct vmlet_ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;
	int ret;

	if (pin >= VMLET_IOAPIC_PINS)
		return VMLET_IRQ_IGNORED;
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	if (source == VMLET_IRQ_PIT)
		ioapic->pit_pins |= BIT(pin);
	if (source != VMLET_IRQ_USER)
		ioapic->acked_pins |= BIT(pin);
	if (level)
		ioapic->source[pin] |= BIT(source);
	else
		ioapic->source[pin] &= ~BIT(source);
	ret = set_line(ioapic, pin, ioapic->source[pin]);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return ret;
}

static void end_level(struct vmlet_ioapic *ioapic, unsigned int pin)
{
	ioapic->entry[pin] &= ~E_REMOTE_IRR;
	if (!(ioapic->irr & BIT(pin)) || (ioapic->entry[pin] & E_MASKED)) {
		ioapic->again[pin] = 0;
	} else if (++ioapic->again[pin] < AGAIN_MOST) {
		deliver(ioapic, pin);
	} else {
		ioapic->again[pin] = 0;
		ioapic->stuck |= BIT(pin);
		hrtimer_start(&ioapic->retry, ns_to_ktime(AGAIN_DELAY), HRTIMER_MODE_REL_HARD);
	}
}

static enum hrtimer_restart retry(struct hrtimer *timer)
{
	struct vmlet_ioapic *ioapic = container_of(timer, struct vmlet_ioapic, retry);
	unsigned long flags, pins;
	unsigned int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	pins = ioapic->stuck & ioapic->irr;
	ioapic->stuck = 0;
	for_each_set_bit(pin, &pins, VMLET_IOAPIC_PINS)
		if (ioapic->entry[pin] & E_LEVEL)
			deliver(ioapic, pin);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	return HRTIMER_NORESTART;
}

/* Pins that an EOI of @vector is for. */
static unsigned long pins_of(struct vmlet_ioapic *ioapic, u8 vector)
{
	unsigned long pins = 0;
	unsigned int pin;

	for (pin = 0; pin < VMLET_IOAPIC_PINS; pin++)
		if ((u8)ioapic->entry[pin] == vector && has_eoi(ioapic->entry[pin]))
			pins |= BIT(pin);
	return pins;
}

void vmlet_ioapic_eoi(struct vmlet_vcpu *vcpu, u8 vector)
{
	struct vmlet_ioapic *ioapic = vcpu->vm->irq.ioapic;
	unsigned long flags, pins;
	unsigned int pin;

	clear_bit(vector, vcpu->vm->irq.edge_eois);
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	pins = pins_of(ioapic, vector);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	for_each_set_bit(pin, &pins, VMLET_IOAPIC_PINS)
		vmlet_irq_acked(vcpu->vm, KVM_IRQCHIP_IOAPIC, pin);
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	pins &= pins_of(ioapic, vector);
	for_each_set_bit(pin, &pins, VMLET_IOAPIC_PINS)
		if (ioapic->entry[pin] & E_LEVEL)
			end_level(ioapic, pin);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

static u32 read_index(struct vmlet_ioapic *ioapic)
{
	unsigned int index = ioapic->select, pin = (index - INDEX_ENTRIES) / 2;

	switch (index) {
	case INDEX_ID:
	case INDEX_ARB:
		return ioapic->id << 24;
	case INDEX_VERSION:
		return VERSION;
	}
	if (pin >= VMLET_IOAPIC_PINS)
		return ~0;
	pin = array_index_nospec(pin, VMLET_IOAPIC_PINS);
	return index & 1 ? upper_32_bits(ioapic->entry[pin]) : lower_32_bits(ioapic->entry[pin]);
}

/* Does nobody hold the line up but a resampled irqfd, whose device may have let go of it behind the mask? */
static bool is_resampled(struct vmlet_ioapic *ioapic, unsigned int pin)
{
	return ioapic->source[pin] == BIT(VMLET_IRQ_RESAMPLE);
}

/*
 * Half of an entry. A level that waited behind the mask is delivered, or true: its device is to be asked first; an edge
 * there is lost.
 */
static bool write_entry(struct vmlet_ioapic *ioapic, unsigned int pin, bool high, u32 value)
{
	u64 half = high ? GENMASK_ULL(63, 32) : GENMASK_ULL(31, 0), mask = half & E_WRITABLE;
	u64 *entry = &ioapic->entry[pin], old = *entry;

	*entry = (*entry & ~mask) | ((high ? (u64)value << 32 : value) & mask);
	/* Guests clear a remote IRR that is left over by a switch to edge and back. */
	if (!(*entry & E_LEVEL))
		*entry &= ~E_REMOTE_IRR;
	else if ((old & ~*entry & E_MASKED) && !(*entry & E_REMOTE_IRR) && is_resampled(ioapic, pin))
		return true;
	else if (ioapic->irr & BIT(pin))
		deliver(ioapic, pin);
	return false;
}

/* What is to be told without the lock: a pin of the PIT is no longer masked, and which is to be resampled, or -1. */
struct told {
	bool pit_unmasked;
	int resample;
};

static struct told write_index(struct vmlet_ioapic *ioapic, u32 value)
{
	unsigned int index = ioapic->select, pin = (index - INDEX_ENTRIES) / 2;
	struct told told = { .resample = -1 };
	u64 old;

	if (index == INDEX_ID)
		ioapic->id = value >> 24 & 0xf;
	if (pin >= VMLET_IOAPIC_PINS)
		return told;
	pin = array_index_nospec(pin, VMLET_IOAPIC_PINS);
	old = ioapic->entry[pin];
	if (write_entry(ioapic, pin, index & 1, value))
		told.resample = pin;
	told.pit_unmasked = (old & ~ioapic->entry[pin] & E_MASKED) && (ioapic->pit_pins & BIT(pin));
	return told;
}

/* Narrower accesses are of a register's low bytes, as far as they begin where it does. */
bool vmlet_ioapic_mmio(struct vmlet_vm *vm, gpa_t gpa, unsigned int len, void *data, bool write)
{
	struct vmlet_ioapic *ioapic = vm->irq.ioapic;
	u64 offset = gpa - IO_APIC_DEFAULT_PHYS_BASE;
	struct told told = { .resample = -1 };
	unsigned long flags;
	u32 value = 0;

	if (!ioapic || offset >= WINDOW)
		return false;
	if (write)
		memcpy(&value, data, min_t(unsigned int, len, sizeof(value)));
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == REG_SELECT && write)
		ioapic->select = value;
	else if (offset == REG_SELECT)
		value = ioapic->select;
	else if (offset == REG_DATA && write)
		told = write_index(ioapic, value);
	else if (offset == REG_DATA)
		value = read_index(ioapic);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
	if (!write) {
		memset(data, 0, len);
		memcpy(data, &value, min_t(unsigned int, len, sizeof(value)));
	}
	if (told.pit_unmasked)
		vmlet_pit_unmasked(vm);
	if (told.resample >= 0)
		vmlet_irq_acked(vm, KVM_IRQCHIP_IOAPIC, told.resample);
	return true;
}

void vmlet_ioapic_get(struct vmlet_vm *vm, struct kvm_ioapic_state *state)
{
	struct vmlet_ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags;
	unsigned int pin;

	memset(state, 0, sizeof(*state));
	raw_spin_lock_irqsave(&ioapic->lock, flags);
	state->base_address = IO_APIC_DEFAULT_PHYS_BASE;
	state->ioregsel = ioapic->select;
	state->id = ioapic->id;
	state->irr = ioapic->irr & ~ioapic->told;
	for (pin = 0; pin < VMLET_IOAPIC_PINS; pin++)
		state->redirtbl[pin].bits = ioapic->entry[pin];
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

void vmlet_ioapic_put(struct vmlet_vm *vm, const struct kvm_ioapic_state *state)
{
	struct vmlet_ioapic *ioapic = vm->irq.ioapic;
	unsigned long flags, irr = state->irr;
	unsigned int pin;

	raw_spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->select = state->ioregsel;
	ioapic->id = state->id & 0xf;
	ioapic->irr = 0;
	ioapic->told = 0;
	ioapic->stuck = 0;
	for (pin = 0; pin < VMLET_IOAPIC_PINS; pin++)
		ioapic->entry[pin] = state->redirtbl[pin].bits & (E_WRITABLE | E_REMOTE_IRR);
	for_each_set_bit(pin, &irr, VMLET_IOAPIC_PINS)
		set_line(ioapic, pin, true);
	raw_spin_unlock_irqrestore(&ioapic->lock, flags);
}

int vmlet_ioapic_create(struct vmlet_vm *vm)
{
	struct vmlet_ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	unsigned int pin;

	if (!ioapic)
		return -ENOMEM;
	raw_spin_lock_init(&ioapic->lock);
	hrtimer_setup(&ioapic->retry, retry, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	ioapic->vm = vm;
	for (pin = 0; pin < VMLET_IOAPIC_PINS; pin++)
		ioapic->entry[pin] = E_MASKED;
	vm->irq.ioapic = ioapic;
	return 0;
}

void vmlet_ioapic_destroy(struct vmlet_vm *vm)
{
	if (!vm->irq.ioapic)
		return;
	hrtimer_cancel(&vm->irq.ioapic->retry);
	kfree(vm->irq.ioapic);
	vm->irq.ioapic = NULL;
}
