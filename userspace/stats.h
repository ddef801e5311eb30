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

/**
 * struct vmlet_stats_source - a vCPU whose statistics are mapped here
 * @pid: process that has it
 * @id: its number
 * @stats: what the kernel writes
 */
struct vmlet_stats_source {
	pid_t pid;
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
 * vmlet_stats_table() - print a sample, reasons with most time in kernel and userspace first
 * @out: where
 * @sample: what
 * @rows: at most so many reasons
 */
void vmlet_stats_table(FILE *out, const struct vmlet_stats_sample *sample, unsigned int rows);

/**
 * vmlet_stats_json() - print a sample as a JSON object
 * @out: where
 * @sample: what
 */
void vmlet_stats_json(FILE *out, const struct vmlet_stats_sample *sample);

#endif
