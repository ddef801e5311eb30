/* SPDX-License-Identifier: GPL-2.0 */
/* The generic netlink family, between netlink.c and notify.c. */
#ifndef VMLET_OBSERVE_GENL_H
#define VMLET_OBSERVE_GENL_H

#include <linux/types.h>

struct genl_family;
struct sk_buff;
struct vmlet_vcpu;

enum { VMLET_GENL_GROUP_EVENTS };

extern struct genl_family vmlet_genl;

/* Returns true if it did not fit. */
bool vmlet_put_last_exit(struct sk_buff *skb, int attr, const struct vmlet_vcpu *vcpu);

#endif
