// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory is the process's memory and follows it: what the process may not
 * touch, KVM_RUN reports as EFAULT; what it changes, the guest sees at once.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/harness.h"

#define PAGE	4096ul
#define GPA	0x200000ul
#define SIZE	(16 * PAGE)

GUEST_PROGRAM(loads, LONG, "mov (%rcx), %rax\n hlt");
GUEST_PROGRAM(stores, LONG, "mov %rax, (%rcx)\n hlt");

FIXTURE(host_memory) {
	struct vm vm;
	struct vcpu vcpu;
	u64 *memory;
};
FIXTURE_SETUP(host_memory)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->memory = pages_alloc(SIZE);
	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, self->memory);
}
FIXTURE_TEARDOWN(host_memory)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static void prepare(struct vcpu *vcpu, const struct guest_program *program,
		    u64 gpa, u64 value)
{
	struct row_regs row = { .rcx = gpa, .rax = value };

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
}

static u64 guest_load_word(struct vcpu *vcpu, u64 gpa)
{
	struct kvm_regs regs;

	prepare(vcpu, &loads, gpa, 0);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &regs);
	return regs.rax;
}

static void guest_store_word(struct vcpu *vcpu, u64 gpa, u64 value)
{
	prepare(vcpu, &stores, gpa, value);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
}

static int guest_try(struct vcpu *vcpu, const struct guest_program *program, u64 gpa)
{
	prepare(vcpu, program, gpa, 0x77);
	return __vcpu_run(vcpu);
}

TEST_F(host_memory, reads_and_writes_are_shared)
{
	self->memory[0] = 0x1234;
	EXPECT_EQ(0x1234u, guest_load_word(&self->vcpu, GPA));
	guest_store_word(&self->vcpu, GPA + 8, 0x5678);
	EXPECT_EQ(0x5678u, self->memory[1]);
	self->memory[1] = 0x9abc;
	EXPECT_EQ(0x9abcu, guest_load_word(&self->vcpu, GPA + 8));
}

/* A page that was only read so far may be the shared page of zeros. */
TEST_F(host_memory, first_read_then_written)
{
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA));
	self->memory[0] = 0x1111;
	EXPECT_EQ(0x1111u, guest_load_word(&self->vcpu, GPA));
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA + PAGE));
	guest_store_word(&self->vcpu, GPA + PAGE, 0x2222);
	EXPECT_EQ(0x2222u, self->memory[PAGE / 8]);
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA + 2 * PAGE));
}

TEST_F(host_memory, unmapped_is_efault_and_then_works)
{
	ASSERT_EQ(0, munmap(self->memory, SIZE));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &loads, GPA));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA));
	ASSERT_EQ(self->memory, mmap(self->memory, SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, __vcpu_run(&self->vcpu));
	EXPECT_EQ(KVM_EXIT_HLT, self->vcpu.run->exit_reason);
	EXPECT_EQ(0x77u, self->memory[0]);
}

TEST_F(host_memory, unmapped_after_use_is_efault)
{
	guest_store_word(&self->vcpu, GPA, 1);
	EXPECT_EQ(1u, guest_load_word(&self->vcpu, GPA));
	ASSERT_EQ(0, munmap(self->memory, SIZE));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &loads, GPA));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA));
}

TEST_F(host_memory, no_access_is_efault)
{
	guest_store_word(&self->vcpu, GPA, 5);
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_NONE));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &loads, GPA));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &loads, GPA + PAGE));
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(5u, guest_load_word(&self->vcpu, GPA));
}

TEST_F(host_memory, readonly_takes_reads_and_refuses_writes)
{
	guest_store_word(&self->vcpu, GPA, 5);
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	EXPECT_EQ(5u, guest_load_word(&self->vcpu, GPA));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA));
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA + PAGE));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA + PAGE));
	EXPECT_EQ(5u, self->memory[0]);
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ | PROT_WRITE));
	guest_store_word(&self->vcpu, GPA, 6);
	EXPECT_EQ(6u, self->memory[0]);
}

/* The refused instruction is still there to be run: nothing of it happened. */
TEST_F(host_memory, efault_leaves_the_instruction_to_be_repeated)
{
	struct kvm_regs regs;

	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA));
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE, regs.rip);
	ASSERT_EQ(0, mprotect(self->memory, SIZE, PROT_READ | PROT_WRITE));
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0x77u, self->memory[0]);
}

TEST_F(host_memory, dropped_pages_read_as_zeros)
{
	for (u64 page = 0; page < SIZE / PAGE; page++)
		guest_store_word(&self->vcpu, GPA + page * PAGE, page + 1);
	ASSERT_EQ(0, madvise(self->memory, SIZE, MADV_DONTNEED));
	for (u64 page = 0; page < SIZE / PAGE; page++)
		EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA + page * PAGE));
	EXPECT_EQ(0u, self->memory[0]);
	guest_store_word(&self->vcpu, GPA, 9);
	EXPECT_EQ(9u, self->memory[0]);
}

