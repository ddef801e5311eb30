// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: guest memory as the module itself uses it
 *
 * Reads, writes and page walks on behalf of the guest, through the process's own mappings: what the process may not do,
 * the guest may not do either. Memory can change at any time between two looks, so each entry is read once.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <asm/pkru.h>
#include <asm/trap_pf.h>

#include "../cpu/vendor.h"
#include "code.h"

#define LEVELS_MAX	5
#define PKEY_SHIFT	59	/* of a leaf's protection key */
#define PSE36_BITS	GENMASK_ULL(20, 13)	/* of a 4 MiB page's entry: address bits 39 to 32 */
#define PSE36_SHIFT	19
/* Of PAE paging only. Bit 5 is reserved too, but QEMU's CPUs set it as if it were an accessed bit. */
#define PDPTE_RESERVED	(GENMASK_ULL(8, 6) | GENMASK_ULL(2, 1) | _PAGE_NX)

/*
 * struct walk - translation of one linear address
 * @access:	VMLET_ACCESS_*; 0: a mere look
 * @levels:	2 without PAE, 3 with PAE, 4 or 5 in long mode
 * @phys:	bits of a physical address
 * @frame:	address bits of an entry
 * @reserved:	bits that make any entry invalid
 * @entry, @at:	as read at each level, and where from
 * @level:	of the leaf
 * @rights:	rights that all entries grant: _PAGE_RW, _PAGE_USER; @nx: some entry forbids execution
 * @error:	for the guest's #PF
 */
struct walk {
	struct vmlet_vcpu *vcpu;
	gva_t gva;
	u8 access;
	u8 levels, phys;
	u64 frame, reserved;
	u64 entry[LEVELS_MAX + 1];
	gpa_t at[LEVELS_MAX + 1];
	int level;
	u64 rights;
	bool nx;
	u32 error;
};

/* The slot of @gpa, or NULL. */
static struct vmlet_slot *usable_slot(struct vmlet_vcpu *vcpu, gpa_t gpa, bool write)
{
	struct vmlet_slot *slot = vmlet_slot_find(vmlet_slots(vcpu->vm), gpa >> PAGE_SHIFT);

	return slot && write && (slot->flags & KVM_MEM_READONLY) ? NULL : slot;
}

/* Where the process has it. */
static void __user *guest_pointer(const struct vmlet_slot *slot, gpa_t gpa)
{
	return (void __user *)(vmlet_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
}

/* What can be written of what cannot all be is written. */
static int copy_to_slot(const struct vmlet_slot *slot, gpa_t gpa, const void *data, unsigned int len)
{
	unsigned long left = copy_to_user(guest_pointer(slot, gpa), data, len);

	vmlet_slot_wrote(slot, gpa >> PAGE_SHIFT);
	return left ? -EFAULT : 0;
}

static int copy_in_page(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, bool write)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu), ret = 0;
	const struct vmlet_slot *slot = usable_slot(vcpu, gpa, write);

	if (!slot)
		ret = -ENXIO;
	else if (write)
		ret = copy_to_slot(slot, gpa, data, len);
	else if (copy_from_user(data, guest_pointer(slot, gpa), len))
		ret = -EFAULT;
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

static int copy(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, bool write)
{
	unsigned int n;
	int ret;

	for (; len; gpa += n, data += n, len -= n) {
		n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		ret = copy_in_page(vcpu, gpa, data, n, write);
		if (ret)
			return ret;
	}
	return 0;
}

int vmlet_mem_read(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	return copy(vcpu, gpa, data, len, false);
}

int vmlet_mem_write(struct vmlet_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	return copy(vcpu, gpa, (void *)data, len, true);
}

bool vmlet_mem_is_there(struct vmlet_vcpu *vcpu, gpa_t gpa, bool write)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu);
	bool there = usable_slot(vcpu, gpa, write);

	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return there;
}

