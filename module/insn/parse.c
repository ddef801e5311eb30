// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: from bytes to an instruction
 *
 * Two tables say what follows each opcode byte; everything else of the encoding is regular. An
 * opcode that is not defined is refused; whether the operands of one that is make sense is not
 * asked, as the CPU has executed it.
 */
#include <linux/errno.h>
#include <linux/types.h>

#include "parse.h"

#define MODRM	0x0001
#define IMM8	0x0002
#define IMM16	0x0004
#define IMMZ	0x0008	/* 2 bytes with an operand size of 2, otherwise 4 */
#define IMMV	0x0010	/* as many bytes as the operand size */
#define MOFFS	0x0020	/* an absolute address of the address size */
#define BYTE	0x0040	/* the operand size is 1 */
#define DEF64	0x0080	/* the operand size is 8 in 64-bit mode, or 2 */
#define NO64	0x0100	/* undefined in 64-bit mode */
#define GROUP3	0x0200	/* has an immediate only if ModRM.reg is 0 or 1 */
#define REGS	0x0400	/* ModRM names two registers, whatever its mod field says */
#define UNDEF	0x0800
#define GROUP5	0x1000	/* DEF64 if ModRM.reg is a near call, a near jump or a push */

/* Short names make the tables readable: a line is 16 opcodes. */
#define M	MODRM
#define Mb	(MODRM | BYTE)
#define MI	(MODRM | IMM8)
#define MbI	(MODRM | BYTE | IMM8)
#define MZ	(MODRM | IMMZ)
#define MR	(MODRM | REGS)
#define I	IMM8
#define bI	(BYTE | IMM8)
#define b	BYTE
#define Z	IMMZ
#define W	IMM16
#define V	IMMV
#define A	MOFFS
#define bA	(BYTE | MOFFS)
#define D	DEF64
#define DI	(DEF64 | IMM8)
#define DZ	(DEF64 | IMMZ)
#define X	NO64
#define XM	(NO64 | MODRM)
#define XMb	(NO64 | MODRM | BYTE | IMM8)
#define XI	(NO64 | IMM8)
#define Xf	(NO64 | IMMZ | IMM16)
#define G	(MODRM | GROUP3)
#define Gb	(MODRM | GROUP3 | BYTE)
#define G5	(MODRM | GROUP5)
#define U	UNDEF

/* Prefixes never come here, escapes neither. */
static const u16 one_byte[256] = {
	Mb, M, Mb, M, bI, Z, X, X, Mb, M, Mb, M, bI, Z, X, U,			/* 00 add, or */
	Mb, M, Mb, M, bI, Z, X, X, Mb, M, Mb, M, bI, Z, X, X,			/* 10 adc, sbb */
	Mb, M, Mb, M, bI, Z, U, X, Mb, M, Mb, M, bI, Z, U, X,			/* 20 and, sub */
	Mb, M, Mb, M, bI, Z, U, X, Mb, M, Mb, M, bI, Z, U, X,			/* 30 xor, cmp */
	X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,				/* 40 inc, dec */
	D, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D,				/* 50 push, pop */
	X, X, XM, M, U, U, U, U, DZ, MZ, DI, MI, b, 0, b, 0,			/* 60 ... ins, outs */
	DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, DI, DI,		/* 70 jcc */
	MbI, MZ, XMb, MI, Mb, M, Mb, M, Mb, M, Mb, M, M, M, M, M | D,		/* 80 group 1, mov */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, Xf, 0, D, D, 0, 0,			/* 90 xchg, pushf */
	bA, A, bA, A, b, 0, b, 0, bI, Z, b, 0, b, 0, b, 0,			/* a0 movs, stos */
	bI, bI, bI, bI, bI, bI, bI, bI, V, V, V, V, V, V, V, V,			/* b0 mov imm */
	MbI, MI, D | W, D, XM, XM, MbI, MZ, D | W | I, D, W, 0, 0, I, X, 0,	/* c0 ret, enter, int */
	Mb, M, Mb, M, XI, XI, X, b, M, M, M, M, M, M, M, M,			/* d0 shifts, x87 */
	DI, DI, DI, DI, bI, I, bI, I, DZ, DZ, Xf, DI, b, 0, b, 0,		/* e0 in, out, call */
	U, 0, U, U, 0, 0, Gb, G, 0, 0, 0, 0, 0, 0, Mb, G5,			/* f0 hlt, groups 3 to 5 */
};

