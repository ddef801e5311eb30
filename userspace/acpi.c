// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: ACPI tables
 *
 * RSDP, XSDT, FADT, FACS and a DSDT with nothing in it but \_S5. There is no MADT:
 * a guest that finds none uses the 8259 pair, which is what there is. Offsets and
 * values are those of the ACPI specification, sections 5.2 (tables) and 20 (AML).
 */
#include "acpi.h"

#include "reset.h"

#include <string.h>

#define RSDP_OFFSET 0x000
#define XSDT_OFFSET 0x040
#define FADT_OFFSET 0x080
#define FACS_OFFSET 0x180
#define DSDT_OFFSET 0x200
#define TABLES_SIZE 0x1000
#define ADDRESS(name) (VMLET_ACPI_BASE + name##_OFFSET)

#define RSDP_SIZE 36
#define RSDP_V1_SIZE 20
#define HEADER_SIZE 36
#define XSDT_SIZE (HEADER_SIZE + 8)
#define FADT_SIZE 244
#define FACS_SIZE 64

#define SCI_IRQ 9
#define BOOT_LEGACY_DEVICES 0x01
#define BOOT_NO_VGA 0x04
#define BOOT_NO_MSI 0x08
#define BOOT_NO_ASPM 0x10
#define FLAG_WBINVD 0x001
#define FLAG_C1 0x004
#define FLAG_NO_POWER_BUTTON 0x010
#define FLAG_NO_SLEEP_BUTTON 0x020
#define FLAG_RESET 0x400
#define SPACE_IO 1
#define ACCESS_BYTE 1
/* Latencies that say: no C2, no C3. */
#define C2_NONE 101
#define C3_NONE 1001
#define CENTURY_REGISTER 0x32

/**
 * struct field - a number somewhere in a table
 * @offset: from the table's first byte
 * @size: bytes, little endian
 * @value: the number
 */
struct field {
	uint16_t offset;
	uint8_t size;
	uint64_t value;
};

static const struct field fadt_fields[] = {
	{ 36, 4, ADDRESS(FACS) },
	{ 40, 4, ADDRESS(DSDT) },
	{ 46, 2, SCI_IRQ },
	{ 56, 4, VMLET_PM_EVENT_PORT },
	{ 64, 4, VMLET_PM_CONTROL_PORT },
	{ 76, 4, VMLET_PM_TIMER_PORT },
	{ 88, 1, 4 }, /* length of the event block */
	{ 89, 1, 2 }, /* length of the control block */
	{ 91, 1, 4 }, /* length of the timer block */
	{ 96, 2, C2_NONE },
	{ 98, 2, C3_NONE },
	{ 108, 1, CENTURY_REGISTER },
	{ 109, 2, BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_ASPM },
	{ 112, 4, FLAG_WBINVD | FLAG_C1 | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON |
		  FLAG_RESET },
	{ 116, 1, SPACE_IO },
	{ 117, 1, 8 }, /* width of the reset register, in bits */
	{ 119, 1, ACCESS_BYTE },
	{ 120, 8, VMLET_RESET_PORT },
	{ 128, 1, VMLET_RESET_VALUE },
};

static const struct field xsdt_fields[] = {
	{ HEADER_SIZE, 8, ADDRESS(FADT) },
};

static const struct field facs_fields[] = {
	{ 4, 4, FACS_SIZE },
	{ 32, 1, 1 }, /* version */
};

static const struct field rsdp_fields[] = {
	{ 15, 1, 2 }, /* revision */
	{ 20, 4, RSDP_SIZE },
	{ 24, 8, ADDRESS(XSDT) },
};

/* Name (\_S5, Package (4) { off, off, 0, 0 }) */
static const uint8_t dsdt_aml[] = {
	0x08, '_', 'S', '5', '_',
	0x12, 0x08, 0x04, 0x0a, VMLET_SLEEP_TYPE_OFF, 0x0a, VMLET_SLEEP_TYPE_OFF, 0x00, 0x00,
};

static void put(uint8_t *table, const struct field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memcpy(table + fields[i].offset, &fields[i].value, fields[i].size);
}

#define PUT(table, fields) put(table, fields, sizeof(fields) / sizeof((fields)[0]))

/* The bytes of a table add up to zero. */
static void seal(uint8_t *table, size_t size, size_t checksum_offset)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += table[i];
	table[checksum_offset] -= sum;
}

static void put_header(uint8_t *table, const char *signature, uint32_t size, uint8_t revision)
{
	memcpy(table, signature, 4);
	memcpy(table + 4, &size, sizeof(size));
	table[8] = revision;
	memcpy(table + 10, "VMLET ", 6);
	memcpy(table + 16, "VMLETVM ", 8);
	table[24] = 1;
	memcpy(table + 28, "VMLT", 4);
	table[32] = 1;
	seal(table, size, 9);
}

uint64_t vmlet_acpi_write(const struct vmlet_vm *vm)
{
	uint8_t *tables = vmlet_vm_memory(vm, VMLET_ACPI_BASE, TABLES_SIZE);
	uint8_t *rsdp;

	if (!tables)
		return 0;
	memcpy(tables + DSDT_OFFSET + HEADER_SIZE, dsdt_aml, sizeof(dsdt_aml));
	put_header(tables + DSDT_OFFSET, "DSDT", HEADER_SIZE + sizeof(dsdt_aml), 2);
	memcpy(tables + FACS_OFFSET, "FACS", 4);
	PUT(tables + FACS_OFFSET, facs_fields);
	PUT(tables + FADT_OFFSET, fadt_fields);
	put_header(tables + FADT_OFFSET, "FACP", FADT_SIZE, 3);
	PUT(tables + XSDT_OFFSET, xsdt_fields);
	put_header(tables + XSDT_OFFSET, "XSDT", XSDT_SIZE, 1);
	rsdp = tables + RSDP_OFFSET;
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "VMLET ", 6);
	PUT(rsdp, rsdp_fields);
	seal(rsdp, RSDP_V1_SIZE, 8);
	seal(rsdp, RSDP_SIZE, 32);
	return ADDRESS(RSDP);
}
