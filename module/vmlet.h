/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: the objects everything shares
 *
 * A VM (struct vmlet_vm) belongs to one address space; a vCPU (struct vmlet_vcpu) belongs to one VM.
 * Locks, in the order in which they nest:
 *
 *   vm->lock > vcpu->mutex > vm->slots_lock > vm->mmu_lock
 *
 * Readers of memory slots hold vm->srcu. Each field below carries a tag:
 *
 *   [c] constant after creation		[l] vm->lock
 *   [m] vcpu->mutex				[s] vm->slots_lock to write, vm->srcu to read
 *   [u] vm->mmu_lock				[a] atomic or READ_ONCE/WRITE_ONCE, no lock
 *   [o] vcpu->mutex, and only inside the guest section (preemption off)
 */
#ifndef VMLET_H
#define VMLET_H

#include <linux/cpumask.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/signal_types.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>

#include "exit/exit.h"
#include "insn/parse.h"

#define VMLET_MAX_VCPUS		1024
#define VMLET_MAX_VCPU_ID	4096
#define VMLET_MAX_CPUID		256
#define VMLET_RUN_PAGES		3	/* kvm_run, port I/O data, coalesced ring */
#define VMLET_PIO_PAGE		1
#define VMLET_INSN_MAX		15

#define vmlet_err(fmt, ...)	pr_err_ratelimited("vmlet: " fmt "\n", ##__VA_ARGS__)

struct vmlet_slots;
struct vmlet_vendor;

/* Indices into vcpu->regs: the hardware's numbering of general registers. */
enum vmlet_gpr {
	VMLET_RAX, VMLET_RCX, VMLET_RDX, VMLET_RBX, VMLET_RSP, VMLET_RBP, VMLET_RSI, VMLET_RDI,
	VMLET_R8, VMLET_R9, VMLET_R10, VMLET_R11, VMLET_R12, VMLET_R13, VMLET_R14, VMLET_R15,
	VMLET_GPRS
};

/* Indices into vcpu->seg: the hardware's numbering of segment registers, then the system segments. */
enum vmlet_seg {
	VMLET_ES, VMLET_CS, VMLET_SS, VMLET_DS, VMLET_FS, VMLET_GS, VMLET_TR, VMLET_LDTR,
	VMLET_SEGS
};

/* MSRs that the hardware switches or that are switched around the guest section. */
enum vmlet_hw_msr {
	VMLET_SYSENTER_CS, VMLET_SYSENTER_ESP, VMLET_SYSENTER_EIP,
	VMLET_STAR, VMLET_LSTAR, VMLET_CSTAR, VMLET_SFMASK, VMLET_KERNEL_GS,
	VMLET_HW_MSRS
};

/*
 * Register groups: state that the hardware holds while the guest runs. A group that is available has its
 * value in the vCPU; one that is dirty (and then also available) is to be flushed before the next entry.
 * General registers except RSP are always in vcpu->regs.
 */
enum vmlet_group {
	VMLET_G_RIP	= BIT(0),
	VMLET_G_RSP	= BIT(1),
	VMLET_G_RFLAGS	= BIT(2),
	VMLET_G_SEGS	= BIT(3),	/* seg[] */
	VMLET_G_DT	= BIT(4),	/* gdt, idt */
	VMLET_G_CR	= BIT(5),	/* cr0, cr3, cr4, efer */
	VMLET_G_DR	= BIT(6),	/* dr6, dr7; dr[] is always in the vCPU */
	VMLET_G_MSR	= BIT(7),	/* msr[] */
	VMLET_G_SHADOW	= BIT(8),	/* int_shadow, nmi_masked */
	VMLET_G_CR8	= BIT(9),
	VMLET_G_TSC	= BIT(10),	/* tsc_offset */
	VMLET_G_MODE	= BIT(11),	/* mode: derived from seg[], read alone because that is cheap; never dirty */
	VMLET_G_ALL	= BIT(11) - 1	/* all that can be dirty */
};