TEST_F(host_memory, new_mapping_at_the_same_place)
{
	guest_store_word(&self->vcpu, GPA, 1);
	ASSERT_EQ(self->memory, mmap(self->memory, SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA));
	self->memory[0] = 3;
	EXPECT_EQ(3u, guest_load_word(&self->vcpu, GPA));
}

TEST_F(host_memory, moved_away_is_efault)
{
	void *there = pages_alloc(SIZE);

	guest_store_word(&self->vcpu, GPA, 4);
	ASSERT_EQ(there, mremap(self->memory, SIZE, SIZE,
				MREMAP_MAYMOVE | MREMAP_FIXED, there));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &loads, GPA));
	EXPECT_EQ(4u, *(u64 *)there);
}

TEST_F(host_memory, shared_file_and_its_end)
{
	int fd = memfd_create("guest", 0);
	u64 *file;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE));
	file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)file);
	vm_set_memory(&self->vm, 2, 0, GPA + SIZE, 4 * PAGE, file);
	guest_store_word(&self->vcpu, GPA + SIZE, 0xabc);
	EXPECT_EQ(0xabcu, file[0]);
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, GPA + SIZE + 2 * PAGE));
	guest_store_word(&self->vcpu, GPA + SIZE + PAGE, 0xdef);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &loads, GPA + SIZE + PAGE));
	EXPECT_EQ(0xabcu, guest_load_word(&self->vcpu, GPA + SIZE));
	close(fd);
}

/* A private mapping of a file: the guest's store must not reach the file. */
TEST_F(host_memory, private_file_is_copied_on_write)
{
	u64 word = 0x600d, in_file;
	int fd = memfd_create("rom", 0);
	u64 *file;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(8, pwrite(fd, &word, 8, 0));
	file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)file);
	vm_set_memory(&self->vm, 2, 0, GPA + SIZE, PAGE, file);
	EXPECT_EQ(0x600du, guest_load_word(&self->vcpu, GPA + SIZE));
	guest_store_word(&self->vcpu, GPA + SIZE, 0xbad);
	EXPECT_EQ(0xbadu, file[0]);
	EXPECT_EQ(0xbadu, guest_load_word(&self->vcpu, GPA + SIZE));
	ASSERT_EQ(8, pread(fd, &in_file, 8, 0));
	EXPECT_EQ(0x600du, in_file);
	close(fd);
}

/*
 * Memory that may be one huge page, of which parts are taken away again: the guest's
 * own mapping must break up with it.
 */
TEST_F(host_memory, parts_of_a_huge_page)
{
	const u64 huge = 2ul << 20, gpa = 0x400000;
	u8 *area = pages_alloc(2 * huge);
	u64 *memory = (u64 *)(((u64)area + huge - 1) & -huge);

	madvise(memory, huge, MADV_HUGEPAGE);
	vm_set_memory(&self->vm, 2, 0, gpa, huge, memory);
	for (u64 page = 0; page < 512; page += 7)
		guest_store_word(&self->vcpu, gpa + page * PAGE, page + 1);
	ASSERT_EQ(0, madvise((u8 *)memory + 14 * PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, mprotect((u8 *)memory + 21 * PAGE, PAGE, PROT_READ));
	EXPECT_EQ(8u, guest_load_word(&self->vcpu, gpa + 7 * PAGE));
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, gpa + 14 * PAGE));
	EXPECT_EQ(22u, guest_load_word(&self->vcpu, gpa + 21 * PAGE));
	EXPECT_EQ(-EFAULT, guest_try(&self->vcpu, &stores, gpa + 21 * PAGE));
	guest_store_word(&self->vcpu, gpa + 22 * PAGE, 0x77);
	EXPECT_EQ(0x77u, memory[22 * PAGE / 8]);
	EXPECT_EQ(505u, guest_load_word(&self->vcpu, gpa + 504 * PAGE));
}

/* A slot that begins or ends inside a huge page must not let the guest see past it. */
TEST_F(host_memory, slots_inside_a_huge_page)
{
	const u64 huge = 2ul << 20, gpa = 0x400000;
	u8 *area = pages_alloc(2 * huge);
	u8 *memory = (u8 *)(((u64)area + huge - 1) & -huge);

	madvise(memory, huge, MADV_HUGEPAGE);
	memset(memory, 0x5a, huge);
	vm_set_memory(&self->vm, 2, 0, gpa + PAGE, 3 * PAGE, memory + PAGE);
	EXPECT_EQ(0x5a5a5a5a5a5a5a5au, guest_load_word(&self->vcpu, gpa + PAGE));
	EXPECT_EQ(0x5a5a5a5a5a5a5a5au, guest_load_word(&self->vcpu, gpa + 3 * PAGE));
	EXPECT_EQ(0, guest_try(&self->vcpu, &loads, gpa));
	EXPECT_EQ(KVM_EXIT_MMIO, self->vcpu.run->exit_reason);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0, guest_try(&self->vcpu, &stores, gpa + 4 * PAGE));
	EXPECT_EQ(KVM_EXIT_MMIO, self->vcpu.run->exit_reason);
}

