// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: what instructions do
 *
 * One table says how each instruction uses its operands and what it computes; the steps are the same for all of them.
 */
#include <asm/processor-flags.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/types.h>

#include "ops.h"

/* Short names make the table readable. */
#define LOAD	VMLET_OP_LOAD
#define STORE	VMLET_OP_STORE
#define TO_REG	VMLET_OP_TO_REG
#define SIGN	VMLET_OP_SIGN
#define SWAP	VMLET_OP_SWAP
#define IMM	VMLET_OP_IMM
#define ONE	VMLET_OP_ONE
#define ACC	VMLET_OP_ACC
#define CL	VMLET_OP_CL
#define OPREG	VMLET_OP_OPREG
#define COPY	VMLET_OP_COPY
#define FROM_SI	VMLET_OP_FROM_SI
#define FROM_DI	VMLET_OP_FROM_DI
#define TO_DI	VMLET_OP_TO_DI
#define POP	VMLET_OP_POP
#define PUSH	VMLET_OP_PUSH
#define ONLY64	VMLET_OP_ONLY64
#define ALIGNED	VMLET_OP_ALIGN
#define VEX	VMLET_OP_VEX
#define VL	(VMLET_OP_VL | VEX)
#define W	VMLET_OP_W
#define PAIR	(W | VMLET_OP_PAIR | ALIGNED)
#define NP	VMLET_OP_NP
#define P66	VMLET_OP_66
#define PF3	VMLET_OP_F3
#define PF2	VMLET_OP_F2
#define ANY	VMLET_ANY
#define MODIFY	(LOAD | STORE)
#define LOCKED	(LOAD | STORE | VMLET_OP_LOCK)

enum { AX, CX, DX, BX, SP, SI = 6, DI };

