// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the machine from its making to its end
 *
 * The main thread waits for events and moves the clock; each vCPU and each virtio device
 * has a thread. What is behind I/O ports has one lock, under which vCPU threads and the
 * main thread use it.
 */
#include "machine.h"

#include "cpu.h"
#include "macros.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UART_IRQ 4
#define RTC_IRQ 8
#define KICK_SIGNAL SIGRTMIN

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

uint64_t vmlet_machine_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* Devices set their lines often; the kernel needs to know only of changes. */
static void set_line(void *controller, unsigned int irq, bool level)
{
	struct vmlet_machine *machine = controller;

	if ((machine->levels >> irq & 1) == level)
		return;
	machine->levels ^= 1u << irq;
	if (machine->setup.irqchip)
		vmlet_vm_irq_line(&machine->vm, irq, level);
}

static struct vmlet_line line(struct vmlet_machine *machine, unsigned int irq)
{
	return (struct vmlet_line){ set_line, machine, irq };
}

static void transmit(void *to, uint8_t byte)
{
	vmlet_output_put(to, &byte, sizeof(byte));
}

static bool connect_ports(struct vmlet_machine *machine)
{
	struct vmlet_ports *ports = &machine->ports;
	struct vmlet_rtc_setup rtc = {
		.epoch = clock_ns(CLOCK_REALTIME) / NSEC_PER_SEC,
		.now = vmlet_machine_now(),
		.low_memory = machine->vm.slots[0].size,
		.high_memory = machine->vm.nr_slots > 1 ? machine->vm.slots[1].size : 0,
		.line = line(machine, RTC_IRQ),
	};

	ports->absent.name = "absent";
	machine->uart.line = line(machine, UART_IRQ);
	machine->uart.transmit = transmit;
	machine->uart.transmit_to = &machine->output;
	return vmlet_rtc_init(&machine->rtc, ports, &rtc) &&
	       vmlet_uart_init(&machine->uart, ports) &&
	       vmlet_reset_init(&machine->reset, ports);
}

static bool fail(const char *what, int error)
{
	vmlet_error("%s: %s", what, strerror(-error));
	return false;
}

static bool make_vm(struct vmlet_machine *machine)
{
	const struct vmlet_machine_setup *setup = &machine->setup;
	int ret = vmlet_vm_create(&machine->vm, setup->device);

	if (ret < 0) {
		vmlet_report_device(setup->device, ret);
		return false;
	}
	ret = vmlet_vm_add_memory(&machine->vm, setup->memory);
	if (ret < 0) {
		vmlet_error("guest memory: %s; give less --mem", strerror(-ret));
		return false;
	}
	ret = setup->irqchip ? vmlet_vm_create_irqchip(&machine->vm) : 0;
	if (ret < 0)
		vmlet_error("interrupt controllers: %s; `vmlet check` says what the device lacks",
			    strerror(-ret));
	return ret >= 0;
}

static bool make_vcpu(struct vmlet_machine *machine, unsigned int id)
{
	struct vmlet_processor *processor = &machine->processors[id];
	const struct vmlet_cpu_topology topology = {
		.id = id,
		.count = machine->setup.cpus,
		.irqchip = machine->setup.irqchip,
	};
	int ret = vmlet_vcpu_create(&processor->vcpu, &machine->vm, id);

	if (ret < 0) {
		vmlet_error("vCPU %u: %s", id, strerror(-ret));
		return false;
	}
	processor->machine = machine;
	machine->nr_processors++;
	return vmlet_cpu_setup(&machine->vm, &processor->vcpu, &topology);
}

bool vmlet_machine_make_vcpus(struct vmlet_machine *machine)
{
	bool ok = true;

	while (ok && machine->nr_processors < machine->setup.cpus)
		ok = make_vcpu(machine, machine->nr_processors);
	return ok;
}

void vmlet_machine_free_vcpus(struct vmlet_machine *machine)
{
	while (machine->nr_processors)
		vmlet_vcpu_destroy(&machine->processors[--machine->nr_processors].vcpu);
}

