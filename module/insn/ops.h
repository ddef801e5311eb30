/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what instructions do
 *
 * The part of emulation that knows nothing of a vCPU: registers, flags and the values of memory operands in, the
 * same out. Like the parser it can be compiled in userspace, where a test compares it with the CPU.
 */
#ifndef VMLET_OPS_H
#define VMLET_OPS_H

#include "parse.h"

/* What the instruction does with the memory operand. */
#define VMLET_OP_LOAD	0x00000001
#define VMLET_OP_STORE	0x00000002
#define VMLET_OP_TO_REG	0x00000004	/* the result goes to the other operand, not to memory */
#define VMLET_OP_SIGN	0x00000008	/* sign-extends what it loads */
#define VMLET_OP_SWAP	0x00000010	/* what was loaded goes to the register */

/* The other operand, where it is not the register of ModRM.reg. */
#define VMLET_OP_IMM	0x00000020
#define VMLET_OP_ONE	0x00000040
#define VMLET_OP_ACC	0x00000080
#define VMLET_OP_CL	0x00000100
#define VMLET_OP_OPREG	0x00000200	/* a register that the opcode names */
#define VMLET_OP_COPY	0x00000400	/* what was loaded */

/* Where memory is, when ModRM does not say it. */
#define VMLET_OP_FROM_SI	0x00000800
#define VMLET_OP_FROM_DI	0x00001000
#define VMLET_OP_TO_DI		0x00002000
#define VMLET_OP_POP		0x00004000
#define VMLET_OP_PUSH		0x00008000
#define VMLET_OP_STRING		(VMLET_OP_FROM_SI | VMLET_OP_FROM_DI | VMLET_OP_TO_DI)

#define VMLET_OP_ONLY64	0x00010000	/* another instruction outside 64-bit mode */
#define VMLET_OP_LOCK	0x00020000	/* takes a LOCK prefix */
#define VMLET_OP_ALIGN	0x00040000	/* #GP if an operand of 16 bytes or more is not aligned to its size */
#define VMLET_OP_VEX	0x00080000	/* may be encoded by VEX, alone with ModRM's operands */
#define VMLET_OP_VL	0x00100000	/* as wide as VEX says, if it is */
#define VMLET_OP_W	0x00200000	/* four bytes, or with REX.W eight, whatever the operand size */
#define VMLET_OP_PAIR	0x00400000	/* two of them, side by side */

/* Only with these prefixes, by insn->pp; none of them: with any. */
#define VMLET_OP_NP	0x01000000
#define VMLET_OP_66	0x02000000
#define VMLET_OP_F3	0x04000000
#define VMLET_OP_F2	0x08000000
#define VMLET_OP_PREFIXES	0x0f000000

#define VMLET_ANY	(-1)

/* How the result comes about. The first eight are numbered as the opcodes do it. */
enum vmlet_compute {
	VMLET_ADD, VMLET_OR, VMLET_ADC, VMLET_SBB, VMLET_AND, VMLET_SUB, VMLET_XOR, VMLET_CMP,
	VMLET_BY_OPCODE, VMLET_BY_EXT,	/* one of these, by bits 3 to 5 of the opcode or by ModRM.reg */
	VMLET_MOV, VMLET_NOT, VMLET_NEG, VMLET_INC, VMLET_DEC, VMLET_BIT, VMLET_SHIFT, VMLET_SHIFT2, VMLET_BSWAP,
	VMLET_SET, VMLET_CMOV, VMLET_CMPXCHG,
	VMLET_PORT,			/* what is loaded goes to a port, or what is stored comes from one */
	VMLET_VECTOR, VMLET_VECTOR_HIGH, VMLET_VECTOR_LOW,	/* all of a vector, bits 64 to 127, bits 0 to 63 */
};

/**
 * struct vmlet_op - an instruction that can access device memory
 * @map, @opcode: as the parser says; @mask: bits of the opcode that count
 * @ext:	ModRM.reg, or VMLET_ANY
 * @mem_bytes:	size of the memory operand if it is not the operand size
 * @compute:	enum vmlet_compute
 * @what:	VMLET_OP_*
 */
