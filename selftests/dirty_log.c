// SPDX-License-Identifier: GPL-2.0
/* Which pages of a slot were written, by the guest or by the kernel on its behalf. */
#include <sys/mman.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define SLOT	5
#define GPA	0x10000000ul
#define PAGE	4096ul
#define PAGES	70ul		/* more than a word of the bitmap, and no multiple */
#define HUGE	(2ul << 20)
#define HUGE_SLOT_PAGES (2 * HUGE / PAGE)

static volatile u32 chosen[8];	/* the pages that the guest is to write */
static volatile u32 nr_chosen;

GUEST writes_pages(u64 arg)
{
	(void)arg;
	for (;;) {
		for (u32 i = 0; i < nr_chosen; i++)
			*(volatile u32 *)(GPA + chosen[i] * PAGE + 8 * i) = 1;
		guest_say(0);
	}
}

FIXTURE(dirty_log) {
	struct machine m;
	u8 *memory;
	u64 bitmap[HUGE_SLOT_PAGES / 64];
};
FIXTURE_SETUP(dirty_log)
{
	struct machine *m = &self->m;

	machine_create(m, NO_IRQCHIP, 1);
	self->memory = pages_alloc(PAGES * PAGE);
	/* A device that does not know the flag yet refuses it. */
	if (__vm_set_memory(&m->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * PAGE,
			    self->memory))
		SKIP(return, "the device does not log");
	machine_enter_at(m, 0, writes_pages, 0);
}
FIXTURE_TEARDOWN(dirty_log)
{
	machine_destroy(&self->m);
}

static int get_log(struct vm *vm, u64 *bitmap)
{
	struct kvm_dirty_log log = { .slot = SLOT, .dirty_bitmap = bitmap };

	return __vm_get_dirty_log(vm, &log);
}

/* The guest writes to these pages, in one go. */
static void write_pages(struct machine *m, int count, const u32 *pages)
{
	nr_chosen = count;
	for (int i = 0; i < count; i++)
		chosen[i] = pages[i];
	vcpu_run_until_say(&m->vcpu[0]);
}

#define WRITE_PAGES(m, ...) \
	write_pages(m, sizeof((u32[]){ __VA_ARGS__ }) / 4, (u32[]){ __VA_ARGS__ })

/* The log must hold these words, and is then clear. */
static void expect_log(struct __test_metadata *_metadata, struct vm *vm, u64 word0, u64 word1)
{
	u64 bitmap[3] = { -1, -1, 0x5a5a };

	ASSERT_EQ(0, get_log(vm, bitmap));
	EXPECT_EQ(word0, bitmap[0]);
	EXPECT_EQ(word1, bitmap[1]);
	EXPECT_EQ(0x5a5au, bitmap[2]);		/* not a bit too many */
}

TEST_F(dirty_log, begins_clear)
{
	expect_log(_metadata, &self->m.vm, 0, 0);
}

TEST_F(dirty_log, each_page_and_no_other)
{
	WRITE_PAGES(&self->m, 0, 1, 63, 64, 69);
	expect_log(_metadata, &self->m.vm, 1ull << 63 | 3, 1ull << 5 | 1);
}

/* What was reported is protected again, or the next write would go unseen. */
TEST_F(dirty_log, reading_clears_and_protects)
{
	for (u32 i = 0; i < 4; i++) {
		WRITE_PAGES(&self->m, 7);
		expect_log(_metadata, &self->m.vm, 1 << 7, 0);
		expect_log(_metadata, &self->m.vm, 0, 0);
		WRITE_PAGES(&self->m, 7, 20);
		expect_log(_metadata, &self->m.vm, 1 << 7 | 1 << 20, 0);
	}
}

TEST_F(dirty_log, switched_on_later)
{
	struct vm *vm = &self->m.vm;

	vm_set_memory(vm, SLOT, 0, GPA, PAGES * PAGE, self->memory);
	EXPECT_EQ(-ENOENT, get_log(vm, self->bitmap));
	WRITE_PAGES(&self->m, 3, 4);
	vm_set_memory(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * PAGE, self->memory);
	expect_log(_metadata, vm, 0, 0);
	WRITE_PAGES(&self->m, 4, 5);
	expect_log(_metadata, vm, 3 << 4, 0);
}