static siginfo_t poison;

static void on_poison(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	poison = *info;
}

/* Memory that the hardware has lost: the process is told where, and may do something about it. */
TEST_F(host_memory, poisoned_is_sigbus_and_then_works)
{
	struct sigaction action = { .sa_sigaction = on_poison, .sa_flags = SA_SIGINFO };

	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	guest_store_word(&self->vcpu, GPA, 1);
	guest_store_word(&self->vcpu, GPA + PAGE, 1);
	if (madvise((u8 *)self->memory + PAGE, PAGE, MADV_HWPOISON))
		SKIP(return, "this host cannot poison memory");
	EXPECT_EQ(1u, guest_load_word(&self->vcpu, GPA));
	EXPECT_EQ(-EINTR, guest_try(&self->vcpu, &loads, GPA + PAGE));
	EXPECT_EQ(SIGBUS, poison.si_signo);
	EXPECT_EQ(BUS_MCEERR_AR, poison.si_code);
	EXPECT_EQ((u8 *)self->memory + PAGE, poison.si_addr);
	ASSERT_EQ(0, madvise((u8 *)self->memory + PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0u, guest_load_word(&self->vcpu, GPA + PAGE));
}

/* After a fork the child keeps the old contents, whoever of the two writes. */
TEST_F(host_memory, fork_copies_on_write)
{
	int to_child[2], status;
	char byte = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(to_child));
	guest_store_word(&self->vcpu, GPA, 1);
	guest_store_word(&self->vcpu, GPA + PAGE, 1);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (read(to_child[0], &byte, 1) != 1)
			_exit(2);
		_exit(self->memory[0] == 1 && self->memory[PAGE / 8] == 1 ? 0 : 1);
	}
	guest_store_word(&self->vcpu, GPA, 2);
	EXPECT_EQ(2u, self->memory[0]);
	self->memory[PAGE / 8] = 3;
	EXPECT_EQ(3u, guest_load_word(&self->vcpu, GPA + PAGE));
	ASSERT_EQ(1, write(to_child[1], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(2u, guest_load_word(&self->vcpu, GPA));
}

/*
 * The guest copies a word from one page to an answer page for ever. Each time
 * userspace has exchanged the first page, the guest must come to see the new one,
 * without leaving KVM_RUN.
 */
GUEST_PROGRAM(mirrors, LONG,
	      SPIN "1: mov 0x200000, %rsi\n mov %rsi, 0x30000\n"
	      "cmp $-1, %rsi\n jne 1b\n hlt");

struct changer {
	volatile u64 *page, *answer;
	int (*change)(volatile u64 *page);
	int rounds;
	int failed;
};

static int drop_page(volatile u64 *page)
{
	return madvise((void *)page, PAGE, MADV_DONTNEED);
}

static int remap_page(volatile u64 *page)
{
	void *where = mmap((void *)page, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return where == MAP_FAILED ? -1 : 0;
}

static int protect_and_back(volatile u64 *page)
{
	if (mprotect((void *)page, PAGE, PROT_READ))
		return -1;
	return mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
}

static void *change_pages(void *arg)
{
	struct changer *changer = arg;

	for (int round = 1; round <= changer->rounds; round++) {
		if (changer->change(changer->page))
			changer->failed = round;
		*changer->page = round;
		while (*changer->answer != (u64)round)
			sched_yield();
	}
	*changer->page = -1ull;
	return NULL;
}

FIXTURE(changed_while_running) {
	struct vm vm;
	struct vcpu vcpu;
	u64 *memory;
};
FIXTURE_VARIANT(changed_while_running) {
	int (*change)(volatile u64 *page);
};
FIXTURE_SETUP(changed_while_running)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->memory = pages_alloc(SIZE);
	vm_set_memory(&self->vm, 1, 0, GPA, SIZE, self->memory);
}
FIXTURE_TEARDOWN(changed_while_running)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}
FIXTURE_VARIANT_ADD(changed_while_running, dropped) { drop_page };
FIXTURE_VARIANT_ADD(changed_while_running, remapped) { remap_page };
FIXTURE_VARIANT_ADD(changed_while_running, protected_and_back) { protect_and_back };

TEST_F_TIMEOUT(changed_while_running, the_guest_sees_it, LONG_TEST_SECONDS)
{
	struct changer changer = {
		.page = self->memory,
		.answer = (volatile u64 *)(self->vm.ram + 0x30000),
		.change = variant->change,
		.rounds = 30,
	};
	pthread_t thread;

	guest_load(&self->vcpu, &mirrors);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_pages, &changer));
	/* A page that is not there for a moment may be met by the guest. */
	while (__vcpu_run(&self->vcpu) == -EFAULT)
		;
	ASSERT_EQ(KVM_EXIT_HLT, self->vcpu.run->exit_reason);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, changer.failed);
}

TEST_HARNESS_MAIN
