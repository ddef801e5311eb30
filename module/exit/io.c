// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: port I/O
 *
 * IN and OUT of one value. RIP stays on the instruction until userspace has done the access and calls KVM_RUN again.
 */
#include "../cpu/vendor.h"
#include "../run/run.h"
#include "exit.h"

static int complete_out(struct vmlet_vcpu *vcpu)
{
	return VMLET_SKIP;
}

static int complete_in(struct vmlet_vcpu *vcpu)
{
	u8 size = vcpu->pio.size;
	u64 mask = GENMASK_ULL(size * 8 - 1, 0);
	u64 value = 0, *rax = &vcpu->regs[VMLET_RAX];

	memcpy(&value, vcpu->pio_data, size);
	/* A 32-bit result clears the upper half, narrower ones merge. */
	*rax = size == 4 ? value : (*rax & ~mask) | value;
	return VMLET_SKIP;
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
	if (exit->io.in)
		return vmlet_to_user(vcpu, KVM_EXIT_IO, complete_in);
	memcpy(vcpu->pio_data, &vcpu->regs[VMLET_RAX], exit->io.size);
	return vmlet_to_user(vcpu, KVM_EXIT_IO, complete_out);
}
