// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the module's generic netlink family, by libnl
 */
#include "netlink.h"

#include "macros.h"
#include "report.h"

#include <ctype.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdio.h>

#define BUFFER (1 << 20)

/**
 * struct receiver - who gets messages
 * @take: the function
 * @data: for it
 */
struct receiver {
	vmlet_take *take;
	void *data;
};

static int take_message(struct nl_msg *msg, void *data)
{
	struct vmlet_message message = { 0 };
	struct genlmsghdr *head = genlmsg_hdr(nlmsg_hdr(msg));
	struct receiver *receiver = data;

	message.command = head->cmd;
	message.first = genlmsg_attrdata(head, 0);
	message.length = genlmsg_attrlen(head, 0);
	if (nla_parse(message.attributes, ARRAY_SIZE(message.attributes) - 1, message.first, message.length, NULL) < 0)
		return NL_SKIP;
	return receiver->take(&message, receiver->data) ? NL_OK : NL_STOP;
}

static int connect_socket(struct vmlet_netlink *netlink)
{
	int ret = genl_connect(netlink->socket);

	if (ret)
		return ret;
	netlink->family = genl_ctrl_resolve(netlink->socket, VMLET_GENL_NAME);
	return netlink->family < 0 ? netlink->family : 0;
}

bool vmlet_netlink_open(struct vmlet_netlink *netlink)
{
	int ret = -NLE_NOMEM;

	netlink->socket = nl_socket_alloc();
	if (netlink->socket)
		ret = connect_socket(netlink);
	if (!ret)
		return true;
	if (ret == -NLE_OBJ_NOTFOUND)
		vmlet_error("the module vmlet is not loaded, or this is not the first network namespace.\n"
			    "Load it: `insmod vmlet.ko`, or `modprobe vmlet` after `make install`; in a container, ask its host");
	else
		vmlet_error("netlink: %s", nl_geterror(ret));
	vmlet_netlink_close(netlink);
	return false;
}

void vmlet_netlink_close(struct vmlet_netlink *netlink)
{
	nl_socket_free(netlink->socket);
}

bool vmlet_netlink_listen(struct vmlet_netlink *netlink)
{
	int group = genl_ctrl_resolve_grp(netlink->socket, VMLET_GENL_NAME, VMLET_GENL_EVENTS);
	int ret = group;

	/* Notifications are no answers. */
	nl_socket_disable_seq_check(netlink->socket);
	if (ret >= 0)
		ret = nl_socket_set_buffer_size(netlink->socket, BUFFER, 0);
	if (ret >= 0)
		ret = nl_socket_add_membership(netlink->socket, group);
	if (ret >= 0)
		return true;
	if (ret == -NLE_PERM || ret == -NLE_NOACCESS)
		vmlet_error("events are those of all users: it takes root (CAP_SYS_ADMIN). `vmlet list` shows your own machines");
	else
		vmlet_error("events: %s", nl_geterror(ret));
	return false;
}

int vmlet_netlink_receive(struct vmlet_netlink *netlink, vmlet_take *take, void *data)
{
	struct receiver receiver = { take, data };

	nl_socket_modify_cb(netlink->socket, NL_CB_VALID, NL_CB_CUSTOM, take_message, &receiver);
	return nl_recvmsgs_default(netlink->socket);
}

int vmlet_netlink_dump(struct vmlet_netlink *netlink, int command, vmlet_take *take, void *data)
{
	int ret = genl_send_simple(netlink->socket, netlink->family, command, VMLET_GENL_VERSION, NLM_F_DUMP);

	return ret < 0 ? ret : vmlet_netlink_receive(netlink, take, data);
}

int vmlet_netlink_tune(struct vmlet_netlink *netlink, const char *name, uint64_t value)
{
	struct nl_msg *msg = nlmsg_alloc();
	int ret = -NLE_NOMEM;

	if (!msg)
		return ret;
	if (genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, netlink->family, 0, NLM_F_ACK, VMLET_CMD_TUNABLE_SET,
			VMLET_GENL_VERSION) &&
	    !nla_put_string(msg, VMLET_A_TUNABLE_NAME, name) && !nla_put_u64(msg, VMLET_A_TUNABLE_VALUE, value))
		ret = nl_send_auto(netlink->socket, msg);
	nlmsg_free(msg);
	return ret < 0 ? ret : nl_wait_for_ack(netlink->socket);
}

uint64_t vmlet_message_number(const struct vmlet_message *message, int attribute)
{
	const struct nlattr *value = message->attributes[attribute];

	if (!value)
		return 0;
	return nla_len(value) == sizeof(uint64_t) ? nla_get_u64(value) :
	       nla_len(value) == sizeof(uint32_t) ? nla_get_u32(value) : 0;
}

void vmlet_message_string(const struct vmlet_message *message, int attribute, char *to, size_t size)
{
	const struct nlattr *value = message->attributes[attribute];
	size_t length = value ? strnlen(nla_data(value), nla_len(value)) : 0;

	snprintf(to, size, "%.*s", (int)length, value ? (const char *)nla_data(value) : "");
	for (; *to; to++) {
		if (!isprint((unsigned char)*to))
			*to = '?';
	}
}
