// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: following the owner's address space
 *
 * Whenever mappings of the process change or are about to go, the notifier drops the leaves that came from them and
 * keeps faults from installing new ones until the change is complete. So swap, KSM, huge page splitting, migration,
 * userfaultfd and mprotect work on guest memory as on any other.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/signal.h>

#include "../observe/trace.h"
#include "pt.h"

/* What to do with a range of GFNs; true counts. */
typedef bool (*range_fn)(struct vmlet_vm *vm, gfn_t start, gfn_t end);

static struct vmlet_vm *notifier_vm(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct vmlet_vm, notifier);
}

static bool do_zap(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	vmlet_pt_zap(vm, start, end, false);
	return false;
}

static bool do_zap_sleep(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	vmlet_pt_zap(vm, start, end, true);
	return false;
}

static bool do_test_young(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	return vmlet_pt_young(vm, start, end, false);
}

static bool do_clear_young(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	return vmlet_pt_young(vm, start, end, true);
}

static bool for_slot(struct vmlet_vm *vm, const struct vmlet_slot *slot, hva_t start, hva_t end, range_fn fn)
{
	hva_t from = max(start, slot->hva);
	hva_t to = min(end, vmlet_slot_hva_end(slot));

	return from < to && fn(vm, slot->base_gfn + ((from - slot->hva) >> PAGE_SHIFT),
			       slot->base_gfn + (PAGE_ALIGN(to - slot->hva) >> PAGE_SHIFT));
}

/* For all that maps [start, end) of the process. True if anything counted. */
static bool for_hva_range(struct vmlet_vm *vm, hva_t start, hva_t end, range_fn fn)
{
	int idx = srcu_read_lock(&vm->srcu);
	const struct vmlet_slots *slots;
	bool hit = false;
	unsigned int i;

	/* No vCPU, no leaf. Not to look at slots then allows to change them without a grace period. */
	if (smp_load_acquire(&vm->nr_vcpus)) {
		slots = srcu_dereference(vm->slots, &vm->srcu);
		i = vmlet_slots_below(slots, end);
		while (i-- && slots->reach[i] > start)
			hit |= for_slot(vm, slots->by_hva[i], start, end, fn);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return hit;
}

/* Slots are looked at after the range is noted: a fault that uses slots unknown here sees the range. */
static int invalidate_range_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct vmlet_vm *vm = notifier_vm(notifier);

	trace_kvm_unmap_hva_range(range->start, range->end);
	spin_lock(&vm->mmu_lock);
	if (vm->invalidating++) {
		vm->invalidate_start = min(vm->invalidate_start, range->start);
		vm->invalidate_end = max(vm->invalidate_end, range->end);
	} else {
		vm->invalidate_start = range->start;
		vm->invalidate_end = range->end;
	}
	spin_unlock(&vm->mmu_lock);
	for_hva_range(vm, range->start, range->end, mmu_notifier_range_blockable(range) ? do_zap_sleep : do_zap);
	return 0;
}

static void invalidate_range_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct vmlet_vm *vm = notifier_vm(notifier);

	spin_lock(&vm->mmu_lock);
	vm->invalidate_seq++;
	vm->invalidating--;
	spin_unlock(&vm->mmu_lock);
}

static vmlet_young_t test_young(struct mmu_notifier *notifier, struct mm_struct *mm, unsigned long address)
{
	return for_hva_range(notifier_vm(notifier), address, address + PAGE_SIZE, do_test_young);
}

/* As the host does with its own tables: no flush, for all that a stale bit costs is a wrong guess of the page's age. */
static vmlet_young_t clear_young(struct mmu_notifier *notifier, struct mm_struct *mm,
				 unsigned long start, unsigned long end)
{
	return for_hva_range(notifier_vm(notifier), start, end, do_clear_young);
}

/* The address space goes: nobody is left who could run a vCPU. */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	for_hva_range(notifier_vm(notifier), 0, ULONG_MAX, do_zap_sleep);
}

static const struct mmu_notifier_ops notifier_ops = {
	.release		= release,
	.clear_flush_young	= clear_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.invalidate_range_start	= invalidate_range_start,
	.invalidate_range_end	= invalidate_range_end,
};

/*
 * It gives up when a signal comes, and some clients do not try again. It takes no longer than there are mappings. Work of
 * io_uring and such, which interrupts like a signal, still ends it.
 */
static int register_notifier(struct vmlet_vm *vm)
{
	sigset_t old, others;
	int ret;

	siginitsetinv(&others, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_BLOCK, &others, &old);
	ret = mmu_notifier_register(&vm->notifier, vm->mm);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

int vmlet_mem_init(struct vmlet_vm *vm)
{
	int ret;

	mutex_init(&vm->slots_lock);
	spin_lock_init(&vm->mmu_lock);
	atomic64_set(&vm->tlb_gen, 0);
	ret = init_srcu_struct(&vm->srcu);
	if (ret)
		return ret;
	ret = vmlet_slots_init(vm);
	if (ret)
		goto out_srcu;
	ret = vmlet_pt_init(vm);
	if (ret)
		goto out_slots;
	vm->notifier.ops = &notifier_ops;
	ret = register_notifier(vm);
	if (!ret)
		return 0;
	vmlet_pt_destroy(vm);
out_slots:
	vmlet_slots_destroy(vm);
out_srcu:
	cleanup_srcu_struct(&vm->srcu);
	return ret;
}

void vmlet_mem_destroy(struct vmlet_vm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	vmlet_pt_destroy(vm);
	vmlet_slots_destroy(vm);
	cleanup_srcu_struct(&vm->srcu);
}
