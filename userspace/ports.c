// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the I/O address space, a table of port ranges
 */
#include "ports.h"

#include <string.h>

static bool overlap(const struct vmlet_port_range *a, const struct vmlet_port_range *b)
{
	return a->first < b->first + b->count && b->first < a->first + a->count;
}

bool vmlet_ports_add(struct vmlet_ports *ports, const struct vmlet_port_range *range)
{
	if (ports->nr_ranges == VMLET_MAX_PORT_RANGES)
		return false;
	for (unsigned int i = 0; i < ports->nr_ranges; i++) {
		if (overlap(&ports->ranges[i], range))
			return false;
	}
	ports->ranges[ports->nr_ranges++] = *range;
	return true;
}

static struct vmlet_port_range *find(struct vmlet_ports *ports, uint16_t port)
{
	for (unsigned int i = 0; i < ports->nr_ranges; i++) {
		struct vmlet_port_range *range = &ports->ranges[i];

		if (port >= range->first && port - range->first < range->count)
			return range;
	}
	return &ports->absent;
}

/* Bytes of the piece at offset @done of an access that is split into @width pieces. */
static unsigned int piece(const struct vmlet_port_range *range, unsigned int size,
			  unsigned int done)
{
	return size - done < range->width ? size - done : range->width;
}

/*
 * The first port of an access decides who answers: a 4-byte write to 0xcf8 belongs
 * to the PCI configuration address, not to the reset register at 0xcf9.
 */
static void read_once(struct vmlet_port_range *range, struct vmlet_access access,
		      uint8_t *data, unsigned int size)
{
	range->reads++;
	memset(data, 0xff, size);
	if (!range->in)
		return;
	for (unsigned int i = 0; i < size && access.offset < range->count;) {
		uint32_t value = range->in(range->device, &access);
		unsigned int bytes = piece(range, size, i);

		memcpy(data + i, &value, bytes);
		i += bytes;
		access.offset += bytes;
	}
}

static void write_once(struct vmlet_port_range *range, struct vmlet_access access,
		       const uint8_t *data, unsigned int size)
{
	range->writes++;
	if (!range->out)
		return;
	for (unsigned int i = 0; i < size && access.offset < range->count;) {
		unsigned int bytes = piece(range, size, i);

		access.value = 0;
		memcpy(&access.value, data + i, bytes);
		range->out(range->device, &access);
		i += bytes;
		access.offset += bytes;
	}
}

bool vmlet_ports_access(struct vmlet_ports *ports, struct kvm_run *run, size_t run_size,
			uint64_t now)
{
	struct vmlet_port_range *range = find(ports, run->io.port);
	uint64_t bytes = (uint64_t)run->io.count * run->io.size;
	unsigned int size = run->io.size;
	struct vmlet_access access = { .now = now };
	uint8_t *data;

	if ((size != 1 && size != 2 && size != 4) || run->io.data_offset > run_size ||
	    bytes > run_size - run->io.data_offset)
		return false;
	access.offset = run->io.port - range->first;
	data = (uint8_t *)run + run->io.data_offset;
	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			read_once(range, access, data, size);
		else
			write_once(range, access, data, size);
	}
	return true;
}
