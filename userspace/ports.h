/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: how devices are reached
 *
 * A device is a state machine: it makes no system calls, allocates nothing and keeps
 * no time of its own. Port accesses come in through the two functions of a port range;
 * the time of the access comes along, in nanoseconds of a clock that never goes
 * backwards; interrupts leave through a line. Nothing else connects a device with
 * the program around it, so that it can be moved elsewhere.
 */
#ifndef VMLET_PORTS_H
#define VMLET_PORTS_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMLET_MAX_PORT_RANGES 24

/* "No event to come", for deadlines. */
#define VMLET_NEVER UINT64_MAX

/**
 * struct vmlet_line - an interrupt line from a device to its controller
 * @set: raises (true) or lowers (false) the line
 * @controller: first argument of @set
 * @irq: number of the line
 */
struct vmlet_line {
	void (*set)(void *controller, unsigned int irq, bool level);
	void *controller;
	unsigned int irq;
};

static inline void vmlet_line_set(const struct vmlet_line *line, bool level)
{
	line->set(line->controller, line->irq, level);
}

/* Raise a line for an instant: one edge. */
static inline void vmlet_line_pulse(const struct vmlet_line *line)
{
	vmlet_line_set(line, true);
	vmlet_line_set(line, false);
}

/**
 * struct vmlet_access - one access to one device
 * @offset: port, counted from the first one of the range
 * @value: what is written
 * @now: when, in nanoseconds
 */
struct vmlet_access {
	uint16_t offset;
	uint32_t value;
	uint64_t now;
};

/**
 * struct vmlet_port_range - consecutive I/O ports that one device decodes
 * @name: for statistics
 * @first: first port
 * @count: number of ports
 * @width: widest access in bytes; wider ones are split, as the bus does
 * @device: first argument of @in and @out
 * @in: reads @width bytes or less; NULL reads as all ones
 * @out: writes @width bytes or less; NULL ignores
 * @reads: accesses so far
 * @writes: accesses so far
 */
struct vmlet_port_range {
	const char *name;
	uint16_t first;
	uint16_t count;
	uint8_t width;
	void *device;
	uint32_t (*in)(void *device, const struct vmlet_access *access);
	void (*out)(void *device, const struct vmlet_access *access);
	uint64_t reads;
	uint64_t writes;
};

/**
 * struct vmlet_ports - the I/O address space
 * @ranges: what is decoded, in no particular order, disjoint
 * @nr_ranges: how many of @ranges are in use
 * @absent: accesses to ports that nothing decodes
 */
struct vmlet_ports {
	struct vmlet_port_range ranges[VMLET_MAX_PORT_RANGES];
	unsigned int nr_ranges;
	struct vmlet_port_range absent;
};

/**
 * vmlet_ports_add() - connect a device
 * @ports: the address space
 * @range: copied
 *
 * Return: false if the table is full or @range overlaps another.
 */
bool vmlet_ports_add(struct vmlet_ports *ports, const struct vmlet_port_range *range);

/**
 * vmlet_ports_access() - perform the accesses of one KVM_EXIT_IO
 * @ports: the address space
 * @run: the run page
 * @run_size: bytes mapped at @run
 * @now: time of the access
 *
 * Reads leave their result in the run page. Return: false if the run page describes
 * an access that cannot be.
 */
bool vmlet_ports_access(struct vmlet_ports *ports, struct kvm_run *run, size_t run_size,
			uint64_t now);

#endif
