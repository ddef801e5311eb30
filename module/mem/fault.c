// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: nested page faults
 *
 * A page is looked up in the process, mapped for the guest, and let go again. Ordinary memory is read off the process's
 * page tables; what is not there, or not ordinary, is touched as the process itself would touch it, which may take long. If
 * the process's mappings have changed meanwhile, as the notifier's sequence tells, nothing is mapped and the guest tries
 * again.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>
#include <asm/mmu_context.h>

#include "../api/api.h"
#include "../cpu/bugs.h"
#include "../cpu/vendor.h"
#include "pt.h"

#define GROUP_SIZE	(VMLET_PT_GROUP * PAGE_SIZE)

/*
 * struct fault - a nested page fault being handled
 * @slot:	a copy: looking up the page must not hold back who changes slots
 * @hva:	of the page
 * @seq:	vm->invalidate_seq from before the look at slots and pages
 * @populated:	the page was not there a moment ago: what is around it hardly waits to be mapped
 * @page:	reference to what was found, if it was not read off the page tables
 * @leaf:	what to install; @leaf.pfn: 0 while it is not known
 * @mapped:	it is
 */
struct fault {
	struct vmlet_vm *vm;
	struct vmlet_slot slot;
	hva_t hva;
	unsigned long seq;
	bool populated;
	struct page *page;
	struct vmlet_pt_leaf leaf;
	bool mapped;
};

