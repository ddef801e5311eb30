// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the two PICs
 *
 * 8259s, the second one on pin 2 of the first, which follows it. Their registers are kept as the
 * API saves them. What an access changes is looked at once, in its end: first the ends of interrupts
 * are told, without the lock, for a line may fall by that; then the output is worked out, and vCPUs
 * that accept it are told of a rise.
 */
#include <linux/bitops.h>
#include <linux/kvm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "../run/run.h"
#include "irq.h"

#define CASCADE		2	/* pin of the first where the second is */
#define SPURIOUS	7	/* what is answered when the reason has gone */
#define PER_CHIP	8

/* Bits of the command words. */
#define ICW1		0x10
#define ICW1_ICW4	0x01
#define ICW4_AUTO_EOI	0x02
#define ICW4_NESTED	0x10
#define OCW3		0x08
#define OCW3_ISR	0x01
#define OCW3_READ	0x02
#define OCW3_POLL	0x04
#define OCW3_SPECIAL	0x20
#define OCW3_SET_SPECIAL 0x40
#define OCW2_EOI	0x20
#define OCW2_SPECIFIC	0x40
#define OCW2_ROTATE	0x80

/* What the port behind the command port expects: kvm_pic_state.init_state. */
enum { EXPECT_MASK, EXPECT_BASE, EXPECT_CASCADE, EXPECT_ICW4 };

static const u8 elcr_mask[2] = { 0xf8, 0xde };	/* pins that can be level-triggered */

/*
 * struct vmlet_pic - of a VM; everything but @vm under @lock
 * @chip:	registers
 * @source:	by pin: who holds the line up, bits of enum vmlet_irq_source
 * @acked:	interrupts whose end is to be told
 * @unmasked:	so is that IRQ 0 is let through again
 * @output:	the first one's output; also read without the lock
 */
struct vmlet_pic {
	raw_spinlock_t lock;
	struct vmlet_vm *vm;
	struct kvm_pic_state chip[2];
	u8 source[VMLET_PIC_PINS];
	u16 acked;
	bool unmasked;
	bool output;
};

/* How far the first of @pins is from the top; 8: there is none. */
static unsigned int rank(const struct kvm_pic_state *chip, u8 pins)
{
	return pins ? __ffs(ror8(pins, chip->priority_add)) : PER_CHIP;
}

/* What is in service and holds back what is not of higher priority. */
static u8 in_service(const struct kvm_pic_state *chip)
{
	return chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
}

/* The pin that asks; -1: none does. */
static int requested(const struct vmlet_pic *pic, unsigned int nr)
{
	const struct kvm_pic_state *chip = &pic->chip[nr];
	unsigned int best = rank(chip, chip->irr & ~chip->imr);
	u8 busy = in_service(chip);

	if (!nr && chip->special_fully_nested_mode)
		busy &= ~BIT(CASCADE);
	return best < rank(chip, busy) ? (best + chip->priority_add) % PER_CHIP : -1;
}

static void tell_vcpus(struct vmlet_vm *vm)
{
	unsigned int i, n = vmlet_vcpu_count(vm);

	for (i = 0; i < n; i++)
		if (vmlet_lapic_accepts_pic(vm->vcpus[i]))
			vmlet_request(vm->vcpus[i], VMLET_REQ_EVENT);
}

/* True if the output rises. */
static bool update(struct vmlet_pic *pic)
{
	bool before = pic->output, now;

	if (requested(pic, 1) >= 0)
		pic->chip[0].irr |= BIT(CASCADE);
	else
		pic->chip[0].irr &= ~BIT(CASCADE);
	now = requested(pic, 0) >= 0;
	WRITE_ONCE(pic->output, now);
	return now && !before;
}

static void tell_ends(struct vmlet_pic *pic) __must_hold(&pic->lock)
{
	unsigned long acked = pic->acked;
	bool unmasked = pic->unmasked;
	unsigned int pin;

	pic->acked = 0;
	pic->unmasked = false;
	raw_spin_unlock(&pic->lock);
	for_each_set_bit(pin, &acked, VMLET_PIC_PINS)
		vmlet_irq_acked(pic->vm, KVM_IRQCHIP_PIC_MASTER + pin / PER_CHIP, pin % PER_CHIP);
	if (unmasked)
		vmlet_pit_unmasked(pic->vm);
	raw_spin_lock(&pic->lock);
}

/* Ends what began with taking the lock. */
static void finish(struct vmlet_pic *pic, unsigned long flags) __releases(&pic->lock)
{
	bool rise;

	if (pic->acked || pic->unmasked)
		tell_ends(pic);
	rise = update(pic);
	raw_spin_unlock_irqrestore(&pic->lock, flags);
	if (!rise)
		return;
	/* The output first, then who is let through; a vCPU that lets it through looks at the output afterwards. */
	smp_mb();
	tell_vcpus(pic->vm);
}

