/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: tunables
 *
 * Numbers that change how VMs are run, of all VMs and at once. Each is a module parameter, too.
 */
#ifndef VMLET_OBSERVE_TUNABLES_H
#define VMLET_OBSERVE_TUNABLES_H

#include <linux/jump_label.h>
#include <linux/types.h>

/**
 * struct vmlet_tunable - one of them
 * @name:	as users see it
 * @unit:	of the numbers
 * @value:	read and written at any time: READ_ONCE, WRITE_ONCE
 * @least, @most: what it takes
 * @key:	on while @value is not 0; NULL: whoever reads @value sees it
 */
struct vmlet_tunable {
	const char *name, *unit;
	unsigned int *value;
	unsigned int least, most;
	struct static_key_false *key;
};

extern const struct vmlet_tunable vmlet_tunables[];
extern const unsigned int vmlet_tunables_count;

/* 0 or -ERANGE. Who may do so is the caller's to ask. */
int vmlet_tunable_set(const struct vmlet_tunable *tunable, u64 value);

#endif
