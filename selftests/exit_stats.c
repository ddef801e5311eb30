// SPDX-License-Identifier: GPL-2.0
/* The statistics of a vCPU that userspace maps: read-only, and they count what happened and how long it took. Of vmlet only. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include "lib/harness.h"
#include "lib/machine.h"
#include "../uapi/vmlet.h"

#define ROUNDS 20

static const struct vmlet_stats *map_stats(const struct vcpu *vcpu, size_t *size)
{
	const struct vmlet_stats *stats;

	stats = mmap(NULL, getpagesize(), PROT_READ, MAP_SHARED, vcpu->fd, VMLET_STATS_OFFSET);
	if (stats == MAP_FAILED)
		die("statistics: %s", strerror(errno));
	*size = stats->size;
	munmap((void *)stats, getpagesize());
	stats = mmap(NULL, *size, PROT_READ, MAP_SHARED, vcpu->fd, VMLET_STATS_OFFSET);
	if (stats == MAP_FAILED)
		die("statistics: %s", strerror(errno));
	return stats;
}

FIXTURE(page) {
	struct vm vm;
	struct vcpu vcpu;
	const struct vmlet_stats *stats;
	size_t size;
};
FIXTURE_SETUP(page)
{
	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->stats = map_stats(&self->vcpu, &self->size);
}
FIXTURE_TEARDOWN(page)
{
	munmap((void *)self->stats, self->size);
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static bool no_times(const struct vmlet_stats *stats)
{
	return !(stats->flags & VMLET_STATS_TIMES);
}

static const struct vmlet_exit_stats *exit_at(const struct vmlet_stats *stats, u32 index)
{
	return (void *)((u8 *)stats + stats->exit_offset + index * stats->exit_size);
}

static const struct vmlet_exit_stats *exit_of(const struct vmlet_stats *stats, const char *name)
{
	for (u32 i = 0; i < stats->exits; i++)
		if (!strcmp(exit_at(stats, i)->name, name))
			return exit_at(stats, i);
	die("no exits called %s", name);
}

static u64 times(const struct vmlet_exit_stats *exit, enum vmlet_time what)
{
	u64 sum = 0;

	for (u32 i = 0; i < VMLET_TIME_BUCKETS; i++)
		sum += exit->histogram[what][i];
	return sum;
}

TEST_F(page, describes_itself)
{
	const struct vmlet_stats *stats = self->stats;

	EXPECT_EQ(VMLET_STATS_VERSION, stats->version);
	EXPECT_LE(sizeof(*stats), stats->exit_offset);
	EXPECT_EQ(0u, stats->exit_offset % 8);
	EXPECT_LE(sizeof(struct vmlet_exit_stats), stats->exit_size);
	EXPECT_EQ(stats->size, stats->exit_offset + stats->exits * stats->exit_size);
	EXPECT_LT(0u, stats->tsc_khz);
	EXPECT_LE(16u, stats->records);
	EXPECT_LE(sizeof(struct vmlet_exit_record), stats->record_size);
	EXPECT_GE(stats->exit_offset, stats->record_offset + stats->records * stats->record_size);
	EXPECT_EQ(0u, stats->recorded);
	EXPECT_EQ(0u, stats->entry_failure.count);
	for (u32 i = 0; i < stats->exits; i++) {
		const struct vmlet_exit_stats *exit = exit_at(stats, i);

		EXPECT_GT(sizeof(exit->name), strnlen(exit->name, sizeof(exit->name)));
		EXPECT_LT(0u, strlen(exit->name));
		EXPECT_EQ(exit, exit_of(stats, exit->name));
		EXPECT_EQ(0u, exit->count);
		EXPECT_EQ(0u, times(exit, VMLET_TIME_GUEST));
	}
}

static sigjmp_buf after_fault;

static void leave(int sig)
{
	siglongjmp(after_fault, sig);
}

/* The signal that reading there gets, or 0. */
static int touch(const volatile u8 *at)
{
	struct sigaction action = { .sa_handler = leave }, old;
	int sig;

	sigaction(SIGBUS, &action, &old);
	sig = sigsetjmp(after_fault, 1);
	if (!sig)
		(void)*at;
	sigaction(SIGBUS, &old, NULL);
	return sig;
}