int vmlet_pic_set(struct vmlet_vm *vm, unsigned int pin, enum vmlet_irq_source source, bool level)
{
	struct vmlet_pic *pic = vm->irq.pic;
	struct kvm_pic_state *chip;
	unsigned long flags;
	u8 bit, before;
	int ret;

	if (pin >= VMLET_PIC_PINS)
		return VMLET_IRQ_IGNORED;
	chip = &pic->chip[pin / PER_CHIP];
	bit = BIT(pin % PER_CHIP);
	raw_spin_lock_irqsave(&pic->lock, flags);
	if (level)
		pic->source[pin] |= BIT(source);
	else
		pic->source[pin] &= ~BIT(source);
	before = chip->irr;
	if (!pic->source[pin]) {
		chip->last_irr &= ~bit;
		if (chip->elcr & bit)
			chip->irr &= ~bit;
		ret = 1;
	} else {
		bool fresh = (chip->elcr & bit) || !(chip->last_irr & bit);

		if (fresh)
			chip->irr |= bit;
		chip->last_irr |= bit;
		/* A line that is up already asks for nothing. */
		ret = !fresh || (chip->irr & ~before & bit) ? 1 : VMLET_IRQ_COALESCED;
	}
	if (chip->imr & bit)
		ret = VMLET_IRQ_IGNORED;
	finish(pic, flags);
	return ret;
}

bool vmlet_pic_pending(struct vmlet_vm *vm)
{
	return READ_ONCE(vm->irq.pic->output);
}

static void end_service(struct vmlet_pic *pic, unsigned int nr, unsigned int irq)
{
	if (!(pic->chip[nr].isr & BIT(irq)))
		return;
	pic->chip[nr].isr &= ~BIT(irq);
	pic->acked |= BIT(nr * PER_CHIP + irq);
}

/* The acknowledge cycle; the pin. */
static unsigned int acknowledge(struct vmlet_pic *pic, unsigned int nr)
{
	struct kvm_pic_state *chip = &pic->chip[nr];
	int irq = requested(pic, nr);

	if (irq < 0)
		return SPURIOUS;
	chip->isr |= BIT(irq);
	if (!(chip->elcr & BIT(irq)))
		chip->irr &= ~BIT(irq);
	if (chip->auto_eoi) {
		if (chip->rotate_on_auto_eoi)
			chip->priority_add = (irq + 1) % PER_CHIP;
		end_service(pic, nr, irq);
	}
	return irq;
}

int vmlet_pic_take(struct vmlet_vm *vm)
{
	struct vmlet_pic *pic = vm->irq.pic;
	unsigned int nr = 0, irq;
	unsigned long flags;
	int vector;

	raw_spin_lock_irqsave(&pic->lock, flags);
	irq = acknowledge(pic, 0);
	if (irq == CASCADE) {
		nr = 1;
		irq = acknowledge(pic, 1);
	}
	vector = (u8)(pic->chip[nr].irq_base + irq);
	finish(pic, flags);
	return vector;
}

/* Edges that are dropped, and what is no longer in service, have ended: nobody else will say so. */
static void write_icw1(struct vmlet_pic *pic, unsigned int nr, u8 value)
{
	struct kvm_pic_state *chip = &pic->chip[nr];

	pic->acked |= ((chip->irr & ~chip->elcr) | chip->isr) << (nr * PER_CHIP);
	chip->init4 = value & ICW1_ICW4;
	chip->last_irr = 0;
	chip->irr &= chip->elcr;
	chip->isr = 0;
	chip->imr = 0;
	chip->priority_add = 0;
	chip->special_mask = 0;
	chip->read_reg_select = 0;
	chip->poll = 0;
	if (!chip->init4) {
		chip->special_fully_nested_mode = 0;
		chip->auto_eoi = 0;
	}
	chip->init_state = EXPECT_BASE;
}

static void write_ocw3(struct kvm_pic_state *chip, u8 value)
{
	if (value & OCW3_POLL)
		chip->poll = 1;
	if (value & OCW3_READ)
		chip->read_reg_select = value & OCW3_ISR;
	if (value & OCW3_SET_SPECIAL)
		chip->special_mask = !!(value & OCW3_SPECIAL);
}

static void write_ocw2(struct vmlet_pic *pic, unsigned int nr, u8 value)
{
	struct kvm_pic_state *chip = &pic->chip[nr];
	unsigned int irq = value % PER_CHIP;

	if (!(value & (OCW2_EOI | OCW2_SPECIFIC))) {
		chip->rotate_on_auto_eoi = !!(value & OCW2_ROTATE);
		return;
	}
	if (!(value & OCW2_SPECIFIC)) {
		irq = rank(chip, in_service(chip));
		if (irq == PER_CHIP)
			return;
		irq = (irq + chip->priority_add) % PER_CHIP;
	}
	if (value & OCW2_ROTATE)
		chip->priority_add = (irq + 1) % PER_CHIP;
	if (value & OCW2_EOI)
		end_service(pic, nr, irq);
}

