// SPDX-License-Identifier: GPL-2.0
/*
 * The parser of instructions, compiled here from the module's own source: known
 * encodings of 16, 32 and 64-bit code have the length, the sizes and the operands
 * that the manuals give them, whatever follows them in memory; what is cut off is
 * told from what is not defined. Needs no device.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <linux/types.h>

#include "kselftest.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __s64 s64;
typedef __u64 u64;

#include "../module/insn/parse.c"

enum {
	AX, CX, DX, BX, SP, BP, SI, DI, R8, R12 = 12, R13, R15 = 15,
	RIP = VMLET_REG_RIP, NONE = VMLET_REG_NONE
};
enum { ES, CS, SS, DS, FS, GS };

struct row {
	const char *text;
	u8 mode, len, map, opcode, op_bytes, ad_bytes;
	const char *bytes;
	bool is_mem;
	u8 seg, base, index, scale;
	s64 disp;
	u64 imm;
};

#define CODE(_text, _mode, _map, _opcode, _op, _ad, _bytes, ...) \
	{ .text = _text, .mode = _mode, .map = _map, .opcode = _opcode, \
	  .op_bytes = _op, .ad_bytes = _ad, .bytes = _bytes, \
	  .len = sizeof(_bytes) - 1, __VA_ARGS__ }
#define PLAIN .seg = DS, .base = NONE, .index = NONE
#define MEM(_seg, _base, _index, _scale, _disp) .is_mem = true, .seg = _seg, \
	.base = _base, .index = _index, .scale = _scale, .disp = _disp

static const struct row rows[] = {
	/* 64-bit code: sizes and addressing modes */
	CODE("mov %al,(%rdi)", 8, 0, 0x88, 1, 8, "\x88\x07", MEM(DS, DI, NONE, 0, 0)),
	CODE("mov %eax,0x10(%rbp)", 8, 0, 0x89, 4, 8, "\x89\x45\x10", MEM(SS, BP, NONE, 0, 0x10)),
	CODE("mov %ax,-1(%rsp)", 8, 0, 0x89, 2, 8, "\x66\x89\x44\x24\xff", MEM(SS, SP, NONE, 0, -1)),
	CODE("mov (%rax,%rcx,8),%rax", 8, 0, 0x8b, 8, 8, "\x48\x8b\x04\xc8", MEM(DS, AX, CX, 3, 0)),
	CODE("mov (%r12),%r8", 8, 0, 0x8b, 8, 8, "\x4d\x8b\x04\x24", MEM(DS, R12, NONE, 0, 0)),
	CODE("mov (%r13,%r12,2),%eax", 8, 0, 0x8b, 4, 8, "\x43\x8b\x44\x65\x00",
	     MEM(DS, R13, R12, 1, 0)),
	CODE("mov 0x12345678(,%rax,4),%eax", 8, 0, 0x8b, 4, 8, "\x8b\x04\x85\x78\x56\x34\x12",
	     MEM(DS, NONE, AX, 2, 0x12345678)),
	CODE("mov -0x80000000,%eax", 8, 0, 0x8b, 4, 8, "\x8b\x04\x25\x00\x00\x00\x80",
	     MEM(DS, NONE, NONE, 0, -0x80000000ll)),
	CODE("mov %eax,0x1000(%rip)", 8, 0, 0x89, 4, 8, "\x89\x05\x00\x10\x00\x00",
	     MEM(DS, RIP, NONE, 0, 0x1000)),
	CODE("movl $-2,-4(%rip)", 8, 0, 0xc7, 4, 8, "\xc7\x05\xfc\xff\xff\xff\xfe\xff\xff\xff",
	     MEM(DS, RIP, NONE, 0, -4), .imm = -2),
	CODE("movw $0x1234,(%rax)", 8, 0, 0xc7, 2, 8, "\x66\xc7\x00\x34\x12", MEM(DS, AX, NONE, 0, 0),
	     .imm = 0x1234),
	CODE("movq $-1,(%rax)", 8, 0, 0xc7, 8, 8, "\x48\xc7\x00\xff\xff\xff\xff",
	     MEM(DS, AX, NONE, 0, 0), .imm = -1),
	CODE("mov %al,%gs:0x10", 8, 0, 0x88, 1, 8, "\x65\x88\x04\x25\x10\x00\x00\x00",
	     MEM(GS, NONE, NONE, 0, 0x10)),
	CODE("mov %cs:(%rbp),%eax, CS ignored", 8, 0, 0x8b, 4, 8, "\x2e\x8b\x45\x00",
	     MEM(SS, BP, NONE, 0, 0)),
	CODE("mov (%eax),%ecx", 8, 0, 0x8b, 4, 4, "\x67\x8b\x08", MEM(DS, AX, NONE, 0, 0)),
	CODE("movabs 0x1122334455667788,%eax", 8, 0, 0xa1, 4, 8, "\xa1\x88\x77\x66\x55\x44\x33\x22\x11",
	     MEM(DS, NONE, NONE, 0, 0x1122334455667788)),
	CODE("addr32 mov %al,0xfee00000", 8, 0, 0xa2, 1, 4, "\x67\xa2\x00\x00\xe0\xfe",
	     MEM(DS, NONE, NONE, 0, 0xfee00000)),
	CODE("movabs $imm64,%rax", 8, 0, 0xb8, 8, 8, "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11", PLAIN,
	     .imm = 0x1122334455667788),
	CODE("movzbl (%rdi),%eax", 8, 1, 0xb6, 4, 8, "\x0f\xb6\x07", MEM(DS, DI, NONE, 0, 0)),
	CODE("movslq (%rdi),%rax", 8, 0, 0x63, 8, 8, "\x48\x63\x07", MEM(DS, DI, NONE, 0, 0)),
	CODE("REX before 66 counts for nothing", 8, 0, 0x89, 2, 8, "\x48\x66\x89\x07",
	     MEM(DS, DI, NONE, 0, 0)),
	CODE("testb $1,(%rax)", 8, 0, 0xf6, 1, 8, "\xf6\x00\x01", MEM(DS, AX, NONE, 0, 0), .imm = 1),
	CODE("notl (%rax), no immediate", 8, 0, 0xf7, 4, 8, "\xf7\x10", MEM(DS, AX, NONE, 0, 0)),
	CODE("testl $imm,(%rax)", 8, 0, 0xf7, 4, 8, "\xf7\x00\x04\x03\x02\x01", MEM(DS, AX, NONE, 0, 0),
	     .imm = 0x01020304),
	CODE("lock btsl $5,(%rax)", 8, 1, 0xba, 4, 8, "\xf0\x0f\xba\x28\x05", MEM(DS, AX, NONE, 0, 0),
	     .imm = 5),
	CODE("15 bytes", 8, 0, 0xc7, 8, 8, "\x66\x66\x64\x48\xc7\x84\x88\x78\x56\x34\x12\x01\x00\x00\x00",
	     MEM(FS, AX, CX, 2, 0x12345678), .imm = 1),

	/* instructions that exit: what skips them must know their length */
	CODE("cpuid", 8, 1, 0xa2, 4, 8, "\x0f\xa2", PLAIN),
	CODE("hlt", 8, 0, 0xf4, 4, 8, "\xf4", PLAIN),
	CODE("rdmsr", 8, 1, 0x32, 4, 8, "\x0f\x32", PLAIN),
	CODE("wrmsr", 8, 1, 0x30, 4, 8, "\x0f\x30", PLAIN),
	CODE("rdtsc", 8, 1, 0x31, 4, 8, "\x0f\x31", PLAIN),
	CODE("rdtscp", 8, 1, 0x01, 4, 8, "\x0f\x01\xf9", PLAIN),
	CODE("rdpmc", 8, 1, 0x33, 4, 8, "\x0f\x33", PLAIN),
	CODE("vmcall", 8, 1, 0x01, 4, 8, "\x0f\x01\xc1", PLAIN),
	CODE("vmmcall", 8, 1, 0x01, 4, 8, "\x0f\x01\xd9", PLAIN),
	CODE("xsetbv", 8, 1, 0x01, 4, 8, "\x0f\x01\xd1", PLAIN),
	CODE("monitor", 8, 1, 0x01, 4, 8, "\x0f\x01\xc8", PLAIN),
	CODE("mwait", 8, 1, 0x01, 4, 8, "\x0f\x01\xc9", PLAIN),
	CODE("invlpg (%rax)", 8, 1, 0x01, 4, 8, "\x0f\x01\x38", MEM(DS, AX, NONE, 0, 0)),
	CODE("invpcid (%rax),%rcx", 8, 2, 0x82, 2, 8, "\x66\x0f\x38\x82\x08", MEM(DS, AX, NONE, 0, 0)),
	CODE("pause", 8, 0, 0x90, 4, 8, "\xf3\x90", PLAIN),
	CODE("clts", 8, 1, 0x06, 4, 8, "\x0f\x06", PLAIN),
	CODE("invd", 8, 1, 0x08, 4, 8, "\x0f\x08", PLAIN),
	CODE("wbinvd", 8, 1, 0x09, 4, 8, "\x0f\x09", PLAIN),
	CODE("mov %cr3,%rax", 8, 1, 0x20, 4, 8, "\x0f\x20\xd8", PLAIN),
	CODE("mov %r8,%cr8", 8, 1, 0x22, 4, 8, "\x45\x0f\x22\xc0", PLAIN),
	CODE("mov %cr0,%eax with mod 0", 8, 1, 0x20, 4, 8, "\x0f\x20\x05", PLAIN),
	CODE("mov %rax,%db7", 8, 1, 0x23, 4, 8, "\x0f\x23\xf8", PLAIN),
	CODE("lmsw %ax", 8, 1, 0x01, 4, 8, "\x0f\x01\xf0", PLAIN),
	CODE("smsw 8(%rax)", 8, 1, 0x01, 4, 8, "\x0f\x01\x60\x08", MEM(DS, AX, NONE, 0, 8)),
	CODE("in $0x60,%al", 8, 0, 0xe4, 1, 8, "\xe4\x60", PLAIN, .imm = 0x60),
	CODE("out %ax,(%dx)", 8, 0, 0xef, 2, 8, "\x66\xef", PLAIN),
	CODE("rep insw", 8, 0, 0x6d, 2, 8, "\xf3\x66\x6d", PLAIN),
	CODE("rep outsb %fs:(%esi)", 8, 0, 0x6e, 1, 4, "\x67\xf3\x64\x6e", .seg = FS, .base = NONE,
	     .index = NONE),
	CODE("pushf", 8, 0, 0x9c, 8, 8, "\x9c", PLAIN),
	CODE("popf", 8, 0, 0x9d, 8, 8, "\x9d", PLAIN),
	CODE("iretq", 8, 0, 0xcf, 8, 8, "\x48\xcf", PLAIN),
	CODE("int $0x80", 8, 0, 0xcd, 4, 8, "\xcd\x80", PLAIN, .imm = -0x80),

	/* VEX, EVEX, XOP */
	CODE("vmovdqu (%rax),%ymm0", 8, 0x81, 0x6f, 4, 8, "\xc5\xfe\x6f\x00", MEM(DS, AX, NONE, 0, 0)),
	CODE("vzeroupper", 8, 0x81, 0x77, 4, 8, "\xc5\xf8\x77", PLAIN),
	CODE("vpshufd $1,(%r8),%xmm0", 8, 0x81, 0x70, 4, 8, "\xc4\xc1\x79\x70\x00\x01",
	     MEM(DS, R8, NONE, 0, 0), .imm = 1),
	CODE("vinserti128 $1,(%rax),%ymm0,%ymm0", 8, 0x83, 0x38, 4, 8, "\xc4\xe3\x7d\x38\x00\x01",
	     MEM(DS, AX, NONE, 0, 0), .imm = 1),
	CODE("vmovdqu64 0x40(%rax),%zmm0", 8, 0x81, 0x6f, 8, 8, "\x62\xf1\xfe\x48\x6f\x40\x01",
	     MEM(DS, AX, NONE, 0, 1)),
	CODE("vmovq %xmm0,(%rax)", 8, 0x81, 0x7e, 8, 8, "\xc4\xe1\xf9\x7e\x00", MEM(DS, AX, NONE, 0, 0)),
	CODE("push (%rax)", 8, 0, 0xff, 8, 8, "\xff\x30", MEM(DS, AX, NONE, 0, 0)),
	CODE("decl (%rax)", 8, 0, 0xff, 4, 8, "\xff\x08", MEM(DS, AX, NONE, 0, 0)),
	CODE("les (%eax),%eax, not VEX", 4, 0, 0xc4, 4, 4, "\xc4\x00", MEM(DS, AX, NONE, 0, 0)),
	CODE("bound %eax,(%eax), not EVEX", 4, 0, 0x62, 4, 4, "\x62\x00", MEM(DS, AX, NONE, 0, 0)),
	CODE("vzeroupper, 32 bit", 4, 0x81, 0x77, 4, 4, "\xc5\xf8\x77", PLAIN),
	CODE("bextr $imm,(%rax),%eax", 8, 0x8a, 0x10, 4, 8, "\x8f\xea\x78\x10\x00\x04\x03\x02\x01",
	     MEM(DS, AX, NONE, 0, 0), .imm = 0x01020304),
	CODE("pop (%rax), not XOP", 8, 0, 0x8f, 8, 8, "\x8f\x00", MEM(DS, AX, NONE, 0, 0)),

	/* 32-bit code */
	CODE("mov %eax,%es:(%edi)", 4, 0, 0x89, 4, 4, "\x26\x89\x07", MEM(ES, DI, NONE, 0, 0)),
	CODE("inc %eax, no REX", 4, 0, 0x40, 4, 4, "\x40", PLAIN),
	CODE("mov %al,0xfee00000", 4, 0, 0xa2, 1, 4, "\xa2\x00\x00\xe0\xfe",
	     MEM(DS, NONE, NONE, 0, 0xfee00000)),
	CODE("mov 0x10,%eax, no RIP", 4, 0, 0x8b, 4, 4, "\x8b\x05\x10\x00\x00\x00",
	     MEM(DS, NONE, NONE, 0, 0x10)),
	CODE("addr16 mov %al,(%bx,%si)", 4, 0, 0x88, 1, 2, "\x67\x88\x00", MEM(DS, BX, SI, 0, 0)),
	CODE("ljmp $0x8,$0x1000", 4, 0, 0xea, 4, 4, "\xea\x00\x10\x00\x00\x08\x00", PLAIN, .imm = 8),
	CODE("enter $0x10,$1", 4, 0, 0xc8, 4, 4, "\xc8\x10\x00\x01", PLAIN, .imm = 1),

	/* 16-bit code */
	CODE("mov %ax,(%bp,%di)", 2, 0, 0x89, 2, 2, "\x89\x03", MEM(SS, BP, DI, 0, 0)),
	CODE("mov %ax,-2(%bp)", 2, 0, 0x89, 2, 2, "\x89\x46\xfe", MEM(SS, BP, NONE, 0, -2)),
	CODE("mov %ax,0x1234", 2, 0, 0x89, 2, 2, "\x89\x06\x34\x12", MEM(DS, NONE, NONE, 0, 0x1234)),
	CODE("mov %ax,%cs:0x100(%bx)", 2, 0, 0x89, 2, 2, "\x2e\x89\x87\x00\x01",
	     MEM(CS, BX, NONE, 0, 0x100)),
	CODE("mov %eax,(%si)", 2, 0, 0x89, 4, 2, "\x66\x89\x04", MEM(DS, SI, NONE, 0, 0)),
	CODE("mov %ax,(%eax,%ebx,4)", 2, 0, 0x89, 2, 4, "\x67\x89\x04\x98", MEM(DS, AX, BX, 2, 0)),
	CODE("mov $0x1234,%ax", 2, 0, 0xb8, 2, 2, "\xb8\x34\x12", PLAIN, .imm = 0x1234),
	CODE("data32 ljmp", 2, 0, 0xea, 4, 2, "\x66\xea\x00\x00\x10\x00\x08\x00", PLAIN, .imm = 8),
	CODE("rep movsw", 2, 0, 0xa5, 2, 2, "\xf3\xa5", PLAIN),
};

