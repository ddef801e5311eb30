// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: instructions that touch device memory
 *
 * A table says what an instruction does with its memory operand: load, compute, store, write a
 * register. The steps are the same for all of them; each access is done in pieces that end at page
 * boundaries, in memory where there is some, by userspace where there is none. Between two pieces
 * the state is in vcpu->mmio; registers, flags and RIP change only after the last one. One
 * iteration of a string instruction at a time: the CPU executes the rest, and exits again if need
 * be.
 */
#include <asm/processor-flags.h>
#include <linux/bitops.h>
#include <linux/mm.h>

#include "../cpu/vendor.h"
#include "../mem/mem.h"
#include "../run/run.h"
#include "insn.h"

/* What the instruction does with the memory operand. */
#define LOAD	0x001
#define STORE	0x002
#define TO_REG	0x004	/* the result goes to the other operand, not to memory */
#define SIGN	0x008	/* sign-extends what it loads */
#define SWAP	0x010	/* what was loaded goes to the register */
#define FLAGS	0x020	/* changes status flags */

/* The other operand, where it is not the register of ModRM.reg. */
#define IMM	0x040
#define ONE	0x080
#define ACC	0x100

/* Where memory is, when ModRM does not say it. */
#define FROM_SI	0x200
#define TO_DI	0x400
#define STRING	(FROM_SI | TO_DI)

#define ONLY64	0x800	/* another instruction outside 64-bit mode */

#define STATUS_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

#define ANY	(-1)

/* How the result comes about. The first eight are numbered as the opcodes do it. */
enum compute {
	ADD, OR, ADC, SBB, AND, SUB, XOR, CMP,
	MOV, NOT, NEG, INC, DEC, BIT,
	BY_OPCODE, BY_EXT,	/* one of the first eight, by bits 3 to 5 of the opcode or by ModRM.reg */
};

/* The first row that matches is taken. */
struct vmlet_mmio_op {
	u8 map, mask, opcode;
	s8 ext;			/* ModRM.reg, or ANY */
	u8 mem_bytes;		/* size of the memory operand if it is not the operand size */
	u8 compute;
	u16 what;
};

