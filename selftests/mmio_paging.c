// SPDX-License-Identifier: GPL-2.0
/*
 * Instructions that exit, where pages meet: their bytes and their operands over two
 * pages that are neighbours only for the guest, or whose second one is missing.
 */
#include "lib/harness.h"

#define PAGE		0x1000ul
#define CODE_END	(GUEST_CODE + PAGE)
#define ELSEWHERE	0x20000ul	/* what the guest finds at CODE_END */
#define BUFFER		0x30000ul
#define PORT		0x80
#define VALUE		0x12345678u

GUEST_PROGRAM(store, LONG, "movl $0x12345678, (%rcx)");
GUEST_PROGRAM(longest, LONG,
	      ".byte 0x66, 0x66, 0x64\n movq $0x12345678, 0x5678(%rax,%rcx,4)\n hlt");
GUEST_PROGRAM(add_over, LONG, "addl $1, (%rcx)\n hlt");
GUEST_PROGRAM(rep_outsb, LONG, "rep outsb\n hlt");
GUEST_PROGRAM(rep_insb, LONG, "rep insb\n hlt");

FIXTURE(paging) {
	struct vm vm;
	struct vcpu vcpu;
	u64 *pt;	/* of the first 2 MiB, in pages of 4 KiB */
};
FIXTURE_SETUP(paging)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(paging)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

/* Loads the program and maps the first 2 MiB one to one, page by page. */
static u64 *load(struct vcpu *vcpu, const struct guest_program *program)
{
	u64 *pt = (u64 *)(vcpu->vm->ram + GUEST_PT);

	guest_load(vcpu, program);
	for (u64 i = 0; i < 512; i++)
		pt[i] = i * PAGE | PTE_P | PTE_W | PTE_U;
	*(u64 *)(vcpu->vm->ram + GUEST_PD) = GUEST_PT | PTE_P | PTE_W | PTE_U;
	return pt;
}

static void start(struct vcpu *vcpu, u64 rip, u64 rcx)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rip = rip;
	regs.rcx = rcx;
	regs.rdx = PORT;
	regs.rsi = regs.rdi = BUFFER;
	vcpu_set_regs(vcpu, &regs);
}

static void expect_store(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	struct step step = WRITE(MMIO_BASE, 4, VALUE);

	run_mmio_step(_metadata, vcpu, &step);
}

static void expect_page_fault(struct __test_metadata *_metadata, struct vcpu *vcpu,
			      u64 address, u64 error, u64 rip)
{
	struct guest_trap trap;

	run_to_trap(_metadata, vcpu, LONG, PF_VECTOR, &trap);
	expect_cr2(_metadata, vcpu, address);
	EXPECT_EQ(error, trap.error);
	EXPECT_EQ(rip, trap.rip);
}

TEST_F(paging, code_goes_on_in_another_page)
{
	size_t size = store.end - store.start;
	u8 *ram = self->vm.ram;

	for (size_t n = 1; n < size; n++) {
		self->pt = load(&self->vcpu, &store);
		self->pt[CODE_END / PAGE] = ELSEWHERE | PTE_P | PTE_W | PTE_U;
		memset(ram + CODE_END, 0, PAGE);
		memcpy(ram + CODE_END - n, store.start, n);
		memcpy(ram + ELSEWHERE, store.start + n, size - n);
		ram[ELSEWHERE + size - n] = 0xf4;
		start(&self->vcpu, CODE_END - n, MMIO_BASE);
		expect_store(_metadata, &self->vcpu);
		run_to_halt(_metadata, &self->vcpu, LONG);
	}
}

TEST_F(paging, code_ends_before_a_hole)
{
	size_t size = store.end - store.start;

	self->pt = load(&self->vcpu, &store);
	self->pt[CODE_END / PAGE] = 0;
	memcpy(self->vm.ram + CODE_END - size, store.start, size);
	start(&self->vcpu, CODE_END - size, MMIO_BASE);
	expect_store(_metadata, &self->vcpu);
	expect_page_fault(_metadata, &self->vcpu, CODE_END, 0, CODE_END);
}

