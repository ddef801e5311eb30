// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the generic netlink family "vmlet"
 *
 * uapi/vmlet_netlink.h says what is in the messages. Dumps tell who asks without CAP_SYS_ADMIN of his own VMs only.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "../../uapi/vmlet_netlink.h"
#include "genl.h"
#include "netlink.h"
#include "sums.h"
#include "tunables.h"

/* Bytes of a message with every reason in it, and some. */
#define STATS_ROOM	SZ_8K

/* Where a dump goes on, and what the asker is to see of it. */
struct cursor {
	u64 vm;			/* the first VM that is not told yet, or not to the end */
	u64 only;		/* VM that was asked for; 0: all */
	unsigned int vcpu;	/* of @vm, the first that is not told yet; of tunables, likewise */
	bool all;
	kuid_t uid;
};

static_assert(sizeof(struct cursor) <= sizeof_field(struct netlink_callback, ctx));

struct dump {
	struct sk_buff *skb;
	struct netlink_callback *cb;
	struct cursor *cursor;
};

static void *put_head(const struct dump *dump, u8 cmd)
{
	const struct netlink_callback *cb = dump->cb;

	return genlmsg_put(dump->skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &vmlet_genl, NLM_F_MULTI, cmd);
}

/* All or nothing of a message. */
static int put_end(const struct dump *dump, void *head, bool failed)
{
	if (failed) {
		genlmsg_cancel(dump->skb, head);
		return -EMSGSIZE;
	}
	genl_dump_check_consistent(dump->cb, head);
	genlmsg_end(dump->skb, head);
	return 0;
}

static const u32 irqchips[] = {
	[VMLET_IRQCHIP_NONE]	= VMLET_VM_IRQCHIP_NONE,
	[VMLET_IRQCHIP_SPLIT]	= VMLET_VM_IRQCHIP_SPLIT,
	[VMLET_IRQCHIP_KERNEL]	= VMLET_VM_IRQCHIP_KERNEL,
};

static bool put_pages(struct sk_buff *skb, const struct vmlet_vm *vm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->stats.pages); i++)
		if (nla_put_u64_64bit(skb, VMLET_A_VM_PAGES_4K + i, READ_ONCE(vm->stats.pages[i]), VMLET_A_VM_PAD))
			return true;
	return false;
}

static int put_vm(const struct dump *dump, const struct vmlet_vm *vm)
{
	struct sk_buff *skb = dump->skb;
	void *head = put_head(dump, VMLET_CMD_VM_GET);

	if (!head)
		return -EMSGSIZE;
	return put_end(dump, head,
		       nla_put_u64_64bit(skb, VMLET_A_VM_ID, vm->owner.id, VMLET_A_VM_PAD) ||
		       nla_put_u32(skb, VMLET_A_VM_OWNER_PID, vmlet_owner_nr(vm)) ||
		       nla_put_u32(skb, VMLET_A_VM_OWNER_UID, from_kuid_munged(current_user_ns(), vm->owner.uid)) ||
		       nla_put_string(skb, VMLET_A_VM_OWNER_COMM, vm->owner.comm) ||
		       nla_put_u32(skb, VMLET_A_VM_VCPUS, vmlet_vcpu_count(vm)) ||
		       nla_put_u32(skb, VMLET_A_VM_SLOTS, READ_ONCE(vm->nr_slots)) ||
		       nla_put_u64_64bit(skb, VMLET_A_VM_SLOT_BYTES, READ_ONCE(vm->slot_pages) << PAGE_SHIFT, VMLET_A_VM_PAD) ||
		       put_pages(skb, vm) ||
		       nla_put_u32(skb, VMLET_A_VM_IRQCHIP, irqchips[READ_ONCE(vm->irq.chip)]));
}

/* At the moment, and perhaps no longer true when it is told. */
static u32 vcpu_state(struct vmlet_vcpu *vcpu, int cpu)
{
	switch (READ_ONCE(vcpu->mp_state)) {
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		return VMLET_VCPU_STATE_STOPPED;
	case KVM_MP_STATE_HALTED:
		return VMLET_VCPU_STATE_HALTED;
	}
	if (cpu >= 0)
		return VMLET_VCPU_STATE_GUEST;
	return mutex_is_locked(&vcpu->mutex) ? VMLET_VCPU_STATE_KERNEL : VMLET_VCPU_STATE_USER;
}