TEST_F(page, read_only)
{
	size_t page = getpagesize(), end = (self->size + page - 1) / page * page;
	int fd = self->vcpu.fd;
	u8 *map;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, VMLET_STATS_OFFSET));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_WRITE, MAP_PRIVATE, fd, VMLET_STATS_OFFSET));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((void *)self->stats, self->size, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	/* Behind the run page's, where all may be written. */
	map = mmap(NULL, VMLET_STATS_OFFSET + page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, touch(map));
	EXPECT_EQ(SIGBUS, touch(map + VMLET_STATS_OFFSET - page));
	EXPECT_EQ(SIGBUS, touch(map + VMLET_STATS_OFFSET));
	EXPECT_EQ(0, munmap(map, VMLET_STATS_OFFSET + page));
	map = mmap(NULL, end + page, PROT_READ, MAP_SHARED, fd, VMLET_STATS_OFFSET);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, touch(map + end - 1));
	EXPECT_EQ(SIGBUS, touch(map + end));
	EXPECT_EQ(0, munmap(map, end + page));
}

/* Who has mapped them reads them when the files are closed. */
TEST_F(page, outlives_the_files)
{
	struct vm vm;
	struct vcpu vcpu;
	const struct vmlet_stats *stats;

	vm_create(&vm);
	vcpu_create(&vm, &vcpu, 0);
	stats = mmap(NULL, self->size, PROT_READ, MAP_SHARED, vcpu.fd, VMLET_STATS_OFFSET);
	ASSERT_NE(MAP_FAILED, stats);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
	EXPECT_EQ(self->size, stats->size);
	EXPECT_EQ(0, munmap((void *)stats, self->size));
}

GUEST_PROGRAM(exits, LONG, "mov $20, %ebx\n 1: xor %eax, %eax\n cpuid\n mov $20, %ebx\n dec %esi\n jnz 1b\n"
	      "1: out %al, $0x10\n dec %edi\n jnz 1b\n hlt");

static void load(struct vcpu *vcpu, u64 cpuids, u64 outs)
{
	struct row_regs regs = { .rsi = cpuids, .rdi = outs };

	guest_load(vcpu, &exits);
	row_set_regs(vcpu, &regs);
}

/* The sum of times is between what the buckets say at least and at most. */
static void expect_in_buckets(struct __test_metadata *_metadata, const struct vmlet_exit_stats *exit, enum vmlet_time what)
{
	u64 least = 0, most = 0;

	EXPECT_EQ(0u, exit->histogram[what][0]);
	for (u32 i = 1; i < VMLET_TIME_BUCKETS - 1; i++) {
		least += exit->histogram[what][i] * (i == 1 ? 0 : 1ull << (i - 1));
		most += exit->histogram[what][i] * ((1ull << i) - 1);
	}
	EXPECT_LE(least, exit->time[what]);
	EXPECT_GE(most, exit->time[what]);
}

