/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: putting a guest into memory
 */
#ifndef VMLET_BOOT_H
#define VMLET_BOOT_H

#include "cpu.h"

/* A PC BIOS finds here, after a reset, whether the system asked for a warm one. */
#define VMLET_WARM_RESET_FLAG 0x472
#define VMLET_WARM_RESET 0x1234

/**
 * struct vmlet_linux - a Linux kernel to boot
 * @kernel: path of a bzImage
 * @initrd: path of an initial RAM disk, or NULL
 * @arguments: kernel command line
 * @cpus: number of vCPUs
 * @devices: number of virtio devices
 */
struct vmlet_linux {
	const char *kernel;
	const char *initrd;
	const char *arguments;
	unsigned int cpus;
	unsigned int devices;
};

/**
 * vmlet_boot_linux() - load a kernel by the 64-bit boot protocol
 * @vm: a machine with memory
 * @linux_boot: what to load
 * @start: filled in
 *
 * Return: false after an error message.
 */
bool vmlet_boot_linux(const struct vmlet_vm *vm, const struct vmlet_linux *linux_boot,
		      struct vmlet_cpu_start *start);

/**
 * vmlet_boot_flat() - copy a raw image to its entry address
 * @vm: a machine with memory
 * @path: the image
 * @entry: guest-physical address of its first byte, where it starts
 *
 * Return: false after an error message.
 */
bool vmlet_boot_flat(const struct vmlet_vm *vm, const char *path, uint64_t entry);

#endif
