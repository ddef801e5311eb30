// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the one walker of nested page tables
 *
 * EPT and NPT differ in bit positions, which struct vmlet_pt_format holds. Entries change under vm->mmu_lock only,
 * except that the CPU sets accessed and dirty bits at any time. A leaf holds no reference to its page: it is dropped
 * before the owner's address space lets the page go. Huge ones are split when parts of them are to differ. Rights that
 * were taken away are flushed before vm->mmu_lock is given up, so that whoever finds a leaf gone knows that no CPU uses
 * it any more.
 */
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/swap.h>

#include "../cpu/vendor.h"
#include "../observe/trace.h"
#include "pt.h"

#define ENTRY_ADDRESS	GENMASK_ULL(51, PAGE_SHIFT)
#define CHUNK_PAGES	(1ull << 14)

/* OP_COLLAPSE: drop small leaves of huge pages. */
enum op { OP_ZAP, OP_YOUNG, OP_FORGET, OP_PROTECT, OP_COLLAPSE };

/*
 * struct walk - what to do with [start, end) of @vm
 * @mask:	bit n: the page @start + n, others stay as they are; 0: all
 * @tables:	OP_ZAP: those that have become empty; NULL: keep them
 */
struct walk {
	struct vmlet_vm *vm;
	enum op op;
	gfn_t start, end;
	u64 mask;
	struct list_head *tables;
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
static void leaf_noted(u64 old, bool accessed)
{
	const struct vmlet_pt_format *pt = format();
	struct page *page = pfn_to_page(entry_pfn(old));

	if (PageReserved(page))
		return;
	if (accessed && (old & pt->accessed))
		mark_page_accessed(page);
	if ((old & pt->write) && (!pt->dirty || (old & pt->dirty)))
		SetPageDirty(page);
}

static bool leaf_zap(struct vmlet_vm *vm, u64 *entry, int level)
{
	leaf_noted(xchg(entry, 0), true);
	vm->stats.pages[level - 1]--;
	return true;
}

static bool leaf_protect(u64 *entry)
{
	u64 write = format()->write, old = READ_ONCE(*entry);

	if (!(old & write))
		return false;
	while (!try_cmpxchg64(entry, &old, old & ~write))
		;
	leaf_noted(old, false);
	return true;
}

static bool is_part_of_huge(u64 entry, int level)
{
	return level == 1 && folio_order(page_folio(pfn_to_page(entry_pfn(entry)))) >= VMLET_PT_BITS;
}

/* True if it counts: the leaf is gone or has lost rights, or was young. */
static bool leaf_do(const struct walk *walk, u64 *entry, int level)
{
	u64 accessed = format()->accessed;
	enum op op = walk->op;

	if (op == OP_ZAP)
		return leaf_zap(walk->vm, entry, level);
	if (op == OP_PROTECT)
		return leaf_protect(entry);
	if (op == OP_COLLAPSE)
		return is_part_of_huge(READ_ONCE(*entry), level) && leaf_zap(walk->vm, entry, level);
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
			if (level > 1 || !walk->mask || walk->mask >> (gfn - walk->start) & 1)
				hit |= leaf_do(walk, &table[i], level);
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

static bool walk_all(const struct walk *walk)
{
	lockdep_assert_held(&walk->vm->mmu_lock);
	return walk_table(walk, walk->vm->root, root_level(), 0);
}

static void zap_locked(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	LIST_HEAD(tables);
	struct walk walk = { .vm = vm, .op = OP_ZAP, .start = start, .end = end, .tables = &tables };

	if (walk_all(&walk))
		vmlet_flush_all(vm);
	tables_free(&tables);
}

/* The lock is given up between pieces for vCPUs that fault elsewhere: what was taken away until then is flushed first. */
static void sweep(struct vmlet_vm *vm, enum op op, gfn_t start, gfn_t end, bool may_sleep)
{
	LIST_HEAD(tables);
	struct walk walk = { .vm = vm, .op = op, .end = start, .tables = op == OP_ZAP ? &tables : NULL };
	bool hit;

	while (walk.end < end) {
		hit = false;
		spin_lock(&vm->mmu_lock);
		do {
			walk.start = walk.end;
			walk.end = min(end, ALIGN(walk.start + 1, CHUNK_PAGES));
			hit |= walk_all(&walk);
		} while (walk.end < end && !need_resched() && !spin_is_contended(&vm->mmu_lock));
		if (hit)
			vmlet_flush_all(vm);
		spin_unlock(&vm->mmu_lock);
		tables_free(&tables);
		INIT_LIST_HEAD(&tables);
		if (may_sleep)
			cond_resched();
	}
}

void vmlet_pt_zap(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool may_sleep)
{
	sweep(vm, OP_ZAP, start, end, may_sleep);
}

void vmlet_pt_protect(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	sweep(vm, OP_PROTECT, start, end, true);
}

void vmlet_pt_collapse(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	if (vmlet_vendor->huge_levels() > 1)
		sweep(vm, OP_COLLAPSE, start, end, true);
}

bool vmlet_pt_protect_mask(struct vmlet_vm *vm, gfn_t start, u64 mask)
{
	unsigned int first = __ffs64(mask);
	struct walk walk = {
		.vm	= vm,
		.op	= OP_PROTECT,
		.start	= start + first,
		.end	= start + fls64(mask),
		.mask	= mask >> first,
	};

	return walk_all(&walk);
}

bool vmlet_pt_young(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool forget)
{
	struct walk walk = { .vm = vm, .op = forget ? OP_FORGET : OP_YOUNG, .start = start, .end = end };
	bool young;

	spin_lock(&vm->mmu_lock);
	young = walk_all(&walk);
	/* Without accessed bits the next use shows by its fault. */
	if (young && forget && !format()->accessed)
		zap_locked(vm, start, end);
	spin_unlock(&vm->mmu_lock);
	return young;
}

static bool covers(u64 huge, int level, const struct vmlet_pt_leaf *leaf)
{
	return entry_pfn(huge) == leaf->pfn - leaf->gfn % vmlet_pt_span(level);
}

/* By a table of smaller leaves, whose rights can then differ. The caller flushes: not all CPUs bear both in their TLB. */
static void split(struct vmlet_vm *vm, u64 *entry, int level, u64 *table)
{
	u64 size = vmlet_pt_span(level - 1) << PAGE_SHIFT, old = READ_ONCE(*entry), flags, i;

	do {
		flags = level == 2 ? old & ~format()->huge : old;
		for (i = 0; i < VMLET_PT_SIZE; i++)
			table[i] = flags + i * size;
	} while (!try_cmpxchg64(entry, &old, __sme_set(__pa(table)) | format()->table));
	vm->stats.pages[level - 1]--;
	vm->stats.pages[level - 2] += VMLET_PT_SIZE;
}

/* The leaf that maps @gfn, or the entry where its table is missing. */
static u64 *entry_find(struct vmlet_vm *vm, gfn_t gfn, int *level)
{
	u64 *table = vm->root, *entry, old;

	for (*level = root_level(); ; --*level) {
		entry = &table[entry_index(gfn, *level)];
		old = READ_ONCE(*entry);
		if (!is_present(old) || is_leaf(old, *level))
			return entry;
		table = entry_table(old);
	}
}

bool vmlet_pt_has_room(struct vmlet_vm *vm, const struct vmlet_pt_leaf *leaf)
{
	int level;
	u64 old;

	lockdep_assert_held(&vm->mmu_lock);
	if (!leaf->pfn)
		return false;
	old = READ_ONCE(*entry_find(vm, leaf->gfn, &level));
	return level == 1 && (!is_present(old) || entry_pfn(old) == leaf->pfn);
}

/* Split the leaf that has *@gfn if it is huge, or go on to where the next one may be. 1: split; 0: not; -ENOMEM. */
static int split_next(struct vmlet_vm *vm, gfn_t *gfn, u64 **spare)
{
	int level;
	u64 *entry = entry_find(vm, *gfn, &level);

	if (level == 1 || !is_present(READ_ONCE(*entry))) {
		*gfn = ALIGN(*gfn + 1, vmlet_pt_span(max(level, 2)));
		return 0;
	}
	if (!*spare)
		*spare = (u64 *)__get_free_page(GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
	if (!*spare)
		return -ENOMEM;
	split(vm, entry, level, *spare);
	*spare = NULL;
	return 1;
}

void vmlet_pt_split(struct vmlet_vm *vm, gfn_t start, gfn_t end)
{
	u64 *spare = NULL;
	bool hit;
	int ret;

	/* Of every turn the first table may wait for memory. What finds none is split by its fault. */
	while (start < end && (spare || (spare = vmlet_pt_table_alloc()))) {
		hit = false;
		spin_lock(&vm->mmu_lock);
		do {
			ret = split_next(vm, &start, &spare);
			hit |= ret > 0;
		} while (ret >= 0 && start < end && !need_resched() && !spin_is_contended(&vm->mmu_lock));
		if (hit)
			vmlet_flush_all(vm);
		spin_unlock(&vm->mmu_lock);
		cond_resched();
	}
	vmlet_pt_table_free(spare);
}

/* The entry for @leaf; tables on the way are made from *@spare. NULL: no spare left. */
static u64 *entry_make(struct vmlet_vm *vm, const struct vmlet_pt_leaf *leaf, u64 **spare)
{
	u64 *table = vm->root, *entry;
	bool is_huge;
	int at;

	for (at = root_level(); at > leaf->level; at--) {
		entry = &table[entry_index(leaf->gfn, at)];
		is_huge = is_present(READ_ONCE(*entry)) && is_leaf(READ_ONCE(*entry), at);
		/* Not of the same page: what it mapped faults again. */
		if (is_huge && !covers(READ_ONCE(*entry), at, leaf)) {
			zap_locked(vm, leaf->gfn, leaf->gfn + 1);
			is_huge = false;
		}
		if (is_huge || !is_present(READ_ONCE(*entry))) {
			if (!*spare)
				return NULL;
			if (is_huge) {
				split(vm, entry, at, *spare);
				vmlet_flush_all(vm);
			} else {
				/* The CPU must not find the table before its contents. */
				smp_store_release(entry, __sme_set(__pa(*spare)) | format()->table);
			}
			*spare = NULL;
		}
		table = entry_table(*entry);
	}
	return &table[entry_index(leaf->gfn, leaf->level)];
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
static void map_group(struct vmlet_vm *vm, u64 *entry, const struct vmlet_pt_leaf *leaf)
{
	unsigned int i;
	bool writable;

	entry -= leaf->gfn % VMLET_PT_GROUP;
	for (i = 0; i < VMLET_PT_GROUP; i++) {
		if (!leaf->group[i])
			continue;
		writable = !(leaf->read_only & BIT(i));
		if (!is_present(READ_ONCE(entry[i]))) {
			WRITE_ONCE(entry[i], leaf_make(leaf->group[i], 1, writable));
			vm->stats.pages[0]++;
		} else if (writable && entry_pfn(READ_ONCE(entry[i])) == leaf->group[i]) {
			set_bit(__ffs64(format()->write), (unsigned long *)&entry[i]);
		}
	}
}

int vmlet_pt_map(struct vmlet_vm *vm, const struct vmlet_pt_leaf *leaf, u64 **spare)
{
	const struct vmlet_pt_format *pt = format();
	u64 *entry, old, new = leaf_make(leaf->pfn, leaf->level, leaf->writable);

	lockdep_assert_held(&vm->mmu_lock);
	entry = entry_make(vm, leaf, spare);
	if (!entry)
		return -EAGAIN;
	old = READ_ONCE(*entry);
	if (is_present(old) && is_leaf(old, leaf->level) && entry_pfn(old) == entry_pfn(new)) {
		/* Another vCPU was faster. */
		if (!(new & ~old & pt->write))
			return 0;
	} else {
		if (is_present(old))
			zap_locked(vm, ALIGN_DOWN(leaf->gfn, vmlet_pt_span(leaf->level)),
				   ALIGN(leaf->gfn + 1, vmlet_pt_span(leaf->level)));
		vm->stats.pages[leaf->level - 1]++;
	}
	/* The access that faulted is sure to come: spare the CPU the update. */
	WRITE_ONCE(*entry, new | pt->accessed | (leaf->writing ? pt->dirty : 0));
	trace_kvm_mmu_set_spte(leaf->level, leaf->gfn, *entry);
	if (leaf->level == 1)
		map_group(vm, entry, leaf);
	return 0;
}

static void left_guest(void *unused)
{
}

/* An interrupt makes a vCPU leave; since the guest section has interrupts off, it is taken after the exit. */
void vmlet_leave_all(struct vmlet_vm *vm)
{
	/* Pairs with the release by which a new vCPU appears in vm->vcpus[]. */
	unsigned int i, n = smp_load_acquire(&vm->nr_vcpus);
	int cpu;

	lockdep_assert_held(&vm->mmu_lock);
	/*
	 * Pairs with the barrier between setting mode_cpu and reading what the caller has written, as tlb_gen: one of us
	 * sees the other.
	 */
	smp_mb();
	preempt_disable();
	cpumask_clear(&vm->flush_cpus);
	for (i = 0; i < n; i++) {
		cpu = READ_ONCE(vm->vcpus[i]->mode_cpu);
		if (cpu >= 0)
			__cpumask_set_cpu(cpu, &vm->flush_cpus);
	}
	if (!cpumask_empty(&vm->flush_cpus)) {
		vm->stats.remote_tlb_flush++;
		smp_call_function_many(&vm->flush_cpus, left_guest, NULL, true);
	}
	preempt_enable();
}

/* Every vCPU flushes before it enters again, and no vCPU is in the guest with what it had before. */
void vmlet_flush_all(struct vmlet_vm *vm)
{
	lockdep_assert_held(&vm->mmu_lock);
	vm->stats.remote_tlb_flush_requests++;
	atomic64_inc(&vm->tlb_gen);
	vmlet_leave_all(vm);
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
