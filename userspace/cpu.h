/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the state in which a vCPU starts, and the CPU that CPUID describes
 */
#ifndef VMLET_CPU_H
#define VMLET_CPU_H

#include "lib/vmlet.h"

/**
 * enum vmlet_cpu_mode - how a vCPU starts
 * @VMLET_CPU_REAL: real mode
 * @VMLET_CPU_PROTECTED: 32-bit protected mode, flat segments, no paging
 * @VMLET_CPU_LONG: 64-bit mode, flat segments, the first 4 GiB mapped to themselves
 */
enum vmlet_cpu_mode {
	VMLET_CPU_REAL,
	VMLET_CPU_PROTECTED,
	VMLET_CPU_LONG,
};

/**
 * struct vmlet_cpu_start - where a vCPU starts
 * @mode: how
 * @entry: linear address of the first instruction; below 1 MiB in real mode
 * @rsi: value of RSI, where a loader passes its argument
 * @irqchip: the vCPU has a local APIC
 */
struct vmlet_cpu_start {
	enum vmlet_cpu_mode mode;
	uint64_t entry;
	uint64_t rsi;
	bool irqchip;
};

/* The descriptor and page tables of the protected and long modes lie below this. */
#define VMLET_CPU_TABLES_END 0x10000

/**
 * struct vmlet_cpu_topology - where a vCPU is
 * @id: its number
 * @count: number of vCPUs; all are cores of one package
 * @irqchip: each has a local APIC, whose ID is its number
 */
struct vmlet_cpu_topology {
	unsigned int id;
	unsigned int count;
	bool irqchip;
};

/**
 * vmlet_cpu_setup() - CPUID and the MSRs that firmware would have set
 * @vm: the machine
 * @vcpu: a vCPU, which has not run yet
 * @topology: where it is
 *
 * The guest gets everything that the device supports; without local APICs, less those
 * and what depends on them.
 *
 * Return: false after an error message.
 */
bool vmlet_cpu_setup(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu,
		     const struct vmlet_cpu_topology *topology);

/**
 * vmlet_cpu_start() - put a vCPU where its guest begins
 * @vm: the machine; tables are written to its memory below VMLET_CPU_TABLES_END
 * @vcpu: its vCPU
 * @start: where and how
 *
 * Return: false after an error message.
 */
bool vmlet_cpu_start(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu,
		     const struct vmlet_cpu_start *start);

#endif
