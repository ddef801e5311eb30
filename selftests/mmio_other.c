// SPDX-License-Identifier: GPL-2.0
/* Device memory as the operand of what compilers seldom use there: rotates, bit strings, exchanges, stacks, vectors. */
#include "lib/harness.h"

#define M MMIO_BASE
#define ONES 0xfedcba9876543210ul
#define LOW 0x1122334455667788ul
#define HIGH 0x99aabbccddeeff00ul
#define PORT 0x1f0

TEST_GUEST_ROWS

GUEST_ROW(shl_imm, LONG, "shll $4, (%rcx)\n setc %dl", .in = { .rcx = M }, .out = { .rcx = M, .rdx = 1 },
	  .steps = { READ(M, 4, 0x10000001), WRITE(M, 4, 0x10) });
GUEST_ROW(sar_cl, LONG, "sarb %cl, (%rbx)", .in = { .rbx = M, .rcx = 3 }, .out = { .rbx = M, .rcx = 3 },
	  .steps = { READ(M, 1, 0x80), WRITE(M, 1, 0xf0) });
GUEST_ROW(rol_one, LONG, "rolw (%rcx)", .in = { .rcx = M }, .out = { .rcx = M },
	  .steps = { READ(M, 2, 0x8001), WRITE(M, 2, 3) });
GUEST_ROW(shld_imm, LONG, "shld $8, %rax, (%rcx)", .in = { .rax = ONES, .rcx = M },
	  .out = { .rax = ONES, .rcx = M },
	  .steps = { READ(M, 8, LOW), WRITE(M, 8, 0x22334455667788fe) });
GUEST_ROW(bts_beyond, LONG, "bts %rax, (%rcx)\n setc %dl", .in = { .rax = 65, .rcx = M },
	  .out = { .rax = 65, .rcx = M }, .steps = { READ(M + 8, 8, 1), WRITE(M + 8, 8, 3) });
GUEST_ROW(bt_before, LONG, "bt %eax, (%rcx)\n setc %dl", .in = { .rax = 0xffffffff, .rcx = M + 4 },
	  .out = { .rax = 0xffffffff, .rcx = M + 4, .rdx = 1 }, .steps = { READ(M, 4, 0x80000000) });
GUEST_ROW(setc, LONG, "stc\n setc (%rcx)", .in = { .rcx = M }, .out = { .rcx = M },
	  .steps = { WRITE(M, 1, 1) });
GUEST_ROW(cmov_taken, LONG, "stc\n cmovc (%rcx), %eax", .in = { .rax = ONES, .rcx = M },
	  .out = { .rax = 0x1234, .rcx = M }, .steps = { READ(M, 4, 0x1234) });
GUEST_ROW(cmov_not_taken, LONG, "clc\n cmovc (%rcx), %eax", .in = { .rax = ONES, .rcx = M },
	  .out = { .rax = 0x76543210, .rcx = M }, .steps = { READ(M, 4, 0x1234) });

GUEST_ROW(cmpxchg_equal, LONG, "lock cmpxchg %edx, (%rcx)\n setz %bl",
	  .in = { .rax = 5, .rcx = M, .rdx = 7 }, .out = { .rax = 5, .rbx = 1, .rcx = M, .rdx = 7 },
	  .steps = { READ(M, 4, 5), WRITE(M, 4, 7) });
GUEST_ROW(cmpxchg_other, LONG, "cmpxchg %edx, (%rcx)\n setz %bl",
	  .in = { .rax = ONES, .rcx = M, .rdx = 7 }, .out = { .rax = 6, .rcx = M, .rdx = 7 },
	  .steps = { READ(M, 4, 6), WRITE(M, 4, 6) });
GUEST_ROW(cmpxchg8b_equal, LONG, "cmpxchg8b (%rsi)\n setz %dil",
	  .in = { .rax = 1, .rbx = 3, .rcx = 4, .rdx = 2, .rsi = M },
	  .out = { .rax = 1, .rbx = 3, .rcx = 4, .rdx = 2, .rsi = M, .rdi = 1 },
	  .steps = { READ(M, 8, 0x200000001), WRITE(M, 8, 0x400000003) });
