/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: an instance of tracefs: a buffer of our own, so that who traces something else is not disturbed
 */
#ifndef VMLET_TRACEFS_H
#define VMLET_TRACEFS_H

#include <stdbool.h>
#include <sys/types.h>

/**
 * struct vmlet_tracefs - an instance
 * @path: its directory
 * @pipe: its trace_pipe, not blocking
 */
struct vmlet_tracefs {
	char path[64];
	int pipe;
};

/**
 * vmlet_tracefs_open() - make one, still without events
 * @tracefs: filled in; vmlet_tracefs_close() removes it
 * @clock: of its events, a name in its file trace_clock
 *
 * Return: false: why there is none has been said.
 */
bool vmlet_tracefs_open(struct vmlet_tracefs *tracefs, const char *clock);

/**
 * vmlet_tracefs_close() - remove it
 * @tracefs: the instance
 */
void vmlet_tracefs_close(struct vmlet_tracefs *tracefs);

/**
 * vmlet_tracefs_write() - write to one of its files
 * @tracefs: the instance
 * @file: the file's name
 * @text: what is written
 *
 * Return: false: why it cannot be written has been said.
 */
bool vmlet_tracefs_write(const struct vmlet_tracefs *tracefs, const char *file, const char *text);

/**
 * vmlet_tracefs_only() - record events of a process only, of threads that it has and of those that it will have
 * @tracefs: the instance
 * @pid: the process
 *
 * Return: false: why that cannot be has been said.
 */
bool vmlet_tracefs_only(const struct vmlet_tracefs *tracefs, pid_t pid);

#endif
