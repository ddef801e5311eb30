/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: words of the kernel's C that userspace lacks
 */
#ifndef VMLET_MACROS_H
#define VMLET_MACROS_H

#define NSEC_PER_SEC 1000000000ull

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#ifndef __printf
#define __printf(text, values) __attribute__((__format__(__printf__, text, values)))
#endif

/* For memory that another thread, or the kernel, reads or writes at the same time. */
#define READ_ONCE(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)
#define WRITE_ONCE(place, value) __atomic_store_n(&(place), value, __ATOMIC_RELAXED)

#endif
