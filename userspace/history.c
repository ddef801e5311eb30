// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: statistics over time
 */
#include "history.h"

void vmlet_history_begin(struct vmlet_history *history, const struct vmlet_stats_sample *sample)
{
	history->first = *sample;
	history->last = *sample;
	history->moments = 0;
}

void vmlet_history_add(struct vmlet_history *history, const struct vmlet_stats_sample *sample, double seconds)
{
	struct vmlet_moment *moment = &history->moment[history->moments];

	*moment = (struct vmlet_moment) { .begin = vmlet_history_seconds(history), .end = seconds };
	history->sum = *sample;
	vmlet_stats_since(&history->sum, &history->last);
	for (uint32_t i = 0; i < sample->exits; i++) {
		moment->count[i] = history->sum.exit[i].count;
		for (int what = 0; what < VMLET_TIMES; what++)
			moment->time[what] += history->sum.exit[i].time[what];
	}
	history->moments++;
	history->last = *sample;
	history->sum = *sample;
	vmlet_stats_since(&history->sum, &history->first);
}

double vmlet_history_seconds(const struct vmlet_history *history)
{
	return history->moments ? history->moment[history->moments - 1].end : 0;
}

uint64_t vmlet_history_time(const struct vmlet_history *history, enum vmlet_time what)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < history->sum.exits; i++)
		sum += history->sum.exit[i].time[what];
	return sum;
}
