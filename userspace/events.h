/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what happens outside the guest: time, keys, signals
 *
 * The main thread waits for all of it, from the start of the guest to its end. The end may
 * also come from any other thread; whoever must notice it can poll(2) for it.
 */
#ifndef VMLET_EVENTS_H
#define VMLET_EVENTS_H

#include "stream.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

/* vmlet_events_loop() returns this when the user has quit, otherwise a signal's number. */
#define VMLET_STOP_QUIT (-1)

/**
 * struct vmlet_events - what is waited for
 * @timer_fd: expires at @armed
 * @signal_fd: signals that end the program
 * @end_fd: readable for ever when the guest has ended
 * @ended: the same for those who have much to do and do not poll(2) meanwhile
 * @armed: deadline that @timer_fd is set to; whoever sets alarms serializes
 * @signals: those that were blocked before
 * @input: what is typed goes there
 * @alarm: the deadline has come
 * @typed: there is something new in @input
 * @context: argument of @alarm and @typed
 */
struct vmlet_events {
	int timer_fd;
	int signal_fd;
	int end_fd;
	atomic_bool ended;
	uint64_t armed;
	sigset_t signals;
	struct vmlet_input *input;
	void (*alarm)(void *context);
	void (*typed)(void *context);
	void *context;
};

/**
 * vmlet_events_start() - from now on signals that would end the program end the guest
 * @events: filled in, but for @alarm, @typed and @context; make no threads before this
 * @input: filled in
 *
 * Return: 0 or a negative errno.
 */
int vmlet_events_start(struct vmlet_events *events, struct vmlet_input *input);

/**
 * vmlet_events_loop() - wait, and do what is needed, until the guest ends
 * @events: started
 *
 * Return: 0 if the guest has ended, else why it must: a signal's number or
 * VMLET_STOP_QUIT. In both cases @end_fd is readable.
 */
int vmlet_events_loop(struct vmlet_events *events);

/**
 * vmlet_events_end() - the guest has ended; any thread may call this
 * @events: started
 */
void vmlet_events_end(struct vmlet_events *events);

/**
 * vmlet_events_alarm() - set the time of the next alarm
 * @events: started
 * @deadline: time, or VMLET_NEVER; replaces the previous one
 */
void vmlet_events_alarm(struct vmlet_events *events, uint64_t deadline);

/**
 * vmlet_events_release() - signals end the program again
 * @events: started
 */
void vmlet_events_release(struct vmlet_events *events);

/**
 * vmlet_events_destroy() - close everything
 * @events: started, or vmlet_events_start() has failed
 */
void vmlet_events_destroy(struct vmlet_events *events);

#endif
