// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the ways in which a guest ends itself
 */
#include "reset.h"

#include "macros.h"

#define KEYBOARD_DATA_PORT 0x60
#define KEYBOARD_COMMAND_PORT 0x64
#define KEYBOARD_RESET 0xfe
#define CONTROL_A_PORT 0x92
#define CONTROL_A_RESET 0x01
#define CONTROL_A_A20 0x02
#define RESET_CPU 0x04

#define PM_ENABLE_OFFSET 2
#define PM_SCI_ENABLED 0x0001
#define PM_SLEEP_TYPE(control) ((control) >> 10 & 7)
#define PM_SLEEP 0x2000

#define PM_TIMER_FREQUENCY 3579545ull
#define PM_TIMER_MASK 0xffffff

/* A keyboard controller without a keyboard: nothing to read, always ready. */
static uint32_t keyboard_in(void *device, const struct vmlet_access *access)
{
	(void)device;
	(void)access;
	return 0;
}

static void keyboard_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_reset *reset = device;

	if (access->value == KEYBOARD_RESET)
		reset->power = VMLET_POWER_RESET;
}

static uint32_t control_a_in(void *device, const struct vmlet_access *access)
{
	(void)device;
	(void)access;
	return CONTROL_A_A20;
}

static void control_a_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_reset *reset = device;

	if (access->value & CONTROL_A_RESET)
		reset->power = VMLET_POWER_RESET;
}

static void chipset_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_reset *reset = device;

	if (access->value & RESET_CPU)
		reset->power = VMLET_POWER_RESET;
}

static uint32_t pm_event_in(void *device, const struct vmlet_access *access)
{
	const struct vmlet_reset *reset = device;

	return access->offset == PM_ENABLE_OFFSET ? reset->pm_enable : 0;
}

static void pm_event_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_reset *reset = device;

	if (access->offset == PM_ENABLE_OFFSET)
		reset->pm_enable = access->value;
}

static uint32_t pm_control_in(void *device, const struct vmlet_access *access)
{
	const struct vmlet_reset *reset = device;

	return access->offset ? 0 : reset->pm_control | PM_SCI_ENABLED;
}

static void pm_control_out(void *device, const struct vmlet_access *access)
{
	struct vmlet_reset *reset = device;

	if (access->offset)
		return;
	reset->pm_control = access->value & ~PM_SLEEP;
	if ((access->value & PM_SLEEP) && PM_SLEEP_TYPE(access->value) == VMLET_SLEEP_TYPE_OFF)
		reset->power = VMLET_POWER_OFF;
}

static uint32_t pm_timer_in(void *device, const struct vmlet_access *access)
{
	(void)device;
	if (access->offset)
		return 0;
	return (__uint128_t)access->now * PM_TIMER_FREQUENCY / NSEC_PER_SEC & PM_TIMER_MASK;
}

bool vmlet_reset_init(struct vmlet_reset *reset, struct vmlet_ports *ports)
{
	const struct vmlet_port_range ranges[] = {
		{ .name = "keyboard", .first = KEYBOARD_DATA_PORT, .count = 1, .width = 1,
		  .device = reset, .in = keyboard_in },
		{ .name = "keyboard", .first = KEYBOARD_COMMAND_PORT, .count = 1, .width = 1,
		  .device = reset, .in = keyboard_in, .out = keyboard_out },
		{ .name = "control-a", .first = CONTROL_A_PORT, .count = 1, .width = 1,
		  .device = reset, .in = control_a_in, .out = control_a_out },
		{ .name = "reset", .first = VMLET_RESET_PORT, .count = 1, .width = 1,
		  .device = reset, .out = chipset_out },
		{ .name = "pm-event", .first = VMLET_PM_EVENT_PORT, .count = 4, .width = 2,
		  .device = reset, .in = pm_event_in, .out = pm_event_out },
		{ .name = "pm-control", .first = VMLET_PM_CONTROL_PORT, .count = 2, .width = 2,
		  .device = reset, .in = pm_control_in, .out = pm_control_out },
		{ .name = "pm-timer", .first = VMLET_PM_TIMER_PORT, .count = 4, .width = 4,
		  .device = reset, .in = pm_timer_in },
	};

	*reset = (struct vmlet_reset){ .power = VMLET_POWER_ON };
	for (unsigned int i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (!vmlet_ports_add(ports, &ranges[i]))
			return false;
	}
	return true;
}
