// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet stat --sums`
 *
 * What the kernel has summed up: of each virtual machine, and of all since the module was loaded. Unlike the vCPUs' own statistics
 * it takes no right to trace the process, and remembers machines that have gone.
 */
#include "sums.h"

#include "commands.h"
#include "netlink.h"
#include "report.h"
#include "stats.h"

#include <netlink/attr.h>
#include <netlink/errno.h>
#include <stdlib.h>

enum { GUEST, KERNEL, USER, TIMES };

/**
 * struct sum - exits for one reason; numbers are those of enum vmlet_attr_exit
 */
struct sum {
	char name[VMLET_STATS_NAME];
	uint64_t count, time[TIMES];
};

/**
 * struct printer - what becomes of a message
 * @json: not for people
 * @printed: messages so far
 */
struct printer {
	bool json;
	unsigned int printed;
};

static bool take_sum(struct nlattr *nest, struct sum *sum)
{
	struct vmlet_message exit = { 0 };

	if (nla_parse_nested(exit.attributes, VMLET_A_EXIT_MAX, nest, NULL) < 0)
		return false;
	vmlet_message_string(&exit, VMLET_A_EXIT_NAME, sum->name, sizeof(sum->name));
	sum->count = vmlet_message_number(&exit, VMLET_A_EXIT_COUNT);
	for (int i = 0; i < TIMES; i++)
		sum->time[i] = vmlet_message_number(&exit, VMLET_A_EXIT_GUEST + i);
	return true;
}

static size_t take_sums(const struct vmlet_message *message, struct sum *sums, size_t room)
{
	struct nlattr *attribute;
	size_t n = 0;
	int left;

	nla_for_each_attr(attribute, message->first, message->length, left)
		if (nla_type(attribute) == VMLET_A_STATS_EXIT && n < room && take_sum(attribute, &sums[n]))
			n++;
	return n;
}

static int by_kernel_time(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	if (x->time[KERNEL] != y->time[KERNEL])
		return x->time[KERNEL] < y->time[KERNEL] ? 1 : -1;
	return x->count < y->count ? 1 : -1;
}

static void print_table(uint64_t vm, uint64_t vcpus, const struct sum *sums, size_t n, uint32_t khz)
{
	char text[TIMES][VMLET_STATS_CELL];

	if (vm)
		printf("virtual machine %llu, %llu vCPU%s\n", (unsigned long long)vm, (unsigned long long)vcpus,
		       vcpus == 1 ? "" : "s");
	else
		puts("all since the module was loaded");
	printf("%-18s %12s %9s %9s %9s\n", "exit", "count", "kernel", "user", "guest");
	for (; n--; sums++) {
		for (int i = 0; i < TIMES; i++)
			vmlet_stats_duration(sums->time[i], khz, text[i], sizeof(text[i]));
		printf("%-18s %12llu %9s %9s %9s\n", sums->name, (unsigned long long)sums->count, text[KERNEL], text[USER],
		       text[GUEST]);
	}
}

static void print_json(uint64_t vm, uint64_t vcpus, const struct sum *sums, size_t n, uint32_t khz)
{
	printf("{\"vm\": %llu, \"vcpus\": %llu, \"tsc_khz\": %u, \"exits\": {", (unsigned long long)vm,
	       (unsigned long long)vcpus, khz);
	for (size_t i = 0; i < n; i++)
		printf("%s\n\t\"%s\": {\"count\": %llu, \"guest\": %llu, \"kernel\": %llu, \"user\": %llu}", i ? "," : "",
		       sums[i].name, (unsigned long long)sums[i].count, (unsigned long long)sums[i].time[GUEST],
		       (unsigned long long)sums[i].time[KERNEL], (unsigned long long)sums[i].time[USER]);
	fputs("}}", stdout);
}

static bool print_message(const struct vmlet_message *message, void *data)
{
	uint64_t vm = vmlet_message_number(message, VMLET_A_STATS_VM_ID);
	uint64_t vcpus = vmlet_message_number(message, VMLET_A_STATS_VCPUS);
	uint32_t khz = vmlet_message_number(message, VMLET_A_STATS_TSC_KHZ);
	struct sum sums[VMLET_STATS_EXITS];
	struct printer *printer = data;
	size_t n = take_sums(message, sums, VMLET_STATS_EXITS);

	qsort(sums, n, sizeof(*sums), by_kernel_time);
	if (printer->printed++)
		puts(printer->json ? "," : "");
	(printer->json ? print_json : print_table)(vm, vcpus, sums, n, khz);
	return true;
}

int vmlet_sums(bool json)
{
	struct printer printer = { .json = json };
	struct vmlet_netlink netlink;
	int ret;

	if (!vmlet_netlink_open(&netlink))
		return VMLET_EXIT_HOST;
	if (json)
		fputs("[", stdout);
	ret = vmlet_netlink_dump(&netlink, VMLET_CMD_STATS_GET, print_message, &printer);
	vmlet_netlink_close(&netlink);
	if (json)
		puts("]");
	else if (!printer.printed)
		puts("There are no virtual machines, or none of yours.");
	/* A machine that came or went meanwhile: what was printed is right all the same. */
	if (ret >= 0 || ret == -NLE_DUMP_INTR)
		return VMLET_EXIT_OFF;
	vmlet_error("the sums: %s", nl_geterror(ret));
	return VMLET_EXIT_HOST;
}
