// SPDX-License-Identifier: GPL-2.0
/*
 * What the host does to a process's memory while a guest works in it: no stamp that
 * the guest has written may get lost, unless it was thrown away.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/harness.h"

#define PAGE		4096ul
#define HUGE_PAGE	(2ul << 20)
#define GPA		0x400000ul
#define SIZE		(2 * HUGE_PAGE)
#define STEP		0x40000ul
#define STAMPS		(SIZE / STEP)
#define ROUNDS		40

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

/* Words of the guest's that both sides use. */
#define SWEEPS	0x30000
#define EPOCH	0x30008
#define LOST	0x30010

/*
 * Sweep after sweep over all stamps. Each must be what was written last, or 0: thrown
 * away. In a new epoch each is written anew; epoch ~0 is the end.
 */
GUEST_PROGRAM(stamps, LONG,
	      SPIN "1: mov 0x30008, %rax\n cmp $-1, %rax\n je 5f\n mov $0x400000, %edi\n mov $16, %ebp\n"
	      "2: cmp %rbx, (%rdi)\n je 3f\n cmpq $0, (%rdi)\n jne 4f\n incq 0x30010\n mov %rax, (%rdi)\n"
	      "3: cmp %rax, %rbx\n je 6f\n mov %rax, (%rdi)\n"
	      "6: add $0x40000, %rdi\n dec %ebp\n jnz 2b\n"
	      "mov %rax, %rbx\n incq 0x30000\n jmp 1b\n"
	      "4: mov $0xbad, %edx\n 5: hlt");

/* Returns what this host cannot do. */
typedef const char *storm_fn(u8 *memory, u64 round);

static const char *check(int ret, const char *reason)
{
	return ret ? reason : NULL;
}

static u8 *stamp_page(u8 *memory, u64 round)
{
	return memory + round % STAMPS * STEP;
}

static const char *drop(u8 *memory, u64 round)
{
	return check(madvise(stamp_page(memory, round), 3 * PAGE, MADV_DONTNEED), "MADV_DONTNEED");
}

static const char *map_anew(u8 *memory, u64 round)
{
	void *page = stamp_page(memory, round);

	return check(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		     page, "mmap");
}

static const char *protect(u8 *memory, u64 round)
{
	int prot = round % 2 ? PROT_READ : PROT_NONE;

	return check(mprotect(memory + STEP, SIZE / 2, prot) ||
		     mprotect(memory + STEP, SIZE / 2, PROT_READ | PROT_WRITE), "mprotect");
}

static const char *move(u8 *memory, u64 round)
{
	void *page = stamp_page(memory, round);
	void *there = mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + SIZE);

	return check(there == MAP_FAILED || mremap(there, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page) != page,
		     "mremap");
}

/* Half of the children go before the guest writes again, the others any time. */
static const char *copy_on_write(u8 *memory, u64 round)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(*stamp_page(memory, round) & 0);
	return check(pid < 0 || (round % 2 && waitpid(pid, NULL, 0) != pid), "fork");
}

/* The page's contents go to another, and nobody gets the old one again. */
static const char *migrate(u8 *memory, u64 round)
{
	return check(madvise(stamp_page(memory, round), PAGE, MADV_SOFT_OFFLINE), "this host moves no pages on demand");
}

static const char *collapse(u8 *memory, u64 round)
{
	u8 *half = memory + round % 2 * HUGE_PAGE;

	protect(memory, round);
	return check(madvise(half, HUGE_PAGE, MADV_COLLAPSE), "this host makes no huge pages on demand");
}

static bool write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	if (!file)
		return false;
	fputs(text, file);
	return fclose(file) == 0;
}

#define KSM "/sys/kernel/mm/ksm/"

static bool ksm_start(void)
{
	return write_file(KSM "sleep_millisecs", "0") && write_file(KSM "pages_to_scan", "1000") &&
	       write_file(KSM "run", "1");
}

static u64 word_of(const char *name, u64 index)
{
	int fd = open(name, O_RDONLY);
	u64 word = 0;

	if (fd < 0 || pread(fd, &word, sizeof(word), index * sizeof(word)) != sizeof(word))
		die("%s", name);
	close(fd);
	return word;
}

