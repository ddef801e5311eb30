/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the vendor seam
 *
 * What VT-x and AMD-V do differently, and nothing else: how to enter, to decode, to load and store a register
 * group, to inject an event. What a bit means, which MSR exists and which exit goes where is common code.
 * All operations are mandatory.
 */
#ifndef VMLET_VENDOR_H
#define VMLET_VENDOR_H

#include <asm/msr-index.h>

#include "../vmlet.h"

/**
 * struct vmlet_pt_format - bits of a nested page table entry
 * @present:	any of these set: the entry is present
 * @table:	flags of an entry that points to a table
 * @leaf:	flags of every leaf: read, user, memory type
 * @write, @exec: rights; 0: given
 * @accessed, @dirty: set by the CPU; 0 where it does not
 * @huge:	leaf above the lowest level
 * @host_levels: as many levels as the host's own page tables; otherwise four
 */
struct vmlet_pt_format {
	u64 present, table, leaf, write, exec, accessed, dirty, huge;
	bool host_levels;
};

/* Events as they are injected. */
enum vmlet_inject { VMLET_INJECT_EXCEPTION, VMLET_INJECT_NMI, VMLET_INJECT_IRQ };

/* A rule of VM entry that a vCPU breaks: which field, what is in it, what is wrong. All zero: none was found. */
struct vmlet_broken_rule {
	const char *field, *check;
	u64 value;
};

/**
 * struct vmlet_vendor - operations and facts of one vendor
 * @name:	"VT-x" or "AMD-V", for messages
 * @call:	third byte of the hypercall instruction
 * @foreign_call: of the other vendor's, which is #UD here
 * @pt:		nested page table format
 * @vcpu_size:	size of the vendor's vCPU structure, which begins with struct vmlet_vcpu
 * @huge_levels: largest leaf: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB; valid after @setup
 * @tsc_fraction: fraction bits of a TSC ratio (vcpu->clock.ratio); 0: this CPU does not scale; valid after @setup
 * @supported:	0, or -errno after one line in the log that names cause and remedy
 * @setup:	once per load, before any CPU is switched on; @unsetup undoes it
 * @cpu_on:	switch virtualization on in this CPU, interrupts off; -EBUSY: somebody else owns it
 * @cpu_off:	switch off what @cpu_on switched on, interrupts off
 * @vcpu_init:	allocate and fill the vendor's part; @vcpu_destroy undoes it, on any state
 * @fetch:	bring groups from hardware into the vCPU; any context that may hold vcpu->mutex;
 *		inside the guest section with interrupts off, otherwise with them on
 * @load:	begin of the guest section, preemption off, interrupts on: state of this vCPU onto this CPU
 * @put:	end of the guest section: the host's state back
 * @run:	the inner loop, interrupts off; returns as a fast handler does, VMLET_SLOW if the slow one is due
 * @inject:	deliver at the next entry; @error where @has_error; an NMI blocks further ones from then on
 * @window:	exit, or do not exit, as soon as an interrupt or an NMI can be delivered
 * @flush_tlb:	forget this vCPU's translations at the next entry; guest section
 * @set_intercepts: what the guest does without an exit is to follow its features, its VM's MSR filter and disabled exits,
 *		and userspace's debugging; outside the guest section
 * @explain:	after an entry that failed, before anything is changed: the first rule that is broken; outside the guest section
 */
struct vmlet_vendor {
	const char *name;
	u8 call, foreign_call;
	const struct vmlet_pt_format *pt;
	size_t vcpu_size;
	int (*huge_levels)(void);
	unsigned int (*tsc_fraction)(void);
	int (*supported)(void);
	int (*setup)(void);
	void (*unsetup)(void);
	int (*cpu_on)(void);
	void (*cpu_off)(void);
	int (*vcpu_init)(struct vmlet_vcpu *vcpu);
	void (*vcpu_destroy)(struct vmlet_vcpu *vcpu);
	void (*fetch)(struct vmlet_vcpu *vcpu, u32 groups);
	void (*load)(struct vmlet_vcpu *vcpu);
	void (*put)(struct vmlet_vcpu *vcpu);
	int (*run)(struct vmlet_vcpu *vcpu);
	void (*inject)(struct vmlet_vcpu *vcpu, enum vmlet_inject type, u8 vector, bool has_error, u32 error);
	void (*window)(struct vmlet_vcpu *vcpu, enum vmlet_inject type, bool on);
	void (*flush_tlb)(struct vmlet_vcpu *vcpu);
	void (*set_intercepts)(struct vmlet_vcpu *vcpu);
	void (*explain)(struct vmlet_vcpu *vcpu, struct vmlet_broken_rule *rule);
};

