// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet events`
 */
#include "commands.h"
#include "macros.h"
#include "netlink.h"
#include "report.h"

#include <getopt.h>
#include <netlink/errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_SIZE 32

static const char usage[] =
	"usage: vmlet events\n"
	"\n"
	"Tell what happens to virtual machines on this host, a line each, until it is interrupted: a machine is created or\n"
	"destroyed, the CPU refuses to enter a guest, a virtual CPU stops by an internal error. Needs root.\n"
	"\n"
	"exit status: 1 if it cannot be told, 2 wrong usage; 0 for --help\n"
	"\n"
	"example: vmlet events | grep --line-buffered 'entry failed'\n";

/* The local time of its arrival, to the millisecond. */
static void print_time(void)
{
	struct timespec now;
	struct tm parts;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &parts);
	strftime(text, sizeof(text), "%F %T", &parts);
	printf("%s.%03ld ", text, now.tv_nsec / 1000000);
}

static void print_vm(const struct vmlet_message *message)
{
	char comm[NAME_SIZE];

	vmlet_message_string(message, VMLET_A_EVENT_OWNER_COMM, comm, sizeof(comm));
	printf("VM %llu of %s (pid %u, uid %u)", (unsigned long long)vmlet_message_number(message, VMLET_A_EVENT_VM_ID),
	       comm, (unsigned int)vmlet_message_number(message, VMLET_A_EVENT_OWNER_PID),
	       (unsigned int)vmlet_message_number(message, VMLET_A_EVENT_OWNER_UID));
	if (message->attributes[VMLET_A_EVENT_VCPU_ID])
		printf(" vCPU %u", (unsigned int)vmlet_message_number(message, VMLET_A_EVENT_VCPU_ID));
}

static void print_created(const struct vmlet_message *message)
{
	(void)message;
	printf("created");
}

static void print_destroyed(const struct vmlet_message *message)
{
	(void)message;
	printf("destroyed");
}

static void print_entry_failed(const struct vmlet_message *message)
{
	char field[NAME_SIZE], check[NAME_SIZE];

	printf("entry failed, hardware's reason %#llx",
	       (unsigned long long)vmlet_message_number(message, VMLET_A_EVENT_HW_REASON));
	vmlet_message_string(message, VMLET_A_EVENT_FIELD, field, sizeof(field));
	vmlet_message_string(message, VMLET_A_EVENT_CHECK, check, sizeof(check));
	if (*check)
		printf(": %s is %#llx: %s", field,
		       (unsigned long long)vmlet_message_number(message, VMLET_A_EVENT_VALUE), check);
}

static void print_internal_error(const struct vmlet_message *message)
{
	uint32_t suberror = vmlet_message_number(message, VMLET_A_EVENT_SUBERROR);
	const char *name = vmlet_suberror_name(suberror);
	char last_exit[NAME_SIZE];

	vmlet_message_string(message, VMLET_A_EVENT_LAST_EXIT, last_exit, sizeof(last_exit));
	printf("internal error %u (%s), last exit %s", suberror, name ? name : "unknown",
	       *last_exit ? last_exit : "none");
}

static void print_memory(const struct vmlet_message *message)
{
	(void)message;
	printf("a call has failed: the host has no memory for it");
}

static void (*const printers[])(const struct vmlet_message *message) = {
	[VMLET_CMD_VM_CREATED_NTF] = print_created,
	[VMLET_CMD_VM_DESTROYED_NTF] = print_destroyed,
	[VMLET_CMD_ENTRY_FAILED_NTF] = print_entry_failed,
	[VMLET_CMD_INTERNAL_ERROR_NTF] = print_internal_error,
	[VMLET_CMD_MEMORY_PRESSURE_NTF] = print_memory,
};

/* What is not known may come from a newer module. */
static bool print_event(const struct vmlet_message *message, void *data)
{
	uint64_t lost = vmlet_message_number(message, VMLET_A_EVENT_LOST);

	(void)data;
	print_time();
	print_vm(message);
	printf(": ");
	if ((size_t)message->command < ARRAY_SIZE(printers) && printers[message->command])
		printers[message->command](message);
	else
		printf("event %d", message->command);
	if (lost)
		printf("; %llu before this one left out: too many", (unsigned long long)lost);
	putchar('\n');
	return true;
}

static int print_events(void)
{
	struct vmlet_netlink netlink;
	int ret = -1;

	if (!vmlet_netlink_open(&netlink))
		return VMLET_EXIT_HOST;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (vmlet_netlink_listen(&netlink)) {
		do {
			ret = vmlet_netlink_receive(&netlink, print_event, NULL);
			if (ret == -NLE_NOMEM)
				vmlet_error("events were lost: they came faster than they could be told");
		} while (ret >= 0 || ret == -NLE_NOMEM || ret == -NLE_INTR);
		vmlet_error("events: %s", nl_geterror(ret));
	}
	vmlet_netlink_close(&netlink);
	return VMLET_EXIT_HOST;
}

int vmlet_events(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option = getopt_long(argc, argv, "h", long_options, NULL);

	if (option == 'h') {
		fputs(usage, stdout);
		return VMLET_EXIT_OFF;
	}
	if (option != -1 || optind < argc) {
		fputs(usage, stderr);
		return VMLET_EXIT_USAGE;
	}
	return print_events();
}
