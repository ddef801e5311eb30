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
 */
struct vmlet_cpu_start {
	enum vmlet_cpu_mode mode;
	uint64_t entry;
	uint64_t rsi;
};

/* The descriptor and page tables of the protected and long modes lie below this. */
#define VMLET_CPU_TABLES_END 0x10000

/**
 * vmlet_cpu_setup() - CPUID and the MSRs that firmware would have set
 * @vm: the machine
 * @vcpu: its vCPU, which has not run yet
 *
 * The guest gets everything that the device supports, less the local APIC and what
 * depends on it: interrupts come from the 8259 pair.
 *
 * Return: false after an error message.
 */
bool vmlet_cpu_setup(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu);

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
