/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: guest memory
 *
 * Guest-physical memory is process memory of the VM's owner, described by slots. slots.c keeps the slots,
 * fault.c maps pages on demand, pt.c is the one walker of nested page tables, dirty.c tells what was written,
 * notifier.c follows the owner's address space, guest.c reads and writes guest memory and walks the guest's own page tables.
 * Nothing is pinned.
 */
#ifndef VMLET_MEM_H
#define VMLET_MEM_H

#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/special_insns.h>

#include "../cpu/fpu.h"
#include "../vmlet.h"

#define VMLET_MAX_SLOTS		32764	/* as many as KVM */

/*
 * One memory slot: immutable once it is in a set of slots, but for @dying: it is about to be replaced and no more faults
 * may map it, while the MMU notifier must still find it.
 */
struct vmlet_slot {
	gfn_t base_gfn;
	u64 npages;
	hva_t hva;
	u32 id;
	u32 flags;		/* KVM_MEM_* */
	bool dying;
	unsigned long *dirty;	/* KVM_MEM_LOG_DIRTY_PAGES: a bit per page, atomic, cleared under vm->mmu_lock; else NULL */
};

/*
 * All slots of a VM: found in O(log n), replaced as a whole, then with a higher @serial; the first is 1.
 * @by_hva:	sorted by HVA; they may overlap there
 * @reach:	the highest end of those up to by_hva[i], which is the same one's as a rule
 * @slot:	sorted by GFN
 */
struct vmlet_slots {
	u64 serial;
	unsigned int count;
	struct vmlet_slot **by_hva;
	hva_t *reach;
	struct vmlet_slot *slot[];
};

/* A guest page fault found by a software walk: what the guest's #PF will say. */
struct vmlet_pf {
	u64 address;
	u32 error;
};

/* Sets up the VM's fields from @slots_lock to @tlb_gen; @mm is set, and is the current one. */
int vmlet_mem_init(struct vmlet_vm *vm);

/* No file is left that could use the VM; its vCPUs are not freed yet, since the notifier may be looking at them. */
void vmlet_mem_destroy(struct vmlet_vm *vm);

/*
 * KVM_SET_USER_MEMORY_REGION and REGION2; errors as KVM's: -EINVAL, -EEXIST, -ENOMEM. vm->lock held.
 * What was deleted or moved is out of every vCPU's reach when this returns.
 */
int vmlet_slots_set(struct vmlet_vm *vm, const struct kvm_userspace_memory_region2 *region);

/* The slots, for as long as vm->srcu is held, or interrupts are off in the guest section. */
static inline const struct vmlet_slots *vmlet_slots(const struct vmlet_vm *vm)
{
	return rcu_dereference_check(vm->slots, srcu_read_lock_held(&vm->srcu) || irqs_disabled());
}

/* The slot that has @gfn, or NULL. */
struct vmlet_slot *vmlet_slot_find(const struct vmlet_slots *slots, gfn_t gfn);

/*
 * The page where local APICs begin their life. In a VM that has them in the kernel it is never mapped, whatever slots say, so
 * that every access comes to us: a vCPU in xAPIC mode finds its local APIC there, others the memory that a slot has.
 */
static inline bool vmlet_mem_has_apic(const struct vmlet_vm *vm, gfn_t first, u64 npages)
{
	return (APIC_DEFAULT_PHYS_BASE >> PAGE_SHIFT) - first < npages && vm->irq.chip != VMLET_IRQCHIP_NONE;
}

/* No memory is at @gfn, or a local APIC all the same. */
static inline bool vmlet_mem_is_device(struct vmlet_vcpu *vcpu, const struct vmlet_slots *slots, gfn_t gfn)
{
	if (vcpu->hole.gfn == gfn && vcpu->hole.slots == slots->serial)
		return true;
	if (vmlet_slot_find(slots, gfn) && !vmlet_mem_has_apic(vcpu->vm, gfn, 1))
		return false;
	vcpu->hole.gfn = gfn;
	vcpu->hole.slots = slots->serial;
	return true;
}

