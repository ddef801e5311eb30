// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: `vmlet trace`
 */
#include "commands.h"
#include "exit_times.h"
#include "macros.h"
#include "report.h"
#include "size.h"
#include "stats.h"
#include "stop.h"
#include "tracefs.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

static const char usage[] =
	"usage: vmlet trace [PID] [--seconds N] [--events EVENT,...]\n"
	"       vmlet trace [PID] [--seconds N] --summary\n"
	"\n"
	"Print the tracepoints of virtual CPUs, of process PID's or of all, a line each, as they come: thread, the host's CPU,\n"
	"seconds since it was booted, event. It ends with process PID, after --seconds, or when it is interrupted. Needs root.\n"
	"\n"
	"  --seconds N    look on for N seconds\n"
	"  --events LIST  only these, all if it is not given: kvm_entry, kvm_exit, kvm_page_fault, kvm_pio, kvm_mmio, kvm_msr,\n"
	"                 kvm_inj_virq, kvm_inj_exception, kvm_userspace_exit, kvm_mmu_set_spte, kvm_unmap_hva_range,\n"
	"                 vmlet_memory_slot\n"
	"  --summary      no lines, but a table in the end: what exits cost\n"
	"\n"
	"columns of --summary:\n"
	"  samples  exits for that reason\n"
	"  share    of the exits\n"
	"  time     share of the time\n"
	"  total    time from exits to the next entries of their vCPUs; what a halted vCPU sleeps is part of hlt.\n"
	"           min, mean and max: of an exit\n"
	"\n"
	"exit status: 0, 1 if it cannot be told, 2 wrong usage\n"
	"\n"
	"example: vmlet trace --seconds 10 --summary\n";

static const char *const events[] = {
	"kvm_entry", "kvm_exit", "kvm_page_fault", "kvm_pio", "kvm_mmio", "kvm_msr", "kvm_inj_virq", "kvm_inj_exception",
	"kvm_userspace_exit", "kvm_mmu_set_spte", "kvm_unmap_hva_range", "vmlet_memory_slot",
};

#define ALL_EVENTS ((1u << ARRAY_SIZE(events)) - 1)
#define SUMMARY_EVENTS 3u	/* the first two */

/**
 * struct options - the command line
 * @pid: process, 0: all
 * @ms: milliseconds, 0: until told to stop
 * @events: bits, by events[]
 * @summary: a table
 */
struct options {
	pid_t pid;
	long ms;
	unsigned int events;
	bool summary;
};

/**
 * struct reader - reads lines
 * @text: what has been read of trace_pipe
 * @len: how much
 * @times: for a table, NULL: print them
 */
struct reader {
	char text[1 << 16];
	size_t len;
	struct vmlet_exit_times *times;
};

/**
 * struct stopwatch - to measure the rate of the TSC
 * @ticks: TSC
 * @ns: nanoseconds
 */
struct stopwatch {
	uint64_t ticks;
	uint64_t ns;
};

static struct stopwatch read_stopwatch(void)
{
	return (struct stopwatch) { .ticks = __rdtsc(), .ns = vmlet_stop_clock() };
}

/* With or without what is before the first underline. */
static unsigned int event_bit(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (!strcmp(name, events[i]) || !strcmp(name, strchr(events[i], '_') + 1))
			return 1u << i;
	return 0;
}

/* False: one of them is none. */
static bool parse_events(char *list, unsigned int *bits)
{
	for (char *rest, *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		if (!event_bit(name)) {
			vmlet_error("there is no event %s; `vmlet trace --help` lists them", name);
			return false;
		}
		*bits |= event_bit(name);
	}
	return *bits;
}

/* False: it is no option that can be. */
static bool take_option(int option, struct options *options)
{
	switch (option) {
	case 's':
		options->ms = vmlet_parse_count(optarg, 1000);
		return options->ms;
	case 'e':
		return parse_events(optarg, &options->events);
	case 'S':
		options->summary = true;
		return true;
	}
	return false;
}

static bool parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "seconds", required_argument, NULL, 's' }, { "events", required_argument, NULL, 'e' },
		{ "summary", no_argument, NULL, 'S' }, { "help", no_argument, NULL, 'h' }, { 0 }
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			exit(VMLET_EXIT_OFF);
		}
		if (!take_option(option, options))
			return false;
	}
	if (optind < argc) {
		options->pid = vmlet_parse_count(argv[optind++], 1);
		if (!options->pid)
			return false;
	}
	if (optind < argc || (options->summary && options->events))
		return false;
	if (!options->events)
		options->events = options->summary ? SUMMARY_EVENTS : ALL_EVENTS;
	return true;
}

