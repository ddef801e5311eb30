/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the pair of 8259 interrupt controllers of a PC
 */
#ifndef VMLET_PIC_H
#define VMLET_PIC_H

#include "ports.h"

/**
 * struct vmlet_pic_chip - one 8259
 * @lines: level of each input
 * @irr: interrupt request register
 * @isr: in-service register
 * @imr: interrupt mask register
 * @elcr: inputs that are level triggered
 * @cascade: inputs that another chip drives; their level counts too
 * @base: vector of input 0
 * @top: input that has the highest priority
 * @next_icw: initialization command word expected at the odd port, 0 for none
 * @icw4: whether initialization ends with ICW4
 * @single: whether initialization skips ICW3
 * @read_isr: the even port reads ISR instead of IRR
 * @poll: the next read is a poll
 * @special_mask: special mask mode
 * @nested: special fully nested mode
 * @auto_eoi: acknowledging ends the interrupt
 * @auto_rotate: automatic end of interrupt rotates priorities
 */
struct vmlet_pic_chip {
	uint8_t lines;
	uint8_t irr;
	uint8_t isr;
	uint8_t imr;
	uint8_t elcr;
	uint8_t cascade;
	uint8_t base;
	uint8_t top;
	uint8_t next_icw;
	bool icw4;
	bool single;
	bool read_isr;
	bool poll;
	bool special_mask;
	bool nested;
	bool auto_eoi;
	bool auto_rotate;
};

/**
 * struct vmlet_pic - master and slave
 * @chip: master, then slave, whose output is the master's input 2
 */
struct vmlet_pic {
	struct vmlet_pic_chip chip[2];
};

/**
 * vmlet_pic_init() - power on and connect to its ports
 * @pic: the pair; must outlive @ports
 * @ports: the address space
 *
 * Return: false if a port is taken.
 */
bool vmlet_pic_init(struct vmlet_pic *pic, struct vmlet_ports *ports);

/**
 * vmlet_pic_set_irq() - drive an input, see struct vmlet_line
 * @controller: the pair
 * @irq: 0 to 15, except 2
 * @level: true for high
 */
void vmlet_pic_set_irq(void *controller, unsigned int irq, bool level);

/**
 * vmlet_pic_pending() - the level of the pair's output
 * @pic: the pair
 *
 * Return: true while an interrupt waits to be acknowledged.
 */
bool vmlet_pic_pending(const struct vmlet_pic *pic);

/**
 * vmlet_pic_acknowledge() - what the CPU's two INTA cycles do
 * @pic: the pair
 *
 * Return: the vector; that of input 7 if the request has gone meanwhile.
 */
uint8_t vmlet_pic_acknowledge(struct vmlet_pic *pic);

#endif
