// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: diagrams of statistics, as scripts for gnuplot
 *
 * Data come with the script, in blocks. Names of reasons are the module's own, and need no quoting within quotes.
 */
#include "figures.h"
#include "macros.h"

#include <math.h>
#include <stdlib.h>

#define LINES 7		/* reasons in a diagram over time; there are eight colours */
#define COLOURS "podo"	/* which the colour-blind can tell apart */

/* Of enum vmlet_time. */
static const char *const time_names[VMLET_TIMES] = { "guest", "kernel", "user" };
static const char *const time_colours[VMLET_TIMES] = { "#0072b2", "#d55e00", "#009e73" };

/* The last bucket has times that are negative. */
#define BUCKETS (VMLET_TIME_BUCKETS - 1)

static void begin(FILE *script, unsigned int height)
{
	fprintf(script, "set terminal svg size 900,%u noenhanced font 'sans-serif,12' background 'white'\n"
		"set colorsequence " COLOURS "\n"
		"set grid\n"
		"set tics nomirror\n"
		"set key outside right top\n", height);
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * part / all : 0;
}

static uint64_t all_time(const uint64_t *time)
{
	return time[VMLET_TIME_GUEST] + time[VMLET_TIME_KERNEL] + time[VMLET_TIME_USER];
}

/* Columns 3 to 5 of $shares are guest, kernel and user, each on top of those before. */
static void print_shares(FILE *script, const uint64_t *time, uint64_t all)
{
	uint64_t sum = 0;

	for (int what = 0; what < VMLET_TIMES; what++) {
		sum += time[what];
		fprintf(script, " %.4f", percent(sum, all));
	}
	fputc('\n', script);
}

void vmlet_figure_shares(FILE *script, const struct vmlet_history *history)
{
	static const char *const lows[VMLET_TIMES] = { "0", "$3", "$4" };
	struct vmlet_stats_sorted sorted;
	uint64_t time[VMLET_TIMES], all;

	for (int what = 0; what < VMLET_TIMES; what++)
		time[what] = vmlet_history_time(history, what);
	all = all_time(time);
	vmlet_stats_sort(&sorted, &history->sum);
	begin(script, 80 + 22 * sorted.exits);
	fputs("$shares << END\n", script);
	for (uint32_t i = 0; i < sorted.exits; i++) {
		fprintf(script, "%u %s", i, sorted.exit[i]->name);
		for (int what = 0; what < VMLET_TIMES; what++)
			time[what] = sorted.exit[i]->time[what];
		print_shares(script, time, all);
	}
	fprintf(script, "END\n"
		"set xlabel \"%% of the virtual CPUs' time\"\n"
		"set xrange [0:*]\n"
		"set yrange [%u.5:-0.5]\n"
		"set ytics scale 0\n"
		"set style fill solid noborder\n"
		"plot", sorted.exits - 1);
	for (int what = 0; what < VMLET_TIMES; what++) {
		fprintf(script, " $shares using (0):1:(%s):%d:($1-0.4):($1+0.4):ytic(2) \\\n"
			"with boxxyerror linecolor '%s' title '%s',", lows[what], what + 3, time_colours[what], time_names[what]);
	}
	fputc('\n', script);
}

void vmlet_figure_shares_over_time(FILE *script, const struct vmlet_history *history)
{
	begin(script, 300);
	fputs("$shares << END\n", script);
	for (const struct vmlet_moment *moment = history->moment; moment < history->moment + history->moments; moment++) {
		if (!all_time(moment->time))
			continue;
		fprintf(script, "%.3f %.3f", (moment->begin + moment->end) / 2, moment->end - moment->begin);
		print_shares(script, moment->time, all_time(moment->time));
	}
	fprintf(script, "END\n"
		"set xlabel 'time in s'\n"
		"set ylabel \"%% of the virtual CPUs' time\"\n"
		"set xrange [0:%g]\n"
		"set yrange [0:100]\n"
		"set style fill solid noborder\n"
		"plot", vmlet_history_seconds(history));
	for (int what = VMLET_TIMES - 1; what >= 0; what--)
		fprintf(script, " $shares using 1:%d:2 with boxes linecolor '%s' title '%s',", what + 3,
			time_colours[what], time_names[what]);
	fputc('\n', script);
}

static int by_count(const void *a, const void *b)
{
	const struct vmlet_exit_stats *const *x = a, *const *y = b;

	return ((*x)->count < (*y)->count) - ((*x)->count > (*y)->count);
}

