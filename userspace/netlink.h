/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the module's generic netlink family
 *
 * What the messages are is in uapi/vmlet_netlink.h.
 */
#ifndef VMLET_NETLINK_H
#define VMLET_NETLINK_H

#include "../uapi/vmlet_netlink.h"

#include <netlink/netlink.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct vmlet_netlink - a connection
 * @socket: libnl's
 * @family: number of the family
 */
struct vmlet_netlink {
	struct nl_sock *socket;
	int family;
};

/**
 * struct vmlet_message - a message
 * @command: enum vmlet_cmd
 * @attributes: by number of enum vmlet_attr_*, the last one of each; NULL: it has not this one
 * @first: the first attribute, for who wants all of one number: nla_for_each_attr()
 * @length: bytes of all attributes
 */
struct vmlet_message {
	int command;
	struct nlattr *attributes[32];
	struct nlattr *first;
	int length;
};

/**
 * vmlet_netlink_open() - connect, or say why not and what to do
 * @netlink: the connection
 *
 * Return: whether it is there.
 */
bool vmlet_netlink_open(struct vmlet_netlink *netlink);

/**
 * vmlet_netlink_close() - end a connection that vmlet_netlink_open() has made
 * @netlink: the connection
 */
void vmlet_netlink_close(struct vmlet_netlink *netlink);

/**
 * vmlet_netlink_listen() - from now on have notifications, or say why not
 * @netlink: the connection, which is good for nothing else then
 *
 * Return: whether it is so.
 */
bool vmlet_netlink_listen(struct vmlet_netlink *netlink);

/**
 * typedef vmlet_take - takes a message
 * @message: the message
 * @data: what the caller gave along with the function
 *
 * Return: false to have no more.
 */
typedef bool vmlet_take(const struct vmlet_message *message, void *data);

/**
 * vmlet_netlink_dump() - ask for all of a kind
 * @netlink: the connection
 * @command: VMLET_CMD_*_GET
 * @take: called for each
 * @data: given to @take
 *
 * Return: 0, or libnl's negative error; -NLE_DUMP_INTR: something has changed meanwhile, ask again.
 */
int vmlet_netlink_dump(struct vmlet_netlink *netlink, int command, vmlet_take *take, void *data);

/**
 * vmlet_netlink_tune() - set a tunable
 * @netlink: the connection
 * @name: its name
 * @value: what to set it to
 *
 * Return: 0, or libnl's negative error; -NLE_OBJ_NOTFOUND: there is none of that name, -NLE_RANGE: it does not take @value,
 * -NLE_PERM.
 */
int vmlet_netlink_tune(struct vmlet_netlink *netlink, const char *name, uint64_t value);

/**
 * vmlet_netlink_receive() - wait for notifications
 * @netlink: the connection, after vmlet_netlink_listen()
 * @take: called for each
 * @data: given to @take
 *
 * Return: 0 after some, or libnl's negative error; -NLE_NOMEM: some were lost.
 */
int vmlet_netlink_receive(struct vmlet_netlink *netlink, vmlet_take *take, void *data);

/**
 * vmlet_message_number() - the value of an attribute of 32 or 64 bits
 * @message: the message
 * @attribute: its number
 *
 * Return: the value, or 0 if there is none.
 */
uint64_t vmlet_message_number(const struct vmlet_message *message, int attribute);

/**
 * vmlet_message_string() - the value of an attribute
 * @message: the message
 * @attribute: its number
 * @to: gets it, with what a terminal might take for more than text replaced
 * @size: bytes there, more than 0
 */
void vmlet_message_string(const struct vmlet_message *message, int attribute, char *to, size_t size);

#endif
