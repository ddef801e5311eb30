// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet tune`: numbers that change how virtual machines are run
 */
#include "commands.h"
#include "macros.h"
#include "netlink.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 64

static const char usage[] =
	"usage: vmlet tune [NAME=VALUE...]\n"
	"\n"
	"Set numbers that change how virtual machines are run, all of them and at once, or list them.\n"
	"Each is a parameter of the module, too. To set one takes root (CAP_SYS_ADMIN).\n"
	"\n"
	"exit status: 0, 1 if it cannot be set, 2 wrong usage\n"
	"\n"
	"example: vmlet tune exit_records=1\n";

static bool print_tunable(const struct vmlet_message *message, void *data)
{
	char name[NAME_SIZE], unit[NAME_SIZE];

	(void)data;
	vmlet_message_string(message, VMLET_A_TUNABLE_NAME, name, sizeof(name));
	vmlet_message_string(message, VMLET_A_TUNABLE_UNIT, unit, sizeof(unit));
	printf("%-16s %12llu %12llu %12llu  %s\n", name,
	       (unsigned long long)vmlet_message_number(message, VMLET_A_TUNABLE_VALUE),
	       (unsigned long long)vmlet_message_number(message, VMLET_A_TUNABLE_LEAST),
	       (unsigned long long)vmlet_message_number(message, VMLET_A_TUNABLE_MOST), unit);
	return true;
}

static int list(struct vmlet_netlink *netlink)
{
	int ret;

	printf("%-16s %12s %12s %12s  %s\n", "NAME", "VALUE", "LEAST", "MOST", "UNIT");
	ret = vmlet_netlink_dump(netlink, VMLET_CMD_TUNABLE_GET, print_tunable, NULL);
	if (!ret)
		return VMLET_EXIT_OFF;
	vmlet_error("tune: %s", nl_geterror(ret));
	return VMLET_EXIT_HOST;
}

/* NAME=VALUE; cuts it in two. */
static int set(struct vmlet_netlink *netlink, char *assignment)
{
	char *value = strchr(assignment, '='), *end;
	unsigned long long number;
	int ret;

	if (!value || !value[1] || value[1] == '-') {
		vmlet_error("`%s` is not NAME=VALUE\n%s", assignment, usage);
		return VMLET_EXIT_USAGE;
	}
	*value++ = 0;
	errno = 0;
	number = strtoull(value, &end, 0);
	if (*end || errno) {
		vmlet_error("`%s` is not a number", value);
		return VMLET_EXIT_USAGE;
	}
	ret = vmlet_netlink_tune(netlink, assignment, number);
	if (!ret)
		return VMLET_EXIT_OFF;
	if (ret == -NLE_OBJ_NOTFOUND)
		vmlet_error("there is no `%s`; `vmlet tune` lists them", assignment);
	else if (ret == -NLE_RANGE)
		vmlet_error("%s=%llu: out of range; `vmlet tune` lists what it takes", assignment, number);
	else if (ret == -NLE_PERM)
		vmlet_error("to set it takes root (CAP_SYS_ADMIN)");
	else
		vmlet_error("%s: %s", assignment, nl_geterror(ret));
	return VMLET_EXIT_HOST;
}

static int tune(int argc, char **argv)
{
	struct vmlet_netlink netlink;
	int status = VMLET_EXIT_OFF;

	if (!vmlet_netlink_open(&netlink))
		return VMLET_EXIT_HOST;
	if (!argc)
		status = list(&netlink);
	for (int i = 0; i < argc && status == VMLET_EXIT_OFF; i++)
		status = set(&netlink, argv[i]);
	vmlet_netlink_close(&netlink);
	return status;
}

int vmlet_tune(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option = getopt_long(argc, argv, "h", long_options, NULL);

	if (option == -1)
		return tune(argc - optind, argv + optind);
	fputs(usage, option == 'h' ? stdout : stderr);
	return option == 'h' ? VMLET_EXIT_OFF : VMLET_EXIT_USAGE;
}