static const struct vmlet_mmio_op ops[] = {
	{ 0, 0xfe, 0x88, ANY, 0, MOV, STORE },				/* mov mem, reg */
	{ 0, 0xfe, 0x8a, ANY, 0, MOV, LOAD | TO_REG },			/* mov reg, mem */
	{ 0, 0xfe, 0xc6, 0, 0, MOV, STORE | IMM },			/* mov mem, imm */
	{ 0, 0xfe, 0xa0, ANY, 0, MOV, LOAD | TO_REG | ACC },		/* mov acc, moffs */
	{ 0, 0xfe, 0xa2, ANY, 0, MOV, STORE | ACC },			/* mov moffs, acc */
	{ 1, 0xff, 0xb6, ANY, 1, MOV, LOAD | TO_REG },			/* movzx */
	{ 1, 0xff, 0xb7, ANY, 2, MOV, LOAD | TO_REG },
	{ 1, 0xff, 0xbe, ANY, 1, MOV, LOAD | TO_REG | SIGN },		/* movsx */
	{ 1, 0xff, 0xbf, ANY, 2, MOV, LOAD | TO_REG | SIGN },
	{ 0, 0xff, 0x63, ANY, 4, MOV, LOAD | TO_REG | SIGN | ONLY64 },	/* movsxd */
	{ 1, 0xff, 0xc3, ANY, 0, MOV, STORE },				/* movnti */
	{ 0, 0xfe, 0xa4, ANY, 0, MOV, LOAD | STORE | FROM_SI | TO_DI },	/* movs */
	{ 0, 0xfe, 0xaa, ANY, 0, MOV, STORE | ACC | TO_DI },		/* stos */
	{ 0, 0xfe, 0xac, ANY, 0, MOV, LOAD | TO_REG | ACC | FROM_SI },	/* lods */
	{ 0, 0xfe, 0x86, ANY, 0, MOV, LOAD | STORE | SWAP },		/* xchg */
	{ 0, 0xfe, 0x38, ANY, 0, CMP, LOAD | FLAGS },			/* cmp mem, reg */
	{ 0, 0xfe, 0x3a, ANY, 0, CMP, LOAD | FLAGS | TO_REG },		/* cmp reg, mem */
	{ 0, 0xfe, 0x80, 7, 0, CMP, LOAD | FLAGS | IMM },		/* cmp mem, imm */
	{ 0, 0xff, 0x83, 7, 0, CMP, LOAD | FLAGS | IMM },
	{ 0, 0xfe, 0x84, ANY, 0, AND, LOAD | FLAGS },			/* test */
	{ 0, 0xfe, 0xf6, 0, 0, AND, LOAD | FLAGS | IMM },
	{ 0, 0xfe, 0xf6, 1, 0, AND, LOAD | FLAGS | IMM },
	{ 0, 0xc6, 0x00, ANY, 0, BY_OPCODE, LOAD | STORE | FLAGS },	/* add ... xor mem, reg */
	{ 0, 0xc6, 0x02, ANY, 0, BY_OPCODE, LOAD | TO_REG | FLAGS },	/* add ... xor reg, mem */
	{ 0, 0xfe, 0x80, ANY, 0, BY_EXT, LOAD | STORE | FLAGS | IMM },	/* add ... xor mem, imm */
	{ 0, 0xff, 0x83, ANY, 0, BY_EXT, LOAD | STORE | FLAGS | IMM },
	{ 0, 0xfe, 0xf6, 2, 0, NOT, LOAD | STORE },
	{ 0, 0xfe, 0xf6, 3, 0, NEG, LOAD | STORE | FLAGS },
	{ 0, 0xfe, 0xfe, 0, 0, INC, LOAD | STORE | FLAGS | ONE },
	{ 0, 0xfe, 0xfe, 1, 0, DEC, LOAD | STORE | FLAGS | ONE },
	{ 1, 0xfe, 0xc0, ANY, 0, ADD, LOAD | STORE | FLAGS | SWAP },	/* xadd */
	{ 1, 0xff, 0xba, 4, 0, BIT, LOAD | FLAGS | IMM },		/* bt, bts, btr, btc mem, imm */
	{ 1, 0xff, 0xba, 5, 0, BIT, LOAD | STORE | FLAGS | IMM },
	{ 1, 0xff, 0xba, 6, 0, BIT, LOAD | STORE | FLAGS | IMM },
	{ 1, 0xff, 0xba, 7, 0, BIT, LOAD | STORE | FLAGS | IMM },
};

static u8 ext(const struct vmlet_insn *insn)
{
	return (insn->modrm >> 3) & 7;
}

static bool matches(const struct vmlet_mmio_op *op, const struct vmlet_insn *insn)
{
	if (op->map != insn->map || op->opcode != (insn->opcode & op->mask))
		return false;
	if (op->ext != ANY && op->ext != ext(insn))
		return false;
	if (op->what & ONLY64 && insn->mode_bytes != 8)
		return false;
	return op->what & STRING || insn->is_mem;
}

static const struct vmlet_mmio_op *find_op(const struct vmlet_insn *insn)
{
	const struct vmlet_mmio_op *op;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		if (matches(op, insn))
			return op;
	}
	return NULL;
}

static u64 truncate_to(u64 value, unsigned int bytes)
{
	return value & (~0ull >> (64 - 8 * bytes));
}

static u64 status_flags(u64 flags, u64 result, u64 carries, unsigned int bytes)
{
	unsigned int top = 8 * bytes - 1;

	flags &= ~STATUS_FLAGS;
	if (carries >> top & 1)
		flags |= X86_EFLAGS_CF;
	if (!(hweight8(result) & 1))
		flags |= X86_EFLAGS_PF;
	if (carries & 8)
		flags |= X86_EFLAGS_AF;
	if (!truncate_to(result, bytes))
		flags |= X86_EFLAGS_ZF;
	if (result >> top & 1)
		flags |= X86_EFLAGS_SF;
	/* signed overflow: the carries out of the top bit and into it differ */
	if ((carries ^ carries << 1) >> top & 1)
		flags |= X86_EFLAGS_OF;
	return flags;
}

