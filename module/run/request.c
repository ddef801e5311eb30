// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: requests and kicks
 *
 * What others want of a vCPU is a bit in vcpu->requests and, if it is in the guest or asleep, a kick. The vCPU looks at
 * the bits with interrupts off before each entry: a kick that comes later is an interrupt and ends the guest's run.
 */
#include <linux/cleanup.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>

#include "../host/host.h"
#include "run.h"

void vmlet_kick(struct vmlet_vcpu *vcpu)
{
	int cpu;

	/* Orders what was asked before the look at the sleeper and at mode_cpu; pairs with guest_section() and halt.c. */
	rcuwait_wake_up(&vcpu->wait);
	guard(preempt)();
	cpu = READ_ONCE(vcpu->mode_cpu);
	if (cpu >= 0 && cpu != smp_processor_id())
		vmlet_host_kick_cpu(cpu);
}

void vmlet_request(struct vmlet_vcpu *vcpu, enum vmlet_request request)
{
	/* Posted already: whoever did that kicks, and the vCPU has yet to look. */
	if (!test_and_set_bit(request, &vcpu->requests))
		vmlet_kick(vcpu);
}