bool vmlet_machine_create(struct vmlet_machine *machine, const struct vmlet_machine_setup *setup)
{
	int ret;

	memset(machine, 0, sizeof(*machine));
	machine->setup = *setup;
	machine->status = VMLET_RUNNING;
	pthread_mutex_init(&machine->lock, NULL);
	machine->vm = (struct vmlet_vm){ .device_fd = -1, .fd = -1 };
	ret = vmlet_events_start(&machine->events, &machine->input);
	if (ret == 0)
		ret = vmlet_output_start(&machine->output, machine->events.end_fd);
	if (ret < 0) {
		vmlet_events_destroy(&machine->events);
		return fail("timer, signals or thread", ret);
	}
	machine->virtio = (struct vmlet_virtio_bus){
		.vm = &machine->vm,
		.end_fd = machine->events.end_fd,
		.ended = &machine->events.ended,
		.output = &machine->output,
		.input = &machine->input,
	};
	if (make_vm(machine) && vmlet_machine_make_vcpus(machine) && connect_ports(machine))
		return true;
	vmlet_machine_destroy(machine);
	return false;
}

void vmlet_machine_destroy(struct vmlet_machine *machine)
{
	vmlet_events_end(&machine->events);
	vmlet_virtio_destroy(&machine->virtio);
	vmlet_machine_free_vcpus(machine);
	vmlet_vm_destroy(&machine->vm);
	vmlet_output_finish(&machine->output);
	vmlet_events_destroy(&machine->events);
}

/* What is typed waits until the serial port can take it, unless it is for the console device. */
static void feed_uart(struct vmlet_machine *machine)
{
	uint8_t byte;

	while (!machine->setup.input_to_console && vmlet_uart_ready(&machine->uart) &&
	       vmlet_input_take(&machine->input, &byte, sizeof(byte)))
		vmlet_uart_receive(&machine->uart, byte);
}

static void update(struct vmlet_machine *machine, uint64_t now)
{
	if (now >= vmlet_rtc_deadline(&machine->rtc))
		vmlet_rtc_advance(&machine->rtc, now);
	feed_uart(machine);
	vmlet_events_alarm(&machine->events, vmlet_rtc_deadline(&machine->rtc));
}

void vmlet_machine_settle(struct vmlet_machine *machine)
{
	while (atomic_load(&machine->unsettled) && !pthread_mutex_trylock(&machine->lock)) {
		atomic_store(&machine->unsettled, false);
		update(machine, vmlet_machine_now());
		pthread_mutex_unlock(&machine->lock);
	}
}

static void outside_event(void *context)
{
	struct vmlet_machine *machine = context;

	atomic_store(&machine->unsettled, true);
	vmlet_machine_settle(machine);
}

/* The signal itself does nothing: what counts is that it interrupts KVM_RUN. */
static void kicked(int signal)
{
	(void)signal;
}

int vmlet_machine_start_vcpus(struct vmlet_machine *machine)
{
	int ret = 0;

	while (ret == 0 && machine->nr_threads < machine->nr_processors) {
		struct vmlet_processor *processor = &machine->processors[machine->nr_threads];

		ret = -pthread_create(&processor->thread, NULL, vmlet_processor_run, processor);
		machine->nr_threads += ret == 0;
	}
	return ret;
}

/* Whoever is not in KVM_RUN yet finds immediate_exit set when it gets there. */
void vmlet_machine_stop_vcpus(struct vmlet_machine *machine)
{
	for (unsigned int i = 0; i < machine->nr_threads; i++) {
		WRITE_ONCE(machine->processors[i].vcpu.run->immediate_exit, 1);
		pthread_kill(machine->processors[i].thread, KICK_SIGNAL);
	}
	while (machine->nr_threads)
		pthread_join(machine->processors[--machine->nr_threads].thread, NULL);
}

static int start_threads(struct vmlet_machine *machine)
{
	struct sigaction action = { .sa_handler = kicked };
	int ret = vmlet_virtio_start(&machine->virtio);

	sigaction(KICK_SIGNAL, &action, NULL);
	if (ret == 0)
		ret = vmlet_machine_start_vcpus(machine);
	if (ret == 0 && machine->setup.recreations)
		ret = -pthread_create(&machine->mover, NULL, vmlet_machine_recreate, machine);
	return ret;
}

