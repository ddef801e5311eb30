/* SPDX-License-Identifier: GPL-2.0 */
/* What a VM holds for those who ask which VMs there are; tags as in vmlet.h. */
#ifndef VMLET_OBSERVE_TYPES_H
#define VMLET_OBSERVE_TYPES_H

#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct pid;

/* Notifications that may be sent yet in this second. */
struct vmlet_allowance {
	spinlock_t lock;
	unsigned long since;	/* jiffies */
	u32 sent, lost;
};

/*
 * struct vmlet_owner - whose a VM is
 * @node:	in the list of all VMs							[v]
 * @id:		of the VM; never used twice. 0: not in the list yet			[c]
 * @pid:	the process that made it						[c]
 * @uid:	its effective user then							[c]
 * @comm:	its name then								[c]
 * @failures:	notifications of these
 */
struct vmlet_owner {
	struct list_head node;
	u64 id;
	struct pid *pid;
	kuid_t uid;
	char comm[TASK_COMM_LEN];
	struct vmlet_allowance failures;
};

#endif
