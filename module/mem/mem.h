/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: guest memory
 *
 * Guest-physical memory is process memory of the VM's owner, described by slots. slots.c keeps the slots,
 * fault.c maps pages on demand, pt.c is the one walker of nested page tables, notifier.c follows the
 * owner's address space, guest.c reads and writes guest memory and walks the guest's own page tables.
 * Nothing is pinned.
 */
#ifndef VMLET_MEM_H
#define VMLET_MEM_H

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
};

/* All slots of a VM, sorted by GFN: found in O(log n), replaced as a whole. */
struct vmlet_slots {
	unsigned int count;
	struct vmlet_slot *slot[] __counted_by(count);
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

/* The slot that has @gfn, or NULL. */
struct vmlet_slot *vmlet_slot_find(const struct vmlet_slots *slots, gfn_t gfn);

static inline hva_t vmlet_slot_hva(const struct vmlet_slot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

int vmlet_slots_init(struct vmlet_vm *vm);
void vmlet_slots_destroy(struct vmlet_vm *vm);

/*
 * Map the page of @gpa. VMLET_RESUME: mapped, or somebody interfered and the guest tries again; -ENXIO: no memory there,
 * or a write to a read-only slot; -EFAULT: not, or not so, mapped in the process; -EINTR: a signal came while waiting;
 * -ENOMEM.
 */
int vmlet_mem_fault(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access);

/* Guest memory by GPA. 0; -ENXIO: no memory there (or read-only, for a write): MMIO; -EFAULT: unmapped in the process. */
int vmlet_mem_read(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int vmlet_mem_write(struct vmlet_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);

/*
 * Translate by the guest's page tables as an access of kind VMLET_ACCESS_* would; 0: a mere look, without rights, that
 * leaves the tables as they are. 0; -EACCES: the guest gets @pf as #PF; -EFAULT: the tables are in memory that the
 * process has unmapped. @pf may be NULL. That @gva is canonical is the caller's to check.
 */
int vmlet_gva_to_gpa(struct vmlet_vcpu *vcpu, gva_t gva, u8 access, gpa_t *gpa, struct vmlet_pf *pf);

/* Drop leaves: all rights to [start, end) are gone before this returns. */
void vmlet_pt_zap(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool may_sleep);

/* No vCPU uses translations older than this call; vm->mmu_lock held. */
void vmlet_flush_all(struct vmlet_vm *vm);

#endif