/* 0; -ENXIO: no slot; VMLET_RESUME: one that is being replaced, look again. */
static int find_slot(struct fault *fault)
{
	struct vmlet_vm *vm = fault->vm;
	const struct vmlet_slot *slot;
	int idx, ret = -ENXIO;

	if (vmlet_mem_has_apic(vm, fault->leaf.gfn, 1))
		return ret;
	fault->seq = READ_ONCE(vm->invalidate_seq);
	/* Slots and pages are looked at after the sequence was. */
	smp_rmb();
	idx = srcu_read_lock(&vm->srcu);
	slot = vmlet_slot_find(vmlet_slots(vm), fault->leaf.gfn);
	if (slot && !(fault->leaf.writing && (slot->flags & KVM_MEM_READONLY))) {
		fault->slot = *slot;
		fault->hva = vmlet_slot_hva(slot, fault->leaf.gfn);
		ret = READ_ONCE(slot->dying) ? VMLET_RESUME : 0;
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

/*
 * The first touch of ordinary memory is the most frequent of all faults that the host has to serve. This is what GUP
 * would do, but without its walks before and after; whatever is unusual is left to GUP. True: look at the tables again.
 */
static bool populate(struct fault *fault)
{
	unsigned int flags = FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_INTERRUPTIBLE;
	struct mm_struct *mm = fault->vm->mm;
	vm_fault_t done = VM_FAULT_ERROR;
	struct vm_area_struct *vma;

	if (!fault->leaf.writing || !mmap_read_trylock(mm))
		return false;
	vma = vma_lookup(mm, fault->hva);
	if (vma && vma_is_anonymous(vma) && (vma->vm_flags & VM_WRITE) && !userfaultfd_armed(vma) &&
	    arch_vma_access_permitted(vma, true, false, false))
		done = handle_mm_fault(vma, fault->hva, flags, NULL);
	if (!(done & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
		mmap_read_unlock(mm);
	fault->populated = !(done & (VM_FAULT_RETRY | VM_FAULT_ERROR));
	return fault->populated;
}

static bool take_present(struct fault *fault, bool writable)
{
	fault->leaf.writable = writable;
	return get_user_pages_fast_only(fault->hva, 1, writable ? FOLL_WRITE : 0, &fault->page) == 1;
}

/* As the process's own access would: copy on write, swap in, wait for userfaultfd. Signals end the wait. */
static int fault_in(struct fault *fault)
{
	unsigned int flags = FOLL_HWPOISON | FOLL_INTERRUPTIBLE | FOLL_HONOR_NUMA_FAULT;
	long n;

	fault->leaf.writable = fault->leaf.writing;
	if (fault->leaf.writing)
		flags |= FOLL_WRITE;
	n = get_user_pages_unlocked(fault->hva, 1, &fault->page, flags);
	if (n == 1)
		return 0;
	if (n != -EHWPOISON)
		return n ?: -EFAULT;
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)fault->hva, PAGE_SHIFT, current);
	return -EHWPOISON;
}

/* If possible with the right to write even if the guest only reads: this saves a second fault. */
static int take_page(struct fault *fault)
{
	if (!(fault->slot.flags & KVM_MEM_READONLY) && take_present(fault, true))
		return 0;
	if (!fault->leaf.writing && take_present(fault, false))
		return 0;
	return fault_in(fault);
}

/* Has the process changed its mappings, or userspace its slots, since the pages were looked up, or is it just doing so? */
static bool is_stale(const struct fault *fault)
{
	struct vmlet_vm *vm = fault->vm;

	lockdep_assert_held(&vm->mmu_lock);
	if (vm->invalidate_seq != fault->seq)
		return true;
	return vm->invalidating && fault->hva - min(fault->hva, GROUP_SIZE) < vm->invalidate_end &&
	       vm->invalidate_start < fault->hva + GROUP_SIZE;
}

static u64 ordinary_pfn(pte_t pte)
{
	if (!pte_access_permitted(pte, true) || pte_special(pte) || !PageAnon(pte_page(pte)))
		return 0;
	return pte_pfn(pte);
}

/*
 * The page itself, if not yet known, and those around it: ordinary memory, that is anonymous, present, writable; or parts of
 * the same huge page, if @ptep is NULL. There is no reference, but as long as vm->mmu_lock is held they cannot go: who
 * takes them away tells the notifier first.
 */
static void find_group(struct fault *fault, pte_t *ptep)
{
	struct vmlet_pt_leaf *leaf = &fault->leaf;
	gfn_t before = leaf->gfn - fault->slot.base_gfn, behind = fault->slot.npages - 1 - before;
	gfn_t at = leaf->gfn % VMLET_PT_GROUP, index = pte_index(fault->hva), i;
	gfn_t last = at + min3(VMLET_PT_GROUP - 1 - at, PTRS_PER_PTE - 1 - index, behind);

	if (!leaf->pfn && !(fault->slot.flags & KVM_MEM_READONLY)) {
		leaf->pfn = ordinary_pfn(ptep_get_lockless(ptep));
		leaf->writable = leaf->pfn;
	}
	if (!leaf->writable || fault->populated)
		return;
	for (i = at - min3(at, index, before); i <= last; i++)
		if (!vmlet_mem_has_apic(fault->vm, leaf->gfn + i - at, 1))
			leaf->group[i] = ptep ? ordinary_pfn(ptep_get_lockless(ptep + i - at)) : leaf->pfn + i - at;
}

/*
 * How large is what the process has mapped there, and what is beside it? Valid as long as a fault is not stale. Interrupts
 * are off so that tables are not freed under the walk.
 */
static int host_level(struct fault *fault)
{
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	guard(irqsave)();
	pgd = READ_ONCE(*pgd_offset(fault->vm->mm, fault->hva));
	if (!pgd_present(pgd))
		return 1;
	p4d = READ_ONCE(*p4d_offset(&pgd, fault->hva));
	if (!p4d_present(p4d))
		return 1;
	pud = READ_ONCE(*pud_offset(&p4d, fault->hva));
	if (!pud_present(pud))
		return 1;
	if (pud_leaf(pud))
		return 3;
	pmd = READ_ONCE(*pmd_offset(&pud, fault->hva));
	if (!pmd_present(pmd))
		return 1;
	if (pmd_leaf(pmd))
		return 2;
	find_group(fault, pte_offset_kernel(&pmd, fault->hva));
	return 1;
}

/* Does the huge page lie in the slot, without a local APIC, and at the same offsets in the guest and in the process? */
static bool fits(const struct fault *fault, int level)
{
	gfn_t span = vmlet_pt_span(level), first = ALIGN_DOWN(fault->leaf.gfn, span);
	const struct vmlet_slot *slot = &fault->slot;

	if (((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (span - 1)) || vmlet_mem_has_apic(fault->vm, first, span))
		return false;
	return first >= slot->base_gfn && first + span <= slot->base_gfn + slot->npages;
}

static int largest_leaf(void)
{
	return vmlet_small_pages() ? 1 : vmlet_vendor->huge_levels();
}

static int leaf_level(struct fault *fault)
{
	int host = host_level(fault), level = fault->slot.dirty ? 1 : host;

	if (level > 1)
		level = min(level, largest_leaf());
	while (level > 1 && !fits(fault, level))
		level--;
	if (level == 1 && host > 1 && fault->leaf.pfn)
		find_group(fault, NULL);
	return level;
}

/*
 * Pages that the log does not have yet are mapped without the right to write, so that the first write shows. The slot is that
 * of a fault which is not stale: its log is alive until vm->mmu_lock is given up.
 */
static void log_dirty(struct fault *fault)
{
	struct vmlet_pt_leaf *leaf = &fault->leaf;
	const struct vmlet_slot *slot = &fault->slot;
	gfn_t first = ALIGN_DOWN(leaf->gfn, VMLET_PT_GROUP);
	unsigned int i;

	lockdep_assert_held(&fault->vm->mmu_lock);
	leaf->read_only = 0;
	if (!slot->dirty || !leaf->pfn)
		return;
	if (leaf->writing)
		vmlet_slot_wrote(slot, leaf->gfn);
	else
		leaf->writable &= test_bit(leaf->gfn - slot->base_gfn, slot->dirty);
	for (i = 0; i < VMLET_PT_GROUP; i++)
		if (leaf->group[i] && !test_bit(first + i - slot->base_gfn, slot->dirty))
			leaf->read_only |= BIT(i);
}

static int try_map(struct fault *fault, u64 **spare)
{
	int ret = 0;

	spin_lock(&fault->vm->mmu_lock);
	if (!is_stale(fault)) {
		fault->leaf.level = leaf_level(fault);
		log_dirty(fault);
		ret = fault->leaf.pfn ? vmlet_pt_map(fault->vm, &fault->leaf, spare) : -ENOENT;
		fault->mapped = !ret;
	}
	spin_unlock(&fault->vm->mmu_lock);
	return ret;
}

/* 0: mapped, or stale; -ENOENT: the page must be touched first; -ENOMEM. */
static int map_page(struct fault *fault)
{
	u64 *spare = NULL;
	int ret;

	while ((ret = try_map(fault, &spare)) == -EAGAIN) {
		spare = vmlet_pt_table_alloc();
		if (!spare)
			return -ENOMEM;
	}
	if (spare)
		vmlet_pt_table_free(spare);
	return ret;
}

static int take_and_map(struct fault *fault)
{
	int ret = take_page(fault);

	/* The signal that was sent is what tells userspace. */
	if (ret == -EHWPOISON)
		return 0;
	if (ret)
		return ret;
	fault->leaf.pfn = page_to_pfn(fault->page);
	ret = map_page(fault);
	put_page(fault->page);
	return ret;
}

static void begin(struct fault *fault, struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access)
{
	lockdep_assert_held(&vcpu->mutex);
	*fault = (struct fault) {
		.vm		= vcpu->vm,
		.leaf.gfn	= gpa >> PAGE_SHIFT,
		.leaf.writing	= access & VMLET_ACCESS_WRITE,
	};
}

/* 0: mapped, or somebody interfered. Otherwise as vmlet_mem_fault(). */
static int handle(struct fault *fault, struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access)
{
	int ret;

	begin(fault, vcpu, gpa, access);
	ret = find_slot(fault) ?: map_page(fault);
	vcpu->page_absent = ret == -ENOENT;
	if (ret == -ENOENT && populate(fault))
		ret = map_page(fault);
	if (ret == -ENOENT)
		ret = take_and_map(fault);
	return ret < 0 ? ret : 0;
}

int vmlet_mem_fault(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access)
{
	struct fault fault;
	int ret = handle(&fault, vcpu, gpa, access);

	vcpu->stats->pf_taken++;
	vcpu->stats->pf_fixed += fault.mapped;
	return ret ?: VMLET_RESUME;
}

/*
 * Nothing waits: not for the lock, whose holder may wait for this CPU to leave the guest section; nor, with the lock held, for
 * other CPUs to leave it, which is why leaves that would have to go first are left alone.
 */
bool vmlet_mem_fault_now(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access)
{
	struct fault fault;

	lockdep_assert_irqs_disabled();
	begin(&fault, vcpu, gpa, access);
	if (find_slot(&fault) || !spin_trylock(&vcpu->vm->mmu_lock))
		return false;
	/* The process's page tables are asked for its rights. */
	if (unlikely(vcpu->pkru_loaded))
		vmlet_pkru_host(vcpu);
	if (!is_stale(&fault) && leaf_level(&fault) == 1 && vmlet_pt_has_room(vcpu->vm, &fault.leaf)) {
		fault.leaf.level = 1;
		log_dirty(&fault);
		fault.mapped = !vmlet_pt_map(vcpu->vm, &fault.leaf, NULL);
	}
	if (unlikely(vcpu->pkru_loaded))
		vmlet_pkru_guest(vcpu);
	spin_unlock(&vcpu->vm->mmu_lock);
	vcpu->stats->pf_taken += fault.mapped;
	vcpu->stats->pf_fixed += fault.mapped;
	return fault.mapped;
}

/* Bytes from @gpa on that are mapped now, or -errno. */
static long pre_fault(struct vmlet_vcpu *vcpu, gpa_t gpa)
{
	struct fault fault;
	u64 size;
	int ret;

	do {
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
		ret = handle(&fault, vcpu, gpa, VMLET_ACCESS_READ);
		if (ret)
			return ret == -ENXIO ? -ENOENT : ret;
	} while (!fault.mapped);
	size = vmlet_pt_span(fault.leaf.level) << PAGE_SHIFT;
	return size - (gpa & (size - 1));
}

/* As if the guest had read it all. What is left if not all could be done is in the argument. */
long vmlet_api_pre_fault_memory(void *obj, struct vmlet_arg *arg)
{
	struct kvm_pre_fault_memory *range = arg->data;
	u64 size = range->size;
	long done;

	if (range->flags || !PAGE_ALIGNED(range->gpa | size) || range->gpa + size <= range->gpa)
		return -EINVAL;
	do {
		done = pre_fault(obj, range->gpa);
		if (done < 0)
			return range->size == size ? done : 0;
		done = min_t(u64, done, range->size);
		range->gpa += done;
		range->size -= done;
	} while (range->size);
	return 0;
}
