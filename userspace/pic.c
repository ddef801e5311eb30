// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the pair of 8259 interrupt controllers of a PC
 *
 * Edge-triggered requests stay latched until they are acknowledged, even if the line
 * drops before: devices here raise short pulses, and a lost timer tick is worse
 * than a spurious interrupt.
 */
#include "pic.h"

#include <string.h>

#define MASTER_PORT 0x20
#define SLAVE_PORT 0xa0
#define ELCR_PORT 0x4d0
#define CASCADE_IRQ 2
#define SPURIOUS_IRQ 7
#define NO_RANK 8

#define ICW1 0x10
#define ICW1_ICW4 0x01
#define ICW1_SINGLE 0x02
#define ICW4_AUTO_EOI 0x02
#define ICW4_NESTED 0x10
#define OCW3 0x08
#define OCW3_READ 0x02
#define OCW3_READ_ISR 0x01
#define OCW3_POLL 0x04
#define OCW3_MASK_SET 0x40
#define OCW3_MASK 0x20
#define POLL_PENDING 0x80

/* Inputs that hardware on a PC fixes as edge triggered. */
static const uint8_t elcr_fixed[2] = { 0x07, 0x21 };

static uint8_t level_triggered(const struct vmlet_pic_chip *chip)
{
	return chip->elcr | chip->cascade;
}

/* How many steps below the highest priority the most urgent of some inputs is. */
static unsigned int rank(const struct vmlet_pic_chip *chip, uint8_t inputs)
{
	for (unsigned int step = 0; step < NO_RANK; step++) {
		if (inputs & (1 << ((chip->top + step) & 7)))
			return step;
	}
	return NO_RANK;
}

/* The input that drives the chip's output, or -1. */
static int request(const struct vmlet_pic_chip *chip)
{
	uint8_t blocking = chip->isr;
	unsigned int wanted;

	if (chip->special_mask)
		blocking &= ~chip->imr;
	if (chip->nested)
		blocking &= ~chip->cascade;
	wanted = rank(chip, chip->irr & ~chip->imr);
	if (wanted >= rank(chip, blocking))
		return -1;
	return (chip->top + wanted) & 7;
}

static void set_line(struct vmlet_pic_chip *chip, unsigned int irq, bool level)
{
	uint8_t bit = 1 << irq;

	if (level && ((level_triggered(chip) & bit) || !(chip->lines & bit)))
		chip->irr |= bit;
	if (!level && (level_triggered(chip) & bit))
		chip->irr &= ~bit;
	if (level)
		chip->lines |= bit;
	else
		chip->lines &= ~bit;
}

static void update_cascade(struct vmlet_pic *pic)
{
	set_line(&pic->chip[0], CASCADE_IRQ, request(&pic->chip[1]) >= 0);
}

void vmlet_pic_set_irq(void *controller, unsigned int irq, bool level)
{
	struct vmlet_pic *pic = controller;

	set_line(&pic->chip[irq >> 3], irq & 7, level);
	update_cascade(pic);
}

bool vmlet_pic_pending(const struct vmlet_pic *pic)
{
	return request(&pic->chip[0]) >= 0;
}

static void end_of_interrupt(struct vmlet_pic_chip *chip, unsigned int irq, bool rotate)
{
	chip->isr &= ~(1 << irq);
	if (rotate)
		chip->top = (irq + 1) & 7;
}

static void acknowledge(struct vmlet_pic_chip *chip, unsigned int irq)
{
	uint8_t bit = 1 << irq;

	chip->isr |= bit;
	if (!(level_triggered(chip) & bit))
		chip->irr &= ~bit;
	if (chip->auto_eoi)
		end_of_interrupt(chip, irq, chip->auto_rotate);
}

/* Acknowledge what one chip requests; the spurious input if that is nothing. */
static unsigned int acknowledge_request(struct vmlet_pic_chip *chip)
{
	int irq = request(chip);

	if (irq < 0)
		return SPURIOUS_IRQ;
	acknowledge(chip, irq);
	return irq;
}

uint8_t vmlet_pic_acknowledge(struct vmlet_pic *pic)
{
	unsigned int irq = acknowledge_request(&pic->chip[0]);
	uint8_t vector = pic->chip[0].base + irq;

	if (irq == CASCADE_IRQ)
		vector = pic->chip[1].base + acknowledge_request(&pic->chip[1]);
	update_cascade(pic);
	return vector;
}

