// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the one walker of nested page tables
 *
 * EPT and NPT differ in bit positions, which struct vmlet_pt_format holds. Entries change under vm->mmu_lock only,
 * except that the CPU sets accessed and dirty bits at any time. A leaf holds no reference to its page: it is dropped
 * before the owner's address space lets the page go. Rights that were taken away are flushed before vm->mmu_lock is
 * given up, so that whoever finds a leaf gone knows that no CPU uses it any more.
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/swap.h>

#include "../cpu/vendor.h"
#include "pt.h"

#define ENTRY_ADDRESS	GENMASK_ULL(51, PAGE_SHIFT)
#define ZAP_CHUNK_LEVEL	3

enum op { OP_ZAP, OP_YOUNG, OP_FORGET };

struct walk {
	enum op op;
	gfn_t start, end;
	struct list_head *tables;	/* those that have become empty; NULL: keep them */
};

static const struct vmlet_pt_format *format(void)
{
	return vmlet_vendor->pt;
}

static int root_level(void)
{
	return format()->host_levels && pgtable_l5_enabled() ? 5 : 4;
}

gfn_t vmlet_pt_limit(void)
{
	return vmlet_pt_span(root_level() + 1);
}

static bool is_present(u64 entry)
{
	return entry & format()->present;
}

static bool is_leaf(u64 entry, int level)
{
	return level == 1 || (entry & format()->huge);
}

static u64 entry_pfn(u64 entry)
{
	return (__sme_clr(entry) & ENTRY_ADDRESS) >> PAGE_SHIFT;
}

static u64 *entry_table(u64 entry)
{
	return __va(entry_pfn(entry) << PAGE_SHIFT);
}

static unsigned int entry_index(gfn_t gfn, int level)
{
	return (gfn >> (VMLET_PT_BITS * (level - 1))) % VMLET_PT_SIZE;
}

u64 *vmlet_pt_table_alloc(void)
{
	return (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

void vmlet_pt_table_free(u64 *table)
{
	free_page((unsigned long)table);
}

static void tables_free(struct list_head *tables)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, tables, lru)
		vmlet_pt_table_free(page_address(page));
}

/* What the CPU noted in a leaf goes to the page. The page is still mapped in the process, so it is alive. */
static void leaf_dropped(u64 old)
{
	const struct vmlet_pt_format *pt = format();
	struct page *page = pfn_to_page(entry_pfn(old));

	if (PageReserved(page))
		return;
	if (old & pt->accessed)
		mark_page_accessed(page);
	if ((old & pt->write) && (!pt->dirty || (old & pt->dirty)))
		SetPageDirty(page);
}

/* True if it counts: the leaf is gone, or was young. */
static bool leaf_do(enum op op, u64 *entry)
{
	u64 accessed = format()->accessed;

	if (op == OP_ZAP) {
		leaf_dropped(xchg(entry, 0));
		return true;
	}
	if (!accessed)
		return true;
	if (op == OP_FORGET)
		return test_and_clear_bit(__ffs(accessed), (unsigned long *)entry);
	return READ_ONCE(*entry) & accessed;
}

/* As deep as there are levels. True if any leaf counted or any table went. */
static bool walk_table(const struct walk *walk, u64 *table, int level, gfn_t base)
{
	gfn_t span = vmlet_pt_span(level), gfn;
	unsigned int i = walk->start > base ? (walk->start - base) / span : 0;
	bool hit = false;
	u64 old;

	for (gfn = base + i * span; i < VMLET_PT_SIZE && gfn < walk->end; i++, gfn += span) {
		old = READ_ONCE(table[i]);
		if (!is_present(old))
			continue;
		if (is_leaf(old, level)) {
			hit |= leaf_do(walk->op, &table[i]);
			continue;
		}
		hit |= walk_table(walk, entry_table(old), level - 1, gfn);
		if (walk->tables && gfn >= walk->start && gfn + span <= walk->end) {
			WRITE_ONCE(table[i], 0);
			list_add(&virt_to_page(entry_table(old))->lru, walk->tables);
			hit = true;
		}
	}
	return hit;
}

static bool walk_all(struct vmlet_vm *vm, const struct walk *walk)
{
	lockdep_assert_held(&vm->mmu_lock);
	return walk_table(walk, vm->root, root_level(), 0);
}

static void zap_locked(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	LIST_HEAD(tables);
	struct walk walk = { .op = OP_ZAP, .start = start, .end = end, .tables = &tables };

	if (walk_all(vm, &walk))
		vmlet_flush_all(vm);
	tables_free(&tables);
}

/* In pieces, so that vCPUs that fault elsewhere need not wait for all of it. */
void vmlet_pt_zap(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool may_sleep)
{
	gfn_t next;

	for (; start < end; start = next) {
		next = min(end, ALIGN(start + 1, vmlet_pt_span(ZAP_CHUNK_LEVEL)));
		spin_lock(&vm->mmu_lock);
		zap_locked(vm, start, next);
		spin_unlock(&vm->mmu_lock);
		if (may_sleep)
			cond_resched();
	}
}

