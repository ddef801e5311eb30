// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: names of hosts and protocols are not looked up
 *
 * libnl has functions that do, and would bring in glibc's, which in a static program still want shared libraries, as
 * the linker warns. Nobody calls them: these take their place.
 */
#include <netdb.h>
#include <stddef.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	(void)node;
	(void)service;
	(void)hints;
	*result = NULL;
	return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *result)
{
	(void)result;
}

struct protoent *getprotobyname(const char *name)
{
	(void)name;
	return NULL;
}

struct protoent *getprotobynumber(int number)
{
	(void)number;
	return NULL;
}
