/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the exit vocabulary
 *
 * Both vendors report VM exits in dialects of their own. Each vendor's decoder turns the report into a
 * struct vmlet_exit; from there on nothing knows the vendor. The list below is the one place that names
 * the reasons: the enum, the names in statistics and messages and the exit table follow from it.
 */
#ifndef VMLET_EXIT_H
#define VMLET_EXIT_H

#include <linux/types.h>

struct vmlet_vcpu;

/* X(symbol, name): order is free, names are what users see. */
#define VMLET_EXIT_REASONS(X)			\
	X(UNKNOWN,	"unknown")		\
	X(FAIL_ENTRY,	"fail_entry")		\
	X(INTR,		"host_interrupt")	\
	X(NMI,		"host_nmi")		\
	X(MCE,		"host_mce")		\
	X(EXCEPTION,	"exception")		\
	X(INTR_WINDOW,	"interrupt_window")	\
	X(NMI_WINDOW,	"nmi_window")		\
	X(TRIPLE_FAULT,	"triple_fault")		\
	X(INIT,		"init")			\
	X(TASK_SWITCH,	"task_switch")		\
	X(CPUID,	"cpuid")		\
	X(HLT,		"hlt")			\
	X(INVD,		"invd")			\
	X(WBINVD,	"wbinvd")		\
	X(RDPMC,	"rdpmc")		\
	X(RDTSC,	"rdtsc")		\
	X(RDTSCP,	"rdtscp")		\
	X(HYPERCALL,	"hypercall")		\
	X(CR_READ,	"cr_read")		\
	X(CR_WRITE,	"cr_write")		\
	X(CLTS,		"clts")			\
	X(LMSW,		"lmsw")			\
	X(DR_READ,	"dr_read")		\
	X(DR_WRITE,	"dr_write")		\
	X(IO,		"io")			\
	X(IO_STRING,	"io_string")		\
	X(RDMSR,	"rdmsr")		\
	X(WRMSR,	"wrmsr")		\
	X(XSETBV,	"xsetbv")		\
	X(MONITOR,	"monitor")		\
	X(MWAIT,	"mwait")		\
	X(PAUSE,	"pause")		\
	X(NESTED_FAULT,	"nested_fault")		\
	X(VIRT_INSN,	"virt_insn")

enum vmlet_exit_reason {
#define X(sym, name) VMLET_EXIT_##sym,
	VMLET_EXIT_REASONS(X)
#undef X
	VMLET_EXIT_COUNT
};

/* Access bits of a nested fault and of guest page walks. */
#define VMLET_ACCESS_READ	BIT(0)
#define VMLET_ACCESS_WRITE	BIT(1)
#define VMLET_ACCESS_EXEC	BIT(2)
#define VMLET_ACCESS_USER	BIT(3)

/* What switches to another task, as VT-x numbers it; a gate of the IDT. */
enum vmlet_task_source { VMLET_TASK_CALL, VMLET_TASK_IRET, VMLET_TASK_JMP, VMLET_TASK_GATE };

/**
 * struct vmlet_exit - one VM exit in the vendor-neutral vocabulary
 * @reason:	enum vmlet_exit_reason
 * @insn_len:	length of the exiting instruction in bytes; 0: not known, vmlet_skip() decodes it
 * @hw_reason:	the hardware's own code (VM-exit reason or VMCB exitcode), for reports only
 * @cr:		CR_READ, CR_WRITE: CR number and GPR number, from the hardware; DR_*: likewise.
 *		LMSW: @cr.value is the new low word. @cr.valid is false where the CPU has no decode
 *		assists: the handler decodes the instruction
 * @io:		IO: port, operand size in bytes, direction. IO_STRING adds nothing: the handler decodes
 * @fault:	NESTED_FAULT: GPA, VMLET_ACCESS_* of the access; @fault.final: the CPU says that the guest's own
 *		tables permit the access and that @fault.gpa is not in one of them; @fault.prepared: from the fast
 *		handler to the slow one
 * @exception:	EXCEPTION: vector, error code; @exception.dr6: #DB, bits to set in DR6
 * @task:	TASK_SWITCH: TSS selector, enum vmlet_task_source; @task.is_insn: the old task goes on behind an instruction
 * @raw:	UNKNOWN, FAIL_ENTRY: hardware's qualification, for reports
 */
struct vmlet_exit {
	u8 reason;
	u8 insn_len;
	u32 hw_reason;
	union {
		struct {
			u8 nr;
			u8 gpr;
			bool valid;
			u16 value;
		} cr;
		struct {
			u16 port;
			u8 size;
			bool in;
		} io;
		struct {
			u64 gpa;
			u8 access;
			bool final;
			bool prepared;
		} fault;
		struct {
			u8 vector;
			bool has_error;
			u32 error;
			u64 dr6;
		} exception;
		struct {
			u16 selector;
			u8 source;
			bool is_insn;
		} task;
		u64 raw[2];
	};
};

/*
 * What a handler returns, written once:
 *   < 0		-errno for KVM_RUN
 *   VMLET_TO_USER	to userspace, run->exit_reason is set
 *   VMLET_RESUME	enter the guest again
 *   VMLET_SKIP		the exiting instruction is done: advance RIP, then enter again
 *   VMLET_SLOW		(fast handlers only) call the slow handler in the outer loop
 */
enum {
	VMLET_TO_USER	= 0,
	VMLET_RESUME	= 1,
	VMLET_SKIP	= 2,
	VMLET_SLOW	= 3,
};

/**
 * struct vmlet_exit_handler - a row of the exit table
 * @fast: called in the inner loop, interrupts off: must not sleep, fault or touch the host FPU; NULL: none
 * @slow: called in the outer loop, may sleep; never NULL
 */
struct vmlet_exit_handler {
	int (*fast)(struct vmlet_vcpu *vcpu);
	int (*slow)(struct vmlet_vcpu *vcpu);
};

extern const struct vmlet_exit_handler vmlet_exit_table[VMLET_EXIT_COUNT];

/* The handlers, by file; fast ones first. */
int vmlet_exit_cpuid(struct vmlet_vcpu *vcpu);
int vmlet_exit_mwait(struct vmlet_vcpu *vcpu);
int vmlet_exit_rdmsr(struct vmlet_vcpu *vcpu);
int vmlet_exit_wrmsr(struct vmlet_vcpu *vcpu);
int vmlet_exit_hypercall(struct vmlet_vcpu *vcpu);
int vmlet_exit_cr_fast(struct vmlet_vcpu *vcpu);
int vmlet_exit_cr(struct vmlet_vcpu *vcpu);
int vmlet_exit_dr(struct vmlet_vcpu *vcpu);
int vmlet_exit_xsetbv(struct vmlet_vcpu *vcpu);
int vmlet_exit_io_fast(struct vmlet_vcpu *vcpu);
int vmlet_exit_io(struct vmlet_vcpu *vcpu);
int vmlet_exit_io_string(struct vmlet_vcpu *vcpu);
int vmlet_exit_nested_fault_fast(struct vmlet_vcpu *vcpu);
int vmlet_exit_nested_fault(struct vmlet_vcpu *vcpu);
int vmlet_exit_task_switch(struct vmlet_vcpu *vcpu);

#endif
