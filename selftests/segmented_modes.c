// SPDX-License-Identifier: GPL-2.0
/*
 * Exits of each kind from 16-bit code: virtual-8086 mode, protected mode with segments,
 * and real mode whose data segments are larger than they should be.
 */
#include "lib/harness.h"

#define RFLAGS_IOPL3	(3ul << 12)
#define RFLAGS_VM	(1ul << 17)
#define IO_BITMAP	0x68ul
#define IO_BITMAP_SIZE	0x20ul	/* ports below 0x100 */
#define OWN_HLT		-1

/* Flat but for these; the code is at the beginning of its segment. */
enum kind { V86, PROT16, UNREAL };

FIXTURE(segmented) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(segmented) {
	struct guest_program program;
	enum kind kind;
	u32 ds, es, ss;		/* bases */
	u32 ds_limit;		/* 0: 64 KiB; of UNREAL 4 GiB */
	u16 sp;			/* 0: somewhere in the middle */
	u64 rflags;
	u16 denied_port;	/* by the bitmap of V86 */
	struct row_regs in, out;
	struct step steps[ROW_STEPS + 1];
	int vector;
	u16 offset;		/* of the instruction that raises it */
};
FIXTURE_SETUP(segmented)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &variant->program);
}
FIXTURE_TEARDOWN(segmented)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define MODE_V86	PROT
#define MODE_PROT16	PROT
#define MODE_UNREAL	REAL

