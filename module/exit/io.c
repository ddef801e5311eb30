// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: port I/O
 *
 * IN and OUT of one value. RIP stays on the instruction until userspace has done the access and calls KVM_RUN again.
 */
#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "../observe/trace.h"
#include "../run/run.h"
#include "exit.h"

#define PORT_KVMVAPIC	0x7e

static void set_rax(struct vmlet_vcpu *vcpu, u64 value, u8 size)
{
	u64 mask = GENMASK_ULL(size * 8 - 1, 0), *rax = &vcpu->regs[VMLET_RAX];

	/* A 32-bit result clears the upper half, narrower ones merge. */
	*rax = size == 4 ? value : (*rax & ~mask) | value;
}

static int complete_out(struct vmlet_vcpu *vcpu)
{
	return VMLET_SKIP;
}

static int complete_in(struct vmlet_vcpu *vcpu)
{
	u64 value = 0;

	memcpy(&value, vcpu->pio_data, vcpu->pio.size);
	trace_kvm_pio(0, vcpu->exit.io.port, vcpu->pio.size, 1, value);
	set_rax(vcpu, value, vcpu->pio.size);
	return VMLET_SKIP;
}

/* Ports that somebody in the kernel serves. */
int vmlet_exit_io_fast(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	u64 value = vcpu->regs[VMLET_RAX];

	if (exit->io.in)
		value = 0;
	if (!vmlet_bus_access(vcpu, VMLET_BUS_PORT, exit->io.port, exit->io.size, &value, !exit->io.in))
		return VMLET_SLOW;
	trace_kvm_pio(!exit->io.in, exit->io.port, exit->io.size, 1, value);
	if (exit->io.in)
		set_rax(vcpu, value, exit->io.size);
	return VMLET_SKIP;
}

/* QEMU patches its guest's code there, by where RIP is behind the instruction. */
static int ask_kvmvapic(struct vmlet_vcpu *vcpu)
{
	int next = vmlet_skip(vcpu);

	return next == VMLET_RESUME ? vmlet_to_user(vcpu, KVM_EXIT_IO, NULL) : next;
}

int vmlet_exit_io(struct vmlet_vcpu *vcpu)
{
	struct vmlet_exit *exit = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	vcpu->pio.size = exit->io.size;
	run->io.direction = exit->io.in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = exit->io.size;
	run->io.port = exit->io.port;
	run->io.count = 1;
	run->io.data_offset = VMLET_PIO_PAGE * PAGE_SIZE;
	if (exit->io.in) {
		/* What userspace does not answer is 0, not what was here last. */
		memset(vcpu->pio_data, 0, exit->io.size);
		return vmlet_to_user(vcpu, KVM_EXIT_IO, complete_in);
	}
	memcpy(vcpu->pio_data, &vcpu->regs[VMLET_RAX], exit->io.size);
	trace_kvm_pio(1, exit->io.port, exit->io.size, 1, vcpu->regs[VMLET_RAX]);
	if (exit->io.port == PORT_KVMVAPIC && vmlet_has_quirk(vcpu->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP))
		return ask_kvmvapic(vcpu);
	return vmlet_to_user(vcpu, KVM_EXIT_IO, complete_out);
}