/* The first row that matches is taken. */
static const struct vmlet_op ops[] = {
	{ 0, 0xfe, 0x88, ANY, 0, VMLET_MOV, STORE },				/* mov mem, reg */
	{ 0, 0xfe, 0x8a, ANY, 0, VMLET_MOV, LOAD | TO_REG },			/* mov reg, mem */
	{ 0, 0xfe, 0xc6, 0, 0, VMLET_MOV, STORE | IMM },			/* mov mem, imm */
	{ 0, 0xfe, 0xa0, ANY, 0, VMLET_MOV, LOAD | TO_REG | ACC },		/* mov acc, moffs */
	{ 0, 0xfe, 0xa2, ANY, 0, VMLET_MOV, STORE | ACC },			/* mov moffs, acc */
	{ 1, 0xff, 0xb6, ANY, 1, VMLET_MOV, LOAD | TO_REG },			/* movzx */
	{ 1, 0xff, 0xb7, ANY, 2, VMLET_MOV, LOAD | TO_REG },
	{ 1, 0xff, 0xbe, ANY, 1, VMLET_MOV, LOAD | TO_REG | SIGN },		/* movsx */
	{ 1, 0xff, 0xbf, ANY, 2, VMLET_MOV, LOAD | TO_REG | SIGN },
	{ 0, 0xff, 0x63, ANY, 4, VMLET_MOV, LOAD | TO_REG | SIGN | ONLY64 },	/* movsxd */
	{ 1, 0xff, 0xc3, ANY, 0, VMLET_MOV, STORE | NP },			/* movnti */
	{ 0, 0xfe, 0xa4, ANY, 0, VMLET_MOV, MODIFY | COPY | FROM_SI | TO_DI },	/* movs */
	{ 0, 0xfe, 0xaa, ANY, 0, VMLET_MOV, STORE | ACC | TO_DI },		/* stos */
	{ 0, 0xfe, 0xac, ANY, 0, VMLET_MOV, LOAD | TO_REG | ACC | FROM_SI },	/* lods */
	{ 0, 0xfe, 0xa6, ANY, 0, VMLET_CMP, LOAD | FROM_SI | FROM_DI },		/* cmps */
	{ 0, 0xfe, 0xae, ANY, 0, VMLET_CMP, LOAD | TO_REG | ACC | FROM_DI },	/* scas */
	{ 0, 0xfe, 0x6c, ANY, 0, VMLET_PORT, STORE | TO_DI },			/* ins */
	{ 0, 0xfe, 0x6e, ANY, 0, VMLET_PORT, LOAD | FROM_SI },			/* outs */
	{ 0, 0xfe, 0x86, ANY, 0, VMLET_MOV, LOCKED | SWAP },			/* xchg */
	{ 0, 0xfe, 0x38, ANY, 0, VMLET_CMP, LOAD },				/* cmp mem, reg */
	{ 0, 0xfe, 0x3a, ANY, 0, VMLET_CMP, LOAD | TO_REG },			/* cmp reg, mem */
	{ 0, 0xfe, 0x80, 7, 0, VMLET_CMP, LOAD | IMM },				/* cmp mem, imm */
	{ 0, 0xff, 0x83, 7, 0, VMLET_CMP, LOAD | IMM },
	{ 0, 0xfe, 0x84, ANY, 0, VMLET_AND, LOAD },				/* test */
	{ 0, 0xfe, 0xf6, 0, 0, VMLET_AND, LOAD | IMM },
	{ 0, 0xfe, 0xf6, 1, 0, VMLET_AND, LOAD | IMM },
	{ 0, 0xc6, 0x00, ANY, 0, VMLET_BY_OPCODE, LOCKED },			/* add ... xor mem, reg */
	{ 0, 0xc6, 0x02, ANY, 0, VMLET_BY_OPCODE, LOAD | TO_REG },		/* add ... xor reg, mem */
	{ 0, 0xfe, 0x80, ANY, 0, VMLET_BY_EXT, LOCKED | IMM },			/* add ... xor mem, imm */
	{ 0, 0xff, 0x83, ANY, 0, VMLET_BY_EXT, LOCKED | IMM },
	{ 0, 0xfe, 0xf6, 2, 0, VMLET_NOT, LOCKED },
	{ 0, 0xfe, 0xf6, 3, 0, VMLET_NEG, LOCKED },
	{ 0, 0xfe, 0xfe, 0, 0, VMLET_INC, LOCKED },
	{ 0, 0xfe, 0xfe, 1, 0, VMLET_DEC, LOCKED },
	{ 0, 0xfe, 0xc0, ANY, 0, VMLET_SHIFT, MODIFY | IMM },			/* rol ... sar */
	{ 0, 0xfe, 0xd0, ANY, 0, VMLET_SHIFT, MODIFY | ONE },
	{ 0, 0xfe, 0xd2, ANY, 0, VMLET_SHIFT, MODIFY | CL },
	{ 1, 0xf7, 0xa4, ANY, 0, VMLET_SHIFT2, MODIFY },			/* shld, shrd by an immediate */
	{ 1, 0xf7, 0xa5, ANY, 0, VMLET_SHIFT2, MODIFY },			/* by CL */
	{ 1, 0xfe, 0xc0, ANY, 0, VMLET_ADD, LOCKED | SWAP },			/* xadd */
	{ 1, 0xfe, 0xb0, ANY, 0, VMLET_CMPXCHG, LOCKED },
	{ 1, 0xff, 0xc7, 1, 0, VMLET_CMPXCHG, LOCKED | PAIR },			/* cmpxchg8b, 16b */
	{ 1, 0xff, 0xba, 4, 0, VMLET_BIT, LOAD | IMM },				/* bt, bts, btr, btc by an immediate */
	{ 1, 0xff, 0xba, 5, 0, VMLET_BIT, LOCKED | IMM },
	{ 1, 0xff, 0xba, 6, 0, VMLET_BIT, LOCKED | IMM },
	{ 1, 0xff, 0xba, 7, 0, VMLET_BIT, LOCKED | IMM },
	{ 1, 0xff, 0xa3, ANY, 0, VMLET_BIT, LOAD },				/* by a register */
	{ 1, 0xff, 0xab, ANY, 0, VMLET_BIT, LOCKED },
	{ 1, 0xf7, 0xb3, ANY, 0, VMLET_BIT, LOCKED },
	{ 1, 0xf0, 0x90, ANY, 0, VMLET_SET, STORE },				/* setcc */
	{ 1, 0xf0, 0x40, ANY, 0, VMLET_CMOV, LOAD | TO_REG },			/* cmovcc */
	{ 2, 0xff, 0xf0, ANY, 0, VMLET_BSWAP, LOAD | TO_REG | NP | P66 },	/* movbe */
	{ 2, 0xff, 0xf1, ANY, 0, VMLET_BSWAP, STORE | NP | P66 },
	{ 0, 0xf8, 0x50, ANY, 0, VMLET_MOV, STORE | OPREG | PUSH },
	{ 0, 0xfd, 0x68, ANY, 0, VMLET_MOV, STORE | IMM | PUSH },
	{ 0, 0xff, 0xff, 6, 0, VMLET_MOV, LOAD | COPY | PUSH },
	{ 0, 0xf8, 0x58, ANY, 0, VMLET_MOV, LOAD | TO_REG | OPREG | POP },
	{ 0, 0xff, 0x8f, 0, 0, VMLET_MOV, STORE | COPY | POP },
	{ 1, 0xff, 0x10, ANY, 16, VMLET_VECTOR, LOAD | VL | NP | P66 },		/* movups, movupd */
	{ 1, 0xff, 0x11, ANY, 16, VMLET_VECTOR, STORE | VL | NP | P66 },
	{ 1, 0xff, 0x10, ANY, 4, VMLET_VECTOR, LOAD | VEX | PF3 },		/* movss */
	{ 1, 0xff, 0x11, ANY, 4, VMLET_VECTOR, STORE | VEX | PF3 },
	{ 1, 0xff, 0x10, ANY, 8, VMLET_VECTOR, LOAD | VEX | PF2 },		/* movsd */
	{ 1, 0xff, 0x11, ANY, 8, VMLET_VECTOR, STORE | VEX | PF2 },
	{ 1, 0xff, 0x12, ANY, 8, VMLET_VECTOR_LOW, LOAD | NP | P66 },		/* movlps, movlpd */
	{ 1, 0xff, 0x13, ANY, 8, VMLET_VECTOR_LOW, STORE | VEX | NP | P66 },
	{ 1, 0xff, 0x16, ANY, 8, VMLET_VECTOR_HIGH, LOAD | NP | P66 },		/* movhps, movhpd */
	{ 1, 0xff, 0x17, ANY, 8, VMLET_VECTOR_HIGH, STORE | VEX | NP | P66 },
	{ 1, 0xff, 0x28, ANY, 16, VMLET_VECTOR, LOAD | VL | ALIGNED | NP | P66 },	/* movaps, movapd */
	{ 1, 0xff, 0x29, ANY, 16, VMLET_VECTOR, STORE | VL | ALIGNED | NP | P66 },
	{ 1, 0xff, 0x2b, ANY, 16, VMLET_VECTOR, STORE | VL | ALIGNED | NP | P66 },	/* movntps, movntpd */
	{ 1, 0xff, 0x6e, ANY, 0, VMLET_VECTOR, LOAD | VEX | W | P66 },		/* movd, movq */
	{ 1, 0xff, 0x7e, ANY, 0, VMLET_VECTOR, STORE | VEX | W | P66 },
	{ 1, 0xff, 0x7e, ANY, 8, VMLET_VECTOR, LOAD | VEX | PF3 },		/* movq */
	{ 1, 0xff, 0xd6, ANY, 8, VMLET_VECTOR, STORE | VEX | P66 },
	{ 1, 0xff, 0x6f, ANY, 16, VMLET_VECTOR, LOAD | VL | ALIGNED | P66 },	/* movdqa */
	{ 1, 0xff, 0x7f, ANY, 16, VMLET_VECTOR, STORE | VL | ALIGNED | P66 },
	{ 1, 0xff, 0x6f, ANY, 16, VMLET_VECTOR, LOAD | VL | PF3 },		/* movdqu */
	{ 1, 0xff, 0x7f, ANY, 16, VMLET_VECTOR, STORE | VL | PF3 },
	{ 1, 0xff, 0xe7, ANY, 16, VMLET_VECTOR, STORE | VL | ALIGNED | P66 },	/* movntdq */
	{ 1, 0xff, 0xf0, ANY, 16, VMLET_VECTOR, LOAD | VL | PF2 },		/* lddqu */
	{ 2, 0xff, 0x2a, ANY, 16, VMLET_VECTOR, LOAD | VL | ALIGNED | P66 },	/* movntdqa */
};

