// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet stat` and `vmlet top`
 */
#include "commands.h"
#include "report.h"
#include "size.h"
#include "stats.h"
#include "sums.h"

#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define COLUMNS \
	"columns:\n" \
	"  count   exits for that reason\n" \
	"  share   of the time that exits take in kernel and userspace\n" \
	"  kernel  time in the kernel: in all, mean, median and 99th percentile of an exit.\n" \
	"          What a halted vCPU sleeps is part of hlt; quantiles are rounded to a power of two\n" \
	"  user    mean time of a return to userspace\n" \
	"  guest   mean time from entry to exit, the guest's own work and the hardware's\n"

static const char stat_usage[] =
	"usage: vmlet stat [PID] [--vcpus] [--json | --phases]\n"
	"       vmlet stat --sums [--json]\n"
	"\n"
	"Say what the exits of running virtual machines cost: of process PID's, or of all that you may look at.\n"
	"\n"
	"  --vcpus   each vCPU by itself\n"
	"  --phases  what the mean kernel's time went to of exits that left the inner loop, since `vmlet tune exit_phases=1`:\n"
	"            the inner loop itself, the switch out of it and back, the handler, sleep of a halted vCPU, the rest\n"
	"  --sums    what the kernel sums up, of each virtual machine of your own user; for root of each, and of all since the\n"
	"            module was loaded, those that have gone included. Times are in all\n"
	"  --json    for programs: times in ticks, histograms whose bucket n counts 2^(n-1) to 2^n ticks\n"
	"\n"
	COLUMNS
	"\n"
	"exit status: 0, 1 if there is none, 2 wrong usage\n"
	"\n"
	"example: vmlet stat $(pidof vmlet)\n";

static const char top_usage[] =
	"usage: vmlet top [PID] [--interval SECONDS] [--count N]\n"
	"\n"
	"Show what exits cost now, of process PID's virtual machines or of all that you may look at. q ends it.\n"
	"\n"
	"  --interval SECONDS   between two looks, 1 if it is not given\n"
	"  --count N            look so often, then end\n"
	"\n"
	COLUMNS
	"\n"
	"exit status: 0, 1 if there is none, 2 wrong usage\n"
	"\n"
	"example: vmlet top --interval 2\n";

/**
 * struct options - of both commands
 * @pid: process, 0: all
 * @vcpus: each by itself
 * @json: not for people
 * @sums: the kernel's
 * @phases: what the kernel's time goes to
 * @interval: milliseconds
 * @count: looks, 0: until told to stop
 */
struct options {
	pid_t pid;
	bool vcpus;
	bool json;
	bool sums;
	bool phases;
	long interval;
	long count;
};

/* 0, or what is wrong has been said. */
static int parse(int argc, char **argv, const struct option *known, const char *usage, struct options *options)
{
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (c) {
		case 'v':
			options->vcpus = true;
			break;
		case 'j':
			options->json = true;
			break;
		case 's':
			options->sums = true;
			break;
		case 'p':
			options->phases = true;
			break;
		case 'i':
			options->interval = vmlet_parse_count(optarg, 1000);
			break;
		case 'c':
			options->count = vmlet_parse_count(optarg, 1);
			if (!options->count)
				options->interval = 0;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(VMLET_EXIT_OFF);
		default:
			fputs(usage, stderr);
			return VMLET_EXIT_USAGE;
		}
	}
	if (optind < argc)
		options->pid = vmlet_parse_count(argv[optind], 1);
	if ((optind < argc && !options->pid) || optind + 1 < argc || !options->interval ||
	    (options->sums && (options->pid || options->vcpus)) || (options->phases && (options->sums || options->json))) {
		fputs(usage, stderr);
		return VMLET_EXIT_USAGE;
	}
	return 0;
}

/* How many of @source belong to one process, or 1. */
static size_t group(const struct vmlet_stats_source *source, size_t count, bool vcpus)
{
	size_t n = 1;

	while (!vcpus && n < count && source[n].pid == source[0].pid)
		n++;
	return n;
}

