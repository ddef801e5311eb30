/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: VT-x, between the files of this room
 *
 * vmx.c switches CPUs on and off, controls.c settles once what the CPU can do, vcpu.c owns a vCPU's VMCS,
 * state.c moves register groups between the VMCS and the vCPU, decode.c names exits, enter.S enters.
 */
#ifndef VMLET_VMX_H
#define VMLET_VMX_H

#include <linux/jump_label.h>
#include <linux/list.h>
#include <asm/desc.h>
#include <asm/vmx.h>

#include "../vendor.h"

/* Controls that every VMCS starts with, and the facts that go with them. */
struct vmx_config {
	u32 pin, cpu, cpu2, exit, entry;
	u32 revision;
	u64 ept;		/* IA32_VMX_EPT_VPID_CAP */
	u64 cr4_fixed1;
	bool ept_dirty;		/* EPT accessed and dirty bits */
};

/* MSRs that neither entry nor exit switches; those that the guest cannot read need no entry here. */
enum vmx_switched { VMX_STAR, VMX_LSTAR, VMX_SFMASK, VMX_TSC_AUX, VMX_SWITCHED };

/**
 * struct vmx_cpu - one physical CPU
 * @region:	VMXON region
 * @on:		this driver has switched VMX operation on
 * @current:	vCPU whose VMCS is current
 * @active:	vCPUs whose VMCS is active here
 * @msr, @host_msr: switched MSRs as they are now, and as the host wants them
 */
struct vmx_cpu {
	void *region;
	bool on;
	struct vmx_vcpu *current_vcpu;
	struct list_head active;
	u64 msr[VMX_SWITCHED], host_msr[VMX_SWITCHED];
};

/* Host state that an exit does not restore as it was. */
struct vmx_saved {
	struct desc_ptr gdt, idt;
	u64 kernel_gs, fs_base, debugctl;
	u16 ds, es, fs, gs, ldt;
};

/**
 * struct vmx_vcpu - a vCPU on VT-x
 * @cpu:	CPU where the VMCS is active, or -1
 * @node:	in that CPU's list
 * @in_section:	in the inner loop: IA32_KERNEL_GS_BASE is the guest's
 * @guest_msrs:	switched MSRs hold the guest's values
 * @ctl_cpu, @ctl_cpu2, @eptp, @exceptions: as the VMCS is to have them; flushed with VMX_G_CONTROLS
 * @ctl_entry, @shadow0, @shadow4, @efer: as the VMCS has them
 * @host_rsp, @host_cr3, @host_cr4, @host_fs_base: likewise
 * @hw_cr0, @hw_cr3, @hw_cr4: likewise, while VMX_G_HW_CR is available
 * @kernel_gs:	the guest's, while it is not in the MSR
 * @spec_ctrl:	SPEC_CTRL as entry loads it, and as exit does, while the guest's differs from the host's
 * @cr4_guest:	bits of CR4 that the guest changes without an exit
 */
struct vmx_vcpu {
	struct vmlet_vcpu vcpu;
	void *vmcs;
	int cpu;
	struct list_head node;
	u16 vpid;
	bool launched;
	bool in_section;
	bool guest_msrs;
	u32 ctl_cpu, ctl_cpu2, ctl_entry, exceptions;
	u64 eptp;
	u64 kernel_gs;
	unsigned long host_rsp, host_cr3, host_cr4, host_fs_base;
	struct vmx_saved saved;
	u64 hw_cr0, hw_cr3, hw_cr4;
	u64 shadow0, shadow4, efer;
	u64 cr4_guest;
	struct vmx_msr_entry *spec_ctrl;
};

/* In vcpu->avail beside the groups: hw_cr* are what the VMCS holds. An exit drops it with the others. */
#define VMX_G_HW_CR	BIT(31)
/* In vcpu->dirty beside the groups: controls differ from what the VMCS holds. */
#define VMX_G_CONTROLS	BIT(30)

/* Groups that the guest cannot change without an exit. */
#define VMX_G_STABLE	(VMLET_G_DR | VMLET_G_CR8 | VMLET_G_TSC)

/* CR0 bits that the guest changes without an exit. */
#define VMX_CR0_GUEST	(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_WP | X86_CR0_AM)

/* Likewise of CR4, as far as the guest's CPUID has them. */
#define VMX_CR4_GUEST	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE)

extern struct vmx_config vmx_config;
extern void *vmx_msr_bitmap;
DECLARE_PER_CPU(struct vmx_cpu, vmx_cpus);

static inline struct vmx_vcpu *to_vmx(struct vmlet_vcpu *vcpu)
{
	return container_of(vcpu, struct vmx_vcpu, vcpu);
}

/* controls.c */
int vmx_negotiate(void);

/* l1d.c */
DECLARE_STATIC_KEY_FALSE(vmx_l1d_each_entry);
int vmx_l1d_setup(void);
void vmx_l1d_unsetup(void);
void vmx_l1d_flush(void);

/* vmx.c */
void vmx_set_msr(struct vmx_cpu *this, enum vmx_switched nr, u64 value);
void vmx_restore_msrs(struct vmx_cpu *this);

/* vcpu.c */
int vmx_vcpu_init(struct vmlet_vcpu *vcpu);
void vmx_vcpu_destroy(struct vmlet_vcpu *vcpu);
void vmx_load(struct vmlet_vcpu *vcpu);
void vmx_put(struct vmlet_vcpu *vcpu);
int vmx_run(struct vmlet_vcpu *vcpu);
void vmx_set_intercepts(struct vmlet_vcpu *vcpu);
bool vmx_move_here(struct vmx_vcpu *vmx);

