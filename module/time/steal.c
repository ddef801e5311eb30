// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: steal time
 *
 * How long a vCPU was ready to run and its thread waited for a CPU: what the host's scheduler counts as run delay. And
 * whether it runs: other vCPUs need not wait for one that is away.
 */
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <asm/kvm_para.h>

#include "../cpu/vendor.h"
#include "../mem/mem.h"
#include "time.h"

static_assert(sizeof(struct kvm_steal_time) == 64);

bool vmlet_steal_offered(void)
{
	return sched_info_on();
}

int vmlet_steal_set(struct vmlet_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if ((value && !vmlet_steal_offered()) || (value & KVM_STEAL_RESERVED_MASK))
		return -EINVAL;
	if (vcpu->clock.away)
		vmlet_want_flush(vcpu);	/* there may be a note at the old place */
	vcpu->clock.steal_msr = value;
	vcpu->clock.steal = value & KVM_MSR_ENABLED;
	vcpu->clock.away = vcpu->clock.steal;	/* as it may have been when it was saved */
	vcpu->clock.runner = NULL;	/* what was waited for until now does not count */
	if (vcpu->clock.steal)
		vmlet_request_own(vcpu, VMLET_REQ_STEAL);
	return 0;
}

/* Waited for since the last time, in nanoseconds. A vCPU that another thread runs now starts to count anew. */
static u64 take_delay(struct vmlet_vcpu *vcpu)
{
#ifdef CONFIG_SCHED_INFO
	u64 before = vcpu->clock.run_delay;
	bool same = vcpu->clock.runner == current;

	vcpu->clock.runner = current;
	vcpu->clock.run_delay = current->sched_info.run_delay;
	return same ? vcpu->clock.run_delay - before : 0;
#else
	return 0;
#endif
}

static gpa_t where(const struct vmlet_vcpu *vcpu)
{
	return vcpu->clock.steal_msr & KVM_STEAL_VALID_BITS;
}

void vmlet_steal_away(struct vmlet_vcpu *vcpu)
{
	u8 preempted = KVM_VCPU_PREEMPTED;

	vcpu->clock.away = !vmlet_mem_write(vcpu, where(vcpu) + offsetof(struct kvm_steal_time, preempted),
					    &preempted, sizeof(preempted));
}

/* It is back. Whoever would have interrupted it to flush its TLB has left a note instead. */
static void take_note(struct vmlet_vcpu *vcpu)
{
	u8 note = 0;

	/* Where the memory has gone it may come back with a note: until then it is asked for each time. */
	vcpu->clock.away = vmlet_mem_swap(vcpu, where(vcpu) + offsetof(struct kvm_steal_time, preempted), &note);
	if (vcpu->clock.away || (note & KVM_VCPU_FLUSH_TLB))
		vmlet_want_flush(vcpu);
}

void vmlet_steal_update(struct vmlet_vcpu *vcpu)
{
	gpa_t gpa = where(vcpu);
	u64 delay = take_delay(vcpu);
	struct kvm_steal_time page;

	lockdep_assert_held(&vcpu->mutex);
	if (vcpu->clock.away)
		take_note(vcpu);
	if (!vcpu->clock.steal || vmlet_mem_read(vcpu, gpa, &page, sizeof(page)))
		return;
	page.steal += delay;
	page.flags = 0;
	page.preempted = 0;
	vmlet_clock_publish(vcpu, gpa, &page, sizeof(page), offsetof(typeof(page), version));
}
