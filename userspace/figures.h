/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: diagrams of statistics, as scripts for gnuplot
 */
#ifndef VMLET_FIGURES_H
#define VMLET_FIGURES_H

#include "history.h"

/**
 * vmlet_figure_shares() - where the time goes: a bar a reason, with guest, kernel and user
 * @script: where
 * @history: of what; there were exits
 */
void vmlet_figure_shares(FILE *script, const struct vmlet_history *history);

/**
 * vmlet_figure_shares_over_time() - guest, kernel and user over time
 * @script: where
 * @history: of what; some time was measured
 */
void vmlet_figure_shares_over_time(FILE *script, const struct vmlet_history *history);

/**
 * vmlet_figure_rates() - exits per second over time, a line for each of the most frequent reasons
 * @script: where
 * @history: of what; there were exits
 */
void vmlet_figure_rates(FILE *script, const struct vmlet_history *history);

/**
 * vmlet_figure_histograms() - a reason's times in guest, kernel and user, all reasons' on the same scale
 * @script: where
 * @history: of what
 * @exit: the reason, of which some time was measured
 */
void vmlet_figure_histograms(FILE *script, const struct vmlet_history *history, const struct vmlet_exit_stats *exit);

#endif
