// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the user's terminal
 */
#include "terminal.h"

#include "macros.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x01 /* Ctrl-A */

static struct termios saved;
static atomic_bool raw;
static bool escaped;

void vmlet_terminal_restore(void)
{
	if (raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	raw = false;
}

/* The handler is installed to run once; the signal then kills as it would have. */
static void restore_and_die(int signal)
{
	vmlet_terminal_restore();
	raise(signal);
}

static void restore_on_crash(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	struct sigaction action = { .sa_handler = restore_and_die, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &action, NULL);
	atexit(vmlet_terminal_restore);
}

void vmlet_terminal_raw(void)
{
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	restore_on_crash();
	mode = saved;
	cfmakeraw(&mode);
	raw = true;
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

static void print_keys(void)
{
	fputs("\r\nvmlet: Ctrl-A x quits, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h is this help\r\n",
	      stderr);
}

enum vmlet_key vmlet_terminal_key(uint8_t byte)
{
	bool was_escaped = escaped;

	if (!raw)
		return VMLET_KEY_PASS;
	escaped = !was_escaped && byte == ESCAPE;
	if (escaped)
		return VMLET_KEY_TAKEN;
	if (!was_escaped || byte == ESCAPE)
		return VMLET_KEY_PASS;
	if (byte == 'x' || byte == 'X')
		return VMLET_KEY_QUIT;
	print_keys();
	return VMLET_KEY_TAKEN;
}