static const u16 two_byte[256] = {
	M, M, M, M, U, 0, 0, 0, 0, 0, U, 0, U, M, 0, MI,			/* 00 clts, wbinvd */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* 10 */
	MR, MR, MR, MR, U, U, U, U, M, M, M, M, M, M, M, M,			/* 20 mov cr, dr */
	0, 0, 0, 0, 0, 0, U, 0, U, U, U, U, U, U, U, U,				/* 30 wrmsr, rdmsr */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* 40 cmov */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* 50 */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* 60 */
	MI, MI, MI, MI, M, M, M, 0, M, M, U, U, M, M, M, M,			/* 70 */
	DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ, DZ,		/* 80 jcc */
	Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb, Mb,		/* 90 setcc */
	D, D, 0, M, MI, M, U, U, D, D, 0, M, MI, M, M, M,			/* a0 cpuid, bt, bts, shld */
	Mb, M, M, M, M, M, M, M, M, M, MI, M, M, M, M, M,			/* b0 cmpxchg, movzx, movsx */
	Mb, M, MI, M, MI, MI, MI, M, 0, 0, 0, 0, 0, 0, 0, 0,			/* c0 xadd, movnti, bswap */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* d0 */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* e0 */
	M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,				/* f0 */
};

#undef M
#undef Mb
#undef MI
#undef MbI
#undef MZ
#undef MR
#undef I
#undef bI
#undef b
#undef Z
#undef W
#undef V
#undef A
#undef bA
#undef D
#undef DI
#undef DZ
#undef X
#undef XM
#undef XMb
#undef XI
#undef Xf
#undef G
#undef Gb
#undef G5
#undef U

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };
enum { SEG_SS = 2, SEG_DS = 3 };
enum { BASE_SP = 4, BASE_BP = 5 };

/* What has been read, and what prefixes have said. */
struct cursor {
	struct vmlet_insn *insn;
	u8 pos, avail;
	bool truncated;
	bool opsize, adsize, seg_override;
};

/* The next @n bytes; behind the end zeros, and a note that the instruction is not all there. */
static u64 take(struct cursor *c, unsigned int n)
{
	u64 value = 0;
	unsigned int i;

	if (c->pos + n > c->avail) {
		c->truncated = true;
		return 0;
	}
	for (i = 0; i < n; i++)
		value |= (u64)c->insn->bytes[c->pos++] << (8 * i);
	return value;
}

static s64 take_signed(struct cursor *c, unsigned int n)
{
	unsigned int shift = 64 - 8 * n;

	return (s64)(take(c, n) << shift) >> shift;
}

static u8 peek(const struct cursor *c)
{
	return c->pos < c->avail ? c->insn->bytes[c->pos] : 0;
}

static void override(struct cursor *c, u8 seg)
{
	/* 64-bit mode has segments FS and GS only and ignores prefixes that name others. */
	if (c->insn->mode_bytes == 8 && seg <= SEG_DS)
		return;
	c->insn->seg = seg;
	c->seg_override = true;
}

static bool legacy_prefix(struct cursor *c, u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:
		override(c, (byte >> 3) & 3);
		return true;
	case 0x64: case 0x65:
		override(c, byte & 7);
		return true;
	case 0x66:
		c->opsize = true;
		return true;
	case 0x67:
		c->adsize = true;
		return true;
	case 0xf0:
		c->insn->lock = true;
		return true;
	case 0xf2: case 0xf3:
		c->insn->rep = byte;
		return true;
	default:
		return false;
	}
}

/* Consume prefixes; return the byte behind them. A REX prefix counts only directly before the opcode. */
static u8 take_prefixes(struct cursor *c)
{
	u8 byte;

	for (;;) {
		byte = take(c, 1);
		if (legacy_prefix(c, byte)) {
			c->insn->rex = 0;
			continue;
		}
		if (c->insn->mode_bytes != 8 || (byte & 0xf0) != 0x40)
			return byte;
		c->insn->rex = byte;
	}
}

