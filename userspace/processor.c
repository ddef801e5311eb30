// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the threads that run vCPUs, and what they do with exits
 */
#include "machine.h"

#include "boot.h"
#include "macros.h"

#include <errno.h>
#include <string.h>

/*
 * Linux asks the BIOS for a warm reset only where it was told to, and the default
 * command line tells it to after a panic.
 */
static int reset_status(const struct vmlet_machine *machine)
{
	const uint16_t *flag = vmlet_vm_memory(&machine->vm, VMLET_WARM_RESET_FLAG, sizeof(*flag));

	return flag && READ_ONCE(*flag) == VMLET_WARM_RESET ? VMLET_EXIT_PANIC : VMLET_EXIT_REBOOT;
}

static int power_status(const struct vmlet_machine *machine)
{
	if (machine->reset.power == VMLET_POWER_OFF)
		return VMLET_EXIT_OFF;
	if (machine->reset.power == VMLET_POWER_RESET)
		return reset_status(machine);
	return VMLET_RUNNING;
}

static int handle_io(struct vmlet_processor *processor)
{
	struct vmlet_machine *machine = processor->machine;
	struct vmlet_vcpu *vcpu = &processor->vcpu;
	int status = VMLET_EXIT_BROKEN;

	pthread_mutex_lock(&machine->lock);
	if (vmlet_ports_access(&machine->ports, vcpu->run, vcpu->run_size, vmlet_machine_now()))
		status = power_status(machine);
	atomic_store(&machine->unsettled, true);
	pthread_mutex_unlock(&machine->lock);
	vmlet_machine_settle(machine);
	return status;
}

/* Where there is no device nothing answers, as on a bus. */
static int handle_mmio(struct vmlet_processor *processor)
{
	struct kvm_run *run = processor->vcpu.run;

	if (!vmlet_virtio_access(&processor->machine->virtio, run) && !run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	return VMLET_RUNNING;
}

/* Comes from machines without interrupt controllers only. */
static int handle_halt(struct vmlet_processor *processor)
{
	(void)processor;
	return VMLET_EXIT_OFF;
}

static int handle_nothing(struct vmlet_processor *processor)
{
	(void)processor;
	return VMLET_RUNNING;
}

static int handle_shutdown(struct vmlet_processor *processor)
{
	(void)processor;
	return VMLET_EXIT_FAULT;
}

static int (*const handlers[])(struct vmlet_processor *processor) = {
	[KVM_EXIT_IO] = handle_io,
	[KVM_EXIT_MMIO] = handle_mmio,
	[KVM_EXIT_HLT] = handle_halt,
	[KVM_EXIT_INTR] = handle_nothing,
	[KVM_EXIT_SHUTDOWN] = handle_shutdown,
};

static int handle_exit(struct vmlet_processor *processor)
{
	uint32_t reason = processor->vcpu.run->exit_reason;

	if (reason < VMLET_EXIT_REASONS)
		processor->exits[reason]++;
	if (reason < ARRAY_SIZE(handlers) && handlers[reason])
		return handlers[reason](processor);
	return VMLET_EXIT_BROKEN;
}

/* Enter the guest once and see to what it came back for. */
static int run_once(struct vmlet_processor *processor)
{
	int ret = vmlet_vcpu_run(&processor->vcpu);

	processor->settled = ret == -EINTR || ret == -EAGAIN;
	if (processor->settled) {
		processor->kicks++;
		return VMLET_RUNNING;
	}
	processor->error = ret;
	return ret < 0 ? VMLET_EXIT_BROKEN : handle_exit(processor);
}

/*
 * An access to a device is finished by the next KVM_RUN, so that the vCPU's state is complete
 * after one only that came back for nothing.
 */
static bool may_go_on(const struct vmlet_processor *processor)
{
	const struct vmlet_machine *machine = processor->machine;

	return atomic_load(&machine->status) == VMLET_RUNNING &&
	       !(processor->settled && atomic_load(&machine->pausing));
}

/* The first vCPU that ends the guest says how it ended. */
void *vmlet_processor_run(void *argument)
{
	struct vmlet_processor *processor = argument;
	struct vmlet_machine *machine = processor->machine;
	int status = VMLET_RUNNING, running = VMLET_RUNNING;

	processor->settled = false;
	while (status == VMLET_RUNNING && may_go_on(processor))
		status = run_once(processor);
	if (status != VMLET_RUNNING && atomic_compare_exchange_strong(&machine->status, &running, status)) {
		if (status == VMLET_EXIT_BROKEN)
			machine->culprit = processor;
		vmlet_events_end(&machine->events);
	}
	return NULL;
}
