// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: raw images
 */
#include "boot.h"

#include "file.h"
#include "report.h"

#include <string.h>

bool vmlet_boot_flat(const struct vmlet_vm *vm, const char *path, uint64_t entry)
{
	struct vmlet_file file;
	void *memory;

	if (!vmlet_file_map(&file, path))
		return false;
	memory = vmlet_vm_memory(vm, entry, file.size);
	if (memory)
		memcpy(memory, file.data, file.size);
	else
		vmlet_error("%s: %zu bytes at %#llx do not fit; give more --mem or another --entry",
			    path, file.size, (unsigned long long)entry);
	vmlet_file_unmap(&file);
	return memory;
}
