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

static const struct cpuid_change cpuid_changes[] = {
	/* One CPU in the package; its APIC ID would be 0. */
	{ 0x1, 0, EBX, 0xffff0000, 1 << 16 },
	/* No MONITOR, x2APIC, TSC deadline timer; a hypervisor is present. */
	{ 0x1, 0, ECX, 1 << 3 | 1 << 21 | 1 << 24, 1u << 31 },
	/* No APIC, no hyper-threading. */
	{ 0x1, 0, EDX, 1 << 9 | 1 << 28, 0 },
	{ 0x80000001, 0, EDX, 1 << 9, 0 },
	/*
	 * Of KVM's paravirtual features only those that need no local APIC: no delay
	 * on I/O (1), the clock (0, 3) and its promise to be stable (24).
	 */
	{ 0x40000001, 0, EAX, (uint32_t)~(1 << 0 | 1 << 1 | 1 << 3 | 1 << 24), 0 },
};

static void change_cpuid(struct kvm_cpuid_entry2 *entry)
{
	uint32_t *regs[] = { &entry->eax, &entry->ebx, &entry->ecx, &entry->edx };

	for (size_t i = 0; i < ARRAY_SIZE(cpuid_changes); i++) {
		const struct cpuid_change *change = &cpuid_changes[i];

		if (change->function == entry->function && change->index == entry->index)
			*regs[change->reg] = (*regs[change->reg] & ~change->clear) | change->set;
	}
}

static bool fail(const char *what, int error)
{
	vmlet_error("%s: %s", what, strerror(-error));
	return false;
}

static bool set_cpuid(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid;
	int ret;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID_ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return fail("CPUID table", -ENOMEM);
	cpuid->nent = MAX_CPUID_ENTRIES;
	ret = vmlet_ioctl(vm->device_fd, KVM_GET_SUPPORTED_CPUID, (uintptr_t)cpuid);
	if (ret < 0) {
		free(cpuid);
		return fail("KVM_GET_SUPPORTED_CPUID", ret);
	}
	for (uint32_t i = 0; i < cpuid->nent; i++)
		change_cpuid(&cpuid->entries[i]);
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

bool vmlet_cpu_setup(const struct vmlet_vm *vm, struct vmlet_vcpu *vcpu)
{
	if (!set_cpuid(vm, vcpu))
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
	/* An enabled APIC would put its bit back into CPUID. */
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
