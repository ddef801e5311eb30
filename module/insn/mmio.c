// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: instructions that touch device memory
 *
 * ops.c says what an instruction does with its operands. Here they are found and accessed, each in pieces of at most
 * eight bytes that end at page boundaries: in memory where there is some, by a device of the kernel's or else by userspace
 * where there is none. Between two pieces the state is in vcpu->mmio; registers, flags and RIP change only after the last
 * one. One iteration of a string instruction at a time: the CPU executes the rest, and exits again if need be.
 */
#include <asm/processor-flags.h>
#include <linux/bitops.h>
#include <linux/mm.h>

#include "../cpu/fpu.h"
#include "../cpu/vendor.h"
#include "../irq/irq.h"
#include "../mem/mem.h"
#include "../observe/trace.h"
#include "../run/run.h"
#include "peek.h"

#define PIECE_MAX	8	/* bytes of an exit to userspace */

static bool is_vector(const struct vmlet_op *op)
{
	return op->compute >= VMLET_VECTOR;
}

/* Everything is loaded. */
static void execute(struct vmlet_vcpu *vcpu)
{
	struct vmlet_work *work = &vcpu->mmio.work;

	if (is_vector(vcpu->mmio.op))
		vmlet_fpu_vector(vcpu, vcpu->insn.reg, work->vector, vcpu->insn.vex);
	vmlet_need(vcpu, VMLET_G_RSP);
	work->flags = vmlet_rflags(vcpu);
	vmlet_op_execute(vcpu->mmio.op, &vcpu->insn, vcpu->regs, work);
}

#define STATUS_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

/* All accesses are done: now the rest of the instruction's effects. */
static int commit(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_op *op = vcpu->mmio.op;
	const struct vmlet_work *work = &vcpu->mmio.work;
	u64 rsp = vmlet_gpr(vcpu, VMLET_RSP);
	bool done;

	if ((vmlet_rflags(vcpu) ^ work->flags) & STATUS_FLAGS) {
		vmlet_replace(vcpu, VMLET_G_RFLAGS);
		vcpu->rflags = (vcpu->rflags & ~(u64)STATUS_FLAGS) | (work->flags & STATUS_FLAGS);
	}
	if (is_vector(op) && op->what & VMLET_OP_LOAD)
		vmlet_fpu_vector_set(vcpu, vcpu->insn.reg, work->vector, vcpu->insn.vex);
	done = vmlet_op_commit(op, &vcpu->insn, vcpu->regs, work);
	if (vcpu->regs[VMLET_RSP] != rsp)
		vmlet_replace(vcpu, VMLET_G_RSP);
	vmlet_skip_len(vcpu, done ? vcpu->insn.len : 0);
	return VMLET_RESUME;
}

static int proceed(struct vmlet_vcpu *vcpu);
static int complete_piece(struct vmlet_vcpu *vcpu);

static void *piece_data(struct vmlet_vcpu *vcpu)
{
	return (u8 *)vcpu->mmio.work.mem[vcpu->mmio.step] + vcpu->mmio.done;
}

static bool is_storing(const struct vmlet_vcpu *vcpu)
{
	return vcpu->mmio.step == VMLET_MEM_DST;
}

/* @data: NULL if it is not known yet. */
static void trace_mmio(int type, gpa_t gpa, unsigned int len, const void *data)
{
	u64 value = 0;

	if (!trace_kvm_mmio_enabled())
		return;
	if (data)
		memcpy(&value, data, len);
	trace_kvm_mmio(type, len, gpa, value);
}

static int ask_userspace(struct vmlet_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_run *run = vcpu->run;

	run->mmio.phys_addr = gpa;
	run->mmio.len = vcpu->mmio.piece;
	run->mmio.is_write = is_storing(vcpu);
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (is_storing(vcpu))
		memcpy(run->mmio.data, piece_data(vcpu), vcpu->mmio.piece);
	vcpu->stats->mmio_exits++;
	trace_mmio(is_storing(vcpu) ? VMLET_MMIO_WRITE : VMLET_MMIO_READ_UNSATISFIED, gpa, vcpu->mmio.piece,
		   is_storing(vcpu) ? piece_data(vcpu) : NULL);
	return vmlet_to_user(vcpu, KVM_EXIT_MMIO, complete_piece);
}

static bool ask_device(struct vmlet_vcpu *vcpu, gpa_t gpa)
{
	bool done;

	scoped_guard(rcu)
		done = vmlet_bus_access(vcpu, VMLET_BUS_MMIO, gpa, vcpu->mmio.piece, piece_data(vcpu), is_storing(vcpu));
	if (done)
		trace_mmio(is_storing(vcpu) ? VMLET_MMIO_WRITE : VMLET_MMIO_READ, gpa, vcpu->mmio.piece, piece_data(vcpu));
	return done;
}

