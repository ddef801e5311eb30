/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: nested page tables
 *
 * What the rest of the room may do with them. Level 1 is the lowest: its leaves are 4 KiB, those of level 2 are
 * 2 MiB, those of level 3 are 1 GiB.
 */
#ifndef VMLET_MEM_PT_H
#define VMLET_MEM_PT_H

#include "mem.h"

#define VMLET_PT_BITS	9
#define VMLET_PT_SIZE	(1u << VMLET_PT_BITS)

/* GFNs that are mapped along with each other: an aligned group, so that it lies in one table. */
#define VMLET_PT_GROUP	16

/*
 * struct vmlet_pt_leaf - a leaf to install
 * @gfn:	that faulted
 * @pfn:	what the process has there
 * @level:	above 1: the leaf maps all of the huge page around @pfn
 * @writable:	the guest may write
 * @writing:	it is about to
 * @group:	at level 1: what to map along in the group of @gfn; 0: nothing
 * @read_only:	bits of those of @group that get no right to write; others get it where they are mapped without
 */
struct vmlet_pt_leaf {
	gfn_t gfn;
	u64 pfn;
	int level;
	bool writable, writing;
	u64 group[VMLET_PT_GROUP];
	u16 read_only;
};

/* Pages that an entry at @level covers. */
static inline gfn_t vmlet_pt_span(int level)
{
	return 1ull << (VMLET_PT_BITS * (level - 1));
}

int vmlet_pt_init(struct vmlet_vm *vm);
void vmlet_pt_destroy(struct vmlet_vm *vm);

/* GFNs from here on are out of the tables' reach. */
gfn_t vmlet_pt_limit(void);

/* A zeroed page for a table, made before vm->mmu_lock is taken; NULL: no memory. */
u64 *vmlet_pt_table_alloc(void);
void vmlet_pt_table_free(u64 *table);

/* Install. 0; -EAGAIN: make another *@spare and come again. What is there already keeps its rights. */
int vmlet_pt_map(struct vmlet_vm *vm, const struct vmlet_pt_leaf *leaf, u64 **spare);

/* Can the small @leaf be installed without another table, and nothing has to go or be split for it? Then @spare may be NULL. */
bool vmlet_pt_has_room(struct vmlet_vm *vm, const struct vmlet_pt_leaf *leaf);

/* Take the right to write from all of [start, end). May sleep. */
void vmlet_pt_protect(struct vmlet_vm *vm, gfn_t start, gfn_t end);

/* Likewise from the pages @start + n for bit n of @mask. True: the caller has to flush before it gives up vm->mmu_lock. */
bool vmlet_pt_protect_mask(struct vmlet_vm *vm, gfn_t start, u64 mask);

/* Split what of [start, end) is in huge leaves, as long as there is memory for tables. May sleep. */
void vmlet_pt_split(struct vmlet_vm *vm, gfn_t start, gfn_t end);

/* Drop what of [start, end) may be in larger leaves than it is. May sleep. */
void vmlet_pt_collapse(struct vmlet_vm *vm, gfn_t start, gfn_t end);

/* Has the CPU used a leaf of [start, end) since the last time? Ask only, or forget it also. */
bool vmlet_pt_young(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool forget);

#endif
