/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: from bytes to an instruction
 *
 * The part of the decoder that knows nothing of a vCPU: bytes and mode in, instruction out. It
 * needs u8, s64, u64 and bool, and calls nothing, so that a test can compile it in userspace.
 */
#ifndef VMLET_PARSE_H
#define VMLET_PARSE_H

#include <linux/types.h>

#define VMLET_INSN_MAX	15

/* Opcode maps. Encodings by VEX, EVEX and XOP prefixes have VMLET_MAP_VEX set. */
enum { VMLET_MAP_ONE, VMLET_MAP_0F, VMLET_MAP_0F38, VMLET_MAP_0F3A, VMLET_MAP_VEX = 0x80 };

/* In place of a register number of a memory operand. */
enum { VMLET_REG_RIP = 0xfe, VMLET_REG_NONE = 0xff };

/**
 * struct vmlet_insn - a decoded instruction
 * @len:	bytes, 1 to 15
 * @bytes:	fetched once
 * @map, @opcode: opcode map and opcode byte
 * @pp:		the prefix that selects among instructions of one opcode, as VEX numbers them: 0; 1: 0x66; 2: 0xF3; 3: 0xF2
 * @vex:	bytes of a vector, if the encoding is VEX: 16 or 32; otherwise 0
 * @mode_bytes:	default address size: 8 in 64-bit mode, otherwise 2 or 4
 * @op_bytes, @ad_bytes: operand and address size: 1, 2, 4, 8
 * @rep:	0, 0xF2 or 0xF3
 * @seg:	segment of the memory operand, enum vmlet_seg; overrides that the mode ignores are ignored
 * @reg:	register named by ModRM.reg with REX.R; @rm: by ModRM.rm with REX.B
 * @base, @index: registers of the memory operand, or VMLET_REG_*; @index is shifted left by @scale
 * @has_modrm, @is_mem: ModRM was there; the instruction names memory by ModRM or by an absolute address
 * @disp:	displacement, sign extended
 * @ea:		effective address of the memory operand, without segment base; vmlet_insn_decode() only
 * @imm:	immediate, sign extended
 */
struct vmlet_insn {
	u8 len;
	u8 bytes[VMLET_INSN_MAX];
	u8 map, opcode, modrm, rex, rep, pp, vex;
	u8 mode_bytes, op_bytes, ad_bytes;
	u8 seg, reg, rm;
	u8 base, index, scale;
	bool has_modrm, is_mem, lock;
	s64 disp;
	u64 ea;
	u64 imm;
};

/*
 * Parse @insn->bytes, of which @insn->len are there. @mode_bytes: default address size, 2, 4 or 8.
 * 0: @insn is filled and @insn->len is the instruction's; -ENODATA: it goes on behind the last
 * byte; -EINVAL: unknown. After an error @insn->len is unchanged.
 */
int vmlet_insn_parse(struct vmlet_insn *insn, unsigned int mode_bytes);

#endif
