/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Generic netlink, by hand: what a library hides is what is tested.
 *
 * A function whose name begins with two underscores returns 0 or -errno; its twin ends the test as failed instead.
 */
#ifndef SELFTESTS_GENL_H
#define SELFTESTS_GENL_H

#include <string.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "vm.h"

#define GENL_ATTRS	16	/* more than any message here has */

/* A socket and the family that it speaks to. @text: what the kernel said about the last error, or empty. */
struct genl {
	int fd;
	u16 family;
	u32 group;
	u32 seq;
	char text[128];
};

/* A request that is being made. */
struct genl_request {
	struct nlmsghdr head;
	struct genlmsghdr genl;
	u8 attrs[256];
};

/* A message by its attributes: NULL is one that it has not; of several alike the last. @first, @size: all of them. */
struct genl_message {
	u8 cmd;
	const void *first;
	size_t size;
	const struct nlattr *attr[GENL_ATTRS];
};

/* @group may be NULL. Without such a family: -ENOENT. */
int __genl_open(struct genl *genl, const char *family, const char *group);
void genl_open(struct genl *genl, const char *family, const char *group);
void genl_close(struct genl *genl);

void genl_begin(struct genl *genl, struct genl_request *request, u8 cmd, u16 flags);
void genl_put(struct genl_request *request, u16 type, const void *data, size_t size);

static inline void genl_put_u64(struct genl_request *request, u16 type, u64 value)
{
	genl_put(request, type, &value, sizeof(value));
}

static inline void genl_put_string(struct genl_request *request, u16 type, const char *value)
{
	genl_put(request, type, value, strlen(value) + 1);
}

/*
 * Send it, and hand each message that comes back to @fn, which may be NULL. -EAGAIN: a dump is not of one moment.
 */
int __genl_talk(struct genl *genl, struct genl_request *request,
		void (*fn)(const struct genl_message *message, void *data), void *data);

/* The group that was named from now on; one message of it, or -EAGAIN where there is none now. */
int __genl_join(struct genl *genl);
int __genl_next(struct genl *genl, void (*fn)(const struct genl_message *message, void *data), void *data);

/* The value of an attribute that is there. */
u64 genl_u64(const struct genl_message *message, u16 type);
u32 genl_u32(const struct genl_message *message, u16 type);
const char *genl_string(const struct genl_message *message, u16 type);

/* The attributes in one that is there. Of those that are there several times: the one behind @last, which may be NULL, or NULL. */
void genl_nested(struct genl_message *message, const struct nlattr *nest);
const struct nlattr *genl_each(const struct genl_message *message, u16 type, const struct nlattr *last);

#endif
