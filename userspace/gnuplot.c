// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the program that draws
 *
 * A script is a file without a name, its standard input, and its drawing comes through a pipe: nothing is left behind.
 */
#include "gnuplot.h"
#include "report.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct vmlet_remedy gnuplot_remedies[] = {
	{ ENOENT, "it draws the diagrams and is not there. Install it: `apt install gnuplot-nox`" },
	{ 0 },
};

FILE *vmlet_gnuplot_script(void)
{
	int fd = memfd_create("gnuplot", MFD_CLOEXEC);
	FILE *script = fd < 0 ? NULL : fdopen(fd, "r+");

	if (script)
		return script;
	vmlet_error("a script for gnuplot: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return NULL;
}

/* Its own settings are nobody's, its signals those of who started us. 0 or errno. */
static int start(pid_t *pid, int in, int out)
{
	static char *const argv[] = { "gnuplot", "--default-settings", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, vmlet_stop_mask());
	error = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* All that comes through a pipe. NULL: no memory. */
static char *read_all(int fd, size_t *size)
{
	char part[1 << 14], *all = NULL;
	FILE *out = open_memstream(&all, size);
	ssize_t n;

	while (out && (n = read(fd, part, sizeof(part))) != 0)
		if (n > 0)
			fwrite(part, 1, n, out);
		else if (errno != EINTR)
			break;
	if (out)
		fclose(out);
	return all;
}

static bool succeeded(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	if (WIFEXITED(status))
		vmlet_error("gnuplot failed with status %d", WEXITSTATUS(status));
	else
		vmlet_error("gnuplot was ended by signal %d", WTERMSIG(status));
	return false;
}

/* The descriptors of @pipes are closed. */
static char *draw(int in, const int *pipes, size_t *size)
{
	char *drawing = NULL;
	pid_t pid;
	int error = start(&pid, in, pipes[1]);

	close(pipes[1]);
	if (error)
		vmlet_report_remedy("gnuplot", error, gnuplot_remedies);
	else
		drawing = read_all(pipes[0], size);
	close(pipes[0]);
	if (!error && !succeeded(pid)) {
		free(drawing);
		drawing = NULL;
	}
	return drawing;
}

char *vmlet_gnuplot_run(FILE *script, size_t *size)
{
	char *drawing = NULL;
	int pipes[2];

	rewind(script);
	if (pipe2(pipes, O_CLOEXEC))
		vmlet_error("a pipe to gnuplot: %s", strerror(errno));
	else
		drawing = draw(fileno(script), pipes, size);
	fclose(script);
	return drawing;
}

bool vmlet_gnuplot_works(void)
{
	FILE *script = vmlet_gnuplot_script();
	char *nothing;
	size_t size;

	nothing = script ? vmlet_gnuplot_run(script, &size) : NULL;
	free(nothing);
	return nothing;
}
