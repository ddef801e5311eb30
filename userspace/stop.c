// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: commands that look on for a while, and clean up however they end
 *
 * The signals are blocked but while waiting, so none comes between a look at vmlet_stop_signal() and the wait. A look lets in
 * those that have come.
 */
#include "stop.h"
#include "macros.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static sigset_t before;

static void catch(int number)
{
	caught = number;
}

void vmlet_stop_catch(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = catch };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaddset(&set, signals[i]);
		sigaction(signals[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGPIPE, SIG_IGN);
}

int vmlet_stop_signal(void)
{
	static const struct timespec at_once;

	ppoll(NULL, 0, &at_once, &before);
	return caught;
}

uint64_t vmlet_stop_clock(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

int vmlet_stop_poll(struct pollfd *files, nfds_t count, uint64_t end)
{
	uint64_t now = vmlet_stop_clock(), left = end > now ? end - now : 0;
	struct timespec time = { .tv_sec = left / NSEC_PER_SEC, .tv_nsec = left % NSEC_PER_SEC };

	return ppoll(files, count, end == VMLET_NEVER ? NULL : &time, &before);
}

int vmlet_stop_with(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

const sigset_t *vmlet_stop_mask(void)
{
	return &before;
}