GUEST_ROW(xadd, LONG, "xadd %eax, (%rcx)", .in = { .rax = 2, .rcx = M }, .out = { .rax = 7, .rcx = M },
	  .steps = { READ(M, 4, 7), WRITE(M, 4, 9) });

GUEST_ROW(cmps, LONG, "cmpsl\n seta %al", .in = { .rsi = M, .rdi = M + 8 },
	  .out = { .rax = 1, .rsi = M + 4, .rdi = M + 12 },
	  .steps = { READ(M, 4, 9), READ(M + 8, 4, 8) });
GUEST_ROW(repne_scas, LONG, "repne scasb", .in = { .rax = 0x41, .rcx = 9, .rdi = M },
	  .out = { .rax = 0x41, .rcx = 6, .rdi = M + 3 },
	  .steps = { READ(M, 1, 1), READ(M + 1, 1, 2), READ(M + 2, 1, 0x41) });

GUEST_ROW(push_operand, LONG, "push (%rcx)\n pop %rax", .in = { .rcx = M },
	  .out = { .rax = ONES, .rcx = M }, .steps = { READ(M, 8, ONES) });
GUEST_ROW(pop_operand, LONG, "push %rax\n pop (%rcx)", .in = { .rax = ONES, .rcx = M },
	  .out = { .rax = ONES, .rcx = M }, .steps = { WRITE(M, 8, ONES) });
GUEST_ROW(stack, LONG, "mov %rsp, %rbx\n lea 16(%rcx), %rsp\n push %rax\n pop %rdx\n sub %rcx, %rsp\n"
	  " mov %rsp, %rsi\n mov %rbx, %rsp\n xor %ebx, %ebx", .in = { .rax = ONES, .rcx = M },
	  .out = { .rax = ONES, .rcx = M, .rdx = LOW, .rsi = 16 },
	  .steps = { WRITE(M + 8, 8, ONES), READ(M + 8, 8, LOW) });

GUEST_ROW(outs_from_device, LONG, "outsb", .in = { .rdx = PORT, .rsi = M },
	  .out = { .rdx = PORT, .rsi = M + 1 }, .steps = { READ(M, 1, 0x5a), OUT(PORT, 1, 0x5a) });
GUEST_ROW(ins_to_device, LONG, "insw", .in = { .rdx = PORT, .rdi = M },
	  .out = { .rdx = PORT, .rdi = M + 2 }, .steps = { IN(PORT, 2, 0x1234), WRITE(M, 2, 0x1234) });

GUEST_ROW(vector_load, LONG, "movups (%rcx), %xmm1\n movq %xmm1, %rax\n psrldq $8, %xmm1\n movq %xmm1, %rdx",
	  .in = { .rcx = M }, .out = { .rax = LOW, .rcx = M, .rdx = HIGH },
	  .steps = { READ(M, 8, LOW), READ(M + 8, 8, HIGH) });
GUEST_ROW(vector_store, LONG, "movq %rax, %xmm9\n movq %rdx, %xmm2\n punpcklqdq %xmm2, %xmm9\n movdqa %xmm9, (%rcx)",
	  .in = { .rax = LOW, .rcx = M, .rdx = HIGH }, .out = { .rax = LOW, .rcx = M, .rdx = HIGH },
	  .steps = { WRITE(M, 8, LOW), WRITE(M + 8, 8, HIGH) });
GUEST_PROGRAM(scalars, LONG, "pcmpeqd %xmm1, %xmm1\n movd (%rcx), %xmm1\n movq %xmm1, %rax\n movq %xmm1, 8(%rcx)\n hlt");

FIXTURE_ONE_VCPU(vcpu)
TEST_F(vcpu, scalars)
{
	static const struct row_regs in = { .rcx = M }, out = { .rax = 0x12345678, .rcx = M };
	static const struct step steps[] = { READ(M, 4, 0x12345678), WRITE(M + 8, 8, 0x12345678), { STEP_END } };

	if (!device_is_vmlet())
		SKIP(return, "stock KVM executes moves of whole vectors only");
	guest_load(&self->vcpu, &scalars);
	run_row(_metadata, &self->vcpu, LONG, &in, steps, &out);
}

TEST_HARNESS_MAIN
