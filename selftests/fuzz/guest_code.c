// SPDX-License-Identifier: GPL-2.0
/* Random instructions: raw bytes, and those that hypervisors have to do with. */
#include "guest.h"

#include <string.h>

enum how {
	NONE = 0,
	MODRM = 1,	/* a ModRM byte, mostly of memory that is worth it */
	IMM8 = 2,
	IMMZ = 4,	/* as wide as the operand, 32 bits at most */
	FAR = 8,	/* offset and selector */
	UNREPEATABLE = 16,	/* its result is of the moment, or of the device */
	RARE = 32,	/* ends most cases */
	USER = 64,	/* leads to user mode without looking at descriptors */
};

struct insn {
	u8 len;
	u8 op[4];
	u8 how;
};

#define OP(how, ...) { sizeof((u8[]){ __VA_ARGS__ }), { __VA_ARGS__ }, how }

static const struct insn insns[] = {
	/* Moves and arithmetic, for memory and devices alike. */
	OP(MODRM, 0x88), OP(MODRM, 0x89), OP(MODRM, 0x8a), OP(MODRM, 0x8b), OP(MODRM | IMM8, 0xc6),
	OP(MODRM | IMMZ, 0xc7), OP(MODRM, 0x0f, 0xb6), OP(MODRM, 0x0f, 0xb7), OP(MODRM, 0x0f, 0xbe),
	OP(MODRM, 0x0f, 0xbf), OP(MODRM, 0x63), OP(MODRM, 0x0f, 0xc3), OP(MODRM, 0x01), OP(MODRM, 0x02),
	OP(MODRM, 0x11), OP(MODRM, 0x19), OP(MODRM, 0x20), OP(MODRM, 0x29), OP(MODRM, 0x31), OP(MODRM, 0x39),
	OP(MODRM, 0x3b), OP(MODRM | IMM8, 0x80), OP(MODRM | IMMZ, 0x81), OP(MODRM | IMM8, 0x83), OP(MODRM, 0x84),
	OP(MODRM, 0x85), OP(MODRM, 0x86), OP(MODRM, 0x87), OP(MODRM, 0xf6), OP(MODRM, 0xf7), OP(MODRM, 0xfe),
	OP(MODRM, 0xff), OP(MODRM, 0x8f), OP(MODRM | IMM8, 0xc0), OP(MODRM, 0xd1), OP(MODRM, 0xd3),
	OP(MODRM, 0x0f, 0xa3), OP(MODRM, 0x0f, 0xab), OP(MODRM | IMM8, 0x0f, 0xba), OP(MODRM, 0x0f, 0xb0),
	OP(MODRM, 0x0f, 0xb1), OP(MODRM, 0x0f, 0xc0), OP(MODRM, 0x0f, 0xc1), OP(MODRM, 0x0f, 0xc7),
	OP(MODRM, 0x0f, 0x38, 0xf0), OP(MODRM, 0x0f, 0x38, 0xf1), OP(MODRM, 0x0f, 0x44), OP(MODRM, 0x0f, 0x94),
	OP(MODRM, 0x8d), OP(MODRM, 0x0f, 0x18), OP(IMMZ, 0xa0), OP(IMMZ, 0xa1), OP(IMMZ, 0xa2), OP(IMMZ, 0xa3),
	/* Strings. */
	OP(0, 0xa4), OP(0, 0xa5), OP(0, 0xa6), OP(0, 0xa7), OP(0, 0xaa), OP(0, 0xab), OP(0, 0xac), OP(0, 0xad),
	OP(0, 0xae), OP(0, 0xaf), OP(0, 0xf3, 0xa4), OP(0, 0xf3, 0xa5), OP(0, 0xf3, 0xaa), OP(0, 0xf3, 0xab),
	OP(0, 0xf3, 0xa6), OP(0, 0xf2, 0xae), OP(0, 0xf3, 0x67, 0xa5),
	/* Ports. */
	OP(IMM8, 0xe4), OP(IMM8, 0xe5), OP(IMM8, 0xe6), OP(IMM8, 0xe7), OP(0, 0xec), OP(0, 0xed), OP(0, 0xee),
	OP(0, 0xef), OP(0, 0x6c), OP(0, 0x6d), OP(0, 0x6e), OP(0, 0x6f), OP(0, 0xf3, 0x6c), OP(0, 0xf3, 0x6d),
	OP(0, 0x66, 0xf3, 0x6d),
	/* Stock KVM returns for each piece. */
	OP(UNREPEATABLE, 0xf3, 0x6e), OP(UNREPEATABLE, 0xf3, 0x6f), OP(UNREPEATABLE, 0xf3, 0x67, 0x6e),
	/* Control, debug and segment registers, tables. */
	OP(MODRM, 0x0f, 0x20), OP(MODRM, 0x0f, 0x20), OP(MODRM, 0x0f, 0x22), OP(MODRM, 0x0f, 0x22),
	OP(MODRM, 0x0f, 0x21), OP(MODRM, 0x0f, 0x23), OP(MODRM, 0x0f, 0x00), OP(MODRM, 0x0f, 0x01),
	OP(MODRM, 0x0f, 0x01), OP(MODRM, 0x8c), OP(MODRM, 0x8e), OP(MODRM, 0x8e), OP(0, 0x0f, 0x06), OP(MODRM, 0x0f, 0x02),
	OP(MODRM, 0x0f, 0x03), OP(MODRM, 0x63), OP(0, 0x1e), OP(0, 0x1f), OP(0, 0x0f, 0xa8), OP(0, 0x0f, 0xa1),
	OP(MODRM, 0xc4), OP(MODRM, 0x0f, 0xb2), OP(MODRM, 0x0f, 0xb4), OP(0, 0x0f, 0x01, 0xf8),
	OP(0, 0x0f, 0x01, 0xca), OP(0, 0x0f, 0x01, 0xcb),
	/* What exits. */
	OP(0, 0x0f, 0xa2), OP(0, 0x0f, 0xa2), OP(UNREPEATABLE, 0x0f, 0x30), OP(UNREPEATABLE, 0x0f, 0x32),
	OP(UNREPEATABLE, 0x0f, 0x31), OP(UNREPEATABLE, 0x0f, 0x01, 0xf9), OP(UNREPEATABLE, 0x0f, 0x33),
	OP(0, 0x0f, 0x01, 0xd0), OP(0, 0x0f, 0x01, 0xd1), OP(0, 0x0f, 0x08), OP(0, 0x0f, 0x09),
	OP(UNREPEATABLE, 0xf3, 0x0f, 0xc7, 0xf8), OP(UNREPEATABLE, 0x0f, 0xc7, 0xf0), OP(UNREPEATABLE, 0x0f, 0xc7, 0xf8),
	OP(0, 0xf4), OP(0, 0xf3, 0x90), OP(0, 0x0f, 0x01, 0xc8), OP(0, 0x0f, 0x01, 0xc9), OP(MODRM, 0x66, 0x0f, 0x38, 0x82),
	OP(MODRM, 0x0f, 0xae), OP(MODRM, 0xf3, 0x0f, 0xae), OP(MODRM, 0x0f, 0xc7),
	/* Those of hypervisors. */
	OP(UNREPEATABLE, 0x0f, 0x01, 0xc1), OP(UNREPEATABLE, 0x0f, 0x01, 0xd9), OP(0, 0x0f, 0x01, 0xc2),
	OP(0, 0x0f, 0x01, 0xc3), OP(0, 0x0f, 0x01, 0xc4), OP(0, 0x0f, 0x01, 0xd8), OP(0, 0x0f, 0x01, 0xda),
	OP(0, 0x0f, 0x01, 0xdb), OP(0, 0x0f, 0x01, 0xde),
	/* Stock KVM lets guests execute them where the CPU has virtual GIF. */
	OP(UNREPEATABLE, 0x0f, 0x01, 0xdc), OP(UNREPEATABLE, 0x0f, 0x01, 0xdd),
	OP(0, 0x0f, 0x01, 0xdf), OP(MODRM, 0x0f, 0x78), OP(MODRM, 0x0f, 0x79), OP(MODRM, 0x66, 0x0f, 0x38, 0x80),
	OP(MODRM, 0x66, 0x0f, 0x38, 0x81), OP(MODRM, 0x66, 0x0f, 0xc7), OP(MODRM, 0xf3, 0x0f, 0xc7), OP(0, 0x0f, 0x01, 0xd4),
	OP(0, 0x0f, 0x37), OP(0, 0x0f, 0x01, 0xcf), OP(0, 0x0f, 0x01, 0xc0), OP(0, 0x0f, 0xaa), OP(0, 0x0f, 0x01, 0xc5),
	/* Events and flags. */
	OP(IMM8, 0xcd), OP(0, 0xcc), OP(0, 0xce), OP(0, 0xf1), OP(0, 0x0f, 0x0b), OP(0, 0x9c), OP(0, 0x9d), OP(0, 0xfa),
	OP(0, 0xfb), OP(0, 0xfb), OP(0, 0xfc), OP(0, 0xfd), OP(MODRM, 0x0f, 0xff), OP(MODRM, 0x62), OP(0, 0x17),
	/* Far, and ways between rings. */
	OP(FAR | RARE, 0xea), OP(FAR | RARE, 0x9a), OP(RARE, 0xcf), OP(RARE, 0x48, 0xcf), OP(RARE, 0xcb), OP(RARE, 0x0f, 0x34),
	OP(RARE | USER, 0x0f, 0x35), OP(RARE, 0x0f, 0x05), OP(RARE | USER, 0x0f, 0x07), OP(RARE | USER, 0x48, 0x0f, 0x07),
	OP(RARE, 0xc3),
	/* Vector and floating point. */
	OP(MODRM, 0x0f, 0x10), OP(MODRM, 0x0f, 0x11), OP(MODRM, 0x0f, 0x28), OP(MODRM, 0x0f, 0x29), OP(MODRM, 0x0f, 0x2b),
	OP(MODRM, 0x66, 0x0f, 0x6f), OP(MODRM, 0x66, 0x0f, 0x7f), OP(MODRM, 0xf3, 0x0f, 0x7f), OP(MODRM, 0x0f, 0x6f),
	OP(MODRM, 0x66, 0x0f, 0xd6), OP(MODRM, 0xc5, 0xf8, 0x10), OP(MODRM, 0xc5, 0xfc, 0x11), OP(MODRM, 0xd9), OP(MODRM, 0xdd),
	OP(MODRM, 0xdf), OP(MODRM, 0xdb), OP(0, 0x9b), OP(MODRM, 0x66, 0x0f, 0xe7),
};

