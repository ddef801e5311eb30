// SPDX-License-Identifier: GPL-2.0
/* Memory slots: what may be registered, changed, moved and deleted, and each error. */
#include <sys/mman.h>

#include "lib/harness.h"

#define PAGE	4096ul
#define SIZE	(4 * PAGE)
#define GPA	0x100000ul

/* A slot with SIZE bytes at GPA is there already; then comes the row's call. */
FIXTURE(slot) {
	struct vm vm;
	u8 *memory;
};
FIXTURE_VARIANT(slot) {
	u32 slot, flags;
	u64 gpa, size;
	s64 hva_offset;
	bool raw_hva;	/* the offset is the address */
	int result;
};
FIXTURE_SETUP(slot)
{
	vm_create(&self->vm);
	self->memory = pages_alloc(4 * SIZE);
	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, self->memory);
}
FIXTURE_TEARDOWN(slot)
{
	vm_destroy(&self->vm);
}

#define SLOT_ROW(id, ...) FIXTURE_VARIANT_ADD(slot, id) { __VA_ARGS__ }

SLOT_ROW(new, 2, 0, GPA + SIZE, SIZE, SIZE);
SLOT_ROW(new_readonly, 2, KVM_MEM_READONLY, GPA + SIZE, SIZE, SIZE);
SLOT_ROW(same_again, 1, 0, GPA, SIZE);
SLOT_ROW(same_memory_twice, 2, 0, GPA + SIZE, SIZE);
SLOT_ROW(memory_not_there_yet, 2, 0, GPA + SIZE, SIZE, 0x10000, .raw_hva = true);
SLOT_ROW(null_memory, 2, 0, GPA + SIZE, SIZE, 0, .raw_hva = true);
SLOT_ROW(move, 1, 0, GPA + 8 * SIZE, SIZE);
SLOT_ROW(move_over_itself, 1, 0, GPA + PAGE, SIZE);
SLOT_ROW(delete, 1, 0, 0, 0);
SLOT_ROW(delete_ignores_address, 1, 0, GPA + PAGE, 0);
SLOT_ROW(delete_absent, 3, 0, 0, 0, .result = -EINVAL);
SLOT_ROW(grow, 1, 0, GPA, 2 * SIZE, .result = -EINVAL);
SLOT_ROW(shrink, 1, 0, GPA, PAGE, .result = -EINVAL);
SLOT_ROW(other_memory, 1, 0, GPA, SIZE, PAGE, .result = -EINVAL);
SLOT_ROW(becomes_readonly, 1, KVM_MEM_READONLY, GPA, SIZE, .result = -EINVAL);
SLOT_ROW(overlap_begin, 2, 0, GPA - PAGE, 2 * PAGE, .result = -EEXIST);
SLOT_ROW(overlap_end, 2, 0, GPA + SIZE - PAGE, 2 * PAGE, .result = -EEXIST);
SLOT_ROW(overlap_inside, 2, 0, GPA + PAGE, PAGE, .result = -EEXIST);
SLOT_ROW(overlap_around, 2, 0, GPA - PAGE, 2 * SIZE, .result = -EEXIST);
SLOT_ROW(touches_begin, 2, 0, GPA - PAGE, PAGE);
SLOT_ROW(touches_end, 2, 0, GPA + SIZE, PAGE);
SLOT_ROW(moves_onto_another, 1, 0, 0, SIZE, .result = -EEXIST);
SLOT_ROW(gpa_unaligned, 2, 0, GPA + SIZE + 1, PAGE, .result = -EINVAL);
SLOT_ROW(size_unaligned, 2, 0, GPA + SIZE, PAGE + 512, .result = -EINVAL);
SLOT_ROW(hva_unaligned, 2, 0, GPA + SIZE, PAGE, 8, .result = -EINVAL);
SLOT_ROW(gpa_wraps, 2, 0, -PAGE, 2 * PAGE, .result = -EINVAL);
SLOT_ROW(gpa_wraps_to_zero, 2, 0, -PAGE, PAGE, .result = -EINVAL);
SLOT_ROW(gpa_too_high, 2, 0, 1ul << 52, PAGE, .result = -EINVAL);
SLOT_ROW(hva_wraps, 2, 0, GPA + SIZE, 2 * PAGE, -PAGE, .raw_hva = true,
	 .result = -EINVAL);
SLOT_ROW(hva_in_the_kernel, 2, 0, GPA + SIZE, PAGE, 0xffff888000000000,
	 .raw_hva = true, .result = -EINVAL);