#define PAGEMAP_PFN	((1ul << 55) - 1)
#define FLAG_MERGED	(1ul << 21)

static bool is_merged(u8 *page)
{
	u64 entry = word_of("/proc/self/pagemap", (u64)page / PAGE);

	return word_of("/proc/kpageflags", entry & PAGEMAP_PFN) & FLAG_MERGED;
}

/* All stamps are the same while an epoch lasts: so are their pages. */
static const char *merge(u8 *memory, u64 round)
{
	if (!ksm_start() || madvise(memory, SIZE, MADV_MERGEABLE))
		return "this host merges no pages, or not for us";
	for (u64 stamp = 0; stamp < STAMPS; stamp++) {
		while (!is_merged(stamp_page(memory, stamp)))
			sched_yield();
	}
	return check(round % 4 == 3 && madvise(memory, SIZE, MADV_UNMERGEABLE), "MADV_UNMERGEABLE");
}

struct host {
	storm_fn *storm;
	u8 *memory;
	volatile u64 *sweeps, *epoch;
	volatile bool guest_gone;
	const char *reason;
	int wrong;
};

static void sweep_twice(const struct host *host)
{
	u64 seen = *host->sweeps;

	while (*host->sweeps < seen + 2 && !host->guest_gone)
		sched_yield();
}

/* The host must see what the guest does: a page that only one of them has left is not enough. */
static int count_wrong(const struct host *host, u64 round)
{
	int wrong = 0;

	for (u64 stamp = 0; stamp < STAMPS && !host->guest_gone; stamp++)
		wrong += *(volatile u64 *)stamp_page(host->memory, stamp) != round;
	return wrong;
}

/* The guest writes in the first part of an epoch, and only reads in the second. */
static void *host_thread(void *arg)
{
	struct host *host = arg;

	for (u64 round = 1; round <= ROUNDS && !host->guest_gone && !host->reason; round++) {
		*host->epoch = round;
		if (round % 2)
			sweep_twice(host);
		host->reason = host->storm(host->memory, round);
		sweep_twice(host);
		host->wrong += count_wrong(host, round);
	}
	*host->epoch = -1ull;
	return NULL;
}

FIXTURE(storm) {
	struct vm vm;
	struct vcpu vcpu;
	u8 *memory;
};
FIXTURE_VARIANT(storm) {
	storm_fn *storm;
	bool loses;
};
FIXTURE_SETUP(storm)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->memory = (u8 *)(((u64)pages_alloc(SIZE + 2 * HUGE_PAGE) + HUGE_PAGE - 1) & -HUGE_PAGE);
	madvise(self->memory, SIZE, MADV_HUGEPAGE);
	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, self->memory);
}
FIXTURE_TEARDOWN(storm)
{
	write_file(KSM "run", "2");
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define STORM(function, ...) FIXTURE_VARIANT_ADD(storm, function) { function, __VA_ARGS__ }

STORM(drop, true);
STORM(map_anew, true);
STORM(protect);
STORM(move);
STORM(copy_on_write);
STORM(migrate);
STORM(collapse);
STORM(merge);

/* A guest that meets a page while it is away, or a signal, goes on afterwards. */
TEST_F_TIMEOUT(storm, stamps_are_kept, LONG_TEST_SECONDS)
{
	struct host host = {
		.storm = variant->storm,
		.memory = self->memory,
		.sweeps = (volatile u64 *)(self->vm.ram + SWEEPS),
		.epoch = (volatile u64 *)(self->vm.ram + EPOCH),
	};
	volatile u64 *lost = (volatile u64 *)(self->vm.ram + LOST);
	struct kvm_regs regs;
	pthread_t thread;
	int ret;

	guest_load(&self->vcpu, &stamps);
	ASSERT_EQ(0, pthread_create(&thread, NULL, host_thread, &host));
	do {
		ret = __vcpu_run(&self->vcpu);
	} while (ret == -EFAULT || ret == -EINTR);
	host.guest_gone = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	if (host.reason)
		SKIP(return, "%s", host.reason);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(KVM_EXIT_HLT, self->vcpu.run->exit_reason);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rdx);
	EXPECT_EQ(0, host.wrong);
	EXPECT_EQ(variant->loses, *lost != 0);
}

TEST_HARNESS_MAIN