/* Outside 64-bit mode VEX and EVEX share their first byte with instructions that cannot name a register. */
static bool is_vex(const struct cursor *c, u8 byte)
{
	if (byte == 0x8f)
		return (peek(c) & 0x1f) >= 8;
	if (byte != 0xc4 && byte != 0xc5 && byte != 0x62)
		return false;
	return c->insn->mode_bytes == 8 || (peek(c) & 0xc0) == 0xc0;
}

static u16 vex_flags(u8 map, u8 opcode)
{
	switch (map) {
	case VMLET_MAP_0F:
		return two_byte[opcode] & UNDEF ? MODRM : two_byte[opcode];
	case VMLET_MAP_0F38: case 5: case 6: case 9:
		return MODRM;
	case VMLET_MAP_0F3A: case 8:
		return MODRM | IMM8;
	case 10:
		return MODRM | IMMZ;
	default:
		return UNDEF;
	}
}

/* The payload inverts the bits that a REX prefix has; the last byte of VEX and XOP, EVEX's second, ends in pp. */
static u16 take_vex(struct cursor *c, u8 first)
{
	struct vmlet_insn *insn = c->insn;
	u8 payload = take(c, 1), last = payload;
	u8 map = VMLET_MAP_0F, rex = (~payload >> 5) & REX_R;

	if (first != 0xc5) {
		map = payload & (first == 0x62 ? 7 : 0x1f);
		last = take(c, 1);
		rex |= ((~payload >> 5) & (REX_X | REX_B)) | ((last >> 4) & REX_W);
	}
	if (first == 0x62)
		take(c, 1);
	else if (first != 0x8f)
		insn->vex = last & 4 ? 32 : 16;
	if (insn->mode_bytes == 8)
		insn->rex |= rex;
	insn->pp = last & 3;
	insn->map = map | VMLET_MAP_VEX;
	insn->opcode = take(c, 1);
	return vex_flags(map, insn->opcode);
}

static u16 take_0f(struct cursor *c)
{
	struct vmlet_insn *insn = c->insn;

	insn->map = VMLET_MAP_0F;
	insn->opcode = take(c, 1);
	if (insn->opcode == 0x38 || insn->opcode == 0x3a) {
		insn->map = insn->opcode == 0x38 ? VMLET_MAP_0F38 : VMLET_MAP_0F3A;
		insn->opcode = take(c, 1);
		return insn->map == VMLET_MAP_0F38 ? MODRM : MODRM | IMM8;
	}
	/* extrq and insertq: bit index and length */
	if (insn->opcode == 0x78 && (c->opsize || insn->rep == 0xf2))
		return MODRM | IMM16;
	return two_byte[insn->opcode];
}

static u16 take_opcode(struct cursor *c)
{
	u8 byte = take_prefixes(c);

	if (is_vex(c, byte))
		return take_vex(c, byte);
	if (c->insn->rep)
		c->insn->pp = c->insn->rep == 0xf3 ? 2 : 3;
	else
		c->insn->pp = c->opsize;
	if (byte == 0x0f)
		return take_0f(c);
	c->insn->opcode = byte;
	return one_byte[byte];
}

static void set_sizes(struct cursor *c, u16 flags)
{
	struct vmlet_insn *insn = c->insn;
	bool is_64 = insn->mode_bytes == 8;
	u8 ext = (peek(c) >> 3) & 7;

	if (flags & GROUP5 && (ext == 2 || ext == 4 || ext == 6))
		flags |= DEF64;
	insn->ad_bytes = insn->mode_bytes;
	if (c->adsize)
		insn->ad_bytes = insn->mode_bytes == 4 ? 2 : 4;

	if (flags & BYTE)
		insn->op_bytes = 1;
	else if (insn->rex & REX_W || (is_64 && flags & DEF64 && !c->opsize))
		insn->op_bytes = 8;
	else
		insn->op_bytes = c->opsize == (insn->mode_bytes == 2) ? 4 : 2;
}