static void print_name(const struct vmlet_stats_source *source, size_t n, bool vcpus)
{
	if (vcpus)
		printf("process %d, vCPU %d\n", (int)source->pid, source->id);
	else
		printf("process %d, %zu vCPU%s\n", (int)source->pid, n, n == 1 ? "" : "s");
}

static void print_group(const struct vmlet_stats_source *source, size_t n, const struct options *options,
			struct vmlet_stats_sample *sample)
{
	vmlet_stats_sample(sample, source, n);
	if (!options->json) {
		print_name(source, n, options->vcpus);
		if (!options->phases)
			vmlet_stats_table(stdout, sample, VMLET_STATS_EXITS);
		else if (!vmlet_stats_phases(stdout, sample))
			puts("no phases have been measured; `vmlet tune exit_phases=1` has them measured, but with exit_times=0");
		return;
	}
	printf("{\"process\": %d, ", (int)source->pid);
	printf(options->vcpus ? "\"vcpu\": %zu, " : "\"vcpus\": %zu, ", options->vcpus ? (size_t)source->id : n);
	fputs("\"statistics\": ", stdout);
	vmlet_stats_json(stdout, sample);
	fputs("}", stdout);
}

int vmlet_stat(int argc, char **argv)
{
	static const struct option known[] = {
		{ "vcpus", no_argument, NULL, 'v' }, { "json", no_argument, NULL, 'j' },
		{ "sums", no_argument, NULL, 's' }, { "phases", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' }, { 0 }
	};
	static struct vmlet_stats_sample sample;
	struct options options = { .interval = 1 };
	struct vmlet_stats_list list;
	size_t n;
	int ret;

	ret = parse(argc, argv, known, stat_usage, &options);
	if (!ret && options.sums)
		return vmlet_sums(options.json);
	if (!ret)
		ret = vmlet_stats_need(&list, options.pid);
	if (ret)
		return ret;
	if (options.json)
		fputs("[", stdout);
	for (size_t i = 0; i < list.count; i += n) {
		if (i)
			puts(options.json ? "," : "");
		n = group(&list.source[i], list.count - i, options.vcpus);
		print_group(&list.source[i], n, &options, &sample);
	}
	if (options.json)
		puts("]");
	vmlet_stats_drop(&list);
	return VMLET_EXIT_OFF;
}

static struct termios cooked;

static void restore(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

static void take_keys(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &cooked))
		return;
	raw = cooked;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	atexit(restore);
}

/* True: the user has had enough. */
static bool pause_for(long ms)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (!isatty(STDIN_FILENO))
		in.fd = -1;
	return poll(&in, 1, ms) > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q');
}

static unsigned int terminal_rows(void)
{
	struct winsize size;

	return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row > 4 ? size.ws_row - 4 : VMLET_STATS_EXITS;
}

/* vCPUs come and go: who is new counts from its beginning, and who has gone no more. */
static void look(const struct options *options, struct vmlet_stats_list *list, struct vmlet_stats_sample *now)
{
	static struct vmlet_stats_sample before;
	static size_t counted;

	vmlet_stats_sample(now, list->source, list->count);
	if (list->count == counted) {
		struct vmlet_stats_sample since = *now;

		vmlet_stats_since(&since, &before);
		if (isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		printf("%zu vCPUs, the last %.1f s\n\n", list->count, options->interval / 1000.0);
		vmlet_stats_table(stdout, &since, terminal_rows());
		fflush(stdout);
	}
	before = *now;
	counted = list->count;
}

int vmlet_top(int argc, char **argv)
{
	static const struct option known[] = {
		{ "interval", required_argument, NULL, 'i' }, { "count", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' }, { 0 }
	};
	static struct vmlet_stats_sample sample;
	struct options options = { .interval = 1000 };
	struct vmlet_stats_list list;
	int ret;

	ret = parse(argc, argv, known, top_usage, &options);
	if (ret)
		return ret;
	take_keys();
	for (long looks = 0; !options.count || looks <= options.count; looks++) {
		ret = vmlet_stats_need(&list, options.pid);
		if (ret)
			return ret;
		look(&options, &list, &sample);
		vmlet_stats_drop(&list);
		if ((options.count && looks == options.count) || pause_for(options.interval))
			break;
	}
	return VMLET_EXIT_OFF;
}
