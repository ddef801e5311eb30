// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the 8254 interval timer of a PC
 *
 * Nothing here counts. A channel remembers when it was started, and its value and
 * its output at any moment follow from the time that has passed since.
 */
#include "pit.h"

#include "macros.h"

#define PIT_PORT 0x40
#define CONTROL_OFFSET 3
#define CONTROL_B_PORT 0x61
#define SPEAKER_CHANNEL 2
#define FREQUENCY 1193182ull

#define ACCESS_LATCH 0
#define ACCESS_LOW 1
#define ACCESS_HIGH 2
#define ACCESS_BOTH 3
#define READ_BACK 3
#define READ_BACK_NO_COUNT 0x20
#define READ_BACK_NO_STATUS 0x10
#define STATUS_OUTPUT 0x80
#define STATUS_NULL_COUNT 0x40

#define B_GATE 0x01
#define B_SPEAKER 0x02
#define B_REFRESH 0x10
#define B_OUTPUT 0x20
/* The refresh bit toggles every 15 microseconds; programs use it as a short delay. */
#define REFRESH_TICKS 18

static uint64_t ticks_from_ns(uint64_t ns)
{
	return (__uint128_t)ns * FREQUENCY / NSEC_PER_SEC;
}

/* Rounds up, so that the tick has passed at the time returned. */
static uint64_t ns_from_ticks(uint64_t ticks)
{
	return ((__uint128_t)ticks * NSEC_PER_SEC + FREQUENCY - 1) / FREQUENCY;
}

static uint64_t elapsed(const struct vmlet_pit_channel *channel, uint64_t now)
{
	uint64_t end = channel->gate ? now : channel->paused;

	return end > channel->started ? ticks_from_ns(end - channel->started) : 0;
}

static bool periodic(const struct vmlet_pit_channel *channel)
{
	return channel->mode == 2 || channel->mode == 3;
}

static uint16_t to_bcd(unsigned int value)
{
	return value % 10 | (value / 10 % 10) << 4 | (value / 100 % 10) << 8 |
	       (value / 1000 % 10) << 12;
}

static unsigned int from_bcd(uint16_t value)
{
	return (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 +
	       (value >> 12) * 1000;
}

static uint16_t counter(const struct vmlet_pit_channel *channel, uint64_t now)
{
	unsigned int modulus = channel->bcd ? 10000 : 65536;
	uint64_t passed = elapsed(channel, now);
	unsigned int value;

	if (!channel->reload)
		return 0;
	if (channel->mode == 3)
		value = channel->reload - (2 * passed) % channel->reload;
	else if (channel->mode == 2)
		value = channel->reload - passed % channel->reload;
	else
		value = (channel->reload + modulus - passed % modulus) % modulus;
	return channel->bcd ? to_bcd(value % modulus) : value;
}

static bool output(const struct vmlet_pit_channel *channel, uint64_t now)
{
	uint64_t passed = elapsed(channel, now);

	if (!channel->reload)
		return channel->mode != 0;
	switch (channel->mode) {
	case 2:
		return passed % channel->reload != channel->reload - 1;
	case 3:
		return passed % channel->reload < (channel->reload + 1) / 2;
	case 4:
	case 5:
		return passed != channel->reload;
	default:
		return passed >= channel->reload;
	}
}

/*
 * Channel 0's gate is always open, so that modes 1 and 5, which start on a rising
 * gate, never make an interrupt.
 */
static void schedule(struct vmlet_pit *pit, uint64_t now)
{
	const struct vmlet_pit_channel *channel = &pit->channel[0];
	uint64_t passed = elapsed(channel, now);
	uint64_t periods = 1;

	pit->edge = VMLET_NEVER;
	if (!channel->reload || channel->mode == 1 || channel->mode == 5)
		return;
	if (periodic(channel))
		periods = passed / channel->reload + 1;
	else if (passed >= channel->reload)
		return;
	pit->edge = channel->started + ns_from_ticks(periods * channel->reload);
}

void vmlet_pit_advance(struct vmlet_pit *pit, uint64_t now)
{
	if (now < pit->edge)
		return;
	vmlet_line_pulse(&pit->line);
	schedule(pit, now);
}

uint64_t vmlet_pit_deadline(const struct vmlet_pit *pit)
{
	return pit->edge;
}

static void load(struct vmlet_pit_channel *channel, uint16_t value, uint64_t now)
{
	unsigned int count = channel->bcd ? from_bcd(value) : value;

	if (!count)
		count = channel->bcd ? 10000 : 65536;
	channel->reload = count;
	channel->started = now;
	channel->paused = now;
}

static void write_counter(struct vmlet_pit_channel *channel, uint8_t value, uint64_t now)
{
	if (channel->access == ACCESS_LOW) {
		load(channel, value, now);
	} else if (channel->access == ACCESS_HIGH) {
		load(channel, value << 8, now);
	} else if (channel->write_high) {
		load(channel, value << 8 | channel->low_byte, now);
		channel->write_high = false;
	} else {
		channel->low_byte = value;
		channel->write_high = true;
	}
}

static void latch_counter(struct vmlet_pit_channel *channel, uint64_t now)
{
	if (channel->latched)
		return;
	channel->latch = counter(channel, now);
	channel->latched = channel->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct vmlet_pit_channel *channel, uint64_t now)
{
	if (channel->status_latched)
		return;
	channel->status = (output(channel, now) ? STATUS_OUTPUT : 0) |
			  (channel->reload ? 0 : STATUS_NULL_COUNT) |
			  channel->access << 4 | channel->mode << 1 | channel->bcd;
	channel->status_latched = true;
}

static uint8_t read_counter(struct vmlet_pit_channel *channel, uint64_t now)
{
	uint16_t value = channel->latched ? channel->latch : counter(channel, now);
	bool high = channel->access == ACCESS_HIGH;

	if (channel->status_latched) {
		channel->status_latched = false;
		return channel->status;
	}
	if (channel->access == ACCESS_BOTH) {
		high = channel->read_high;
		channel->read_high = !high;
	}
	if (channel->latched)
		channel->latched--;
	return high ? value >> 8 : value;
}

static void read_back(struct vmlet_pit *pit, uint8_t control, uint64_t now)
{
	for (unsigned int i = 0; i < VMLET_PIT_CHANNELS; i++) {
		if (!(control & (2 << i)))
			continue;
		if (!(control & READ_BACK_NO_COUNT))
			latch_counter(&pit->channel[i], now);
		if (!(control & READ_BACK_NO_STATUS))
			latch_status(&pit->channel[i], now);
	}
}

static void write_control(struct vmlet_pit *pit, uint8_t control, uint64_t now)
{
	struct vmlet_pit_channel *channel;
	uint8_t access = control >> 4 & 3, mode = control >> 1 & 7;

	if (control >> 6 == READ_BACK) {
		read_back(pit, control, now);
		return;
	}
	channel = &pit->channel[control >> 6];
	if (access == ACCESS_LATCH) {
		latch_counter(channel, now);
		return;
	}
	*channel = (struct vmlet_pit_channel){
		.access = access,
		.mode = mode > 5 ? mode - 4 : mode,
		.bcd = control & 1,
		.gate = channel->gate,
	};
}

static uint32_t pit_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_pit *pit = device;

	if (access->offset == CONTROL_OFFSET)
		return 0xff;
	return read_counter(&pit->channel[access->offset], access->now);
}

