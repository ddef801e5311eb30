// SPDX-License-Identifier: GPL-2.0
/*
 * INS and OUTS: every width, with and without REP, both directions, over a page's
 * end. How many elements an exit carries is the module's choice: what counts is
 * the stream of data, memory and the registers afterwards.
 */
#include "lib/harness.h"

#define PORT		0x1f0
#define PAGE		4096ul
#define BUFFER		0x20000ul
#define BUFFER_SIZE	(4 * PAGE)
#define MAX_EXITS	20000

FIXTURE(string) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(string) {
	struct guest_program program;
	bool in;
	u32 size;
	u64 count;	/* in RCX */
	u64 first;	/* offset of the first element in the buffer */
	bool backwards;
	u64 elements;	/* that must move */
	u64 rcx;	/* afterwards */
};
FIXTURE_SETUP(string)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &variant->program);
}
FIXTURE_TEARDOWN(string)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define STRING_ROW(id, guest_mode, insns, ...)				\
GUEST_CODE_BYTES(id, BITS_##guest_mode, insns "\n hlt");		\
FIXTURE_VARIANT_ADD(string, id) {					\
	.program = { guest_mode, id##_start, id##_end }, __VA_ARGS__	\
}

STRING_ROW(outsb, LONG, "outsb", .size = 1, .count = 9, .elements = 1, .rcx = 9);
STRING_ROW(outsw, LONG, "outsw", .size = 2, .count = 9, .elements = 1, .rcx = 9);
STRING_ROW(outsl, LONG, "outsl", .size = 4, .count = 9, .elements = 1, .rcx = 9);
STRING_ROW(insb, LONG, "insb", .in = true, .size = 1, .count = 9, .elements = 1,
	   .rcx = 9);
STRING_ROW(insw, LONG, "insw", .in = true, .size = 2, .count = 9, .elements = 1,
	   .rcx = 9);
STRING_ROW(insl, LONG, "insl", .in = true, .size = 4, .count = 9, .elements = 1,
	   .rcx = 9);
STRING_ROW(rep_outsb, LONG, "rep outsb", .size = 1, .count = 37, .elements = 37);
STRING_ROW(rep_outsw, LONG, "rep outsw", .size = 2, .count = 37, .elements = 37);
STRING_ROW(rep_outsl, LONG, "rep outsl", .size = 4, .count = 37, .elements = 37);
STRING_ROW(rep_insb, LONG, "rep insb", .in = true, .size = 1, .count = 37,
	   .elements = 37);
STRING_ROW(rep_insw, LONG, "rep insw", .in = true, .size = 2, .count = 37,
	   .elements = 37);
STRING_ROW(rep_insl, LONG, "rep insl", .in = true, .size = 4, .count = 37,
	   .elements = 37);
STRING_ROW(rep_nothing_out, LONG, "rep outsb", .size = 1);
STRING_ROW(rep_nothing_in, LONG, "rep insb", .in = true, .size = 1);
STRING_ROW(backwards_outsw, LONG, "rep outsw", .size = 2, .count = 5,
	   .first = 64, .backwards = true, .elements = 5);
STRING_ROW(backwards_insl, LONG, "rep insl", .in = true, .size = 4, .count = 5,
	   .first = 64, .backwards = true, .elements = 5);
STRING_ROW(long_insw, LONG, "rep insw", .in = true, .size = 2, .count = 256,
	   .elements = 256);
STRING_ROW(long_insb, LONG, "rep insb", .in = true, .size = 1,
	   .count = 2 * PAGE + 100, .elements = 2 * PAGE + 100);
STRING_ROW(out_over_pages, LONG, "rep outsb", .size = 1, .first = PAGE - 10,
	   .count = 20, .elements = 20);
STRING_ROW(in_over_pages, LONG, "rep insb", .in = true, .size = 1,
	   .first = PAGE - 10, .count = 20, .elements = 20);
STRING_ROW(out_element_over_pages, LONG, "rep outsl", .size = 4,
	   .first = PAGE - 6, .count = 4, .elements = 4);
STRING_ROW(in_element_over_pages, LONG, "rep insl", .in = true, .size = 4,
	   .first = PAGE - 6, .count = 4, .elements = 4);
STRING_ROW(in_word_over_pages, LONG, "rep insw", .in = true, .size = 2,
	   .first = PAGE - 3, .count = 4, .elements = 4);
STRING_ROW(backwards_over_pages, LONG, "rep insw", .in = true, .size = 2,
	   .first = PAGE + 4, .count = 6, .backwards = true, .elements = 6);
STRING_ROW(prot_outsl, PROT, "rep outsl", .size = 4, .count = 8, .elements = 8);
STRING_ROW(prot_insw, PROT, "rep insw", .in = true, .size = 2, .count = 8,
	   .elements = 8);
STRING_ROW(pae_insb, PAE, "rep insb", .in = true, .size = 1, .count = 8,
	   .elements = 8);
STRING_ROW(address_size_prefix, LONG, "rep insb (%dx), %es:(%edi)", .in = true,
	   .size = 1, .count = 8, .elements = 8);

/* Real mode reaches the buffer through segments of 0x2000. */
STRING_ROW(real_insw, REAL, "mov $0x2000, %ax\n mov %ax, %es\n xor %edi, %edi\n rep insw",
	   .in = true, .size = 2, .count = 8, .elements = 8);
STRING_ROW(real_outsb, REAL, "mov $0x2000, %ax\n mov %ax, %ds\n xor %esi, %esi\n rep outsb",
	   .size = 1, .count = 8, .elements = 8);
STRING_ROW(real_outs_override, REAL,
	   "mov $0x2000, %ax\n mov %ax, %es\n xor %esi, %esi\n rep outsw %es:(%si), (%dx)",
	   .size = 2, .count = 8, .elements = 8);

static u8 pattern(u64 n)
{
	return n * 7 + 3 + (n >> 8);
}

/* Moves the data of one exit; returns how many bytes. */
static size_t serve_exit(struct __test_metadata *_metadata, struct kvm_run *run,
			 bool in, u32 size, u8 *stream)
{
	u8 *data = (u8 *)run + run->io.data_offset;
	size_t bytes = run->io.count * size;

	ASSERT_EQ(in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT, run->io.direction);
	ASSERT_EQ(PORT, run->io.port);
	ASSERT_EQ(size, run->io.size);
	ASSERT_LE(1u, run->io.count);
	ASSERT_LE(bytes, PAGE);
	if (in)
		memcpy(data, stream, bytes);
	else
		memcpy(stream, data, bytes);
	return bytes;
}

/* Runs to the HLT, feeding or collecting the stream; returns its length. */
static size_t serve_stream(struct __test_metadata *_metadata,
			   struct vcpu *vcpu, bool in, u32 size, u8 *stream)
{
	size_t done = 0;

	for (int exits = 0; exits < MAX_EXITS; exits++) {
		ASSERT_EQ(0, __vcpu_run(vcpu));
		if (vcpu->run->exit_reason == KVM_EXIT_HLT)
			return done;
		ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
		ASSERT_LE(done, BUFFER_SIZE - PAGE);
		done += serve_exit(_metadata, vcpu->run, in, size, stream + done);
	}
	ASSERT_TRUE(false) TH_LOG("no end after %d exits", MAX_EXITS);
	return 0;
}

/* Offset in the buffer of byte n of the stream. */
static u64 place(const FIXTURE_VARIANT(string) *row, u64 n)
{
	u64 element = n / row->size * row->size;

	return row->first + n % row->size + (row->backwards ? -element : element);
}

static void set_string_regs(struct vcpu *vcpu, const FIXTURE_VARIANT(string) *row)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rcx = row->count;
	regs.rdx = PORT;
	regs.rsi = regs.rdi = BUFFER + row->first;
	if (row->backwards)
		regs.rflags |= RFLAGS_DF;
	vcpu_set_regs(vcpu, &regs);
}

static void expect_string_regs(struct __test_metadata *_metadata,
			       struct vcpu *vcpu,
			       const FIXTURE_VARIANT(string) *row)
{
	u64 begin = BUFFER + row->first, moved = row->elements * row->size;
	u64 end = row->backwards ? begin - moved : begin + moved;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(row->rcx, regs.rcx);
	if (row->program.mode == REAL) {
		EXPECT_EQ(moved, row->in ? regs.rdi : regs.rsi);
		return;
	}
	EXPECT_EQ(end, row->in ? regs.rdi : regs.rsi);
	EXPECT_EQ(begin, row->in ? regs.rsi : regs.rdi);
}

TEST_F(string, data_and_registers)
{
	u8 *buffer = self->vm.ram + BUFFER, *stream = pages_alloc(BUFFER_SIZE);
	u8 *expected = pages_alloc(BUFFER_SIZE);
	u64 bytes = variant->elements * variant->size;

	for (u64 i = 0; i < BUFFER_SIZE; i++)
		buffer[i] = expected[i] = pattern(i);
	for (u64 n = 0; n < bytes; n++) {
		if (variant->in) {
			stream[n] = ~pattern(n);
			expected[place(variant, n)] = stream[n];
		}
	}

	set_string_regs(&self->vcpu, variant);
	ASSERT_EQ(bytes, serve_stream(_metadata, &self->vcpu, variant->in,
				      variant->size, stream));
	expect_string_regs(_metadata, &self->vcpu, variant);
	EXPECT_EQ(0, memcmp(buffer, expected, BUFFER_SIZE));
	if (variant->in)
		return;
	for (u64 n = 0; n < bytes; n++) {
		ASSERT_EQ(buffer[place(variant, n)], stream[n])
			TH_LOG("byte %llu", (unsigned long long)n);
	}
}

GUEST_PROGRAM(rep_insb_once, LONG, "rep insb\n hlt");

FIXTURE_ONE_VCPU(edges)

/* The registers that userspace sees at an exit let it resume or edit the transfer. */
TEST_F(edges, rcx_cut_short_ends_the_transfer)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &rep_insb_once);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rcx = 8192;
	regs.rdx = PORT;
	regs.rdi = BUFFER;
	vcpu_set_regs(&self->vcpu, &regs);

	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rcx = 1;
	vcpu_set_regs(&self->vcpu, &regs);
	memset((u8 *)self->vcpu.run + self->vcpu.run->io.data_offset, 0xaa, PAGE);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
}

