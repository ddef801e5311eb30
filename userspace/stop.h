/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: commands that look on for a while, and clean up however they end
 */
#ifndef VMLET_STOP_H
#define VMLET_STOP_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VMLET_NEVER UINT64_MAX

/**
 * vmlet_stop_catch() - SIGINT, SIGTERM and SIGHUP no longer end the program, but vmlet_stop_poll(); SIGPIPE does nothing
 */
void vmlet_stop_catch(void);

/**
 * vmlet_stop_signal() - the signal that has been caught
 *
 * Return: its number, or 0.
 */
int vmlet_stop_signal(void);

/**
 * vmlet_stop_clock() - nanoseconds of a clock that never goes backwards
 *
 * Return: the time.
 */
uint64_t vmlet_stop_clock(void);

/**
 * vmlet_stop_poll() - wait for files, or until a time
 * @files: as for poll()
 * @count: how many
 * @end: of vmlet_stop_clock(), or VMLET_NEVER
 *
 * Return: as poll() does; -1: a signal has been caught.
 */
int vmlet_stop_poll(struct pollfd *files, nfds_t count, uint64_t end);

/**
 * vmlet_stop_with() - a file that becomes readable when a process ends
 * @pid: the process
 *
 * Return: its number, -1: it has ended.
 */
int vmlet_stop_with(pid_t pid);

/**
 * vmlet_stop_mask() - which signals a program that is started shall have blocked
 *
 * Return: those that were blocked before vmlet_stop_catch().
 */
const sigset_t *vmlet_stop_mask(void);

#endif