SLOT_ROW(size_too_big, 2, 0, 0x100000000, 1ul << 44, .result = -EINVAL);
SLOT_ROW(unknown_flag, 2, 1 << 10, GPA + SIZE, PAGE, .result = -EINVAL);
SLOT_ROW(guest_memfd_flag, 2, 1 << 2, GPA + SIZE, PAGE, .result = -EINVAL);
SLOT_ROW(slot_number_too_big, 0x7fff, 0, GPA + SIZE, PAGE, .result = -EINVAL);
SLOT_ROW(address_space_too_big, 0x70000, 0, GPA + SIZE, PAGE, .result = -EINVAL);

static int set_region2(struct vm *vm, const FIXTURE_VARIANT(slot) *row, u64 hva)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = row->slot,
		.flags = row->flags,
		.guest_phys_addr = row->gpa,
		.memory_size = row->size,
		.userspace_addr = hva,
	};

	return __fd_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2,
			  (unsigned long)&region);
}

static u64 row_hva(const FIXTURE_VARIANT(slot) *row, u8 *memory)
{
	return row->raw_hva ? (u64)row->hva_offset : (u64)memory + row->hva_offset;
}

TEST_F(slot, region)
{
	u64 hva = row_hva(variant, self->memory);

	EXPECT_EQ(variant->result,
		  __vm_set_memory(&self->vm, variant->slot, variant->flags,
				  variant->gpa, variant->size, (void *)hva));
}

TEST_F(slot, region2)
{
	EXPECT_EQ(variant->result,
		  set_region2(&self->vm, variant, row_hva(variant, self->memory)));
}

GUEST_PROGRAM(load_once, LONG, "mov (%rcx), %eax\n hlt");
GUEST_PROGRAM(jump_away, LONG, "jmp *%rcx");

FIXTURE_ONE_VCPU(guest_view)

/* What the guest reads at an address: memory's word, or MMIO's answer. */
static u32 guest_reads(struct vcpu *vcpu, u64 gpa, u32 mmio_answer)
{
	struct row_regs row = { .rcx = gpa };
	struct kvm_regs regs;

	guest_load(vcpu, &load_once);
	row_set_regs(vcpu, &row);
	if (__vcpu_run(vcpu))
		die("KVM_RUN failed");
	if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
		memcpy(vcpu->run->mmio.data, &mmio_answer, sizeof(mmio_answer));
		vcpu_run_until(vcpu, KVM_EXIT_HLT);
	}
	vcpu_get_regs(vcpu, &regs);
	return regs.rax;
}

TEST_F(guest_view, moved_memory)
{
	u32 *memory = pages_alloc(SIZE);

	memory[0] = 0x1111;
	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, memory);
	EXPECT_EQ(0x1111u, guest_reads(&self->vcpu, GPA, 0xffff));
	vm_set_memory(&self->vm, 1, 0, GPA + SIZE, SIZE, memory);
	EXPECT_EQ(0xffffu, guest_reads(&self->vcpu, GPA, 0xffff));
	EXPECT_EQ(0x1111u, guest_reads(&self->vcpu, GPA + SIZE, 0xffff));
	vm_set_memory(&self->vm, 1, 0, 0, 0, memory);
	EXPECT_EQ(0xffffu, guest_reads(&self->vcpu, GPA + SIZE, 0xffff));
}

TEST_F(guest_view, one_memory_at_two_addresses)
{
	u32 *memory = pages_alloc(SIZE);

	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, memory);
	vm_set_memory(&self->vm, 2, 0, GPA + SIZE, SIZE, memory);
	memory[0] = 0x2222;
	EXPECT_EQ(0x2222u, guest_reads(&self->vcpu, GPA, 0));
	EXPECT_EQ(0x2222u, guest_reads(&self->vcpu, GPA + SIZE, 0));
}

/* A readonly slot cannot change in place, but be deleted and made anew. */
TEST_F(guest_view, deleted_and_made_again)
{
	u32 *first = pages_alloc(SIZE), *second = pages_alloc(SIZE);

	first[0] = 1;
	second[0] = 2;
	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, first);
	EXPECT_EQ(1u, guest_reads(&self->vcpu, GPA, 9));
	vm_set_memory(&self->vm, 1, 0, GPA, 0, first);
	vm_set_memory(&self->vm, 1, KVM_MEM_READONLY, GPA, SIZE, second);
	EXPECT_EQ(2u, guest_reads(&self->vcpu, GPA, 9));
}

/* Neither in the order of their numbers nor of their addresses, which bit 2 and bit 0 exchange. */
static u64 scattered(int slot)
{
	return GPA + (slot ^ 5) * 2 * PAGE;
}