/* What it does. */
static bool put_state(struct sk_buff *skb, struct vmlet_vcpu *vcpu)
{
	int cpu = READ_ONCE(vcpu->mode_cpu);
	u32 state = vcpu_state(vcpu, cpu);

	return nla_put_u32(skb, VMLET_A_VCPU_STATE, state) ||
	       (state == VMLET_VCPU_STATE_GUEST && nla_put_u32(skb, VMLET_A_VCPU_CPU, cpu));
}

static int put_vcpu(const struct dump *dump, struct vmlet_vcpu *vcpu)
{
	struct sk_buff *skb = dump->skb;
	void *head = put_head(dump, VMLET_CMD_VCPU_GET);

	if (!head)
		return -EMSGSIZE;
	return put_end(dump, head,
		       nla_put_u64_64bit(skb, VMLET_A_VCPU_VM_ID, vcpu->vm->owner.id, VMLET_A_VCPU_PAD) ||
		       nla_put_u32(skb, VMLET_A_VCPU_ID, vcpu->id) ||
		       nla_put_u32(skb, VMLET_A_VCPU_THREAD, vmlet_thread_nr(vcpu)) ||
		       put_state(skb, vcpu) ||
		       nla_put_u64_64bit(skb, VMLET_A_VCPU_EXITS, vmlet_stats_exits(vcpu), VMLET_A_VCPU_PAD) ||
		       vmlet_put_last_exit(skb, VMLET_A_VCPU_LAST_EXIT, vcpu));
}

static bool put_exit(struct sk_buff *skb, unsigned int reason, const struct vmlet_sum *sum)
{
	struct nlattr *nest = nla_nest_start(skb, VMLET_A_STATS_EXIT);

	if (!nest || nla_put_string(skb, VMLET_A_EXIT_NAME, vmlet_exit_names[reason]) ||
	    nla_put_u64_64bit(skb, VMLET_A_EXIT_COUNT, sum->count, VMLET_A_EXIT_PAD) ||
	    nla_put_u64_64bit(skb, VMLET_A_EXIT_GUEST, sum->time[VMLET_TIME_GUEST], VMLET_A_EXIT_PAD) ||
	    nla_put_u64_64bit(skb, VMLET_A_EXIT_KERNEL, sum->time[VMLET_TIME_KERNEL], VMLET_A_EXIT_PAD) ||
	    nla_put_u64_64bit(skb, VMLET_A_EXIT_USER, sum->time[VMLET_TIME_USER], VMLET_A_EXIT_PAD))
		return true;
	nla_nest_end(skb, nest);
	return false;
}

static bool put_exits(struct sk_buff *skb, const struct vmlet_sums *sums)
{
	unsigned int i;

	for (i = 0; i < VMLET_EXIT_COUNT; i++)
		if (sums->exit[i].count && put_exit(skb, i, &sums->exit[i]))
			return true;
	return false;
}

static int put_stats(const struct dump *dump, u64 id, const struct vmlet_sums *sums)
{
	struct sk_buff *skb = dump->skb;
	void *head = put_head(dump, VMLET_CMD_STATS_GET);

	if (!head)
		return -EMSGSIZE;
	return put_end(dump, head,
		       nla_put_u64_64bit(skb, VMLET_A_STATS_VM_ID, id, VMLET_A_STATS_PAD) ||
		       nla_put_u32(skb, VMLET_A_STATS_VCPUS, sums->vcpus) ||
		       nla_put_u32(skb, VMLET_A_STATS_TSC_KHZ, tsc_khz) ||
		       put_exits(skb, sums));
}

static bool is_due(const struct cursor *cursor, const struct vmlet_owner *owner)
{
	if (owner->id < cursor->vm || (cursor->only && owner->id != cursor->only))
		return false;
	return cursor->all || uid_eq(owner->uid, cursor->uid);
}

static int tell_vm(struct vmlet_vm *vm, void *data)
{
	const struct dump *dump = data;
	int ret;

	if (!is_due(dump->cursor, &vm->owner))
		return 0;
	ret = put_vm(dump, vm);
	if (!ret)
		dump->cursor->vm = vm->owner.id + 1;
	return ret;
}

