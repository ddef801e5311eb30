// SPDX-License-Identifier: GPL-2.0
/* Writes of the guest that signal an eventfd instead of ending KVM_RUN. */
#include <unistd.h>
#include <sys/eventfd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define PORT	0x500
#define DATA	0x8877665544332211ull

enum bus { PIO, MMIO };

static int event_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		die("no eventfd");
	return fd;
}

static u64 event_take(int fd)
{
	u64 count = 0;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static int call(struct vm *vm, enum bus where, u64 addr, u32 len, int fd, const u64 *match, u32 flags)
{
	struct kvm_ioeventfd event = {
		.addr = addr,
		.len = len,
		.fd = fd,
		.datamatch = match ? *match : 0,
		.flags = (where == PIO ? KVM_IOEVENTFD_FLAG_PIO : 0) |
			 (match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) | flags,
	};

	return __vm_ioeventfd(vm, &event);
}

static int add(struct vm *vm, enum bus where, u64 addr, u32 len, int fd, const u64 *match)
{
	return call(vm, where, addr, len, fd, match, 0);
}

static int del(struct vm *vm, enum bus where, u64 addr, u32 len, int fd, const u64 *match)
{
	return call(vm, where, addr, len, fd, match, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

GUEST_PROGRAM(out_1, LONG, "out %al, %dx\n hlt");
GUEST_PROGRAM(out_2, LONG, "out %ax, %dx\n hlt");
GUEST_PROGRAM(out_4, LONG, "out %eax, %dx\n hlt");
GUEST_PROGRAM(store_1, LONG, "mov %al, (%rdx)\n hlt");
GUEST_PROGRAM(store_2, LONG, "mov %ax, (%rdx)\n hlt");
GUEST_PROGRAM(store_4, LONG, "mov %eax, (%rdx)\n hlt");
GUEST_PROGRAM(store_8, LONG, "mov %rax, (%rdx)\n hlt");
GUEST_PROGRAM(load_4, LONG, "mov (%rdx), %eax\n hlt");
GUEST_PROGRAM(in_4, LONG, "in %dx, %eax\n hlt");
GUEST_PROGRAM(outs_1, LONG, "mov $4, %ecx\n mov $0x30000, %esi\n rep outsb\n hlt");

/* One registration, one write of the guest, and does it signal? */
FIXTURE(write) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(write) {
	enum bus bus;
	u32 len;
	bool match;
	u64 value;			/* to match */
	const struct guest_program *program;
	u64 addr;			/* that the guest writes to */
	bool signals;
};
FIXTURE_SETUP(write)
{
	if (device_cap(KVM_CAP_IOEVENTFD) <= 0)
		SKIP(return, "the device has no KVM_CAP_IOEVENTFD");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(write)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define WRITE_ROW(id, ...) FIXTURE_VARIANT_ADD(write, id) { __VA_ARGS__ }

WRITE_ROW(pio_1, PIO, 1, false, 0, &out_1, PORT, true);
WRITE_ROW(pio_2, PIO, 2, false, 0, &out_2, PORT, true);
WRITE_ROW(pio_4, PIO, 4, false, 0, &out_4, PORT, true);
WRITE_ROW(pio_0_takes_1, PIO, 0, false, 0, &out_1, PORT, true);
WRITE_ROW(pio_0_takes_4, PIO, 0, false, 0, &out_4, PORT, true);
WRITE_ROW(pio_other_size, PIO, 2, false, 0, &out_4, PORT, false);
WRITE_ROW(pio_other_size_below, PIO, 4, false, 0, &out_1, PORT, false);
WRITE_ROW(pio_other_port, PIO, 1, false, 0, &out_1, PORT + 1, false);
WRITE_ROW(pio_match, PIO, 2, true, 0x2211, &out_2, PORT, true);
WRITE_ROW(pio_no_match, PIO, 2, true, 0x2212, &out_2, PORT, false);
WRITE_ROW(pio_match_of_1, PIO, 1, true, 0x11, &out_1, PORT, true);
WRITE_ROW(pio_in_is_no_write, PIO, 4, false, 0, &in_4, PORT, false);
WRITE_ROW(pio_is_not_mmio, PIO, 4, false, 0, &store_4, MMIO_BASE, false);
WRITE_ROW(mmio_1, MMIO, 1, false, 0, &store_1, MMIO_BASE, true);
WRITE_ROW(mmio_2, MMIO, 2, false, 0, &store_2, MMIO_BASE, true);
WRITE_ROW(mmio_4, MMIO, 4, false, 0, &store_4, MMIO_BASE, true);
WRITE_ROW(mmio_8, MMIO, 8, false, 0, &store_8, MMIO_BASE, true);
WRITE_ROW(mmio_0_takes_2, MMIO, 0, false, 0, &store_2, MMIO_BASE, true);
WRITE_ROW(mmio_0_takes_8, MMIO, 0, false, 0, &store_8, MMIO_BASE, true);
WRITE_ROW(mmio_other_size, MMIO, 8, false, 0, &store_4, MMIO_BASE, false);
WRITE_ROW(mmio_other_address, MMIO, 4, false, 0, &store_4, MMIO_BASE + 4, false);
WRITE_ROW(mmio_match, MMIO, 4, true, 0x44332211, &store_4, MMIO_BASE, true);
WRITE_ROW(mmio_no_match, MMIO, 4, true, 1, &store_4, MMIO_BASE, false);
WRITE_ROW(mmio_match_8, MMIO, 8, true, DATA, &store_8, MMIO_BASE, true);
WRITE_ROW(mmio_load_is_no_write, MMIO, 4, false, 0, &load_4, MMIO_BASE, false);
WRITE_ROW(mmio_is_not_pio, MMIO, 4, false, 0, &out_4, PORT, false);

static u64 registered_at(enum bus where)
{
	return where == PIO ? PORT : MMIO_BASE;
}

TEST_F(write, signals_or_exits)
{
	struct row_regs regs = { .rax = DATA, .rdx = variant->addr };
	int fd = event_new();

	ASSERT_EQ(0, add(&self->vm, variant->bus, registered_at(variant->bus), variant->len, fd,
			 variant->match ? &variant->value : NULL));
	guest_load(&self->vcpu, variant->program);
	row_set_regs(&self->vcpu, &regs);
	ASSERT_EQ(0, __vcpu_run(&self->vcpu));
	EXPECT_EQ(variant->signals, self->vcpu.run->exit_reason == KVM_EXIT_HLT);
	EXPECT_EQ(variant->signals, event_take(fd));
	close(fd);
}

FIXTURE_ONE_VCPU(ioeventfd)

static const u64 one = 1, two = 2;

/* Registered at PORT, length 2, matching `first`: is the second a duplicate? */
static const struct {
	const u64 *first, *second;
	u32 first_len, second_len;
	u64 second_addr;
	int result;
} pairs[] = {
	{ NULL, NULL, 2, 2, PORT, -EEXIST },
	{ &one, &one, 2, 2, PORT, -EEXIST },
	{ &one, &two, 2, 2, PORT, 0 },
	{ &one, NULL, 2, 2, PORT, -EEXIST },	/* the wildcard takes it too */
	{ NULL, &one, 2, 2, PORT, -EEXIST },
	{ NULL, NULL, 2, 4, PORT, 0 },
	{ NULL, NULL, 2, 2, PORT + 1, 0 },
	{ NULL, NULL, 0, 2, PORT, -EEXIST },	/* any length, too */
	{ NULL, NULL, 2, 0, PORT, -EEXIST },
	{ NULL, NULL, 0, 0, PORT, -EEXIST },
};

TEST_F(ioeventfd, duplicates)
{
	int fd = event_new(), other = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		ASSERT_EQ(0, add(&self->vm, PIO, PORT, pairs[i].first_len, fd, pairs[i].first));
		EXPECT_EQ(pairs[i].result, add(&self->vm, PIO, pairs[i].second_addr,
					       pairs[i].second_len, other, pairs[i].second)) {
			TH_LOG("pair %zu", i);
		}
		del(&self->vm, PIO, pairs[i].second_addr, pairs[i].second_len, other,
		    pairs[i].second);
		ASSERT_EQ(0, del(&self->vm, PIO, PORT, pairs[i].first_len, fd, pairs[i].first));
	}
}

/* What is registered as (MMIO, length 4, matching 1) is not deassigned by any other. */
TEST_F(ioeventfd, deassign_must_match)
{
	int fd = event_new(), other = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	ASSERT_EQ(0, add(&self->vm, MMIO, MMIO_BASE, 4, fd, &one));
	EXPECT_EQ(-ENOENT, del(&self->vm, PIO, MMIO_BASE, 4, fd, &one));
	EXPECT_EQ(-ENOENT, del(&self->vm, MMIO, MMIO_BASE + 4, 4, fd, &one));
	EXPECT_EQ(-ENOENT, del(&self->vm, MMIO, MMIO_BASE, 2, fd, &one));
	EXPECT_EQ(-ENOENT, del(&self->vm, MMIO, MMIO_BASE, 4, other, &one));
	EXPECT_EQ(-ENOENT, del(&self->vm, MMIO, MMIO_BASE, 4, fd, &two));
	EXPECT_EQ(-ENOENT, del(&self->vm, MMIO, MMIO_BASE, 4, fd, NULL));
	EXPECT_EQ(0, del(&self->vm, MMIO, MMIO_BASE, 4, fd, &one));
	EXPECT_EQ(-ENOENT, del(&self->vm, MMIO, MMIO_BASE, 4, fd, &one));
}

/* A machine with a thousand queues has them; the last answers like the first. */
TEST_F(ioeventfd, thousands)
{
	struct row_regs regs = { .rax = DATA, .rdx = MMIO_BASE };
	int fd = event_new(), last = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	for (u64 value = 0; value < 1500; value++)
		ASSERT_EQ(0, add(&self->vm, MMIO, MMIO_BASE, 4, fd, &value));
	ASSERT_EQ(0, add(&self->vm, MMIO, MMIO_BASE, 8, last, NULL));
	guest_load(&self->vcpu, &store_8);
	row_set_regs(&self->vcpu, &regs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0u, event_take(fd));
	EXPECT_EQ(1u, event_take(last));
}

TEST_F(ioeventfd, the_same_fd_on_both_buses)
{
	int fd = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	EXPECT_EQ(0, add(&self->vm, MMIO, PORT, 4, fd, NULL));
	EXPECT_EQ(0, add(&self->vm, PIO, PORT, 4, fd, NULL));
	EXPECT_EQ(0, del(&self->vm, PIO, PORT, 4, fd, NULL));
	EXPECT_EQ(0, del(&self->vm, MMIO, PORT, 4, fd, NULL));
}

TEST_F(ioeventfd, errors)
{
	struct kvm_ioeventfd unknown = { .addr = PORT, .len = 4, .flags = 1 << 8 };
	struct kvm_ioeventfd wraps = { .addr = -2ull, .len = 4 };
	struct kvm_ioeventfd empty_match = {
		.addr = MMIO_BASE, .flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	int fd = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	EXPECT_EQ(-EINVAL, add(&self->vm, PIO, PORT, 3, fd, NULL));
	EXPECT_EQ(-EINVAL, add(&self->vm, PIO, PORT, 16, fd, NULL));
	EXPECT_EQ(-EBADF, add(&self->vm, PIO, PORT, 4, -1, NULL));
	EXPECT_EQ(-EINVAL, add(&self->vm, PIO, PORT, 4, self->vm.fd, NULL));
	unknown.fd = fd;
	EXPECT_EQ(-EINVAL, __vm_ioeventfd(&self->vm, &unknown));
	wraps.fd = fd;
	EXPECT_EQ(-EINVAL, __vm_ioeventfd(&self->vm, &wraps));
	empty_match.fd = fd;
	EXPECT_EQ(-EINVAL, __vm_ioeventfd(&self->vm, &empty_match));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->vm.fd, KVM_IOEVENTFD, 0x10));
}

TEST_F(ioeventfd, deassigned_it_exits_again)
{
	struct row_regs regs = { .rdx = PORT };
	int fd = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	ASSERT_EQ(0, add(&self->vm, PIO, PORT, 4, fd, NULL));
	ASSERT_EQ(0, del(&self->vm, PIO, PORT, 4, fd, NULL));
	guest_load(&self->vcpu, &out_4);
	row_set_regs(&self->vcpu, &regs);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	EXPECT_EQ(0u, event_take(fd));
}

/* Each of several at one port gets the writes of its own value. */
TEST_F(ioeventfd, told_apart_by_value)
{
	struct row_regs regs = { .rdx = PORT };
	int fds[4];

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	for (u64 i = 0; i < 4; i++) {
		fds[i] = event_new();
		ASSERT_EQ(0, add(&self->vm, PIO, PORT, 2, fds[i], &i));
	}
	for (u64 i = 0; i < 5; i++) {
		regs.rax = i;
		guest_load(&self->vcpu, &out_2);
		row_set_regs(&self->vcpu, &regs);
		vcpu_run_until(&self->vcpu, i < 4 ? KVM_EXIT_HLT : KVM_EXIT_IO);
		for (u64 j = 0; j < 4; j++)
			EXPECT_EQ(i == j, event_take(fds[j]));
	}
}

GUEST_PROGRAM(many_outs, LONG, "mov $1000, %ecx\n1: out %eax, %dx\n loop 1b\n hlt");
GUEST_PROGRAM(many_stores, LONG, "mov $1000, %ecx\n1: mov %eax, (%rdx)\n loop 1b\n hlt");

TEST_F(ioeventfd, none_is_lost)
{
	struct row_regs port = { .rdx = PORT }, page = { .rdx = MMIO_BASE };
	int fd = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	ASSERT_EQ(0, add(&self->vm, PIO, PORT, 4, fd, NULL));
	ASSERT_EQ(0, add(&self->vm, MMIO, MMIO_BASE, 4, fd, NULL));
	guest_load(&self->vcpu, &many_outs);
	row_set_regs(&self->vcpu, &port);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1000u, event_take(fd));
	guest_load(&self->vcpu, &many_stores);
	row_set_regs(&self->vcpu, &page);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1000u, event_take(fd));
}

TEST_F(ioeventfd, string_output_signals_each)
{
	struct row_regs regs = { .rdx = PORT };
	int fd = event_new();

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	ASSERT_EQ(0, add(&self->vm, PIO, PORT, 1, fd, NULL));
	guest_load(&self->vcpu, &outs_1);
	row_set_regs(&self->vcpu, &regs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(4u, event_take(fd));
}

/* The VM keeps what it signals: userspace may close its own descriptor, and the VM. */
TEST_F(ioeventfd, outlives_its_descriptor)
{
	struct row_regs regs = { .rdx = PORT };
	int fd = event_new(), kept = dup(fd);

	SKIP_WITHOUT_CAP(KVM_CAP_IOEVENTFD);
	ASSERT_EQ(0, add(&self->vm, PIO, PORT, 4, fd, NULL));
	close(fd);
	guest_load(&self->vcpu, &out_4);
	row_set_regs(&self->vcpu, &regs);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(1u, event_take(kept));
}

TEST_HARNESS_MAIN
