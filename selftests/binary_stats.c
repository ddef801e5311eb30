// SPDX-License-Identifier: GPL-2.0
/* KVM_GET_STATS_FD: files that describe the numbers in them, outlive what they are about, and count what happened. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "lib/harness.h"

#define ROUNDS 5

struct stats {
	int fd;
	struct kvm_stats_header header;
};

static int __stats_open(int fd)
{
	return __fd_ioctl(fd, KVM_GET_STATS_FD, 0);
}

static void stats_read(int fd, void *to, size_t len, off_t at)
{
	if (pread(fd, to, len, at) != (ssize_t)len)
		die("%zu bytes at %ld of the statistics: %s", len, (long)at, strerror(errno));
}

static void stats_open(struct stats *stats, int fd)
{
	stats->fd = __stats_open(fd);
	if (stats->fd < 0)
		die("KVM_GET_STATS_FD: %s", strerror(-stats->fd));
	stats_read(stats->fd, &stats->header, sizeof(stats->header), 0);
}

/* The descriptor of that index; @name has room for header.name_size bytes. */
static struct kvm_stats_desc stats_desc(const struct stats *stats, u32 index, char *name)
{
	size_t size = sizeof(struct kvm_stats_desc) + stats->header.name_size;
	struct kvm_stats_desc desc;

	stats_read(stats->fd, &desc, sizeof(desc), stats->header.desc_offset + index * size);
	stats_read(stats->fd, name, stats->header.name_size, stats->header.desc_offset + index * size + sizeof(desc));
	return desc;
}

static u64 stats_value(const struct stats *stats, const struct kvm_stats_desc *desc)
{
	u64 value;

	stats_read(stats->fd, &value, sizeof(value), stats->header.data_offset + desc->offset);
	return value;
}

static u64 stats_get(const struct stats *stats, const char *wanted)
{
	char name[256];

	for (u32 i = 0; i < stats->header.num_desc; i++) {
		struct kvm_stats_desc desc = stats_desc(stats, i, name);

		if (!strcmp(name, wanted))
			return stats_value(stats, &desc);
	}
	die("no statistics called %s", wanted);
}

FIXTURE(stats) {
	struct vm vm;
	struct vcpu vcpu;
	struct stats of_vm, of_vcpu;
};
FIXTURE_SETUP(stats)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	stats_open(&self->of_vm, self->vm.fd);
	stats_open(&self->of_vcpu, self->vcpu.fd);
}
FIXTURE_TEARDOWN(stats)
{
	close(self->of_vcpu.fd);
	close(self->of_vm.fd);
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

TEST_F(stats, capability)
{
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_BINARY_STATS_FD));
	EXPECT_EQ(-EINVAL, __stats_open(self->vm.dev));
}

static void expect_layout(struct __test_metadata *_metadata, const struct stats *stats)
{
	const struct kvm_stats_header *header = &stats->header;
	size_t size = sizeof(struct kvm_stats_desc) + header->name_size;
	char name[256], id[256];

	EXPECT_EQ(0u, header->flags);
	ASSERT_GE(sizeof(name), header->name_size);
	EXPECT_LE(sizeof(*header), header->id_offset);
	EXPECT_LE(header->id_offset + header->name_size, header->desc_offset);
	EXPECT_LE(header->desc_offset + header->num_desc * size, header->data_offset);
	EXPECT_EQ(0u, header->data_offset % 8);
	stats_read(stats->fd, id, header->name_size, header->id_offset);
	EXPECT_EQ(0, strncmp(id, "kvm", 3));
	EXPECT_GT(header->name_size, strnlen(id, header->name_size));
	for (u32 i = 0; i < header->num_desc; i++) {
		struct kvm_stats_desc desc = stats_desc(stats, i, name);

		EXPECT_GT(header->name_size, strnlen(name, header->name_size));
		EXPECT_LT(0u, strlen(name));
		EXPECT_GE(KVM_STATS_TYPE_MAX, desc.flags & KVM_STATS_TYPE_MASK);
		EXPECT_GE(KVM_STATS_UNIT_MAX, desc.flags & KVM_STATS_UNIT_MASK);
		EXPECT_GE(KVM_STATS_BASE_MAX, desc.flags & KVM_STATS_BASE_MASK);
		EXPECT_LT(0, desc.size);
		EXPECT_EQ(0u, desc.offset % 8);
		stats_value(stats, &desc);
	}
}