/* Events that wait for the next entry: bits of vcpu->events.mask. */
enum vmlet_event {
	VMLET_EV_EXCEPTION	= BIT(0),	/* raised by a handler or by userspace */
	VMLET_EV_NMI		= BIT(1),	/* waits for the NMI window */
	VMLET_EV_IRQ		= BIT(2),	/* waits for the interrupt window */
	VMLET_EV_REDO_NMI	= BIT(3),	/* delivery was cut short by an exit: deliver first */
	VMLET_EV_REDO_IRQ	= BIT(4),
	VMLET_EV_TRIPLE		= BIT(5),	/* a fault while delivering #DF: the outer loop ends it */
};

struct vmlet_events {
	u8 mask;
	u8 irq, redo_irq;
	u8 nmi_again;		/* a second NMI while one waits; further ones merge */
	u8 vector;		/* of the exception */
	bool has_error;
	u32 error;
};

/* The API's own numbers. */
enum vmlet_intr_shadow {
	VMLET_SHADOW_MOV_SS	= 1,	/* KVM_X86_SHADOW_INT_MOV_SS */
	VMLET_SHADOW_STI	= 2,	/* KVM_X86_SHADOW_INT_STI */
};

struct vmlet_dt {
	u64 base;
	u16 limit;
};

/* MSRs that are plain storage: the guest sees what was written, nothing else happens. */
struct vmlet_msr_store {
	u64 pat, misc_enable, mcg_cap, mcg_status, tsc_adjust;
	u64 mtrr_cap, mtrr_def, mtrr_fixed[11], mtrr_var[16];
	u64 mc[32 * 4];
	u64 ucode_rev, platform_info, hwcr, feature_ctl;
};

/* Guest memory of one access: at gpa[0], and what is behind the first @first bytes at gpa[1]. */
struct vmlet_span {
	gpa_t gpa[2];
	u16 len, first;
};

/**
 * struct vmlet_vm - a virtual machine
 * @users:	files of the VM and of its vCPUs					[a]
 * @mm:		the address space that may use it					[c]
 * @nr_vcpus:	vCPUs created								[l]
 * @vcpus:	by order of creation							[l]
 * @slots:	memory slots, replaced as a whole					[s]
 * @root:	host virtual address of the root page table				[c]
 * @invalidating: MMU notifier ranges being invalidated now				[u]
 * @invalidate_seq: counts finished invalidations					[u]
 * @tlb_gen:	counts reductions of rights; a vCPU whose own differs flushes before entry	[a]
 */
struct vmlet_vm {
	refcount_t users;
	struct mm_struct *mm;
	struct mutex lock;
	unsigned int nr_vcpus;
	struct vmlet_vcpu *vcpus[VMLET_MAX_VCPUS];

	struct mutex slots_lock;
	struct srcu_struct srcu;
	struct vmlet_slots __rcu *slots;

	spinlock_t mmu_lock;
	u64 *root;
	struct mmu_notifier notifier;
	unsigned long invalidating;
	unsigned long invalidate_seq;
	unsigned long invalidate_start, invalidate_end;	/* [u] hva range while @invalidating */
	struct cpumask flush_cpus;			/* [u] CPUs that a flush waits for */
	atomic64_t tlb_gen;

	u64 tss_addr;		/* [l] accepted for the API's sake: unrestricted guest needs none */
	u64 identity_addr;	/* [l] likewise */
	u32 tsc_khz;		/* [c] */
	spinlock_t tsc_lock;
	u64 tsc_offset;		/* tsc_lock: what userspace's last write of a TSC came to */
};

