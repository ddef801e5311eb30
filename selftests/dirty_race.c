// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty log loses nothing: two vCPUs count in random pages while a copy of the memory follows them by what the log
 * says alone. In the end the copy is the memory.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "lib/harness.h"

#define PAGE	4096ul
#define GPA	0x1000000ul
#define SIZE	0x1000000ul
#define PAGES	(SIZE / PAGE)
#define WORDS	(PAGES / 64)
#define STOP	0x30000ul	/* not 0: the guest halts */
#define DONE	0x30100ul	/* a counter per vCPU */
#define ROUNDS	60
#define WRITES	600ul
#define HUGE	0x200000ul

/* RSI: random; RDI: offset of the vCPU's counters in a page. */
GUEST_PROGRAM(counts, LONG,
	      "sti\n 1: imul $1664525, %esi, %esi\n add $1013904223, %esi\n mov %esi, %eax\n shr $20, %eax\n shl $12, %eax\n"
	      "incq 0x1000000(%rax,%rdi)\n incq 0x30100(%rdi)\n cmpl $0, 0x30000\n je 1b\n hlt");

FIXTURE(dirty) {
	struct vm vm;
	struct vcpu vcpu[2];
	u8 *memory, *copy;
	u64 log[WORDS];
	u64 seen;
};
FIXTURE_VARIANT(dirty) {
	int advice;
	u64 manual;
	bool toggles;
};
FIXTURE_VARIANT_ADD(dirty, small_pages) { MADV_NOHUGEPAGE };
FIXTURE_VARIANT_ADD(dirty, huge_pages) { MADV_HUGEPAGE };
FIXTURE_VARIANT_ADD(dirty, small_pages_on_and_off) { MADV_NOHUGEPAGE, .toggles = true };
FIXTURE_VARIANT_ADD(dirty, huge_pages_on_and_off) { MADV_HUGEPAGE, .toggles = true };
FIXTURE_VARIANT_ADD(dirty, manual) { MADV_HUGEPAGE, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE };
FIXTURE_VARIANT_ADD(dirty, manual_all_set) {
	MADV_HUGEPAGE, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET, .toggles = true
};

static int enable_manual(struct vm *vm, u64 flags)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { flags } };

	return __fd_ioctl(vm->fd, KVM_ENABLE_CAP, (unsigned long)&cap);
}

FIXTURE_SETUP(dirty)
{
	u8 *room = pages_alloc(SIZE + HUGE);

	vm_create(&self->vm);
	if (variant->manual && enable_manual(&self->vm, variant->manual))
		SKIP(return, "no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	for (int i = 0; i < 2; i++) {
		struct row_regs row = { .rsi = i + 1, .rdi = 8 * i };

		vcpu_create(&self->vm, &self->vcpu[i], i);
		guest_load(&self->vcpu[i], &counts);
		row_set_regs(&self->vcpu[i], &row);
	}
	self->memory = (u8 *)(((u64)room + HUGE - 1) & ~(HUGE - 1));
	self->copy = pages_alloc(SIZE);
	madvise(self->memory, SIZE, variant->advice);
}
FIXTURE_TEARDOWN(dirty)
{
	for (int i = 0; i < 2; i++)
		vcpu_destroy(&self->vcpu[i]);
	vm_destroy(&self->vm);
}

static void *run_thread(void *vcpu)
{
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	return NULL;
}

static int get_log(struct vm *vm, u64 *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	return __fd_ioctl(vm->fd, KVM_GET_DIRTY_LOG, (unsigned long)&log);
}

/* In two calls, to see that parts are possible. */
static int clear_log(struct vm *vm, u64 *bitmap)
{
	struct kvm_clear_dirty_log log = { .slot = 1, .num_pages = PAGES / 2, .dirty_bitmap = bitmap };
	int ret = __fd_ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, (unsigned long)&log);

	log.first_page = PAGES / 2;
	log.dirty_bitmap = bitmap + WORDS / 2;
	return ret ?: __fd_ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, (unsigned long)&log);
}

static void follow(struct __test_metadata *_metadata, FIXTURE_DATA(dirty) *self, bool manual)
{
	ASSERT_EQ(0, get_log(&self->vm, self->log));
	if (manual)
		ASSERT_EQ(0, clear_log(&self->vm, self->log));
	for (u64 i = 0; i < PAGES; i++) {
		if (!(self->log[i / 64] >> i % 64 & 1))
			continue;
		memcpy(self->copy + i * PAGE, self->memory + i * PAGE, PAGE);
		self->seen++;
	}
}

static void set_slot(FIXTURE_DATA(dirty) *self, u32 flags)
{
	vm_set_memory(&self->vm, 1, flags, GPA, SIZE, self->memory);
}

TEST_F_TIMEOUT(dirty, copy_follows, LONG_TEST_SECONDS)
{
	pthread_t thread[2];
	volatile u64 *done = (u64 *)(self->vm.ram + DONE);
	u64 counted = 0;

	set_slot(self, variant->toggles ? 0 : KVM_MEM_LOG_DIRTY_PAGES);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, run_thread, &self->vcpu[i]));
	for (u64 round = 0; round < ROUNDS || done[0] + done[1] < WRITES; round++) {
		if (variant->toggles && round % 20 == 0) {
			set_slot(self, 0);
			usleep(20000);
			set_slot(self, KVM_MEM_LOG_DIRTY_PAGES);
			memcpy(self->copy, self->memory, SIZE);
		}
		usleep(round % 7 * 1000);
		follow(_metadata, self, variant->manual);
	}
	*(volatile u32 *)(self->vm.ram + STOP) = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	follow(_metadata, self, variant->manual);
	EXPECT_EQ(0, memcmp(self->copy, self->memory, SIZE));
	for (u64 i = 0; i < SIZE / 8; i++)
		counted += ((u64 *)self->memory)[i];
	TH_LOG("%llu writes, %llu pages copied", (unsigned long long)counted, (unsigned long long)self->seen);
	EXPECT_EQ(done[0] + done[1], counted);
	/* Nobody runs: nothing is dirty, and the log says so. */
	ASSERT_EQ(0, get_log(&self->vm, self->log));
	for (u64 i = 0; i < WORDS; i++)
		EXPECT_EQ(0u, self->log[i]);
}

TEST_HARNESS_MAIN
