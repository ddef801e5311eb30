// SPDX-License-Identifier: GPL-2.0
/*
 * The parser of instructions and what they do, compiled here from the module's own source,
 * against the CPU: a traced child executes random instructions, one at a time. Those of the
 * table change registers, flags and memory as the module's code does, and fault where it
 * finds a fault, without effects; random bytes are as long as it says: the CPU fetches no
 * byte more and none less. Needs no device.
 *
 *	decoder_native [SEED [COUNT]]
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <elf.h>
#include <linux/types.h>

#include "kselftest.h"

#include "lib/vm.h"

typedef __s8 s8;

#include "../module/insn/parse.c"
#undef MODRM
#include "../module/insn/ops.c"

/* Run it on the machine that built it: `make check` does. */
static const struct deviation emulators = {
	.qemu = "not a CPU to compare with: it stores a part of what then faults",
	.bochs_amd = "a single step of user code ends in the kernel",
	.bochs_intel = "a single step of user code ends in the kernel",
};

#define PAGE	0x1000ul
#define CODE	0x10000000ul	/* a page; nothing is behind it */
#define DATA	0x20000000ul	/* a page between two that are not there */
#define XSTATE	8192

static const u64 arith_flags = X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |
			       X86_EFLAGS_SF | X86_EFLAGS_OF;

/* What an instruction works on. */
struct state {
	u64 regs[16], rip, flags;
	u64 vector[4];		/* of the register that ModRM names */
	u8 data[PAGE];
};

struct outcome {
	int signal;		/* SIGTRAP: the instruction is done */
	u64 address;		/* of a fault */
};

static pid_t child;
static u8 *code, *data;
static u64 seed, random_state;
static struct user_regs_struct idle;
static u8 xstate[XSTATE] __attribute__((aligned(64)));
static size_t xstate_size;

static u64 rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned int below(unsigned int n)
{
	return (rnd() >> 20) % n;
}

static u8 *map_at(u64 address, int flags)
{
	u8 *p = mmap((void *)address, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | flags, -1, 0);

	if (p != (u8 *)address)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	return p;
}

static void fork_child(void)
{
	int status;

	child = fork();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		ksft_exit_skip("no child to trace\n");
	if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL) || ptrace(PTRACE_GETREGS, child, 0, &idle))
		ksft_exit_skip("no tracing here\n");
}

static void xstate_io(int request)
{
	struct iovec iov = { xstate, request == PTRACE_GETREGSET ? sizeof(xstate) : xstate_size };

	if (ptrace(request, child, NT_X86_XSTATE, &iov))
		ksft_exit_fail_msg("extended state: %s\n", strerror(errno));
	xstate_size = iov.iov_len;
}

/* Both halves of a vector register, in XSAVE's standard format. */
static void *vector_half(unsigned int nr, unsigned int half)
{
	return xstate + (half ? 576 : 160) + 16 * nr;
}

static void put_vector(const struct state *s, unsigned int nr)
{
	u64 *features = (u64 *)(xstate + 512);

	xstate_io(PTRACE_GETREGSET);
	*features |= 6;
	memcpy(vector_half(nr, 0), s->vector, 16);
	memcpy(vector_half(nr, 1), s->vector + 2, 16);
	xstate_io(PTRACE_SETREGSET);
}

static void get_vector(struct state *s, unsigned int nr)
{
	u64 features;

	xstate_io(PTRACE_GETREGSET);
	features = *(u64 *)(xstate + 512);
	memset(s->vector, 0, sizeof(s->vector));
	if (features & 2)
		memcpy(s->vector, vector_half(nr, 0), 16);
	if (features & 4)
		memcpy(s->vector + 2, vector_half(nr, 1), 16);
}

static unsigned long long *user_reg(struct user_regs_struct *u, unsigned int nr)
{
	unsigned long long *const regs[16] = {
		&u->rax, &u->rcx, &u->rdx, &u->rbx, &u->rsp, &u->rbp, &u->rsi, &u->rdi,
		&u->r8, &u->r9, &u->r10, &u->r11, &u->r12, &u->r13, &u->r14, &u->r15,
	};

	return regs[nr];
}