static u8 ext(const struct vmlet_insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

static bool matches(const struct vmlet_op *op, const struct vmlet_insn *insn)
{
	if (op->map != (insn->map & ~VMLET_MAP_VEX) || op->opcode != (insn->opcode & op->mask))
		return false;
	if (op->ext != ANY && op->ext != ext(insn))
		return false;
	if (op->what & ONLY64 && insn->mode_bytes != 8)
		return false;
	if (op->what & VMLET_OP_PREFIXES && !(op->what & VMLET_OP_NP << insn->pp))
		return false;
	if (insn->map & VMLET_MAP_VEX && (!(op->what & VEX) || !insn->vex))
		return false;
	return insn->is_mem || !insn->has_modrm;
}

const struct vmlet_op *vmlet_op_find(const struct vmlet_insn *insn)
{
	const struct vmlet_op *op;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		if (matches(op, insn))
			return op;
	}
	return NULL;
}

static s64 sign_extended(u64 value, unsigned int bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (s64)(value << shift) >> shift;
}

static u64 flag_if(u64 flags, u64 flag, bool set)
{
	return set ? flags | flag : flags & ~flag;
}

static bool top_bit(u64 value, unsigned int bytes)
{
	return value >> (8 * bytes - 1) & 1;
}

static u64 result_flags(u64 flags, u64 result, unsigned int bytes)
{
	flags = flag_if(flags, X86_EFLAGS_PF, !__builtin_parity(result & 0xff));
	flags = flag_if(flags, X86_EFLAGS_ZF, !(result & vmlet_size_mask(bytes)));
	return flag_if(flags, X86_EFLAGS_SF, top_bit(result, bytes));
}

