// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet run --recreate`: the guest goes on in another virtual machine, again and again
 *
 * All that the kernel knows of a guest is read, every file of the device is closed, and a
 * new virtual machine on the same memory is given it. Devices are this program's own: they
 * go on meanwhile, and what they have to tell waits in eventfds or for the machine's lock.
 */
#include "machine.h"

#include "macros.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MSRS 512
#define PROGRESS 50
/* The longest pause is twice to this power, in nanoseconds; the shortest are as likely. */
#define PAUSE_BITS 29

/**
 * struct part - what two ioctls read and write
 * @name: for messages
 * @get: reads it
 * @set: writes it
 * @offset: where it is kept
 */
struct part {
	const char *name;
	unsigned long get;
	unsigned long set;
	size_t offset;
};

struct msrs {
	struct kvm_msrs header;
	struct kvm_msr_entry entries[MAX_MSRS];
};

struct vcpu_state {
	int tsc_khz;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct msrs msrs;
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
};

struct state {
	struct kvm_irqchip pics[2];
	struct kvm_irqchip ioapic;
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct vcpu_state vcpus[VMLET_MAX_CPUS];
};

#define VM_PART(NAME, field) { #NAME, KVM_GET_##NAME, KVM_SET_##NAME, offsetof(struct state, field) }
#define VCPU_PART(NAME, field) \
	{ #NAME, KVM_GET_##NAME, KVM_SET_##NAME, offsetof(struct vcpu_state, field) }

static const struct part vm_parts[] = {
	VM_PART(CLOCK, clock),
	VM_PART(IRQCHIP, pics[0]),
	VM_PART(IRQCHIP, pics[1]),
	VM_PART(IRQCHIP, ioapic),
	VM_PART(PIT2, pit),
};

/* In the order in which they are written: what decides about the validity of others first. */
static const struct part vcpu_parts[] = {
	VCPU_PART(SREGS, sregs),
	VCPU_PART(REGS, regs),
	VCPU_PART(XCRS, xcrs),
	VCPU_PART(XSAVE, xsave),
	VCPU_PART(DEBUGREGS, debugregs),
	VCPU_PART(LAPIC, lapic),
};

/* Those that MSRs must precede. */
static const struct part vcpu_last_parts[] = {
	VCPU_PART(MP_STATE, mp_state),
	VCPU_PART(VCPU_EVENTS, events),
};

static bool fail(const char *what, int error)
{
	vmlet_error("--recreate: %s: %s", what, strerror(-error));
	return false;
}

static bool get_parts(int fd, const struct part *parts, size_t count, void *state)
{
	int ret = 0;

	for (; ret == 0 && count; count--, parts++) {
		ret = vmlet_ioctl(fd, parts->get, (uintptr_t)state + parts->offset);
		if (ret < 0)
			fail(parts->name, ret);
	}
	return ret == 0;
}

static bool set_parts(int fd, const struct part *parts, size_t count, void *state)
{
	int ret = 0;

	for (; ret == 0 && count; count--, parts++) {
		ret = vmlet_ioctl(fd, parts->set, (uintptr_t)state + parts->offset);
		if (ret < 0)
			fail(parts->name, ret);
	}
	return ret == 0;
}

/* Not every MSR of the list is there in every guest. */
static bool get_msrs(const struct vmlet_vm *vm, int fd, struct msrs *msrs)
{
	struct {
		struct kvm_msr_list header;
		__u32 indices[MAX_MSRS];
	} list = { .header.nmsrs = MAX_MSRS };
	int ret = vmlet_ioctl(vm->device_fd, KVM_GET_MSR_INDEX_LIST, (uintptr_t)&list);

	if (ret < 0)
		return fail("MSR_INDEX_LIST", ret);
	msrs->header.nmsrs = 0;
	for (__u32 i = 0; i < list.header.nmsrs; i++) {
		struct {
			struct kvm_msrs header;
			struct kvm_msr_entry entry;
		} one = { .header.nmsrs = 1, .entry.index = list.indices[i] };

		if (vmlet_ioctl(fd, KVM_GET_MSRS, (uintptr_t)&one) == 1)
			msrs->entries[msrs->header.nmsrs++] = one.entry;
	}
	return true;
}

static bool set_msrs(int fd, const struct msrs *msrs)
{
	int ret = vmlet_ioctl(fd, KVM_SET_MSRS, (uintptr_t)msrs);

	if (ret < 0)
		return fail("MSRS", ret);
	if ((__u32)ret < msrs->header.nmsrs)
		vmlet_error("--recreate: MSR %#x takes no %#llx back", msrs->entries[ret].index,
			    msrs->entries[ret].data);
	return (__u32)ret == msrs->header.nmsrs;
}

static bool save_vcpu(const struct vmlet_vm *vm, int fd, struct vcpu_state *state)
{
	state->tsc_khz = vmlet_ioctl(fd, KVM_GET_TSC_KHZ, 0);
	return get_parts(fd, vcpu_last_parts, ARRAY_SIZE(vcpu_last_parts), state) &&
	       get_parts(fd, vcpu_parts, ARRAY_SIZE(vcpu_parts), state) &&
	       get_msrs(vm, fd, &state->msrs);
}

static bool restore_vcpu(int fd, struct vcpu_state *state)
{
	if (state->tsc_khz > 0)
		vmlet_ioctl(fd, KVM_SET_TSC_KHZ, state->tsc_khz);
	return set_parts(fd, vcpu_parts, ARRAY_SIZE(vcpu_parts), state) && set_msrs(fd, &state->msrs) &&
	       set_parts(fd, vcpu_last_parts, ARRAY_SIZE(vcpu_last_parts), state);
}

static bool save(const struct vmlet_machine *machine, struct state *state)
{
	bool ok;

	state->pics[0].chip_id = KVM_IRQCHIP_PIC_MASTER;
	state->pics[1].chip_id = KVM_IRQCHIP_PIC_SLAVE;
	state->ioapic.chip_id = KVM_IRQCHIP_IOAPIC;
	ok = get_parts(machine->vm.fd, vm_parts, ARRAY_SIZE(vm_parts), state);
	for (unsigned int i = 0; ok && i < machine->nr_processors; i++)
		ok = save_vcpu(&machine->vm, machine->processors[i].vcpu.fd, &state->vcpus[i]);
	state->clock.flags = 0; /* the clock goes on where it stopped */
	return ok;
}

static bool restore(const struct vmlet_machine *machine, struct state *state)
{
	bool ok = set_parts(machine->vm.fd, vm_parts, ARRAY_SIZE(vm_parts), state);

	for (unsigned int i = 0; ok && i < machine->nr_processors; i++)
		ok = restore_vcpu(machine->processors[i].vcpu.fd, &state->vcpus[i]);
	return ok;
}

static bool renew(struct vmlet_machine *machine)
{
	int ret;

	vmlet_machine_free_vcpus(machine);
	ret = vmlet_vm_renew(&machine->vm);
	if (ret == 0)
		ret = vmlet_vm_create_irqchip(&machine->vm);
	if (ret < 0)
		return fail("new virtual machine", ret);
	return vmlet_machine_make_vcpus(machine);
}

/* Under the machine's lock, so that no device behind a port changes an interrupt line. */
static bool change_machines(struct vmlet_machine *machine, struct state *state)
{
	int ret = vmlet_virtio_disconnect(&machine->virtio);

	if (ret < 0)
		return fail("virtio devices", ret);
	if (!save(machine, state) || !renew(machine) || !restore(machine, state))
		return false;
	ret = vmlet_virtio_connect(&machine->virtio);
	return ret < 0 ? fail("virtio devices", ret) : true;
}

static bool move(struct vmlet_machine *machine, struct state *state)
{
	bool ok;
	int ret;

	atomic_store(&machine->pausing, true);
	vmlet_machine_stop_vcpus(machine);
	atomic_store(&machine->pausing, false);
	if (atomic_load(&machine->status) != VMLET_RUNNING)
		return false;
	pthread_mutex_lock(&machine->lock);
	ok = change_machines(machine, state);
	pthread_mutex_unlock(&machine->lock);
	vmlet_machine_settle(machine);
	if (!ok)
		return false;
	ret = vmlet_machine_start_vcpus(machine);
	return ret < 0 ? fail("threads", ret) : true;
}

/* False if the guest ends meanwhile. */
static bool run_on(struct vmlet_machine *machine, unsigned short random[3])
{
	struct pollfd end = { .fd = machine->events.end_fd, .events = POLLIN };
	unsigned int bits = nrand48(random) % PAUSE_BITS + 1;
	struct timespec pause = { .tv_nsec = nrand48(random) & ((1 << bits) - 1) };

	return ppoll(&end, 1, &pause, NULL) <= 0;
}

void *vmlet_machine_recreate(void *argument)
{
	struct vmlet_machine *machine = argument;
	const struct vmlet_machine_setup *setup = &machine->setup;
	unsigned short random[3] = { setup->seed, setup->seed >> 16 };
	static struct state state;
	int running = VMLET_RUNNING;
	unsigned int moves = 0;

	vmlet_error("--recreate %u,%u", setup->recreations, setup->seed);
	while (moves < setup->recreations && run_on(machine, random) && move(machine, &state))
		if (++moves % PROGRESS == 0)
			vmlet_error("%u new virtual machines so far", moves);
	vmlet_error("%u new virtual machines", moves);
	if (moves == setup->recreations || atomic_load(&machine->events.ended))
		return NULL;
	if (atomic_compare_exchange_strong(&machine->status, &running, VMLET_EXIT_HOST))
		vmlet_events_end(&machine->events);
	return NULL;
}