struct vmlet_op {
	u8 map, mask, opcode;
	s8 ext;
	u8 mem_bytes;
	u8 compute;
	u32 what;
};

/* Memory operands, in the order of access; OTHER: the second that CMPS loads. */
enum { VMLET_MEM_SRC, VMLET_MEM_OTHER, VMLET_MEM_DST, VMLET_MEMS };

/**
 * struct vmlet_work - an instruction's values, between its accesses
 * @mem:	of the memory operands, little endian, zeros behind; of MEM_DST also if the result is for a register
 * @vector:	of the vector register that ModRM.reg names
 * @flags:	RFLAGS
 * @stack_bytes: width of the stack pointer
 */
struct vmlet_work {
	u64 mem[VMLET_MEMS][4];
	u64 vector[4];
	u64 flags;
	u8 stack_bytes;
};

/* The row of an instruction, or NULL. */
const struct vmlet_op *vmlet_op_find(const struct vmlet_insn *insn);

/* Everything is loaded: fill in work->mem[VMLET_MEM_DST], work->vector and the flags. */
void vmlet_op_execute(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs,
		      struct vmlet_work *work);

/* Everything is stored: change registers. False: not the last iteration of a string instruction. */
bool vmlet_op_commit(const struct vmlet_op *op, const struct vmlet_insn *insn, u64 *regs,
		     const struct vmlet_work *work);

/* From the effective address to that of the operand: bit strings, and pops by way of the stack pointer. */
u64 vmlet_op_address(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs);

/* Count off @n iterations. True: it was the last one. */
bool vmlet_string_step(u64 *regs, const struct vmlet_insn *insn, u64 n);

static inline u64 vmlet_size_mask(unsigned int bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

static inline unsigned int vmlet_op_bytes(const struct vmlet_op *op, const struct vmlet_insn *insn)
{
	if (op->what & VMLET_OP_VL && insn->vex)
		return insn->vex;
	if (op->what & VMLET_OP_W)
		return (insn->rex & 8 ? 8 : 4) << !!(op->what & VMLET_OP_PAIR);
	return op->mem_bytes ?: insn->op_bytes;
}

/* The general register that is the other operand. */
static inline u8 vmlet_op_register(const struct vmlet_op *op, const struct vmlet_insn *insn)
{
	if (op->what & VMLET_OP_ACC)
		return 0;
	if (op->what & VMLET_OP_OPREG)
		return (insn->opcode & 7) | (insn->rex & 1 ? 8 : 0);
	return insn->reg;
}

/* Without REX, byte registers 4 to 7 are AH, CH, DH and BH. */
static inline bool vmlet_is_high_byte(const struct vmlet_insn *insn, u8 nr, unsigned int bytes)
{
	return bytes == 1 && !insn->rex && nr >= 4 && nr < 8;
}

/* Register @nr as an operand, @bytes wide: four zero the upper half, fewer leave the rest alone. */
static inline u64 vmlet_reg(const u64 *regs, const struct vmlet_insn *insn, u8 nr, unsigned int bytes)
{
	if (vmlet_is_high_byte(insn, nr, bytes))
		return (u8)(regs[nr - 4] >> 8);
	return regs[nr] & vmlet_size_mask(bytes);
}

static inline void vmlet_reg_set(u64 *regs, const struct vmlet_insn *insn, u8 nr, unsigned int bytes, u64 value)
{
	u64 mask = vmlet_size_mask(bytes);

	if (vmlet_is_high_byte(insn, nr, bytes)) {
		nr -= 4;
		mask <<= 8;
		value <<= 8;
	}
	value &= mask;
	if (bytes < 4)
		value |= regs[nr] & ~mask;
	regs[nr] = value;
}

/* A string instruction: address in SI or DI, elements to do (1 without REP), and @n elements done. */
static inline u64 vmlet_string_address(const u64 *regs, const struct vmlet_insn *insn, u8 index)
{
	return regs[index] & vmlet_size_mask(insn->ad_bytes);
}

u64 vmlet_string_count(const u64 *regs, const struct vmlet_insn *insn);
void vmlet_string_advance(u64 *regs, const struct vmlet_insn *insn, u64 flags, u8 index, u64 n);

#endif
