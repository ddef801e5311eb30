// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet run`
 */
#include "boot.h"
#include "commands.h"
#include "machine.h"
#include "macros.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MEMORY (256ull << 20)
#define MAX_MEMORY (1ull << 40)
#define PAGE_SIZE 4096
#define DEFAULT_ENTRY 0x10000
#define REAL_MODE_END 0x100000

/*
 * What an unmodified kernel must be told. reboot: a reset is wanted at the keyboard
 * controller, and a warm one after a panic, by which the two are told apart; panic: at
 * once. io_delay: no device here is too slow for the CPU, and the delay is a port write,
 * an exit to userspace. tsc: it is the host's, and the watchdog would compare it with a
 * timer that is emulated too slowly for that.
 */
#define DEFAULT_ARGUMENTS "console=ttyS0 reboot=k,panic_warm panic=-1 io_delay=none tsc=reliable"

static const char usage[] =
	"usage: vmlet run --kernel FILE [--initrd FILE] [--append STRING] [OPTION...]\n"
	"       vmlet run --flat FILE [--entry ADDRESS] [--mode MODE] [OPTION...]\n"
	"\n"
	"Run a guest; its serial port is this terminal. Ctrl-A x quits, Ctrl-A h helps.\n"
	"\n"
	"  --kernel FILE     Linux kernel, a bzImage such as /boot/vmlinuz-*\n"
	"  --initrd FILE     initial RAM disk\n"
	"  --append STRING   added to the kernel command line, which begins with\n"
	"                    `" DEFAULT_ARGUMENTS "`\n"
	"                    and tsc_early_khz=N where the device tells the frequency\n"
	"  --flat FILE       raw image instead of a kernel, loaded and started at --entry\n"
	"  --entry ADDRESS   guest-physical address, default 0x10000\n"
	"  --mode MODE       real (default), protected or long\n"
	"  --mem SIZE        memory, in bytes or with K, M, G; default 256M\n"
	"  --device PATH     device, default " VMLET_DEVICE "\n"
	"  --stats           at the end, print exits by reason and port accesses\n"
	"  --help            this text\n"
	"\n"
	"exit status: 0 powered off (a raw image: or halted with interrupts off), 1 refused by\n"
	"the host, 2 wrong usage, 3 reboot, 4 kernel panic, 5 triple fault, 6 halted with\n"
	"interrupts off, 7 unexpected exit, 8 quit by Ctrl-A x; a signal kills as usual.\n"
	"\n"
	"example: vmlet run --kernel /boot/vmlinuz-$(uname -r) --initrd initrd.img --mem 512M\n";

/**
 * struct options - the command line
 * @linux_boot: kernel, RAM disk, arguments to append
 * @flat: raw image
 * @entry: its address
 * @mode: its mode
 * @memory: bytes
 * @device: path
 * @stats: print statistics
 * @help: print help only
 */
struct options {
	struct vmlet_linux linux_boot;
	const char *flat;
	uint64_t entry;
	enum vmlet_cpu_mode mode;
	uint64_t memory;
	const char *device;
	bool stats;
	bool help;
};

/* A number with an optional K, M or G. */
static bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMG";
	const char *unit;
	unsigned int shift = 0;
	char *end;

	errno = 0;
	*size = strtoull(text, &end, 0);
	if (errno || end == text || *text == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (*end || *size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return true;
}

static bool parse_mode(const char *text, enum vmlet_cpu_mode *mode)
{
	static const char *const names[] = {
		[VMLET_CPU_REAL] = "real",
		[VMLET_CPU_PROTECTED] = "protected",
		[VMLET_CPU_LONG] = "long",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(text, names[i])) {
			*mode = i;
			return true;
		}
	}
	return false;
}

static bool parse_memory(const char *text, uint64_t *memory)
{
	return parse_size(text, memory) && *memory && *memory % PAGE_SIZE == 0 &&
	       *memory <= MAX_MEMORY;
}

static bool bad_value(const char *option, const char *value)
{
	vmlet_error("%s %s: not a valid value; see `vmlet run --help`", option, value);
	return false;
}

static bool parse_option(struct options *options, int option, const char *value)
{
	switch (option) {
	case 'k':
		options->linux_boot.kernel = value;
		return true;
	case 'i':
		options->linux_boot.initrd = value;
		return true;
	case 'a':
		options->linux_boot.arguments = value;
		return true;
	case 'f':
		options->flat = value;
		return true;
	case 'e':
		return parse_size(value, &options->entry) || bad_value("--entry", value);
	case 'o':
		return parse_mode(value, &options->mode) || bad_value("--mode", value);
	case 'm':
		return parse_memory(value, &options->memory) || bad_value("--mem", value);
	case 'd':
		options->device = value;
		return true;
	case 's':
		options->stats = true;
		return true;
	case 'h':
		options->help = true;
		return true;
	default:
		fputs("see `vmlet run --help`\n", stderr);
		return false;
	}
}

