// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: ACPI tables
 *
 * RSDP, XSDT, FADT, FACS, MADT, and a DSDT with \_S5 and the virtio devices. Offsets and
 * values are those of the ACPI specification, sections 5.2 (tables), 6.4 (resources) and
 * 20 (AML).
 */
#include "acpi.h"

#include "macros.h"
#include "reset.h"
#include "virtio/virtio.h"

#include <string.h>

#define RSDP_OFFSET 0x000
#define XSDT_OFFSET 0x040
#define FADT_OFFSET 0x080
#define FACS_OFFSET 0x180
#define DSDT_OFFSET 0x200
#define MADT_OFFSET 0x800
#define TABLES_SIZE 0x1000
#define ADDRESS(name) (VMLET_ACPI_BASE + name##_OFFSET)

#define RSDP_SIZE 36
#define RSDP_V1_SIZE 20
#define HEADER_SIZE 36
#define XSDT_SIZE (HEADER_SIZE + 16)
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

#define LOCAL_APIC_ADDRESS 0xfee00000
#define IOAPIC_ADDRESS 0xfec00000
#define MADT_PIC_PRESENT 1
#define MADT_START (HEADER_SIZE + 8)
#define ALL_CPUS 0xff
#define ENABLED 1
#define LEVEL_ACTIVE_HIGH 0x0d

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
	{ HEADER_SIZE + 8, 8, ADDRESS(MADT) },
};

static const struct field madt_fields[] = {
	{ 36, 4, LOCAL_APIC_ADDRESS },
	{ 40, 4, MADT_PIC_PRESENT },
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

/*
 * Device (Vn) { Name (_HID, "LNRO0005") Name (_UID, n) Name (_CRS, ResourceTemplate () {
 *	Memory32Fixed (ReadWrite, address, length) Interrupt (, Edge, ActiveHigh, Exclusive) {gsi} }) }
 */
static const uint8_t device_aml[] = {
	0x5b, 0x82, 0x4c, 0x03, 'V', '0', '_', '_',
	0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0x00,
	0x08, '_', 'U', 'I', 'D', 0x0a, 0x00,
	0x08, '_', 'C', 'R', 'S', 0x11, 0x1a, 0x0a, 0x17,
	0x86, 0x09, 0x00, 0x01, 0, 0, 0, 0, 0, 0, 0, 0,
	0x89, 0x06, 0x00, 0x03, 0x01, 0, 0, 0, 0,
	0x79, 0x00,
};

/* Places in it that differ from device to device. */
#define DEVICE_NAME 5
#define DEVICE_UID 29
#define DEVICE_ADDRESS 43
#define DEVICE_LENGTH 47
#define DEVICE_GSI 56

/* Scope (\_SB) { ... }, its length still to be filled in. */
static const uint8_t scope_aml[] = { 0x10, 0x40, 0x00, '\\', '_', 'S', 'B', '_' };

static void put(uint8_t *table, const struct field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		memcpy(table + fields[i].offset, &fields[i].value, fields[i].size);
}

#define PUT(table, fields) put(table, fields, ARRAY_SIZE(fields))

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

static uint8_t *append(uint8_t *end, const uint8_t *bytes, size_t size)
{
	memcpy(end, bytes, size);
	return end + size;
}

static uint8_t *append_device(uint8_t *end, unsigned int number)
{
	const struct field fields[] = {
		{ DEVICE_NAME, 1, '0' + number },
		{ DEVICE_UID, 1, number },
		{ DEVICE_ADDRESS, 4, VMLET_VIRTIO_BASE + number * VMLET_VIRTIO_STRIDE },
		{ DEVICE_LENGTH, 4, VMLET_VIRTIO_STRIDE },
		{ DEVICE_GSI, 4, VMLET_VIRTIO_GSI + number },
	};
	uint8_t *device = end;

	end = append(end, device_aml, sizeof(device_aml));
	PUT(device, fields);
	return end;
}

static void put_dsdt(uint8_t *table, unsigned int devices)
{
	uint8_t *end = append(table + HEADER_SIZE, dsdt_aml, sizeof(dsdt_aml)), *scope = end;
	unsigned int length;

	end = append(end, scope_aml, sizeof(scope_aml));
	for (unsigned int i = 0; i < devices; i++)
		end = append_device(end, i);
	/* Two bytes of length, counted from the first of them: the low 4 bits, then 8. */
	length = end - scope - 1;
	scope[1] |= length & 15;
	scope[2] = length >> 4;
	put_header(table, "DSDT", end - table, 2);
}

static void put_madt(uint8_t *table, unsigned int cpus)
{
	/* Type, length, then: input 9, the SCI, is a level; NMIs arrive at LINT1 of all. */
	static const uint8_t sci[] = { 2, 10, 0, SCI_IRQ, SCI_IRQ, 0, 0, 0, LEVEL_ACTIVE_HIGH, 0 };
	static const uint8_t nmi[] = { 4, 6, ALL_CPUS, 0, 0, 1 };
	const struct field ioapic_fields[] = {
		{ 0, 2, 1 | 12 << 8 }, { 2, 1, cpus }, { 4, 4, IOAPIC_ADDRESS },
	};
	uint8_t *end = table + MADT_START;

	PUT(table, madt_fields);
	for (unsigned int i = 0; i < cpus; i++) {
		const uint8_t local_apic[] = { 0, 8, i, i, ENABLED, 0, 0, 0 };

		end = append(end, local_apic, sizeof(local_apic));
	}
	PUT(end, ioapic_fields);
	end = append(end + 12, sci, sizeof(sci));
	end = append(end, nmi, sizeof(nmi));
	put_header(table, "APIC", end - table, 3);
}

uint64_t vmlet_acpi_write(const struct vmlet_vm *vm, unsigned int cpus, unsigned int devices)
{
	uint8_t *tables = vmlet_vm_memory(vm, VMLET_ACPI_BASE, TABLES_SIZE);
	uint8_t *rsdp;

	if (!tables)
		return 0;
	put_dsdt(tables + DSDT_OFFSET, devices);
	put_madt(tables + MADT_OFFSET, cpus);
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
