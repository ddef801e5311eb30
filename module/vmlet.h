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
 *   [m] vcpu->mutex				[s] vm->slots_lock to write; vm->srcu to read, or interrupts off
 *						    in the guest section
 *   [u] vm->mmu_lock				[a] atomic or READ_ONCE/WRITE_ONCE, no lock
 *   [o] vcpu->mutex, and only inside the guest section (preemption off)
 *   [v] vms_lock, of observe/vms.c: outside of all others
 */
#ifndef VMLET_H
#define VMLET_H

#include <linux/cpumask.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rcuwait.h>
#include <linux/refcount.h>
#include <linux/signal_types.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/xarray.h>

#include "exit/exit.h"
#include "insn/ops.h"
#include "insn/parse.h"
#include "irq/types.h"
#include "observe/stats.h"
#include "observe/types.h"
#include "time/types.h"

#define VMLET_MAX_VCPUS		1024
#define VMLET_MAX_VCPU_ID	4096
#define VMLET_MAX_CPUID		256
#define VMLET_RUN_PAGES		3	/* kvm_run, port I/O data, and the VM's coalesced ring */
#define VMLET_PIO_PAGE		1
#define VMLET_RING_PAGE		2
#define VMLET_INSN_MAX		15
#define VMLET_CODES		4
#define VMLET_CODE_LEVELS	5	/* of page tables */

#define vmlet_err(fmt, ...)	pr_err_ratelimited("vmlet: " fmt "\n", ##__VA_ARGS__)

struct vmlet_arg;
struct vmlet_lapic;
struct vmlet_msr_filter;
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
	VMLET_G_DR	= BIT(6),	/* dr7, as it is in effect; the others are always in the vCPU */
	VMLET_G_MSR	= BIT(7),	/* msr[] */
	VMLET_G_SHADOW	= BIT(8),	/* int_shadow, nmi_masked */
	VMLET_G_CR8	= BIT(9),
	VMLET_G_TSC	= BIT(10),	/* tsc_offset */
	VMLET_G_MODE	= BIT(11),	/* mode: derived from seg[], read alone because that is cheap; never dirty */
	VMLET_G_CR3	= BIT(12),	/* cr3, likewise: nothing to do while VMLET_G_CR is available */
	VMLET_G_ALL	= BIT(11) - 1,	/* all that can be dirty */
	VMLET_G_SKIP	= VMLET_G_RIP | VMLET_G_RFLAGS | VMLET_G_SHADOW	/* what advancing RIP needs */
};

