/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tiny guests: a piece of assembly, loaded at GUEST_CODE in the mode asked.
 *
 * Every vector of the guest leads to a stub that halts, so an exception or an
 * interrupt in the guest reaches the host as KVM_EXIT_HLT with the instruction
 * pointer inside the stub: guest_trap() tells which vector it was and what is on
 * the stack. Running on from there returns from the vector.
 *
 * Linear addresses are physical ones below 1 GiB; above there is nothing mapped.
 */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

#include "vm.h"

/* Where things are in guest-physical memory; all reachable in real mode. */
#define GUEST_GDT	0x1000ul
#define GUEST_TSS	0x1800ul
#define GUEST_IDT	0x2000ul
#define GUEST_PML4	0x3000ul
#define GUEST_PDPT	0x4000ul
#define GUEST_PD	0x5000ul
#define GUEST_PD32	0x6000ul
#define GUEST_STUBS	0x7000ul
#define GUEST_PDPT32	0x8000ul
#define GUEST_PT	0x9000ul
#define GUEST_CODE	0xa000ul
#define GUEST_DATA	0xc000ul
#define GUEST_STACK	0xf000ul
#define GUEST_USTACK	0xf800ul
#define GUEST_FREE	0x10000ul

#define UNMAPPED_GVA	0x40000000ul

#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_UCODE64	0x23
#define SEL_UDATA	0x2b
#define SEL_TSS		0x30
#define SEL_CODE16	0x40

#define CR0_PE		(1ul << 0)
#define CR0_MP		(1ul << 1)
#define CR0_ET		(1ul << 4)
#define CR0_NE		(1ul << 5)
#define CR0_WP		(1ul << 16)
#define CR0_CD		(1ul << 30)
#define CR0_NW		(1ul << 29)
#define CR0_PG		(1ul << 31)
#define CR4_PSE		(1ul << 4)
#define CR4_PAE		(1ul << 5)
#define CR4_OSFXSR	(1ul << 9)
#define CR4_OSXMMEXCPT	(1ul << 10)
#define CR4_OSXSAVE	(1ul << 18)
#define EFER_LME	(1ul << 8)
#define EFER_LMA	(1ul << 10)
#define EFER_NX		(1ul << 11)
#define RFLAGS_FIXED	(1ul << 1)
#define RFLAGS_TF	(1ul << 8)
#define RFLAGS_IF	(1ul << 9)
#define RFLAGS_DF	(1ul << 10)
#define RFLAGS_RF	(1ul << 16)

#define PTE_P		(1ul << 0)
#define PTE_W		(1ul << 1)
#define PTE_U		(1ul << 2)
#define PTE_PS		(1ul << 7)

#define DE_VECTOR 0
#define DB_VECTOR 1
#define NMI_VECTOR 2
#define BP_VECTOR 3
#define UD_VECTOR 6
#define DF_VECTOR 8
#define GP_VECTOR 13
#define PF_VECTOR 14

enum guest_mode {
	REAL,		/* 16 bit */
	PROT,		/* 32 bit, no paging */
	PAGED,		/* 32 bit, two levels with 4 MiB pages */
	PAE,		/* 32 bit, three levels */
	COMPAT,		/* 32-bit code under a 64-bit kernel */
	LONG,		/* 64 bit */
};

#define BITS_REAL	"16"
#define BITS_PROT	"32"
#define BITS_PAGED	"32"
#define BITS_PAE	"32"
#define BITS_COMPAT	"32"
#define BITS_LONG	"64"

/* The code and its mode; GUEST_PROGRAM() makes one. */
struct guest_program {
	enum guest_mode mode;
	const u8 *start;
	const u8 *end;
};

#define GUEST_CODE_BYTES(id, bits, insns)				\
	asm(".pushsection .rodata\n"					\
	    ".code" bits "\n"						\
	    #id "_start:\n" insns "\n" #id "_end:\n"			\
	    ".code64\n"							\
	    ".popsection\n");						\
	extern const u8 id##_start[], id##_end[]

#define GUEST_PROGRAM(id, guest_mode, insns)				\
	GUEST_CODE_BYTES(id, BITS_##guest_mode, insns);			\
	static const struct guest_program id = {			\
		.mode = guest_mode, .start = id##_start, .end = id##_end, \
	}

/*
 * How a guest begins that runs until the host stops it. Bochs' VT-x loses the host's
 * interrupts in a guest that has its own off and never exits, under stock KVM too.
 */
#define SPIN "sti\n"

/* What an exception or interrupt left on the guest's stack. */
struct guest_trap {
	int vector;
	u64 error;	/* 0 where the vector has none */
	u64 rip;
	u64 cs;
	u64 rflags;
	u64 rsp;	/* of the stub, at the frame's lowest word */
};

void guest_set_mode(struct vcpu *vcpu, enum guest_mode mode);
void guest_load(struct vcpu *vcpu, const struct guest_program *program);
/* Sets RIP, RSP and RFLAGS to the program's start and the rest to zero. */
void guest_restart(struct vcpu *vcpu);

/* The vector whose stub halted, or -1 when the guest halted by itself. */
int guest_trap(struct vcpu *vcpu, enum guest_mode mode, struct guest_trap *trap);
bool vector_has_error_code(int vector);

#endif
