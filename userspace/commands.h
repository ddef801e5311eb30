/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the commands of the vmlet program
 */
#ifndef VMLET_COMMANDS_H
#define VMLET_COMMANDS_H

/**
 * vmlet_run() - `vmlet run`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, see enum vmlet_status.
 */
int vmlet_run(int argc, char **argv);

/**
 * vmlet_check() - `vmlet check`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: VMLET_EXIT_OFF if a virtual machine can be run, else another status.
 */
int vmlet_check(int argc, char **argv);

/**
 * vmlet_stat() - `vmlet stat`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, VMLET_EXIT_HOST if there is no virtual machine to look at.
 */
int vmlet_stat(int argc, char **argv);

/**
 * vmlet_top() - `vmlet top`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, VMLET_EXIT_HOST if there is no virtual machine to look at.
 */
int vmlet_top(int argc, char **argv);

/**
 * vmlet_report() - `vmlet report`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, VMLET_EXIT_HOST if there is no virtual machine to look at, or no report.
 */
int vmlet_report(int argc, char **argv);

/**
 * vmlet_trace() - `vmlet trace`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, VMLET_EXIT_HOST if there is nothing that can be traced.
 */
int vmlet_trace(int argc, char **argv);

/**
 * vmlet_list() - `vmlet list`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, see enum vmlet_status.
 */
int vmlet_list(int argc, char **argv);

/**
 * vmlet_events() - `vmlet events`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, see enum vmlet_status; not at all while there may be events.
 */
int vmlet_events(int argc, char **argv);

/**
 * vmlet_tune() - `vmlet tune`
 * @argc: number of arguments, the command's name included
 * @argv: the arguments
 *
 * Return: an exit status, see enum vmlet_status.
 */
int vmlet_tune(int argc, char **argv);

#endif