TEST_F(dirty_log, errors)
{
	struct kvm_dirty_log log = { .slot = 6, .dirty_bitmap = self->bitmap };

	EXPECT_EQ(-ENOENT, __vm_get_dirty_log(&self->m.vm, &log));	/* no such slot */
	log.slot = 0;
	EXPECT_EQ(-ENOENT, __vm_get_dirty_log(&self->m.vm, &log));	/* it does not log */
	log.slot = 0xffff;
	EXPECT_EQ(-EINVAL, __vm_get_dirty_log(&self->m.vm, &log));
	log.slot = 7 << 16 | SLOT;
	EXPECT_EQ(-EINVAL, __vm_get_dirty_log(&self->m.vm, &log));
	log.slot = SLOT;
	log.dirty_bitmap = (void *)0x10;
	EXPECT_EQ(-EFAULT, __vm_get_dirty_log(&self->m.vm, &log));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->m.vm.fd, KVM_GET_DIRTY_LOG, 0x10));
}

GUEST reads_pages(u64 arg)
{
	(void)arg;
	for (u32 i = 0; i < PAGES; i++)
		*(volatile u32 *)(GPA + i * PAGE);
	guest_say(0);
	guest_done();
}

TEST_F(dirty_log, reads_are_not_writes)
{
	machine_enter_at(&self->m, 0, reads_pages, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	expect_log(_metadata, &self->m.vm, 0, 0);
}

GUEST stores_of_the_kernel(u64 arg)
{
	void *to = (void *)(GPA + 9 * PAGE), *from = (void *)MMIO_BASE;
	u64 count = 4;

	(void)arg;
	asm volatile("mov $0x10, %%edx; rep insb" : "+D"(to), "+c"(count) : : "rdx", "memory");
	to = (void *)(GPA + 11 * PAGE);
	asm volatile("movsl" : "+D"(to), "+S"(from) : : "memory");
	asm volatile("mov $0, %%eax; cpuid" : : : "rax", "rbx", "rcx", "rdx", "memory");
	guest_say(0);
	guest_done();
}

/* String input, and a load from a device that is stored by the same instruction. */
TEST_F(dirty_log, what_the_kernel_writes_counts)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	machine_enter_at(&self->m, 0, stores_of_the_kernel, 0);
	for (;;) {
		ASSERT_EQ(0, __vcpu_run(vcpu));
		if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == PORT_SAY)
			break;
		ASSERT_TRUE(vcpu->run->exit_reason == KVM_EXIT_IO ||
			    vcpu->run->exit_reason == KVM_EXIT_MMIO);
	}
	expect_log(_metadata, &self->m.vm, 1 << 9 | 1 << 11, 0);
}

/* A page that userspace writes is its own affair. */
TEST_F(dirty_log, userspace_writes_are_not_logged)
{
	self->memory[3 * PAGE] = 1;
	expect_log(_metadata, &self->m.vm, 0, 0);
}

