// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: all VMs, and whose they are
 */
#include <linux/cleanup.h>
#include <linux/cred.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>

#include "netlink.h"
#include "sums.h"

static DEFINE_MUTEX(vms_lock);
static LIST_HEAD(vms);		/* [v] by ID */
static struct vmlet_sums gone;	/* [v] of VMs that have gone; no vCPUs */
static u64 last_id;		/* [v] */
static unsigned int changes = 1; /* [v] of the list; not 0, which would mean that nobody counts */

void vmlet_owner_init(struct vmlet_vm *vm)
{
	struct vmlet_owner *owner = &vm->owner;

	INIT_LIST_HEAD(&owner->node);
	spin_lock_init(&owner->failures.lock);
	owner->pid = get_pid(task_tgid(current));
	owner->uid = current_euid();
	get_task_comm(owner->comm, current->group_leader);
}

void vmlet_owner_destroy(struct vmlet_vm *vm)
{
	put_pid(vm->owner.pid);
}

static void count_change(void)
{
	lockdep_assert_held(&vms_lock);
	if (!++changes)
		changes++;
}

void vmlet_vms_add(struct vmlet_vm *vm)
{
	scoped_guard(mutex, &vms_lock) {
		vm->owner.id = ++last_id;
		list_add_tail(&vm->owner.node, &vms);
		count_change();
	}
	vmlet_tell_created(vm);
}

void vmlet_vms_remove(struct vmlet_vm *vm)
{
	if (!vm->owner.id)
		return;
	scoped_guard(mutex, &vms_lock) {
		list_del(&vm->owner.node);
		vmlet_sums_add(&gone, vm);
		gone.vcpus = 0;
		count_change();
	}
	vmlet_tell_destroyed(vm);
}

int vmlet_vms_walk(unsigned int *generation, int (*fn)(struct vmlet_vm *vm, void *data), void *data)
{
	struct vmlet_vm *vm;
	int ret = 0;

	guard(mutex)(&vms_lock);
	*generation = changes;
	list_for_each_entry(vm, &vms, owner.node) {
		ret = fn(vm, data);
		if (ret)
			break;
	}
	return ret;
}

unsigned int vmlet_vms_sum(struct vmlet_sums *sums)
{
	struct vmlet_vm *vm;

	guard(mutex)(&vms_lock);
	*sums = gone;
	list_for_each_entry(vm, &vms, owner.node)
		vmlet_sums_add(sums, vm);
	return changes;
}

/* Its number may be another's when it has ended. */
static u32 live_nr(struct pid *pid, enum pid_type type)
{
	return pid && pid_has_task(pid, type) ? pid_vnr(pid) : 0;
}

u32 vmlet_owner_nr(const struct vmlet_vm *vm)
{
	return live_nr(vm->owner.pid, PIDTYPE_TGID);
}

u32 vmlet_thread_nr(struct vmlet_vcpu *vcpu)
{
	u32 nr;

	spin_lock(&vcpu->thread_lock);
	nr = live_nr(vcpu->thread, PIDTYPE_PID);
	spin_unlock(&vcpu->thread_lock);
	return nr;
}

void vmlet_thread_changed(struct vmlet_vcpu *vcpu)
{
	struct pid *old = vcpu->thread;

	lockdep_assert_held(&vcpu->mutex);
	spin_lock(&vcpu->thread_lock);
	vcpu->thread = get_pid(task_pid(current));
	spin_unlock(&vcpu->thread_lock);
	put_pid(old);
}
