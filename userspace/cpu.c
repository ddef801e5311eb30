// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: CPUID, MSRs and registers of a vCPU before its first instruction
 */
#include "cpu.h"

#include "macros.h"
#include "report.h"

#include <asm/processor-flags.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CPUID_ENTRIES 256
/* Entries that are added to those of the device. */
#define LEVELS 3

#define GDT_ADDRESS 0x1000
#define PML4_ADDRESS 0x9000
#define PDPT_ADDRESS 0xa000
#define PD_ADDRESS 0xb000
#define PAGE_SIZE 4096
#define ENTRIES 512
#define MAPPED_GIB 4
#define PTE_PRESENT_WRITE 0x03
#define PTE_LARGE 0x80
#define LARGE_PAGE (2ull << 20)

#define EFER_LME 0x100
#define EFER_LMA 0x400
#define RFLAGS_FIXED 0x2
#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18

#define MSR_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STRING 1
#define MSR_MTRR_DEFAULT 0x2ff
#define MTRR_ENABLED_WRITE_BACK 0xc06

enum { EAX, EBX, ECX, EDX };

/**
 * struct cpuid_change - bits that differ from what the device supports
 * @function: leaf
 * @index: subleaf
 * @reg: which of the four registers
 * @clear: bits to clear first
 * @set: bits to set then
 */
struct cpuid_change {
	uint32_t function;
	uint32_t index;
	uint8_t reg;
	uint32_t clear;
	uint32_t set;
};

#define CPUID_1_MONITOR (1 << 3)
#define CPUID_1_X2APIC (1 << 21)
#define CPUID_1_TSC_DEADLINE (1 << 24)
#define CPUID_1_HYPERVISOR (1u << 31)
#define CPUID_1_APIC (1 << 9)
#define CPUID_1_THREADS (1 << 28)

/*
 * Without local APICs: of KVM's paravirtual features only those that need none: no delay on
 * I/O (1), the clock (0, 3) and its promise to be stable (24).
 */
static const struct cpuid_change no_apic_changes[] = {
	{ 0x1, 0, ECX, CPUID_1_X2APIC | CPUID_1_TSC_DEADLINE, 0 },
	{ 0x1, 0, EDX, CPUID_1_APIC, 0 },
	{ 0x80000001, 0, EDX, CPUID_1_APIC, 0 },
	{ 0x40000001, 0, EAX, (uint32_t)~(1 << 0 | 1 << 1 | 1 << 3 | 1 << 24), 0 },
};

/* The least number of bits that tell @count vCPUs apart. */
static unsigned int id_bits(unsigned int count)
{
	unsigned int bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

static void change(struct kvm_cpuid2 *cpuid, const struct cpuid_change *changes, size_t count)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		uint32_t *regs[] = { &entry->eax, &entry->ebx, &entry->ecx, &entry->edx };

		for (size_t j = 0; j < count; j++) {
			if (changes[j].function == entry->function && changes[j].index == entry->index)
				*regs[changes[j].reg] = (*regs[changes[j].reg] & ~changes[j].clear) |
							changes[j].set;
		}
	}
}

/* A package of cores that have one thread each; all share the last level of cache. */
static void describe_package(struct kvm_cpuid2 *cpuid, const struct vmlet_cpu_topology *topology)
{
	uint32_t id = topology->id, count = topology->count, bits = id_bits(count);
	uint32_t cores = count - 1, threads = count > 1 ? CPUID_1_THREADS : 0;
	const struct cpuid_change changes[] = {
		{ 0x1, 0, EBX, 0xffff0000, id << 24 | count << 16 },
		{ 0x1, 0, ECX, CPUID_1_MONITOR, CPUID_1_HYPERVISOR },
		{ 0x1, 0, EDX, CPUID_1_THREADS, threads },
		{ 0x4, 0, EAX, 0xffffc000, cores << 26 },
		{ 0x4, 1, EAX, 0xffffc000, cores << 26 },
		{ 0x4, 2, EAX, 0xffffc000, cores << 26 },
		{ 0x4, 3, EAX, 0xffffc000, cores << 26 | cores << 14 },
		{ 0x80000001, 0, ECX, 1 << 1, count > 1 ? 1 << 1 : 0 },
		{ 0x80000008, 0, ECX, 0xf0ff, bits << 12 | cores },
		{ 0x8000001e, 0, EAX, ~0u, id },
		{ 0x8000001e, 0, EBX, ~0u, id },
		{ 0x8000001e, 0, ECX, ~0u, 0 },
	};

	change(cpuid, changes, ARRAY_SIZE(changes));
}

