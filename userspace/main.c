// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the vmlet command
 */
#include "commands.h"
#include "macros.h"
#include "report.h"

#include <stdio.h>
#include <string.h>


static const char usage[] =
	"usage: vmlet COMMAND [OPTION...]\n"
	"\n"
	"Run virtual machines on " VMLET_DEVICE ", or on any device that speaks the KVM API.\n"
	"\n"
	"commands:\n"
	"  run     run a Linux kernel or a raw image, its serial port on this terminal\n"
	"  check   say what this host can do and what is missing\n"
	"  stat    say what the exits of running virtual machines cost\n"
	"  top     show it live\n"
	"  report  draw it, as an HTML page with diagrams\n"
	"  trace   print tracepoints of virtual CPUs, or a table of what exits cost\n"
	"  list    list virtual machines and their virtual CPUs\n"
	"  events  tell what happens to virtual machines\n"
	"  tune    list or set what changes how virtual machines are run\n"
	"\n"
	"`vmlet COMMAND --help` explains a command.\n";

/**
 * struct command - a command of the program
 * @name: what the user types
 * @run: what it does
 */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "run", vmlet_run },
	{ "check", vmlet_check },
	{ "stat", vmlet_stat },
	{ "top", vmlet_top },
	{ "report", vmlet_report },
	{ "trace", vmlet_trace },
	{ "list", vmlet_list },
	{ "events", vmlet_events },
	{ "tune", vmlet_tune },
};

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		fputs(usage, stdout);
		return VMLET_EXIT_OFF;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	if (*name)
		vmlet_error("there is no command `%s`", name);
	fputs(usage, stderr);
	return VMLET_EXIT_USAGE;
}