/* What a guest's CPUID may say that other code asks for: bits of vcpu->features. */
enum vmlet_feature {
	VMLET_F_PCID		= BIT(0),
	VMLET_F_X2APIC		= BIT(1),
	VMLET_F_XSAVE		= BIT(2),
	VMLET_F_FSGSBASE	= BIT(3),
	VMLET_F_SMEP		= BIT(4),
	VMLET_F_INVPCID		= BIT(5),
	VMLET_F_SMAP		= BIT(6),
	VMLET_F_UMIP		= BIT(7),
	VMLET_F_PKU		= BIT(8),
	VMLET_F_LA57		= BIT(9),
	VMLET_F_XSAVES		= BIT(10),
	VMLET_F_NX		= BIT(11),
	VMLET_F_FXSR_OPT	= BIT(12),
	VMLET_F_RDTSCP		= BIT(13),
	VMLET_F_TSC_AUX		= BIT(14),	/* RDTSCP or RDPID */
	VMLET_F_LM		= BIT(15),
	VMLET_F_IBPB		= BIT(16),
	VMLET_F_FLUSH_L1D	= BIT(17),
	VMLET_F_ARCH_CAPS	= BIT(18),
	VMLET_F_IBRS		= BIT(19),	/* bits of MSR_IA32_SPEC_CTRL */
	VMLET_F_STIBP		= BIT(20),
	VMLET_F_SSBD		= BIT(21),
	VMLET_F_PSFD		= BIT(22),
	VMLET_F_VIRT_SSBD	= BIT(23),	/* MSR_AMD64_VIRT_SPEC_CTRL */
	VMLET_F_AUTOIBRS	= BIT(24),
	VMLET_F_SSE3		= BIT(25),
	VMLET_F_IPRED_CTRL	= BIT(26),	/* more bits of MSR_IA32_SPEC_CTRL */
	VMLET_F_RRSBA_CTRL	= BIT(27),
	VMLET_F_DDPD_U		= BIT(28),
	VMLET_F_BHI_CTRL	= BIT(29),
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

/* What others ask of a vCPU: bits of vcpu->requests, posted by vmlet_request(). */
enum vmlet_request {
	VMLET_REQ_EVENT,	/* interrupts have changed: look again. Served in the inner loop; the others in the outer */
	VMLET_REQ_NMI,		/* an NMI for this vCPU */
	VMLET_REQ_APIC,		/* INIT or SIPI wait in the local APIC */
	VMLET_REQ_CLOCK,	/* the guest's clock page is to be written */
	VMLET_REQ_STEAL,	/* steal time is to be set up */
	VMLET_REQ_EOI,		/* vcpu->eoi_vector has ended: tell userspace, which has the IOAPIC */
	VMLET_REQ_APIC_MAP,	/* destinations have changed: make the map anew before the guest goes on */
	VMLET_REQ_TPR,		/* the guest has accessed TPR, and userspace wants to know */
	VMLET_REQ_EOI_LENT,	/* whether the guest has ended an interrupt could not be seen without sleeping */
	VMLET_REQ_UNHALT,	/* another vCPU ended this one's HLT by hypercall */
	VMLET_REQ_DEBUG,	/* userspace's single step is done */
	VMLET_REQ_INTERCEPTS,	/* the VM's MSR filter has changed */
};

struct vmlet_events {
	u8 mask;
	u8 irq, redo_irq;
	u8 nmi_again;		/* a second NMI while one waits and none is handled; others merge */
	u8 vector;		/* of the exception */
	bool has_error;
	bool injected;		/* on its way already: what goes before delivery is done */
	bool has_payload;	/* before delivery: DR6 of #DB, CR2 of #PF */
	bool soft;		/* the last one handed over was an INT3 or INTO that is not in the guest's code */
	u32 error;
	u64 payload;
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
	u64 pat, misc_enable, mcg_cap, mcg_status, mcg_ctl, tsc_adjust;
	u64 mtrr_cap, mtrr_def, mtrr_fixed[11], mtrr_var[16];
	u64 mc[32 * 4];
	u64 ucode_rev, power_ctl, platform_info, misc_features, hwcr, feature_ctl, arch_caps, de_cfg;
	u64 perf_caps;		/* always 0 */
};

/* Guest memory of one access: at gpa[0], and what is behind the first @first bytes at gpa[1]. */
struct vmlet_span {
	gpa_t gpa[2];
	u16 len, first;
};

/*
 * struct vmlet_code - an instruction of 64-bit code and how the guest's tables led to it: mem/code.h
 * @slots:	serial number of the memory slots; 0: nothing is known
 * @rip, @cr3, @cr4, @efer, @cpl: what the translation depended on
 * @entry, @at:	the tables' entries, and where the process has them; the last one fills what is left
 * @code:	where it has the instruction; @bytes: which was this
 * @insn:	decoded; @insn.len: 0 if not yet, @insn.ea: is of the last time
 * @op:		insn/mmio.c: which move it is; NULL: not known, or none
 */
struct vmlet_code {
	u64 slots;
	u64 rip, cr3, cr4, efer;
	u8 cpl;
	u64 __user *at[VMLET_CODE_LEVELS];
	u64 entry[VMLET_CODE_LEVELS];
	u64 __user *code;
	u64 bytes[2];
	struct vmlet_insn insn;
	const struct vmlet_op *op;
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
 * @msr_filter:	MSRs that guests may not access, or NULL: exit/msr_filter.c		[l] to write; to read [l],
 *		or interrupts off in the guest section
 * @irq:	interrupt controllers: irq/types.h
 * @clock:	time/types.h
 * @owner:	observe/types.h
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
	struct xarray slot_ids;		/* [s] the same by number, for who has the lock */
	unsigned int nr_slots;		/* [s] others look: WRITE_ONCE */
	u64 slot_pages;			/* [s] of all slots; likewise */

