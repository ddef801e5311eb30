// SPDX-License-Identifier: GPL-2.0
/*
 * The runner's side of the host: alarms, signals, typed input, the terminal's modes,
 * output to a slow reader. Needs no virtual machine.
 */
#include "../events.h"
#include "../macros.h"
#include "../ports.h"
#include "../terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define MSEC 1000000ull
#define ROUNDS 2000

static struct vmlet_events events;
static struct vmlet_input input;
static unsigned int alarms;
static uint64_t clock_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

/* Standard input becomes the reading end of a pipe; returns the writing end. */
static int input_pipe(void)
{
	int fds[2];

	if (pipe(fds) < 0)
		ksft_exit_fail_msg("pipe\n");
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	return fds[1];
}

static void ignore(void *context)
{
	(void)context;
}

static void start(void (*on_alarm)(void *context))
{
	CHECK(vmlet_events_start(&events, &input) == 0);
	events.alarm = on_alarm;
	events.typed = ignore;
	alarms = 0;
}

static void end(void)
{
	vmlet_events_release(&events);
	vmlet_events_destroy(&events);
}

static void end_by_alarm(void *context)
{
	(void)context;
	alarms++;
	vmlet_events_end(&events);
}

/* An alarm that is put off does not come before its new time. */
static void alarm_comes(void)
{
	uint64_t deadline = clock_now() + 40 * MSEC;
	int writer = input_pipe();

	start(end_by_alarm);
	vmlet_events_alarm(&events, clock_now() + 20 * MSEC);
	vmlet_events_alarm(&events, VMLET_NEVER);
	vmlet_events_alarm(&events, deadline);
	CHECK(vmlet_events_loop(&events) == 0);
	CHECK(alarms == 1 && clock_now() >= deadline);
	end();
	close(writer);
}

static void next_alarm(void *context)
{
	(void)context;
	if (++alarms == ROUNDS)
		vmlet_events_end(&events);
	else
		vmlet_events_alarm(&events, clock_now() + alarms * 97 % 120000);
}

/* At all distances, some due before they are set: if one is lost, this never ends. */
static void no_alarm_is_lost(void)
{
	int writer = input_pipe();

	start(next_alarm);
	vmlet_events_alarm(&events, clock_now());
	CHECK(vmlet_events_loop(&events) == 0);
	CHECK(alarms == ROUNDS);
	end();
	close(writer);
}

static void *end_from_afar(void *argument)
{
	vmlet_events_end(argument);
	return NULL;
}

/* The end may come before the loop begins, and stays visible after it. */
static void thread_ends(void)
{
	struct pollfd fd = { .events = POLLIN };
	int writer = input_pipe();
	pthread_t thread;

	start(ignore);
	CHECK(pthread_create(&thread, NULL, end_from_afar, &events) == 0);
	CHECK(vmlet_events_loop(&events) == 0);
	pthread_join(thread, NULL);
	fd.fd = events.end_fd;
	CHECK(poll(&fd, 1, 0) == 1);
	end();
	close(writer);
}

static unsigned int taken;

/* Takes what is there, a few bytes at a time. */
static void take_input(void *context)
{
	uint8_t bytes[7];
	size_t size;

	(void)context;
	while ((size = vmlet_input_take(&input, bytes, sizeof(bytes))) > 0) {
		for (size_t i = 0; i < size; i++)
			CHECK(bytes[i] == taken++ * 7 % 251);
	}
	if (taken == 5 * VMLET_INPUT_SIZE)
		vmlet_events_end(&events);
}

/* Waits until the ring is full, so that the loop has to stop reading and go on later. */
static void *take_late(void *context)
{
	while (vmlet_input_room(&input) > VMLET_INPUT_SIZE / 8)
		usleep(1000);
	while (taken < 5 * VMLET_INPUT_SIZE)
		take_input(context);
	return NULL;
}

