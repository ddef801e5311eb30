/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the machine: one vCPU, its memory and its devices
 */
#ifndef VMLET_MACHINE_H
#define VMLET_MACHINE_H

#include "events.h"
#include "lib/vmlet.h"
#include "pic.h"
#include "pit.h"
#include "ports.h"
#include "report.h"
#include "reset.h"
#include "rtc.h"
#include "terminal.h"
#include "uart.h"

#define VMLET_EXIT_REASONS 64

/**
 * struct vmlet_machine - everything that a guest sees
 * @vm: the virtual machine
 * @vcpu: its only vCPU
 * @ports: I/O ports, to which the devices are connected
 * @pic: interrupt controllers
 * @pit: timer
 * @rtc: clock
 * @uart: serial port
 * @reset: power and reset
 * @output: what the serial port has sent
 * @events: what comes from outside
 * @now: the current time, in nanoseconds
 * @started: when the guest was started
 * @halted: the guest waits for an interrupt
 * @injectable: the vCPU takes an interrupt now
 * @halt_is_end: halting with interrupts off is how this guest ends
 * @exits: KVM_RUN returns, per exit reason
 * @kicks: KVM_RUN returns without an exit, because of an event
 * @interrupts: interrupts injected
 */
struct vmlet_machine {
	struct vmlet_vm vm;
	struct vmlet_vcpu vcpu;
	struct vmlet_ports ports;
	struct vmlet_pic pic;
	struct vmlet_pit pit;
	struct vmlet_rtc rtc;
	struct vmlet_uart uart;
	struct vmlet_reset reset;
	struct vmlet_output output;
	struct vmlet_events events;
	uint64_t now;
	uint64_t started;
	bool halted;
	bool injectable;
	bool halt_is_end;
	uint64_t exits[VMLET_EXIT_REASONS];
	uint64_t kicks;
	uint64_t interrupts;
};

/**
 * vmlet_machine_create() - make a machine with memory, a vCPU and devices
 * @machine: filled in
 * @device: path of the device node
 * @memory: bytes of memory
 *
 * Return: false after an error message.
 */
bool vmlet_machine_create(struct vmlet_machine *machine, const char *device, uint64_t memory);

/**
 * vmlet_machine_run() - run the guest until it ends
 * @machine: a machine whose vCPU has been started
 *
 * The caller must mind machine->events.stop afterwards: a signal's number in it
 * means that the guest did not end by itself.
 *
 * Return: how it ended.
 */
enum vmlet_status vmlet_machine_run(struct vmlet_machine *machine);

/**
 * vmlet_machine_print_stats() - exits and port accesses, on standard error
 * @machine: after vmlet_machine_run()
 */
void vmlet_machine_print_stats(const struct vmlet_machine *machine);

/**
 * vmlet_machine_destroy() - give everything back
 * @machine: created
 */
void vmlet_machine_destroy(struct vmlet_machine *machine);

#endif