TEST_F(dirty_log, with_readonly)
{
	struct vm *vm = &self->m.vm;
	struct kvm_run *run = self->m.vcpu[0].run;

	vm_set_memory(vm, SLOT, 0, GPA, 0, self->memory);
	vm_set_memory(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY, GPA, PAGES * PAGE,
		      self->memory);
	nr_chosen = 1;
	chosen[0] = 3;
	vcpu_run_until(&self->m.vcpu[0], KVM_EXIT_MMIO);
	EXPECT_EQ(1, run->mmio.is_write);
	EXPECT_EQ(GPA + 3 * PAGE, run->mmio.phys_addr);
	expect_log(_metadata, vm, 0, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
}

/* Two huge pages take the slot, and the guest has written to them before logging begins. */
static u8 *take_huge_pages(FIXTURE_DATA(dirty_log) *self)
{
	u8 *area = pages_alloc(3 * HUGE), *memory = (u8 *)(((u64)area + HUGE - 1) & -HUGE);
	struct vm *vm = &self->m.vm;

	madvise(memory, 2 * HUGE, MADV_HUGEPAGE);
	memset(memory, 1, 2 * HUGE);
	vm_set_memory(vm, SLOT, 0, GPA, 0, self->memory);
	vm_set_memory(vm, SLOT, 0, GPA, 2 * HUGE, memory);
	WRITE_PAGES(&self->m, 0, 17, 511, 512, 1000);
	return memory;
}

TEST_F(dirty_log, huge_pages_are_split)
{
	u8 *memory = take_huge_pages(self);
	struct vm *vm = &self->m.vm;
	u32 dirty = 0;

	vm_set_memory(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, 2 * HUGE, memory);
	WRITE_PAGES(&self->m, 17, 1000);
	ASSERT_EQ(0, get_log(vm, self->bitmap));
	for (u32 i = 0; i < HUGE_SLOT_PAGES; i++)
		dirty += self->bitmap[i / 64] >> i % 64 & 1;
	EXPECT_EQ(2u, dirty);
	EXPECT_EQ(1u << 17, self->bitmap[0]);
	EXPECT_EQ(1ull << 1000 % 64, self->bitmap[1000 / 64]);
	/* And back to huge ones. */
	vm_set_memory(vm, SLOT, 0, GPA, 2 * HUGE, memory);
	WRITE_PAGES(&self->m, 0, 17, 511, 512, 1000);
}

static int enable(struct vm *vm, u64 flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { flags },
	};

	return __vm_enable_cap(vm, &cap);
}

static int clear(struct vm *vm, u32 first, u32 count, u64 *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = SLOT, .first_page = first, .num_pages = count, .dirty_bitmap = bitmap,
	};

	return __vm_clear_dirty_log(vm, &log);
}

/* Reading leaves the log as it is; clearing takes out what it is told. */
TEST_F(dirty_log, manual_protection)
{
	u64 some[2] = { 1 << 3, 1 << 1 };
	struct vm *vm = &self->m.vm;

	SKIP_WITHOUT_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	ASSERT_EQ(0, enable(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE));
	WRITE_PAGES(&self->m, 3, 4, 65);
	expect_log(_metadata, vm, 3 << 3, 1 << 1);
	expect_log(_metadata, vm, 3 << 3, 1 << 1);
	ASSERT_EQ(0, clear(vm, 0, PAGES, some));
	expect_log(_metadata, vm, 1 << 4, 0);
	WRITE_PAGES(&self->m, 3);
	expect_log(_metadata, vm, 3 << 3, 0);
	/* A word of its own. */
	some[0] = 1 << 4;
	ASSERT_EQ(0, clear(vm, 0, 64, some));
	expect_log(_metadata, vm, 1 << 3, 0);
	WRITE_PAGES(&self->m, 66);
	some[0] = 1 << 2;
	ASSERT_EQ(0, clear(vm, 64, PAGES - 64, some));
	expect_log(_metadata, vm, 1 << 3, 0);
}

/* Ranges to clear of 70 pages, and whether they are taken. */
static const struct {
	u32 first, count;
	int result;
} ranges[] = {
	{ 0, 70, 0 },
	{ 64, 6, 0 },
	{ 0, 64, 0 },
	{ 0, 0, 0 },
	{ 1, 64, -EINVAL },		/* not at a word */
	{ 0, 65, -EINVAL },		/* neither words nor the end */
	{ 0, 128, -EINVAL },		/* beyond the end */
	{ 128, 64, -EINVAL },
	{ 64, 70, -EINVAL },
};

TEST_F(dirty_log, ranges_to_clear)
{
	SKIP_WITHOUT_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	ASSERT_EQ(0, enable(&self->m.vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE));
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		EXPECT_EQ(ranges[i].result, clear(&self->m.vm, ranges[i].first, ranges[i].count,
						  self->bitmap)) {
			TH_LOG("row %zu", i);
		}
	}
}

TEST_F(dirty_log, manual_flags)
{
	int supported = device_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

	SKIP_WITHOUT_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	EXPECT_EQ(-EINVAL, enable(&self->m.vm, KVM_DIRTY_LOG_INITIALLY_SET));
	EXPECT_EQ(-EINVAL, enable(&self->m.vm, 4));
	EXPECT_EQ(0, enable(&self->m.vm, 0));
	EXPECT_EQ(0, enable(&self->m.vm, supported));
}