	spinlock_t mmu_lock;
	u64 *root;
	struct mmu_notifier notifier;
	unsigned long invalidating;
	unsigned long invalidate_seq;
	unsigned long invalidate_start, invalidate_end;	/* [u] hva range while @invalidating */
	struct cpumask flush_cpus;			/* [u] CPUs that a flush waits for */
	atomic64_t tlb_gen;
	struct vmlet_msr_filter __rcu *msr_filter;	/* beside tlb_gen: what each exit has at hand */
	u8 dirty_manual;		/* [s] KVM_DIRTY_LOG_*: flags of the capability */
	/* What capabilities switch: api/vm.c. */
	u32 disabled_exits;		/* KVM_X86_DISABLE_EXITS_*: bits come under lock, none goes */
	u32 exception_payload;		/* [a] what KVM_GET_VCPU_EVENTS tells */
	u32 triple_fault_event;		/* [a] */
	u32 exit_on_emulation_failure;	/* [a] of user code's instructions, too */
	u32 show_platform_info;		/* [a] guests have MSR_PLATFORM_INFO */
	u32 msr_exits;			/* [a] KVM_MSR_EXIT_REASON_* of accesses that userspace answers */
	u32 exit_hypercall;		/* [a] which hypercalls are userspace's, by number */
	u32 disabled_quirks;		/* [a] KVM_X86_QUIRK_*; bits are only set */

	u64 tss_addr;		/* [l] accepted for the API's sake: unrestricted guest needs none */
	u64 identity_addr;	/* [l] likewise */
	unsigned long nr_mmu_pages;	/* [l] likewise: there are no shadow pages */
	u32 tsc_khz;		/* [l] a new vCPU's; others look: WRITE_ONCE */

	struct vmlet_irq irq;
	struct vmlet_clock clock;
	u32 boot_id;		/* [l] vCPU that starts; KVM_SET_BOOT_CPU_ID */
	u32 max_vcpu_id;	/* [l] IDs are below it; 0: userspace sets no limit */
	int pid;		/* [c] of the thread that made it */
	struct vmlet_owner owner;
	struct vmlet_vm_stats stats;	/* [u] */
};

/**
 * struct vmlet_vcpu - a virtual CPU; the vendor's structure begins with it
 * @regs:	general registers by hardware number; RSP belongs to a group		[m]
 * @avail:	VMLET_G_* whose value is in here					[m]
 * @dirty:	VMLET_G_* to be flushed before the next entry				[m]
 * @exit:	the last exit								[m]
 * @mode_cpu:	CPU whose guest section runs this vCPU, or -1				[a]
 * @complete:	finishes what the last return to userspace left open, or NULL		[m]
 * @requests:	bits of enum vmlet_request						[a]
 * @wait:	where a halted vCPU sleeps						[a]
 * @mp_state:	KVM_MP_STATE_*: RUNNABLE, HALTED, UNINITIALIZED, INIT_RECEIVED		[m]
 * @lapic:	NULL: userspace has the interrupt controllers				[c]
 * @eoi_vector:	for VMLET_REQ_EOI							[m]
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

	struct vmlet_stats *stats;		/* [m] pointer [c]; read by anybody, in userspace too */
	struct vmlet_exit_stats *exit_stats;	/* [m] of the last exit's reason */
	u64 moment, kernel_time, phase_moment;	/* [m] observe/times.h */

	u64 cr0, cr2, cr3, cr4, cr8, efer;	/* [m] as the guest sees them */
	u64 pdpte[4];				/* [m] of PAE paging; with VMLET_G_CR, where hardware has them loaded */
	bool pdptes_due;			/* [m] to be read from memory first, if VMLET_G_CR is dirty */
	u64 apic_base;				/* [m] */
	struct kvm_segment seg[VMLET_SEGS];	/* [m] */
	struct vmlet_dt gdt, idt;		/* [m] */
	u64 dr[4], dr6, dr7;			/* [m] */
	struct {				/* [m] KVM_SET_GUEST_DEBUG; in effect instead of the guest's with USE_HW_BP */
		u32 control;
		u64 dr[4], dr7;
	} debug;
	u64 msr[VMLET_HW_MSRS];			/* [m] */
	struct {				/* [m] VMLET_G_MODE; stale while VMLET_G_SEGS is available */
		u8 ss_dpl;
		bool cs_l, cs_db;
	} mode;
	u64 xcr0;				/* [m] */
	u64 tsc_aux;				/* [m] flushed with VMLET_G_MSR */
	u64 spec_ctrl, virt_spec_ctrl;		/* [m] likewise; 0: the guest runs with the host's */
	u32 pkru;				/* [m] while it is not in the register */
	u32 host_pkru;				/* [o] while the guest's is */
	bool pkru_loaded;			/* [o] the register has the guest's */
	u8 int_shadow;				/* [m] enum vmlet_intr_shadow */
	bool nmi_masked;			/* [m] */
	bool want_window;			/* [m] run->request_interrupt_window, read once */
	u64 tsc_offset;				/* [m] others may look: WRITE_ONCE */
	u64 tlb_gen;				/* [m] vm->tlb_gen at the last flush */
	int last_cpu;