TEST_F(page, counts_each_exit_and_its_times)
{
	const struct vmlet_exit_stats *cpuid = exit_of(self->stats, "cpuid"), *io = exit_of(self->stats, "io");
	const struct vmlet_exit_stats *hlt = exit_of(self->stats, "hlt");
	u64 start = __rdtsc(), sum = 0, elapsed;

	if (no_times(self->stats))
		SKIP(return, "the module was loaded with exit_times=0");
	load(&self->vcpu, ROUNDS, ROUNDS);
	for (u32 i = 1; i <= ROUNDS; i++) {
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		EXPECT_EQ(ROUNDS, cpuid->count);
		EXPECT_EQ(i, io->count);
		/* The last one's is told at the next entry, and when userspace comes back. */
		EXPECT_EQ(i, times(io, VMLET_TIME_GUEST));
		EXPECT_EQ(i - 1, times(io, VMLET_TIME_KERNEL));
		EXPECT_EQ(i - 1, times(io, VMLET_TIME_USER));
	}
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	elapsed = __rdtsc() - start;
	EXPECT_EQ(1u, hlt->count);
	EXPECT_EQ(1u, times(hlt, VMLET_TIME_GUEST));
	EXPECT_EQ(0u, times(hlt, VMLET_TIME_KERNEL));
	EXPECT_EQ(ROUNDS, times(io, VMLET_TIME_USER));
	EXPECT_EQ(ROUNDS, times(cpuid, VMLET_TIME_GUEST));
	EXPECT_EQ(ROUNDS, times(cpuid, VMLET_TIME_KERNEL));
	EXPECT_EQ(0u, times(cpuid, VMLET_TIME_USER));
	EXPECT_EQ(0u, cpuid->time[VMLET_TIME_USER]);
	for (u32 i = 0; i < self->stats->exits; i++) {
		const struct vmlet_exit_stats *exit = exit_at(self->stats, i);

		for (u32 what = 0; what < VMLET_TIMES; what++) {
			expect_in_buckets(_metadata, exit, what);
			sum += exit->time[what];
		}
		EXPECT_EQ(0u, exit->sequence % 2);
	}
	EXPECT_LT(0u, sum);
	EXPECT_GE(elapsed, sum);
}

TEST_F(page, time_of_userspace)
{
	const struct vmlet_exit_stats *io = exit_of(self->stats, "io");
	u64 before, slept;

	if (no_times(self->stats))
		SKIP(return, "the module was loaded with exit_times=0");
	load(&self->vcpu, 1, 2);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	before = __rdtsc();
	usleep(20000);
	slept = __rdtsc() - before;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_LE(slept, io->time[VMLET_TIME_USER]);
	EXPECT_GE(__rdtsc() - before + slept, io->time[VMLET_TIME_USER]);
	EXPECT_GT(slept, io->time[VMLET_TIME_KERNEL]);
	/* 20 ms, which tsc_khz makes comparable. */
	EXPECT_LE(19ull * self->stats->tsc_khz, slept);
}

/* What it was, or NULL: it cannot be set. */
static const char *set_parameter(const char *name, const char *value)
{
	static char old[4][16];
	static int turn;
	char *was = old[turn++ % 4], path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/vmlet/parameters/%s", name);
	file = fopen(path, "r+");
	if (!file || !fgets(was, sizeof(old[0]), file))
		return NULL;
	rewind(file);
	fputs(value, file);
	return fclose(file) ? NULL : was;
}

static const char *set_records(const char *value)
{
	return set_parameter("exit_records", value);
}

static const struct vmlet_exit_record *record_at(const struct vmlet_stats *stats, u64 number)
{
	return (void *)((u8 *)stats + stats->record_offset + number % stats->records * stats->record_size);
}

GUEST_PROGRAM(recorded, LONG, "mov $0x40000000, %eax\n mov $3, %ecx\n cpuid\n"
	      "mov $0x277, %ecx\n mov $0x70406, %eax\n mov $0x70406, %edx\n wrmsr\n out %ax, $0x23\n in $0x24, %al\n hlt");