/* All pages count as written at first, so that the first copy finds them all. */
TEST_F(dirty_log, initially_set)
{
	struct vm *vm = &self->m.vm;
	u64 all[2] = { -1, (1 << 6) - 1 };

	if (!(device_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & KVM_DIRTY_LOG_INITIALLY_SET))
		SKIP(return, "the device has no KVM_DIRTY_LOG_INITIALLY_SET");
	ASSERT_EQ(0, enable(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET));
	vm_set_memory(vm, SLOT, 0, GPA, PAGES * PAGE, self->memory);
	WRITE_PAGES(&self->m, 5);
	vm_set_memory(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * PAGE, self->memory);
	expect_log(_metadata, vm, -1, (1 << 6) - 1);
	ASSERT_EQ(0, clear(vm, 0, PAGES, all));
	expect_log(_metadata, vm, 0, 0);
	WRITE_PAGES(&self->m, 5);
	expect_log(_metadata, vm, 1 << 5, 0);
}

/* So many huge leaves have become small ones since there were these. */
static void expect_split(struct __test_metadata *_metadata, struct vm *vm, const u64 before[2], u64 count)
{
	EXPECT_EQ(before[0] - count, fd_stat(vm->fd, "pages_2m"));
	EXPECT_EQ(before[1] + count * (HUGE / PAGE), fd_stat(vm->fd, "pages_4k"));
}

/* Not by the writes that follow. */
TEST_F(dirty_log, huge_pages_are_split_at_once)
{
	u8 *memory = take_huge_pages(self);
	struct vm *vm = &self->m.vm;
	u64 before[2];

	SKIP_WITHOUT_CAP(KVM_CAP_BINARY_STATS_FD);
	before[0] = fd_stat(vm->fd, "pages_2m");
	before[1] = fd_stat(vm->fd, "pages_4k");
	if (before[0] < 2)
		SKIP(return, "the host gives no huge pages");
	vm_set_memory(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, 2 * HUGE, memory);
	expect_split(_metadata, vm, before, 2);
	WRITE_PAGES(&self->m, 17, 1000);
	expect_split(_metadata, vm, before, 2);
}

/* When all pages count as written, then when they are cleared; what is not stays as it is. */
TEST_F(dirty_log, huge_pages_are_split_by_clearing)
{
	u8 *memory = take_huge_pages(self);
	struct vcpu *vcpu = &self->m.vcpu[0];
	struct vm *vm = &self->m.vm;
	u64 before[2], faults;

	SKIP_WITHOUT_CAP(KVM_CAP_BINARY_STATS_FD);
	if (!(device_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & KVM_DIRTY_LOG_INITIALLY_SET))
		SKIP(return, "the device has no KVM_DIRTY_LOG_INITIALLY_SET");
	ASSERT_EQ(0, enable(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET));
	before[0] = fd_stat(vm->fd, "pages_2m");
	before[1] = fd_stat(vm->fd, "pages_4k");
	if (before[0] < 2)
		SKIP(return, "the host gives no huge pages");
	vm_set_memory(vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, 2 * HUGE, memory);
	expect_split(_metadata, vm, before, 0);
	memset(self->bitmap, 0, sizeof(self->bitmap));
	ASSERT_EQ(0, clear(vm, 512, 512, self->bitmap));
	expect_split(_metadata, vm, before, 0);
	self->bitmap[0] = -1;
	ASSERT_EQ(0, clear(vm, 512, 64, self->bitmap));
	expect_split(_metadata, vm, before, 1);
	faults = fd_stat(vcpu->fd, "pf_taken");
	WRITE_PAGES(&self->m, 0, 511, 576, 1023);
	EXPECT_EQ(faults, fd_stat(vcpu->fd, "pf_taken"));
	expect_split(_metadata, vm, before, 1);
	WRITE_PAGES(&self->m, 575);
	ASSERT_EQ(0, get_log(vm, self->bitmap));
	EXPECT_EQ(1ull << 63, self->bitmap[512 / 64]);
}

TEST_HARNESS_MAIN