/* 0; -ENXIO: neither memory nor a device of the kernel's. Memory comes first, except before a local APIC. */
static int access_piece(struct vmlet_vcpu *vcpu, gpa_t gpa)
{
	int ret;

	if (vmlet_mem_has_apic(vcpu->vm, gpa >> PAGE_SHIFT, 1) && ask_device(vcpu, gpa))
		return 0;
	if (is_storing(vcpu))
		ret = vmlet_mem_write(vcpu, gpa, piece_data(vcpu), vcpu->mmio.piece);
	else
		ret = vmlet_mem_read(vcpu, gpa, piece_data(vcpu), vcpu->mmio.piece);
	return ret == -ENXIO && ask_device(vcpu, gpa) ? 0 : ret;
}

/* The rest of an operand. VMLET_SKIP: done; VMLET_TO_USER; -errno. */
static int transfer(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_span *span = &vcpu->mmio.span[vcpu->mmio.step];
	gpa_t gpa;
	int ret;

	for (; vcpu->mmio.done < span->len; vcpu->mmio.done += vcpu->mmio.piece) {
		vcpu->mmio.piece = min_t(unsigned int, vmlet_span_piece(span, vcpu->mmio.done, &gpa), PIECE_MAX);
		ret = access_piece(vcpu, gpa);
		if (ret == -ENXIO)
			return ask_userspace(vcpu, gpa);
		if (ret)
			return ret;
	}
	return VMLET_SKIP;
}

static int port_answered(struct vmlet_vcpu *vcpu)
{
	if (vcpu->pio.in)
		memcpy(vcpu->mmio.work.mem[VMLET_MEM_DST], vcpu->pio_data, vcpu->pio.size);
	return proceed(vcpu);
}

/* Between load and store. */
static int compute(struct vmlet_vcpu *vcpu)
{
	if (vcpu->mmio.op->compute != VMLET_PORT) {
		execute(vcpu);
		return VMLET_SKIP;
	}
	vcpu->mmio.work.flags = vmlet_rflags(vcpu);
	if (!vcpu->pio.in)
		memcpy(vcpu->pio_data, vcpu->mmio.work.mem[VMLET_MEM_SRC], vcpu->pio.size);
	return vmlet_string_port(vcpu, port_answered);
}

/* Load, compute, store, commit: from where the instruction stands. */
static int proceed(struct vmlet_vcpu *vcpu)
{
	int ret;

	for (;;) {
		ret = transfer(vcpu);
		if (ret != VMLET_SKIP)
			return ret;
		if (is_storing(vcpu))
			return commit(vcpu);
		vcpu->mmio.step++;
		vcpu->mmio.done = 0;
		if (is_storing(vcpu)) {
			ret = compute(vcpu);
			if (ret != VMLET_SKIP)
				return ret;
		}
	}
}

static void trace_answer(struct vmlet_vcpu *vcpu)
{
	gpa_t gpa;

	vmlet_span_piece(&vcpu->mmio.span[vcpu->mmio.step], vcpu->mmio.done, &gpa);
	trace_mmio(VMLET_MMIO_READ, gpa, vcpu->mmio.piece, piece_data(vcpu));
}

