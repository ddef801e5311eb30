// SPDX-License-Identifier: GPL-2.0
/* Tiny guests: see guest.h. */
#include "guest.h"

#include <string.h>

#define VECTORS		256
#define STUB_SIZE	16
#define MODE_IS_LONG(mode) ((mode) == LONG || (mode) == COMPAT)

/* Flat descriptors: present, accessed, as the manuals lay them out. */
static const u64 gdt[] = {
	[SEL_CODE64 / 8] = 0x00af9b000000ffff,
	[SEL_DATA / 8] = 0x00cf93000000ffff,
	[SEL_CODE32 / 8] = 0x00cf9b000000ffff,
	[SEL_UCODE64 / 8] = 0x00affb000000ffff,
	[SEL_UDATA / 8] = 0x00cff3000000ffff,
	/* A busy TSS of 0x68 bytes at GUEST_TSS; its upper half is zero. */
	[SEL_TSS / 8] = 0x00008b0000000067 | GUEST_TSS << 16,
	[SEL_TSS / 8 + 1] = 0,
	[SEL_CODE16 / 8] = 0x00009b000000ffff,
};

bool vector_has_error_code(int vector)
{
	/* 8, 10 to 14, 17, 21, 29 and 30. */
	return vector < 32 && 0x60227d00u >> vector & 1;
}

static int word_size(enum guest_mode mode)
{
	return mode == REAL ? 2 : mode == LONG || mode == COMPAT ? 8 : 4;
}

/* Halt, drop the error code if there is one, return. */
static void build_stub(u8 *stub, int vector, enum guest_mode mode)
{
	static const u8 drop64[] = { 0x48, 0x83, 0xc4, 0x08 };
	static const u8 drop32[] = { 0x83, 0xc4, 0x04 };
	static const u8 iret64[] = { 0x48, 0xcf };

	*stub++ = 0xf4;
	if (MODE_IS_LONG(mode)) {
		if (vector_has_error_code(vector)) {
			memcpy(stub, drop64, sizeof(drop64));
			stub += sizeof(drop64);
		}
		memcpy(stub, iret64, sizeof(iret64));
		return;
	}
	if (mode != REAL && vector_has_error_code(vector)) {
		memcpy(stub, drop32, sizeof(drop32));
		stub += sizeof(drop32);
	}
	*stub = 0xcf;
}

static void build_gate(u8 *ram, int vector, enum guest_mode mode)
{
	u64 target = GUEST_STUBS + vector * STUB_SIZE;
	/* A present 32- or 64-bit interrupt gate that ring 3 may use. */
	u64 gate = (target & 0xffff) | 0xee00ull << 32 |
		   (target & 0xffff0000) << 32;

	if (mode == REAL) {
		((u32 *)ram)[vector] = target;
	} else if (MODE_IS_LONG(mode)) {
		((u64 *)(ram + GUEST_IDT))[2 * vector] = gate | SEL_CODE64 << 16;
		((u64 *)(ram + GUEST_IDT))[2 * vector + 1] = 0;
	} else {
		((u64 *)(ram + GUEST_IDT))[vector] = gate | SEL_CODE32 << 16;
	}
}

static void build_page_tables(u8 *ram)
{
	u64 *pd = (u64 *)(ram + GUEST_PD);
	u32 *pd32 = (u32 *)(ram + GUEST_PD32);

	for (u64 i = 0; i < 512; i++)
		pd[i] = i << 21 | PTE_PS | PTE_P | PTE_W | PTE_U;
	for (u32 i = 0; i < 256; i++)
		pd32[i] = i << 22 | PTE_PS | PTE_P | PTE_W | PTE_U;
	*(u64 *)(ram + GUEST_PDPT32) = GUEST_PD | PTE_P;
	*(u64 *)(ram + GUEST_PDPT) = GUEST_PD | PTE_P | PTE_W | PTE_U;
	*(u64 *)(ram + GUEST_PML4) = GUEST_PDPT | PTE_P | PTE_W | PTE_U;
}

static struct kvm_segment flat_segment(u16 selector)
{
	u64 desc = gdt[selector / 8];

	return (struct kvm_segment) {
		.limit = 0xffffffff,
		.selector = selector,
		.type = desc >> 40 & 15,
		.s = 1,
		.dpl = desc >> 45 & 3,
		.present = 1,
		.l = desc >> 53 & 1,
		.db = desc >> 54 & 1,
		.g = 1,
	};
}

static struct kvm_segment real_segment(u8 type)
{
	return (struct kvm_segment) {
		.limit = 0xffff, .type = type, .s = 1, .present = 1,
	};
}

