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
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READ_SIZE 256
#define KICK_SIGNAL SIGRTMIN

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/* The signal itself does nothing: what counts is that it interrupts KVM_RUN. */
static void kicked(int signal)
{
	(void)signal;
}

static void kick(struct vmlet_events *events)
{
	pthread_mutex_lock(&events->lock);
	events->kicked = true;
	WRITE_ONCE(events->run->immediate_exit, 1);
	pthread_cond_signal(&events->kick);
	pthread_mutex_unlock(&events->lock);
	pthread_kill(events->vcpu_thread, KICK_SIGNAL);
}

/* Without a kick there is nothing to clear, and one that comes now is for the next round. */
bool vmlet_events_begin(struct vmlet_events *events)
{
	if (!READ_ONCE(events->run->immediate_exit))
		return false;
	pthread_mutex_lock(&events->lock);
	events->kicked = false;
	WRITE_ONCE(events->run->immediate_exit, 0);
	pthread_mutex_unlock(&events->lock);
	return true;
}

void vmlet_events_wait(struct vmlet_events *events)
{
	pthread_mutex_lock(&events->lock);
	while (!events->kicked)
		pthread_cond_wait(&events->kick, &events->lock);
	pthread_mutex_unlock(&events->lock);
}

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

static void wake(struct vmlet_events *events)
{
	/* Fails only if the counter is full, and then the thread is awake. */
	eventfd_write(events->wake_fd, 1);
}

bool vmlet_events_input(struct vmlet_events *events, uint8_t *byte)
{
	unsigned int count = atomic_load(&events->input_count);

	if (!count)
		return false;
	pthread_mutex_lock(&events->lock);
	*byte = events->input[events->input_head];
	events->input_head = (events->input_head + 1) % VMLET_INPUT_SIZE;
	count = atomic_fetch_sub(&events->input_count, 1);
	pthread_mutex_unlock(&events->lock);
	if (VMLET_INPUT_SIZE - count < READ_SIZE)
		wake(events);
	return true;
}

static void stop(struct vmlet_events *events, int why)
{
	atomic_store(&events->stop, why);
	kick(events);
}

static void store_input(struct vmlet_events *events, const uint8_t *bytes, ssize_t size)
{
	pthread_mutex_lock(&events->lock);
	for (ssize_t i = 0; i < size; i++) {
		unsigned int count = atomic_load(&events->input_count);

		events->input[(events->input_head + count) % VMLET_INPUT_SIZE] = bytes[i];
		atomic_store(&events->input_count, count + 1);
	}
	pthread_mutex_unlock(&events->lock);
	kick(events);
}

static void read_input(struct vmlet_events *events)
{
	uint8_t typed[READ_SIZE], kept[READ_SIZE];
	ssize_t size = read(STDIN_FILENO, typed, sizeof(typed)), count = 0;

	if (size <= 0) {
		events->input_open = size < 0 && (errno == EINTR || errno == EAGAIN);
		return;
	}
	for (ssize_t i = 0; i < size; i++) {
		switch (vmlet_terminal_key(typed[i])) {
		case VMLET_KEY_PASS:
			kept[count++] = typed[i];
			break;
		case VMLET_KEY_QUIT:
			stop(events, VMLET_STOP_QUIT);
			break;
		case VMLET_KEY_TAKEN:
			break;
		}
	}
	store_input(events, kept, count);
}

static void read_signal(struct vmlet_events *events)
{
	struct signalfd_siginfo info;

	if (read(events->signal_fd, &info, sizeof(info)) == sizeof(info))
		stop(events, info.ssi_signo);
}

static bool room_for_input(struct vmlet_events *events)
{
	return events->input_open &&
	       atomic_load(&events->input_count) <= VMLET_INPUT_SIZE - READ_SIZE;
}

static void *wait_for_events(void *argument)
{
	struct vmlet_events *events = argument;
	struct pollfd fds[] = {
		{ .fd = events->timer_fd, .events = POLLIN },
		{ .fd = events->signal_fd, .events = POLLIN },
		{ .fd = events->wake_fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	uint64_t ignored;

	while (!atomic_load(&events->ending)) {
		fds[3].fd = room_for_input(events) ? STDIN_FILENO : -1;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (read(events->timer_fd, &ignored, sizeof(ignored)) > 0)
			kick(events);
		if (fds[1].revents)
			read_signal(events);
		if (fds[2].revents)
			eventfd_read(events->wake_fd, &ignored);
		if (fds[3].revents)
			read_input(events);
	}
	return NULL;
}

/* Every thread blocks the ending signals; only the vCPU thread takes the kick. */
static int prepare_signals(void)
{
	struct sigaction action = { .sa_handler = kicked };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		sigaddset(&set, ending_signals[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(KICK_SIGNAL, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int start_thread(struct vmlet_events *events)
{
	sigset_t kick_only, before;
	int ret;

	sigemptyset(&kick_only);
	sigaddset(&kick_only, KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick_only, &before);
	ret = -pthread_create(&events->thread, NULL, wait_for_events, events);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static void close_all(struct vmlet_events *events)
{
	close(events->timer_fd);
	close(events->wake_fd);
	close(events->signal_fd);
}

int vmlet_events_start(struct vmlet_events *events, struct kvm_run *run)
{
	int ret = 0;

	*events = (struct vmlet_events){
		.run = run,
		.vcpu_thread = pthread_self(),
		.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.input_open = true,
		.armed = VMLET_NEVER,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.kick = PTHREAD_COND_INITIALIZER,
	};
	events->signal_fd = prepare_signals();
	if (events->timer_fd < 0 || events->wake_fd < 0 || events->signal_fd < 0)
		ret = -errno;
	else
		ret = start_thread(events);
	if (ret < 0)
		close_all(events);
	return ret;
}

void vmlet_events_end(struct vmlet_events *events)
{
	atomic_store(&events->ending, true);
	wake(events);
	pthread_join(events->thread, NULL);
	close_all(events);
}