static void write_command(struct vmlet_pic *pic, unsigned int nr, u8 value)
{
	if (value & ICW1)
		write_icw1(pic, nr, value);
	else if (value & OCW3)
		write_ocw3(&pic->chip[nr], value);
	else
		write_ocw2(pic, nr, value);
}

static void write_data(struct vmlet_pic *pic, unsigned int nr, u8 value)
{
	struct kvm_pic_state *chip = &pic->chip[nr];

	switch (chip->init_state) {
	case EXPECT_MASK:
		pic->unmasked |= !nr && (chip->imr & ~value & BIT(0));
		chip->imr = value;
		break;
	case EXPECT_BASE:
		chip->irq_base = value & 0xf8;
		chip->init_state = EXPECT_CASCADE;
		break;
	case EXPECT_CASCADE:
		chip->init_state = chip->init4 ? EXPECT_ICW4 : EXPECT_MASK;
		break;
	case EXPECT_ICW4:
		chip->special_fully_nested_mode = !!(value & ICW4_NESTED);
		chip->auto_eoi = !!(value & ICW4_AUTO_EOI);
		chip->init_state = EXPECT_MASK;
		break;
	}
}

static u8 read_port(struct vmlet_pic *pic, unsigned int nr, bool data)
{
	struct kvm_pic_state *chip = &pic->chip[nr];

	if (chip->poll) {
		chip->poll = 0;
		return requested(pic, nr) < 0 ? SPURIOUS : 0x80 | acknowledge(pic, nr);
	}
	if (data)
		return chip->imr;
	return chip->read_reg_select ? chip->isr : chip->irr;
}

/* 0x20 and 0x21, 0xa0 and 0xa1, and of which pins levels count: 0x4d0 and 0x4d1. */
bool vmlet_pic_port(struct vmlet_vm *vm, u16 port, unsigned int len, void *data, bool write)
{
	struct vmlet_pic *pic = vm->irq.pic;
	bool elcr = (port & ~1) == 0x4d0;
	unsigned int nr = elcr ? port & 1 : port >> 7 & 1;
	unsigned long flags;
	u8 value;

	if (!pic || (!elcr && (port & ~0x81) != 0x20))
		return false;
	if (!write)
		memset(data, 0, len);
	if (len != 1)		/* these are registers of a byte, and wider accesses reach none */
		return true;
	value = *(u8 *)data;
	raw_spin_lock_irqsave(&pic->lock, flags);
	if (elcr && write)
		pic->chip[nr].elcr = value & elcr_mask[nr];
	else if (elcr)
		value = pic->chip[nr].elcr;
	else if (!write)
		value = read_port(pic, nr, port & 1);
	else if (port & 1)
		write_data(pic, nr, value);
	else
		write_command(pic, nr, value);
	finish(pic, flags);
	if (!write)
		*(u8 *)data = value;
	return true;
}

void vmlet_pic_get(struct vmlet_vm *vm, unsigned int nr, struct kvm_pic_state *state)
{
	struct vmlet_pic *pic = vm->irq.pic;
	unsigned long flags;

	raw_spin_lock_irqsave(&pic->lock, flags);
	*state = pic->chip[nr];
	raw_spin_unlock_irqrestore(&pic->lock, flags);
}

void vmlet_pic_put(struct vmlet_vm *vm, unsigned int nr, const struct kvm_pic_state *state)
{
	struct vmlet_pic *pic = vm->irq.pic;
	struct kvm_pic_state *chip = &pic->chip[nr];
	unsigned long flags;

	raw_spin_lock_irqsave(&pic->lock, flags);
	*chip = *state;
	chip->priority_add %= PER_CHIP;
	chip->init_state %= EXPECT_ICW4 + 1;
	chip->elcr_mask = elcr_mask[nr];
	chip->elcr &= elcr_mask[nr];
	finish(pic, flags);
}

int vmlet_pic_create(struct vmlet_vm *vm)
{
	struct vmlet_pic *pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);
	unsigned int nr;

	if (!pic)
		return -ENOMEM;
	raw_spin_lock_init(&pic->lock);
	pic->vm = vm;
	for (nr = 0; nr < 2; nr++)
		pic->chip[nr].elcr_mask = elcr_mask[nr];
	vm->irq.pic = pic;
	return 0;
}

void vmlet_pic_destroy(struct vmlet_vm *vm)
{
	kfree(vm->irq.pic);
	vm->irq.pic = NULL;
}