/* One step of the child from @s; what it is then. */
static struct outcome step_native(struct state *s, int vector)
{
	struct user_regs_struct u = idle;
	struct outcome outcome = {};
	siginfo_t info;
	int status, i;

	for (i = 0; i < 16; i++)
		*user_reg(&u, i) = s->regs[i];
	u.rip = s->rip;
	u.eflags = (u.eflags & ~(arith_flags | X86_EFLAGS_DF)) | s->flags;
	u.orig_rax = -1;
	memcpy(data, s->data, PAGE);
	if (vector >= 0)
		put_vector(s, vector);
	if (ptrace(PTRACE_SETREGS, child, 0, &u) || ptrace(PTRACE_SINGLESTEP, child, 0, 0) ||
	    waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		ksft_exit_fail_msg("the child is gone: seed %#llx\n", (unsigned long long)seed);
	ptrace(PTRACE_GETREGS, child, 0, &u);
	ptrace(PTRACE_GETSIGINFO, child, 0, &info);
	outcome.signal = WSTOPSIG(status);
	outcome.address = (u64)info.si_addr;
	for (i = 0; i < 16; i++)
		s->regs[i] = *user_reg(&u, i);
	s->rip = u.rip;
	s->flags = u.eflags & (arith_flags | X86_EFLAGS_DF);
	memcpy(s->data, data, PAGE);
	if (vector >= 0)
		get_vector(s, vector);
	return outcome;
}

/* ---- random instructions of the table ---- */

struct bytes {
	u8 b[16];
	unsigned int n;
	unsigned int disp;	/* where a displacement of four bytes is */
};

static void add(struct bytes *to, u64 value, unsigned int n)
{
	while (n--) {
		to->b[to->n++] = value;
		value >>= 8;
	}
}

/* ModRM, SIB and displacement; operands are put where they name them afterwards. */
static void add_memory(struct bytes *to, unsigned int reg)
{
	unsigned int mod = below(3), rm = below(8), base = rm;

	add(to, mod << 6 | reg << 3 | rm, 1);
	if (rm == 4) {
		base = below(8);
		add(to, below(4) << 6 | below(8) << 3 | base, 1);
	}
	to->disp = to->n;
	if (mod == 1)
		add(to, rnd(), 1);
	else if (mod == 2 || (mod == 0 && base == 5))
		add(to, (s64)(rnd() << 50) >> 50, 4);
}

static void add_prefixes(struct bytes *to, const struct vmlet_op *op)
{
	static const u8 ignored[] = { 0x26, 0x2e, 0x36, 0x3e };
	static const u8 mandatory[] = { 0, 0x66, 0xf3, 0xf2 };
	unsigned int pp;

	if (!below(8))
		add(to, ignored[below(4)], 1);
	if (!below(8))
		add(to, 0x67, 1);
	if (op->what & VMLET_OP_LOCK && !below(4))
		add(to, 0xf0, 1);
	if (op->what & VMLET_OP_STRING && below(2))
		add(to, 0xf2 + below(2), 1);
	if (op->what & VMLET_OP_PREFIXES) {
		do
			pp = below(4);
		while (!(op->what & VMLET_OP_NP << pp));
		if (pp)
			add(to, mandatory[pp], 1);
	} else if (!below(4)) {
		add(to, 0x66, 1);
	}
	if (below(2))
		add(to, 0x40 | below(16), 1);
}

static unsigned int pp_of(const struct vmlet_op *op)
{
	unsigned int pp;

	do
		pp = below(4);
	while (!(op->what & VMLET_OP_NP << pp));
	return pp;
}

static void add_vex(struct bytes *to, const struct vmlet_op *op)
{
	bool l = op->what & VMLET_OP_VL && below(2), w = op->what & VMLET_OP_W && below(2);

	if (!w && op->map == 1 && below(2)) {
		add(to, 0xc5, 1);
		add(to, below(2) << 7 | 0x78 | l << 2 | pp_of(op), 1);
		return;
	}
	add(to, 0xc4, 1);
	add(to, below(8) << 5 | op->map, 1);
	add(to, w << 7 | 0x78 | l << 2 | pp_of(op), 1);
}

static bool has_modrm(const struct vmlet_op *op)
{
	return op->map || one_byte[op->opcode] & 1;
}

static void make(struct bytes *to, const struct vmlet_op *op)
{
	unsigned int reg = op->ext == VMLET_ANY ? below(8) : (unsigned int)op->ext;

	to->n = to->disp = 0;
	if (op->what & VMLET_OP_VEX && below(2)) {
		add_vex(to, op);
	} else {
		add_prefixes(to, op);
		if (op->map)
			add(to, 0x0f, 1);
		if (op->map == 2)
			add(to, 0x38, 1);
	}
	add(to, op->opcode | (rnd() >> 30 & (u8)~op->mask), 1);
	if (has_modrm(op))
		add_memory(to, reg);
	while (to->n < sizeof(to->b))
		add(to, rnd() >> 9, 1);
}

static u64 address_of(const struct vmlet_insn *insn, const u64 *regs, u64 rip)
{
	u64 ea = insn->disp;

	if (insn->base == VMLET_REG_RIP)
		ea += rip + insn->len;
	else if (insn->base != VMLET_REG_NONE)
		ea += regs[insn->base];
	if (insn->index != VMLET_REG_NONE)
		ea += regs[insn->index] << insn->scale;
	return ea & vmlet_size_mask(insn->ad_bytes);
}

/* Registers such that most operands are in the data page, a few of them at its ends. */
static void randomize(struct state *s, struct vmlet_insn *insn, const struct vmlet_op *op, u64 at)
{
	unsigned int i, bytes = vmlet_op_bytes(op, insn);
	u64 target = DATA + below(PAGE), diff;

	if (!below(16))
		target = DATA + PAGE - 1 - below(32);
	if (op->what & VMLET_OP_ALIGN && below(8))
		target &= -(u64)bytes;
	for (i = 0; i < 16; i++)
		s->regs[i] = below(3) ? rnd() : (u64)(s64)(s8)rnd();
	for (i = 0; i < PAGE; i++)
		s->data[i] = rnd() >> 11;
	for (i = 0; i < 4; i++)
		s->vector[i] = rnd();
	s->regs[SP] = DATA + 64 + below(PAGE - 128);
	s->regs[SI] = DATA + below(PAGE);
	s->regs[DI] = DATA + below(PAGE);
	if (op->compute == VMLET_BIT && !(op->what & IMM) && insn->reg != insn->base)
		s->regs[insn->reg] = (s64)(rnd() << 44) >> 48;
	if (insn->index != VMLET_REG_NONE)
		s->regs[insn->index] = below(64);
	s->flags = (rnd() & arith_flags) | (below(2) ? X86_EFLAGS_DF : 0);
	s->rip = at;
	insn->ea = address_of(insn, s->regs, at);
	diff = target - vmlet_op_address(op, insn, s->regs);
	if (insn->base < 16)
		s->regs[insn->base] += diff;
	else if (insn->base == VMLET_REG_RIP)
		insn->disp += diff;
	if (insn->has_modrm && insn->base == insn->index && insn->base < 16)
		s->regs[insn->base] = target >> (1 + !!insn->scale);
	/* Compare and exchange ought to succeed sometimes. */
	if (op->compute == VMLET_CMPXCHG && below(2) && target + 16 <= DATA + PAGE) {
		memcpy(&s->regs[AX], &s->data[target - DATA], 8);
		memcpy(&s->regs[DX], &s->data[target - DATA + bytes / 2], 8);
	}
}

/* ---- the module's code at work ---- */

static bool load(struct state *s, u64 at, void *to, unsigned int bytes, bool write)
{
	void *from = s->data + (at - DATA);

	if (at < DATA || at + bytes > DATA + PAGE)
		return false;
	if (write)
		memcpy(from, to, bytes);
	else
		memcpy(to, from, bytes);
	return true;
}

static bool reachable(u64 at, unsigned int bytes)
{
	return at >= DATA && at + bytes <= DATA + PAGE;
}

/* Operands as mmio.c finds them. False: a fault. */
static bool find_operands(const struct vmlet_op *op, const struct vmlet_insn *insn, const struct state *s, u64 *at)
{
	unsigned int bytes = vmlet_op_bytes(op, insn), i;
	u64 named = vmlet_op_address(op, insn, s->regs);
	u64 si = vmlet_string_address(s->regs, insn, SI), di = vmlet_string_address(s->regs, insn, DI);

	if (op->what & FROM_SI)
		at[VMLET_MEM_SRC] = si;
	if (op->what & FROM_DI)
		at[op->what & FROM_SI ? VMLET_MEM_OTHER : VMLET_MEM_SRC] = di;
	if (op->what & TO_DI)
		at[VMLET_MEM_DST] = di;
	if (op->what & POP)
		at[VMLET_MEM_SRC] = s->regs[SP];
	if (op->what & PUSH)
		at[VMLET_MEM_DST] = s->regs[SP] - insn->op_bytes;
	if (insn->is_mem && op->what & LOAD)
		at[VMLET_MEM_SRC] = named;
	if (insn->is_mem && op->what & STORE)
		at[VMLET_MEM_DST] = named;
	if (op->what & VMLET_OP_ALIGN && bytes >= 16 && named & (bytes - 1))
		return false;
	for (i = 0; i < VMLET_MEMS; i++)
		if (at[i] && !reachable(at[i], bytes))
			return false;
	return true;
}

static struct outcome step_emulated(struct state *s, const struct vmlet_op *op, const struct vmlet_insn *insn)
{
	struct vmlet_work work = { .stack_bytes = 8, .flags = s->flags };
	unsigned int bytes = vmlet_op_bytes(op, insn);
	u64 at[VMLET_MEMS] = {};
	bool done;