/* @nr is one of the first eight of enum compute. Bit i of carries: the carry (borrow) out of bit i. */
static u64 arithmetic(unsigned int nr, u64 a, u64 b, unsigned int bytes, u64 *flags)
{
	u64 in = nr == ADC || nr == SBB ? *flags & X86_EFLAGS_CF : 0;
	u64 result, carries = 0;

	switch (nr) {
	case ADD: case ADC:
		result = a + b + in;
		carries = (a & b) | ((a | b) & ~result);
		break;
	case SUB: case SBB: case CMP:
		result = a - b - in;
		carries = (~a & b) | ((~a | b) & result);
		break;
	case OR:
		result = a | b;
		break;
	case AND:
		result = a & b;
		break;
	default:
		result = a ^ b;
	}
	*flags = status_flags(*flags, result, carries, bytes);
	return result;
}

static u64 step_by_one(unsigned int nr, u64 a, unsigned int bytes, u64 *flags)
{
	u64 carry = *flags & X86_EFLAGS_CF;
	u64 result = arithmetic(nr, a, 1, bytes, flags);

	*flags = (*flags & ~X86_EFLAGS_CF) | carry;
	return result;
}

/* bt, bts, btr, btc by @nr: CF is the bit as it was. */
static u64 bit_test(unsigned int nr, u64 a, u64 b, unsigned int bytes, u64 *flags)
{
	u64 bit = BIT_ULL(b & (8 * bytes - 1));

	*flags &= ~X86_EFLAGS_CF;
	if (a & bit)
		*flags |= X86_EFLAGS_CF;
	if (nr == 5)
		return a | bit;
	return nr == 6 ? a & ~bit : a ^ bit;
}

static u64 compute(const struct vmlet_insn *insn, unsigned int nr, u64 a, u64 b, u64 *flags)
{
	unsigned int bytes = insn->op_bytes;

	switch (nr) {
	case MOV:
		return b;
	case NOT:
		return ~a;
	case NEG:
		return arithmetic(SUB, 0, a, bytes, flags);
	case INC:
		return step_by_one(ADD, a, bytes, flags);
	case DEC:
		return step_by_one(SUB, a, bytes, flags);
	case BIT:
		return bit_test(ext(insn), a, b, bytes, flags);
	case BY_OPCODE:
		return arithmetic(insn->opcode >> 3 & 7, a, b, bytes, flags);
	case BY_EXT:
		return arithmetic(ext(insn), a, b, bytes, flags);
	default:
		return arithmetic(nr, a, b, bytes, flags);
	}
}

static unsigned int mem_bytes(const struct vmlet_insn *insn, const struct vmlet_mmio_op *op)
{
	return op->mem_bytes ?: insn->op_bytes;
}

static u8 register_nr(const struct vmlet_insn *insn, const struct vmlet_mmio_op *op)
{
	return op->what & ACC ? VMLET_RAX : insn->reg;
}

static u64 other_operand(struct vmlet_vcpu *vcpu, const struct vmlet_mmio_op *op)
{
	const struct vmlet_insn *insn = &vcpu->insn;

	if (op->what & IMM)
		return truncate_to(insn->imm, insn->op_bytes);
	if (op->what & ONE)
		return 1;
	return vmlet_operand(vcpu, insn, register_nr(insn, op), insn->op_bytes);
}

/* Between load and store. */
static void execute(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_mmio_op *op = vcpu->mmio.op;
	u64 a = vcpu->mmio.loaded, b;

	if (op->what & SIGN)
		a = sign_extend64(a, 8 * op->mem_bytes - 1);
	/* the string move has two operands in memory and no other one */
	b = (op->what & STRING) == STRING ? a : other_operand(vcpu, op);
	if (op->what & TO_REG)
		swap(a, b);
	vcpu->mmio.flags = vmlet_rflags(vcpu);
	vcpu->mmio.result = compute(&vcpu->insn, op->compute, a, b, &vcpu->mmio.flags);
}