static __always_inline bool vmx_make_current(struct vmx_vcpu *vmx)
{
	return likely(this_cpu_read(vmx_cpus.current_vcpu) == vmx) || vmx_move_here(vmx);
}
void vmx_clear_active(struct vmx_cpu *this);

/* state.c */
void vmx_fetch(struct vmlet_vcpu *vcpu, u32 groups);
void vmx_flush(struct vmx_vcpu *vmx);
void vmx_inject(struct vmlet_vcpu *vcpu, enum vmlet_inject type, u8 vector, bool has_error, u32 error);
void vmx_window(struct vmlet_vcpu *vcpu, enum vmlet_inject type, bool on);
void vmx_load_guest_msrs(struct vmx_vcpu *vmx);
void vmx_set_spec_ctrl(struct vmx_vcpu *vmx);

/* rules.c */
void vmx_explain(struct vmlet_vcpu *vcpu, struct vmlet_broken_rule *rule);

/* decode.c */
enum vmx_report {
	VMX_RAW,	/* exit qualification, for reports */
	VMX_INSN,	/* an instruction: its length */
	VMX_PLAIN,	/* nothing else */
	VMX_EXCEPTION, VMX_CR, VMX_DR, VMX_IO, VMX_EPT, VMX_TASK
};

/* What an exit reason of the hardware is called, and what else the hardware reports. */
struct vmx_reason {
	u8 reason;
	u8 report;
};

#define VMX_REASONS	(EXIT_REASON_ENCLS + 1)

extern const struct vmx_reason vmx_reasons[VMX_REASONS];

void vmx_decode(struct vmx_vcpu *vmx, u32 reason);
void vmx_decode_ept(struct vmlet_vcpu *vcpu);
void vmx_decode_failure(struct vmx_vcpu *vmx);

/* enter.S: true: the entry failed before any guest state was loaded. */
bool vmx_enter_guest(u64 *regs, unsigned long *host_rsp, bool launched);
void vmx_exit_point(void);

/*
 * An instruction that needs VMX operation. A reboot switches that off on every CPU, whatever runs there: it then does
 * nothing, and its results are anything.
 */
#define VMX_UNLESS_OFF(insn)	"1: " insn "\n2:\n" _ASM_EXTABLE(1b, 2b)

/* A failing VMREAD would be a bug that every boot shows; the check is not worth its place on every exit. */
static __always_inline u64 vmx_read(unsigned long field)
{
	u64 value;

	asm volatile(VMX_UNLESS_OFF("vmread %1, %0") : "=rm" (value) : "r" (field) : "cc");
	return value;
}

void vmx_write_failed(unsigned long field, u64 value);

static __always_inline void vmx_write(unsigned long field, u64 value)
{
	bool failed;

	asm volatile(VMX_UNLESS_OFF("vmwrite %2, %1") : "=@ccna" (failed) : "r" (field), "rm" (value));
	if (unlikely(failed))
		vmx_write_failed(field, value);
}

/* The API numbers the two shadows the other way round; the same both ways. */
static __always_inline u32 vmx_swap_shadows(u32 bits)
{
	return (bits & 1) << 1 | (bits >> 1 & 1);
}

static __always_inline void vmx_fetch_some(struct vmlet_vcpu *vcpu, u32 groups)
{
	if (groups & VMLET_G_RIP)
		vcpu->rip = vmx_read(GUEST_RIP);
	if (groups & VMLET_G_RFLAGS)
		vcpu->rflags = vmx_read(GUEST_RFLAGS);
	if (groups & VMLET_G_SHADOW) {
		u32 info = vmx_read(GUEST_INTERRUPTIBILITY_INFO);

		vcpu->int_shadow = vmx_swap_shadows(info);
		vcpu->nmi_masked = info & GUEST_INTR_STATE_NMI;
	}
	vcpu->avail |= groups;
}

/* Of VMLET_G_SKIP; the VMCS is current. The rule and its exceptions, told apart once instead of three times. */
static __always_inline void vmx_fetch_skip(struct vmlet_vcpu *vcpu, u32 groups)
{
	if (likely(groups == VMLET_G_SKIP))
		vmx_fetch_some(vcpu, VMLET_G_SKIP);
	else if (groups)
		vmx_fetch_some(vcpu, groups);
}

static inline bool vmx_vmclear(u64 vmcs)
{
	bool failed;

	asm volatile(VMX_UNLESS_OFF("vmclear %1") : "=@ccna" (failed) : "m" (vmcs) : "memory");
	return !failed;
}

static inline bool vmx_vmptrld(u64 vmcs)
{
	bool failed;

	asm volatile(VMX_UNLESS_OFF("vmptrld %1") : "=@ccna" (failed) : "m" (vmcs) : "memory");
	return !failed;
}

/* The types of INVEPT that are used; that of INVVPID is never needed: INVEPT drops what hangs on the EPT pointer. */
enum { VMX_INVEPT_ONE = 1, VMX_INVEPT_ALL = 2 };

static inline void vmx_invept(unsigned long type, u64 eptp)
{
	struct {
		u64 eptp, reserved;
	} desc = { eptp };

	asm volatile(VMX_UNLESS_OFF("invept %0, %1") : : "m" (desc), "r" (type) : "cc", "memory");
}

static inline void vmx_flush_tlb(struct vmlet_vcpu *vcpu)
{
	vmx_invept(VMX_INVEPT_ONE, to_vmx(vcpu)->eptp);
}

#endif