static int swap_byte(u8 __user *at, u8 *value)
{
	u8 old = 0;

	if (!user_access_begin(at, sizeof(*at)))
		return -EFAULT;
	while (!unsafe_try_cmpxchg_user(at, &old, *value, fault))
		;
	user_access_end();
	*value = old;
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

int vmlet_mem_swap(struct vmlet_vcpu *vcpu, gpa_t gpa, u8 *value)
{
	int idx = srcu_read_lock(&vcpu->vm->srcu), ret = -ENXIO;
	const struct vmlet_slot *slot = usable_slot(vcpu, gpa, true);

	if (slot) {
		ret = swap_byte(guest_pointer(slot, gpa), value);
		vmlet_slot_wrote(slot, gpa >> PAGE_SHIFT);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	return ret;
}

static int copy_now(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len, bool write)
{
	u64 cr2 = vmlet_user_begin(vcpu);
	int ret = copy(vcpu, gpa, data, len, write);

	vmlet_user_end(vcpu, cr2, ret);
	return ret;
}

int vmlet_mem_read_now(struct vmlet_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	return copy_now(vcpu, gpa, data, len, false);
}

int vmlet_mem_write_now(struct vmlet_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	return copy_now(vcpu, gpa, (void *)data, len, true);
}

static bool is_pdpte(const struct walk *walk, int level)
{
	return walk->levels == 3 && level == 3;
}

static unsigned int level_shift(const struct walk *walk, int level)
{
	return PAGE_SHIFT + (walk->levels == 2 ? 10 : 9) * (level - 1);
}

static bool is_leaf(const struct walk *walk, u64 entry, int level)
{
	if (level == 1)
		return true;
	return (entry & _PAGE_PSE) && (walk->levels > 2 || (walk->vcpu->cr4 & X86_CR4_PSE));
}

/* Bits that must be zero in an entry like this one. */
static u64 reserved_bits(const struct walk *walk, u64 entry, int level)
{
	int largest = boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2;

	if (is_pdpte(walk, level))
		return walk->reserved | PDPTE_RESERVED;
	if (level == 1 || !is_leaf(walk, entry, level))
		return walk->reserved;
	if (walk->levels == 2)
		return GENMASK_ULL(21, min_t(unsigned int, walk->phys, 40) - PSE36_SHIFT);
	if (level > largest)
		return _PAGE_PSE;
	/* Bit 12 of a huge leaf is its PAT bit. */
	return walk->reserved | GENMASK_ULL(level_shift(walk, level) - 1, PAGE_SHIFT + 1);
}

static void walk_begin(struct walk *walk)
{
	struct vmlet_vcpu *vcpu = walk->vcpu;
	bool is_long = vcpu->efer & EFER_LMA;

	if (is_long)
		walk->levels = vcpu->cr4 & X86_CR4_LA57 ? 5 : 4;
	else
		walk->levels = vcpu->cr4 & X86_CR4_PAE ? 3 : 2;
	if (!is_long)
		walk->gva = (u32)walk->gva;
	/* From userspace's CPUID, which may say anything. */
	walk->phys = clamp_t(u8, vcpu->maxphyaddr, 32, 52);
	if (walk->levels == 2) {
		walk->frame = GENMASK_ULL(31, PAGE_SHIFT);
		return;
	}
	walk->frame = GENMASK_ULL(walk->phys - 1, PAGE_SHIFT);
	walk->reserved = GENMASK_ULL(is_long ? 51 : 62, walk->phys);
	if (!(vcpu->efer & EFER_NX))
		walk->reserved |= _PAGE_NX;
}

/* 0; -ENXIO: no memory there; -EFAULT. */
static int entry_read(struct walk *walk, int level)
{
	const struct vmlet_slot *slot = usable_slot(walk->vcpu, walk->at[level], false);
	const void __user *from;
	u32 half;
	int ret;

	if (!slot)
		return -ENXIO;
	from = guest_pointer(slot, walk->at[level]);
	if (walk->levels > 2)
		return get_user(walk->entry[level], (u64 __user *)from);
	ret = get_user(half, (u32 __user *)from);
	walk->entry[level] = half;
	return ret;
}

/* Set bits in an entry that is still what was read. 0; 1: it is not, walk again; -EFAULT. */
static int entry_mark(struct walk *walk, int level, u64 bits)
{
	u64 old = walk->entry[level];
	struct vmlet_slot *slot;
	u32 half = old;
	void __user *to;
	int ret;

	if (!(bits & ~old))
		return 0;
	slot = usable_slot(walk->vcpu, walk->at[level], true);
	/* Tables in ROM stay as they are. */
	if (!slot)
		return 0;
	to = guest_pointer(slot, walk->at[level]);
	if (walk->levels > 2)
		ret = __try_cmpxchg_user((u64 __user *)to, &old, old | bits, fault64);
	else
		ret = __try_cmpxchg_user((u32 __user *)to, &half, half | (u32)bits, fault32);
	if (!ret)
		vmlet_slot_wrote(slot, walk->at[level] >> PAGE_SHIFT);
	return ret;
}

/* From CR3 to the leaf. 0; -EACCES with walk->error; -EFAULT. */
static int walk_entries(struct walk *walk)
{
	u64 table = walk->vcpu->cr3 & (walk->levels == 3 ? GENMASK_ULL(31, 5) : walk->frame);
	unsigned int size = walk->levels == 2 ? 4 : 8, index;
	int level, ret;
	u64 entry;

	walk->rights = _PAGE_RW | _PAGE_USER;
	walk->nx = false;
	for (level = walk->levels;; level--) {
		index = (walk->gva >> level_shift(walk, level)) % (PAGE_SIZE / size);
		walk->at[level] = table + index * size;
		ret = entry_read(walk, level);
		if (ret == -EFAULT)
			return ret;
		entry = walk->entry[level];
		walk->error = 0;
		if (ret || !(entry & _PAGE_PRESENT))
			return -EACCES;
		walk->error = X86_PF_PROT | X86_PF_RSVD;
		if (entry & reserved_bits(walk, entry, level))
			return -EACCES;
		if (!is_pdpte(walk, level)) {
			walk->rights &= entry;
			walk->nx |= walk->levels > 2 && (entry & _PAGE_NX);
		}
		walk->level = level;
		if (is_leaf(walk, entry, level))
			return 0;
		table = entry & walk->frame;
	}
}

/* Does the protection key of the leaf, which user pages in long mode have, forbid the access to data? */
static bool key_denies(const struct walk *walk)
{
	struct vmlet_vcpu *vcpu = walk->vcpu;
	u32 rights = vcpu->pkru >> (walk->entry[walk->level] >> PKEY_SHIFT & 15) * 2;

	if (!(vcpu->cr4 & X86_CR4_PKE) || walk->levels < 4 || !(walk->rights & _PAGE_USER) ||
	    (walk->access & VMLET_ACCESS_EXEC))
		return false;
	if (rights & PKRU_AD_BIT)
		return true;
	return (rights & PKRU_WD_BIT) && (walk->access & VMLET_ACCESS_WRITE) &&
	       ((walk->access & VMLET_ACCESS_USER) || (vcpu->cr0 & X86_CR0_WP));
}

static bool is_denied(const struct walk *walk)
{
	struct vmlet_vcpu *vcpu = walk->vcpu;
	bool user = walk->access & VMLET_ACCESS_USER;

	if ((walk->access & VMLET_ACCESS_EXEC) && walk->nx)
		return true;
	if ((walk->access & VMLET_ACCESS_WRITE) && !(walk->rights & _PAGE_RW) &&
	    (user || (vcpu->cr0 & X86_CR0_WP)))
		return true;
	if (!(walk->rights & _PAGE_USER) || user)
		return user && !(walk->rights & _PAGE_USER);
	/* The supervisor in user memory. */
	if (walk->access & VMLET_ACCESS_EXEC)
		return vcpu->cr4 & X86_CR4_SMEP;
	return (vcpu->cr4 & X86_CR4_SMAP) && !(vmlet_rflags(vcpu) & X86_EFLAGS_AC);
}

/* Accessed bits on the way, dirty bit in the leaf: as entry_mark(). */
static int mark_entries(struct walk *walk)
{
	int level, ret;
	u64 bits;

	for (level = walk->levels; level >= walk->level; level--) {
		bits = _PAGE_ACCESSED;
		if (level == walk->level && (walk->access & VMLET_ACCESS_WRITE))
			bits |= _PAGE_DIRTY;
		if (is_pdpte(walk, level))
			continue;
		ret = entry_mark(walk, level, bits);
		if (ret)
			return ret;
	}
	return 0;
}

static gpa_t walk_result(const struct walk *walk)
{
	u64 entry = walk->entry[walk->level], inside = BIT_ULL(level_shift(walk, walk->level)) - 1;
	gpa_t base = entry & walk->frame & ~inside;

	if (walk->levels == 2 && walk->level == 2)
		base |= (entry & PSE36_BITS) << PSE36_SHIFT;
	return base | (walk->gva & inside);
}

static u32 error_code(const struct walk *walk)
{
	struct vmlet_vcpu *vcpu = walk->vcpu;
	u32 error = walk->error;

	if (walk->access & VMLET_ACCESS_WRITE)
		error |= X86_PF_WRITE;
	if (walk->access & VMLET_ACCESS_USER)
		error |= X86_PF_USER;
	if ((walk->access & VMLET_ACCESS_EXEC) &&
	    ((walk->levels > 2 && (vcpu->efer & EFER_NX)) || (vcpu->cr4 & X86_CR4_SMEP)))
		error |= X86_PF_INSTR;
	return error;
}

/* 0: walk->entry[walk->level] may be used; 1: the tables changed meanwhile; -EACCES with walk->error; -EFAULT. */
static int walk_once(struct walk *walk)
{
	struct srcu_struct *srcu = &walk->vcpu->vm->srcu;
	int idx = srcu_read_lock(srcu), ret;

	ret = walk_entries(walk);
	if (!ret && walk->access) {
		walk->error = key_denies(walk) ? X86_PF_PROT | X86_PF_PK : X86_PF_PROT;
		ret = walk->error & X86_PF_PK || is_denied(walk) ? -EACCES : mark_entries(walk);
	}
	srcu_read_unlock(srcu, idx);
	return ret;
}

int vmlet_gva_to_gpa(struct vmlet_vcpu *vcpu, gva_t gva, u8 access, gpa_t *gpa, struct vmlet_pf *pf)
{
	struct walk walk = { .vcpu = vcpu, .gva = gva, .access = access };
	int ret;

	lockdep_assert_held(&vcpu->mutex);
	vmlet_need(vcpu, VMLET_G_CR);
	if (!(vcpu->cr0 & X86_CR0_PG)) {
		*gpa = gva;
		return 0;
	}
	walk_begin(&walk);
	do {
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = walk_once(&walk);
	} while (ret > 0);
	if (!ret)
		*gpa = walk_result(&walk);
	else if (ret == -EACCES && pf)
		*pf = (struct vmlet_pf) { .address = walk.gva, .error = error_code(&walk) };
	return ret;
}

static bool code_find(struct walk *walk, struct vmlet_code *code)
{
	const struct vmlet_slot *slot;
	int level, n;

	walk_begin(walk);
	if (walk_entries(walk) || is_denied(walk))
		return false;
	for (n = 0; n < VMLET_CODE_LEVELS; n++) {
		level = max(walk->levels - n, walk->level);
		slot = usable_slot(walk->vcpu, walk->at[level], false);
		if (!slot || !(walk->entry[level] & _PAGE_ACCESSED))
			return false;
		code->at[n] = guest_pointer(slot, walk->at[level]);
		code->entry[n] = walk->entry[level];
	}
	slot = usable_slot(walk->vcpu, walk_result(walk), false);
	if (slot)
		code->code = guest_pointer(slot, walk_result(walk));
	return slot;
}

bool vmlet_code_find(struct vmlet_vcpu *vcpu, struct vmlet_code *code, const struct vmlet_slots *slots)
{
	struct walk walk = { .vcpu = vcpu, .gva = vcpu->rip, .access = VMLET_ACCESS_EXEC };
	bool found;
	u64 cr2;

	lockdep_assert_held(&vcpu->mutex);
	vmlet_need(vcpu, VMLET_G_CR);
	code->slots = 0;
	/* What is behind the page may be elsewhere. */
	if (offset_in_page(vcpu->rip) > PAGE_SIZE - sizeof(code->bytes))
		return false;
	code->rip = vcpu->rip;
	code->cr3 = vcpu->cr3;
	code->cr4 = vcpu->cr4;
	code->efer = vcpu->efer;
	code->cpl = vmlet_cpl(vcpu);
	if (code->cpl == 3)
		walk.access |= VMLET_ACCESS_USER;
	cr2 = vmlet_user_begin(vcpu);
	found = code_find(&walk, code);
	vmlet_user_end(vcpu, cr2, !found);
	if (found)
		code->slots = slots->serial;
	return found;
}
