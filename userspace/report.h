/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what the command says to its user, and the exit statuses
 */
#ifndef VMLET_REPORT_H
#define VMLET_REPORT_H

#include "lib/vmlet.h"
#include "macros.h"

/**
 * enum vmlet_status - exit statuses of the vmlet command
 * @VMLET_EXIT_OFF: the guest powered off; for `check`, a virtual machine can be run
 * @VMLET_EXIT_HOST: this host refuses: a file, the device, a permission, memory
 * @VMLET_EXIT_USAGE: the command line is wrong
 * @VMLET_EXIT_REBOOT: the guest asked for a reset
 * @VMLET_EXIT_PANIC: the guest's kernel panicked and asked for a reset
 * @VMLET_EXIT_FAULT: the guest shut down by a triple fault
 * @VMLET_EXIT_BROKEN: an exit nobody expected, or the device failed
 * @VMLET_EXIT_QUIT: the user ended the guest from the keyboard
 *
 * A command that a signal ended dies of that signal.
 */
enum vmlet_status {
	VMLET_EXIT_OFF = 0,
	VMLET_EXIT_HOST = 1,
	VMLET_EXIT_USAGE = 2,
	VMLET_EXIT_REBOOT = 3,
	VMLET_EXIT_PANIC = 4,
	VMLET_EXIT_FAULT = 5,
	VMLET_EXIT_BROKEN = 7,
	VMLET_EXIT_QUIT = 8,
};

/**
 * vmlet_error() - one line on standard error
 * @format: as for printf, without the newline
 */
__printf(1, 2)
void vmlet_error(const char *format, ...);

/**
 * struct vmlet_remedy - what to do about an errno
 * @error: the errno; 0 ends a table, with what to say about all others, if anything
 * @text: cause and remedy; where @error is 0, what follows the system's message
 */
struct vmlet_remedy {
	int error;
	const char *text;
};

/**
 * vmlet_report_remedy() - why something cannot be had, and what to do
 * @what: the thing
 * @error: errno
 * @remedies: a table
 */
void vmlet_report_remedy(const char *what, int error, const struct vmlet_remedy *remedies);

/**
 * vmlet_report_device() - why a device cannot make a virtual machine, and what to do
 * @device: path of the node
 * @error: negative errno of vmlet_vm_create()
 */
void vmlet_report_device(const char *device, int error);

/**
 * vmlet_report_exit() - everything known about an exit that ends the guest
 * @vcpu: the vCPU, after KVM_RUN
 *
 * Prints the reason by name, what the run page says about it, and the registers.
 */
void vmlet_report_exit(struct vmlet_vcpu *vcpu);

/**
 * vmlet_report_run_error() - KVM_RUN itself failed
 * @vcpu: the vCPU
 * @error: negative errno
 */
void vmlet_report_run_error(struct vmlet_vcpu *vcpu, int error);

/**
 * vmlet_exit_name() - name of an exit reason
 * @reason: KVM_EXIT_ number
 *
 * Return: the name, or NULL for a number without one.
 */
const char *vmlet_exit_name(uint32_t reason);

/**
 * vmlet_suberror_name() - what an internal error is about
 * @suberror: KVM_INTERNAL_ERROR_ number
 *
 * Return: the text, or NULL for a number without one.
 */
const char *vmlet_suberror_name(uint32_t suberror);

#endif