TEST_F(guest_view, many_slots)
{
	int most = __vm_check_extension(&self->vm, KVM_CAP_NR_MEMSLOTS);
	u32 *memory = pages_alloc(PAGE);

	if (most > 400)
		most = 400;
	*memory = 0x7777;
	for (int slot = 1; slot < most; slot++)
		vm_set_memory(&self->vm, slot, 0, scattered(slot), PAGE, memory);
	for (int slot = 1; slot < most; slot += 30)
		EXPECT_EQ(0x7777u, guest_reads(&self->vcpu, scattered(slot), 0));
	EXPECT_EQ(0x55u, guest_reads(&self->vcpu, GPA + 3 * PAGE, 0x55));
	for (int slot = most - 1; slot > 1; slot--)
		vm_set_memory(&self->vm, slot, 0, 0, 0, memory);
	EXPECT_EQ(0x66u, guest_reads(&self->vcpu, scattered(2), 0x66));
	EXPECT_EQ(0x7777u, guest_reads(&self->vcpu, scattered(1), 0));
}

/* Slots 1 to 4: pages of the process, which each of them has from there on. */
static const u8 first_page[] = { 0, 1, 2, 2 }, pages_of[] = { 4, 1, 1, 2 };

/* Which slots, from @from on, show the guest something else than the process has? */
static u32 slots_that_differ(struct vcpu *vcpu, const u32 *memory, int from)
{
	u32 differ = 0, value;

	for (int slot = from; slot <= 4; slot++) {
		for (int i = 0; i < pages_of[slot - 1]; i++) {
			value = guest_reads(vcpu, GPA + slot * SIZE + i * PAGE, 0xffff);
			if (value != memory[(first_page[slot - 1] + i) * PAGE / sizeof(*memory)])
				differ |= 1 << slot;
		}
	}
	return differ;
}

static void drop_and_refill(u32 *page, u32 value)
{
	if (madvise(page, PAGE, MADV_DONTNEED))
		die("madvise");
	*page = value;
}

TEST_F(guest_view, memory_that_slots_share_stays_the_process_s)
{
	u32 *memory = pages_alloc(SIZE);

	for (int slot = 4; slot >= 1; slot--)
		vm_set_memory(&self->vm, slot, 0, GPA + slot * SIZE, pages_of[slot - 1] * PAGE,
			      memory + first_page[slot - 1] * PAGE / sizeof(*memory));
	for (int page = 3; page >= 0; page--) {
		EXPECT_EQ(0u, slots_that_differ(&self->vcpu, memory, 1));
		drop_and_refill(memory + page * PAGE / sizeof(*memory), page + 1);
		EXPECT_EQ(0u, slots_that_differ(&self->vcpu, memory, 1));
	}
	vm_set_memory(&self->vm, 1, 0, 0, 0, memory);
	drop_and_refill(memory + 2 * PAGE / sizeof(*memory), 7);
	EXPECT_EQ(0u, slots_that_differ(&self->vcpu, memory, 2));
	vm_set_memory(&self->vm, 4, 0, 0, 0, memory);
	drop_and_refill(memory + 2 * PAGE / sizeof(*memory), 8);
	EXPECT_EQ(8u, guest_reads(&self->vcpu, GPA + 3 * SIZE, 0xffff));
	EXPECT_EQ(0xffffu, guest_reads(&self->vcpu, GPA + 4 * SIZE, 0xffff));
}

TEST_F(guest_view, above_4_gib)
{
	u64 *pd = (u64 *)(self->vm.ram + GUEST_PD);
	u32 *memory = pages_alloc(PAGE);

	*memory = 0x4444;
	vm_set_memory(&self->vm, 1, 0, 0x140000000, PAGE, memory);
	guest_load(&self->vcpu, &load_once);
	pd[511] = 0x140000000 | PTE_PS | PTE_W | PTE_P;
	{
		struct row_regs row = { .rcx = 511ul << 21 };
		struct kvm_regs regs;

		row_set_regs(&self->vcpu, &row);
		run_to_halt(_metadata, &self->vcpu, LONG);
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(0x4444u, regs.rax);
	}
}

/* There is no instruction to emulate where there is no memory. */
TEST_F(guest_view, code_in_no_slot_is_an_internal_error)
{
	struct row_regs row = { .rcx = MMIO_BASE };

	guest_load(&self->vcpu, &jump_away);
	row_set_regs(&self->vcpu, &row);
	vcpu_run_until(&self->vcpu, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION,
		  self->vcpu.run->internal.suberror);
}

TEST_F(guest_view, no_memory_at_all_is_an_internal_error)
{
	struct vcpu vcpu;
	struct vm vm;

	vm_create_bare(&vm);
	vcpu_create_bare(&vm, &vcpu, 0);
	vcpu_run_until(&vcpu, KVM_EXIT_INTERNAL_ERROR);
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, vcpu.run->internal.suberror);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
