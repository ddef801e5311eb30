// SPDX-License-Identifier: GPL-2.0
/* Memory that no slot backs: every move that compilers emit, in every width. */
#include "lib/harness.h"

#define ONES 0xfedcba9876543210ul
#define M MMIO_BASE
#define PAGE_END (MMIO_BASE + 0x1000)

TEST_GUEST_ROWS

#define REGS(a, c, d) { .rax = a, .rcx = c, .rdx = d }

GUEST_ROW(write_8, LONG, "mov %al, (%rcx)", .in = REGS(ONES, M, 0),
	  .out = REGS(ONES, M, 0), .steps = { WRITE(M, 1, 0x10) });
GUEST_ROW(write_8_high_byte, LONG, "mov %ah, (%rcx)", .in = REGS(ONES, M, 0),
	  .out = REGS(ONES, M, 0), .steps = { WRITE(M, 1, 0x32) });
GUEST_ROW(write_8_rex, LONG, "mov %sil, 1(%rcx)",
	  .in = { .rcx = M, .rsi = ONES }, .out = { .rcx = M, .rsi = ONES },
	  .steps = { WRITE(M + 1, 1, 0x10) });
GUEST_ROW(write_16, LONG, "mov %ax, 2(%rcx)", .in = REGS(ONES, M, 0),
	  .out = REGS(ONES, M, 0), .steps = { WRITE(M + 2, 2, 0x3210) });
GUEST_ROW(write_32, LONG, "mov %eax, 4(%rcx)", .in = REGS(ONES, M, 0),
	  .out = REGS(ONES, M, 0), .steps = { WRITE(M + 4, 4, 0x76543210) });
GUEST_ROW(write_64, LONG, "mov %rax, 8(%rcx)", .in = REGS(ONES, M, 0),
	  .out = REGS(ONES, M, 0), .steps = { WRITE(M + 8, 8, ONES) });
GUEST_ROW(write_r15, LONG, "mov %rax, %r15\n mov %r15, (%rcx,%rdx,8)",
	  .in = REGS(ONES, M, 4), .out = REGS(ONES, M, 4),
	  .steps = { WRITE(M + 32, 8, ONES) });
