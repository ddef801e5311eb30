// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: nested page faults
 *
 * A page is looked up in the process as if the process had touched it, mapped for the guest, and let go again. The look
 * may take long; if the process's mappings have changed meanwhile, as the notifier's sequence tells, nothing is mapped
 * and the guest tries again.
 */
#include <linux/mm.h>
#include <linux/cpu.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>

#include "../cpu/vendor.h"
#include "pt.h"

/* Pages mapped in one fault: the one that faulted, and those behind it that the process has at hand. */
#define AROUND	16

/*
 * struct fault - a nested page fault being handled
 * @slot:	a copy: looking up the page must not hold back who changes slots
 * @hva:	of the page
 * @seq:	vm->invalidate_seq from before the look at slots and pages
 * @write:	the guest wants to write
 * @writable:	the process may write to what was found, and the guest too
 * @n, @page:	what was found; references are held
 */
struct fault {
	struct vmlet_vm *vm;
	struct vmlet_slot slot;
	gfn_t gfn;
	hva_t hva;
	unsigned long seq;
	bool write, writable;
	unsigned int n;
	struct page *page[AROUND];
};

static int find_slot(struct fault *fault)
{
	struct vmlet_vm *vm = fault->vm;
	const struct vmlet_slot *slot;
	int idx, ret = -ENXIO;

	fault->seq = READ_ONCE(vm->invalidate_seq);
	/* Slots and pages are looked at after the sequence was. */
	smp_rmb();
	idx = srcu_read_lock(&vm->srcu);
	slot = vmlet_slot_find(srcu_dereference(vm->slots, &vm->srcu), fault->gfn);
	if (slot && !(fault->write && (slot->flags & KVM_MEM_READONLY))) {
		fault->slot = *slot;
		fault->hva = vmlet_slot_hva(slot, fault->gfn);
		ret = 0;
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

/* Pages from the one that faulted on, all in one table and in the slot. */
static unsigned int pages_wanted(const struct fault *fault)
{
	gfn_t slot_rest = fault->slot.base_gfn + fault->slot.npages - fault->gfn;
	gfn_t table_rest = VMLET_PT_SIZE - fault->gfn % VMLET_PT_SIZE;

	return min3(slot_rest, table_rest, (gfn_t)AROUND);
}

static bool take_present(struct fault *fault, bool writable)
{
	int n = get_user_pages_fast_only(fault->hva, pages_wanted(fault), writable ? FOLL_WRITE : 0, fault->page);

	if (n <= 0)
		return false;
	fault->n = n;
	fault->writable = writable;
	return true;
}

/* As the process's own access would: copy on write, swap in, wait for userfaultfd. Signals end the wait. */
static int fault_in(struct fault *fault)
{
	unsigned int flags = FOLL_HWPOISON | FOLL_INTERRUPTIBLE | FOLL_HONOR_NUMA_FAULT;
	long n;

	if (fault->write)
		flags |= FOLL_WRITE;
	n = get_user_pages_unlocked(fault->hva, 1, fault->page, flags);
	if (n == 1) {
		fault->n = 1;
		fault->writable = fault->write;
		return 0;
	}
	if (n != -EHWPOISON)
		return n ?: -EFAULT;
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)fault->hva, PAGE_SHIFT, current);
	return -EHWPOISON;
}

/* Have pages, if possible with the right to write even if the guest only reads: this saves a second fault. */
static int take_pages(struct fault *fault)
{
	if (!(fault->slot.flags & KVM_MEM_READONLY) && take_present(fault, true))
		return 0;
	if (!fault->write && take_present(fault, false))
		return 0;
	return fault_in(fault);
}

static void put_pages(struct fault *fault)
{
	unsigned int i;

	for (i = 0; i < fault->n; i++)
		put_page(fault->page[i]);
}

/* Has the process changed its mappings, or userspace its slots, since the pages were looked up, or is it just doing so? */
static bool is_stale(const struct fault *fault)
{
	struct vmlet_vm *vm = fault->vm;

	lockdep_assert_held(&vm->mmu_lock);
	if (vm->invalidate_seq != fault->seq)
		return true;
	return vm->invalidating && fault->hva < vm->invalidate_end &&
	       vm->invalidate_start < fault->hva + fault->n * PAGE_SIZE;
}

/*
 * How large is what the process has mapped there? Valid as long as a fault is not stale. Interrupts are off so that
 * tables are not freed under the walk.
 */
static int host_level(struct mm_struct *mm, hva_t hva)
{
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	guard(irqsave)();
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (!pgd_present(pgd))
		return 1;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		return 1;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!pud_present(pud))
		return 1;
	if (pud_leaf(pud))
		return 3;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	return pmd_present(pmd) && pmd_leaf(pmd) ? 2 : 1;
}

/* Does the huge page around @gfn lie in the slot, and at the same offsets in the guest and in the process? */
static bool fits(const struct vmlet_slot *slot, gfn_t gfn, int level)
{
	gfn_t span = vmlet_pt_span(level), first = ALIGN_DOWN(gfn, span);

	return !((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (span - 1)) && first >= slot->base_gfn &&
	       first + span <= slot->base_gfn + slot->npages;
}

static int leaf_level(const struct fault *fault)
{
	int level;

	if (!PageCompound(fault->page[0]))
		return 1;
	/* Such CPUs can be brought down by a guest that executes from huge pages. */
	if (boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off())
		return 1;
	level = min(host_level(fault->vm->mm, fault->hva), vmlet_vendor->huge_levels());
	while (level > 1 && !fits(&fault->slot, fault->gfn, level))
		level--;
	return level;
}

static int map_pages(struct fault *fault, u64 **spare)
{
	struct vmlet_pt_leaves leaves = {
		.gfn		= fault->gfn,
		.writable	= fault->writable,
		.writing	= fault->write,
		.n		= fault->n,
		.pages		= fault->page,
	};
	int ret = 0;

	spin_lock(&fault->vm->mmu_lock);
	if (!is_stale(fault)) {
		leaves.level = leaf_level(fault);
		ret = vmlet_pt_map(fault->vm, &leaves, spare);
	}
	spin_unlock(&fault->vm->mmu_lock);
	return ret;
}

int vmlet_mem_fault(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 access)
{
	struct fault fault = { .vm = vcpu->vm, .gfn = gpa >> PAGE_SHIFT, .write = access & VMLET_ACCESS_WRITE };
	u64 *spare = NULL;
	int ret;

	lockdep_assert_held(&vcpu->mutex);
	ret = find_slot(&fault) ?: take_pages(&fault);
	/* The signal that was sent is what tells userspace. */
	if (ret == -EHWPOISON)
		return VMLET_RESUME;
	if (ret)
		return ret;
	while ((ret = map_pages(&fault, &spare)) == -EAGAIN) {
		spare = vmlet_pt_table_alloc();
		if (!spare) {
			ret = -ENOMEM;
			break;
		}
	}
	put_pages(&fault);
	if (spare)
		vmlet_pt_table_free(spare);
	return ret ?: VMLET_RESUME;
}