/* @nr is one of the first eight of enum vmlet_compute. Bit i of carries: the carry (borrow) out of bit i. */
static u64 arithmetic(unsigned int nr, u64 a, u64 b, unsigned int bytes, u64 *flags)
{
	u64 in = nr == VMLET_ADC || nr == VMLET_SBB ? *flags & X86_EFLAGS_CF : 0;
	u64 result, carries = 0;

	switch (nr) {
	case VMLET_ADD: case VMLET_ADC:
		result = a + b + in;
		carries = (a & b) | ((a | b) & ~result);
		break;
	case VMLET_SUB: case VMLET_SBB: case VMLET_CMP:
		result = a - b - in;
		carries = (~a & b) | ((~a | b) & result);
		break;
	case VMLET_OR:
		result = a | b;
		break;
	case VMLET_AND:
		result = a & b;
		break;
	default:
		result = a ^ b;
	}
	*flags = result_flags(*flags, result, bytes);
	*flags = flag_if(*flags, X86_EFLAGS_CF, top_bit(carries, bytes));
	*flags = flag_if(*flags, X86_EFLAGS_AF, carries & 8);
	/* signed overflow: the carries out of the top bit and into it differ */
	*flags = flag_if(*flags, X86_EFLAGS_OF, top_bit(carries ^ carries << 1, bytes));
	return result;
}

static u64 step_by_one(unsigned int nr, u64 a, unsigned int bytes, u64 *flags)
{
	u64 carry = *flags & X86_EFLAGS_CF;
	u64 result = arithmetic(nr, a, 1, bytes, flags);

	*flags = (*flags & ~(u64)X86_EFLAGS_CF) | carry;
	return result;
}

/* bt, bts, btr, btc by @nr, from 4 on: CF is the bit as it was. */
static u64 bit_test(unsigned int nr, u64 a, u64 b, unsigned int bytes, u64 *flags)
{
	u64 bit = 1ull << (b & (8 * bytes - 1));

	*flags = flag_if(*flags, X86_EFLAGS_CF, a & bit);
	if (nr == 5)
		return a | bit;
	return nr == 6 ? a & ~bit : a ^ bit;
}