bool vmlet_pt_young(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool forget)
{
	struct walk walk = { .op = forget ? OP_FORGET : OP_YOUNG, .start = start, .end = end };
	bool young;

	spin_lock(&vm->mmu_lock);
	young = walk_all(vm, &walk);
	/* Without accessed bits the next use shows by its fault. */
	if (young && forget && !format()->accessed)
		zap_locked(vm, start, end);
	spin_unlock(&vm->mmu_lock);
	return young;
}

/* The entry of @gfn at @level; tables on the way are made from *@spare. NULL: no spare left. */
static u64 *entry_make(struct vmlet_vm *vm, gfn_t gfn, int level, u64 **spare)
{
	u64 *table = vm->root, *entry;
	int at;

	for (at = root_level(); at > level; at--) {
		entry = &table[entry_index(gfn, at)];
		/* A huge leaf in the way: the host has split it, or its rights differ. What it mapped faults again. */
		if (is_present(READ_ONCE(*entry)) && is_leaf(READ_ONCE(*entry), at))
			zap_locked(vm, gfn, gfn + 1);
		if (!is_present(READ_ONCE(*entry))) {
			if (!*spare)
				return NULL;
			/* The CPU must not find the table before its zeroes. */
			smp_store_release(entry, __sme_set(__pa(*spare)) | format()->table);
			*spare = NULL;
		}
		table = entry_table(*entry);
	}
	return &table[entry_index(gfn, level)];
}

static u64 leaf_make(u64 pfn, int level, bool writable)
{
	const struct vmlet_pt_format *pt = format();
	u64 entry = __sme_set(ALIGN_DOWN(pfn, vmlet_pt_span(level)) << PAGE_SHIFT) | pt->leaf | pt->exec;

	if (writable)
		entry |= pt->write;
	if (level > 1)
		entry |= pt->huge;
	return entry;
}

/* Pages whose first use would otherwise be a fault each. The CPU has yet to use them: neither accessed nor dirty. */
static void map_group(u64 *entry, const struct vmlet_pt_leaf *leaf)
{
	unsigned int i;

	entry -= leaf->gfn % VMLET_PT_GROUP;
	for (i = 0; i < VMLET_PT_GROUP; i++)
		if (leaf->group[i] && !is_present(READ_ONCE(entry[i])))
			WRITE_ONCE(entry[i], leaf_make(leaf->group[i], 1, true));
}

int vmlet_pt_map(struct vmlet_vm *vm, const struct vmlet_pt_leaf *leaf, u64 **spare)
{
	const struct vmlet_pt_format *pt = format();
	u64 *entry, old, new = leaf_make(leaf->pfn, leaf->level, leaf->writable);

	lockdep_assert_held(&vm->mmu_lock);
	entry = entry_make(vm, leaf->gfn, leaf->level, spare);
	if (!entry)
		return -EAGAIN;
	old = READ_ONCE(*entry);
	if (is_present(old) && is_leaf(old, leaf->level) && entry_pfn(old) == entry_pfn(new)) {
		/* Another vCPU was faster. */
		if (!(new & ~old & pt->write))
			return 0;
	} else if (is_present(old)) {
		zap_locked(vm, ALIGN_DOWN(leaf->gfn, vmlet_pt_span(leaf->level)),
			   ALIGN(leaf->gfn + 1, vmlet_pt_span(leaf->level)));
	}
	/* The access that faulted is sure to come: spare the CPU the update. */
	WRITE_ONCE(*entry, new | pt->accessed | (leaf->writing ? pt->dirty : 0));
	if (leaf->level == 1 && leaf->writable)
		map_group(entry, leaf);
	return 0;
}

static void left_guest(void *unused)
{
}

/*
 * Every vCPU flushes before it enters again, and no vCPU is in the guest with what it had before. An interrupt makes it
 * leave; since the guest section has interrupts off, the interrupt is taken after the exit.
 */
void vmlet_flush_all(struct vmlet_vm *vm)
{
	/* Pairs with the release by which a new vCPU appears in vm->vcpus[]. */
	unsigned int i, n = smp_load_acquire(&vm->nr_vcpus);
	int cpu;

	lockdep_assert_held(&vm->mmu_lock);
	atomic64_inc(&vm->tlb_gen);
	/* Pairs with the barrier between setting mode_cpu and reading tlb_gen: one of us sees the other. */
	smp_mb__after_atomic();
	preempt_disable();
	cpumask_clear(&vm->flush_cpus);
	for (i = 0; i < n; i++) {
		cpu = READ_ONCE(vm->vcpus[i]->mode_cpu);
		if (cpu >= 0)
			__cpumask_set_cpu(cpu, &vm->flush_cpus);
	}
	if (!cpumask_empty(&vm->flush_cpus))
		smp_call_function_many(&vm->flush_cpus, left_guest, NULL, true);
	preempt_enable();
}

int vmlet_pt_init(struct vmlet_vm *vm)
{
	vm->root = vmlet_pt_table_alloc();
	return vm->root ? 0 : -ENOMEM;
}

/* The notifier is gone and with it every leaf; tables are left. */
void vmlet_pt_destroy(struct vmlet_vm *vm)
{
	spin_lock(&vm->mmu_lock);
	zap_locked(vm, 0, vmlet_pt_limit());
	spin_unlock(&vm->mmu_lock);
	vmlet_pt_table_free(vm->root);
}
