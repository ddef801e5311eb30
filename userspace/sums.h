/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VMLET_SUMS_H
#define VMLET_SUMS_H

#include <stdbool.h>

/**
 * vmlet_sums() - print exits and their times, summed up by the kernel
 * @json: for programs
 *
 * Return: an exit status.
 */
int vmlet_sums(bool json);

#endif