/* Rotate by one, @nr 0 to 3: rol, ror, rcl, rcr. */
static u64 rotate_once(unsigned int nr, u64 a, unsigned int bytes, u64 *flags)
{
	bool right = nr & 1, out = right ? a & 1 : top_bit(a, bytes);
	u64 in = nr & 2 ? *flags & X86_EFLAGS_CF : out;

	*flags = flag_if(*flags, X86_EFLAGS_CF, out);
	return right ? a >> 1 | in << (8 * bytes - 1) : (a << 1 | in) & vmlet_size_mask(bytes);
}

/* Shift by one: shl, shr, sal, sar. */
static u64 shift_once(unsigned int nr, u64 a, unsigned int bytes, u64 *flags)
{
	bool right = nr & 1;

	*flags = flag_if(*flags, X86_EFLAGS_CF, right ? a & 1 : top_bit(a, bytes));
	if (!right)
		a <<= 1;
	else
		a = nr == 7 ? (u64)(sign_extended(a, bytes) >> 1) : a >> 1;
	return a & vmlet_size_mask(bytes);
}

/* By ones, as the first processors did it. The flags of a shift by none stay; OF is defined for one step: say it for the last. */
static u64 shift(unsigned int nr, u64 a, u64 count, unsigned int bytes, u64 *flags)
{
	u64 last = a;

	count &= bytes == 8 ? 63 : 31;
	if (!count)
		return a;
	while (count--) {
		last = a;
		a = nr < 4 ? rotate_once(nr, a, bytes, flags) : shift_once(nr, a, bytes, flags);
	}
	if (nr >= 4)
		*flags = result_flags(*flags, a, bytes);
	*flags = flag_if(*flags, X86_EFLAGS_OF, top_bit(a ^ last, bytes));
	return a;
}

/* shld, shrd: bits of @b come in. */
static u64 shift_double(bool right, u64 a, u64 b, u64 count, unsigned int bytes, u64 *flags)
{
	unsigned int bits = 8 * bytes;
	u64 last = a;

	count &= bytes == 8 ? 63 : 31;
	if (!count)
		return a;
	while (count--) {
		last = a;
		*flags = flag_if(*flags, X86_EFLAGS_CF, right ? a & 1 : top_bit(a, bytes));
		a = right ? a >> 1 | (b & 1) << (bits - 1) : (a << 1 | top_bit(b, bytes)) & vmlet_size_mask(bytes);
		b = right ? b >> 1 | (b & 1) << (bits - 1) : b << 1 | top_bit(b, bytes);
	}
	*flags = result_flags(*flags, a, bytes);
	*flags = flag_if(*flags, X86_EFLAGS_OF, top_bit(a ^ last, bytes));
	return a;
}

/* As SETcc, CMOVcc and Jcc number conditions. */
static bool condition(u8 code, u64 flags)
{
	bool less = !(flags & X86_EFLAGS_SF) != !(flags & X86_EFLAGS_OF);
	const bool holds[8] = {
		flags & X86_EFLAGS_OF, flags & X86_EFLAGS_CF, flags & X86_EFLAGS_ZF,
		flags & (X86_EFLAGS_CF | X86_EFLAGS_ZF), flags & X86_EFLAGS_SF, flags & X86_EFLAGS_PF,
		less, less || flags & X86_EFLAGS_ZF,
	};

	return holds[(code >> 1) & 7] != (code & 1);
}

static u64 reverse_bytes(u64 value, unsigned int bytes)
{
	return __builtin_bswap64(value) >> (64 - 8 * bytes);
}

/* Equal to the accumulator: @b is stored; otherwise memory keeps what it has, by a store all the same. */
static u64 compare_exchange(const u64 *regs, u64 a, u64 b, unsigned int bytes, u64 *flags)
{
	arithmetic(VMLET_CMP, regs[AX] & vmlet_size_mask(bytes), a, bytes, flags);
	return *flags & X86_EFLAGS_ZF ? b : a;
}