static const u8 prefixes[] = { 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

/* Memory, the end of a page and of memory, a device, nothing. */
static u32 address(struct rng *rng)
{
	static const u32 places[] = {
		GUEST_DATA, GUEST_DATA + 0xfff, GUEST_DATA + 0xffc, GUEST_FREE, MMIO_BASE, MMIO_BASE, MMIO_BASE + 0xffd,
		RAM_SIZE - 4, GUEST_STACK, GUEST_CODE, GUEST_GDT, GUEST_IDT, GUEST_PML4, GUEST_PD, UNMAPPED_GVA, 0xfffffffe, 0xfee00020,
	};

	return PICK(rng, places) + (chance(rng, 20) ? below(rng, 16) : 0);
}

struct writer {
	u8 *at, *end;
	int bits;
};

static void put(struct writer *w, u32 value, u32 size)
{
	if (w->at + size > w->end)
		size = w->end - w->at;
	memcpy(w->at, &value, size);
	w->at += size;
}

/* [address], or any other form. */
static void put_modrm(struct rng *rng, struct writer *w)
{
	u8 reg = below(rng, 8) << 3;

	if (chance(rng, 40)) {
		put(w, rnd(rng) & 0xff, 1);
		if (chance(rng, 50))
			put(w, rnd(rng), 1 + below(rng, 4));
		return;
	}
	if (w->bits == 16) {
		put(w, reg | 6, 1);
		put(w, address(rng), 2);
	} else if (w->bits == 32) {
		put(w, reg | 5, 1);
		put(w, address(rng), 4);
	} else {
		put(w, reg | 4, 1);
		put(w, 0x25, 1);
		put(w, address(rng), 4);
	}
}

/* Something that instructions use by itself: a count, a port, an index, an address. */
static void put_load(struct rng *rng, struct writer *w)
{
	static const u32 indices[] = {
		0, 1, 2, 7, 0xb, 0xd, 0x10, 0x1b, 0x3b, 0x174, 0x1a0, 0x1d9, 0x277, 0x2ff, 0x6e0, 0x802, 0x830, 0xda0, 0xc0000080,
		0xc0000081, 0xc0000082, 0xc0000100, 0xc0000102, 0x40000000, 0x40000001, 0x4b564d01, 0x80000001, 0x80000008,
	};
	u32 value = below(rng, 2) ? address(rng) : below(rng, 2) ? PICK(rng, indices) : rnd_value(rng);
	u8 reg = below(rng, 8);

	/* The stack stays, mostly. */
	if (reg == 4 && chance(rng, 80))
		reg = 1;
	if (w->bits == 16)
		put(w, 0x66, 1);
	put(w, 0xb8 | reg, 1);
	put(w, value, 4);
}

static void put_insn(struct rng *rng, struct writer *w, const struct limits *limits)
{
	const struct insn *insn = &PICK(rng, insns);

	if (limits->repeatable && (insn->how & UNREPEATABLE))
		return;
	if ((insn->how & RARE) && (chance(rng, 70) || (limits->kernel && (insn->how & USER))))
		return;
	while (chance(rng, 12))
		put(w, PICK(rng, prefixes), 1);
	if (w->bits == 64 && chance(rng, 25))
		put(w, 0x40 | below(rng, 16), 1);
	for (u32 i = 0; i < insn->len; i++)
		put(w, insn->op[i], 1);
	if (insn->how & MODRM)
		put_modrm(rng, w);
	if (insn->how & IMM8)
		put(w, chance(rng, 50) ? 0x10 : rnd_value(rng), 1);
	if (insn->how & IMMZ)
		put(w, chance(rng, 50) ? address(rng) : rnd_value(rng), w->bits == 16 ? 2 : 4);
	if (insn->how & FAR) {
		put(w, GUEST_CODE + below(rng, 64), w->bits == 16 ? 2 : 4);
		put(w, chance(rng, 80) ? 8 * below(rng, 10) | below(rng, 4) : rnd_value(rng), 2);
	}
}

void code_make(struct rng *rng, u8 *at, size_t size, int bits, const struct limits *limits)
{
	u32 n = 1 + below(rng, 40);
	/* What is behind it halts. */
	struct writer w = { at, at + size - 1, bits };

	memset(at, 0xf4, size);
	while (n--) {
		if (chance(rng, 30))
			put_load(rng, &w);
		else if (!limits->repeatable && chance(rng, 5))
			put(&w, rnd(rng), 1 + below(rng, 4));
		else
			put_insn(rng, &w, limits);
	}
}