	if (op->what & VMLET_OP_STRING && !vmlet_string_count(s->regs, insn)) {
		s->rip += vmlet_string_step(s->regs, insn, 0) ? insn->len : 0;
		return (struct outcome){ .signal = SIGTRAP };
	}
	if (!find_operands(op, insn, s, at))
		return (struct outcome){ .signal = SIGSEGV };
	if (at[VMLET_MEM_SRC])
		load(s, at[VMLET_MEM_SRC], work.mem[VMLET_MEM_SRC], bytes, false);
	if (at[VMLET_MEM_OTHER])
		load(s, at[VMLET_MEM_OTHER], work.mem[VMLET_MEM_OTHER], bytes, false);
	memcpy(work.vector, s->vector, sizeof(work.vector));
	vmlet_op_execute(op, insn, s->regs, &work);
	if (at[VMLET_MEM_DST])
		load(s, at[VMLET_MEM_DST], work.mem[VMLET_MEM_DST], bytes, true);
	done = vmlet_op_commit(op, insn, s->regs, &work);
	memcpy(s->vector, work.vector, insn->vex ? 32 : 16);
	s->flags = work.flags;
	s->rip += done ? insn->len : 0;
	return (struct outcome){ .signal = SIGTRAP };
}

/* Flags that the manuals leave undefined. */
static u64 undefined_flags(const struct vmlet_op *op, const struct vmlet_insn *insn, const u64 *regs)
{
	unsigned int bits = 8 * insn->op_bytes, count = insn->op_bytes == 8 ? 63 : 31;
	u64 flags = 0;

	switch (op->compute) {
	case VMLET_BIT:
		return X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	case VMLET_SHIFT:
		count &= op->what & ONE ? 1 : op->what & CL ? regs[CX] : insn->imm;
		if (ext(insn) >= 4)
			flags = X86_EFLAGS_AF | (count >= bits ? X86_EFLAGS_CF : 0);
		return !count ? 0 : flags | (count == 1 ? 0 : X86_EFLAGS_OF);
	case VMLET_SHIFT2:
		count &= insn->opcode & 1 ? regs[CX] : insn->imm;
		return !count ? 0 : count > bits ? ~0ull : X86_EFLAGS_AF | (count == 1 ? 0 : X86_EFLAGS_OF);
	case VMLET_AND: case VMLET_OR: case VMLET_XOR:
		return X86_EFLAGS_AF;
	case VMLET_BY_EXT: case VMLET_BY_OPCODE:
		flags = op->compute == VMLET_BY_EXT ? ext(insn) : insn->opcode >> 3 & 7;
		return flags == VMLET_AND || flags == VMLET_OR || flags == VMLET_XOR ? X86_EFLAGS_AF : 0;
	default:
		return 0;
	}
}

/* Some CPUs do not write the flags of a repeated comparison until it ends. */
static u64 unwritten_flags(const struct vmlet_op *op, const struct state *emulated, u64 at)
{
	return op->what & VMLET_OP_STRING && op->compute == VMLET_CMP && emulated->rip == at ? arith_flags : 0;
}

static bool same(const char *what, u64 native, u64 emulated)
{
	if (native != emulated)
		ksft_print_msg("%s: CPU %#llx, module %#llx\n", what, (unsigned long long)native,
			       (unsigned long long)emulated);
	return native == emulated;
}

static void print_bytes(const u8 *bytes, unsigned int n, unsigned long count)
{
	char text[64] = "";
	unsigned int i;

	for (i = 0; i < n; i++)
		sprintf(text + 3 * i, " %02x", bytes[i]);
	ksft_print_msg("instruction %lu of seed %#llx:%s\n", count, (unsigned long long)seed, text);
}

static bool same_state(const struct state *native, const struct state *emulated, u64 ignored_flags)
{
	bool ok = same("RIP", native->rip, emulated->rip);
	unsigned int i;

	ok &= same("flags", native->flags & ~ignored_flags, emulated->flags & ~ignored_flags);
	for (i = 0; i < 16; i++)
		ok &= native->regs[i] == emulated->regs[i] || (ksft_print_msg("register %u\n", i),
							      same("register", native->regs[i], emulated->regs[i]));
	for (i = 0; i < 4; i++)
		ok &= same("vector", native->vector[i], emulated->vector[i]);
	for (i = 0; i < PAGE; i++)
		if (native->data[i] != emulated->data[i])
			return same("memory", native->data[i], emulated->data[i]);
	return ok;
}

/* 1: the same; 0: not; -1: this CPU does not know it. */
static int try_row(const struct vmlet_op *row, unsigned long count)
{
	static struct state native, emulated;
	struct outcome there, here;
	const struct vmlet_op *op;
	struct vmlet_insn insn;
	struct bytes bytes;
	u64 at, ignored;
	int vector;

	do {
		make(&bytes, row);
		insn.len = VMLET_INSN_MAX;
		memcpy(insn.bytes, bytes.b, VMLET_INSN_MAX);
	} while (vmlet_insn_parse(&insn, 8));
	op = vmlet_op_find(&insn);
	if (!op)
		return -1;	/* too many prefixes for this row */
	at = CODE + PAGE - insn.len;
	randomize(&native, &insn, op, at);
	if (insn.base == VMLET_REG_RIP)
		memcpy(insn.bytes + bytes.disp, &insn.disp, 4);
	insn.ea = address_of(&insn, native.regs, at);
	emulated = native;
	ignored = undefined_flags(op, &insn, native.regs);
	vector = op->compute >= VMLET_VECTOR ? insn.reg : -1;
	memcpy(code + PAGE - insn.len, insn.bytes, insn.len);

	there = step_native(&native, vector);
	if (there.signal == SIGILL || ignored == ~0ull)
		return -1;
	here = step_emulated(&emulated, op, &insn);
	if (there.signal == SIGBUS)
		there.signal = SIGSEGV;
	ignored |= unwritten_flags(op, &emulated, at);
	if (same("signal", there.signal, here.signal) & same_state(&native, &emulated, ignored))
		return 1;
	print_bytes(insn.bytes, insn.len, count);
	return 0;
}

/* ---- lengths ---- */

/* The page's end cuts off what is behind @n bytes: does the CPU want more? */
static int wants_more(const u8 *bytes, unsigned int n)
{
	static struct state s;
	struct outcome outcome;
	unsigned int i;

	memset(&s, 0, sizeof(s));
	for (i = 1; i < 16; i++)
		s.regs[i] = DATA + PAGE / 2;
	s.regs[AX] = -1;	/* no system call has that number */
	s.rip = CODE + PAGE - n;
	memcpy(code + PAGE - n, bytes, n);
	outcome = step_native(&s, -1);
	if (outcome.signal == SIGILL)
		return -1;
	return outcome.signal == SIGSEGV && outcome.address == CODE + PAGE;
}

/*
 * Vendors differ in 66 before a near branch, and in what is VMREAD or else EXTRQ. What UMIP forbids the kernel emulates; CPUID a
 * hypervisor that this runs on, and some lose the single step.
 */
static bool is_special(const struct vmlet_insn *insn)
{
	if (insn->map == VMLET_MAP_0F)
		return (insn->opcode & 0xf0) == 0x80 || insn->opcode == 0x78 || insn->opcode == 0xa2 ||
		       insn->opcode < 2;
	return insn->map == VMLET_MAP_ONE && (insn->opcode & 0xfe) == 0xe8;
}

static int try_length(unsigned long count)
{
	struct vmlet_insn insn = { .len = VMLET_INSN_MAX };
	int before, after;
	unsigned int i;

	for (i = 0; i < VMLET_INSN_MAX; i++)
		insn.bytes[i] = rnd() >> 13;
	if (below(2))
		insn.bytes[below(3)] = 0x0f;
	if (!below(4))
		insn.bytes[0] = 0xc4 + below(2);
	if (vmlet_insn_parse(&insn, 8) || is_special(&insn))
		return -1;
	after = wants_more(insn.bytes, insn.len);
	before = insn.len == 1 ? 1 : wants_more(insn.bytes, insn.len - 1);
	/* Of what is undefined it may fetch more before it says so. */
	if (after < 0 || before < 0 || (after && wants_more(insn.bytes, VMLET_INSN_MAX) < 0))
		return -1;
	if (same("wants more before its end", before, 1) & same("wants more behind its end", after, 0))
		return 1;
	print_bytes(insn.bytes, insn.len, count);
	return 0;
}

static bool run(const char *what, unsigned long count, int row)
{
	unsigned long i, tried = 0, failed = 0;
	int result;

	for (i = 0; i < count && failed < 5; i++) {
		result = row < 0 ? try_length(i) : try_row(&ops[row], i);
		tried += result >= 0;
		failed += result == 0;
	}
	if (!tried)
		ksft_test_result_skip("%s: this CPU knows none\n", what);
	else
		ksft_test_result(!failed, "%s: %lu\n", what, tried);
	return !failed;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 2 ? strtoul(argv[2], NULL, 0) : 60;
	char name[64];
	unsigned int i;

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (u64)time(NULL);
	ksft_print_header();
	if (deviation_here(&emulators))
		ksft_exit_skip("%s\n", deviation_here(&emulators));
	code = map_at(CODE, 0);
	data = map_at(DATA, 0);
	fork_child();
	ksft_print_msg("seed %#llx\n", (unsigned long long)seed);
	ksft_set_plan(ARRAY_SIZE(ops) + 1);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		const struct vmlet_op *op = &ops[i];

		/* Each row begins anew, so that it can be repeated. */
		random_state = (seed * 2 + 1) * (i + 1);
		snprintf(name, sizeof(name), "row %u, opcode %u/%02x/%d", i, op->map, op->opcode, op->ext);
		if (op->compute == VMLET_PORT)
			ksft_test_result_skip("%s: not for user code\n", name);
		else
			run(name, count, i);
	}
	random_state = seed * 2 + 1;
	run("lengths of random bytes", 50 * count, -1);
	ksft_finished();
}