/**
 * struct vmlet_vcpu - a virtual CPU; the vendor's structure begins with it
 * @regs:	general registers by hardware number; RSP belongs to a group		[m]
 * @avail:	VMLET_G_* whose value is in here					[m]
 * @dirty:	VMLET_G_* to be flushed before the next entry				[m]
 * @exit:	the last exit								[m]
 * @mode_cpu:	CPU whose guest section runs this vCPU, or -1				[a]
 * @complete:	finishes what the last return to userspace left open, or NULL		[m]
 * @last_cpu:	CPU whose caches and TLB hold this vCPU's state, or -1			[o]
 */
struct vmlet_vcpu {
	u64 regs[VMLET_GPRS];
	u64 rip;
	u64 rflags;
	u32 avail;
	u32 dirty;
	struct vmlet_exit exit;
	struct vmlet_events events;

	u64 cr0, cr2, cr3, cr4, cr8, efer;	/* [m] as the guest sees them */
	u64 pdpte[4];				/* [m] of PAE paging, for hardware that wants them loaded */
	u64 apic_base;				/* [m] */
	struct kvm_segment seg[VMLET_SEGS];	/* [m] */
	struct vmlet_dt gdt, idt;		/* [m] */
	u64 dr[4], dr6, dr7;			/* [m] */
	u64 msr[VMLET_HW_MSRS];			/* [m] */
	struct {				/* [m] VMLET_G_MODE; stale while VMLET_G_SEGS is available */
		u8 ss_dpl;
		bool cs_l, cs_db;
	} mode;
	u64 xcr0;				/* [m] */
	u8 int_shadow;				/* [m] enum vmlet_intr_shadow */
	bool nmi_masked;			/* [m] */
	bool want_window;			/* [m] run->request_interrupt_window, read once */
	u64 tsc_offset;				/* [m] */
	u64 tlb_gen;				/* [m] vm->tlb_gen at the last flush */
	int last_cpu;

	int mode_cpu;
	int (*complete)(struct vmlet_vcpu *vcpu);
	struct vmlet_insn insn;			/* [m] the instruction that @complete finishes: MMIO, string I/O */
	struct {				/* [m] its accesses to memory, where userspace does them: insn/mmio.c */
		const struct vmlet_mmio_op *op;
		struct vmlet_span src, dst;
		u64 loaded, result, flags;
		u8 done, piece;
		bool storing;
	} mmio;
	struct {				/* [m] string or plain port I/O in flight */
		u16 port;
		u8 size;
		bool in;
		u32 count;
	} pio;

	struct mutex mutex;
	struct vmlet_vm *vm;			/* [c] */
	int id;					/* [c] */
	u64 serial;				/* [c] never used twice; not 0 */
	struct kvm_run *run;			/* [c] VMLET_RUN_PAGES pages, hostile */
	u8 *pio_data;				/* [c] */
	struct page *run_page[VMLET_RUN_PAGES];	/* [c] */
	void *xsave;				/* [m] guest's extended state, standard format */

	unsigned int nr_cpuid;			/* [m] */
	struct kvm_cpuid_entry2 *cpuid;		/* [m] in the order userspace gave */
	u8 cpuid_first[3][32];			/* [m] first entry of leaf base + n; 0xff: none */
	u8 cpuid_next[VMLET_MAX_CPUID];		/* [m] next entry of the same leaf; 0xff: none */
	u8 maxphyaddr;				/* [m] from CPUID */
	bool has_run;				/* [m] CPUID is settled */
	u64 cr4_allowed, efer_allowed;		/* [m] from CPUID */
	u32 tsc_khz;				/* [m] */
	struct vmlet_msr_store store;		/* [m] */

	bool sigmask_set;			/* [m] */
	sigset_t sigmask;			/* [m] */
};

/* The vendor in use: set before /dev/vmlet appears, never changed. */
extern const struct vmlet_vendor *vmlet_vendor;

/* api/: files and their lifetime */
int vmlet_vm_create(void);
void vmlet_vm_get(struct vmlet_vm *vm);
void vmlet_vm_put(struct vmlet_vm *vm);
int vmlet_vcpu_create(struct vmlet_vm *vm, int id);

#endif