/* Leaf 0xb says the same once more: a level of threads, a level of cores, the end. */
static void add_levels(struct kvm_cpuid2 *cpuid, const struct vmlet_cpu_topology *topology)
{
	const struct kvm_cpuid_entry2 levels[LEVELS] = {
		{ .ebx = 1, .ecx = 1 << 8 },
		{ .eax = id_bits(topology->count), .ebx = topology->count, .ecx = 2 << 8 },
		{ .ebx = 0 },
	};
	uint32_t count = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		uint32_t function = cpuid->entries[i].function;

		if (function != 0xb && function != 0x1f && function != 0x80000026)
			cpuid->entries[count++] = cpuid->entries[i];
	}
	for (uint32_t i = 0; i < LEVELS; i++, count++) {
		cpuid->entries[count] = levels[i];
		cpuid->entries[count].function = 0xb;
		cpuid->entries[count].index = i;
		cpuid->entries[count].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid->entries[count].ecx |= i;
		cpuid->entries[count].edx = topology->id;
	}
	cpuid->nent = count;
}

static void adapt_cpuid(const struct vmlet_vm *vm, struct kvm_cpuid2 *cpuid,
			const struct vmlet_cpu_topology *topology)
{
	const struct cpuid_change deadline = { 0x1, 0, ECX, 0, CPUID_1_TSC_DEADLINE };

	describe_package(cpuid, topology);
	add_levels(cpuid, topology);
	if (!topology->irqchip)
		change(cpuid, no_apic_changes, ARRAY_SIZE(no_apic_changes));
	else if (vmlet_vm_has(vm, KVM_CAP_TSC_DEADLINE_TIMER))
		change(cpuid, &deadline, 1);
}

static bool fail(const char *what, int error)
{
	vmlet_error("%s: %s", what, strerror(-error));
	return false;
}

static bool set_cpuid(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu,
		      const struct vmlet_cpu_topology *topology)
{
	struct kvm_cpuid2 *cpuid;
	int ret;

	cpuid = calloc(1, sizeof(*cpuid) + (MAX_CPUID_ENTRIES + LEVELS) * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return fail("CPUID table", -ENOMEM);
	cpuid->nent = MAX_CPUID_ENTRIES;
	ret = vmlet_ioctl(vm->device_fd, KVM_GET_SUPPORTED_CPUID, (uintptr_t)cpuid);
	if (ret < 0) {
		free(cpuid);
		return fail("KVM_GET_SUPPORTED_CPUID", ret);
	}
	adapt_cpuid(vm, cpuid, topology);
	ret = vmlet_ioctl(vcpu->fd, KVM_SET_CPUID2, (uintptr_t)cpuid);
	free(cpuid);
	return ret < 0 ? fail("KVM_SET_CPUID2", ret) : true;
}

/* MSRs whose reset value firmware replaces before it starts an operating system. */
static const struct kvm_msr_entry firmware_msrs[] = {
	{ .index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
	{ .index = MSR_MTRR_DEFAULT, .data = MTRR_ENABLED_WRITE_BACK },
};

static bool set_msr(struct vmlet_vcpu *vcpu, const struct kvm_msr_entry *msr)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry = *msr };
	int ret = vmlet_ioctl(vcpu->fd, KVM_SET_MSRS, (uintptr_t)&msrs);

	if (ret < 0)
		return fail("KVM_SET_MSRS", ret);
	/* The guest runs without them too, if more slowly. */
	if (ret != 1)
		vmlet_error("the device refuses to set MSR %#x to %#llx", msr->index, msr->data);
	return true;
}

bool vmlet_cpu_setup(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu,
		     const struct vmlet_cpu_topology *topology)
{
	if (!set_cpuid(vm, vcpu, topology))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(firmware_msrs); i++) {
		if (!set_msr(vcpu, &firmware_msrs[i]))
			return false;
	}
	return true;
}

static const struct kvm_segment code_32 = {
	.limit = 0xffffffff, .selector = CODE_SELECTOR, .type = 0xb,
	.present = 1, .db = 1, .s = 1, .g = 1,
};

static const struct kvm_segment code_64 = {
	.limit = 0xffffffff, .selector = CODE_SELECTOR, .type = 0xb,
	.present = 1, .l = 1, .s = 1, .g = 1,
};

