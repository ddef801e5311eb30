/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the ways in which a guest ends itself
 *
 * The keyboard controller's reset line (0x64), system control port A (0x92), the
 * chipset's reset register (0xcf9), and the power management block of ACPI.
 */
#ifndef VMLET_RESET_H
#define VMLET_RESET_H

#include "ports.h"

#define VMLET_PM_EVENT_PORT 0x600
#define VMLET_PM_CONTROL_PORT 0x604
#define VMLET_PM_TIMER_PORT 0x608
#define VMLET_RESET_PORT 0xcf9
#define VMLET_RESET_VALUE 0x06
/* The sleep type that stands for "off" in the DSDT. */
#define VMLET_SLEEP_TYPE_OFF 5

/**
 * enum vmlet_power - what the guest asked for
 * @VMLET_POWER_ON: nothing
 * @VMLET_POWER_OFF: to be switched off
 * @VMLET_POWER_RESET: to be reset
 */
enum vmlet_power {
	VMLET_POWER_ON,
	VMLET_POWER_OFF,
	VMLET_POWER_RESET,
};

/**
 * struct vmlet_reset - the state of all of them
 * @power: what has been asked for
 * @pm_enable: PM1 enable register; no event ever occurs
 * @pm_control: PM1 control register
 */
struct vmlet_reset {
	enum vmlet_power power;
	uint16_t pm_enable;
	uint16_t pm_control;
};

/**
 * vmlet_reset_init() - connect to the ports
 * @reset: the state; must outlive @ports
 * @ports: the address space
 *
 * Return: false if a port is taken.
 */
bool vmlet_reset_init(struct vmlet_reset *reset, struct vmlet_ports *ports);

#endif
