// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: interrupting another CPU
 *
 * The scheduler's own interrupt does: it does nothing by itself, may be sent with interrupts off, and ends a guest's run.
 */
#include <linux/smp.h>
#include <trace/events/ipi.h>

#include "host.h"

void vmlet_host_kick_cpu(int cpu)
{
	smp_send_reschedule(cpu);
}
