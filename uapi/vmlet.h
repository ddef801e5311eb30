/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * DOC: what vmlet adds to <linux/kvm.h>
 *
 * The statistics of a vCPU, which anybody who has its file descriptor maps and reads while it runs, without a system
 * call: mmap(NULL, size, PROT_READ, MAP_SHARED, vcpu_fd, VMLET_STATS_OFFSET). They describe themselves: @size says
 * how much there is to map, and each reason for exits has its name.
 */
#ifndef _UAPI_VMLET_H
#define _UAPI_VMLET_H

#include <linux/types.h>

/* Where a vCPU's file has them, in bytes; they are read-only. */
#define VMLET_STATS_OFFSET	0x100000
#define VMLET_STATS_VERSION	1
#define VMLET_STATS_TIMES	1	/* times are measured: the module was not loaded with exit_times=0 */

/**
 * enum vmlet_time - where the time of an exit goes
 * @VMLET_TIME_GUEST: entry to exit: what the hardware takes for both, and the guest's own work between them
 * @VMLET_TIME_KERNEL: exit to next entry without @VMLET_TIME_USER, told when the guest is entered again. Sleep is part of it
 * @VMLET_TIME_USER: return from KVM_RUN to next call of it
 * @VMLET_TIMES: how many there are
 */
enum vmlet_time {
	VMLET_TIME_GUEST,
	VMLET_TIME_KERNEL,
	VMLET_TIME_USER,
	VMLET_TIMES
};

/**
 * enum vmlet_phase - what the kernel spends an exit's time on, if it leaves the inner loop
 * @VMLET_PHASE_INNER: inner loop, interrupts off: until it is clear that the exit takes more
 * @VMLET_PHASE_SWITCH: from there to where the kernel may do anything, and back: extended state, the interrupts that the host had
 *	waiting, what is per CPU
 * @VMLET_PHASE_HANDLER: the exit's own handler, and what completes the exit when userspace comes back
 * @VMLET_PHASE_HALT: halted: polls or sleeps
 * @VMLET_PHASE_REST: requests of others, signals, return to userspace and call from there
 * @VMLET_PHASES: how many there are
 */
enum vmlet_phase {
	VMLET_PHASE_INNER,
	VMLET_PHASE_SWITCH,
	VMLET_PHASE_HANDLER,
	VMLET_PHASE_HALT,
	VMLET_PHASE_REST,
	VMLET_PHASES
};

/* Bucket 0 is empty, bucket n has the times from 2^(n-1) up to but not including 2^n; those of 0 are in bucket 1. */
#define VMLET_TIME_BUCKETS	65

/**
 * struct vmlet_exit_stats - exits for one reason
 * @name: of the reason, ends with a zero byte
 * @sequence: odd while this is being changed. A copy is of one moment if it was even, and the same before and after
 * @count: exits
 * @time: sums by enum vmlet_time, in ticks of the host's TSC
 * @histogram: how many times of each length, by enum vmlet_time. All zero without VMLET_STATS_TIMES, as @time is
 * @left: how often the inner loop was left behind such an exit, while the tunable exit_phases was on
 * @phase: what the kernel's time went to then, by enum vmlet_phase, in ticks of the host's TSC. Told at the end of each phase, so
 *	before @time
 */
struct vmlet_exit_stats {
	char name[24];
	__u64 sequence;
	__u64 count;
	__u64 time[VMLET_TIMES];
	__u64 histogram[VMLET_TIMES][VMLET_TIME_BUCKETS];
	__u64 left;
	__u64 phase[VMLET_PHASES];
};

/* How many of the last exits are kept. */
#define VMLET_RECORDS		16

/**
 * struct vmlet_exit_record - one exit
 * @entry: when the guest had been entered before it, in ticks of the host's TSC. Not without VMLET_STATS_TIMES
 * @exit: when it was, likewise
 * @rip: of the guest, at the exit
 * @info: nested_fault: GPA; io, io_string: port; rdmsr, wrmsr: ECX; cpuid, hypercall: EAX or RAX; cr_*, dr_*: register's number;
 *	exception: vector; otherwise 0
 * @data: nested_fault: access, 1 read, 2 write, 4 execute; io: size in bytes, 0x80 with it: IN; wrmsr: value; cpuid: ECX;
 *	exception: error code; otherwise 0
 * @hw_reason: the hardware's number for it
 * @reason: index of its struct vmlet_exit_stats, which has the name
 */
struct vmlet_exit_record {
	__u64 entry;
	__u64 exit;
	__u64 rip;
	__u64 info;
	__u64 data;
	__u32 hw_reason;
	__u32 reason;
};

/**
 * struct vmlet_entry_failure - why the hardware refused to enter the guest, the last time it did
 * @count: how often it has been so, all reasons together
 * @hw_reason: kvm_run.fail_entry.hardware_entry_failure_reason
 * @value: what is in the field
 * @field: the field of the guest's state whose check failed, by name; empty: no rule that is known here is broken
 * @check: what is wrong with it. Both end with a zero byte
 */
struct vmlet_entry_failure {
	__u64 count;
	__u64 hw_reason;
	__u64 value;
	char field[32];
	char check[64];
};

/**
 * struct vmlet_stats - the statistics of a vCPU
 * @version: VMLET_STATS_VERSION
 * @size: bytes in all
 * @exit_offset: of the first struct vmlet_exit_stats, in bytes
 * @exit_size: of one, in bytes; later versions may append to it
 * @exits: how many follow one another
 * @tsc_khz: rate of the host's TSC in kHz, 0: not known
 * @flags: VMLET_STATS_*
 * @reserved: 0
 * @injections: interrupts, NMIs and exceptions that were injected
 * @mmio_exits: returns to userspace for device memory
 * @signal_exits: returns to userspace for signals
 * @request_irq_exits: returns to userspace for an open interrupt window
 * @insn_emulation_fail: instructions that could not be emulated
 * @tlb_flush: flushes of the guest's translations
 * @pf_taken: nested faults
 * @pf_fixed: nested faults for which a page was mapped
 * @halt_attempted_poll: halts that began with polling
 * @halt_successful_poll: halts that polling ended
 * @halt_wakeup: halts that ended with a wake-up
 * @record_offset: of the first struct vmlet_exit_record, in bytes
 * @record_size: of one, in bytes; later versions may append to it
 * @records: how many there are, one after the other
 * @reserved2: 0
 * @recorded: exits that were recorded, while the tunable exit_records was on. The last one is in place (@recorded - 1) % @records.
 *	A copy of the one in place n % @records is of one moment if @recorded was n + 1 behind it
 * @entry_failure: the last one; @entry_failure.count is 0 before the first
 * @record: the records, for those built with this version
 */
struct vmlet_stats {
	__u32 version;
	__u32 size;
	__u32 exit_offset;
	__u32 exit_size;
	__u32 exits;
	__u32 tsc_khz;
	__u32 flags;
	__u32 reserved;
	__u64 injections[3];
	__u64 mmio_exits;
	__u64 signal_exits;
	__u64 request_irq_exits;
	__u64 insn_emulation_fail;
	__u64 tlb_flush;
	__u64 pf_taken;
	__u64 pf_fixed;
	__u64 halt_attempted_poll;
	__u64 halt_successful_poll;
	__u64 halt_wakeup;
	__u32 record_offset;
	__u32 record_size;
	__u32 records;
	__u32 reserved2;
	__u64 recorded;
	struct vmlet_entry_failure entry_failure;
	struct vmlet_exit_record record[VMLET_RECORDS];
	struct vmlet_exit_stats exit[];
};

#endif