/* Not instructions, however many bytes follow. */
static const struct { const char *text; u8 mode; const char bytes[4]; } undefined[] = {
	{ "push %es in 64-bit code", 8, "\x06" },
	{ "daa in 64-bit code", 8, "\x27" },
	{ "lcall in 64-bit code", 8, "\x9a" },
	{ "0f 04", 8, "\x0f\x04" },
	{ "0f 0a", 8, "\x0f\x0a" },
	{ "0f 24, a 386's test register", 4, "\x0f\x24" },
	{ "0f 3f", 4, "\x0f\x3f" },
	{ "VEX map 0", 8, "\xc4\xe0\x78" },
};

/* The row's first @n bytes, then bytes that are part of no row's end. */
static struct vmlet_insn fetched(const char *bytes, unsigned int n, unsigned int avail)
{
	struct vmlet_insn insn = { .len = avail };

	memset(insn.bytes, 0xcc, sizeof(insn.bytes));
	memcpy(insn.bytes, bytes, n);
	return insn;
}

static bool same(const char *what, u64 expected, u64 got)
{
	if (expected != got)
		ksft_print_msg("%s: expected %#llx, got %#llx\n", what,
			       (unsigned long long)expected, (unsigned long long)got);
	return expected == got;
}

static bool is_row(const struct row *row, const struct vmlet_insn *insn)
{
	return same("length", row->len, insn->len) & same("map", row->map, insn->map) &
	       same("opcode", row->opcode, insn->opcode) &
	       same("operand size", row->op_bytes, insn->op_bytes) &
	       same("address size", row->ad_bytes, insn->ad_bytes) &
	       same("names memory", row->is_mem, insn->is_mem) &
	       same("segment", row->seg, insn->seg) & same("base", row->base, insn->base) &
	       same("index", row->index, insn->index) & same("scale", row->scale, insn->scale) &
	       same("displacement", row->disp, insn->disp) & same("immediate", row->imm, insn->imm);
}

