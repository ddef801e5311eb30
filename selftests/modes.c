// SPDX-License-Identifier: GPL-2.0
/* Guests in every processor mode, and guests that change theirs. */
#include "lib/harness.h"

TEST_GUEST_ROWS

/* Each computes something that only its own mode computes. */
GUEST_ROW(real_add_wraps, REAL, "mov $0xffff, %ax\n add $2, %ax",
	  .in = { .rax = 0x12340000 }, .out = { .rax = 0x12340001 });
GUEST_ROW(real_segment_arithmetic, REAL,
	  "mov $0x0c00, %ax\n mov %ax, %ds\n movw $0xbeef, 0x10\n"
	  "xor %ax, %ax\n mov %ax, %ds\n mov 0xc010, %bx",
	  .out = { .rbx = 0xbeef });
GUEST_ROW(real_far_call, REAL,
	  "push %cs\n call 1f\n jmp 2f\n1: mov $5, %bx\n lret\n2: inc %bx",
	  .out = { .rbx = 6 });
GUEST_ROW(real_a20_above_1m, REAL,
	  "mov $0xffff, %ax\n mov %ax, %es\n mov %es:0x10, %ebx",
	  .out = { .rax = 0xffff, .rbx = 0x1234 },
	  .steps = { READ(0x100000, 4, 0x1234) });
GUEST_ROW(real_interrupt, REAL,
	  "movw $1f - real_interrupt_start + 0xa000, 0x80 * 4\n"
	  "movw $0, 0x80 * 4 + 2\n push %ax\n pop %ax\n int $0x80\n inc %bx\n jmp 2f\n"
	  "1: mov $7, %bx\n iret\n2:",
	  .out = { .rbx = 8 });
GUEST_ROW(prot_flat_store, PROT,
	  "movl $0xcafebabe, 0x30000\n mov 0x30000, %ebx",
	  .out = { .rbx = 0xcafebabe });
GUEST_ROW(prot_push_pop, PROT, "push $0x55\n pushf\n pop %eax\n pop %ebx\n and $2, %eax",
	  .out = { .rax = 2, .rbx = 0x55 });
GUEST_ROW(paged_store, PAGED,
	  "movl $0x11223344, 0x30000\n mov 0x30000, %ebx",
	  .out = { .rbx = 0x11223344 });
GUEST_ROW(pae_store, PAE,
	  "movl $0x55667788, 0x30000\n mov 0x30000, %ebx",
	  .out = { .rbx = 0x55667788 });
GUEST_ROW(compat_has_no_rex, COMPAT, "mov $5, %eax\n .byte 0x48\n mov %eax, %ebx",
	  .in = { .rbx = 9 }, .out = { .rax = 4, .rbx = 4 });
GUEST_ROW(long_64_bits, LONG,
	  "mov $0x123456789abcdef0, %rax\n mov %rax, 0x30000\n"
	  "mov 0x30004, %ebx\n lea (%rax,%rax), %rcx",
	  .out = { .rax = 0x123456789abcdef0, .rbx = 0x12345678,
		   .rcx = 0x2468acf13579bde0 });
GUEST_ROW(long_zero_extends, LONG, "mov $-1, %rax\n mov $1, %eax",
	  .out = { .rax = 1 });
GUEST_ROW(long_sse, LONG,
	  "mov $0x1122334455667788, %rax\n movq %rax, %xmm0\n"
	  "paddd %xmm0, %xmm0\n movq %xmm0, %rbx",
	  .out = { .rax = 0x1122334455667788, .rbx = 0x22446688aaccef10 });
GUEST_ROW(long_x87, LONG, "fninit\n fld1\n fadd %st(0), %st\n fistpl 0xc000\n mov 0xc000, %eax",
	  .out = { .rax = 2 });

/* Real mode, protected mode, paging with PAE, long mode and back to compatibility. */
GUEST_ROW(climbs_from_real_to_long, REAL,
	  "mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n"
	  "ljmpl $0x18, $1f - climbs_from_real_to_long_start + 0xa000\n"
	  ".code32\n"
	  "1: mov $0x10, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov %ax, %es\n"
	  "inc %ebx\n"
	  "mov %cr4, %eax\n or $0x20, %eax\n mov %eax, %cr4\n"
	  "mov $0x8000, %eax\n mov %eax, %cr3\n"
	  "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
	  "inc %ebx\n movl $0x600d, 0x30000\n"
	  "and $0x7fffffff, %eax\n mov %eax, %cr0\n"
	  "mov $0x3000, %eax\n mov %eax, %cr3\n"
	  "mov $0xc0000080, %ecx\n rdmsr\n or $0x100, %eax\n wrmsr\n"
	  "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
	  "inc %ebx\n"
	  "ljmp $0x08, $2f - climbs_from_real_to_long_start + 0xa000\n"
	  ".code64\n"
	  "2: inc %rbx\n mov 0x30000, %edi\n rdmsr\n mov %eax, %esi\n"
	  "and $0x500, %esi\n xor %eax, %eax\n xor %ecx, %ecx\n xor %edx, %edx",
	  .out = { .rbx = 4, .rsi = 0x500, .rdi = 0x600d });
GUEST_ROW(falls_from_long_to_real, LONG,
	  "push $0x18\n lea 1f(%rip), %rax\n push %rax\n lretq\n"
	  ".code32\n"
	  "1: inc %ebx\n mov %cr0, %eax\n and $0x7fffffff, %eax\n mov %eax, %cr0\n"
	  "mov $0xc0000080, %ecx\n rdmsr\n and $0xfffffeff, %eax\n wrmsr\n"
	  "mov %eax, %esi\n inc %ebx\n"
	  "ljmp $0x40, $2f - falls_from_long_to_real_start + 0xa000\n"
	  ".code16\n"
	  "2: mov %cr0, %eax\n and $0xfe, %al\n mov %eax, %cr0\n"
	  "ljmp $0, $3f - falls_from_long_to_real_start + 0xa000\n"
	  "3: xor %ax, %ax\n mov %ax, %ds\n inc %ebx\n movw $0x1234, 0xc000\n"
	  "mov 0xc000, %di\n xor %eax, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n"
	  "and $0x500, %esi\n .code64",
	  .out = { .rbx = 3, .rdi = 0x1234 });

TEST_HARNESS_MAIN