static int tell_vcpus(struct vmlet_vm *vm, void *data)
{
	const struct dump *dump = data;
	struct cursor *cursor = dump->cursor;
	int ret;

	if (!is_due(cursor, &vm->owner))
		return 0;
	/* Where it had stopped, or another VM if that one has gone. */
	if (cursor->vm != vm->owner.id)
		cursor->vcpu = 0;
	cursor->vm = vm->owner.id;
	for (; cursor->vcpu < vmlet_vcpu_count(vm); cursor->vcpu++) {
		ret = put_vcpu(dump, vm->vcpus[cursor->vcpu]);
		if (ret)
			return ret;
	}
	cursor->vm = vm->owner.id + 1;
	cursor->vcpu = 0;
	return 0;
}

static int tell_stats(struct vmlet_vm *vm, void *data)
{
	const struct dump *dump = data;
	struct vmlet_sums *sums;
	int ret;

	if (!is_due(dump->cursor, &vm->owner))
		return 0;
	sums = kzalloc(sizeof(*sums), GFP_KERNEL);
	if (!sums)
		return -ENOMEM;
	vmlet_sums_add(sums, vm);
	ret = put_stats(dump, vm->owner.id, sums);
	kfree(sums);
	if (!ret)
		dump->cursor->vm = vm->owner.id + 1;
	return ret;
}

/* All VMs there have been, first of all. */
static int tell_all_stats(const struct dump *dump)
{
	struct cursor *cursor = dump->cursor;
	struct vmlet_sums *sums;
	int ret;

	if (!cursor->all || cursor->only || cursor->vm)
		return 0;
	sums = kzalloc(sizeof(*sums), GFP_KERNEL);
	if (!sums)
		return -ENOMEM;
	dump->cb->seq = vmlet_vms_sum(sums);
	ret = put_stats(dump, 0, sums);
	kfree(sums);
	if (!ret)
		cursor->vm = 1;
	return ret;
}

/*
 * Who asks. A program may have been handed a socket that another user has opened and reads: then there is nothing to see,
 * as netlink_capable() has it for capabilities.
 */
static int vms_start(struct netlink_callback *cb)
{
	const struct nlattr *only = genl_info_dump(cb)->attrs[VMLET_A_VM_ID];
	const struct cred *opener = NETLINK_CB(cb->skb).sk->sk_socket->file->f_cred;
	struct cursor *cursor = (void *)cb->ctx;

	*cursor = (struct cursor) {
		.only	= only ? nla_get_u64(only) : 0,
		.all	= netlink_capable(cb->skb, CAP_SYS_ADMIN),
		.uid	= uid_eq(opener->euid, current_euid()) ? current_euid() : INVALID_UID,
	};
	return 0;
}

static int vms_dump(struct sk_buff *skb, struct netlink_callback *cb, int (*tell)(struct vmlet_vm *vm, void *data))
{
	struct dump dump = { skb, cb, (void *)cb->ctx };
	int ret = vmlet_vms_walk(&cb->seq, tell, &dump);

	return skb->len ?: ret;
}

static int vm_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	return vms_dump(skb, cb, tell_vm);
}

static int vcpu_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	return vms_dump(skb, cb, tell_vcpus);
}

/* A message may be longer than what a dump has room for at first. */
static int stats_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = STATS_ROOM;
	return vms_start(cb);
}

static int stats_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump dump = { skb, cb, (void *)cb->ctx };

	return tell_all_stats(&dump) ?: vms_dump(skb, cb, tell_stats);
}

static int put_tunable(const struct dump *dump, const struct vmlet_tunable *tunable)
{
	struct sk_buff *skb = dump->skb;
	void *head = put_head(dump, VMLET_CMD_TUNABLE_GET);

	if (!head)
		return -EMSGSIZE;
	return put_end(dump, head,
		       nla_put_string(skb, VMLET_A_TUNABLE_NAME, tunable->name) ||
		       nla_put_u64_64bit(skb, VMLET_A_TUNABLE_VALUE, READ_ONCE(*tunable->value), VMLET_A_TUNABLE_PAD) ||
		       nla_put_u64_64bit(skb, VMLET_A_TUNABLE_LEAST, tunable->least, VMLET_A_TUNABLE_PAD) ||
		       nla_put_u64_64bit(skb, VMLET_A_TUNABLE_MOST, tunable->most, VMLET_A_TUNABLE_PAD) ||
		       nla_put_string(skb, VMLET_A_TUNABLE_UNIT, tunable->unit));
}