TEST_F(paging, the_longest_instruction)
{
	struct step step = WRITE(MMIO_BASE + 0x5678, 8, VALUE);
	struct vcpu *vcpu = &self->vcpu;

	ASSERT_EQ(16, longest.end - longest.start);
	load(vcpu, &longest);
	start(vcpu, GUEST_CODE, MMIO_BASE / 4);
	run_mmio_step(_metadata, vcpu, &step);
	run_to_halt(_metadata, vcpu, LONG);
}

/* The fault comes before the part that is there is read or written. */
TEST_F(paging, operand_goes_on_in_a_hole)
{
	self->pt = load(&self->vcpu, &add_over);
	self->pt[MMIO_BASE / PAGE + 1] = 0;
	start(&self->vcpu, GUEST_CODE, MMIO_BASE + PAGE - 2);
	expect_page_fault(_metadata, &self->vcpu, MMIO_BASE + PAGE, 2, GUEST_CODE);
}

/* Each part of the operand is where its own page is. */
TEST_F(paging, operand_goes_on_elsewhere)
{
	const struct step steps[] = {
		READ(MMIO_BASE + PAGE - 2, 2, 0xffff), READ(MMIO_BASE + 4 * PAGE, 2, 0x1234),
		WRITE(MMIO_BASE + PAGE - 2, 2, 0), WRITE(MMIO_BASE + 4 * PAGE, 2, 0x1235), {}
	};

	self->pt = load(&self->vcpu, &add_over);
	self->pt[MMIO_BASE / PAGE + 1] = (MMIO_BASE + 4 * PAGE) | PTE_P | PTE_W;
	start(&self->vcpu, GUEST_CODE, MMIO_BASE + PAGE - 2);
	run_steps(_metadata, &self->vcpu, steps);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

TEST_F(paging, operand_goes_on_in_memory)
{
	const struct step steps[] = {
		READ(MMIO_BASE + PAGE - 2, 2, 0xffff), WRITE(MMIO_BASE + PAGE - 2, 2, 0), {}
	};
	u8 *memory = self->vm.ram + BUFFER;

	self->pt = load(&self->vcpu, &add_over);
	self->pt[MMIO_BASE / PAGE + 1] = BUFFER | PTE_P | PTE_W;
	memcpy(memory, "\x34\x12\x77", 3);
	start(&self->vcpu, GUEST_CODE, MMIO_BASE + PAGE - 2);
	run_steps(_metadata, &self->vcpu, steps);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0, memcmp(memory, "\x35\x12\x77", 3));
}

/* Bytes that go out before the guest halts. */
static size_t count_output(struct vcpu *vcpu)
{
	size_t bytes = 0;

	while (__vcpu_run(vcpu) == 0 && vcpu->run->exit_reason == KVM_EXIT_IO)
		bytes += vcpu->run->io.count;
	return bytes;
}

TEST_F(paging, outs_stops_at_a_hole)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	self->pt = load(&self->vcpu, &rep_outsb);
	self->pt[BUFFER / PAGE + 1] = 0;
	start(&self->vcpu, GUEST_CODE, PAGE + 5);
	EXPECT_EQ(PAGE, count_output(&self->vcpu));
	ASSERT_EQ(PF_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
	EXPECT_EQ(GUEST_CODE, trap.rip);
	EXPECT_EQ(0u, trap.error);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(5u, regs.rcx);
	EXPECT_EQ(BUFFER + PAGE, regs.rsi);
	expect_cr2(_metadata, &self->vcpu, BUFFER + PAGE);
}

/* Whether the port is read before the fault is the module's choice; memory and registers stay. */
TEST_F(paging, ins_into_a_readonly_page)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	self->pt = load(&self->vcpu, &rep_insb);
	self->pt[BUFFER / PAGE] &= ~PTE_W;
	self->vm.ram[BUFFER] = 0x5a;
	start(&self->vcpu, GUEST_CODE, 4);
	count_output(&self->vcpu);
	ASSERT_EQ(PF_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
	EXPECT_EQ(3u, trap.error);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(4u, regs.rcx);
	EXPECT_EQ(BUFFER, regs.rdi);
	EXPECT_EQ(0x5a, self->vm.ram[BUFFER]);
}

TEST_HARNESS_MAIN
