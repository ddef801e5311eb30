// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet run`
 */
#include "boot.h"
#include "commands.h"
#include "machine.h"
#include "macros.h"
#include "size.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	"Run a guest; its console is this terminal. Ctrl-A x quits, Ctrl-A h helps.\n"
	"\n"
	"  --kernel FILE     Linux kernel, a bzImage such as /boot/vmlinuz-*\n"
	"  --initrd FILE     initial RAM disk\n"
	"  --append STRING   added to the kernel command line, which begins with\n"
	"                    `" DEFAULT_ARGUMENTS "`\n"
	"                    and tsc_early_khz=N where the device tells the frequency\n"
	"  --flat FILE       raw image instead of a kernel, loaded and started at --entry;\n"
	"                    it has one CPU and no interrupts, and HLT ends it\n"
	"  --entry ADDRESS   guest-physical address, default 0x10000\n"
	"  --mode MODE       real (default), protected or long\n"
	"  --mem SIZE        memory, in bytes or with K, M, G; default 256M\n"
	"  --cpus N          CPUs, 1 to 64; default 1\n"
	"  --disk FILE[,ro]  virtio disk, an image or a block device; vda, vdb, ...\n"
	"  --net user        virtio network without privileges, by the program passt\n"
	"  --net tap=NAME    virtio network on a tap interface of this host\n"
	"  --balloon SIZE    memory that the guest shall give back, 0 to change nothing\n"
	"  --console WHICH   serial (default): the keyboard is for the serial port;\n"
	"                    hvc0: there is a virtio console too, and the keyboard is its\n"
	"  --device PATH     device, default " VMLET_DEVICE "\n"
	"  --recreate N[,S]  N times, at random moments, read the state of everything, close the\n"
	"                    virtual machine and go on in a new one; the guest notices nothing.\n"
	"                    S is the random numbers' seed\n"
	"  --stats           at the end, print exits by reason, port accesses, devices\n"
	"  --help            this text\n"
	"\n"
	"A guest of --kernel has a virtio source of random numbers, too.\n"
	"\n"
	"exit status: 0 powered off (a raw image: or halted), 1 refused by the host, 2 wrong\n"
	"usage, 3 reboot, 4 kernel panic, 5 triple fault, 7 unexpected exit, 8 quit by\n"
	"Ctrl-A x; a signal kills as usual.\n"
	"\n"
	"example: vmlet run --kernel /boot/vmlinuz-$(uname -r) --initrd initrd.img --mem 512M\n";

/**
 * struct device - a virtio device to be made
 * @type: which
 * @value: what the command line says about it
 */
struct device {
	const struct vmlet_virtio_type *type;
	const char *value;
};

/**
 * struct options - the command line
 * @linux_boot: kernel, RAM disk, arguments to append
 * @flat: raw image
 * @entry: its address
 * @mode: its mode
 * @machine: device node, memory, CPUs
 * @devices: virtio devices
 * @nr_devices: how many
 * @stats: print statistics
 * @help: print help only
 */
struct options {
	struct vmlet_linux linux_boot;
	const char *flat;
	uint64_t entry;
	enum vmlet_cpu_mode mode;
	struct vmlet_machine_setup machine;
	struct device devices[VMLET_VIRTIO_MAX];
	unsigned int nr_devices;
	bool stats;
	bool help;
};

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
	return vmlet_parse_size(text, memory) && *memory && *memory % PAGE_SIZE == 0 &&
	       *memory <= MAX_MEMORY;
}

static bool parse_cpus(const char *text, unsigned int *cpus)
{
	uint64_t number;

	if (!vmlet_parse_size(text, &number) || !number || number > VMLET_MAX_CPUS)
		return false;
	*cpus = number;
	return true;
}

static bool parse_recreate(const char *text, struct vmlet_machine_setup *setup)
{
	char *end;

	setup->recreations = strtoul(text, &end, 10);
	setup->seed = *end == ',' ? strtoul(end + 1, &end, 10) : (unsigned int)time(NULL);
	return setup->recreations && !*end;
}

static bool bad_value(const char *option, const char *value)
{
	vmlet_error("%s %s: not a valid value; see `vmlet run --help`", option, value);
	return false;
}

static bool add_device(struct options *options, const struct vmlet_virtio_type *type,
		       const char *value)
{
	if (options->nr_devices == VMLET_VIRTIO_MAX) {
		vmlet_error("too many devices; a machine has room for %u", VMLET_VIRTIO_MAX);
		return false;
	}
	options->devices[options->nr_devices++] = (struct device){ type, value };
	return true;
}