extern const struct vmlet_vendor vmlet_svm, vmlet_vmx;

/* Accessors of register groups. */
static inline void vmlet_need(struct vmlet_vcpu *vcpu, u32 groups)
{
	groups &= ~vcpu->avail;
	if (groups)
		vmlet_vendor->fetch(vcpu, groups);
}

/* Before writing to part of a group: have the rest of it, and flush it later. */
static inline void vmlet_touch(struct vmlet_vcpu *vcpu, u32 groups)
{
	vmlet_need(vcpu, groups);
	vcpu->dirty |= groups;
}

/* Before writing all of a group: no need to have what it held. */
static inline void vmlet_replace(struct vmlet_vcpu *vcpu, u32 groups)
{
	vcpu->avail |= groups;
	vcpu->dirty |= groups;
}

static inline u64 vmlet_rip(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_RIP);
	return vcpu->rip;
}

static inline u64 vmlet_rflags(struct vmlet_vcpu *vcpu)
{
	vmlet_need(vcpu, VMLET_G_RFLAGS);
	return vcpu->rflags;
}

static inline u64 vmlet_gpr(struct vmlet_vcpu *vcpu, unsigned int nr)
{
	if (nr == VMLET_RSP)
		vmlet_need(vcpu, VMLET_G_RSP);
	return vcpu->regs[nr];
}

static inline void vmlet_gpr_set(struct vmlet_vcpu *vcpu, unsigned int nr, u64 value)
{
	if (nr == VMLET_RSP)
		vmlet_replace(vcpu, VMLET_G_RSP);
	vcpu->regs[nr] = value;
}

/* EFER changes only through an exit (LMA with CR0.PG), so it is right even where its group is not available. */
static inline bool vmlet_is_64bit(struct vmlet_vcpu *vcpu)
{
	if (!(vcpu->efer & EFER_LMA))
		return false;
	if (vcpu->avail & VMLET_G_SEGS)
		return vcpu->seg[VMLET_CS].l;
	vmlet_need(vcpu, VMLET_G_MODE);
	return vcpu->mode.cs_l;
}

/* The privilege level of SS is the current one in every mode: 0 in real mode, 3 in virtual-8086 mode. */
static inline unsigned int vmlet_cpl(struct vmlet_vcpu *vcpu)
{
	if (vcpu->avail & VMLET_G_SEGS)
		return vcpu->seg[VMLET_SS].dpl;
	vmlet_need(vcpu, VMLET_G_MODE);
	return vcpu->mode.ss_dpl;
}

/* Does userspace debug with breakpoints of its own? They hide the guest's. */
static inline bool vmlet_debug_hw(const struct vmlet_vcpu *vcpu)
{
	return vcpu->debug.control & KVM_GUESTDBG_USE_HW_BP;
}

/* DR7 as the hardware has it. */
static inline u64 vmlet_dr7(const struct vmlet_vcpu *vcpu)
{
	return vmlet_debug_hw(vcpu) ? vcpu->debug.dr7 : vcpu->dr7;
}

/* Is one of the four breakpoints on, locally or globally? */
static inline bool vmlet_dr_armed(const struct vmlet_vcpu *vcpu)
{
	return vmlet_dr7(vcpu) & 0xff;
}

/* The guest did what flushes a TLB, or userspace changed what translations depend on. */
static inline void vmlet_want_flush(struct vmlet_vcpu *vcpu)
{
	vcpu->tlb_gen = ~0ull;
}

static inline void vmlet_rip_set(struct vmlet_vcpu *vcpu, u64 rip)
{
	vmlet_replace(vcpu, VMLET_G_RIP);
	vcpu->rip = rip;
}

#endif
