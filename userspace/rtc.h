/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the MC146818 clock and the CMOS memory of a PC
 */
#ifndef VMLET_RTC_H
#define VMLET_RTC_H

#include "ports.h"

#define VMLET_RTC_REGISTERS 128

/**
 * struct vmlet_rtc - the clock
 * @index: register selected through port 0x70
 * @cmos: registers; the time ones are valid only while updates are stopped
 * @epoch: seconds since 1970 at time @origin
 * @origin: time that @epoch belongs to
 * @second: last second that has been accounted for
 * @period: last period of the periodic interrupt that has been accounted for
 * @line: interrupt line
 */
struct vmlet_rtc {
	uint8_t index;
	uint8_t cmos[VMLET_RTC_REGISTERS];
	int64_t epoch;
	uint64_t origin;
	uint64_t second;
	uint64_t period;
	struct vmlet_line line;
};

/**
 * struct vmlet_rtc_setup - what the clock starts with
 * @epoch: seconds since 1970
 * @now: time that @epoch belongs to
 * @low_memory: bytes of memory below 4 GiB
 * @high_memory: bytes of memory above 4 GiB
 * @line: interrupt line
 */
struct vmlet_rtc_setup {
	int64_t epoch;
	uint64_t now;
	uint64_t low_memory;
	uint64_t high_memory;
	struct vmlet_line line;
};

/**
 * vmlet_rtc_init() - power on and connect
 * @rtc: the clock; must outlive @ports
 * @ports: the address space
 * @setup: copied
 *
 * Return: false if a port is taken.
 */
bool vmlet_rtc_init(struct vmlet_rtc *rtc, struct vmlet_ports *ports,
		    const struct vmlet_rtc_setup *setup);

/**
 * vmlet_rtc_advance() - let time pass
 * @rtc: the clock
 * @now: current time
 */
void vmlet_rtc_advance(struct vmlet_rtc *rtc, uint64_t now);

/**
 * vmlet_rtc_deadline() - when vmlet_rtc_advance() has an interrupt to raise
 * @rtc: the clock
 *
 * Return: a time, or VMLET_NEVER.
 */
uint64_t vmlet_rtc_deadline(const struct vmlet_rtc *rtc);

#endif
