// SPDX-License-Identifier: GPL-2.0
/* Generic netlink: see genl.h. */
#include "genl.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#define BUFFER	(1 << 17)

static const void *attr_data(const struct nlattr *attr)
{
	return (const u8 *)attr + NLA_HDRLEN;
}

/* Attributes in @size bytes at @data, by type. */
static void attrs_find(const void *data, size_t size, const struct nlattr **table, size_t n)
{
	const struct nlattr *attr;
	size_t step;

	memset(table, 0, n * sizeof(*table));
	for (; size >= NLA_HDRLEN; data += step, size -= step) {
		attr = data;
		if (attr->nla_len < NLA_HDRLEN || attr->nla_len > size)
			die("an attribute of %u bytes in %zu", attr->nla_len, size);
		if ((attr->nla_type & NLA_TYPE_MASK) < n)
			table[attr->nla_type & NLA_TYPE_MASK] = attr;
		step = NLA_ALIGN(attr->nla_len);
		if (step > size)
			break;
	}
}

static const struct nlattr *attr_need(const struct genl_message *message, u16 type, size_t size)
{
	const struct nlattr *attr = message->attr[type];

	if (!attr)
		die("message %u has no attribute %u", message->cmd, type);
	if (size && attr->nla_len != NLA_HDRLEN + size)
		die("message %u: attribute %u has %u bytes", message->cmd, type, attr->nla_len);
	return attr;
}

u64 genl_u64(const struct genl_message *message, u16 type)
{
	u64 value;

	memcpy(&value, attr_data(attr_need(message, type, sizeof(value))), sizeof(value));
	return value;
}

u32 genl_u32(const struct genl_message *message, u16 type)
{
	u32 value;

	memcpy(&value, attr_data(attr_need(message, type, sizeof(value))), sizeof(value));
	return value;
}

const char *genl_string(const struct genl_message *message, u16 type)
{
	const struct nlattr *attr = attr_need(message, type, 0);
	const char *string = attr_data(attr);

	if (!memchr(string, 0, attr->nla_len - NLA_HDRLEN))
		die("message %u: attribute %u has no end", message->cmd, type);
	return string;
}

void genl_nested(struct genl_message *message, const struct nlattr *nest)
{
	*message = (struct genl_message) { .first = attr_data(nest), .size = nest->nla_len - NLA_HDRLEN };
	attrs_find(message->first, message->size, message->attr, GENL_ATTRS);
}

const struct nlattr *genl_each(const struct genl_message *message, u16 type, const struct nlattr *last)
{
	const u8 *end = (const u8 *)message->first + message->size;
	const u8 *at = last ? (const u8 *)last + NLA_ALIGN(last->nla_len) : message->first;

	for (; at + NLA_HDRLEN <= end; at += NLA_ALIGN(((const struct nlattr *)at)->nla_len))
		if ((((const struct nlattr *)at)->nla_type & NLA_TYPE_MASK) == type)
			return (const struct nlattr *)at;
	return NULL;
}

void genl_begin(struct genl *genl, struct genl_request *request, u8 cmd, u16 flags)
{
	*request = (struct genl_request) {
		.head = {
			.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
			.nlmsg_type = genl->family,
			.nlmsg_flags = NLM_F_REQUEST | flags,
			.nlmsg_seq = ++genl->seq,
		},
		.genl = { .cmd = cmd, .version = 1 },
	};
}

void genl_put(struct genl_request *request, u16 type, const void *data, size_t size)
{
	struct nlattr *attr = (struct nlattr *)((u8 *)request + NLMSG_ALIGN(request->head.nlmsg_len));

	if (request->head.nlmsg_len + NLA_ALIGN(NLA_HDRLEN + size) > sizeof(*request))
		die("a request is too long");
	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + size;
	memcpy((u8 *)attr + NLA_HDRLEN, data, size);
	request->head.nlmsg_len += NLA_ALIGN(attr->nla_len);
}

/* What an acknowledgment says: 0 or -errno, and in words. */
static int take_error(struct genl *genl, const struct nlmsghdr *head)
{
	const struct nlmsgerr *error = NLMSG_DATA(head);
	const struct nlattr *table[NLMSGERR_ATTR_MAX + 1];
	size_t skip = sizeof(*error);

	genl->text[0] = 0;
	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return error->error;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		skip += error->msg.nlmsg_len - NLMSG_HDRLEN;
	attrs_find((const u8 *)error + skip, head->nlmsg_len - NLMSG_HDRLEN - skip, table, NLMSGERR_ATTR_MAX + 1);
	if (table[NLMSGERR_ATTR_MSG])
		snprintf(genl->text, sizeof(genl->text), "%s", (const char *)attr_data(table[NLMSGERR_ATTR_MSG]));
	return error->error;
}