TEST_F(edges, a_big_read_does_not_take_an_exit_an_element)
{
	struct kvm_regs regs;
	u32 exits = 0;

	guest_load(&self->vcpu, &rep_insb_once);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rcx = 4096;
	regs.rdx = PORT;
	regs.rdi = BUFFER;
	vcpu_set_regs(&self->vcpu, &regs);
	while (__vcpu_run(&self->vcpu) == 0 &&
	       self->vcpu.run->exit_reason == KVM_EXIT_IO)
		exits++;
	EXPECT_EQ(KVM_EXIT_HLT, self->vcpu.run->exit_reason);
	EXPECT_LE(exits, 64u);
}

TEST_F(edges, a_fault_in_the_buffer_is_the_guests)
{
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &rep_insb_once);
	vcpu_get_regs(&self->vcpu, &regs);
	regs.rcx = 4;
	regs.rdx = PORT;
	regs.rdi = UNMAPPED_GVA;
	vcpu_set_regs(&self->vcpu, &regs);
	while (__vcpu_run(&self->vcpu) == 0 &&
	       self->vcpu.run->exit_reason == KVM_EXIT_IO)
		;
	ASSERT_EQ(KVM_EXIT_HLT, self->vcpu.run->exit_reason);
	ASSERT_EQ(PF_VECTOR, guest_trap(&self->vcpu, LONG, &trap));
	EXPECT_EQ(2u, trap.error);
	EXPECT_EQ(GUEST_CODE, trap.rip);
}

TEST_HARNESS_MAIN