TEST_F(stats, layout)
{
	expect_layout(_metadata, &self->of_vm);
	expect_layout(_metadata, &self->of_vcpu);
}

/* In pieces of any size, to the end and not beyond it. */
TEST_F(stats, read_at_any_offset)
{
	u32 fixed = self->of_vcpu.header.data_offset;
	static char whole[1 << 18], pieces[1 << 18];
	void *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = self->of_vcpu.fd;
	ssize_t size, n, at;

	size = pread(fd, whole, sizeof(whole), 0);
	ASSERT_LT(fixed, size);
	for (size_t piece = 101; piece < 70000; piece = piece * 5 + 2) {
		memset(pieces, 0x5a, sizeof(pieces));
		for (at = 0; (n = pread(fd, pieces + at, piece, at)) > 0; at += n)
			;
		EXPECT_EQ(0, n);
		EXPECT_EQ(size, at);
		EXPECT_EQ(0, memcmp(whole, pieces, fixed));
		EXPECT_EQ(0x5a, pieces[size]);
	}
	for (at = 0; at < 100; at++) {
		EXPECT_EQ(1, pread(fd, pieces, 1, at));
		EXPECT_EQ(whole[at], pieces[0]);
	}
	EXPECT_EQ(0, pread(fd, pieces, 1, size));
	EXPECT_EQ(0, pread(fd, pieces, 1, 1ll << 62));
	EXPECT_EQ(-1, pread(fd, pieces, 1, -1));
	EXPECT_EQ(-1, pread(fd, nowhere, 16, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, write(fd, pieces, 1));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(16, read(fd, pieces, 16));
	EXPECT_EQ(16, read(fd, pieces + 16, 16));
	EXPECT_EQ(0, memcmp(whole, pieces, 32));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
}

/* The sum of a device's own numbers by reason, if it has them, is that of all exits. */
TEST_F(stats, reasons_add_up)
{
	char name[256];
	u64 sum = 0;
	bool any = false;

	for (u32 i = 0; i < self->of_vcpu.header.num_desc; i++) {
		struct kvm_stats_desc desc = stats_desc(&self->of_vcpu, i, name);

		if (strncmp(name, "exits_", 6))
			continue;
		any = true;
		sum += stats_value(&self->of_vcpu, &desc);
	}
	if (any)
		EXPECT_EQ(stats_get(&self->of_vcpu, "exits"), sum);
}

GUEST_PROGRAM(does_all, LONG,
	      "mov $5, %ecx\n 1: out %al, $0x10\n mov %eax, 0xd0000\n dec %ecx\n jnz 1b\n"
	      "sti\n nop\n hlt");

/* Each happens ROUNDS times, or once, and is counted as often. */
TEST_F(stats, counts)
{
	struct stats *stats = &self->of_vcpu;

	guest_load(&self->vcpu, &does_all);
	for (int i = 0; i < ROUNDS; i++) {
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		EXPECT_EQ(i + 1u, stats_get(stats, "io_exits"));
		vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
		EXPECT_EQ(i + 1u, stats_get(stats, "mmio_exits"));
	}
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1u, stats_get(stats, "halt_exits"));
	EXPECT_LE(2u * ROUNDS + 1, stats_get(stats, "exits"));
	EXPECT_EQ(0u, stats_get(stats, "request_irq_exits"));
	EXPECT_EQ(0u, stats_get(stats, "irq_injections"));
	EXPECT_EQ(0u, stats_get(stats, "nmi_injections"));
	EXPECT_EQ(0u, stats_get(stats, "signal_exits"));
	EXPECT_LT(0u, stats_get(stats, "pf_taken"));
	EXPECT_LT(0u, stats_get(stats, "pf_fixed"));
}

