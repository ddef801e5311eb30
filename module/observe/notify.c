// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: notifications
 *
 * One message for all who listen, so that it takes CAP_SYS_ADMIN to be one of them. Nobody listens: nothing is made.
 */
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <net/genetlink.h>

#include "../../uapi/vmlet_netlink.h"
#include "genl.h"
#include "netlink.h"

#define FAILURES_PER_SECOND	10	/* of a VM */
#define CHANGES_PER_SECOND	1000	/* VMs that come and go */

/* Something has happened: to @vm, or to its @vcpu if that is not NULL. */
struct event {
	u8 cmd;
	struct vmlet_vm *vm;
	const struct vmlet_vcpu *vcpu;
	u32 suberror;
	u32 lost;
};

/* Before the first exit there is no last one. */
bool vmlet_put_last_exit(struct sk_buff *skb, int attr, const struct vmlet_vcpu *vcpu)
{
	return vmlet_stats_exits(vcpu) && nla_put_string(skb, attr, vmlet_exit_names[READ_ONCE(vcpu->exit.reason)]);
}

/* @lost: how many were not since the last one that was. */
static bool is_allowed(struct vmlet_allowance *allowance, u32 per_second, u32 *lost)
{
	bool allowed;

	spin_lock(&allowance->lock);
	if (jiffies - allowance->since >= HZ) {
		allowance->since = jiffies;
		allowance->sent = 0;
	}
	allowed = allowance->sent < per_second;
	if (allowed) {
		*lost = allowance->lost;
		allowance->lost = 0;
		allowance->sent++;
	} else {
		allowance->lost++;
	}
	spin_unlock(&allowance->lock);
	return allowed;
}

static bool put_event_vm(struct sk_buff *skb, const struct event *event)
{
	const struct vmlet_owner *owner = &event->vm->owner;

	return nla_put_u64_64bit(skb, VMLET_A_EVENT_VM_ID, owner->id, VMLET_A_EVENT_PAD) ||
	       nla_put_u32(skb, VMLET_A_EVENT_OWNER_PID, pid_nr(owner->pid)) ||
	       nla_put_u32(skb, VMLET_A_EVENT_OWNER_UID, from_kuid(&init_user_ns, owner->uid)) ||
	       nla_put_string(skb, VMLET_A_EVENT_OWNER_COMM, owner->comm) ||
	       (event->lost && nla_put_u32(skb, VMLET_A_EVENT_LOST, event->lost));
}

static bool put_entry_failure(struct sk_buff *skb, const struct vmlet_entry_failure *failure)
{
	if (nla_put_u64_64bit(skb, VMLET_A_EVENT_HW_REASON, failure->hw_reason, VMLET_A_EVENT_PAD))
		return true;
	return *failure->check &&
	       (nla_put_string(skb, VMLET_A_EVENT_FIELD, failure->field) ||
		nla_put_string(skb, VMLET_A_EVENT_CHECK, failure->check) ||
		nla_put_u64_64bit(skb, VMLET_A_EVENT_VALUE, failure->value, VMLET_A_EVENT_PAD));
}

static bool put_event_vcpu(struct sk_buff *skb, const struct event *event)
{
	if (!event->vcpu)
		return false;
	if (nla_put_u32(skb, VMLET_A_EVENT_VCPU_ID, event->vcpu->id) ||
	    vmlet_put_last_exit(skb, VMLET_A_EVENT_LAST_EXIT, event->vcpu))
		return true;
	switch (event->cmd) {
	case VMLET_CMD_ENTRY_FAILED_NTF:
		return put_entry_failure(skb, &event->vcpu->stats->entry_failure);
	case VMLET_CMD_INTERNAL_ERROR_NTF:
		return nla_put_u32(skb, VMLET_A_EVENT_SUBERROR, event->suberror);
	}
	return false;
}

static struct sk_buff *event_message(const struct event *event)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *head;

	if (!skb)
		return NULL;
	head = genlmsg_put(skb, 0, 0, &vmlet_genl, 0, event->cmd);
	if (!head || put_event_vm(skb, event) || put_event_vcpu(skb, event)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, head);
	return skb;
}

static void tell(struct event event, struct vmlet_allowance *allowance, u32 per_second)
{
	struct sk_buff *skb;

	might_sleep();
	if (!genl_has_listeners(&vmlet_genl, &init_net, VMLET_GENL_GROUP_EVENTS) || !is_allowed(allowance, per_second, &event.lost))
		return;
	skb = event_message(&event);
	if (skb)
		genlmsg_multicast(&vmlet_genl, skb, 0, VMLET_GENL_GROUP_EVENTS, GFP_KERNEL);
	else	/* as if their sockets were full */
		genl_set_err(&vmlet_genl, &init_net, 0, VMLET_GENL_GROUP_EVENTS, -ENOBUFS);
}

static void tell_change(struct vmlet_vm *vm, u8 cmd)
{
	static struct vmlet_allowance changes = { .lock = __SPIN_LOCK_UNLOCKED(changes.lock) };

	tell((struct event) { .cmd = cmd, .vm = vm }, &changes, CHANGES_PER_SECOND);
}

void vmlet_tell_created(struct vmlet_vm *vm)
{
	tell_change(vm, VMLET_CMD_VM_CREATED_NTF);
}

void vmlet_tell_destroyed(struct vmlet_vm *vm)
{
	tell_change(vm, VMLET_CMD_VM_DESTROYED_NTF);
}

static void tell_failure(struct event event)
{
	tell(event, &event.vm->owner.failures, FAILURES_PER_SECOND);
}

void vmlet_tell_entry_failed(struct vmlet_vcpu *vcpu)
{
	tell_failure((struct event) { .cmd = VMLET_CMD_ENTRY_FAILED_NTF, .vm = vcpu->vm, .vcpu = vcpu });
}

void vmlet_tell_internal_error(struct vmlet_vcpu *vcpu, u32 suberror)
{
	tell_failure((struct event) {
		.cmd = VMLET_CMD_INTERNAL_ERROR_NTF, .vm = vcpu->vm, .vcpu = vcpu, .suberror = suberror,
	});
}

void vmlet_tell_memory(struct vmlet_vm *vm, struct vmlet_vcpu *vcpu)
{
	tell_failure((struct event) { .cmd = VMLET_CMD_MEMORY_PRESSURE_NTF, .vm = vm, .vcpu = vcpu });
}