static bool parse_console(struct options *options, const char *value)
{
	if (!strcmp(value, "serial"))
		return true;
	if (strcmp(value, "hvc0"))
		return bad_value("--console", value);
	options->machine.input_to_console = true;
	return add_device(options, &vmlet_virtio_console, NULL);
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
		return vmlet_parse_size(value, &options->entry) || bad_value("--entry", value);
	case 'o':
		return parse_mode(value, &options->mode) || bad_value("--mode", value);
	case 'm':
		return parse_memory(value, &options->machine.memory) || bad_value("--mem", value);
	case 'd':
		options->machine.device = value;
		return true;
	case 'c':
		return parse_cpus(value, &options->machine.cpus) || bad_value("--cpus", value);
	case 'D':
		return add_device(options, &vmlet_virtio_blk, value);
	case 'n':
		return add_device(options, &vmlet_virtio_net, value);
	case 'b':
		return add_device(options, &vmlet_virtio_balloon, value);
	case 'C':
		return parse_console(options, value);
	case 'r':
		return parse_recreate(value, &options->machine) || bad_value("--recreate", value);
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

static bool check_devices(const struct options *options)
{
	for (unsigned int i = 0; i < options->nr_devices; i++) {
		const struct device *device = &options->devices[i];

		if (device->type->check && !device->type->check(device->value, options->machine.memory))
			return false;
	}
	return true;
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
	else if (options->flat && (options->machine.cpus > 1 || options->nr_devices ||
				   options->machine.recreations))
		complaint = "--cpus, virtio devices and --recreate go with --kernel only";
	else if (options->flat && options->mode == VMLET_CPU_REAL &&
		 options->entry >= REAL_MODE_END)
		complaint = "--entry must be below 1 MiB in real mode";
	else if (options->flat && options->mode != VMLET_CPU_REAL &&
		 options->entry < VMLET_CPU_TABLES_END)
		complaint = "--entry must be 0x10000 or more in this mode: the CPU's tables are below";
	if (complaint)
		vmlet_error("%s; see `vmlet run --help`", complaint);
	return !complaint && check_devices(options);
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
		{ "cpus", required_argument, NULL, 'c' },
		{ "disk", required_argument, NULL, 'D' },
		{ "net", required_argument, NULL, 'n' },
		{ "balloon", required_argument, NULL, 'b' },
		{ "console", required_argument, NULL, 'C' },
		{ "recreate", required_argument, NULL, 'r' },
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
 * A kernel learns the frequency of its TSC from the PIT, which takes many slow exits and
 * fails on a slow host. The device knows it exactly.
 */
static char *kernel_arguments(struct vmlet_machine *machine, const char *append)
{
	int khz = vmlet_ioctl(machine->processors[0].vcpu.fd, KVM_GET_TSC_KHZ, 0);
	const char *console = machine->setup.input_to_console ? " console=hvc0" : "";
	char frequency[40] = "", *arguments;

	if (khz > 0)
		snprintf(frequency, sizeof(frequency), " tsc_early_khz=%d", khz);
	if (asprintf(&arguments, DEFAULT_ARGUMENTS "%s%s%s%s", console, frequency,
		     *append ? " " : "", append) < 0)
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
	linux_boot.cpus = machine->nr_processors;
	linux_boot.devices = machine->virtio.count;
	loaded = vmlet_boot_linux(&machine->vm, &linux_boot, start);
	free(arguments);
	return loaded;
}

static bool add_devices(struct vmlet_machine *machine, const struct options *options)
{
	for (unsigned int i = 0; i < options->nr_devices; i++) {
		if (!vmlet_virtio_add(&machine->virtio, options->devices[i].type,
				      options->devices[i].value))
			return false;
	}
	return true;
}

/* All vCPUs but the first wait until the guest starts them. */
static bool load(struct vmlet_machine *machine, const struct options *options)
{
	struct vmlet_cpu_start start = { .mode = options->mode, .entry = options->entry };

	if (!add_devices(machine, options))
		return false;
	if (options->flat && !vmlet_boot_flat(&machine->vm, options->flat, options->entry))
		return false;
	if (!options->flat && !load_linux(machine, options, &start))
		return false;
	return vmlet_cpu_start(&machine->vm, &machine->processors[0].vcpu, &start);
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
	status = vmlet_machine_run(machine, &stop);
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
		.machine = { .device = VMLET_DEVICE, .memory = DEFAULT_MEMORY, .cpus = 1 },
	};
	static struct vmlet_machine machine;
	int status;

	if (!parse_options(&options, argc, argv))
		return VMLET_EXIT_USAGE;
	if (options.help) {
		fputs(usage, stdout);
		return VMLET_EXIT_OFF;
	}
	options.machine.irqchip = !options.flat;
	if (!options.flat && !add_device(&options, &vmlet_virtio_rng, NULL))
		return VMLET_EXIT_USAGE;
	if (!vmlet_machine_create(&machine, &options.machine))
		return VMLET_EXIT_HOST;
	status = run_guest(&machine, &options);
	vmlet_machine_destroy(&machine);
	return status;
}
