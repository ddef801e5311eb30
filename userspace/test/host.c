// SPDX-License-Identifier: GPL-2.0
/*
 * The runner's side of the host: kicks that must not be lost, typed input, the
 * terminal's modes, output to a slow reader. A page of plain memory stands in for the
 * run page; needs no virtual machine.
 */
#include "../events.h"
#include "../macros.h"
#include "../ports.h"
#include "../terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"

#define MSEC 1000000ull
#define ROUNDS 2000
#define PATIENCE_SECONDS 120

static struct kvm_run run;
static struct vmlet_events events;
/* The first line of a test that is not true, 0 while all are. */
static unsigned int failed_line;

static void check(bool condition, unsigned int line)
{
	if (!condition && !failed_line)
		failed_line = line;
}

#define CHECK(condition) check(condition, __LINE__)

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

static void alarm_kicks(void)
{
	uint64_t deadline = clock_now() + 20 * MSEC;
	int input = input_pipe();

	CHECK(vmlet_events_start(&events, &run) == 0);
	CHECK(!vmlet_events_begin(&events));
	vmlet_events_alarm(&events, deadline);
	vmlet_events_wait(&events);
	CHECK(clock_now() >= deadline);
	CHECK(READ_ONCE(run.immediate_exit) == 1);
	CHECK(vmlet_events_begin(&events));
	CHECK(READ_ONCE(run.immediate_exit) == 0);
	/* An alarm that has been put off does not come. */
	vmlet_events_alarm(&events, clock_now() + 50 * MSEC);
	vmlet_events_alarm(&events, VMLET_NEVER);
	usleep(100 * MSEC / 1000);
	CHECK(!vmlet_events_begin(&events));
	vmlet_events_end(&events);
	close(input);
}

/*
 * Alarms at all distances, some due before they are set, while this thread is awake, on
 * its way to sleep or asleep: if one is lost, the wait never ends and the run times out.
 */
static void no_kick_is_lost(void)
{
	int input = input_pipe();

	CHECK(vmlet_events_start(&events, &run) == 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint64_t deadline = clock_now() + round * 97 % 120000;

		vmlet_events_begin(&events);
		vmlet_events_alarm(&events, deadline);
		while (clock_now() < deadline) {
			vmlet_events_wait(&events);
			vmlet_events_begin(&events);
		}
	}
	vmlet_events_end(&events);
	close(input);
}

/* More than the ring holds, so that the events thread has to stop reading and go on. */
static void input_arrives(void)
{
	const unsigned int total = 5 * VMLET_INPUT_SIZE;
	int input = input_pipe();
	unsigned int count = 0;
	pid_t writer;
	uint8_t byte;

	writer = fork();
	if (!writer) {
		for (unsigned int i = 0; i < total; i++) {
			byte = i * 7 % 251;
			if (write(input, &byte, 1) != 1)
				_exit(1);
		}
		_exit(0);
	}
	close(input);
	CHECK(vmlet_events_start(&events, &run) == 0);
	while (count < total) {
		vmlet_events_begin(&events);
		while (vmlet_events_input(&events, &byte))
			CHECK(byte == count++ * 7 % 251);
		if (count < total)
			vmlet_events_wait(&events);
	}
	waitpid(writer, NULL, 0);
	vmlet_events_end(&events);
}

static void signal_stops(void)
{
	int input = input_pipe();

	CHECK(vmlet_events_start(&events, &run) == 0);
	vmlet_events_begin(&events);
	kill(getpid(), SIGTERM);
	vmlet_events_wait(&events);
	CHECK(atomic_load(&events.stop) == SIGTERM);
	vmlet_events_end(&events);
	close(input);
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

static atomic_int no_stop;

/* The child writes all it has to say to a non-blocking pipe that is read slowly. */
static void output_waits(void)
{
	static struct vmlet_output output;
	unsigned int count = 0;
	uint8_t byte;
	int fds[2], status;
	pid_t child;

	CHECK(pipe2(fds, O_NONBLOCK) == 0);
	child = fork();
	if (!child) {
		dup2(fds[1], STDOUT_FILENO);
		vmlet_output_init(&output, &no_stop);
		for (unsigned int i = 0; i < 100000; i++)
			vmlet_output_put(&output, i * 7 % 251, 0);
		vmlet_output_flush(&output);
		_exit(output.error);
	}
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
	CHECK(count == 100000);
	close(fds[0]);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "an alarm kicks, once, and can be put off", alarm_kicks },
	{ "no kick is lost", no_kick_is_lost },
	{ "input arrives whole and in order", input_arrives },
	{ "a signal stops the guest", signal_stops },
	{ "the terminal gets its mode back", terminal_modes },
	{ "the terminal gets its mode back after a crash", terminal_after_crash },
	{ "escape keys, on a terminal only", escape_keys },
	{ "output waits for a slow reader", output_waits },
};

int main(void)
{
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests));
	alarm(PATIENCE_SECONDS);
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		failed_line = 0;
		tests[i].run();
		if (failed_line)
			ksft_print_msg("line %u is not true\n", failed_line);
		ksft_test_result(!failed_line, "%s\n", tests[i].name);
	}
	ksft_finished();
}