static u64 compute(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs, u64 a, u64 b, u64 *flags)
{
	unsigned int bytes = insn->op_bytes;

	switch (op->compute) {
	case VMLET_MOV:
		return b;
	case VMLET_NOT:
		return ~a;
	case VMLET_NEG:
		return arithmetic(VMLET_SUB, 0, a, bytes, flags);
	case VMLET_INC:
		return step_by_one(VMLET_ADD, a, bytes, flags);
	case VMLET_DEC:
		return step_by_one(VMLET_SUB, a, bytes, flags);
	case VMLET_BIT:
		return bit_test(op->what & IMM ? ext(insn) : insn->opcode >> 3 & 7, a, b, bytes, flags);
	case VMLET_SHIFT:
		return shift(ext(insn), a, b, bytes, flags);
	case VMLET_SHIFT2:
		return shift_double(insn->opcode & 8, a, b, insn->opcode & 1 ? regs[CX] : insn->imm, bytes, flags);
	case VMLET_BSWAP:
		return reverse_bytes(b, bytes);
	case VMLET_SET:
		return condition(insn->opcode, *flags);
	case VMLET_CMOV:
		return condition(insn->opcode, *flags) ? b : a;
	case VMLET_CMPXCHG:
		return compare_exchange(regs, a, b, bytes, flags);
	case VMLET_BY_OPCODE:
		return arithmetic(insn->opcode >> 3 & 7, a, b, bytes, flags);
	case VMLET_BY_EXT:
		return arithmetic(ext(insn), a, b, bytes, flags);
	default:
		return arithmetic(op->compute, a, b, bytes, flags);
	}
}

static u64 other_operand(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs,
			 const struct vmlet_work *work)
{
	if (op->what & COPY)
		return work->mem[VMLET_MEM_SRC][0];
	if ((op->what & (FROM_SI | FROM_DI)) == (FROM_SI | FROM_DI))
		return work->mem[VMLET_MEM_OTHER][0];
	if (op->what & IMM)
		return insn->imm & vmlet_size_mask(insn->op_bytes);
	if (op->what & ONE)
		return 1;
	if (op->what & CL)
		return (u8)regs[CX];
	return vmlet_reg(regs, insn, vmlet_op_register(op, insn), insn->op_bytes);
}

static bool is_vector(const struct vmlet_op *op)
{
	return op->compute >= VMLET_VECTOR;
}

static void execute_vector(const struct vmlet_op *op, struct vmlet_work *work)
{
	unsigned int half = op->compute == VMLET_VECTOR_HIGH;

	if (op->what & STORE)
		memcpy(work->mem[VMLET_MEM_DST], &work->vector[half], (4 - half) * sizeof(u64));
	else if (op->compute == VMLET_VECTOR)
		memcpy(work->vector, work->mem[VMLET_MEM_SRC], sizeof(work->vector));
	else
		work->vector[half] = work->mem[VMLET_MEM_SRC][0];
}

/* cmpxchg8b, cmpxchg16b: no flag but ZF. */
static void compare_exchange_pair(const struct vmlet_insn *insn, const u64 *regs, struct vmlet_work *work)
{
	unsigned int bytes = insn->rex & 8 ? 8 : 4;
	u64 mask = vmlet_size_mask(bytes);
	u64 *mem = work->mem[VMLET_MEM_SRC], *to = work->mem[VMLET_MEM_DST];

	/* Of eight bytes both halves are in the first word. */
	if (bytes == 4) {
		mem[1] = mem[0] >> 32;
		mem[0] &= mask;
	}
	work->flags = flag_if(work->flags, X86_EFLAGS_ZF,
			      mem[0] == (regs[AX] & mask) && mem[1] == (regs[DX] & mask));
	to[0] = work->flags & X86_EFLAGS_ZF ? regs[BX] & mask : mem[0];
	to[1] = work->flags & X86_EFLAGS_ZF ? regs[CX] & mask : mem[1];
	if (bytes == 4)
		to[0] |= to[1] << 32;
}

void vmlet_op_execute(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs,
		      struct vmlet_work *work)
{
	u64 a = work->mem[VMLET_MEM_SRC][0], b;