static inline hva_t vmlet_slot_hva(const struct vmlet_slot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

static inline hva_t vmlet_slot_hva_end(const struct vmlet_slot *slot)
{
	return slot->hva + (slot->npages << PAGE_SHIFT);
}

/* vm->slots_lock held */
struct vmlet_slot *vmlet_slot_by_id(struct vmlet_vm *vm, u32 id);

/* How many of @slots, sorted by HVA, begin below @end. */
unsigned int vmlet_slots_below(const struct vmlet_slots *slots, hva_t end);

/*
 * The page has been written to. After the write, so that who reads the log and then the page sees it: a bit that is already
 * set may just be read. As long as the slot is held, by vm->srcu, or the fault is known not to be stale.
 */
static inline void vmlet_slot_wrote(const struct vmlet_slot *slot, gfn_t gfn)
{
	if (slot->dirty)
		set_bit(gfn - slot->base_gfn, slot->dirty);
}

/* dirty.c. Give @new, which takes the place of @old or of nothing, the log that its flags ask for. 0 or -ENOMEM. */
int vmlet_dirty_prepare(struct vmlet_vm *vm, const struct vmlet_slot *old, struct vmlet_slot *new);

/* vCPUs see @slot, and no longer the one like it that did not log, or that did. */
void vmlet_dirty_switched(struct vmlet_vm *vm, const struct vmlet_slot *slot);

int vmlet_slots_init(struct vmlet_vm *vm);
void vmlet_slots_destroy(struct vmlet_vm *vm);

/*
 * Map the page of @gpa. VMLET_RESUME: mapped, or somebody interfered and the guest tries again; -ENXIO: no memory there,
 * or a write to a read-only slot; -EFAULT: not, or not so, mapped in the process; -EINTR: a signal came while waiting;
 * -ENOMEM.
 */
int vmlet_mem_fault(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access);

/*
 * Likewise in the inner loop, if the page and the table for it are there and nobody is at the tables. False: come again by
 * the above.
 */
bool vmlet_mem_fault_now(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access);

/* Guest memory by GPA. 0; -ENXIO: no memory there (or read-only, for a write): MMIO; -EFAULT: unmapped in the process. */
int vmlet_mem_read(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int vmlet_mem_write(struct vmlet_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);

/*
 * Accesses to user memory where nothing may sleep. In the inner loop PKRU and CR2 are the guest's, and a fault, even one
 * that is not served, would leave the host's CR2 there. What _begin() returns is for _end().
 */
static __always_inline u64 vmlet_user_begin(struct vmlet_vcpu *vcpu)
{
	if (unlikely(vcpu->pkru_loaded))
		vmlet_pkru_host(vcpu);
	pagefault_disable();
	return native_read_cr2();
}

static __always_inline void vmlet_user_end(struct vmlet_vcpu *vcpu, u64 cr2, bool failed)
{
	pagefault_enable();
	if (unlikely(failed))
		native_write_cr2(cr2);
	if (unlikely(vcpu->pkru_loaded))
		vmlet_pkru_guest(vcpu);
}

/* Is there any, to be written to if @write? For now, at least. */
bool vmlet_mem_is_there(struct vmlet_vcpu *vcpu, gpa_t gpa, bool write);

/* One byte, atomically: what was there for *@value. */
int vmlet_mem_swap(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 *value);

/* vmlet_mem_read() and _write() where nothing may sleep; -EFAULT also if a page is not in memory now. */
int vmlet_mem_read_now(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int vmlet_mem_write_now(struct vmlet_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);

/*
 * Translate by the guest's page tables as an access of kind VMLET_ACCESS_* would; 0: a mere look, without rights, that
 * leaves the tables as they are. 0; -EACCES: the guest gets @pf as #PF; -EFAULT: the tables are in memory that the
 * process has unmapped. @pf may be NULL. That @gva is canonical is the caller's to check.
 */
int vmlet_gva_to_gpa(struct vmlet_vcpu *vcpu, gva_t gva, u8 access, gpa_t *gpa, struct vmlet_pf *pf);

/* KVM_PRE_FAULT_MEMORY, of a vCPU; ioctls of the VM. */
long vmlet_api_pre_fault_memory(void *obj, struct vmlet_arg *arg);
long vmlet_api_get_dirty_log(void *obj, struct vmlet_arg *arg);
long vmlet_api_clear_dirty_log(void *obj, struct vmlet_arg *arg);

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is enabled with @flags. */
#define VMLET_DIRTY_MANUAL	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)
int vmlet_dirty_manual(struct vmlet_vm *vm, u64 flags);

/* Every vCPU that was in the guest section has left it once when this returns. vm->mmu_lock held. */
void vmlet_leave_all(struct vmlet_vm *vm);

/* Drop leaves: all rights to [start, end) are gone before this returns. */
void vmlet_pt_zap(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool may_sleep);

/* No vCPU uses translations older than this call; vm->mmu_lock held. */
void vmlet_flush_all(struct vmlet_vm *vm);

#endif