GUEST_PROGRAM(takes, LONG, "sti\n nop\n out %al, $0x10\n 1: jmp 1b");

TEST_F(stats, counts_events)
{
	struct kvm_interrupt irq = { .irq = 0x40 };
	struct stats *stats = &self->of_vcpu;
	struct guest_trap trap;

	guest_load(&self->vcpu, &takes);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	self->vcpu.run->request_interrupt_window = 1;
	vcpu_run_until(&self->vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	self->vcpu.run->request_interrupt_window = 0;
	EXPECT_EQ(1u, stats_get(stats, "request_irq_exits"));
	vcpu_interrupt(&self->vcpu, &irq);
	run_to_trap(_metadata, &self->vcpu, LONG, 0x40, &trap);
	EXPECT_LE(1u, stats_get(stats, "irq_injections"));
	vcpu_nmi(&self->vcpu, NULL);
	run_to_trap(_metadata, &self->vcpu, LONG, NMI_VECTOR, &trap);
	EXPECT_LE(1u, stats_get(stats, "nmi_injections"));
}

GUEST_PROGRAM(spins, LONG, SPIN "1: jmp 1b");

static void no_action(int sig)
{
	(void)sig;
}

TEST_F(stats, counts_signals)
{
	struct itimerval timer = { .it_value.tv_usec = 10000, .it_interval.tv_usec = 10000 }, none = { 0 };
	struct sigaction action = { .sa_handler = no_action };

	guest_load(&self->vcpu, &spins);
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	/* The first may come before it runs. */
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &none, NULL));
	EXPECT_EQ(1u, stats_get(&self->of_vcpu, "signal_exits"));
	/* This one never gets to where signals are looked for. */
	self->vcpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	EXPECT_EQ(1u, stats_get(&self->of_vcpu, "signal_exits"));
}

static u64 pages(const struct stats *stats)
{
	return stats_get(stats, "pages_4k") + stats_get(stats, "pages_2m") + stats_get(stats, "pages_1g");
}

GUEST_PROGRAM(touches, LONG, "mov $0x10000, %ebx\n 1: mov %eax, (%rbx)\n add $0x1000, %ebx\n"
	      "cmp $0x60000, %ebx\n jb 1b\n hlt");

/* Pages that are mapped, and no more when their memory has gone. */
TEST_F(stats, counts_pages)
{
	struct stats *stats = &self->of_vm;

	EXPECT_EQ(0u, pages(stats));
	guest_load(&self->vcpu, &touches);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_LE(0x50u, pages(stats));
	EXPECT_GE(RAM_SIZE >> 12, pages(stats));
	EXPECT_EQ(0, madvise(self->vm.ram, RAM_SIZE, MADV_DONTNEED));
	EXPECT_EQ(0u, pages(stats));
	guest_load(&self->vcpu, &touches);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_LE(0x50u, pages(stats));
	vm_set_memory(&self->vm, 0, 0, 0, 0, NULL);
	EXPECT_EQ(0u, pages(stats));
}

/* The files hold what they tell of, in every process. */
TEST_F(stats, outlive_the_vm)
{
	int status;
	pid_t child;

	guest_load(&self->vcpu, &does_all);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
	EXPECT_EQ(1u, stats_get(&self->of_vcpu, "io_exits"));
	stats_get(&self->of_vm, "remote_tlb_flush");
	child = fork();
	if (!child)
		_exit(stats_get(&self->of_vcpu, "io_exits"));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(1, WEXITSTATUS(status));
	close(self->of_vm.fd);
	EXPECT_EQ(1u, stats_get(&self->of_vcpu, "io_exits"));
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	stats_open(&self->of_vm, self->vm.fd);
}

TEST_HARNESS_MAIN
