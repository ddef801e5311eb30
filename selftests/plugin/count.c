// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU. Between two marks of the benchmark it counts those instructions
 * of the host's kernel that hardware may charge for, by their bytes, and writes at the
 * second mark a line for each of them ("insn COUNT BYTES") and then "end". What they are,
 * scripts/bench-decode knows. For a profile it counts all, by address ("at COUNT ADDRESS"). Guests and userspace are not counted: the benchmark's are
 * in the lower half of the address space.
 *
 * QEMU's header is in its source only, so what is used of it is declared here.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define LONGEST 15	/* bytes of an instruction */
#define CODES (1 << 21)

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*on_translation)(struct qemu_plugin_tb *tb, void *data);
typedef void (*on_execution)(unsigned int cpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, on_translation callback, void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, on_execution callback,
					    int no_registers, void *data);

EXPORT int qemu_plugin_version = 7;

/* What is counted: instructions with the same bytes or, for a profile, at one address. */
struct code {
	uint8_t key[LONGEST];
	uint8_t size;
	uint64_t count;
};

static struct code codes[CODES];	/* each where its key says, or further on */
static bool profile;
static bool counting;
static FILE *out;

static void on_code(unsigned int cpu, void *data)
{
	struct code *code = data;

	(void)cpu;
	code->count++;
}

static void print(const struct code *code)
{
	fprintf(out, "%s %llu ", profile ? "at" : "insn", (unsigned long long)code->count);
	for (unsigned int i = 0; i < code->size; i++)
		fprintf(out, "%02x", code->key[i]);
	fputc('\n', out);
}

static void on_mark(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	counting = !counting;
	for (unsigned int i = 0; i < CODES; i++) {
		if (!counting && codes[i].count)
			print(&codes[i]);
		codes[i].count = 0;
	}
	if (!counting)
		fputs("end\n", out);
	fflush(out);
}

/* The one with this key; NULL: there is no room for more. */
static struct code *find(const uint8_t *key, size_t size)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < size; i++)
		hash = hash * 31 + key[i];
	for (unsigned int i = 0; i < CODES; i++) {
		struct code *code = &codes[(hash + i) % CODES];

		if (!code->size) {
			memcpy(code->key, key, size);
			code->size = size;
		}
		if (code->size == size && !memcmp(code->key, key, size))
			return code;
	}
	return NULL;
}

/* Of an address, so that it is printed as one. */
static struct code *find_address(uint64_t address)
{
	uint8_t key[sizeof(address)];

	for (unsigned int i = 0; i < sizeof(key); i++)
		key[i] = address >> 8 * (sizeof(key) - 1 - i);
	return find(key, sizeof(key));
}

/* IRET, and of the two-byte opcodes those that have something for the kernel only, or order. */
static bool may_be_expensive(const uint8_t *bytes, size_t size)
{
	static const uint8_t second[] = { 0x00, 0x01, 0x06, 0x08, 0x09, 0x20, 0x21, 0x22, 0x23, 0x30, 0x32,
					  0x38, 0x78, 0x79, 0xa2, 0xae, 0xc7 };

	while (size > 2 && memchr("\x66\xf2\xf3\x26\x2e\x36\x3e\x64\x65\x67\xf0", *bytes, 11))
		bytes++, size--;
	if (size > 1 && (*bytes & 0xf0) == 0x40)
		bytes++, size--;
	return *bytes == 0xcf || (size > 1 && *bytes == 0x0f && memchr(second, bytes[1], sizeof(second)));
}

static void on_insn(struct qemu_plugin_insn *insn, bool kernel)
{
	uint8_t bytes[LONGEST];
	size_t size = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
	struct code *code = NULL;

	if (size == 3 && !memcmp(bytes, "\x66\x87\xdb", 3)) {
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, 0, NULL);
		return;
	}
	if (kernel && profile)
		code = find_address(qemu_plugin_insn_vaddr(insn));
	else if (kernel && may_be_expensive(bytes, size))
		code = find(bytes, size);
	if (code)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_code, 0, code);
}

static void on_block(struct qemu_plugin_tb *tb, void *data)
{
	bool kernel = qemu_plugin_tb_vaddr(tb) >> 63;

	(void)data;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		on_insn(qemu_plugin_tb_get_insn(tb, i), kernel);
}

/* The arguments are out=FILE and, for a profile, profile=on. */
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc < 1 || strncmp(argv[0], "out=", 4))
		return -1;
	profile = argc > 1 && !strcmp(argv[1], "profile=on");
	out = fopen(argv[0] + 4, "we");
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_block, NULL);
	return 0;
}