/* All accesses are done: now the rest of the instruction's effects. */
static int commit(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_mmio_op *op = vcpu->mmio.op;
	const struct vmlet_insn *insn = &vcpu->insn;
	u8 nr = register_nr(insn, op);

	if (op->what & TO_REG && op->compute != CMP)
		vmlet_operand_set(vcpu, insn, nr, insn->op_bytes, vcpu->mmio.result);
	if (op->what & SWAP)
		vmlet_operand_set(vcpu, insn, nr, insn->op_bytes, vcpu->mmio.loaded);
	if (op->what & FLAGS) {
		vmlet_touch(vcpu, VMLET_G_RFLAGS);
		vcpu->rflags = vcpu->mmio.flags;
	}
	if (op->what & FROM_SI)
		vmlet_string_advance(vcpu, insn, VMLET_RSI, 1);
	if (op->what & TO_DI)
		vmlet_string_advance(vcpu, insn, VMLET_RDI, 1);
	if (op->what & STRING)
		return vmlet_string_done(vcpu, insn, 1);
	vmlet_skip_len(vcpu, insn->len);
	return VMLET_RESUME;
}

static int complete_piece(struct vmlet_vcpu *vcpu);

static void *piece_data(struct vmlet_vcpu *vcpu)
{
	u64 *value = vcpu->mmio.storing ? &vcpu->mmio.result : &vcpu->mmio.loaded;

	return (u8 *)value + vcpu->mmio.done;
}

static int ask_userspace(struct vmlet_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_run *run = vcpu->run;

	run->mmio.phys_addr = gpa;
	run->mmio.len = vcpu->mmio.piece;
	run->mmio.is_write = vcpu->mmio.storing;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (vcpu->mmio.storing)
		memcpy(run->mmio.data, piece_data(vcpu), vcpu->mmio.piece);
	return vmlet_to_user(vcpu, KVM_EXIT_MMIO, complete_piece);
}

/* The rest of the load or of the store. VMLET_SKIP: done; VMLET_TO_USER; -errno. */
static int transfer(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_span *span = vcpu->mmio.storing ? &vcpu->mmio.dst : &vcpu->mmio.src;
	gpa_t gpa;
	int ret;

	for (; vcpu->mmio.done < span->len; vcpu->mmio.done += vcpu->mmio.piece) {
		vcpu->mmio.piece = vmlet_span_piece(span, vcpu->mmio.done, &gpa);
		if (vcpu->mmio.storing)
			ret = vmlet_mem_write(vcpu, gpa, piece_data(vcpu), vcpu->mmio.piece);
		else
			ret = vmlet_mem_read(vcpu, gpa, piece_data(vcpu), vcpu->mmio.piece);
		if (ret == -ENXIO)
			return ask_userspace(vcpu, gpa);
		if (ret)
			return ret;
	}
	return VMLET_SKIP;
}

/* Load, execute, store, commit: from where the instruction stands. */
static int proceed(struct vmlet_vcpu *vcpu)
{
	int ret;

	if (!vcpu->mmio.storing) {
		ret = transfer(vcpu);
		if (ret != VMLET_SKIP)
			return ret;
		execute(vcpu);
		vcpu->mmio.storing = true;
		vcpu->mmio.done = 0;
	}
	ret = transfer(vcpu);
	return ret == VMLET_SKIP ? commit(vcpu) : ret;
}

/* Userspace has done its piece. The run page is read once. */
static int complete_piece(struct vmlet_vcpu *vcpu)
{
	if (!vcpu->mmio.storing)
		memcpy(piece_data(vcpu), vcpu->run->mmio.data, vcpu->mmio.piece);
	vcpu->mmio.done += vcpu->mmio.piece;
	return proceed(vcpu);
}

