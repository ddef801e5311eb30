// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: statistics of running vCPUs
 *
 * A vCPU's file is found by its name in /proc, copied from the process that has it, and its statistics are mapped. After
 * that reading them takes no system call, and nothing of the vCPU's own thread.
 */
#include "stats.h"
#include "macros.h"
#include "report.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VCPU_LINK "anon_inode:vmlet-vcpu:"
#define TRIES 1000

/* At first a page, which says how much there is. */
static const struct vmlet_stats *map_stats(int fd)
{
	size_t size = sysconf(_SC_PAGESIZE), whole;
	const struct vmlet_stats *stats;

	stats = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, VMLET_STATS_OFFSET);
	if (stats == MAP_FAILED)
		return NULL;
	whole = stats->size;
	munmap((void *)stats, size);
	stats = mmap(NULL, whole, PROT_READ, MAP_SHARED, fd, VMLET_STATS_OFFSET);
	return stats == MAP_FAILED ? NULL : stats;
}

static void read_name(pid_t pid, char *name, int size)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, size, file))
		*name = 0;
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = 0;
}

static int append(struct vmlet_stats_list *list, pid_t pid, int id, const struct vmlet_stats *stats)
{
	struct vmlet_stats_source *source = reallocarray(list->source, list->count + 1, sizeof(*source));

	if (!source)
		return -ENOMEM;
	list->source = source;
	source[list->count++] = (struct vmlet_stats_source) { .pid = pid, .id = id, .stats = stats };
	read_name(pid, list->source[list->count - 1].name, VMLET_STATS_NAME);
	return 0;
}

static int take(struct vmlet_stats_list *list, pid_t pid, int id, int theirs)
{
	const struct vmlet_stats *stats = NULL;
	int pidfd = syscall(SYS_pidfd_open, pid, 0), fd = -1;

	if (pidfd >= 0)
		fd = syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	if (fd >= 0)
		stats = map_stats(fd);
	if (fd >= 0)
		close(fd);
	if (pidfd >= 0)
		close(pidfd);
	if (!stats) {
		list->refused++;
		return 0;
	}
	return append(list, pid, id, stats);
}

static int find_in(struct vmlet_stats_list *list, pid_t pid)
{
	char path[64], link[64];
	struct dirent *entry;
	ssize_t len;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (!ret && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (len < 0)
			continue;
		link[len] = 0;
		if (!strncmp(link, VCPU_LINK, strlen(VCPU_LINK)))
			ret = take(list, pid, atoi(link + strlen(VCPU_LINK)), atoi(entry->d_name));
	}
	closedir(dir);
	return ret;
}

int vmlet_stats_find(struct vmlet_stats_list *list, pid_t pid)
{
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	*list = (struct vmlet_stats_list) { 0 };
	if (pid)
		return find_in(list, pid);
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while (!ret && (entry = readdir(dir)))
		if (isdigit(entry->d_name[0]))
			ret = find_in(list, atoi(entry->d_name));
	closedir(dir);
	return ret;
}

int vmlet_stats_need(struct vmlet_stats_list *list, pid_t pid)
{
	int ret = vmlet_stats_find(list, pid);

	if (ret) {
		vmlet_error("statistics: %s", strerror(-ret));
		return VMLET_EXIT_HOST;
	}
	if (list->count)
		return 0;
	if (list->refused || (pid && !kill(pid, 0) && geteuid()))
		vmlet_error("these virtual machines are of another user, or may not be traced: run this as root");
	else if (pid)
		vmlet_error("process %d has no virtual machine on " VMLET_DEVICE, (int)pid);
	else
		vmlet_error("no virtual machine runs on " VMLET_DEVICE "; `vmlet run` starts one");
	return VMLET_EXIT_HOST;
}

void vmlet_stats_drop(struct vmlet_stats_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		munmap((void *)list->source[i].stats, list->source[i].stats->size);
	free(list->source);
	*list = (struct vmlet_stats_list) { 0 };
}

/* Of one moment, if the vCPU is not so busy that there is none between two exits. What an older module has not is 0. */
static void copy(struct vmlet_exit_stats *to, const struct vmlet_stats *stats, uint32_t index)
{
	const struct vmlet_exit_stats *from = (const void *)((const char *)stats + stats->exit_offset + index * stats->exit_size);
	size_t size = stats->exit_size < sizeof(*to) ? stats->exit_size : sizeof(*to);
	uint64_t sequence;

	memset(to, 0, sizeof(*to));
	for (int tries = 0; tries < TRIES; tries++) {
		sequence = __atomic_load_n(&from->sequence, __ATOMIC_ACQUIRE);
		memcpy(to, from, size);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(sequence % 2) && sequence == __atomic_load_n(&from->sequence, __ATOMIC_RELAXED))
			return;
	}
}