/* The host's interrupts, and nested faults, may be between them. */
TEST_F(page, the_last_exits)
{
	static const struct { const char *name; u64 info, data; } rows[] = {
		{ "cpuid", 0x40000000, 3 },
		{ "wrmsr", 0x277, 0x70406ull << 32 | 0x70406 },
		{ "io", 0x23, 2 },
		{ "io", 0x24, 0x80 | 1 },
		{ "hlt", 0, 0 },
	};
	const struct vmlet_stats *stats = self->stats;
	const char *before = set_records("1");
	struct kvm_regs regs;
	size_t row = 0;
	u64 last = 0;

	if (!before)
		SKIP(return, "the parameter can be set by root only");
	guest_load(&self->vcpu, &recorded);
	vcpu_get_regs(&self->vcpu, &regs);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_LE(ARRAY_SIZE(rows), stats->recorded);
	for (u64 i = stats->recorded > stats->records ? stats->recorded - stats->records : 0; i < stats->recorded; i++) {
		const struct vmlet_exit_record *record = record_at(stats, i);

		ASSERT_GT(stats->exits, record->reason);
		EXPECT_LE(last, record->exit);
		EXPECT_LE(record->entry, record->exit);
		if (!no_times(stats))
			EXPECT_LE(last, record->entry);
		last = record->exit;
		if (row == ARRAY_SIZE(rows) || strcmp(rows[row].name, exit_at(stats, record->reason)->name))
			continue;
		EXPECT_EQ(rows[row].info, record->info) TH_LOG("%s", rows[row].name);
		EXPECT_EQ(rows[row].data, record->data) TH_LOG("%s", rows[row].name);
		EXPECT_LE(regs.rip, record->rip);
		EXPECT_GE(regs.rip + 64, record->rip);
		row++;
	}
	EXPECT_EQ(ARRAY_SIZE(rows), row);

	/* Nothing is while it is off. */
	last = stats->recorded;
	EXPECT_NE(NULL, set_records("0"));
	guest_load(&self->vcpu, &recorded);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(last, stats->recorded);
	EXPECT_NE(NULL, set_records(before));
}

/* More than there is room for: the last ones are there. */
TEST_F(page, only_the_last_exits)
{
	const struct vmlet_stats *stats = self->stats;
	const char *before = set_records("1");

	if (!before)
		SKIP(return, "the parameter can be set by root only");
	load(&self->vcpu, 40, 1);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_LE(41u, stats->recorded);
	EXPECT_STREQ("io", exit_at(stats, record_at(stats, stats->recorded - 1)->reason)->name);
	for (u32 i = 1; i < stats->records; i++)
		EXPECT_LE(record_at(stats, stats->recorded + i - 1)->exit, record_at(stats, stats->recorded + i)->exit);
	EXPECT_NE(NULL, set_records(before));
}

static u64 phases(const struct vmlet_exit_stats *exit)
{
	u64 sum = 0;

	for (u32 i = 0; i < VMLET_PHASES; i++)
		sum += exit->phase[i];
	return sum;
}

/* What leaves the inner loop is told, and no more than there is of the kernel's time. */
TEST_F(page, phases)
{
	const struct vmlet_exit_stats *cpuid = exit_of(self->stats, "cpuid"), *io = exit_of(self->stats, "io");
	const char *before = no_times(self->stats) ? NULL : set_parameter("exit_phases", "1");
	u64 start, was;

	if (!before)
		SKIP(return, "the parameter can be set by root only, and without exit_times=0");
	load(&self->vcpu, ROUNDS, ROUNDS + 1);
	for (u32 i = 0; i <= ROUNDS; i++)
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(ROUNDS + 1, io->left);
	EXPECT_LT(0u, io->phase[VMLET_PHASE_INNER]);
	EXPECT_LT(0u, io->phase[VMLET_PHASE_SWITCH]);
	EXPECT_LT(0u, io->phase[VMLET_PHASE_HANDLER]);
	EXPECT_LT(0u, io->phase[VMLET_PHASE_REST]);
	EXPECT_EQ(0u, io->phase[VMLET_PHASE_HALT]);
	EXPECT_EQ(0u, io->sequence % 2);
	/* The last one's kernel time is told later, and the host's interrupts may have sent others out. */
	EXPECT_GT(ROUNDS, cpuid->left);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_GE(io->time[VMLET_TIME_KERNEL], phases(io));
	EXPECT_LE(io->time[VMLET_TIME_KERNEL] / 2, phases(io));
	EXPECT_GE(cpuid->time[VMLET_TIME_KERNEL], phases(cpuid));

	/* None while it is off; and what was before it is on does not count. */
	EXPECT_NE(NULL, set_parameter("exit_phases", "0"));
	load(&self->vcpu, 1, 2);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(ROUNDS + 1, io->left);
	usleep(20000);
	EXPECT_NE(NULL, set_parameter("exit_phases", "1"));
	was = phases(io);
	start = __rdtsc();
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(ROUNDS + 2, io->left);
	EXPECT_GT(__rdtsc() - start, phases(io) - was);
	EXPECT_NE(NULL, set_parameter("exit_phases", before));
}

