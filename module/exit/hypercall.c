// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: hypercalls
 *
 * The KVM hypercall ABI: number in RAX, arguments in RBX, RCX, RDX and RSI, result in RAX; only ring 0 may call. One
 * table by number: what is not in it is -KVM_ENOSYS.
 */
#include <linux/irqflags.h>
#include <linux/kvm_para.h>
#include <linux/nospec.h>
#include <asm/apicdef.h>

#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "../run/run.h"
#include "exit.h"
#include "misc.h"

#define ICR_MODE_SHIFT	8

/* @arg: as wide as the guest's mode has them; @width: that many bits. */
struct call {
	u64 arg[4];
	unsigned int width;
};

static int answer(struct vmlet_vcpu *vcpu, long result)
{
	vcpu->regs[VMLET_RAX] = vmlet_is_64bit(vcpu) ? result : (u32)result;
	return VMLET_SKIP;
}

/* The local APIC's timer and such would be polled for while interrupts are off: they are delivered without. */
static int vapic_poll_irq(struct vmlet_vcpu *vcpu, const struct call *call)
{
	return answer(vcpu, 0);
}

/* vCPU IDs are local APIC IDs. Almost always they are given in the order of creation. */
static struct vmlet_vcpu *find_vcpu(struct vmlet_vm *vm, u64 id)
{
	unsigned int i, n = vmlet_vcpu_count(vm);

	if (id < n && vm->vcpus[array_index_nospec(id, n)]->id == id)
		return vm->vcpus[array_index_nospec(id, n)];
	for (i = 0; i < n; i++)
		if (vm->vcpus[i]->id == id)
			return vm->vcpus[i];
	return NULL;
}

static int kick_cpu(struct vmlet_vcpu *vcpu, const struct call *call)
{
	struct vmlet_vcpu *target = find_vcpu(vcpu->vm, call->arg[1]);

	if (target)
		vmlet_request(target, VMLET_REQ_UNHALT);
	return answer(vcpu, 0);
}

/* The caller waits for a vCPU that was preempted: as in loops of PAUSE, the scheduler says who is to run. */
static int sched_yield(struct vmlet_vcpu *vcpu, const struct call *call)
{
	if (irqs_disabled())
		return VMLET_SLOW;
	vmlet_exit_pause(vcpu);
	return answer(vcpu, 0);
}

/* Two words of destinations, from the local APIC ID in the third argument on; the fourth is an ICR without them. */
static int send_ipi(struct vmlet_vcpu *vcpu, const struct call *call)
{
	u32 icr = call->arg[3];
	struct vmlet_irq_msg msg = {
		.vector = icr & APIC_VECTOR_MASK, .mode = (icr & APIC_MODE_MASK) >> ICR_MODE_SHIFT,
		.level = icr & APIC_INT_LEVELTRIG, .assert = icr & APIC_INT_ASSERT,
	};
	long bit, sent = 0;
	int ret;

	if (icr & (APIC_DEST_ALLBUT | APIC_DEST_LOGICAL))
		return answer(vcpu, -KVM_EINVAL);
	for (bit = 0; bit < 2 * call->width; bit++) {
		if (!(call->arg[bit / call->width] & BIT_ULL(bit % call->width)))
			continue;
		msg.dest = call->arg[2] + bit;
		ret = vmlet_irq_deliver(vcpu->vm, vcpu, &msg);
		sent += ret >= VMLET_IRQ_COALESCED;
	}
	return answer(vcpu, sent);
}

static int user_answered(struct vmlet_vcpu *vcpu)
{
	return answer(vcpu, READ_ONCE(vcpu->run->hypercall.ret));
}

/* Whose memory it is, in whole pages, is between guest and userspace. */
static int map_gpa_range(struct vmlet_vcpu *vcpu, const struct call *call)
{
	u64 gpa = call->arg[0], npages = call->arg[1];
	struct kvm_run *run = vcpu->run;

	if (!(READ_ONCE(vcpu->vm->exit_hypercall) & BIT(KVM_HC_MAP_GPA_RANGE)))
		return answer(vcpu, -KVM_ENOSYS);
	if (!IS_ALIGNED(gpa, PAGE_SIZE) || !npages || (gpa >> PAGE_SHIFT) + npages <= gpa >> PAGE_SHIFT)
		return answer(vcpu, -KVM_EINVAL);
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	memcpy(run->hypercall.args, call->arg, 3 * sizeof(call->arg[0]));
	run->hypercall.ret = 0;
	run->hypercall.flags = call->width == 64 ? KVM_EXIT_HYPERCALL_LONG_MODE : 0;
	return vmlet_to_user(vcpu, KVM_EXIT_HYPERCALL, user_answered);
}

/* @feature: bit of KVM_CPUID_FEATURES that announces it; 0: none does. */
static const struct {
	int (*fn)(struct vmlet_vcpu *vcpu, const struct call *call);
	u32 feature;
} calls[] = {
	[KVM_HC_VAPIC_POLL_IRQ]	= { vapic_poll_irq },
	[KVM_HC_KICK_CPU]	= { kick_cpu,		BIT(KVM_FEATURE_PV_UNHALT) },
	[KVM_HC_SEND_IPI]	= { send_ipi,		BIT(KVM_FEATURE_PV_SEND_IPI) },
	[KVM_HC_SCHED_YIELD]	= { sched_yield,	BIT(KVM_FEATURE_PV_SCHED_YIELD) },
	[KVM_HC_MAP_GPA_RANGE]	= { map_gpa_range },
};

/* A number from the table, or one that merely ends like it. */
static noinline int known_call(struct vmlet_vcpu *vcpu)
{
	bool is_64bit = vmlet_is_64bit(vcpu);
	u64 mask = is_64bit ? ~0ull : U32_MAX, nr = vcpu->regs[VMLET_RAX] & mask;
	struct call call = {
		.arg = {
			vcpu->regs[VMLET_RBX] & mask, vcpu->regs[VMLET_RCX] & mask,
			vcpu->regs[VMLET_RDX] & mask, vcpu->regs[VMLET_RSI] & mask,
		},
		.width = is_64bit ? 64 : 32,
	};

	if (nr >= ARRAY_SIZE(calls))
		return answer(vcpu, -KVM_ENOSYS);
	nr = array_index_nospec(nr, ARRAY_SIZE(calls));
	if (!calls[nr].fn || (calls[nr].feature & ~vcpu->pv_features))
		return answer(vcpu, -KVM_ENOSYS);
	return calls[nr].fn(vcpu, &call);
}

int vmlet_exit_hypercall(struct vmlet_vcpu *vcpu)
{
	if (vmlet_cpl(vcpu))
		return answer(vcpu, -KVM_EPERM);
	if ((u32)vcpu->regs[VMLET_RAX] < ARRAY_SIZE(calls))
		return known_call(vcpu);
	return answer(vcpu, -KVM_ENOSYS);
}