static int tunable_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct cursor *cursor = (void *)cb->ctx;
	struct dump dump = { skb, cb, cursor };
	int ret = 0;

	while (!ret && cursor->vcpu < vmlet_tunables_count) {
		ret = put_tunable(&dump, &vmlet_tunables[cursor->vcpu]);
		cursor->vcpu += !ret;
	}
	return skb->len ?: ret;
}

static const struct vmlet_tunable *tunable_find(const struct nlattr *name)
{
	unsigned int i;

	for (i = 0; i < vmlet_tunables_count; i++)
		if (!nla_strcmp(name, vmlet_tunables[i].name))
			return &vmlet_tunables[i];
	return NULL;
}

static int tunable_set(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *name = info->attrs[VMLET_A_TUNABLE_NAME], *value = info->attrs[VMLET_A_TUNABLE_VALUE];
	const struct vmlet_tunable *tunable;
	int ret;

	if (!netlink_capable(skb, CAP_SYS_ADMIN)) {
		GENL_SET_ERR_MSG(info, "to set it takes CAP_SYS_ADMIN");
		return -EPERM;
	}
	if (!name || !value) {
		GENL_SET_ERR_MSG(info, "a name and a value are needed");
		return -EINVAL;
	}
	tunable = tunable_find(name);
	if (!tunable) {
		NL_SET_ERR_MSG_ATTR(info->extack, name, "there is no such tunable");
		return -ENOENT;
	}
	ret = vmlet_tunable_set(tunable, nla_get_u64(value));
	if (ret)
		NL_SET_ERR_MSG_ATTR(info->extack, value, "more than it takes, or less");
	return ret;
}

static const struct nla_policy vm_policy[] = {
	[VMLET_A_VM_ID]		= NLA_POLICY_MIN(NLA_U64, 1),
};

static_assert((int)VMLET_A_VM_ID == VMLET_A_VCPU_VM_ID && (int)VMLET_A_VM_ID == VMLET_A_STATS_VM_ID);

static const struct nla_policy tunable_policy[] = {
	[VMLET_A_TUNABLE_NAME]	= { .type = NLA_NUL_STRING, .len = 63 },
	[VMLET_A_TUNABLE_VALUE]	= { .type = NLA_U64 },
};

#define POLICY(table)	.policy = table, .maxattr = ARRAY_SIZE(table) - 1

static const struct genl_ops ops[] = {
	{ .cmd = VMLET_CMD_VM_GET, .start = vms_start, .dumpit = vm_dump, POLICY(vm_policy) },
	{ .cmd = VMLET_CMD_VCPU_GET, .start = vms_start, .dumpit = vcpu_dump, POLICY(vm_policy) },
	{ .cmd = VMLET_CMD_STATS_GET, .start = stats_start, .dumpit = stats_dump, POLICY(vm_policy) },
	{ .cmd = VMLET_CMD_TUNABLE_GET, .dumpit = tunable_dump },
	{ .cmd = VMLET_CMD_TUNABLE_SET, .doit = tunable_set, POLICY(tunable_policy) },
};

static const struct genl_multicast_group groups[] = {
	[VMLET_GENL_GROUP_EVENTS] = { .name = VMLET_GENL_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

struct genl_family vmlet_genl = {
	.name		= VMLET_GENL_NAME,
	.version	= VMLET_GENL_VERSION,
	.module		= THIS_MODULE,
	.ops		= ops,
	.n_ops		= ARRAY_SIZE(ops),
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
	.resv_start_op	= VMLET_CMD_VM_GET,
	.parallel_ops	= true,
};

int vmlet_netlink_register(void)
{
	return genl_register_family(&vmlet_genl);
}

void vmlet_netlink_unregister(void)
{
	genl_unregister_family(&vmlet_genl);
}
