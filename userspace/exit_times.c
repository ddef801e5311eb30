// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: from lines of trace_pipe to a table of what exits cost
 *
 * A line begins with the thread's name, in 16 columns, and its number. The name is anything that its process wants, so
 * nothing in it counts, and lines that begin otherwise are left out.
 */
#include "exit_times.h"
#include "macros.h"
#include "stats.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMNS 16

/**
 * struct event - a line
 * @thread: number
 * @time: in ticks
 * @vcpu: number
 * @reason: why it exited; empty: it is entered
 */
struct event {
	int thread;
	unsigned long long time;
	unsigned int vcpu;
	char reason[24];
};

static bool parse(const char *line, struct event *event)
{
	int at = 0;

	*event = (struct event) { 0 };
	if (strlen(line) <= NAME_COLUMNS || line[NAME_COLUMNS] != '-')
		return false;
	line += NAME_COLUMNS + 1;
	if (sscanf(line, "%d [%*u] %llu: %n", &event->thread, &event->time, &at) != 2 || !at)
		return false;
	line += at;
	return sscanf(line, "kvm_exit: vcpu %u reason %23s", &event->vcpu, event->reason) == 2 ||
	       sscanf(line, "kvm_entry: vcpu %u", &event->vcpu) == 1;
}

/* NULL: there are more than can be. */
static struct vmlet_exit_reason *find(struct vmlet_exit_times *times, const char *name)
{
	struct vmlet_exit_reason *reason = times->reason, *end = reason + times->reasons;

	while (reason < end && strcmp(reason->name, name))
		reason++;
	if (reason < end)
		return reason;
	if (times->reasons == VMLET_EXIT_TIMES_REASONS)
		return NULL;
	times->reasons++;
	*reason = (struct vmlet_exit_reason) { .least = UINT64_MAX };
	snprintf(reason->name, sizeof(reason->name), "%s", name);
	return reason;
}

static void add_time(struct vmlet_exit_reason *reason, uint64_t time)
{
	reason->timed++;
	reason->sum += time;
	if (time < reason->least)
		reason->least = time;
	if (time > reason->most)
		reason->most = time;
}

/* Where the TSCs of CPUs differ, an entry may seem to be before its exit. */
static void take(struct vmlet_exit_times *times, const struct event *event)
{
	struct vmlet_open_exit *open = &times->open[(event->thread * 31u + event->vcpu) % VMLET_EXIT_TIMES_OPEN];

	if (*event->reason) {
		open->thread = event->thread;
		open->vcpu = event->vcpu;
		open->since = event->time;
		open->reason = find(times, event->reason);
		if (open->reason)
			open->reason->count++;
		return;
	}
	if (open->reason && open->thread == event->thread && open->vcpu == event->vcpu && event->time >= open->since)
		add_time(open->reason, event->time - open->since);
	open->reason = NULL;
}

/* How many is not always told. */
static uint64_t count_lost(const char *line)
{
	unsigned long long lost;
	int end = 0;

	if (sscanf(line, "CPU:%*u [LOST EVENTS]%n", &end) == 0 && end)
		return 1;
	if (sscanf(line, "CPU:%*u [LOST %llu EVENTS]%n", &lost, &end) == 1 && end)
		return lost;
	return 0;
}

/* An entry may be among what is lost: no exit before it is paired with what comes behind. */
void vmlet_exit_times_line(struct vmlet_exit_times *times, const char *line)
{
	uint64_t lost = count_lost(line);
	struct event event;

	if (lost) {
		times->lost += lost;
		memset(times->open, 0, sizeof(times->open));
	} else if (parse(line, &event)) {
		take(times, &event);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct vmlet_exit_reason *x = a, *y = b;

	if (x->sum != y->sum)
		return x->sum < y->sum ? 1 : -1;
	return x->count < y->count ? 1 : -1;
}

static void print_row(FILE *out, const struct vmlet_exit_reason *reason, const struct vmlet_exit_reason *all, uint32_t khz)
{
	const double lengths[] = {
		reason->sum, reason->timed ? reason->least : 0, reason->timed ? (double)reason->sum / reason->timed : 0,
		reason->most,
	};
	char text[32];

	fprintf(out, "%-18s %10llu %6.1f %% %6.1f %%", reason->name, (unsigned long long)reason->count,
		all->count ? 100.0 * reason->count / all->count : 0, all->sum ? 100.0 * reason->sum / all->sum : 0);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		fprintf(out, " %9s", vmlet_stats_duration(lengths[i], khz, text, sizeof(text)));
	fputc('\n', out);
}

void vmlet_exit_times_table(FILE *out, struct vmlet_exit_times *times, uint32_t khz)
{
	struct vmlet_exit_reason all = { .name = "all", .least = UINT64_MAX };

	for (struct vmlet_exit_reason *reason = times->reason; reason < times->reason + times->reasons; reason++) {
		all.count += reason->count;
		all.timed += reason->timed;
		all.sum += reason->sum;
		all.least = reason->least < all.least ? reason->least : all.least;
		all.most = reason->most > all.most ? reason->most : all.most;
	}
	qsort(times->reason, times->reasons, sizeof(times->reason[0]), by_time);
	fprintf(out, "%-18s %10s %8s %8s %9s %9s %9s %9s\n", "exit", "samples", "share", "time", "total", "min", "mean", "max");
	for (size_t i = 0; i < times->reasons; i++)
		print_row(out, &times->reason[i], &all, khz);
	print_row(out, &all, &all, khz);
}