static void pit_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_pit *pit = device;

	/* What is due belongs to the old programming. */
	vmlet_pit_advance(pit, access->now);
	if (access->offset == CONTROL_OFFSET)
		write_control(pit, access->value, access->now);
	else
		write_counter(&pit->channel[access->offset], access->value, access->now);
	schedule(pit, access->now);
}

/* A rising gate restarts the counter, except in modes 0 and 4, where it goes on. */
static void set_gate(struct vmlet_pit_channel *channel, bool gate, uint64_t now)
{
	if (channel->gate && !gate)
		channel->paused = now;
	if (!channel->gate && gate)
		channel->started = channel->mode == 0 || channel->mode == 4 ?
				   channel->started + (now - channel->paused) : now;
	channel->gate = gate;
}

static uint32_t control_b_in(void *device, const struct vmlet_access *access)
{
	struct vmlet_pit *pit = device;
	const struct vmlet_pit_channel *channel = &pit->channel[SPEAKER_CHANNEL];

	return (channel->gate ? B_GATE : 0) | (pit->speaker ? B_SPEAKER : 0) |
	       (ticks_from_ns(access->now) / REFRESH_TICKS & 1 ? B_REFRESH : 0) |
	       (output(channel, access->now) ? B_OUTPUT : 0);
}

static void control_b_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_pit *pit = device;

	pit->speaker = access->value & B_SPEAKER;
	set_gate(&pit->channel[SPEAKER_CHANNEL], access->value & B_GATE, access->now);
}

bool vmlet_pit_init(struct vmlet_pit *pit, struct vmlet_ports *ports, struct vmlet_line line)
{
	const struct vmlet_port_range counters = {
		.name = "pit", .first = PIT_PORT, .count = 4, .width = 1,
		.device = pit, .in = pit_in, .out = pit_out,
	};
	const struct vmlet_port_range control_b = {
		.name = "pit-gate", .first = CONTROL_B_PORT, .count = 1, .width = 1,
		.device = pit, .in = control_b_in, .out = control_b_out,
	};

	*pit = (struct vmlet_pit){ .line = line, .edge = VMLET_NEVER };
	for (unsigned int i = 0; i < VMLET_PIT_CHANNELS; i++)
		pit->channel[i] = (struct vmlet_pit_channel){ .access = ACCESS_BOTH, .mode = 3 };
	pit->channel[0].gate = true;
	pit->channel[1].gate = true;
	return vmlet_ports_add(ports, &counters) && vmlet_ports_add(ports, &control_b);
}
