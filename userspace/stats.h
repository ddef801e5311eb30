/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: statistics of running vCPUs, of this process and of others
 */
#ifndef VMLET_STATS_H
#define VMLET_STATS_H

#include "../uapi/vmlet.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define VMLET_STATS_EXITS 64
#define VMLET_STATS_NAME 32

/**
 * struct vmlet_stats_source - a vCPU whose statistics are mapped here
 * @pid: process that has it
 * @name: the process's: what it wants to be called, not for everybody's eyes as it is
 * @id: its number
 * @stats: what the kernel writes
 */
struct vmlet_stats_source {
	pid_t pid;
	char name[VMLET_STATS_NAME];
	int id;
	const struct vmlet_stats *stats;
};

/**
 * struct vmlet_stats_list - all vCPUs that were found
 * @source: them
 * @count: how many
 * @refused: vCPUs that may not be looked at
 */
struct vmlet_stats_list {
	struct vmlet_stats_source *source;
	size_t count;
	size_t refused;
};

/**
 * vmlet_stats_find() - the vCPUs of a process, or of all
 * @list: filled in; vmlet_stats_drop() gives back what it takes
 * @pid: the process; 0: all that we may look at
 *
 * Return: 0 or -ENOMEM.
 */
int vmlet_stats_find(struct vmlet_stats_list *list, pid_t pid);

/**
 * vmlet_stats_need() - the same, with a message if there are none
 * @list: filled in
 * @pid: the process, or 0
 *
 * Return: 0, or an exit status: why there are none has been said.
 */
int vmlet_stats_need(struct vmlet_stats_list *list, pid_t pid);

/**
 * vmlet_stats_drop() - undoes vmlet_stats_find()
 * @list: the list
 */
void vmlet_stats_drop(struct vmlet_stats_list *list);

/**
 * struct vmlet_stats_sample - sums over vCPUs, at one moment
 * @exit: by reason, as the kernel numbers them
 * @exits: how many reasons there are
 * @tsc_khz: ticks of @exit's times in a millisecond
 */
struct vmlet_stats_sample {
	struct vmlet_exit_stats exit[VMLET_STATS_EXITS];
	uint32_t exits;
	uint32_t tsc_khz;
};

/**
 * vmlet_stats_sample() - sum up vCPUs
 * @sample: filled in
 * @source: vCPUs
 * @count: how many
 */
void vmlet_stats_sample(struct vmlet_stats_sample *sample, const struct vmlet_stats_source *source, size_t count);

/**
 * vmlet_stats_since() - what has happened between two samples
 * @sample: the later one; becomes the difference
 * @before: the earlier one
 */
void vmlet_stats_since(struct vmlet_stats_sample *sample, const struct vmlet_stats_sample *before);

/**
 * vmlet_stats_duration() - a length of time with three digits and a unit
 * @ticks: of the TSC
 * @khz: its rate; 0: not known, and ticks they stay
 * @text: room for it
 * @size: how much
 *
 * Return: @text, "-" if it is none.
 */
const char *vmlet_stats_duration(double ticks, uint32_t khz, char *text, size_t size);

/**
 * struct vmlet_stats_sorted - reasons of a sample that there were
 * @exit: them, with most time in kernel and userspace first
 * @exits: how many
 * @cost: that time, of all
 */
struct vmlet_stats_sorted {
	const struct vmlet_exit_stats *exit[VMLET_STATS_EXITS];
	uint32_t exits;
	uint64_t cost;
};

/**
 * vmlet_stats_sort() - sort a sample
 * @sorted: filled in, points into @sample
 * @sample: the sample
 */
void vmlet_stats_sort(struct vmlet_stats_sorted *sorted, const struct vmlet_stats_sample *sample);

#define VMLET_STATS_COLUMNS 9
#define VMLET_STATS_CELL 32

/**
 * struct vmlet_stats_cells - a row of a table, below vmlet_stats_columns[]
 * @text: its cells
 */
struct vmlet_stats_cells {
	char text[VMLET_STATS_COLUMNS][VMLET_STATS_CELL];
};

extern const char *const vmlet_stats_columns[VMLET_STATS_COLUMNS];

/**
 * vmlet_stats_cells() - a reason's row
 * @cells: filled in
 * @exit: the reason
 * @all: time in kernel and userspace of which its share is told
 * @khz: rate of the TSC
 */
void vmlet_stats_cells(struct vmlet_stats_cells *cells, const struct vmlet_exit_stats *exit, uint64_t all, uint32_t khz);

/**
 * vmlet_stats_table() - print a sample, reasons with most time in kernel and userspace first
 * @out: where
 * @sample: what
 * @rows: at most so many reasons
 */
void vmlet_stats_table(FILE *out, const struct vmlet_stats_sample *sample, unsigned int rows);

/**
 * vmlet_stats_phases() - print what the kernel's time of exits that left the inner loop went to
 * @out: where
 * @sample: what
 *
 * Return: false: nothing was printed, for none has been measured.
 */
bool vmlet_stats_phases(FILE *out, const struct vmlet_stats_sample *sample);

/**
 * vmlet_stats_json() - print a sample as a JSON object
 * @out: where
 * @sample: what
 */
void vmlet_stats_json(FILE *out, const struct vmlet_stats_sample *sample);

#endif
