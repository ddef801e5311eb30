// SPDX-License-Identifier: GPL-2.0
/* A readonly slot: reads hit memory, every write is an MMIO exit and changes nothing. */
#include "lib/harness.h"

#define ROM		0x200000ul
#define ROM_SIZE	0x4000ul

FIXTURE(rom) {
	struct vm vm;
	struct vcpu vcpu;
	u8 *memory;
};
FIXTURE_VARIANT(rom) {
	struct guest_program program;
	struct row_regs in, out;
	struct step steps[ROW_STEPS + 1];
};
FIXTURE_SETUP(rom)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &variant->program);
	self->memory = pages_alloc(ROM_SIZE);
	for (u32 i = 0; i < ROM_SIZE; i++)
		self->memory[i] = i * 3;
	vm_set_memory(&self->vm, 1, KVM_MEM_READONLY, ROM, ROM_SIZE, self->memory);
}
FIXTURE_TEARDOWN(rom)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define ROM_ROW(id, guest_mode, insns, ...)				\
GUEST_CODE_BYTES(id, BITS_##guest_mode, insns "\n hlt");		\
FIXTURE_VARIANT_ADD(rom, id) {						\
	.program = { guest_mode, id##_start, id##_end }, __VA_ARGS__	\
}

ROM_ROW(read, LONG, "mov (%rcx), %eax", .in = { .rcx = ROM },
	.out = { .rax = 0x09060300, .rcx = ROM });
ROM_ROW(write, LONG, "mov %eax, (%rcx)", .in = { .rax = 0xabcd, .rcx = ROM },
	.out = { .rax = 0xabcd, .rcx = ROM }, .steps = { WRITE(ROM, 4, 0xabcd) });
ROM_ROW(read_write_read, LONG,
	"mov (%rcx), %eax\n movb $0xff, (%rcx)\n mov (%rcx), %edx",
	.in = { .rcx = ROM }, .out = { .rax = 0x09060300, .rcx = ROM, .rdx = 0x09060300 },
	.steps = { WRITE(ROM, 1, 0xff) });
ROM_ROW(write_untouched_page, LONG, "mov %rax, 0x3000(%rcx)",
	.in = { .rax = 0x1122334455667788, .rcx = ROM },
	.out = { .rax = 0x1122334455667788, .rcx = ROM },
	.steps = { WRITE(ROM + 0x3000, 8, 0x1122334455667788) });
ROM_ROW(or_reads_memory_and_writes_out, LONG, "orb $0x80, 1(%rcx)",
	.in = { .rcx = ROM }, .out = { .rcx = ROM },
	.steps = { WRITE(ROM + 1, 1, 0x83) });
ROM_ROW(stos, LONG, "rep stosw", .in = { .rax = 7, .rcx = 2, .rdi = ROM },
	.out = { .rax = 7, .rdi = ROM + 4 },
	.steps = { WRITE(ROM, 2, 7), WRITE(ROM + 2, 2, 7) });
ROM_ROW(movs_reads_memory, LONG, "movsl\n mov 0xc000, %eax",
	.in = { .rsi = ROM, .rdi = GUEST_DATA },
	.out = { .rax = 0x09060300, .rsi = ROM + 4, .rdi = GUEST_DATA + 4 });
ROM_ROW(movs_within, LONG, "movsl", .in = { .rsi = ROM, .rdi = ROM + 0x1000 },
	.out = { .rsi = ROM + 4, .rdi = ROM + 0x1004 },
	.steps = { WRITE(ROM + 0x1000, 4, 0x09060300) });
ROM_ROW(prot_write, PROT, "movw $0x1234, (%ecx)", .in = { .rcx = ROM },
	.out = { .rcx = ROM }, .steps = { WRITE(ROM, 2, 0x1234) });

TEST_F(rom, access)
{
	row_set_regs(&self->vcpu, &variant->in);
	run_steps(_metadata, &self->vcpu, variant->steps);
	run_to_halt(_metadata, &self->vcpu, variant->program.mode);
	row_expect_regs(_metadata, &self->vcpu, &variant->out);
	for (u32 i = 0; i < ROM_SIZE; i++)
		ASSERT_EQ((u8)(i * 3), self->memory[i]);
}

GUEST_PROGRAM(from_rom, LONG, "mov $5, %ebx\n hlt");
GUEST_PROGRAM(into_rom, LONG, "jmp *%rcx");

FIXTURE_ONE_VCPU(code)

TEST_F(code, runs_from_readonly_memory)
{
	struct row_regs row = { .rcx = ROM };
	u8 *memory = pages_alloc(ROM_SIZE);
	struct kvm_regs regs;

	memcpy(memory, from_rom.start, from_rom.end - from_rom.start);
	vm_set_memory(&self->vm, 1, KVM_MEM_READONLY, ROM, ROM_SIZE, memory);
	guest_load(&self->vcpu, &into_rom);
	row_set_regs(&self->vcpu, &row);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(5u, regs.rbx);
}

TEST_HARNESS_MAIN