	unsigned long requests;
	struct vmlet_lapic *lapic;
	struct rcuwait wait;
	u8 mp_state;
	u8 eoi_vector;
	gpa_t vapic;				/* [m] where the guest has its task priority in memory, or 0 */
	u64 pv_eoi;				/* [m] MSR_KVM_PV_EOI_EN */
	bool unhalted;				/* [m] by hypercall while it ran: its next HLT ends at once */
	u32 poll_ns;				/* [m] how long a halt is polled for before it sleeps */
	struct vmlet_vcpu_clock clock;

	int mode_cpu;
	int (*complete)(struct vmlet_vcpu *vcpu);
	struct vmlet_code code[VMLET_CODES];	/* [m] by bits of RIP: the last few instructions that were decoded */
	bool page_absent;			/* [m] at the last nested fault; then the next one's is, too, as a rule */
	struct {				/* [m] where memory was sought in vain the last time, and in which slots */
		u64 slots;
		gfn_t gfn;
	} hole;
	struct vmlet_insn insn;			/* [m] the instruction that @complete finishes: MMIO, string I/O */
	struct {				/* [m] its accesses to memory, where userspace does them: insn/mmio.c */
		const struct vmlet_op *op;
		struct vmlet_span span[VMLET_MEMS];
		struct vmlet_work work;
		u8 step, done, piece;	/* VMLET_MEM_*; of its bytes those that are done, and those that are asked for */
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
	spinlock_t thread_lock;
	struct pid *thread;			/* [m] and @thread_lock to write, either to read: who ran it last */
	struct kvm_run *run;			/* [c] VMLET_RUN_PAGES pages, hostile */
	u8 *pio_data;				/* [c] */
	struct page *run_page[VMLET_RUN_PAGES];	/* [c] */
	void *xsave;				/* [m] guest's extended state, standard format */

	unsigned int nr_cpuid;			/* [m] */
	struct kvm_cpuid_entry2 *cpuid;		/* [m] in the order userspace gave */
	u8 cpuid_first[3][40];			/* [m] first entry of leaf base + n; 0xff: none */
	u8 cpuid_next[VMLET_MAX_CPUID];		/* [m] next entry of the same leaf; 0xff: none */
	u8 maxphyaddr;				/* [m] from CPUID */
	bool has_run;				/* [m] CPUID is settled */
	u32 features;				/* [m] enum vmlet_feature, from CPUID, as far as the host has them */
	u64 cr4_allowed, efer_allowed, spec_ctrl_allowed; /* [m] from CPUID */
	u32 pv_features;			/* [m] what of KVM's interfaces the guest may use: all, or what its CPUID says */
	bool pv_enforced;			/* [m] the latter */
	u32 tsc_khz;				/* [m] */
	struct vmlet_msr_store store;		/* [m] */

	bool sigmask_set;			/* [m] */
	sigset_t sigmask;			/* [m] */
};

/* vCPUs that are there, for readers without vm->lock. */
static inline unsigned int vmlet_vcpu_count(const struct vmlet_vm *vm)
{
	/* Pairs with the release in vmlet_vcpu_create(). */
	return smp_load_acquire(&vm->nr_vcpus);
}

static inline bool vmlet_filters_msrs(const struct vmlet_vm *vm)
{
	return rcu_access_pointer(vm->msr_filter);
}

/* Old ways of KVM's that userspace has not switched off. */
#define VMLET_QUIRKS	(KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP | \
			 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_FIX_HYPERCALL_INSN | \
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_STUFF_FEATURE_MSRS)

static inline bool vmlet_has_quirk(const struct vmlet_vm *vm, u32 quirk)
{
	return !(READ_ONCE(vm->disabled_quirks) & quirk);
}

/* The vendor in use: set before /dev/vmlet appears, never changed. */
extern const struct vmlet_vendor *vmlet_vendor;

/* api/: files and their lifetime */
int vmlet_vm_create(void);
void vmlet_vm_get(struct vmlet_vm *vm);
void vmlet_vm_put(struct vmlet_vm *vm);
int vmlet_vcpu_create(struct vmlet_vm *vm, int id);

#endif