static const struct kvm_segment data_flat = {
	.limit = 0xffffffff, .selector = DATA_SELECTOR, .type = 0x3,
	.present = 1, .db = 1, .s = 1, .g = 1,
};

/* The descriptors behind code_32 or code_64, and data_flat. */
static bool write_gdt(const struct vmlet_vm *vm, struct kvm_sregs *sregs, bool long_mode)
{
	const uint64_t gdt[] = {
		[CODE_SELECTOR / 8] = long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
		[DATA_SELECTOR / 8] = 0x00cf93000000ffff,
	};
	void *memory = vmlet_vm_memory(vm, GDT_ADDRESS, sizeof(gdt));

	if (!memory)
		return fail("GDT", -EFAULT);
	memcpy(memory, gdt, sizeof(gdt));
	sregs->gdt.base = GDT_ADDRESS;
	sregs->gdt.limit = sizeof(gdt) - 1;
	return true;
}

static bool write_page_tables(const struct vmlet_vm *vm)
{
	uint64_t *pml4 = vmlet_vm_memory(vm, PML4_ADDRESS, PAGE_SIZE);
	uint64_t *pdpt = vmlet_vm_memory(vm, PDPT_ADDRESS, PAGE_SIZE);
	uint64_t *pd = vmlet_vm_memory(vm, PD_ADDRESS, MAPPED_GIB * PAGE_SIZE);

	if (!pml4 || !pdpt || !pd)
		return fail("page tables", -EFAULT);
	pml4[0] = PDPT_ADDRESS | PTE_PRESENT_WRITE;
	for (unsigned int i = 0; i < MAPPED_GIB; i++)
		pdpt[i] = (PD_ADDRESS + i * PAGE_SIZE) | PTE_PRESENT_WRITE;
	for (unsigned int i = 0; i < MAPPED_GIB * ENTRIES; i++)
		pd[i] = i * LARGE_PAGE | PTE_LARGE | PTE_PRESENT_WRITE;
	return true;
}

static void set_segments(struct kvm_sregs *sregs, const struct kvm_segment *code)
{
	sregs->cs = *code;
	sregs->ds = data_flat;
	sregs->es = data_flat;
	sregs->fs = data_flat;
	sregs->gs = data_flat;
	sregs->ss = data_flat;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
}

/* Real mode: the 64 KiB that hold the entry become the code segment. */
static void enter_real(struct kvm_sregs *sregs, uint64_t entry)
{
	sregs->cs.base = entry & 0xf0000;
	sregs->cs.selector = sregs->cs.base >> 4;
}

static bool enter_protected(const struct vmlet_vm *vm, struct kvm_sregs *sregs)
{
	set_segments(sregs, &code_32);
	sregs->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	return write_gdt(vm, sregs, false);
}

static bool enter_long(const struct vmlet_vm *vm, struct kvm_sregs *sregs)
{
	set_segments(sregs, &code_64);
	sregs->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG;
	sregs->cr3 = PML4_ADDRESS;
	sregs->cr4 = X86_CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
	return write_gdt(vm, sregs, true) && write_page_tables(vm);
}

bool vmlet_cpu_start(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu,
		     const struct vmlet_cpu_start *start)
{
	bool real = start->mode == VMLET_CPU_REAL;
	struct kvm_regs regs = {
		.rip = real ? start->entry & 0xffff : start->entry,
		.rsi = start->rsi,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs sregs;
	int ret;

	ret = vmlet_ioctl(vcpu->fd, KVM_GET_SREGS, (uintptr_t)&sregs);
	if (ret < 0)
		return fail("KVM_GET_SREGS", ret);
	/* Without interrupt controllers, an enabled APIC would put its bit back into CPUID. */
	if (!start->irqchip)
		sregs.apic_base = 0;
	if (real)
		enter_real(&sregs, start->entry);
	else if (start->mode == VMLET_CPU_PROTECTED && !enter_protected(vm, &sregs))
		return false;
	else if (start->mode == VMLET_CPU_LONG && !enter_long(vm, &sregs))
		return false;
	ret = vmlet_ioctl(vcpu->fd, KVM_SET_SREGS, (uintptr_t)&sregs);
	if (ret < 0)
		return fail("KVM_SET_SREGS", ret);
	ret = vmlet_ioctl(vcpu->fd, KVM_SET_REGS, (uintptr_t)&regs);
	return ret < 0 ? fail("KVM_SET_REGS", ret) : true;
}