/* From @count on all of it is counters. */
#define COUNTERS ((sizeof(struct vmlet_exit_stats) - offsetof(struct vmlet_exit_stats, count)) / sizeof(uint64_t))

static void add(struct vmlet_exit_stats *to, const struct vmlet_exit_stats *other, bool subtract)
{
	const __u64 *from = &other->count;
	__u64 *sum = &to->count;

	memcpy(to->name, other->name, sizeof(to->name));
	for (size_t i = 0; i < COUNTERS; i++)
		sum[i] += subtract ? -from[i] : from[i];
}

void vmlet_stats_sample(struct vmlet_stats_sample *sample, const struct vmlet_stats_source *source, size_t count)
{
	struct vmlet_exit_stats exit;

	memset(sample, 0, sizeof(*sample));
	for (; count--; source++) {
		sample->exits = source->stats->exits < VMLET_STATS_EXITS ? source->stats->exits : VMLET_STATS_EXITS;
		sample->tsc_khz = source->stats->tsc_khz;
		for (uint32_t i = 0; i < sample->exits; i++) {
			copy(&exit, source->stats, i);
			add(&sample->exit[i], &exit, false);
		}
	}
}

void vmlet_stats_since(struct vmlet_stats_sample *sample, const struct vmlet_stats_sample *before)
{
	for (uint32_t i = 0; i < sample->exits; i++)
		if (sample->exit[i].count >= before->exit[i].count)
			add(&sample->exit[i], &before->exit[i], true);
}

static uint64_t times(const struct vmlet_exit_stats *exit, enum vmlet_time what)
{
	uint64_t sum = 0;

	for (int i = 0; i < VMLET_TIME_BUCKETS; i++)
		sum += exit->histogram[what][i];
	return sum;
}

/* The middle of the bucket below which is @share of the times. */
static double quantile(const struct vmlet_exit_stats *exit, enum vmlet_time what, double share)
{
	uint64_t wanted = times(exit, what) * share, seen = 0;

	for (int i = 1; i < VMLET_TIME_BUCKETS; i++) {
		seen += exit->histogram[what][i];
		if (seen > wanted)
			return 1.5 * (1ull << (i - 1));
	}
	return 0;
}

static double mean(const struct vmlet_exit_stats *exit, enum vmlet_time what)
{
	uint64_t n = times(exit, what);

	return n ? (double)exit->time[what] / n : 0;
}

const char *vmlet_stats_duration(double ticks, uint32_t khz, char *text, size_t size)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = khz ? ticks * 1e6 / khz : ticks;
	unsigned int unit = 0;

	while (khz && value >= 1000 && unit < ARRAY_SIZE(units) - 1) {
		value /= 1000;
		unit++;
	}
	if (value)
		snprintf(text, size, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, khz ? units[unit] : "ticks");
	else
		snprintf(text, size, "-");
	return text;
}

static uint64_t cost(const struct vmlet_exit_stats *exit)
{
	return exit->time[VMLET_TIME_KERNEL] + exit->time[VMLET_TIME_USER];
}

static int by_cost(const void *a, const void *b)
{
	const struct vmlet_exit_stats *const *x = a, *const *y = b;

	if (cost(*x) != cost(*y))
		return cost(*x) < cost(*y) ? 1 : -1;
	return (*x)->count < (*y)->count ? 1 : -1;
}

void vmlet_stats_sort(struct vmlet_stats_sorted *sorted, const struct vmlet_stats_sample *sample)
{
	*sorted = (struct vmlet_stats_sorted) { 0 };
	for (uint32_t i = 0; i < sample->exits; i++) {
		if (!sample->exit[i].count)
			continue;
		sorted->exit[sorted->exits++] = &sample->exit[i];
		sorted->cost += cost(&sample->exit[i]);
	}
	qsort(sorted->exit, sorted->exits, sizeof(sorted->exit[0]), by_cost);
}

const char *const vmlet_stats_columns[VMLET_STATS_COLUMNS] = {
	"exit", "count", "share", "kernel", "mean", "median", "99 %", "user", "guest",
};

