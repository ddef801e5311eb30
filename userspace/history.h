/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: statistics over time
 */
#ifndef VMLET_HISTORY_H
#define VMLET_HISTORY_H

#include "stats.h"

#define VMLET_MOMENTS 600

/**
 * struct vmlet_moment - what has happened between two looks
 * @begin: the first, in seconds from the beginning
 * @end: the second
 * @count: exits, by reason
 * @time: ticks, by enum vmlet_time
 */
struct vmlet_moment {
	double begin;
	double end;
	uint64_t count[VMLET_STATS_EXITS];
	uint64_t time[VMLET_TIMES];
};

/**
 * struct vmlet_history - statistics over time
 * @first: what had been before
 * @last: at the latest look
 * @sum: the difference
 * @moment: the parts of it
 * @moments: how many
 */
struct vmlet_history {
	struct vmlet_stats_sample first;
	struct vmlet_stats_sample last;
	struct vmlet_stats_sample sum;
	struct vmlet_moment moment[VMLET_MOMENTS];
	size_t moments;
};

/**
 * vmlet_history_begin() - the first look
 * @history: filled in
 * @sample: what was seen
 */
void vmlet_history_begin(struct vmlet_history *history, const struct vmlet_stats_sample *sample);

/**
 * vmlet_history_add() - a later look, VMLET_MOMENTS times at most
 * @history: of the same vCPUs
 * @sample: what was seen
 * @seconds: when, from the first look on
 */
void vmlet_history_add(struct vmlet_history *history, const struct vmlet_stats_sample *sample, double seconds);

/**
 * vmlet_history_seconds() - how long it is
 * @history: the history
 *
 * Return: seconds.
 */
double vmlet_history_seconds(const struct vmlet_history *history);

/**
 * vmlet_history_time() - all time of a kind
 * @history: the history
 * @what: the kind
 *
 * Return: ticks.
 */
uint64_t vmlet_history_time(const struct vmlet_history *history, enum vmlet_time what);

#endif