static void set_base(struct cursor *c, u8 base, bool stack)
{
	c->insn->base = base;
	if (stack && !c->seg_override)
		c->insn->seg = SEG_SS;
}

static void take_memory16(struct cursor *c, u8 mod, u8 rm)
{
	/* bx+si, bx+di, bp+si, bp+di, si, di, bp, bx */
	static const u8 base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
	static const u8 index[4] = { 6, 7, 6, 7 };

	if (mod == 0 && rm == 6) {
		c->insn->disp = take_signed(c, 2);
		return;
	}
	set_base(c, base[rm], base[rm] == BASE_BP);
	if (rm < 4)
		c->insn->index = index[rm];
	if (mod)
		c->insn->disp = take_signed(c, mod);
}

static void take_memory32(struct cursor *c, u8 mod, u8 rm)
{
	struct vmlet_insn *insn = c->insn;
	u8 base = rm, rex_b = insn->rex & REX_B ? 8 : 0;

	if (rm == 4) {
		u8 sib = take(c, 1);
		u8 index = ((sib >> 3) & 7) | (insn->rex & REX_X ? 8 : 0);

		if (index != 4)
			insn->index = index;
		insn->scale = sib >> 6;
		base = sib & 7;
	}
	if (mod == 0 && base == 5) {
		if (rm == 5 && insn->mode_bytes == 8)
			insn->base = VMLET_REG_RIP;
		insn->disp = take_signed(c, 4);
		return;
	}
	set_base(c, base | rex_b, !rex_b && (base == BASE_SP || base == BASE_BP));
	if (mod)
		insn->disp = take_signed(c, mod == 1 ? 1 : 4);
}

static void take_modrm(struct cursor *c, u16 flags)
{
	struct vmlet_insn *insn = c->insn;
	u8 mod, rm;

	insn->has_modrm = true;
	insn->modrm = take(c, 1);
	mod = insn->modrm >> 6;
	rm = insn->modrm & 7;
	insn->reg = ((insn->modrm >> 3) & 7) | (insn->rex & REX_R ? 8 : 0);
	insn->rm = rm | (insn->rex & REX_B ? 8 : 0);
	if (mod == 3 || flags & REGS)
		return;
	insn->is_mem = true;
	if (insn->ad_bytes == 2)
		take_memory16(c, mod, rm);
	else
		take_memory32(c, mod, rm);
}

static void take_immediates(struct cursor *c, u16 flags)
{
	struct vmlet_insn *insn = c->insn;

	if (flags & MOFFS) {
		insn->is_mem = true;
		insn->disp = take(c, insn->ad_bytes);
	}
	if (flags & GROUP3 && (insn->modrm & 0x30) == 0)
		flags |= insn->op_bytes == 1 ? IMM8 : IMMZ;
	if (flags & IMMV)
		insn->imm = take_signed(c, insn->op_bytes);
	if (flags & IMMZ)
		insn->imm = take_signed(c, insn->op_bytes == 2 ? 2 : 4);
	if (flags & IMM16)
		insn->imm = take_signed(c, 2);
	if (flags & IMM8)
		insn->imm = take_signed(c, 1);
}

int vmlet_insn_parse(struct vmlet_insn *insn, unsigned int mode_bytes)
{
	struct cursor c = { .insn = insn, .avail = insn->len };
	u16 flags;

	insn->mode_bytes = mode_bytes;
	insn->map = VMLET_MAP_ONE;
	insn->modrm = insn->rex = insn->rep = insn->pp = insn->vex = insn->reg = insn->rm = insn->scale = 0;
	insn->has_modrm = insn->is_mem = insn->lock = false;
	insn->disp = insn->ea = insn->imm = 0;
	insn->base = insn->index = VMLET_REG_NONE;
	insn->seg = SEG_DS;

	flags = take_opcode(&c);
	if (!c.truncated && (flags & UNDEF || (flags & NO64 && mode_bytes == 8)))
		return -EINVAL;
	set_sizes(&c, flags);
	if (flags & MODRM)
		take_modrm(&c, flags);
	take_immediates(&c, flags);
	if (c.truncated)
		return -ENODATA;
	insn->len = c.pos;
	return 0;
}