static void take_message(const struct nlmsghdr *head, void (*fn)(const struct genl_message *message, void *data),
			 void *data)
{
	const struct genlmsghdr *genl = NLMSG_DATA(head);
	struct genl_message message = {
		.cmd = genl->cmd,
		.first = (const u8 *)genl + GENL_HDRLEN,
		.size = head->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN,
	};

	attrs_find(message.first, message.size, message.attr, GENL_ATTRS);
	if (fn)
		fn(&message, data);
}

/* One datagram's messages. 1: there is more to come; else the end: 0 or -errno. */
static int take_datagram(struct genl *genl, const void *buffer, size_t size,
			 void (*fn)(const struct genl_message *message, void *data), void *data)
{
	const struct nlmsghdr *head = buffer;
	bool torn = false;

	for (; NLMSG_OK(head, size); head = NLMSG_NEXT(head, size)) {
		torn |= head->nlmsg_flags & NLM_F_DUMP_INTR;
		if (head->nlmsg_type == NLMSG_ERROR)
			return take_error(genl, head);
		if (head->nlmsg_type == NLMSG_DONE)
			return *(const int *)NLMSG_DATA(head) ?: torn ? -EAGAIN : 0;
		take_message(head, fn, data);
	}
	return torn ? 2 : 1;
}

static int receive(struct genl *genl, int flags, void (*fn)(const struct genl_message *message, void *data), void *data)
{
	static u8 buffer[BUFFER] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t size = recv(genl->fd, buffer, sizeof(buffer), flags);

	if (size < 0)
		return -errno;
	return take_datagram(genl, buffer, size, fn, data);
}

int __genl_talk(struct genl *genl, struct genl_request *request,
		void (*fn)(const struct genl_message *message, void *data), void *data)
{
	bool torn = false;
	int ret;

	if (send(genl->fd, request, request->head.nlmsg_len, 0) < 0)
		return -errno;
	do {
		ret = receive(genl, 0, fn, data);
		torn |= ret == 2;
	} while (ret > 0);
	return ret ?: torn ? -EAGAIN : 0;
}

/* The groups of a family are a list of lists. */
static u32 group_find(const struct genl_message *message, const char *name)
{
	const struct nlattr *list = attr_need(message, CTRL_ATTR_MCAST_GROUPS, 0);
	const struct nlattr *groups[8];
	struct genl_message group;

	attrs_find(attr_data(list), list->nla_len - NLA_HDRLEN, groups, 8);
	for (int i = 0; i < 8; i++) {
		if (!groups[i])
			continue;
		attrs_find(attr_data(groups[i]), groups[i]->nla_len - NLA_HDRLEN, group.attr, GENL_ATTRS);
		if (!strcmp(genl_string(&group, CTRL_ATTR_MCAST_GRP_NAME), name))
			return genl_u32(&group, CTRL_ATTR_MCAST_GRP_ID);
	}
	die("the family has no group %s", name);
}

struct family {
	struct genl *genl;
	const char *group;
};

static void take_family(const struct genl_message *message, void *data)
{
	struct family *family = data;

	memcpy(&family->genl->family, attr_data(attr_need(message, CTRL_ATTR_FAMILY_ID, sizeof(u16))), sizeof(u16));
	if (family->group)
		family->genl->group = group_find(message, family->group);
}

int __genl_open(struct genl *genl, const char *name, const char *group)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct family family = { genl, group };
	struct genl_request request;
	int one = 1, ret;

	*genl = (struct genl) { .family = GENL_ID_CTRL };
	genl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (genl->fd < 0 || connect(genl->fd, (struct sockaddr *)&kernel, sizeof(kernel)) ||
	    setsockopt(genl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)))
		die("a netlink socket: %s", strerror(errno));
	genl_begin(genl, &request, CTRL_CMD_GETFAMILY, NLM_F_ACK);
	genl_put_string(&request, CTRL_ATTR_FAMILY_NAME, name);
	ret = __genl_talk(genl, &request, take_family, &family);
	if (ret)
		close(genl->fd);
	return ret;
}

void genl_open(struct genl *genl, const char *family, const char *group)
{
	int ret = __genl_open(genl, family, group);

	if (ret)
		die("netlink family %s: %s", family, strerror(-ret));
}

void genl_close(struct genl *genl)
{
	close(genl->fd);
}

int __genl_join(struct genl *genl)
{
	if (setsockopt(genl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &genl->group, sizeof(genl->group)))
		return -errno;
	return 0;
}

int __genl_next(struct genl *genl, void (*fn)(const struct genl_message *message, void *data), void *data)
{
	int ret = receive(genl, MSG_DONTWAIT, fn, data);

	return ret > 0 ? 0 : ret;
}