void vmlet_stats_cells(struct vmlet_stats_cells *cells, const struct vmlet_exit_stats *exit, uint64_t all, uint32_t khz)
{
	const double lengths[] = {
		exit->time[VMLET_TIME_KERNEL], mean(exit, VMLET_TIME_KERNEL), quantile(exit, VMLET_TIME_KERNEL, 0.5),
		quantile(exit, VMLET_TIME_KERNEL, 0.99), mean(exit, VMLET_TIME_USER), mean(exit, VMLET_TIME_GUEST),
	};
	size_t n = 0;

	snprintf(cells->text[n++], VMLET_STATS_CELL, "%s", exit->name);
	snprintf(cells->text[n++], VMLET_STATS_CELL, "%llu", (unsigned long long)exit->count);
	snprintf(cells->text[n++], VMLET_STATS_CELL, "%.1f %%", all ? 100.0 * cost(exit) / all : 0);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		vmlet_stats_duration(lengths[i], khz, cells->text[n++], VMLET_STATS_CELL);
}

static void print_row(FILE *out, const char *const *text)
{
	fprintf(out, "%-18s %10s %8s %9s %9s %9s %9s %9s %9s\n", text[0], text[1], text[2], text[3], text[4], text[5],
		text[6], text[7], text[8]);
}

void vmlet_stats_table(FILE *out, const struct vmlet_stats_sample *sample, unsigned int rows)
{
	const char *text[VMLET_STATS_COLUMNS];
	struct vmlet_stats_sorted sorted;
	struct vmlet_stats_cells cells;

	vmlet_stats_sort(&sorted, sample);
	for (size_t i = 0; i < VMLET_STATS_COLUMNS; i++)
		text[i] = cells.text[i];
	print_row(out, vmlet_stats_columns);
	for (uint32_t i = 0; i < sorted.exits && i < rows; i++) {
		vmlet_stats_cells(&cells, sorted.exit[i], sorted.cost, sample->tsc_khz);
		print_row(out, text);
	}
}

static const char *const phase_names[VMLET_PHASES] = { "inner", "switch", "handler", "halt", "rest" };

bool vmlet_stats_phases(FILE *out, const struct vmlet_stats_sample *sample)
{
	struct vmlet_stats_sorted sorted;
	char text[VMLET_STATS_CELL];
	bool any = false;

	vmlet_stats_sort(&sorted, sample);
	for (uint32_t i = 0; i < sorted.exits; i++) {
		const struct vmlet_exit_stats *exit = sorted.exit[i];

		if (!exit->left)
			continue;
		if (!any) {
			fprintf(out, "%-18s %10s", "exit", "left");
			for (int phase = 0; phase < VMLET_PHASES; phase++)
				fprintf(out, " %9s", phase_names[phase]);
			fputs("\n", out);
		}
		any = true;
		fprintf(out, "%-18s %10llu", exit->name, (unsigned long long)exit->left);
		for (int phase = 0; phase < VMLET_PHASES; phase++)
			fprintf(out, " %9s", vmlet_stats_duration((double)exit->phase[phase] / exit->left, sample->tsc_khz,
								  text, sizeof(text)));
		fputs("\n", out);
	}
	return any;
}

static void print_histogram(FILE *out, const __u64 *histogram)
{
	int last = VMLET_TIME_BUCKETS - 1;

	while (last > 0 && !histogram[last])
		last--;
	for (int i = 0; i <= last; i++)
		fprintf(out, "%s%llu", i ? ", " : "[", (unsigned long long)histogram[i]);
	fputs("]", out);
}

void vmlet_stats_json(FILE *out, const struct vmlet_stats_sample *sample)
{
	static const char *const names[VMLET_TIMES] = { "guest", "kernel", "user" };
	bool any = false;

	fprintf(out, "{\"tsc_khz\": %u, \"exits\": {", sample->tsc_khz);
	for (uint32_t i = 0; i < sample->exits; i++) {
		const struct vmlet_exit_stats *exit = &sample->exit[i];

		if (!exit->count)
			continue;
		fprintf(out, "%s\n\t\"%s\": {\"count\": %llu", any ? "," : "", exit->name, (unsigned long long)exit->count);
		for (int what = 0; what < VMLET_TIMES; what++) {
			fprintf(out, ", \"%s\": {\"ticks\": %llu, \"histogram\": ", names[what],
				(unsigned long long)exit->time[what]);
			print_histogram(out, exit->histogram[what]);
			fputs("}", out);
		}
		fprintf(out, ", \"left\": %llu, \"phases\": {", (unsigned long long)exit->left);
		for (int phase = 0; phase < VMLET_PHASES; phase++)
			fprintf(out, "%s\"%s\": %llu", phase ? ", " : "", phase_names[phase],
				(unsigned long long)exit->phase[phase]);
		fputs("}}", out);
		any = true;
	}
	fputs("}}", out);
}