GUEST_ROW(write_imm_8, LONG, "movb $0xa5, (%rcx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { WRITE(M, 1, 0xa5) });
GUEST_ROW(write_imm_16, LONG, "movw $0xa5c3, (%rcx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { WRITE(M, 2, 0xa5c3) });
GUEST_ROW(write_imm_32, LONG, "movl $0xa5c3e187, (%rcx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { WRITE(M, 4, 0xa5c3e187) });
GUEST_ROW(write_imm_64_sign_extends, LONG, "movq $-2, (%rcx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { WRITE(M, 8, 0xfffffffffffffffe) });
GUEST_ROW(write_moffs, LONG, "movabs %eax, 0xd0010", .in = REGS(ONES, 0, 0),
	  .out = REGS(ONES, 0, 0), .steps = { WRITE(M + 16, 4, 0x76543210) });
GUEST_ROW(read_8_merges, LONG, "mov (%rcx), %al", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfedcba98765432a5, M, 0), .steps = { READ(M, 1, 0xa5) });
GUEST_ROW(read_8_high_byte_merges, LONG, "mov (%rcx), %ah", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfedcba987654a510, M, 0), .steps = { READ(M, 1, 0xa5) });
GUEST_ROW(read_16_merges, LONG, "mov (%rcx), %ax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfedcba987654c3a5, M, 0), .steps = { READ(M, 2, 0xc3a5) });
GUEST_ROW(read_32_zero_extends, LONG, "mov (%rcx), %eax", .in = REGS(ONES, M, 0),
	  .out = REGS(0x87654321, M, 0), .steps = { READ(M, 4, 0x87654321) });
GUEST_ROW(read_64, LONG, "mov (%rcx), %rax", .in = REGS(0, M, 0),
	  .out = REGS(ONES, M, 0), .steps = { READ(M, 8, ONES) });
GUEST_ROW(read_moffs, LONG, "movabs 0xd0010, %rax",
	  .out = REGS(ONES, 0, 0), .steps = { READ(M + 16, 8, ONES) });
GUEST_ROW(movzx_8_to_32, LONG, "movzbl (%rcx), %eax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xf5, M, 0), .steps = { READ(M, 1, 0xf5) });
GUEST_ROW(movzx_8_to_16, LONG, "movzbw (%rcx), %ax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfedcba98765400f5, M, 0), .steps = { READ(M, 1, 0xf5) });
GUEST_ROW(movzx_16_to_32, LONG, "movzwl (%rcx), %eax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xf5a5, M, 0), .steps = { READ(M, 2, 0xf5a5) });
GUEST_ROW(movzx_16_to_64, LONG, "movzwq (%rcx), %rax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xf5a5, M, 0), .steps = { READ(M, 2, 0xf5a5) });
GUEST_ROW(movsx_8_to_16, LONG, "movsbw (%rcx), %ax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfedcba987654fff5, M, 0), .steps = { READ(M, 1, 0xf5) });
GUEST_ROW(movsx_8_to_32, LONG, "movsbl (%rcx), %eax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfffffff5, M, 0), .steps = { READ(M, 1, 0xf5) });
GUEST_ROW(movsx_8_to_64, LONG, "movsbq (%rcx), %rax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfffffffffffffff5, M, 0), .steps = { READ(M, 1, 0xf5) });
GUEST_ROW(movsx_16_to_32, LONG, "movswl (%rcx), %eax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfffff5a5, M, 0), .steps = { READ(M, 2, 0xf5a5) });
GUEST_ROW(movsx_16_to_64, LONG, "movswq (%rcx), %rax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xfffffffffffff5a5, M, 0), .steps = { READ(M, 2, 0xf5a5) });
GUEST_ROW(movsx_32_to_64, LONG, "movslq (%rcx), %rax", .in = REGS(ONES, M, 0),
	  .out = REGS(0xffffffff80000001, M, 0), .steps = { READ(M, 4, 0x80000001) });

GUEST_ROW(stos_8, LONG, "stosb", .in = { .rax = ONES, .rdi = M },
	  .out = { .rax = ONES, .rdi = M + 1 }, .steps = { WRITE(M, 1, 0x10) });
GUEST_ROW(stos_64, LONG, "stosq", .in = { .rax = ONES, .rdi = M },
	  .out = { .rax = ONES, .rdi = M + 8 }, .steps = { WRITE(M, 8, ONES) });
GUEST_ROW(rep_stos_32, LONG, "rep stosl", .in = { .rax = 5, .rcx = 3, .rdi = M },
	  .out = { .rax = 5, .rdi = M + 12 },
	  .steps = { WRITE(M, 4, 5), WRITE(M + 4, 4, 5), WRITE(M + 8, 4, 5) });
GUEST_ROW(rep_stos_backwards, LONG, "std\n rep stosw\n cld",
	  .in = { .rax = 5, .rcx = 2, .rdi = M + 8 },
	  .out = { .rax = 5, .rdi = M + 4 },
	  .steps = { WRITE(M + 8, 2, 5), WRITE(M + 6, 2, 5) });
GUEST_ROW(lods_32, LONG, "lodsl", .in = { .rax = ONES, .rsi = M },
	  .out = { .rax = 0x1234, .rsi = M + 4 }, .steps = { READ(M, 4, 0x1234) });
GUEST_ROW(movs_to_mmio, LONG, "movl $0x55aa, 0xc000\n movsl",
	  .in = { .rsi = GUEST_DATA, .rdi = M },
	  .out = { .rsi = GUEST_DATA + 4, .rdi = M + 4 },
	  .steps = { WRITE(M, 4, 0x55aa) });
GUEST_ROW(movs_from_mmio, LONG, "movsl\n mov 0xc000, %eax",
	  .in = { .rsi = M, .rdi = GUEST_DATA },
	  .out = { .rax = 0x77, .rsi = M + 4, .rdi = GUEST_DATA + 4 },
	  .steps = { READ(M, 4, 0x77) });
GUEST_ROW(rep_movs_from_mmio, LONG, "rep movsb\n mov 0xc000, %eax",
	  .in = { .rcx = 3, .rsi = M, .rdi = GUEST_DATA },
	  .out = { .rax = 0x332211, .rsi = M + 3, .rdi = GUEST_DATA + 3 },
	  .steps = { READ(M, 1, 0x11), READ(M + 1, 1, 0x22), READ(M + 2, 1, 0x33) });

GUEST_ROW(write_over_pages, LONG, "mov %eax, (%rcx)",
	  .in = REGS(0x44332211, PAGE_END - 1, 0),
	  .out = REGS(0x44332211, PAGE_END - 1, 0),
	  .steps = { WRITE(PAGE_END - 1, 1, 0x11), WRITE(PAGE_END, 3, 0x443322) });
GUEST_ROW(write_64_over_pages, LONG, "mov %rax, (%rcx)",
	  .in = REGS(ONES, PAGE_END - 4, 0), .out = REGS(ONES, PAGE_END - 4, 0),
	  .steps = { WRITE(PAGE_END - 4, 4, 0x76543210),
		     WRITE(PAGE_END, 4, 0xfedcba98) });
GUEST_ROW(read_over_pages, LONG, "mov (%rcx), %rax",
	  .in = REGS(0, PAGE_END - 2, 0),
	  .out = REGS(0x8877665544332211, PAGE_END - 2, 0),
	  .steps = { READ(PAGE_END - 2, 2, 0x2211),
		     READ(PAGE_END, 6, 0x887766554433) });
GUEST_ROW(write_from_ram_into_mmio, LONG, "mov %eax, (%rcx)\n mov -2(%rcx), %edx",
	  .in = REGS(0x44332211, RAM_SIZE - 2, 0),
	  .out = REGS(0x44332211, RAM_SIZE - 2, 0x22110000),
	  .steps = { WRITE(RAM_SIZE, 2, 0x4433) });
GUEST_ROW(unaligned_in_a_page, LONG, "mov %rax, 1(%rcx)\n mov 3(%rcx), %edx",
	  .in = REGS(ONES, M, 0), .out = REGS(ONES, M, 0x99),
	  .steps = { WRITE(M + 1, 8, ONES), READ(M + 3, 4, 0x99) });

GUEST_ROW(and_reads_and_writes, LONG, "andl $0xf0, (%rcx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { READ(M, 4, 0x5a), WRITE(M, 4, 0x50) });
GUEST_ROW(or_reads_and_writes, LONG, "orb $1, (%rcx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { READ(M, 1, 0x10), WRITE(M, 1, 0x11) });
GUEST_ROW(add_reads_and_writes, LONG, "add %eax, (%rcx)\n setc %dl",
	  .in = REGS(2, M, 0), .out = REGS(2, M, 1),
	  .steps = { READ(M, 4, 0xffffffff), WRITE(M, 4, 1) });
GUEST_ROW(test_sets_flags, LONG, "testb $0x20, (%rcx)\n setnz %al\n testb $1, (%rcx)\n setz %dl",
	  .in = REGS(0, M, 0), .out = REGS(1, M, 1),
	  .steps = { READ(M, 1, 0x20), READ(M, 1, 0x20) });
GUEST_ROW(cmp_sets_flags, LONG, "cmpl $5, (%rcx)\n setb %al\n cmp %edx, (%rcx)\n sete %dl",
	  .in = REGS(0, M, 9), .out = REGS(1, M, 1),
	  .steps = { READ(M, 4, 3), READ(M, 4, 9) });
GUEST_ROW(xchg_reads_and_writes, LONG, "xchg %eax, (%rcx)", .in = REGS(2, M, 0),
	  .out = REGS(7, M, 0), .steps = { READ(M, 4, 7), WRITE(M, 4, 2) });

GUEST_ROW(real_write, REAL, "mov $0xd000, %ax\n mov %ax, %ds\n movb $0x41, 2",
	  .out = { .rax = 0xd000 }, .steps = { WRITE(M + 2, 1, 0x41) });
GUEST_ROW(real_read, REAL, "mov $0xd000, %ax\n mov %ax, %es\n mov %es:4, %bx",
	  .out = { .rax = 0xd000, .rbx = 0x1234 }, .steps = { READ(M + 4, 2, 0x1234) });
GUEST_ROW(prot_write, PROT, "mov %ax, (%ecx)", .in = REGS(0x12345678, M, 0),
	  .out = REGS(0x12345678, M, 0), .steps = { WRITE(M, 2, 0x5678) });
GUEST_ROW(prot_read_sib, PROT, "mov 4(%ecx,%edx,4), %eax", .in = REGS(0, M, 3),
	  .out = REGS(0x98765432, M, 3), .steps = { READ(M + 16, 4, 0x98765432) });
GUEST_ROW(pae_read, PAE, "movzwl (%ecx), %eax", .in = REGS(0, M, 0),
	  .out = REGS(0x5432, M, 0), .steps = { READ(M, 2, 0x5432) });
GUEST_ROW(paged_write, PAGED, "movl $9, (%ecx)", .in = REGS(0, M, 0),
	  .out = REGS(0, M, 0), .steps = { WRITE(M, 4, 9) });
GUEST_ROW(compat_write, COMPAT, "mov %al, (%ecx)", .in = REGS(0x42, M, 0),
	  .out = REGS(0x42, M, 0), .steps = { WRITE(M, 1, 0x42) });
GUEST_ROW(far_away, LONG, "movl $3, (%rcx)", .in = REGS(0, 0x3ffff000, 0),
	  .out = REGS(0, 0x3ffff000, 0), .steps = { WRITE(0x3ffff000, 4, 3) });

GUEST_PROGRAM(read_once, LONG, "mov (%rcx), %eax\n hlt");

FIXTURE_ONE_VCPU(mmio)

TEST_F(mmio, rip_stays_on_a_read)
{
	struct row_regs in = { .rcx = MMIO_BASE };
	struct kvm_regs regs;

	guest_load(&self->vcpu, &read_once);
	row_set_regs(&self->vcpu, &in);
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE, regs.rip);
	EXPECT_EQ(0u, regs.rax);
}

/* A slot that appears where MMIO was is memory from then on, and the reverse. */
TEST_F(mmio, becomes_memory_and_back)
{
	struct row_regs in = { .rcx = MMIO_BASE };
	u8 *page = pages_alloc(4096);
	struct kvm_regs regs;

	*(u32 *)page = 0x600d;
	for (int round = 0; round < 3; round++) {
		guest_load(&self->vcpu, &read_once);
		row_set_regs(&self->vcpu, &in);
		vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
		run_to_halt(_metadata, &self->vcpu, LONG);

		vm_set_memory(&self->vm, 1, 0, MMIO_BASE, 4096, page);
		guest_restart(&self->vcpu);
		row_set_regs(&self->vcpu, &in);
		run_to_halt(_metadata, &self->vcpu, LONG);
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(0x600du, regs.rax);
		vm_set_memory(&self->vm, 1, 0, MMIO_BASE, 0, page);
	}
}

TEST_HARNESS_MAIN