static void write_icw1(struct vmlet_pic_chip *chip, uint8_t value)
{
	*chip = (struct vmlet_pic_chip){
		.lines = chip->lines,
		.elcr = chip->elcr,
		.cascade = chip->cascade,
		.irr = chip->lines & level_triggered(chip),
		.icw4 = value & ICW1_ICW4,
		.single = value & ICW1_SINGLE,
		.next_icw = 2,
	};
}

/* Commands of OCW2: end of interrupt and priorities. */
static void write_ocw2(struct vmlet_pic_chip *chip, uint8_t value)
{
	unsigned int irq = value & 7, urgent = rank(chip, chip->isr);
	bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;

	if (eoi && specific)
		end_of_interrupt(chip, irq, rotate);
	else if (eoi && urgent != NO_RANK)
		end_of_interrupt(chip, (chip->top + urgent) & 7, rotate);
	else if (!eoi && specific && rotate)
		chip->top = (irq + 1) & 7;
	else if (!eoi && !specific)
		chip->auto_rotate = rotate;
}

static void write_ocw3(struct vmlet_pic_chip *chip, uint8_t value)
{
	chip->poll = value & OCW3_POLL;
	if (value & OCW3_READ)
		chip->read_isr = value & OCW3_READ_ISR;
	if (value & OCW3_MASK_SET)
		chip->special_mask = value & OCW3_MASK;
}

static void write_odd(struct vmlet_pic_chip *chip, uint8_t value)
{
	switch (chip->next_icw) {
	case 0:
		chip->imr = value;
		break;
	case 2:
		chip->base = value & 0xf8;
		chip->next_icw = !chip->single ? 3 : chip->icw4 ? 4 : 0;
		break;
	case 3:
		chip->next_icw = chip->icw4 ? 4 : 0;
		break;
	case 4:
		chip->auto_eoi = value & ICW4_AUTO_EOI;
		chip->nested = value & ICW4_NESTED;
		chip->next_icw = 0;
		break;
	}
}

static void chip_out(struct vmlet_pic_chip *chip, uint16_t offset, uint8_t value)
{
	if (offset)
		write_odd(chip, value);
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
}

static uint8_t chip_in(struct vmlet_pic_chip *chip, uint16_t offset)
{
	if (chip->poll) {
		int irq = request(chip);

		chip->poll = false;
		if (irq < 0)
			return 0;
		acknowledge(chip, irq);
		return POLL_PENDING | irq;
	}
	if (offset)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

static uint32_t master_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_pic *pic = device;

	return chip_in(&pic->chip[0], access->offset);
}

static uint32_t slave_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_pic *pic = device;
	uint8_t value = chip_in(&pic->chip[1], access->offset);

	update_cascade(pic);
	return value;
}

static void master_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_pic *pic = device;

	chip_out(&pic->chip[0], access->offset, access->value);
}

static void slave_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_pic *pic = device;

	chip_out(&pic->chip[1], access->offset, access->value);
	update_cascade(pic);
}

static uint32_t elcr_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_pic *pic = device;

	return pic->chip[access->offset].elcr;
}

static void elcr_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_pic *pic = device;
	struct vmlet_pic_chip *chip = &pic->chip[access->offset];

	chip->elcr = access->value & ~elcr_fixed[access->offset];
	chip->irr = (chip->irr & ~level_triggered(chip)) | (chip->lines & level_triggered(chip));
	update_cascade(pic);
}

bool vmlet_pic_init(struct vmlet_pic *pic, struct vmlet_ports *ports)
{
	const struct vmlet_port_range ranges[] = {
		{ .name = "pic", .first = MASTER_PORT, .count = 2, .width = 1,
		  .device = pic, .in = master_in, .out = master_out },
		{ .name = "pic-slave", .first = SLAVE_PORT, .count = 2, .width = 1,
		  .device = pic, .in = slave_in, .out = slave_out },
		{ .name = "pic-elcr", .first = ELCR_PORT, .count = 2, .width = 1,
		  .device = pic, .in = elcr_in, .out = elcr_out },
	};

	memset(pic, 0, sizeof(*pic));
	pic->chip[0].cascade = 1 << CASCADE_IRQ;
	return vmlet_ports_add(ports, &ranges[0]) && vmlet_ports_add(ports, &ranges[1]) &&
	       vmlet_ports_add(ports, &ranges[2]);
}
