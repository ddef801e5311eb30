/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what others may know of VMs
 *
 * vms.c has the list of all VMs, with their owners; netlink.c tells of them on request, notify.c when something happens;
 * tunables.c is what they may change.
 */
#ifndef VMLET_OBSERVE_NETLINK_H
#define VMLET_OBSERVE_NETLINK_H

#include <linux/sched.h>

#include "../vmlet.h"

struct netlink_callback;
struct genl_info;
struct sk_buff;

/* A new VM belongs to the current process; its end. */
void vmlet_owner_init(struct vmlet_vm *vm);
void vmlet_owner_destroy(struct vmlet_vm *vm);

/* From now on it is told of; no more, and nobody is looking at it. The latter of one that was never added, too. */
void vmlet_vms_add(struct vmlet_vm *vm);
void vmlet_vms_remove(struct vmlet_vm *vm);

/*
 * Call @fn for each VM, by ID, until it returns other than 0, and return that. None comes or goes meanwhile; @generation,
 * set before the first call, says whether one did since the last time.
 */
int vmlet_vms_walk(unsigned int *generation, int (*fn)(struct vmlet_vm *vm, void *data), void *data);

/* A process or thread in the current PID namespace; 0: none, it has ended, or is not in there. */
u32 vmlet_owner_nr(const struct vmlet_vm *vm);
u32 vmlet_thread_nr(struct vmlet_vcpu *vcpu);

void vmlet_thread_changed(struct vmlet_vcpu *vcpu);

/* The current thread runs @vcpu. */
static inline void vmlet_thread_follow(struct vmlet_vcpu *vcpu)
{
	if (unlikely(vcpu->thread != task_pid(current)))
		vmlet_thread_changed(vcpu);
}

int vmlet_netlink_register(void);
void vmlet_netlink_unregister(void);

/* Notifications. They may sleep. */
void vmlet_tell_created(struct vmlet_vm *vm);
void vmlet_tell_destroyed(struct vmlet_vm *vm);
void vmlet_tell_entry_failed(struct vmlet_vcpu *vcpu);
void vmlet_tell_internal_error(struct vmlet_vcpu *vcpu, u32 suberror);
void vmlet_tell_memory(struct vmlet_vm *vm, struct vmlet_vcpu *vcpu);	/* @vcpu may be NULL */

#endif
