// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the dirty log
 *
 * Which pages of a slot have been written to since userspace last asked. A page that is not in the log is mapped without
 * the right to write: the first write is a fault, which sets the page's bit and gives the right. Taking bits out of the
 * log takes the right away again, under the same lock. What the module itself writes sets bits too. Huge leaves are split
 * when pages first leave the log, for all of them at once and not by a fault each.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../api/api.h"
#include "pt.h"

#define CHUNK_WORDS	64	/* done at once: they fit on the stack, and vCPUs do not wait for long */

int vmlet_dirty_prepare(struct vmlet_vm *vm, const struct vmlet_slot *old, struct vmlet_slot *new)
{
	lockdep_assert_held(&vm->slots_lock);
	if (!(new->flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	if (old && old->dirty) {
		new->dirty = old->dirty;
		return 0;
	}
	new->dirty = kvcalloc(BITS_TO_LONGS(new->npages), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!new->dirty)
		return -ENOMEM;
	if (vm->dirty_manual & KVM_DIRTY_LOG_INITIALLY_SET)
		bitmap_set(new->dirty, 0, new->npages);
	return 0;
}

/* Faults that have seen the slot as it was map nothing any more, nor use its log. */
void vmlet_dirty_switched(struct vmlet_vm *vm, const struct vmlet_slot *slot)
{
	gfn_t start = slot->base_gfn, end = start + slot->npages;

	lockdep_assert_held(&vm->slots_lock);
	spin_lock(&vm->mmu_lock);
	vm->invalidate_seq++;
	spin_unlock(&vm->mmu_lock);
	if (!slot->dirty) {
		vmlet_pt_collapse(vm, start, end);
	} else if (!(vm->dirty_manual & KVM_DIRTY_LOG_INITIALLY_SET)) {
		/* As long as they are huge there are few to protect. */
		vmlet_pt_protect(vm, start, end);
		vmlet_pt_split(vm, start, end);
	}
}

int vmlet_dirty_manual(struct vmlet_vm *vm, u64 flags)
{
	if ((flags & ~(u64)VMLET_DIRTY_MANUAL) || flags == KVM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	guard(mutex)(&vm->slots_lock);
	vm->dirty_manual = flags;
	return 0;
}

/* Out of the log, of words @first to @first + @n, those bits that are set in @words, which then has what was there. */
static void take_words(struct vmlet_vm *vm, struct vmlet_slot *slot, u64 first, unsigned int n, unsigned long *words)
{
	bool flush = false;
	unsigned int i;

	spin_lock(&vm->mmu_lock);
	for (i = 0; i < n; i++) {
		if (!(words[i] & READ_ONCE(slot->dirty[first + i]))) {
			words[i] = 0;
			continue;
		}
		words[i] &= atomic_long_fetch_andnot(words[i], (atomic_long_t *)&slot->dirty[first + i]);
		flush |= vmlet_pt_protect_mask(vm, slot->base_gfn + (first + i) * BITS_PER_LONG, words[i]);
	}
	if (flush)
		vmlet_flush_all(vm);
	spin_unlock(&vm->mmu_lock);
}

static void put_words_back(struct vmlet_slot *slot, u64 first, unsigned int n, const unsigned long *words)
{
	while (n--)
		atomic_long_or(words[n], (atomic_long_t *)&slot->dirty[first + n]);
}

static int get_words(struct vmlet_vm *vm, struct vmlet_slot *slot, u64 first, unsigned int n, void __user *to)
{
	unsigned long words[CHUNK_WORDS];

	if (vm->dirty_manual || !memchr_inv(&slot->dirty[first], 0, n * sizeof(*words))) {
		memcpy(words, &slot->dirty[first], n * sizeof(*words));
	} else {
		memset(words, 0xff, sizeof(words));
		take_words(vm, slot, first, n, words);
	}
	if (!copy_to_user(to, words, n * sizeof(*words)))
		return 0;
	if (!vm->dirty_manual)
		put_words_back(slot, first, n, words);
	return -EFAULT;
}

/* Before they are protected: what is not cleared stays writable. */
static void split_words(struct vmlet_vm *vm, const struct vmlet_slot *slot, u64 first, unsigned int n)
{
	u64 page = first * BITS_PER_LONG, end = min(page + n * BITS_PER_LONG, slot->npages);

	vmlet_pt_split(vm, slot->base_gfn + page, slot->base_gfn + end);
}

static int clear_words(struct vmlet_vm *vm, struct vmlet_slot *slot, u64 first, unsigned int n, void __user *from)
{
	unsigned long words[CHUNK_WORDS];

	if (copy_from_user(words, from, n * sizeof(*words)))
		return -EFAULT;
	if ((vm->dirty_manual & KVM_DIRTY_LOG_INITIALLY_SET) && memchr_inv(words, 0, n * sizeof(*words)))
		split_words(vm, slot, first, n);
	take_words(vm, slot, first, n, words);
	return 0;
}

/* Bits of [@page, @page + @npages) to or from the bitmap of userspace. */
static int for_chunks(struct vmlet_vm *vm, struct vmlet_slot *slot, u64 page, u64 npages, void __user *bitmap,
		      int (*fn)(struct vmlet_vm *vm, struct vmlet_slot *slot, u64 first, unsigned int n,
				void __user *bitmap))
{
	u64 word = page / BITS_PER_LONG, end = word + BITS_TO_LONGS(npages);
	unsigned int n;
	int ret = 0;

	for (; !ret && word < end; word += n, bitmap += n * sizeof(long)) {
		n = min_t(u64, end - word, CHUNK_WORDS);
		ret = fn(vm, slot, word, n, bitmap);
		cond_resched();
	}
	return ret;
}

static struct vmlet_slot *logging_slot(struct vmlet_vm *vm, u32 id)
{
	struct vmlet_slot *slot;

	if (id >= VMLET_MAX_SLOTS)
		return ERR_PTR(-EINVAL);
	slot = vmlet_slot_by_id(vm, id);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

long vmlet_api_get_dirty_log(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_dirty_log *log = arg->data;
	struct vmlet_vm *vm = obj;
	struct vmlet_slot *slot;

	guard(mutex)(&vm->slots_lock);
	slot = logging_slot(vm, log->slot);
	if (IS_ERR(slot))
		return PTR_ERR(slot);
	return for_chunks(vm, slot, 0, slot->npages, log->dirty_bitmap, get_words);
}

long vmlet_api_clear_dirty_log(void *obj, struct vmlet_arg *arg)
{
	const struct kvm_clear_dirty_log *log = arg->data;
	struct vmlet_vm *vm = obj;
	struct vmlet_slot *slot;
	u64 left;

	if (log->first_page % BITS_PER_LONG)
		return -EINVAL;
	guard(mutex)(&vm->slots_lock);
	slot = logging_slot(vm, log->slot);
	if (IS_ERR(slot))
		return PTR_ERR(slot);
	if (log->first_page > slot->npages)
		return -EINVAL;
	left = slot->npages - log->first_page;
	/* Part of a word only at the slot's end. */
	if (log->num_pages > left || (log->num_pages < left && log->num_pages % BITS_PER_LONG))
		return -EINVAL;
	return for_chunks(vm, slot, log->first_page, log->num_pages, log->dirty_bitmap, clear_words);
}
