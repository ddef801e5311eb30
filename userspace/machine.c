// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the machine and its main loop
 *
 * One thread does everything that the guest can see: it runs the vCPU, moves the
 * devices, and injects interrupts. The events thread only tells it that there is
 * something to look at.
 */
#include "machine.h"

#include "boot.h"
#include "macros.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RUNNING (-1)

#define TIMER_IRQ 0
#define UART_IRQ 4
#define RTC_IRQ 8

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

static struct vmlet_line line(struct vmlet_machine *machine, unsigned int irq)
{
	return (struct vmlet_line){ vmlet_pic_set_irq, &machine->pic, irq };
}

static bool connect_devices(struct vmlet_machine *machine)
{
	struct vmlet_ports *ports = &machine->ports;
	struct vmlet_rtc_setup rtc = {
		.epoch = clock_ns(CLOCK_REALTIME) / NSEC_PER_SEC,
		.now = machine->now,
		.low_memory = machine->vm.slots[0].size,
		.high_memory = machine->vm.nr_slots > 1 ? machine->vm.slots[1].size : 0,
		.line = line(machine, RTC_IRQ),
	};

	machine->uart.line = line(machine, UART_IRQ);
	machine->uart.transmit = vmlet_output_put;
	machine->uart.transmit_to = &machine->output;
	return vmlet_pic_init(&machine->pic, ports) &&
	       vmlet_pit_init(&machine->pit, ports, line(machine, TIMER_IRQ)) &&
	       vmlet_rtc_init(&machine->rtc, ports, &rtc) &&
	       vmlet_uart_init(&machine->uart, ports) &&
	       vmlet_reset_init(&machine->reset, ports);
}

static bool make_vm(struct vmlet_machine *machine, const char *device, uint64_t memory)
{
	int ret = vmlet_vm_create(&machine->vm, device);

	if (ret < 0) {
		vmlet_report_device(device, ret);
		return false;
	}
	ret = vmlet_vm_add_memory(&machine->vm, memory);
	if (ret < 0) {
		vmlet_error("guest memory: %s; give less --mem", strerror(-ret));
		return false;
	}
	ret = vmlet_vcpu_create(&machine->vcpu, &machine->vm);
	if (ret < 0)
		vmlet_error("vCPU: %s", strerror(-ret));
	return ret >= 0;
}

bool vmlet_machine_create(struct vmlet_machine *machine, const char *device, uint64_t memory)
{
	memset(machine, 0, sizeof(*machine));
	machine->vcpu.fd = -1;
	machine->ports.absent.name = "absent";
	machine->now = clock_ns(CLOCK_MONOTONIC);
	vmlet_output_init(&machine->output, &machine->events.stop);
	if (make_vm(machine, device, memory) && connect_devices(machine))
		return true;
	vmlet_machine_destroy(machine);
	return false;
}

void vmlet_machine_destroy(struct vmlet_machine *machine)
{
	vmlet_vcpu_destroy(&machine->vcpu);
	vmlet_vm_destroy(&machine->vm);
}

static int handle_io(struct vmlet_machine *machine)
{
	if (!vmlet_ports_access(&machine->ports, machine->vcpu.run, machine->vcpu.run_size,
				machine->now)) {
		vmlet_report_exit(&machine->vcpu);
		return VMLET_EXIT_BROKEN;
	}
	return RUNNING;
}

/* There are no memory-mapped devices: nothing answers, as on a bus. */
static int handle_mmio(struct vmlet_machine *machine)
{
	struct kvm_run *run = machine->vcpu.run;

	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	return RUNNING;
}

static int handle_halt(struct vmlet_machine *machine)
{
	if (machine->vcpu.run->if_flag) {
		machine->halted = true;
		return RUNNING;
	}
	/* Nothing will ever wake it: no device here raises an NMI. */
	return machine->halt_is_end ? VMLET_EXIT_OFF : VMLET_EXIT_HALT;
}

static int handle_nothing(struct vmlet_machine *machine)
{
	(void)machine;
	return RUNNING;
}

static int handle_shutdown(struct vmlet_machine *machine)
{
	(void)machine;
	return VMLET_EXIT_FAULT;
}

static int (*const handlers[])(struct vmlet_machine *machine) = {
	[KVM_EXIT_IO] = handle_io,
	[KVM_EXIT_MMIO] = handle_mmio,
	[KVM_EXIT_HLT] = handle_halt,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = handle_nothing,
	[KVM_EXIT_INTR] = handle_nothing,
	[KVM_EXIT_SHUTDOWN] = handle_shutdown,
};

static int handle_exit(struct vmlet_machine *machine)
{
	uint32_t reason = machine->vcpu.run->exit_reason;

	if (reason < VMLET_EXIT_REASONS)
		machine->exits[reason]++;
	if (reason < ARRAY_SIZE(handlers) && handlers[reason])
		return handlers[reason](machine);
	vmlet_output_flush(&machine->output);
	vmlet_terminal_restore();
	vmlet_report_exit(&machine->vcpu);
	return VMLET_EXIT_BROKEN;
}

/*
 * Linux asks the BIOS for a warm reset only where it was told to, and the default
 * command line tells it to after a panic.
 */
static int reset_status(const struct vmlet_machine *machine)
{
	const uint16_t *flag = vmlet_vm_memory(&machine->vm, VMLET_WARM_RESET_FLAG, sizeof(*flag));

	return flag && *flag == VMLET_WARM_RESET ? VMLET_EXIT_PANIC : VMLET_EXIT_REBOOT;
}