static bool check_options(const struct options *options)
{
	const char *complaint = NULL;

	if (options->help)
		return true;
	if (!options->linux_boot.kernel == !options->flat)
		complaint = "give either --kernel or --flat";
	else if (options->flat && (options->linux_boot.initrd || *options->linux_boot.arguments))
		complaint = "--initrd and --append go with --kernel only";
	else if (options->flat && options->mode == VMLET_CPU_REAL &&
		 options->entry >= REAL_MODE_END)
		complaint = "--entry must be below 1 MiB in real mode";
	else if (options->flat && options->mode != VMLET_CPU_REAL &&
		 options->entry < VMLET_CPU_TABLES_END)
		complaint = "--entry must be 0x10000 or more in this mode: the CPU's tables are below";
	if (complaint)
		vmlet_error("%s; see `vmlet run --help`", complaint);
	return !complaint;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "append", required_argument, NULL, 'a' },
		{ "flat", required_argument, NULL, 'f' },
		{ "entry", required_argument, NULL, 'e' },
		{ "mode", required_argument, NULL, 'o' },
		{ "mem", required_argument, NULL, 'm' },
		{ "device", required_argument, NULL, 'd' },
		{ "stats", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (!parse_option(options, option, optarg))
			return false;
	}
	if (optind < argc)
		return bad_value("argument", argv[optind]);
	return check_options(options);
}

/*
 * A kernel without a local APIC learns the frequency of its TSC from the PIT, which takes
 * many slow exits and fails on a slow host. The device knows it exactly.
 */
static char *kernel_arguments(struct vmlet_machine *machine, const char *append)
{
	int khz = vmlet_ioctl(machine->vcpu.fd, KVM_GET_TSC_KHZ, 0);
	char frequency[40] = "", *arguments;

	if (khz > 0)
		snprintf(frequency, sizeof(frequency), " tsc_early_khz=%d", khz);
	if (asprintf(&arguments, DEFAULT_ARGUMENTS "%s%s%s", frequency, *append ? " " : "",
		     append) < 0)
		return NULL;
	return arguments;
}

static bool load_linux(struct vmlet_machine *machine, const struct options *options,
		       struct vmlet_cpu_start *start)
{
	struct vmlet_linux linux_boot = options->linux_boot;
	char *arguments = kernel_arguments(machine, linux_boot.arguments);
	bool loaded;

	if (!arguments) {
		vmlet_error("out of memory");
		return false;
	}
	linux_boot.arguments = arguments;
	loaded = vmlet_boot_linux(&machine->vm, &linux_boot, start);
	free(arguments);
	return loaded;
}

static bool load(struct vmlet_machine *machine, const struct options *options)
{
	struct vmlet_cpu_start start = { .mode = options->mode, .entry = options->entry };

	machine->halt_is_end = options->flat;
	if (!vmlet_cpu_setup(&machine->vm, &machine->vcpu))
		return false;
	if (options->flat && !vmlet_boot_flat(&machine->vm, options->flat, options->entry))
		return false;
	if (!options->flat && !load_linux(machine, options, &start))
		return false;
	return vmlet_cpu_start(&machine->vm, &machine->vcpu, &start);
}

static void die_of(int signal_number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal_number);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void print_end(enum vmlet_status status)
{
	static const char *const ends[] = {
		[VMLET_EXIT_REBOOT] = "the guest asked for a reboot",
		[VMLET_EXIT_PANIC] = "the guest's kernel panicked",
		[VMLET_EXIT_FAULT] = "the guest shut down by a triple fault",
		[VMLET_EXIT_HALT] = "the guest halted with interrupts off",
		[VMLET_EXIT_QUIT] = "quit",
	};

	if (status < ARRAY_SIZE(ends) && ends[status])
		vmlet_error("%s", ends[status]);
}

static int run_guest(struct vmlet_machine *machine, const struct options *options)
{
	enum vmlet_status status;
	int stop;

	if (!load(machine, options))
		return VMLET_EXIT_HOST;
	status = vmlet_machine_run(machine);
	stop = atomic_load(&machine->events.stop);
	if (options->stats)
		vmlet_machine_print_stats(machine);
	if (stop > 0)
		die_of(stop);
	print_end(status);
	return status;
}

int vmlet_run(int argc, char **argv)
{
	struct options options = {
		.linux_boot.arguments = "",
		.entry = DEFAULT_ENTRY,
		.memory = DEFAULT_MEMORY,
		.device = VMLET_DEVICE,
	};
	static struct vmlet_machine machine;
	int status;

	if (!parse_options(&options, argc, argv))
		return VMLET_EXIT_USAGE;
	if (options.help) {
		fputs(usage, stdout);
		return VMLET_EXIT_OFF;
	}
	if (!vmlet_machine_create(&machine, options.device, options.memory))
		return VMLET_EXIT_HOST;
	status = run_guest(&machine, &options);
	vmlet_machine_destroy(&machine);
	return status;
}