/* Events begin last. */
static bool set_up(const struct vmlet_tracefs *tracefs, const struct options *options)
{
	char file[64];
	bool ok = vmlet_tracefs_write(tracefs, "options/irq-info", "0") &&
		  (!options->pid || vmlet_tracefs_only(tracefs, options->pid));

	for (size_t i = 0; ok && i < ARRAY_SIZE(events); i++) {
		snprintf(file, sizeof(file), "events/vmlet/%s/enable", events[i]);
		ok = !(options->events & 1u << i) || vmlet_tracefs_write(tracefs, file, "1");
	}
	return ok;
}

/* The thread's name is what its process wants, perhaps something for terminals. */
static void print_line(const char *line)
{
	for (; *line; line++)
		putchar(isprint((unsigned char)*line) ? *line : '?');
	putchar('\n');
}

static void take_lines(struct reader *reader)
{
	char *line = reader->text, *end;

	while ((end = memchr(line, '\n', reader->text + reader->len - line))) {
		*end = 0;
		if (reader->times)
			vmlet_exit_times_line(reader->times, line);
		else
			print_line(line);
		line = end + 1;
	}
	reader->len -= line - reader->text;
	memmove(reader->text, line, reader->len);
	if (reader->len == sizeof(reader->text))
		reader->len = 0;
}

/*
 * All that there is; where events come faster than this prints them, until @end or a signal, if @end is not 0. False: it cannot
 * be read, or nobody listens to us.
 */
static bool drain(struct reader *reader, int pipe, uint64_t end)
{
	ssize_t n;

	while ((n = read(pipe, reader->text + reader->len, sizeof(reader->text) - reader->len)) > 0) {
		reader->len += n;
		take_lines(reader);
		if (ferror(stdout) || (end && (vmlet_stop_signal() || vmlet_stop_clock() >= end)))
			break;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		vmlet_error("trace_pipe: %s", strerror(errno));
		return false;
	}
	return !fflush(stdout) && !ferror(stdout);
}

/* The process's end is seen before the last look, so nothing of it is left behind. */
static bool look_on(struct reader *reader, const struct vmlet_tracefs *tracefs, const struct options *options)
{
	struct pollfd files[] = {
		{ .fd = tracefs->pipe, .events = POLLIN },
		{ .fd = options->pid ? vmlet_stop_with(options->pid) : -1, .events = POLLIN },
	};
	uint64_t end = options->ms ? vmlet_stop_clock() + options->ms * (NSEC_PER_SEC / 1000) : VMLET_NEVER;
	bool ended = options->pid && files[1].fd < 0, ok;

	do {
		if (!ended && vmlet_stop_poll(files, ARRAY_SIZE(files), end) > 0)
			ended = files[1].revents;
		ok = drain(reader, tracefs->pipe, end);
	} while (ok && !ended && !vmlet_stop_signal() && vmlet_stop_clock() < end);
	if (files[1].fd >= 0)
		close(files[1].fd);
	/* What is there by now, and nothing more. */
	return ok && vmlet_tracefs_write(tracefs, "tracing_on", "0") && drain(reader, tracefs->pipe, 0);
}

static void print_summary(struct vmlet_exit_times *times, const struct stopwatch *start)
{
	struct stopwatch stop = read_stopwatch();
	double seconds = (double)(stop.ns - start->ns) / NSEC_PER_SEC;

	printf("%.1f s", seconds);
	if (times->lost)
		printf("; %llu events were lost: they came faster than they could be read", (unsigned long long)times->lost);
	puts("\n");
	vmlet_exit_times_table(stdout, times, (stop.ticks - start->ticks) / seconds / 1000);
}

static int trace(const struct vmlet_tracefs *tracefs, const struct options *options)
{
	static struct vmlet_exit_times times;
	static struct reader reader;
	struct stopwatch start = read_stopwatch();
	bool ok = set_up(tracefs, options);

	if (options->summary)
		reader.times = &times;
	ok = ok && look_on(&reader, tracefs, options);
	if (ok && options->summary)
		print_summary(&times, &start);
	return ok ? VMLET_EXIT_OFF : VMLET_EXIT_HOST;
}

int vmlet_trace(int argc, char **argv)
{
	struct options options = { 0 };
	struct vmlet_tracefs tracefs;
	struct vmlet_stats_list list;
	int ret;

	if (!parse(argc, argv, &options)) {
		fputs(usage, stderr);
		return VMLET_EXIT_USAGE;
	}
	vmlet_stop_catch();
	if (!vmlet_tracefs_open(&tracefs, options.summary ? "x86-tsc" : "mono"))
		return VMLET_EXIT_HOST;
	ret = options.pid ? vmlet_stats_need(&list, options.pid) : 0;
	if (options.pid)
		vmlet_stats_drop(&list);
	if (!ret)
		ret = trace(&tracefs, &options);
	vmlet_tracefs_close(&tracefs);
	return ret;
}