/*
 * The CPU has translated and checked the operand that faulted. It is this one if it is alone, at that place of a page,
 * and used no further than the access that exited.
 */
static bool is_translated(struct vmlet_vcpu *vcpu, u64 ea, unsigned int bytes, u8 access, struct vmlet_span *span)
{
	const struct vmlet_exit *exit = &vcpu->exit;
	gva_t linear;

	if (!exit->fault.final || (access & VMLET_ACCESS_WRITE && !(exit->fault.access & VMLET_ACCESS_WRITE)))
		return false;
	if (!vmlet_linear(vcpu, vcpu->insn.seg, ea, bytes, access & VMLET_ACCESS_WRITE, &linear))
		return false;
	if (offset_in_page(linear) != offset_in_page(exit->fault.gpa) || offset_in_page(linear) + bytes > PAGE_SIZE)
		return false;
	*span = (struct vmlet_span) { .gpa[0] = exit->fault.gpa, .len = bytes, .first = bytes };
	return true;
}

/* Check and translate before the first access: a fault must find the instruction without effects. */
static int map_operands(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_insn *insn = &vcpu->insn;
	const struct vmlet_mmio_op *op = vcpu->mmio.op;
	struct vmlet_span *src = &vcpu->mmio.src, *dst = &vcpu->mmio.dst;
	unsigned int bytes = mem_bytes(insn, op);
	u8 access = (op->what & LOAD ? VMLET_ACCESS_READ : 0) | (op->what & STORE ? VMLET_ACCESS_WRITE : 0);
	struct vmlet_span *span = op->what & LOAD ? src : dst;
	int ret = 0;

	src->len = dst->len = 0;
	if (op->what & FROM_SI)
		ret = vmlet_span_map(vcpu, insn->seg, vmlet_string_address(vcpu, insn, VMLET_RSI), bytes,
				     VMLET_ACCESS_READ, src);
	if (!ret && op->what & TO_DI)
		ret = vmlet_span_map(vcpu, VMLET_ES, vmlet_string_address(vcpu, insn, VMLET_RDI), bytes,
				     VMLET_ACCESS_WRITE, dst);
	if (op->what & STRING)
		return ret;

	if (!is_translated(vcpu, insn->ea, bytes, access, span))
		ret = vmlet_span_map(vcpu, insn->seg, insn->ea, bytes, access, span);
	if (!ret && access == (VMLET_ACCESS_READ | VMLET_ACCESS_WRITE))
		*dst = *src;
	return ret;
}

/*
 * The fault belongs to the delivery of an event, which is to be done again: its stack or a table is
 * where no memory is.
 */
static bool is_delivering(struct vmlet_vcpu *vcpu)
{
	return vcpu->events.mask & (VMLET_EV_EXCEPTION | VMLET_EV_REDO_NMI | VMLET_EV_REDO_IRQ);
}

int vmlet_mmio_emulate(struct vmlet_vcpu *vcpu)
{
	struct vmlet_insn *insn = &vcpu->insn;
	int ret;

	if (vcpu->exit.fault.access & VMLET_ACCESS_EXEC || is_delivering(vcpu))
		return vmlet_emulation_failed(vcpu, NULL, 0);
	ret = vmlet_insn_decode(vcpu, insn);
	if (ret == -ENXIO)
		return vmlet_emulation_failed(vcpu, NULL, 0);
	if (ret && ret != -EINVAL)
		return ret;
	vcpu->mmio.op = ret ? NULL : find_op(insn);
	if (!vcpu->mmio.op)
		return vmlet_emulation_failed(vcpu, insn->bytes, insn->len);
	if (vcpu->mmio.op->what & STRING && !vmlet_string_count(vcpu, insn))
		return vmlet_string_done(vcpu, insn, 0);

	ret = map_operands(vcpu);
	if (ret)
		return ret;
	vcpu->mmio.loaded = 0;
	vcpu->mmio.done = 0;
	vcpu->mmio.storing = false;
	return proceed(vcpu);
}