static void set_segments(struct kvm_sregs *sregs, enum guest_mode mode)
{
	struct kvm_segment data = mode == REAL ? real_segment(3) :
						 flat_segment(SEL_DATA);

	sregs->cs = mode == REAL ? real_segment(11) :
		    flat_segment(mode == LONG ? SEL_CODE64 : SEL_CODE32);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment) {
		.base = GUEST_TSS, .limit = 0x67, .selector = SEL_TSS,
		.type = 11, .present = 1,
	};
	sregs->ldt = (struct kvm_segment) { .type = 2, .unusable = 1 };
	sregs->gdt.base = GUEST_GDT;
	sregs->gdt.limit = sizeof(gdt) - 1;
	sregs->idt.base = mode == REAL ? 0 : GUEST_IDT;
	sregs->idt.limit = mode == REAL ? 4 * VECTORS - 1 :
			   MODE_IS_LONG(mode) ? 16 * VECTORS - 1 : 8 * VECTORS - 1;
}

static void set_control_registers(struct kvm_sregs *sregs, enum guest_mode mode)
{
	static const u64 cr3[] = {
		[PAGED] = GUEST_PD32, [PAE] = GUEST_PDPT32,
		[COMPAT] = GUEST_PML4, [LONG] = GUEST_PML4,
	};
	static const u64 cr4[] = {
		[PAGED] = CR4_PSE, [PAE] = CR4_PAE,
		[COMPAT] = CR4_PAE, [LONG] = CR4_PAE,
	};

	sregs->cr0 = CR0_ET | CR0_NE | CR0_MP;
	if (mode != REAL)
		sregs->cr0 |= CR0_PE;
	if (mode >= PAGED)
		sregs->cr0 |= CR0_PG | CR0_WP;
	sregs->cr3 = cr3[mode];
	sregs->cr4 = cr4[mode] | CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs->efer = MODE_IS_LONG(mode) ? EFER_LME | EFER_LMA : 0;
}

void guest_set_mode(struct vcpu *vcpu, enum guest_mode mode)
{
	u8 *ram = vcpu->vm->ram;
	struct kvm_sregs sregs;

	memcpy(ram + GUEST_GDT, gdt, sizeof(gdt));
	memset(ram + GUEST_TSS, 0, 0x68);
	/* Where ring 0 begins its stack: RSP0, or ESP0 and SS0. */
	*(u32 *)(ram + GUEST_TSS + 4) = GUEST_STACK;
	*(u32 *)(ram + GUEST_TSS + 8) = MODE_IS_LONG(mode) ? 0 : SEL_DATA;
	/* No I/O permission bitmap: it would begin behind the limit. */
	*(u16 *)(ram + GUEST_TSS + 0x66) = 0x68;
	for (int vector = 0; vector < VECTORS; vector++) {
		build_stub(ram + GUEST_STUBS + vector * STUB_SIZE, vector, mode);
		build_gate(ram, vector, mode);
	}
	build_page_tables(ram);

	vcpu_get_sregs(vcpu, &sregs);
	set_segments(&sregs, mode);
	set_control_registers(&sregs, mode);
	vcpu_set_sregs(vcpu, &sregs);
}

void guest_restart(struct vcpu *vcpu)
{
	struct kvm_regs regs = {
		.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = RFLAGS_FIXED,
	};

	vcpu_set_regs(vcpu, &regs);
}

void guest_load(struct vcpu *vcpu, const struct guest_program *program)
{
	size_t size = program->end - program->start;

	if (size > GUEST_DATA - GUEST_CODE)
		die("a guest of %zu bytes does not fit", size);
	memcpy(vcpu->vm->ram + GUEST_CODE, program->start, size);
	guest_set_mode(vcpu, program->mode);
	guest_restart(vcpu);
}

static u64 stack_word(struct vcpu *vcpu, u64 address, int size)
{
	u64 value = 0;

	memcpy(&value, vcpu->vm->ram + address, size);
	return value;
}

int guest_trap(struct vcpu *vcpu, enum guest_mode mode, struct guest_trap *trap)
{
	int size = word_size(mode);
	struct kvm_regs regs;
	u64 at;

	vcpu_get_regs(vcpu, &regs);
	*trap = (struct guest_trap) { .vector = -1, .rip = regs.rip };
	if (regs.rip < GUEST_STUBS ||
	    regs.rip >= GUEST_STUBS + VECTORS * STUB_SIZE)
		return -1;

	trap->vector = (regs.rip - GUEST_STUBS) / STUB_SIZE;
	trap->rsp = at = regs.rsp;
	if (mode != REAL && vector_has_error_code(trap->vector)) {
		trap->error = stack_word(vcpu, at, size);
		at += size;
	}
	trap->rip = stack_word(vcpu, at, size);
	trap->cs = stack_word(vcpu, at + size, size);
	trap->rflags = stack_word(vcpu, at + 2 * size, size);
	return trap->vector;
}