/* A column for each of the first reasons, one for all others. */
static void print_rates(FILE *script, const struct vmlet_history *history, const struct vmlet_moment *moment,
			const struct vmlet_stats_sorted *sorted)
{
	double seconds = moment->end - moment->begin;
	uint64_t others = 0;

	fprintf(script, "%.3f", (moment->begin + moment->end) / 2);
	for (uint32_t i = 0; i < sorted->exits; i++) {
		uint64_t count = moment->count[sorted->exit[i] - history->sum.exit];

		if (i < LINES)
			fprintf(script, " %.2f", count / seconds);
		else
			others += count;
	}
	fprintf(script, " %.2f\n", others / seconds);
}

void vmlet_figure_rates(FILE *script, const struct vmlet_history *history)
{
	struct vmlet_stats_sorted sorted;

	vmlet_stats_sort(&sorted, &history->sum);
	qsort(sorted.exit, sorted.exits, sizeof(sorted.exit[0]), by_count);
	begin(script, 300);
	fputs("$rates << END\ntime", script);
	for (uint32_t i = 0; i < sorted.exits && i < LINES; i++)
		fprintf(script, " %s", sorted.exit[i]->name);
	fputs(" others\n", script);
	for (size_t i = 0; i < history->moments; i++)
		print_rates(script, history, &history->moment[i], &sorted);
	fprintf(script, "END\n"
		"set xlabel 'time in s'\n"
		"set ylabel 'exits per second'\n"
		"set xrange [0:%g]\n"
		"set yrange [0:1<*]\n"
		"plot for [i=2:%u] $rates using 1:i with linespoints pointtype 7 pointsize 0.3 linewidth 1.5 \\\n"
		"title columnheader(i)\n", vmlet_history_seconds(history),
		(sorted.exits <= LINES ? sorted.exits : LINES + 1) + 1);
}

/**
 * struct span - what is shown of histograms
 * @low: first bucket
 * @high: behind the last one
 * @most: of any bucket
 */
struct span {
	int low;
	int high;
	uint64_t most;
};

static struct span find_span(const struct vmlet_stats_sample *sample)
{
	struct span span = { .low = BUCKETS, .high = 1 };

	for (uint32_t i = 0; i < sample->exits; i++) {
		for (int n = 0; n < VMLET_TIMES * BUCKETS; n++) {
			int bucket = n % BUCKETS;
			uint64_t count = sample->exit[i].histogram[n / BUCKETS][bucket];

			if (!count)
				continue;
			span.low = bucket < span.low ? bucket : span.low;
			span.high = bucket >= span.high ? bucket + 1 : span.high;
			span.most = count > span.most ? count : span.most;
		}
	}
	return span;
}

/* In seconds, or ticks. */
static double bucket_begin(int bucket, uint32_t khz)
{
	return ldexp(khz ? 1e-3 / khz : 1, bucket - 1);
}

/* Nothing has no logarithm: it is at 0.5, the lower end of the diagram. */
static void print_buckets(FILE *script, const struct span *span, const struct vmlet_exit_stats *exit, uint32_t khz)
{
	fputs("$buckets << END\n", script);
	for (int bucket = span->low; bucket <= span->high; bucket++) {
		fprintf(script, "%g", bucket_begin(bucket, khz));
		for (int what = 0; what < VMLET_TIMES; what++) {
			uint64_t count = bucket < span->high ? exit->histogram[what][bucket] : 0;

			fprintf(script, " %g", count ? (double)count : 0.5);
		}
		fputc('\n', script);
	}
	fputs("END\n", script);
}

void vmlet_figure_histograms(FILE *script, const struct vmlet_history *history, const struct vmlet_exit_stats *exit)
{
	struct span span = find_span(&history->sum);
	uint32_t khz = history->sum.tsc_khz;

	begin(script, 260);
	print_buckets(script, &span, exit, khz);
	fprintf(script, "set logscale xy\n"
		"set xrange [%g:%g]\n"
		"set yrange [0.5:%g]\n"
		"set xtics %s\n"
		"set format y '%%g'\n"
		"set ylabel 'exits'\n"
		"set style fill solid noborder\n"
		"unset key\n"
		"set rmargin 4\n"
		"set multiplot layout 1,%d title '%s'\n", bucket_begin(span.low, khz), bucket_begin(span.high, khz),
		2.0 * span.most, khz ? "format '%.0s %cs' rotate by -45" : "format '%g'", VMLET_TIMES, exit->name);
	for (int what = 0; what < VMLET_TIMES; what++) {
		fprintf(script, "set xlabel '%s: %s'\n"
			"plot $buckets using 1:%d with fillsteps linecolor '%s'\n", time_names[what],
			khz ? "time" : "ticks", what + 2, time_colours[what]);
	}
	fputs("unset multiplot\n", script);
}