/* Userspace has done its piece. The run page is read once, and what it says of the address not at all. */
static int complete_piece(struct vmlet_vcpu *vcpu)
{
	if (!is_storing(vcpu)) {
		memcpy(piece_data(vcpu), vcpu->run->mmio.data, vcpu->mmio.piece);
		if (trace_kvm_mmio_enabled())
			trace_answer(vcpu);
	}
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

static int map(struct vmlet_vcpu *vcpu, u8 seg, u64 ea, u8 access, unsigned int which)
{
	return vmlet_span_map(vcpu, seg, ea, vmlet_op_bytes(vcpu->mmio.op, &vcpu->insn), access,
			      &vcpu->mmio.span[which]);
}

/* The operand that ModRM names. */
static int map_named(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_insn *insn = &vcpu->insn;
	const struct vmlet_op *op = vcpu->mmio.op;
	unsigned int bytes = vmlet_op_bytes(op, insn);
	u64 ea = vmlet_op_address(op, insn, vcpu->regs);
	u8 access = (op->what & VMLET_OP_LOAD ? VMLET_ACCESS_READ : 0) |
		    (op->what & VMLET_OP_STORE ? VMLET_ACCESS_WRITE : 0);
	unsigned int which = op->what & VMLET_OP_LOAD ? VMLET_MEM_SRC : VMLET_MEM_DST;
	gva_t linear;
	int ret = 0;

	if (op->what & VMLET_OP_ALIGN && bytes >= 16 && vmlet_linear(vcpu, insn->seg, ea, bytes, false, &linear) &&
	    linear & (bytes - 1))
		return vmlet_inject_gp(vcpu);
	if (!is_translated(vcpu, ea, bytes, access, &vcpu->mmio.span[which]))
		ret = map(vcpu, insn->seg, ea, access, which);
	if (access == (VMLET_ACCESS_READ | VMLET_ACCESS_WRITE))
		vcpu->mmio.span[VMLET_MEM_DST] = vcpu->mmio.span[VMLET_MEM_SRC];
	return ret;
}

static unsigned int stack_bytes(struct vmlet_vcpu *vcpu)
{
	if (vmlet_is_64bit(vcpu))
		return 8;
	vmlet_need(vcpu, VMLET_G_SEGS);
	return vcpu->seg[VMLET_SS].db ? 4 : 2;
}

static int map_stack(struct vmlet_vcpu *vcpu, unsigned int below, u8 access, unsigned int which)
{
	u64 mask = vmlet_size_mask(vcpu->mmio.work.stack_bytes);

	return map(vcpu, VMLET_SS, (vmlet_gpr(vcpu, VMLET_RSP) - below) & mask, access, which);
}

static int map_string(struct vmlet_vcpu *vcpu, u8 seg, u8 index, u8 access, unsigned int which)
{
	return map(vcpu, seg, vmlet_string_address(vcpu->regs, &vcpu->insn, index), access, which);
}

/*
 * Check and translate before the first access: a fault must find the instruction without effects. In the order in which
 * the CPU does it.
 */
static int map_operands(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_insn *insn = &vcpu->insn;
	u32 what = vcpu->mmio.op->what;
	int ret = 0;

	memset(vcpu->mmio.span, 0, sizeof(vcpu->mmio.span));
	vcpu->mmio.work.stack_bytes = stack_bytes(vcpu);
	if (what & VMLET_OP_FROM_SI)
		ret = map_string(vcpu, insn->seg, VMLET_RSI, VMLET_ACCESS_READ, VMLET_MEM_SRC);
	if (!ret && what & VMLET_OP_FROM_DI)
		ret = map_string(vcpu, VMLET_ES, VMLET_RDI, VMLET_ACCESS_READ,
				 what & VMLET_OP_FROM_SI ? VMLET_MEM_OTHER : VMLET_MEM_SRC);
	if (!ret && what & VMLET_OP_TO_DI)
		ret = map_string(vcpu, VMLET_ES, VMLET_RDI, VMLET_ACCESS_WRITE, VMLET_MEM_DST);
	if (!ret && what & VMLET_OP_POP)
		ret = map_stack(vcpu, 0, VMLET_ACCESS_READ, VMLET_MEM_SRC);
	if (!ret && insn->is_mem)
		ret = map_named(vcpu);
	if (!ret && what & VMLET_OP_PUSH)
		ret = map_stack(vcpu, insn->op_bytes, VMLET_ACCESS_WRITE, VMLET_MEM_DST);
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

#define NO_MOVE	(VMLET_OP_STRING | VMLET_OP_SWAP | VMLET_OP_POP | VMLET_OP_PUSH)

/* Nothing but a move between memory and a register, or of an immediate value. A segment with a base is not worth it. */
static const struct vmlet_op *find_move(const struct vmlet_insn *insn)
{
	const struct vmlet_op *op = vmlet_op_find(insn);

	if (!op || op->compute != VMLET_MOV || op->what & NO_MOVE || insn->seg == VMLET_FS || insn->seg == VMLET_GS)
		return NULL;
	return op;
}

/* Is its operand what faulted? One in two pages may have faulted in the second. */
static bool is_of_fault(struct vmlet_vcpu *vcpu, const struct vmlet_code *code)
{
	unsigned int offset = offset_in_page(vcpu->exit.fault.gpa);
	u8 access = code->op->what & VMLET_OP_STORE ? VMLET_ACCESS_WRITE : VMLET_ACCESS_READ;

	return vcpu->exit.fault.access & access && offset_in_page(code->insn.ea) == offset &&
	       offset + vmlet_op_bytes(code->op, &code->insn) <= PAGE_SIZE;
}

/* Leave the move as the last return from a device would find it: vmlet_mmio_ask() has only to ask. */
static void leave_move(struct vmlet_vcpu *vcpu, const struct vmlet_code *code, unsigned int bytes)
{
	struct vmlet_span span = { .gpa[0] = vcpu->exit.fault.gpa, .len = bytes, .first = bytes };

	vcpu->insn = code->insn;
	vcpu->mmio.op = code->op;
	vcpu->mmio.span[VMLET_MEM_OTHER].len = vcpu->mmio.span[VMLET_MEM_DST].len = 0;
	vcpu->mmio.step = code->op->what & VMLET_OP_STORE ? VMLET_MEM_DST : VMLET_MEM_SRC;
	vcpu->mmio.span[vcpu->mmio.step] = span;
	vcpu->mmio.done = 0;
	vcpu->mmio.piece = bytes;
	vcpu->exit.fault.prepared = true;
}

static u64 stored_value(struct vmlet_vcpu *vcpu, const struct vmlet_insn *insn, const struct vmlet_op *op)
{
	u8 nr = vmlet_op_register(op, insn);

	if (op->what & VMLET_OP_IMM)
		return insn->imm;
	/* What is above the operand's size does not matter. */
	if (insn->op_bytes > 1 && nr != VMLET_RSP)
		return vcpu->regs[nr];
	return vmlet_operand(vcpu, insn, nr, insn->op_bytes);
}

/* Where vcpu->exit has faulted and @code->op says which move it is. */
static int do_move(struct vmlet_vcpu *vcpu, const struct vmlet_code *code)
{
	const struct vmlet_op *op = code->op;
	const struct vmlet_insn *insn = &code->insn;
	unsigned int bytes = vmlet_op_bytes(op, insn);
	bool store = op->what & VMLET_OP_STORE;
	u64 *value = vcpu->mmio.work.mem[store ? VMLET_MEM_DST : VMLET_MEM_SRC];

	*value = store ? stored_value(vcpu, insn, op) : 0;
	if (!vmlet_bus_access(vcpu, VMLET_BUS_MMIO, vcpu->exit.fault.gpa, bytes, value, store)) {
		leave_move(vcpu, code, bytes);
		return VMLET_SLOW;
	}
	trace_kvm_mmio(store ? VMLET_MMIO_WRITE : VMLET_MMIO_READ, bytes, vcpu->exit.fault.gpa, *value);
	if (op->what & VMLET_OP_LOAD)
		vmlet_operand_set(vcpu, insn, vmlet_op_register(op, insn), insn->op_bytes,
				  op->what & VMLET_OP_SIGN ? sign_extend64(*value, 8 * bytes - 1) : *value);
	vcpu->exit.insn_len = insn->len;
	return VMLET_SKIP;
}

int vmlet_mmio_move(struct vmlet_vcpu *vcpu)
{
	struct vmlet_code *code;

	if (is_delivering(vcpu))
		return VMLET_SLOW;
	code = vmlet_insn_peek(vcpu, vmlet_slots(vcpu->vm));
	if (!code)
		return VMLET_SLOW;
	if (!code->op)
		code->op = find_move(&code->insn);
	return code->op && is_of_fault(vcpu, code) ? do_move(vcpu, code) : VMLET_SLOW;
}

int vmlet_mmio_ask(struct vmlet_vcpu *vcpu)
{
	return ask_userspace(vcpu, vcpu->exit.fault.gpa);
}

/* vcpu->insn, whose row is vcpu->mmio.op, from its beginning. */
static int begin(struct vmlet_vcpu *vcpu)
{
	int ret = map_operands(vcpu);

	if (ret)
		return ret;
	memset(vcpu->mmio.work.mem, 0, sizeof(vcpu->mmio.work.mem));
	vcpu->mmio.done = 0;
	vcpu->mmio.step = VMLET_MEM_SRC;
	return proceed(vcpu);
}

int vmlet_mmio_port(struct vmlet_vcpu *vcpu)
{
	vcpu->mmio.op = vmlet_op_find(&vcpu->insn);
	return begin(vcpu);
}

/* The CPU has asked that already, but of bytes that may have been others. */
static bool is_undefined(struct vmlet_vcpu *vcpu)
{
	const struct vmlet_insn *insn = &vcpu->insn;

	if (insn->lock && !(vcpu->mmio.op->what & VMLET_OP_LOCK))
		return true;
	return insn->vex && !(vcpu->xcr0 & XFEATURE_MASK_YMM);
}

int vmlet_mmio_emulate(struct vmlet_vcpu *vcpu)
{
	struct vmlet_insn *insn = &vcpu->insn;
	const struct vmlet_op *op;
	int ret;

	if (vcpu->exit.fault.access & VMLET_ACCESS_EXEC || is_delivering(vcpu))
		return vmlet_emulation_failed(vcpu, NULL, 0);
	ret = vmlet_insn_decode(vcpu, insn);
	if (ret == -ENXIO)
		return vmlet_emulation_failed(vcpu, NULL, 0);
	if (ret && ret != -EINVAL)
		return ret;
	op = ret ? NULL : vmlet_op_find(insn);
	if (!op || op->compute == VMLET_PORT)
		return vmlet_emulation_failed(vcpu, insn->bytes, insn->len);
	vcpu->mmio.op = op;
	if (is_undefined(vcpu))
		return vmlet_inject_ud(vcpu);
	if (op->what & VMLET_OP_STRING && !vmlet_string_count(vcpu->regs, insn))
		return vmlet_string_done(vcpu, insn, 0);
	return begin(vcpu);
}