static void input_arrives(void)
{
	int writer = input_pipe();
	pthread_t thread;
	pid_t child;

	taken = 0;
	child = fork();
	if (!child) {
		for (unsigned int i = 0; i < 5 * VMLET_INPUT_SIZE; i++) {
			uint8_t byte = i * 7 % 251;

			if (write(writer, &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(writer);
	start(ignore);
	CHECK(pthread_create(&thread, NULL, take_late, NULL) == 0);
	CHECK(vmlet_events_loop(&events) == 0);
	pthread_join(thread, NULL);
	CHECK(taken == 5 * VMLET_INPUT_SIZE);
	waitpid(child, NULL, 0);
	end();
}

static void signal_stops(void)
{
	int writer = input_pipe();

	start(ignore);
	kill(getpid(), SIGTERM);
	CHECK(vmlet_events_loop(&events) == SIGTERM);
	end();
	close(writer);
}

/* No signal's number, and the terminal is needed: without one Ctrl-A is for the guest. */
static void quit_stops(void)
{
	int master, slave;

	CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	dup2(slave, STDIN_FILENO);
	start(ignore);
	vmlet_terminal_raw();
	CHECK(write(master, "ab\1x", 4) == 4);
	CHECK(vmlet_events_loop(&events) == VMLET_STOP_QUIT);
	vmlet_terminal_restore();
	end();
	close(slave);
	close(master);
}

static bool same_mode(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag;
}

static void terminal_modes(void)
{
	struct termios before, raw, after;
	int master, slave;

	CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	dup2(slave, STDIN_FILENO);
	CHECK(tcgetattr(STDIN_FILENO, &before) == 0);
	vmlet_terminal_raw();
	CHECK(tcgetattr(STDIN_FILENO, &raw) == 0);
	CHECK(!(raw.c_lflag & (ICANON | ECHO | ISIG)));
	vmlet_terminal_restore();
	CHECK(tcgetattr(STDIN_FILENO, &after) == 0);
	CHECK(same_mode(&before, &after));
	close(slave);
	close(master);
}

/* A child crashes with the terminal in raw mode; the mode must be back. */
static void terminal_after_crash(void)
{
	struct termios before, after;
	int master, slave, status;
	pid_t child;

	CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	dup2(slave, STDIN_FILENO);
	CHECK(tcgetattr(STDIN_FILENO, &before) == 0);
	child = fork();
	if (!child) {
		vmlet_terminal_raw();
		kill(getpid(), SIGSEGV);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK(tcgetattr(STDIN_FILENO, &after) == 0);
	CHECK(same_mode(&before, &after));
	close(slave);
	close(master);
}

static void escape_keys(void)
{
	static const struct {
		uint8_t byte;
		enum vmlet_key key;
	} rows[] = {
		{ 'x', VMLET_KEY_PASS }, { 3, VMLET_KEY_PASS },
		{ 1, VMLET_KEY_TAKEN }, { 1, VMLET_KEY_PASS },
		{ 'x', VMLET_KEY_PASS }, { 1, VMLET_KEY_TAKEN }, { 'q', VMLET_KEY_TAKEN },
		{ 'x', VMLET_KEY_PASS }, { 1, VMLET_KEY_TAKEN }, { 'x', VMLET_KEY_QUIT },
	};
	int master, slave;

	CHECK(vmlet_terminal_key(1) == VMLET_KEY_PASS);
	CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	dup2(slave, STDIN_FILENO);
	vmlet_terminal_raw();
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK(vmlet_terminal_key(rows[i].byte) == rows[i].key);
	vmlet_terminal_restore();
	close(slave);
	close(master);
}

#define OUTPUT_BYTES 100000

static void *give_up_late(void *output)
{
	usleep(100000);
	vmlet_output_give_up(output);
	return NULL;
}

/* In a child: write all there is to say to @fd; its status is the error. */
static void put_output(int fd, bool give_up)
{
	static struct vmlet_output output;
	pthread_t thread;

	dup2(fd, STDOUT_FILENO);
	if (vmlet_output_start(&output, eventfd(0, EFD_NONBLOCK)) < 0)
		_exit(255);
	if (give_up && pthread_create(&thread, NULL, give_up_late, &output))
		_exit(255);
	for (unsigned int i = 0; i < OUTPUT_BYTES; i++) {
		uint8_t byte = i * 7 % 251;

		vmlet_output_put(&output, &byte, 1);
	}
	_exit(-vmlet_output_finish(&output));
}

/* A non-blocking pipe that is read slowly gets everything. */
static void output_waits(void)
{
	unsigned int count = 0;
	uint8_t byte;
	int fds[2], status;
	pid_t child;

	CHECK(pipe2(fds, O_NONBLOCK) == 0);
	child = fork();
	if (!child)
		put_output(fds[1], false);
	close(fds[1]);
	for (;;) {
		struct pollfd fd = { .fd = fds[0], .events = POLLIN };
		ssize_t size;

		poll(&fd, 1, -1);
		size = read(fds[0], &byte, 1);
		if (size == 0)
			break;
		CHECK(size == 1 && byte == count++ * 7 % 251);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(count == OUTPUT_BYTES);
	close(fds[0]);
}

/*
 * Nobody reads, and whoever has something to say comes to an end all the same. A terminal
 * keeps the writer in write(2).
 */
static void output_gives_up(void)
{
	int master, slave, status;
	pid_t child;

	CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	child = fork();
	if (!child)
		put_output(slave, true);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == ECANCELED);
	close(master);
	close(slave);
}

static void output_breaks(void)
{
	int fds[2], status;
	pid_t child;

	CHECK(pipe(fds) == 0);
	close(fds[0]);
	child = fork();
	if (!child) {
		signal(SIGPIPE, SIG_IGN);
		put_output(fds[1], false);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EPIPE);
	close(fds[1]);
}

static const struct test tests[] = {
	{ "an alarm comes, once, and can be put off", alarm_comes },
	{ "no alarm is lost", no_alarm_is_lost },
	{ "another thread ends the loop", thread_ends },
	{ "input arrives whole and in order", input_arrives },
	{ "a signal stops the guest", signal_stops },
	{ "the user stops the guest", quit_stops },
	{ "the terminal gets its mode back", terminal_modes },
	{ "the terminal gets its mode back after a crash", terminal_after_crash },
	{ "escape keys, on a terminal only", escape_keys },
	{ "output waits for a slow reader", output_waits },
	{ "output gives up on request", output_gives_up },
	{ "output to nobody is an error", output_breaks },
};

int main(void)
{
	run_tests(tests, ARRAY_SIZE(tests));
}
