/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: ACPI tables: what a guest cannot find out by itself
 */
#ifndef VMLET_ACPI_H
#define VMLET_ACPI_H

#include "lib/vmlet.h"

/* The tables live here; the memory map must call [VMLET_ACPI_BASE, 1 MiB) reserved. */
#define VMLET_ACPI_BASE 0xe0000

/**
 * vmlet_acpi_write() - put the tables into guest memory
 * @vm: a machine with at least 1 MiB of memory
 * @cpus: number of vCPUs
 * @devices: number of virtio devices
 *
 * Return: guest-physical address of the RSDP, or 0 if there is no memory for it.
 */
uint64_t vmlet_acpi_write(const struct vmlet_vm *vm, unsigned int cpus, unsigned int devices);

#endif
