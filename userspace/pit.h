/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the 8254 interval timer of a PC, with system control port B (0x61)
 */
#ifndef VMLET_PIT_H
#define VMLET_PIT_H

#include "ports.h"

#define VMLET_PIT_CHANNELS 3

/**
 * struct vmlet_pit_channel - one of the three counters
 * @reload: what the counter starts from, 1 to 65536; 0 before it is first loaded
 * @mode: 0 to 5
 * @access: 1 low byte, 2 high byte, 3 low then high
 * @bcd: counts in decimal
 * @gate: level of the gate input
 * @started: time at which counting (re)started
 * @paused: time at which the gate stopped the counter, while @gate is low
 * @low_byte: first byte of a two-byte write
 * @write_high: the next byte written is the high one
 * @read_high: the next byte read is the high one
 * @latch: value held for reading
 * @latched: bytes of @latch still to be read
 * @status: status byte held for reading
 * @status_latched: @status is read next
 */
struct vmlet_pit_channel {
	uint32_t reload;
	uint8_t mode;
	uint8_t access;
	bool bcd;
	bool gate;
	uint64_t started;
	uint64_t paused;
	uint8_t low_byte;
	bool write_high;
	bool read_high;
	uint16_t latch;
	uint8_t latched;
	uint8_t status;
	bool status_latched;
};

/**
 * struct vmlet_pit - the timer
 * @channel: 0 drives the interrupt line, 2 is gated by port 0x61
 * @speaker: speaker bit of port 0x61, which drives nothing
 * @line: interrupt line of channel 0
 * @edge: time of channel 0's next interrupt, or VMLET_NEVER
 */
struct vmlet_pit {
	struct vmlet_pit_channel channel[VMLET_PIT_CHANNELS];
	bool speaker;
	struct vmlet_line line;
	uint64_t edge;
};

/**
 * vmlet_pit_init() - power on and connect
 * @pit: the timer; must outlive @ports
 * @ports: the address space
 * @line: where channel 0's output goes
 *
 * Return: false if a port is taken.
 */
bool vmlet_pit_init(struct vmlet_pit *pit, struct vmlet_ports *ports, struct vmlet_line line);

/**
 * vmlet_pit_advance() - let time pass
 * @pit: the timer
 * @now: current time
 *
 * Raises the interrupt if it is due, once, however many periods have passed: ticks
 * that the guest was too slow to take are lost, as they are on hardware.
 */
void vmlet_pit_advance(struct vmlet_pit *pit, uint64_t now);

/**
 * vmlet_pit_deadline() - when vmlet_pit_advance() has something to do
 * @pit: the timer
 *
 * Return: a time, or VMLET_NEVER.
 */
uint64_t vmlet_pit_deadline(const struct vmlet_pit *pit);

#endif