static void end_threads(struct vmlet_machine *machine)
{
	int running = VMLET_RUNNING;

	atomic_compare_exchange_strong(&machine->status, &running, VMLET_EXIT_QUIT);
	if (machine->mover)
		pthread_join(machine->mover, NULL);
	vmlet_machine_stop_vcpus(machine);
}

static void report_culprit(const struct vmlet_machine *machine)
{
	struct vmlet_processor *culprit = machine->culprit;

	if (culprit && culprit->error < 0)
		vmlet_report_run_error(&culprit->vcpu, culprit->error);
	else if (culprit)
		vmlet_report_exit(&culprit->vcpu);
}

/* Signals end the program again before it waits for a slow reader of its output. */
static int run_threads(struct vmlet_machine *machine, int *stop)
{
	int ret = start_threads(machine);

	if (ret < 0)
		vmlet_events_end(&machine->events);
	vmlet_terminal_raw();
	*stop = vmlet_events_loop(&machine->events);
	machine->ended = vmlet_machine_now();
	vmlet_terminal_restore();
	if (*stop)
		vmlet_output_give_up(&machine->output);
	vmlet_events_release(&machine->events);
	end_threads(machine);
	if (ret < 0)
		fail("threads", ret);
	return ret;
}

enum vmlet_status vmlet_machine_run(struct vmlet_machine *machine, int *stop)
{
	int ret, error;

	machine->events.alarm = outside_event;
	machine->events.typed = outside_event;
	machine->events.context = machine;
	machine->started = vmlet_machine_now();
	ret = run_threads(machine, stop);
	vmlet_virtio_stop(&machine->virtio);
	error = vmlet_output_finish(&machine->output);
	report_culprit(machine);
	if (error < 0 && error != -ECANCELED)
		fail("standard output", error);
	if (ret < 0 || (error < 0 && error != -ECANCELED))
		return VMLET_EXIT_HOST;
	return atomic_load(&machine->status);
}

static void print_range(const struct vmlet_port_range *range)
{
	if (range->reads || range->writes)
		fprintf(stderr, "    %-24s %12" PRIu64 " in %12" PRIu64 " out\n", range->name,
			range->reads, range->writes);
}

static void print_count(const char *name, uint64_t count)
{
	if (count)
		fprintf(stderr, "  %-26s %12" PRIu64 "\n", name, count);
}

/* Of all vCPUs; the reason that stands behind the table means "no exit". */
static uint64_t sum_exits(const struct vmlet_machine *machine, uint32_t reason)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < machine->nr_processors; i++) {
		const struct vmlet_processor *processor = &machine->processors[i];

		sum += reason < VMLET_EXIT_REASONS ? processor->exits[reason] : processor->kicks;
	}
	return sum;
}

void vmlet_machine_print_stats(const struct vmlet_machine *machine)
{
	uint64_t total = sum_exits(machine, VMLET_EXIT_REASONS);

	fprintf(stderr, "vmlet: exits to userspace on %s, by reason\n", machine->vm.device);
	for (uint32_t reason = 0; reason < VMLET_EXIT_REASONS; reason++) {
		const char *name = vmlet_exit_name(reason);
		uint64_t count = sum_exits(machine, reason);

		total += count;
		print_count(name ? name : "unknown", count);
		for (unsigned int i = 0; reason == KVM_EXIT_IO && i < machine->ports.nr_ranges; i++)
			print_range(&machine->ports.ranges[i]);
		if (reason == KVM_EXIT_IO)
			print_range(&machine->ports.absent);
	}
	print_count("none (a signal, a start)", sum_exits(machine, VMLET_EXIT_REASONS));
	print_count("total", total);
	vmlet_virtio_print_stats(&machine->virtio);
	fprintf(stderr, "  %-26s %12.3f s\n", "wall time",
		(double)(machine->ended - machine->started) / NSEC_PER_SEC);
}