#define SEGMENTED_ROW(id, which, insns, ...)				\
GUEST_CODE_BYTES(id, "16", insns "\n hlt");				\
FIXTURE_VARIANT_ADD(segmented, id) {					\
	.program = { MODE_##which, id##_start, id##_end }, .kind = which, __VA_ARGS__ \
}

/* In virtual-8086 mode HLT is #GP: that is how what succeeds ends. */
#define V86_ROW(id, insns, end, ...)					\
	SEGMENTED_ROW(id, V86, insns, .vector = GP_VECTOR, .offset = end, __VA_ARGS__)

V86_ROW(v86_cpuid, "mov $0x40000000, %eax\n cpuid\n xor %eax, %eax\n xor %ecx, %ecx\n xor %edx, %edx", 17,
	.out = { .rbx = 0x4b4d564b });
V86_ROW(v86_out, "mov $0x12, %al\n out %al, $0x80\n inc %bx", 5,
	.steps = { OUT(0x80, 1, 0x12) }, .out = { .rax = 0x12, .rbx = 1 });
V86_ROW(v86_in, "in $0x80, %ax\n inc %bx", 3,
	.steps = { IN(0x80, 2, 0x3456) }, .out = { .rax = 0x3456, .rbx = 1 });
V86_ROW(v86_out_denied, "mov $0x12, %al\n out %al, $0x80", 2, .denied_port = 0x80,
	.out = { .rax = 0x12 });
V86_ROW(v86_in_half_denied, "in $0x7f, %ax", 0, .denied_port = 0x80);
V86_ROW(v86_out_denied_iopl, "mov $0x12, %al\n out %al, $0x80", 2, .denied_port = 0x80,
	.rflags = RFLAGS_IOPL3, .out = { .rax = 0x12 });
V86_ROW(v86_out_beyond_bitmap, "mov $0x100, %dx\n out %al, %dx", 3, .out = { .rdx = 0x100 });
V86_ROW(v86_outsb, "outsb\n inc %bx", 2, .in = { .rsi = 0x10, .rdx = 0x80 }, .ds = 0x100000 - 0x10,
	.steps = { READ(0x100000, 1, 0x77), OUT(0x80, 1, 0x77) },
	.out = { .rsi = 0x11, .rdx = 0x80, .rbx = 1 });
V86_ROW(v86_outsw, "outsw\n inc %bx", 2, .in = { .rsi = GUEST_DATA, .rdx = 0x80 },
	.steps = { OUT(0x80, 2, 0) }, .out = { .rsi = GUEST_DATA + 2, .rdx = 0x80, .rbx = 1 });
V86_ROW(v86_insw, "insw\n mov (0xc000), %bx", 5, .in = { .rdi = GUEST_DATA, .rdx = 0x80 },
	.steps = { IN(0x80, 2, 0x1234) }, .out = { .rdi = GUEST_DATA + 2, .rdx = 0x80, .rbx = 0x1234 });
V86_ROW(v86_insb_denied, "insb", 0, .in = { .rdi = GUEST_DATA, .rdx = 0x80 }, .denied_port = 0x80,
	.out = { .rdi = GUEST_DATA, .rdx = 0x80 });
V86_ROW(v86_mmio_store, "mov %cx, 6(%bx,%si)", 3, .ds = MMIO_BASE,
	.in = { .rbx = 0x20, .rsi = 0x100, .rcx = 0xabcd },
	.steps = { WRITE(MMIO_BASE + 0x126, 2, 0xabcd) },
	.out = { .rbx = 0x20, .rsi = 0x100, .rcx = 0xabcd });
V86_ROW(v86_mmio_address_wraps, "mov 0x20(%bx), %ecx", 4, .ds = MMIO_BASE, .in = { .rbx = 0xfff0 },
	.steps = { READ(MMIO_BASE + 0x10, 4, 0x11223344) }, .out = { .rbx = 0xfff0, .rcx = 0x11223344 });
V86_ROW(v86_mmio_beyond_limit, "mov (%bx), %cx", 0, .ds = MMIO_BASE, .in = { .rbx = 0xffff },
	.out = { .rbx = 0xffff });
V86_ROW(v86_mmio_movsw, "std\n movsw\n mov (%di), %bx", 4, .ds = MMIO_BASE, .es = 0x30000 - 0xfff0,
	.in = { .rsi = 0x10, .rdi = 0xfffe },
	.steps = { READ(MMIO_BASE + 0x10, 2, 0xbeef), READ(MMIO_BASE + 0xfffc, 2, 0x4321) },
	.out = { .rsi = 0xe, .rdi = 0xfffc, .rbx = 0x4321 });
V86_ROW(v86_rdmsr, "rdmsr", 0, .in = { .rcx = 0x174 }, .out = { .rcx = 0x174 });
V86_ROW(v86_wrmsr, "wrmsr", 0, .in = { .rcx = 0x174 }, .out = { .rcx = 0x174 });
V86_ROW(v86_mov_cr0, "mov %cr0, %eax", 0);
V86_ROW(v86_mov_dr7, "mov %dr7, %eax", 0);
V86_ROW(v86_cli, "cli", 0);
V86_ROW(v86_cli_iopl, "cli", 1, .rflags = RFLAGS_IOPL3);
V86_ROW(v86_pushf, "pushf", 0);
V86_ROW(v86_int, "int $0x80", 0);
V86_ROW(v86_wbinvd, "wbinvd", 0);
SEGMENTED_ROW(v86_int_iopl, V86, "nop\n int $0x80", .rflags = RFLAGS_IOPL3, .vector = 0x80, .offset = 3);
SEGMENTED_ROW(v86_ud, V86, "nop\n ud2", .vector = UD_VECTOR, .offset = 1);

SEGMENTED_ROW(prot16_cpuid, PROT16, "mov $0x40000000, %eax\n cpuid\n xor %eax, %eax\n xor %ecx, %ecx\n xor %edx, %edx",
	      .vector = OWN_HLT, .out = { .rbx = 0x4b4d564b });
SEGMENTED_ROW(prot16_rdmsr, PROT16, "rdmsr\n inc %bx", .in = { .rcx = 0x174 }, .vector = OWN_HLT,
	      .out = { .rcx = 0x174, .rbx = 1 });
SEGMENTED_ROW(prot16_out, PROT16, "out %ax, $0x80\n inc %bx", .in = { .rax = 0x5678 }, .vector = OWN_HLT,
	      .steps = { OUT(0x80, 2, 0x5678) }, .out = { .rax = 0x5678, .rbx = 1 });
SEGMENTED_ROW(prot16_outsl, PROT16, "outsl\n inc %bx", .ds = 0x30000 - 0x10, .in = { .rsi = 0xabcd0010, .rdx = 0x80 },
	      .vector = OWN_HLT, .steps = { OUT(0x80, 4, 0) },
	      .out = { .rsi = 0xabcd0014, .rdx = 0x80, .rbx = 1 });
SEGMENTED_ROW(prot16_outs_beyond_limit, PROT16, "nop\n outsw", .ds_limit = 0x7fff, .in = { .rsi = 0x7fff, .rdx = 0x80 },
	      .vector = GP_VECTOR, .offset = 1, .out = { .rsi = 0x7fff, .rdx = 0x80 });
SEGMENTED_ROW(prot16_mmio_bp, PROT16, "mov %ecx, %ds:-4(%bp,%di)", .ds = MMIO_BASE,
	      .in = { .rcx = 0x12345678, .rdi = 0x30 }, .vector = OWN_HLT,
	      .steps = { WRITE(MMIO_BASE + 0x2c, 4, 0x12345678) }, .out = { .rcx = 0x12345678, .rdi = 0x30 });
SEGMENTED_ROW(prot16_mmio_linear_wraps, PROT16, "movl $0x1d0010, %ecx\n addr32 mov (%ecx), %bx",
	      .ds = 0xfff00000, .ds_limit = 0xffffffff, .vector = OWN_HLT,
	      .steps = { READ(MMIO_BASE + 0x10, 2, 0x9876) }, .out = { .rbx = 0x9876, .rcx = 0x1d0010 });
SEGMENTED_ROW(prot16_mmio_push, PROT16, "push %bx\n mov %sp, %cx",
	      .ss = MMIO_BASE - 0xfff0, .sp = 0xffff, .in = { .rbx = 0x4455 }, .vector = OWN_HLT,
	      .steps = { WRITE(MMIO_BASE + 0xd, 2, 0x4455) }, .out = { .rbx = 0x4455, .rcx = 0xfffd });
SEGMENTED_ROW(prot16_mmio_beyond_limit, PROT16, "mov (%bx), %cx", .ds = MMIO_BASE, .ds_limit = 0xff,
	      .in = { .rbx = 0xff }, .vector = GP_VECTOR, .out = { .rbx = 0xff });
SEGMENTED_ROW(prot16_mov_cr0, PROT16, "mov %cr0, %ecx\n or $0x10000, %ecx\n mov %ecx, %cr0\n mov %cr0, %ebx\n"
	      "xor %ecx, %ecx", .vector = OWN_HLT, .out = { .rbx = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP });

SEGMENTED_ROW(unreal_mmio, UNREAL, "addr32 mov %ecx, (%esi)\n inc %bx", .in = { .rcx = 0x12345678, .rsi = 0xfe000010 },
	      .vector = OWN_HLT, .steps = { WRITE(0xfe000010, 4, 0x12345678) },
	      .out = { .rcx = 0x12345678, .rsi = 0xfe000010, .rbx = 1 });
SEGMENTED_ROW(unreal_movs, UNREAL, "addr32 movsl\n movl %ds:0xc000, %ebx",
	      .in = { .rsi = 0xfe000010, .rdi = GUEST_DATA }, .vector = OWN_HLT,
	      .steps = { READ(0xfe000010, 4, 0x11223344) },
	      .out = { .rsi = 0xfe000014, .rdi = GUEST_DATA + 4, .rbx = 0x11223344 });
SEGMENTED_ROW(unreal_outs, UNREAL, "addr32 outsb\n inc %bx", .in = { .rsi = 0x60000, .rdx = 0x80 },
	      .vector = OWN_HLT, .steps = { OUT(0x80, 1, 0) },
	      .out = { .rsi = 0x60001, .rdx = 0x80, .rbx = 1 });
SEGMENTED_ROW(unreal_not, UNREAL, "nop\n addr32 mov %ecx, (%esi)", .ds_limit = 0xffff, .in = { .rsi = 0xfe000010 },
	      .vector = GP_VECTOR, .offset = 1, .out = { .rsi = 0xfe000010 });
SEGMENTED_ROW(unreal_address_of_16_bits, UNREAL, "mov %cx, (%bx,%si)", .ds = MMIO_BASE,
	      .in = { .rcx = 7, .rbx = 0xffff, .rsi = 2 }, .vector = OWN_HLT, .steps = { WRITE(MMIO_BASE + 1, 2, 7) },
	      .out = { .rcx = 7, .rbx = 0xffff, .rsi = 2 });

static struct kvm_segment segment(const FIXTURE_VARIANT(segmented) *variant, u32 base, u32 limit, u8 type)
{
	bool v86 = variant->kind == V86;

	return (struct kvm_segment) {
		.base = base, .limit = v86 ? 0xffff : limit, .selector = variant->kind == PROT16 ? SEL_DATA : base >> 4,
		.type = v86 ? 3 : type, .s = 1, .dpl = v86 ? 3 : 0, .present = 1, .g = limit > 0xffff && !v86,
	};
}

static void set_segments(struct vcpu *vcpu, const FIXTURE_VARIANT(segmented) *variant)
{
	u32 limit = variant->ds_limit ?: variant->kind == UNREAL ? 0xffffffff : 0xffff;
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cs = segment(variant, GUEST_CODE, 0xffff, 11);
	if (variant->kind == PROT16)
		sregs.cs.selector = SEL_CODE16;
	sregs.ds = segment(variant, variant->ds, limit, 3);
	sregs.es = segment(variant, variant->es, limit, 3);
	sregs.fs = sregs.gs = segment(variant, 0, 0xffff, 3);
	sregs.ss = segment(variant, variant->ss, 0xffff, 3);
	sregs.tr.limit = IO_BITMAP + IO_BITMAP_SIZE;
	vcpu_set_sregs(vcpu, &sregs);
}

static void set_bitmap(u8 *tss, u16 denied)
{
	memset(tss + IO_BITMAP, 0, IO_BITMAP_SIZE);
	tss[IO_BITMAP + IO_BITMAP_SIZE] = 0xff;
	if (denied)
		tss[IO_BITMAP + denied / 8] |= 1 << denied % 8;
}

static void set_start(struct vcpu *vcpu, const FIXTURE_VARIANT(segmented) *variant)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rip = 0;
	regs.rsp = variant->sp ?: 0x8800;
	regs.rflags = RFLAGS_FIXED | variant->rflags | (variant->kind == V86 ? RFLAGS_VM : 0);
	vcpu_set_regs(vcpu, &regs);
}

TEST_F(segmented, exits_and_registers)
{
	static const struct deviation crashes = { .qemu = AMD_V86, .bochs_amd = AMD_V86 };
	struct vcpu *vcpu = &self->vcpu;
	struct guest_trap trap;

	if (variant->kind == V86 && skip_here(_metadata, &crashes))
		return;
	set_bitmap(self->vm.ram + GUEST_TSS, variant->denied_port);
	row_set_regs(vcpu, &variant->in);
	set_segments(vcpu, variant);
	set_start(vcpu, variant);
	run_steps(_metadata, vcpu, variant->steps);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	row_expect_regs(_metadata, vcpu, &variant->out);
	ASSERT_EQ(variant->vector, guest_trap(vcpu, variant->program.mode, &trap));
	if (variant->vector == OWN_HLT)
		return;
	EXPECT_EQ(0u, trap.error);
	EXPECT_EQ(variant->offset, trap.rip & 0xffff);
	if (variant->kind != V86)
		return;
	EXPECT_EQ(GUEST_CODE >> 4, trap.cs & 0xffff);
	EXPECT_EQ(RFLAGS_VM | variant->rflags, trap.rflags & (RFLAGS_VM | RFLAGS_IOPL3));
}

TEST_HARNESS_MAIN
