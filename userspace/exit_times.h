/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: from lines of trace_pipe to a table of what exits cost
 */
#ifndef VMLET_EXIT_TIMES_H
#define VMLET_EXIT_TIMES_H

#include <stdint.h>
#include <stdio.h>

#define VMLET_EXIT_TIMES_REASONS 64
#define VMLET_EXIT_TIMES_OPEN 4096

/**
 * struct vmlet_exit_reason - exits for one reason
 * @name: of the reason
 * @count: exits
 * @timed: those whose next entry was seen
 * @sum: of their times, in ticks
 * @least: the shortest
 * @most: the longest
 */
struct vmlet_exit_reason {
	char name[24];
	uint64_t count;
	uint64_t timed;
	uint64_t sum;
	uint64_t least;
	uint64_t most;
};

/**
 * struct vmlet_open_exit - an exit after which its vCPU has not been entered yet
 * @thread: that runs the vCPU
 * @vcpu: its number
 * @since: when, in ticks
 * @reason: why; NULL: none is open
 */
struct vmlet_open_exit {
	int thread;
	unsigned int vcpu;
	uint64_t since;
	struct vmlet_exit_reason *reason;
};

/**
 * struct vmlet_exit_times - what has been seen
 * @reason: by reason, in order of appearance
 * @reasons: how many
 * @open: by a hash of thread and vCPU; who comes later takes the place
 * @lost: events that the kernel had no room for
 */
struct vmlet_exit_times {
	struct vmlet_exit_reason reason[VMLET_EXIT_TIMES_REASONS];
	size_t reasons;
	struct vmlet_open_exit open[VMLET_EXIT_TIMES_OPEN];
	uint64_t lost;
};

/**
 * vmlet_exit_times_line() - take a line into account
 * @times: zeroed at first
 * @line: of trace_pipe, with times in ticks and without irq-info; lines of other events do nothing
 */
void vmlet_exit_times_line(struct vmlet_exit_times *times, const char *line);

/**
 * vmlet_exit_times_table() - print a table, reasons with most time first
 * @out: where
 * @times: what; they are sorted
 * @khz: ticks in a millisecond
 */
void vmlet_exit_times_table(FILE *out, struct vmlet_exit_times *times, uint32_t khz);

#endif
