// SPDX-License-Identifier: GPL-2.0
/* Instructions that compute with device memory: what they write, and the flags they leave. */
#include "lib/harness.h"

#define M MMIO_BASE
#define NONE 0x02	/* status flags as LAHF puts them in AH */
#define CF 0x01
#define PF 0x04
#define AF 0x10
#define ZF 0x40
#define SF 0x80

TEST_GUEST_ROWS

/* AH: the flags; RDX: OF. The operand in AL or an immediate. */
#define ARITH_ROW(id, insn, al, width, before, after, flags, overflow)	\
GUEST_ROW(id, LONG, insn "\n seto %dl\n lahf",				\
	  .in = { .rax = al, .rcx = M },				\
	  .out = { .rax = (al) | ((flags) | NONE) << 8, .rcx = M, .rdx = overflow }, \
	  .steps = { READ(M, width, before), WRITE(M, width, after) })

#define COMPARE_ROW(id, insn, al, width, value, flags, overflow)	\
GUEST_ROW(id, LONG, insn "\n seto %dl\n lahf",				\
	  .in = { .rax = al, .rcx = M },				\
	  .out = { .rax = (al) | ((flags) | NONE) << 8, .rcx = M, .rdx = overflow }, \
	  .steps = { READ(M, width, value) })

ARITH_ROW(add_8_carry, "add %al, (%rcx)", 1, 1, 0xff, 0, CF | PF | AF | ZF, 0);
ARITH_ROW(add_8_overflow, "add %al, (%rcx)", 1, 1, 0x7f, 0x80, AF | SF, 1);
ARITH_ROW(add_imm_sign_extends, "addl $-1, (%rcx)", 0, 4, 1, 0, CF | PF | AF | ZF, 0);
ARITH_ROW(add_64, "addq $1, (%rcx)", 0, 8, 0x7fffffffffffffff, 0x8000000000000000,
	  PF | AF | SF, 1);
ARITH_ROW(adc_with_carry, "stc\n adcw $0, (%rcx)", 0, 2, 0xffff, 0, CF | PF | AF | ZF, 0);
ARITH_ROW(adc_without, "clc\n adcw $0, (%rcx)", 0, 2, 0xffff, 0xffff, PF | SF, 0);
ARITH_ROW(sub_borrow, "subb $1, (%rcx)", 0, 1, 0, 0xff, CF | PF | AF | SF, 0);
ARITH_ROW(sub_overflow, "subl $1, (%rcx)", 0, 4, 0x80000000, 0x7fffffff, PF | AF, 1);
ARITH_ROW(sbb_with_borrow, "stc\n sbbl $5, (%rcx)", 0, 4, 6, 0, PF | ZF, 0);
ARITH_ROW(neg_one, "negl (%rcx)", 0, 4, 1, 0xffffffff, CF | PF | AF | SF, 0);
ARITH_ROW(neg_lowest, "negb (%rcx)", 0, 1, 0x80, 0x80, CF | SF, 1);
ARITH_ROW(inc_keeps_carry, "stc\n incb (%rcx)", 0, 1, 0xff, 0, CF | PF | AF | ZF, 0);
ARITH_ROW(dec_keeps_no_carry, "clc\n decw (%rcx)", 0, 2, 0, 0xffff, PF | AF | SF, 0);
ARITH_ROW(not_keeps_flags, "stc\n notl (%rcx)", 0, 4, 0xffff0000, 0xffff, CF, 0);
ARITH_ROW(lock_add, "lock addl $2, (%rcx)", 0, 4, 3, 5, PF, 0);

COMPARE_ROW(cmp_equal, "cmp %al, (%rcx)", 9, 1, 9, PF | ZF, 0);
COMPARE_ROW(cmp_below, "cmpw $0x100, (%rcx)", 0, 2, 0xff, CF | PF | SF, 0);
COMPARE_ROW(cmp_overflow, "cmpq $1, (%rcx)", 0, 8, 0x8000000000000000, PF | AF, 1);
COMPARE_ROW(cmp_reg_mem, "cmp (%rcx), %al", 1, 1, 2, CF | PF | AF | SF, 0);

/* These leave some flags undefined: only the defined ones are looked at. */
GUEST_ROW(and_flags, LONG, "andb %al, (%rcx)\n sets %dl\n setp %bl",
	  .in = { .rax = 0xf0, .rcx = M },
	  .out = { .rax = 0xf0, .rbx = 1, .rcx = M, .rdx = 1 },
	  .steps = { READ(M, 1, 0xaa), WRITE(M, 1, 0xa0) });
GUEST_ROW(or_from_memory, LONG, "stc\n or (%rcx), %eax\n setc %dl",
	  .in = { .rax = 0xf0f0, .rcx = M }, .out = { .rax = 0xf1f2, .rcx = M },
	  .steps = { READ(M, 4, 0x0102) });
GUEST_ROW(xor_from_memory_to_zero, LONG, "xor (%rcx), %rax\n setz %dl",
	  .in = { .rax = 0x123456789abcdef0, .rcx = M }, .out = { .rcx = M, .rdx = 1 },
	  .steps = { READ(M, 8, 0x123456789abcdef0) });
GUEST_ROW(sub_from_memory_merges, LONG, "sub (%rcx), %al",
	  .in = { .rax = 0x1234, .rcx = M }, .out = { .rax = 0x1204, .rcx = M },
	  .steps = { READ(M, 1, 0x30) });
GUEST_ROW(xadd, LONG, "xadd %eax, (%rcx)", .in = { .rax = 5, .rcx = M },
	  .out = { .rax = 7, .rcx = M }, .steps = { READ(M, 4, 7), WRITE(M, 4, 12) });
GUEST_ROW(xchg_high_byte, LONG, "xchg %ah, (%rcx)", .in = { .rax = 0x1234, .rcx = M },
	  .out = { .rax = 0x7734, .rcx = M }, .steps = { READ(M, 1, 0x77), WRITE(M, 1, 0x12) });
GUEST_ROW(bt, LONG, "btl $33, (%rcx)\n setc %al", .in = { .rcx = M },
	  .out = { .rax = 1, .rcx = M }, .steps = { READ(M, 4, 2) });
GUEST_ROW(bts, LONG, "btsl $4, (%rcx)\n setc %al", .in = { .rax = 9, .rcx = M },
	  .out = { .rcx = M }, .steps = { READ(M, 4, 1), WRITE(M, 4, 0x11) });
GUEST_ROW(btr, LONG, "lock btrq $63, (%rcx)\n setc %al", .in = { .rcx = M },
	  .out = { .rax = 1, .rcx = M },
	  .steps = { READ(M, 8, 0x8000000000000001), WRITE(M, 8, 1) });
GUEST_ROW(btc, LONG, "btcw $0, (%rcx)\n setc %al", .in = { .rcx = M },
	  .out = { .rax = 1, .rcx = M }, .steps = { READ(M, 2, 3), WRITE(M, 2, 2) });
GUEST_ROW(movnti, LONG, "movnti %rax, (%rcx)", .in = { .rax = 0x1122334455667788, .rcx = M },
	  .out = { .rax = 0x1122334455667788, .rcx = M },
	  .steps = { WRITE(M, 8, 0x1122334455667788) });

TEST_HARNESS_MAIN
