// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: an instance of tracefs
 */
#include "tracefs.h"
#include "report.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/sys/kernel/tracing"

static const struct vmlet_remedy tracefs_remedies[] = {
	{ ENOENT, "tracefs is not there. Mount it: `mount -t tracefs nodev " ROOT "`" },
	{ EACCES, "only root may look at tracepoints. Run this as root" },
	{ EPERM, "the system forbids it: it is locked down, or this is a container" },
	{ 0 },
};

static const struct vmlet_remedy event_remedies[] = {
	{ ENOENT, "vmlet has no tracepoints here. Load the module: `insmod vmlet.ko`, or `modprobe vmlet` after `make install`" },
	{ 0 },
};

bool vmlet_tracefs_write(const struct vmlet_tracefs *tracefs, const char *file, const char *text)
{
	char path[128];
	int fd, error = 0;

	snprintf(path, sizeof(path), "%s/%s", tracefs->path, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	if (error)
		vmlet_report_remedy(path, error, tracefs_remedies);
	return !error;
}

/* The unit of times is settled when trace_pipe is opened. */
static bool open_pipe(struct vmlet_tracefs *tracefs, const char *clock)
{
	char pipe[128];

	if (!vmlet_tracefs_write(tracefs, "trace_clock", clock))
		return false;
	snprintf(pipe, sizeof(pipe), "%s/trace_pipe", tracefs->path);
	tracefs->pipe = open(pipe, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (tracefs->pipe < 0)
		vmlet_report_remedy(pipe, errno, tracefs_remedies);
	return tracefs->pipe >= 0;
}

/* Who was killed outright has left his. */
static bool make(struct vmlet_tracefs *tracefs, const char *clock)
{
	snprintf(tracefs->path, sizeof(tracefs->path), ROOT "/instances/vmlet-%d", (int)getpid());
	rmdir(tracefs->path);
	if (mkdir(tracefs->path, 0700)) {
		vmlet_report_remedy(tracefs->path, errno, tracefs_remedies);
		return false;
	}
	if (open_pipe(tracefs, clock))
		return true;
	rmdir(tracefs->path);
	return false;
}

bool vmlet_tracefs_open(struct vmlet_tracefs *tracefs, const char *clock)
{
	if (access(ROOT "/instances", W_OK)) {
		vmlet_report_remedy(ROOT, errno, tracefs_remedies);
		return false;
	}
	if (access(ROOT "/events/vmlet", F_OK)) {
		vmlet_report_remedy(ROOT "/events/vmlet", errno, event_remedies);
		return false;
	}
	return make(tracefs, clock);
}

void vmlet_tracefs_close(struct vmlet_tracefs *tracefs)
{
	close(tracefs->pipe);
	if (rmdir(tracefs->path))
		vmlet_error("%s cannot be removed: %s", tracefs->path, strerror(errno));
}

bool vmlet_tracefs_only(const struct vmlet_tracefs *tracefs, pid_t pid)
{
	struct dirent *entry;
	char path[64];
	bool ok;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir) {
		vmlet_error("process %d: %s", (int)pid, strerror(errno));
		return false;
	}
	ok = vmlet_tracefs_write(tracefs, "options/event-fork", "1");
	while (ok && (entry = readdir(dir)))
		ok = !isdigit(entry->d_name[0]) || vmlet_tracefs_write(tracefs, "set_event_pid", entry->d_name);
	closedir(dir);
	return ok;
}
