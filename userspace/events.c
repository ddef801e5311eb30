// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: what happens outside the guest
 */
#include "events.h"

#include "macros.h"
#include "ports.h"
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READ_SIZE 256

enum { TIMER, SIGNAL, END, ROOM, TYPED };

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

void vmlet_events_alarm(struct vmlet_events *events, uint64_t deadline)
{
	struct itimerspec timer = { 0 };

	if (deadline == events->armed)
		return;
	events->armed = deadline;
	if (deadline != VMLET_NEVER) {
		timer.it_value.tv_sec = deadline / NSEC_PER_SEC;
		timer.it_value.tv_nsec = deadline % NSEC_PER_SEC;
	}
	timerfd_settime(events->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

void vmlet_events_end(struct vmlet_events *events)
{
	atomic_store(&events->ended, true);
	eventfd_write(events->end_fd, 1);
}

/* Returns whether there may be more later. */
static bool read_input(struct vmlet_events *events, int *stop)
{
	uint8_t typed[READ_SIZE], kept[READ_SIZE];
	ssize_t size = read(STDIN_FILENO, typed, sizeof(typed)), count = 0;

	if (size <= 0)
		return size < 0 && (errno == EINTR || errno == EAGAIN);
	for (ssize_t i = 0; i < size; i++) {
		enum vmlet_key key = vmlet_terminal_key(typed[i]);

		if (key == VMLET_KEY_PASS)
			kept[count++] = typed[i];
		else if (key == VMLET_KEY_QUIT)
			*stop = VMLET_STOP_QUIT;
	}
	vmlet_input_put(events->input, kept, count);
	events->typed(events->context);
	return true;
}

static int read_signal(const struct vmlet_events *events)
{
	struct signalfd_siginfo info;

	return read(events->signal_fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

int vmlet_events_loop(struct vmlet_events *events)
{
	struct pollfd fds[] = {
		[TIMER] = { .fd = events->timer_fd, .events = POLLIN },
		[SIGNAL] = { .fd = events->signal_fd, .events = POLLIN },
		[END] = { .fd = events->end_fd, .events = POLLIN },
		[ROOM] = { .fd = events->input->room_fd, .events = POLLIN },
		[TYPED] = { .events = POLLIN },
	};
	bool open = true;
	uint64_t ignored;
	int stop = 0;

	while (!stop && !fds[END].revents) {
		bool room = vmlet_input_room(events->input) >= READ_SIZE;

		fds[TYPED].fd = open && room ? STDIN_FILENO : -1;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[ROOM].revents)
			eventfd_read(events->input->room_fd, &ignored);
		if (read(events->timer_fd, &ignored, sizeof(ignored)) > 0)
			events->alarm(events->context);
		if (fds[TYPED].revents)
			open = read_input(events, &stop);
		if (fds[SIGNAL].revents)
			stop = read_signal(events);
	}
	vmlet_events_end(events);
	return stop;
}

static int block_signals(struct vmlet_events *events)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		sigaddset(&set, ending_signals[i]);
	pthread_sigmask(SIG_BLOCK, &set, &events->signals);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void vmlet_events_release(struct vmlet_events *events)
{
	pthread_sigmask(SIG_SETMASK, &events->signals, NULL);
}

int vmlet_events_start(struct vmlet_events *events, struct vmlet_input *input)
{
	*input = (struct vmlet_input){
		.ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.room_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	*events = (struct vmlet_events){
		.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.end_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.armed = VMLET_NEVER,
		.input = input,
	};
	events->signal_fd = block_signals(events);
	if (input->ready_fd < 0 || input->room_fd < 0 || events->timer_fd < 0 ||
	    events->end_fd < 0 || events->signal_fd < 0)
		return -errno;
	return 0;
}

void vmlet_events_destroy(struct vmlet_events *events)
{
	close(events->timer_fd);
	close(events->end_fd);
	close(events->signal_fd);
	close(events->input->ready_fd);
	close(events->input->room_fd);
}
