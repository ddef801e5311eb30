/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the machine: vCPUs, memory and devices
 */
#ifndef VMLET_MACHINE_H
#define VMLET_MACHINE_H

#include "events.h"
#include "lib/vmlet.h"
#include "ports.h"
#include "report.h"
#include "reset.h"
#include "rtc.h"
#include "stream.h"
#include "terminal.h"
#include "uart.h"
#include "virtio/virtio.h"

#include <pthread.h>
#include <stdatomic.h>

#define VMLET_EXIT_REASONS 64
#define VMLET_MAX_CPUS 64

struct vmlet_machine;

/**
 * struct vmlet_processor - a vCPU and the thread that runs it
 * @vcpu: the vCPU
 * @machine: whose it is
 * @thread: the thread; it alone uses what follows
 * @error: negative errno of the KVM_RUN that ended the guest, else 0
 * @settled: the last KVM_RUN has left nothing open
 * @exits: KVM_RUN returns, per exit reason
 * @kicks: KVM_RUN returns without an exit, because of a signal or to be called again
 */
struct vmlet_processor {
	struct vmlet_vcpu vcpu;
	struct vmlet_machine *machine;
	pthread_t thread;
	int error;
	bool settled;
	uint64_t exits[VMLET_EXIT_REASONS];
	uint64_t kicks;
};

/**
 * struct vmlet_machine_setup - what a machine shall be
 * @device: path of the device node
 * @memory: bytes of memory
 * @cpus: number of vCPUs
 * @irqchip: interrupt controllers and timer in the kernel; a machine without them ends
 *	when it halts, for nothing could wake it
 * @input_to_console: what is typed goes to the console device instead of the serial port
 * @recreations: how often the guest shall go on in another virtual machine
 * @seed: for the moments at which it does
 */
struct vmlet_machine_setup {
	const char *device;
	uint64_t memory;
	unsigned int cpus;
	bool irqchip;
	bool input_to_console;
	unsigned int recreations;
	unsigned int seed;
};

/**
 * struct vmlet_machine - everything that a guest sees
 * @setup: what it shall be
 * @vm: the virtual machine
 * @processors: its vCPUs
 * @nr_processors: how many have been made
 * @nr_threads: how many of them have a thread
 * @virtio: virtio devices
 * @output: what the guest's consoles have sent
 * @input: what has been typed
 * @events: what comes from outside
 * @status: how the guest has ended, or VMLET_RUNNING
 * @pausing: the vCPUs' threads are to end, when nothing is left open
 * @unsettled: time or input may have something to do for the devices
 * @culprit: the vCPU that could not go on, if that was the end
 * @lock: protects what follows
 * @ports: I/O ports, to which the devices are connected
 * @rtc: clock
 * @uart: serial port
 * @reset: power and reset
 * @levels: interrupt lines that are asserted, one bit each
 * @mover: the thread that moves the guest to other virtual machines
 * @started: when the guest was started; not under @lock
 * @ended: when it ended; not under @lock
 */
struct vmlet_machine {
	struct vmlet_machine_setup setup;
	struct vmlet_vm vm;
	struct vmlet_processor processors[VMLET_MAX_CPUS];
	unsigned int nr_processors;
	unsigned int nr_threads;
	struct vmlet_virtio_bus virtio;
	struct vmlet_output output;
	struct vmlet_input input;
	struct vmlet_events events;
	atomic_int status;
	atomic_bool pausing;
	atomic_bool unsettled;
	struct vmlet_processor *culprit;
	pthread_mutex_t lock;
	struct vmlet_ports ports;
	struct vmlet_rtc rtc;
	struct vmlet_uart uart;
	struct vmlet_reset reset;
	uint32_t levels;
	pthread_t mover;
	uint64_t started;
	uint64_t ended;
};

#define VMLET_RUNNING (-1)

/**
 * vmlet_machine_create() - make a machine with memory, vCPUs and devices
 * @machine: filled in
 * @setup: copied
 *
 * Virtio devices are added to machine->virtio afterwards.
 *
 * Return: false after an error message.
 */
bool vmlet_machine_create(struct vmlet_machine *machine, const struct vmlet_machine_setup *setup);

/**
 * vmlet_machine_run() - run the guest until it ends
 * @machine: a machine whose first vCPU has been started
 * @stop: set to what vmlet_events_loop() returned
 *
 * Return: how it ended.
 */
enum vmlet_status vmlet_machine_run(struct vmlet_machine *machine, int *stop);

/**
 * vmlet_machine_print_stats() - exits, port accesses, devices, on standard error
 * @machine: after vmlet_machine_run()
 */
void vmlet_machine_print_stats(const struct vmlet_machine *machine);

/**
 * vmlet_machine_destroy() - give everything back
 * @machine: created
 */
void vmlet_machine_destroy(struct vmlet_machine *machine);

/**
 * vmlet_processor_run() - the thread of a vCPU
 * @processor: its struct vmlet_processor
 *
 * Runs it until the guest ends, and says so if this vCPU was the one that ended it.
 *
 * Return: NULL.
 */
void *vmlet_processor_run(void *processor);

/**
 * vmlet_machine_start_vcpus() - start the vCPUs' threads
 * @machine: its vCPUs have no threads
 *
 * Return: 0 or a negative errno.
 */
int vmlet_machine_start_vcpus(struct vmlet_machine *machine);

/**
 * vmlet_machine_stop_vcpus() - have the vCPUs' threads end, and wait for it
 * @machine: the guest has ended, or its @pausing is set
 */
void vmlet_machine_stop_vcpus(struct vmlet_machine *machine);

/**
 * vmlet_machine_make_vcpus() - make the vCPUs, and have them be what CPUID says
 * @machine: without vCPUs
 *
 * Return: false after an error message.
 */
bool vmlet_machine_make_vcpus(struct vmlet_machine *machine);

/**
 * vmlet_machine_free_vcpus() - close the vCPUs
 * @machine: they have no threads
 */
void vmlet_machine_free_vcpus(struct vmlet_machine *machine);

/**
 * vmlet_machine_recreate() - the thread that moves the guest to other virtual machines
 * @machine: its struct vmlet_machine, running
 *
 * Ends with the guest, or when it has done that as often as it shall. Stops and
 * starts the vCPUs' threads, so nobody else may do that meanwhile.
 *
 * Return: NULL.
 */
void *vmlet_machine_recreate(void *machine);

/**
 * vmlet_machine_now() - the time of devices
 *
 * Return: nanoseconds of a clock that never goes backwards.
 */
uint64_t vmlet_machine_now(void);

/**
 * vmlet_machine_settle() - let devices act on what has come from outside
 * @machine: unlocked
 *
 * Whoever held the lock calls this, because the main thread does not wait for it: a vCPU
 * thread may hold it for long, while it waits for a slow reader of the output.
 */
void vmlet_machine_settle(struct vmlet_machine *machine);

#endif