static int power_status(const struct vmlet_machine *machine)
{
	if (machine->reset.power == VMLET_POWER_OFF)
		return VMLET_EXIT_OFF;
	if (machine->reset.power == VMLET_POWER_RESET)
		return reset_status(machine);
	return RUNNING;
}

/* Enter the guest once and see to what it came back for. */
static int run_once(struct vmlet_machine *machine)
{
	int ret = vmlet_vcpu_run(&machine->vcpu), status;

	machine->now = clock_ns(CLOCK_MONOTONIC);
	machine->injectable = machine->vcpu.run->ready_for_interrupt_injection;
	if (ret == -EINTR || ret == -EAGAIN) {
		machine->kicks++;
		return RUNNING;
	}
	if (ret < 0) {
		vmlet_output_flush(&machine->output);
		vmlet_terminal_restore();
		vmlet_report_run_error(&machine->vcpu, ret);
		return VMLET_EXIT_BROKEN;
	}
	status = handle_exit(machine);
	return status == RUNNING ? power_status(machine) : status;
}

static void feed_uart(struct vmlet_machine *machine)
{
	uint8_t byte;

	while (vmlet_uart_ready(&machine->uart) && vmlet_events_input(&machine->events, &byte))
		vmlet_uart_receive(&machine->uart, byte);
}

/* Bring every device to the present, and have the next change announced. */
static void advance(struct vmlet_machine *machine)
{
	uint64_t deadline;

	vmlet_pit_advance(&machine->pit, machine->now);
	if (machine->now >= vmlet_rtc_deadline(&machine->rtc))
		vmlet_rtc_advance(&machine->rtc, machine->now);
	feed_uart(machine);
	if (machine->halted || machine->now >= machine->output.deadline)
		vmlet_output_flush(&machine->output);
	deadline = vmlet_pit_deadline(&machine->pit);
	if (vmlet_rtc_deadline(&machine->rtc) < deadline)
		deadline = vmlet_rtc_deadline(&machine->rtc);
	if (machine->output.deadline < deadline)
		deadline = machine->output.deadline;
	vmlet_events_alarm(&machine->events, deadline);
}

/* One interrupt per entry: the next one waits for the window. */
static int inject(struct vmlet_machine *machine)
{
	int ret;

	if (machine->injectable && vmlet_pic_pending(&machine->pic)) {
		ret = vmlet_vcpu_interrupt(&machine->vcpu, vmlet_pic_acknowledge(&machine->pic));
		if (ret < 0) {
			vmlet_report_run_error(&machine->vcpu, ret);
			return VMLET_EXIT_BROKEN;
		}
		machine->injectable = false;
		machine->halted = false;
		machine->interrupts++;
	}
	machine->vcpu.run->request_interrupt_window = vmlet_pic_pending(&machine->pic);
	return RUNNING;
}

static int step(struct vmlet_machine *machine)
{
	int status;

	if (vmlet_events_begin(&machine->events))
		machine->now = clock_ns(CLOCK_MONOTONIC);
	if (atomic_load(&machine->events.stop))
		return VMLET_EXIT_QUIT;
	if (machine->output.error)
		return VMLET_EXIT_HOST;
	advance(machine);
	status = inject(machine);
	if (status != RUNNING)
		return status;
	if (!machine->halted)
		return run_once(machine);
	vmlet_events_wait(&machine->events);
	machine->now = clock_ns(CLOCK_MONOTONIC);
	return RUNNING;
}

enum vmlet_status vmlet_machine_run(struct vmlet_machine *machine)
{
	int status, ret;

	ret = vmlet_events_start(&machine->events, machine->vcpu.run);
	if (ret < 0) {
		vmlet_error("timer, signals or thread: %s", strerror(-ret));
		return VMLET_EXIT_HOST;
	}
	vmlet_terminal_raw();
	machine->started = machine->now;
	do {
		status = step(machine);
	} while (status == RUNNING);
	vmlet_output_flush(&machine->output);
	vmlet_terminal_restore();
	vmlet_events_end(&machine->events);
	if (machine->output.error) {
		vmlet_error("standard output: %s", strerror(machine->output.error));
		return VMLET_EXIT_HOST;
	}
	return status;
}

static void print_range(const struct vmlet_port_range *range)
{
	if (range->reads || range->writes)
		fprintf(stderr, "    %-24s %12" PRIu64 " in %12" PRIu64 " out\n", range->name,
			range->reads, range->writes);
}

void vmlet_machine_print_stats(const struct vmlet_machine *machine)
{
	uint64_t total = machine->kicks;

	fprintf(stderr, "vmlet: exits to userspace on %s, by reason\n", machine->vm.device);
	for (uint32_t reason = 0; reason < VMLET_EXIT_REASONS; reason++) {
		const char *name = vmlet_exit_name(reason);

		total += machine->exits[reason];
		if (machine->exits[reason])
			fprintf(stderr, "  %-26s %12" PRIu64 "\n", name ? name : "unknown",
				machine->exits[reason]);
		if (reason != KVM_EXIT_IO)
			continue;
		for (unsigned int i = 0; i < machine->ports.nr_ranges; i++)
			print_range(&machine->ports.ranges[i]);
		print_range(&machine->ports.absent);
	}
	fprintf(stderr, "  %-26s %12" PRIu64 "\n", "interrupted (EINTR)", machine->kicks);
	fprintf(stderr, "  %-26s %12" PRIu64 "\n", "total", total);
	fprintf(stderr, "  %-26s %12" PRIu64 "\n", "interrupts injected", machine->interrupts);
	fprintf(stderr, "  %-26s %12.3f s\n", "wall time",
		(double)(machine->now - machine->started) / NSEC_PER_SEC);
}