#define MSI_NMI 0x400

FIXTURE_MACHINE(sleeper, KERNEL_IRQCHIP, 1)

GUEST_ISR(on_nmi)
{
}

static void sleeps(u64 arg __attribute__((unused)))
{
	asm volatile("hlt");
	guest_done();
}

/* 20 ms or so: how many ticks. @off: phases are measured only at the end of it. */
static u64 sleep_for_a_while(struct machine *m, const struct vmlet_exit_stats *hlt, bool off)
{
	u64 count = hlt->count, start;

	machine_enter_at(m, 0, sleeps, 0);
	machine_start(m, 0);
	while (__atomic_load_n(&hlt->count, __ATOMIC_RELAXED) == count)
		usleep(1000);
	start = __rdtsc();
	usleep(20000);
	if (off)
		set_parameter("exit_phases", "1");
	start = __rdtsc() - start;
	__vm_signal_msi(&m->vm, MSI_ADDRESS(0), MSI_NMI);
	machine_join(m, 0);
	return start;
}

TEST_F(sleeper, phases_are_measured_whole_or_not)
{
	const struct vmlet_exit_stats *hlt;
	const struct vmlet_stats *stats;
	const char *before;
	size_t size;
	u64 slept;

	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	stats = map_stats(&self->m.vcpu[0], &size);
	before = no_times(stats) ? NULL : set_parameter("exit_phases", "0");
	if (!before)
		SKIP(return, "the parameter can be set by root only, and without exit_times=0");
	machine_set_gate(&self->m, NMI_VECTOR, on_nmi);
	hlt = exit_of(stats, "hlt");
	sleep_for_a_while(&self->m, hlt, true);
	EXPECT_EQ(0u, hlt->left);
	EXPECT_EQ(0u, hlt->phase[VMLET_PHASE_HALT]);
	slept = sleep_for_a_while(&self->m, hlt, false);
	EXPECT_EQ(1u, hlt->left);
	EXPECT_LE(slept / 2, hlt->phase[VMLET_PHASE_HALT]);
	EXPECT_NE(NULL, set_parameter("exit_phases", before));
	munmap((void *)stats, size);
}

struct reader {
	const struct vmlet_exit_stats *exit;
	bool stop;
	u64 copies, wrong;
};

/* In a copy of one moment there are as many times as exits. */
static void *read_always(void *arg)
{
	struct reader *reader = arg;
	struct vmlet_exit_stats copy;
	u64 sequence;

	while (!__atomic_load_n(&reader->stop, __ATOMIC_ACQUIRE)) {
		sequence = __atomic_load_n(&reader->exit->sequence, __ATOMIC_ACQUIRE);
		copy = *(volatile const struct vmlet_exit_stats *)reader->exit;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (sequence % 2 || sequence != __atomic_load_n(&reader->exit->sequence, __ATOMIC_RELAXED))
			continue;
		reader->copies++;
		reader->wrong += copy.count != times(&copy, VMLET_TIME_GUEST);
		/* The last one's may be told later, if the host has taken the CPU. */
		reader->wrong += copy.count - times(&copy, VMLET_TIME_KERNEL) > 1;
	}
	return NULL;
}

TEST_F(page, copies_of_one_moment)
{
	struct reader reader = { .exit = exit_of(self->stats, "cpuid") };
	pthread_t thread;

	if (no_times(self->stats))
		SKIP(return, "the module was loaded with exit_times=0");
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_always, &reader));
	for (u32 i = 0; i < 10; i++) {
		load(&self->vcpu, 2000, 1);
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		usleep(1000);
	}
	__atomic_store_n(&reader.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(20000u, reader.exit->count);
	EXPECT_LT(0u, reader.copies);
	EXPECT_EQ(0u, reader.wrong);
}

TEST_HARNESS_MAIN