	if (is_vector(op)) {
		execute_vector(op, work);
		return;
	}
	if (op->what & VMLET_OP_PAIR) {
		compare_exchange_pair(insn, regs, work);
		return;
	}
	if (op->what & SIGN)
		a = sign_extended(a, vmlet_op_bytes(op, insn));
	b = other_operand(op, insn, regs, work);
	if (op->what & TO_REG)
		work->mem[VMLET_MEM_DST][0] = compute(op, insn, regs, b, a, &work->flags);
	else
		work->mem[VMLET_MEM_DST][0] = compute(op, insn, regs, a, b, &work->flags);
}

static void commit_compare(const struct vmlet_op *op, const struct vmlet_insn *insn, u64 *regs,
			   const struct vmlet_work *work)
{
	bool pair = op->what & VMLET_OP_PAIR;
	unsigned int bytes = pair ? vmlet_op_bytes(op, insn) / 2 : insn->op_bytes;

	if (work->flags & X86_EFLAGS_ZF)
		return;
	vmlet_reg_set(regs, insn, AX, bytes, work->mem[VMLET_MEM_SRC][0]);
	if (pair)
		vmlet_reg_set(regs, insn, DX, bytes, work->mem[VMLET_MEM_SRC][1]);
}

static void commit_register(const struct vmlet_op *op, const struct vmlet_insn *insn, u64 *regs,
			    const struct vmlet_work *work)
{
	u8 nr = vmlet_op_register(op, insn);

	if (op->compute == VMLET_CMPXCHG)
		commit_compare(op, insn, regs, work);
	else if (op->what & TO_REG && op->compute != VMLET_CMP)
		vmlet_reg_set(regs, insn, nr, insn->op_bytes, work->mem[VMLET_MEM_DST][0]);
	else if (op->what & SWAP)
		vmlet_reg_set(regs, insn, nr, insn->op_bytes, work->mem[VMLET_MEM_SRC][0]);
}

/* REPE and REPNE end with the first element that is not as the others. */
static bool is_found(const struct vmlet_op *op, const struct vmlet_insn *insn, u64 flags)
{
	return op->compute == VMLET_CMP && insn->rep && !(flags & X86_EFLAGS_ZF) == (insn->rep == 0xf3);
}

bool vmlet_op_commit(const struct vmlet_op *op, const struct vmlet_insn *insn, u64 *regs,
		     const struct vmlet_work *work)
{
	u64 delta = op->what & PUSH ? -(u64)insn->op_bytes : insn->op_bytes;

	if (op->what & (PUSH | POP))
		vmlet_reg_set(regs, insn, SP, work->stack_bytes, regs[SP] + delta);
	commit_register(op, insn, regs, work);
	if (op->what & FROM_SI)
		vmlet_string_advance(regs, insn, work->flags, SI, 1);
	if (op->what & (FROM_DI | TO_DI))
		vmlet_string_advance(regs, insn, work->flags, DI, 1);
	if (!(op->what & VMLET_OP_STRING))
		return true;
	return vmlet_string_step(regs, insn, 1) || is_found(op, insn, work->flags);
}

u64 vmlet_op_address(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs)
{
	unsigned int bytes = insn->op_bytes;
	u64 ea = insn->ea;

	if (op->compute == VMLET_BIT && !(op->what & IMM))
		ea += (sign_extended(regs[insn->reg], bytes) >> 3) & -(s64)bytes;
	if (op->what & POP && insn->base == SP)
		ea += bytes;
	return ea & vmlet_size_mask(insn->ad_bytes);
}

u64 vmlet_string_count(const u64 *regs, const struct vmlet_insn *insn)
{
	return insn->rep ? regs[CX] & vmlet_size_mask(insn->ad_bytes) : 1;
}

void vmlet_string_advance(u64 *regs, const struct vmlet_insn *insn, u64 flags, u8 index, u64 n)
{
	u64 delta = n * insn->op_bytes;

	vmlet_reg_set(regs, insn, index, insn->ad_bytes,
		      flags & X86_EFLAGS_DF ? regs[index] - delta : regs[index] + delta);
}

bool vmlet_string_step(u64 *regs, const struct vmlet_insn *insn, u64 n)
{
	u64 count = vmlet_string_count(regs, insn) - n;

	if (insn->rep)
		vmlet_reg_set(regs, insn, CX, insn->ad_bytes, count);
	return !count || !insn->rep;
}