/* Alone, with others behind it, and with its end not there. */
static bool parses(const struct row *row)
{
	struct vmlet_insn insn;
	unsigned int n;
	bool ok = true;

	for (n = row->len; n <= VMLET_INSN_MAX; n++) {
		insn = fetched(row->bytes, row->len, n);
		ok &= same("error", 0, vmlet_insn_parse(&insn, row->mode)) && is_row(row, &insn);
	}
	for (n = 0; n < row->len; n++) {
		insn = fetched(row->bytes, n, n);
		ok &= same("error when cut off", -ENODATA, vmlet_insn_parse(&insn, row->mode));
		ok &= same("bytes when cut off", n, insn.len);
	}
	return ok;
}

static bool refuses(const char *bytes, u8 mode)
{
	struct vmlet_insn insn = fetched(bytes, 4, VMLET_INSN_MAX);

	return same("error", -EINVAL, vmlet_insn_parse(&insn, mode)) &
	       same("bytes", VMLET_INSN_MAX, insn.len);
}

int main(void)
{
	const char endless[] = "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66";
	struct vmlet_insn insn = fetched(endless, VMLET_INSN_MAX, VMLET_INSN_MAX);
	unsigned int i;

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(rows) + ARRAY_SIZE(undefined) + 1);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		ksft_test_result(parses(&rows[i]), "%d bit: %s\n", 8 * rows[i].mode, rows[i].text);
	for (i = 0; i < ARRAY_SIZE(undefined); i++)
		ksft_test_result(refuses(undefined[i].bytes, undefined[i].mode), "undefined: %s\n",
				 undefined[i].text);
	ksft_test_result(vmlet_insn_parse(&insn, 8) == -ENODATA, "15 prefixes have no end\n");
	ksft_finished();
}
