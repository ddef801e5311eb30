// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: from destinations to local APICs
 *
 * The map is replaced as a whole whenever an APIC changes its mode or ID. Senders read it under RCU, in any context.
 * vCPUs live as long as the VM, so it holds bare pointers.
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <asm/msr-index.h>

#include "../run/run.h"
#include "lapic.h"

#define XAPIC_BROADCAST		0xff
#define X2APIC_BROADCAST	0xffffffff

enum { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS };

/**
 * struct vmlet_apic_map - APICs that are enabled
 * @rcu:	frees it
 * @ids:	size of the table by physical ID
 * @n:		how many there are
 * @x2apic:	all in x2APIC mode: a logical destination says which IDs
 * @vcpus:	by physical ID, NULL where there is none; behind that, all of them
 */
struct vmlet_apic_map {
	struct rcu_head rcu;
	u32 ids, n;
	bool x2apic;
	struct vmlet_vcpu *vcpus[];
};

/* Who is meant: those of @vcpus that are not NULL, not @skip and, if @some, answer to @dest. */
struct target {
	struct vmlet_vcpu *const *vcpus;
	u32 n, dest;
	bool some, logical;
	const struct vmlet_vcpu *skip;
};

/* IDs above what xAPIC mode can say are reached by their x2APIC ID, so that such vCPUs can be started. */
static u32 physical_id(struct vmlet_vcpu *vcpu)
{
	if (vmlet_is_x2apic(vcpu) || vcpu->id > XAPIC_BROADCAST)
		return vcpu->id;
	return READ_ONCE(vcpu->lapic->regs[VMLET_APIC_ID]) >> 24;
}

static void fill_map(struct vmlet_vm *vm, struct vmlet_apic_map *map, unsigned int n)
{
	struct vmlet_vcpu **all = map->vcpus + map->ids;
	unsigned int i;

	map->x2apic = true;
	for (i = 0; i < n; i++) {
		struct vmlet_vcpu *vcpu = vm->vcpus[i];

		if (!(READ_ONCE(vcpu->apic_base) & MSR_IA32_APICBASE_ENABLE))
			continue;
		map->vcpus[physical_id(vcpu)] = vcpu;
		map->x2apic &= vmlet_is_x2apic(vcpu);
		all[map->n++] = vcpu;
	}
}

/* Counted under the lock: an older count must not replace a newer map. */
void vmlet_apic_map_update(struct vmlet_vm *vm)
{
	struct vmlet_apic_map *map, *old;
	u32 ids = XAPIC_BROADCAST + 1;
	unsigned int i, n;

	mutex_lock(&vm->irq.map_lock);
	n = smp_load_acquire(&vm->nr_vcpus);	/* pairs with the release in vmlet_vcpu_create() */
	for (i = 0; i < n; i++)
		ids = max(ids, vm->vcpus[i]->id + 1u);
	map = kvzalloc(struct_size(map, vcpus, ids + n), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	map->ids = ids;
	fill_map(vm, map, n);
	old = rcu_replace_pointer(vm->irq.map, map, lockdep_is_held(&vm->irq.map_lock));
	mutex_unlock(&vm->irq.map_lock);
	if (old)
		kvfree_rcu(old, rcu);
}

void vmlet_apic_map_destroy(struct vmlet_vm *vm)
{
	kvfree(rcu_dereference_protected(vm->irq.map, true));
}

/* Messages of devices know one broadcast: that of xAPIC mode in either mode, unless userspace wants x2APIC mode's own. */
static bool is_broadcast(struct vmlet_vm *vm, struct vmlet_vcpu *source, const struct vmlet_irq_msg *msg)
{
	bool x2apic = source ? vmlet_is_x2apic(source) :
		      READ_ONCE(vm->irq.x2apic_api) & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

	return msg->shorthand >= SHORT_ALL || msg->dest == (x2apic ? X2APIC_BROADCAST : XAPIC_BROADCAST);
}

static void find_target(struct vmlet_vm *vm, const struct vmlet_apic_map *map, struct vmlet_vcpu *source,
			const struct vmlet_irq_msg *msg, struct target *to)
{
	u32 first = msg->dest, span = 1;

	*to = (struct target) { .vcpus = map->vcpus + map->ids, .n = map->n, .dest = msg->dest };
	if (is_broadcast(vm, source, msg)) {
		to->skip = msg->shorthand == SHORT_OTHERS ? source : NULL;
		return;
	}
	to->logical = msg->logical;
	to->some = msg->logical || (!source && msg->dest == XAPIC_BROADCAST);
	if (to->some && !map->x2apic)
		return;
	if (msg->logical) {	/* clusters of 16 IDs */
		first = msg->dest >> 16 << 4;
		span = 16;
	}
	to->n = 0;
	if (first < map->ids) {
		first = array_index_nospec(first, map->ids);
		to->vcpus = map->vcpus + first;
		to->n = min(span, map->ids - first);
	}
}

/* What is no broadcast in x2APIC mode is still one to the others. */
static bool answers(const struct target *to, struct vmlet_vcpu *vcpu)
{
	if (to->dest == XAPIC_BROADCAST && !vmlet_is_x2apic(vcpu))
		return true;
	return to->logical ? vmlet_apic_logical(vcpu, to->dest) : vcpu->id == to->dest;
}

static bool is_meant(const struct target *to, struct vmlet_vcpu *vcpu)
{
	return vcpu && vcpu != to->skip && (!to->some || answers(to, vcpu));
}

static int deliver_each(const struct target *to, struct vmlet_vcpu *source, const struct vmlet_irq_msg *msg)
{
	int sum = VMLET_IRQ_IGNORED;
	u32 i;

	for (i = 0; i < to->n; i++)
		if (is_meant(to, to->vcpus[i])) {
			int ret = vmlet_apic_accept(to->vcpus[i]->lapic, msg, to->vcpus[i] == source);

			if (ret >= 0)
				sum = max(sum, 0) + ret;
		}
	return sum;
}

/* One of those that take interrupts: a vector always goes to the same one while the set does not change. */
static int deliver_lowest(const struct target *to, struct vmlet_vcpu *source, const struct vmlet_irq_msg *msg)
{
	u32 n = 0, pick, i;

	for (i = 0; i < to->n; i++)
		n += is_meant(to, to->vcpus[i]) && vmlet_apic_enabled(to->vcpus[i]->lapic);
	if (!n)
		return VMLET_IRQ_IGNORED;
	pick = msg->vector % n;
	for (i = 0; i < to->n; i++)
		if (is_meant(to, to->vcpus[i]) && vmlet_apic_enabled(to->vcpus[i]->lapic) && !pick--)
			return vmlet_apic_accept(to->vcpus[i]->lapic, msg, to->vcpus[i] == source);
	return VMLET_IRQ_IGNORED;	/* one has been disabled meanwhile */
}

int vmlet_irq_deliver(struct vmlet_vm *vm, struct vmlet_vcpu *source, const struct vmlet_irq_msg *msg)
{
	const struct vmlet_apic_map *map;
	struct target to;
	int ret = VMLET_IRQ_IGNORED;

	if (msg->shorthand == SHORT_SELF && source)
		return vmlet_apic_accept(source->lapic, msg, true);
	rcu_read_lock();
	map = rcu_dereference(vm->irq.map);
	if (map) {
		find_target(vm, map, source, msg, &to);
		if (unlikely(msg->mode == VMLET_IRQ_LOWEST || msg->lowest))
			ret = deliver_lowest(&to, source, msg);
		else
			ret = deliver_each(&to, source, msg);
	}
	rcu_read_unlock();
	return ret;
}
