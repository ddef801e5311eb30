// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: the 64-bit Linux boot protocol
 *
 * See Documentation/arch/x86/boot.rst of the kernel. The kernel goes to its preferred
 * address, the initial RAM disk as high as the kernel allows, everything else below
 * 640 KiB.
 */
#include "boot.h"

#include "acpi.h"
#include "file.h"
#include "report.h"

#include <asm/bootparam.h>
#include <asm/e820.h>
#include <stddef.h>
#include <string.h>

#define PARAMS_ADDRESS 0x10000
#define ARGUMENTS_ADDRESS 0x20000
#define ARGUMENTS_MAX 0x10000
#define LOW_MEMORY_END 0x9fc00
#define ROM_START 0xa0000
#define HIGH_MEMORY 0x100000
#define PAGE_MASK 4095ull

#define SECTOR_SIZE 512
#define DEFAULT_SETUP_SECTORS 4
#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define PROTOCOL_2_12 0x020c
#define LOADER_UNDEFINED 0xff
#define ENTRY_64 0x200
#define HEADER_OFFSET offsetof(struct boot_params, hdr)
/* The header ends where its first instruction, a short jump at 0x200, lands. */
#define HEADER_END(image) (0x202u + ((const uint8_t *)(image)->data)[0x201])

#define MIB(bytes) ((unsigned long long)((bytes) + (1 << 20) - 1) >> 20)

static bool check_header(const struct vmlet_file *image, const struct setup_header *header)
{
	const char *complaint = NULL;

	if (header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC)
		complaint = "not a bzImage; give --kernel what is in /boot/vmlinuz-*";
	else if (header->version < PROTOCOL_2_12 || !(header->xloadflags & XLF_KERNEL_64))
		complaint = "not a 64-bit kernel of Linux 3.8 or newer";
	if (complaint)
		vmlet_error("%s: %s", image->path, complaint);
	return !complaint;
}

static bool read_header(const struct vmlet_file *image, struct setup_header *header)
{
	size_t end;

	memset(header, 0, sizeof(*header));
	if (image->size < HEADER_OFFSET + sizeof(*header)) {
		vmlet_error("%s: too short to be a kernel", image->path);
		return false;
	}
	end = HEADER_END(image);
	if (end > HEADER_OFFSET + sizeof(*header))
		end = HEADER_OFFSET + sizeof(*header);
	if (end > HEADER_OFFSET)
		memcpy(header, (const char *)image->data + HEADER_OFFSET, end - HEADER_OFFSET);
	return check_header(image, header);
}

static bool load_kernel(const struct vmlet_vm *vm, const struct vmlet_file *image,
			const struct setup_header *header)
{
	unsigned int sectors = header->setup_sects ? header->setup_sects : DEFAULT_SETUP_SECTORS;
	size_t offset = (sectors + 1) * SECTOR_SIZE;
	size_t size = image->size > offset ? image->size - offset : 0;
	size_t room = size > header->init_size ? size : header->init_size;
	void *memory = vmlet_vm_memory(vm, header->pref_address, room);

	if (!size) {
		vmlet_error("%s: truncated", image->path);
		return false;
	}
	if (!memory) {
		vmlet_error("%s: needs memory up to %llu MiB; give more --mem", image->path,
			    MIB(header->pref_address + room));
		return false;
	}
	memcpy(memory, (const char *)image->data + offset, size);
	return true;
}

/* As high as possible below 4 GiB, so that the kernel has room to unpack itself. */
static bool load_initrd(const struct vmlet_vm *vm, const char *path, struct setup_header *header)
{
	uint64_t end = vm->slots[0].size, limit = (uint64_t)header->initrd_addr_max + 1;
	uint64_t kernel_end = header->pref_address + header->init_size, address;
	struct vmlet_file file;
	bool fits;

	if (!vmlet_file_map(&file, path))
		return false;
	if (end > limit)
		end = limit;
	address = (end - file.size) & ~PAGE_MASK;
	fits = file.size <= end && address >= kernel_end;
	if (fits) {
		memcpy(vmlet_vm_memory(vm, address, file.size), file.data, file.size);
		header->ramdisk_image = address;
		header->ramdisk_size = file.size;
	} else {
		vmlet_error("%s: %llu MiB do not fit behind the kernel, which ends at %llu MiB; give more --mem",
			    path, MIB(file.size), MIB(kernel_end));
	}
	vmlet_file_unmap(&file);
	return fits;
}

static bool load_arguments(const struct vmlet_vm *vm, const char *arguments,
			   struct setup_header *header)
{
	size_t size = strlen(arguments) + 1;
	void *memory = vmlet_vm_memory(vm, ARGUMENTS_ADDRESS, size);

	if (!memory || size > ARGUMENTS_MAX || size - 1 > header->cmdline_size) {
		vmlet_error("the kernel command line is longer than this kernel's %u characters",
			    header->cmdline_size);
		return false;
	}
	memcpy(memory, arguments, size);
	header->cmd_line_ptr = ARGUMENTS_ADDRESS;
	return true;
}

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	if (start >= end)
		return;
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
		.addr = start, .size = end - start, .type = type,
	};
}

static void fill_e820(const struct vmlet_vm *vm, struct boot_params *params)
{
	add_e820(params, 0, LOW_MEMORY_END, E820_RAM);
	add_e820(params, LOW_MEMORY_END, ROM_START, E820_RESERVED);
	add_e820(params, VMLET_ACPI_BASE, HIGH_MEMORY, E820_RESERVED);
	add_e820(params, HIGH_MEMORY, vm->slots[0].size, E820_RAM);
	for (unsigned int i = 1; i < vm->nr_slots; i++)
		add_e820(params, vm->slots[i].gpa, vm->slots[i].gpa + vm->slots[i].size, E820_RAM);
}

static bool fill_params(const struct vmlet_vm *vm, const struct vmlet_linux *linux_boot,
			struct setup_header *header)
{
	struct boot_params *params = vmlet_vm_memory(vm, PARAMS_ADDRESS, sizeof(*params));

	if (!params || vm->slots[0].size <= HIGH_MEMORY) {
		vmlet_error("too little memory for Linux; give more --mem");
		return false;
	}
	header->type_of_loader = LOADER_UNDEFINED;
	if (linux_boot->initrd && !load_initrd(vm, linux_boot->initrd, header))
		return false;
	if (!load_arguments(vm, linux_boot->arguments, header))
		return false;
	memset(params, 0, sizeof(*params));
	params->hdr = *header;
	params->acpi_rsdp_addr = vmlet_acpi_write(vm, linux_boot->cpus, linux_boot->devices);
	fill_e820(vm, params);
	return true;
}

bool vmlet_boot_linux(const struct vmlet_vm *vm, const struct vmlet_linux *linux_boot,
		      struct vmlet_cpu_start *start)
{
	struct setup_header header;
	struct vmlet_file image;
	bool loaded;

	if (!vmlet_file_map(&image, linux_boot->kernel))
		return false;
	loaded = read_header(&image, &header) && load_kernel(vm, &image, &header) &&
		 fill_params(vm, linux_boot, &header);
	vmlet_file_unmap(&image);
	*start = (struct vmlet_cpu_start){
		.mode = VMLET_CPU_LONG,
		.entry = header.pref_address + ENTRY_64,
		.rsi = PARAMS_ADDRESS,
		.irqchip = true,
	};
	return loaded;
}
