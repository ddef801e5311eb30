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

/*
 * struct vmlet_pt_leaves - leaves to install at successive GFNs of one table
 * @gfn:	of the first page
 * @level:	above 1: one leaf, which maps all of the huge page that pages[0] belongs to
 * @writable:	all of them
 * @writing:	the guest is about to write to the first
 * @n, @pages:	what to map; the caller keeps references until this is done
 */
struct vmlet_pt_leaves {
	gfn_t gfn;
	int level;
	bool writable, writing;
	unsigned int n;
	struct page **pages;
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
int vmlet_pt_map(struct vmlet_vm *vm, const struct vmlet_pt_leaves *leaves, u64 **spare);

/* Has the CPU used a leaf of [start, end) since the last time? Ask only, or forget it also. */
bool vmlet_pt_young(struct vmlet_vm *vm, gfn_t start, gfn_t end, bool forget);

#endif
