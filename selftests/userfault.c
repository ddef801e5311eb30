// SPDX-License-Identifier: GPL-2.0
/* Faults that sleep, as snapshots restored on demand make them: userfaultfd. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

#include "lib/harness.h"

#define PAGE	4096ul
#define PAGES	8
#define GPA	0x200000ul

GUEST_PROGRAM(sums_pages, LONG,
	      "mov $0x200000, %esi\n mov $8, %ecx\n1: add (%rsi), %rax\n add $0x1000, %rsi\n"
	      "loop 1b\n hlt");

FIXTURE(userfault) {
	struct vm vm;
	struct vcpu vcpu;
	u8 *memory;
	int fd;
};
FIXTURE_SETUP(userfault)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->memory = pages_alloc(PAGES * PAGE);
	vm_set_memory(&self->vm, 1, 0, GPA, PAGES * PAGE, self->memory);
	guest_load(&self->vcpu, &sums_pages);

	self->fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "this kernel has no userfaultfd for us");
	reg.range.start = (u64)self->memory;
	reg.range.len = PAGES * PAGE;
	ASSERT_EQ(0, ioctl(self->fd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(self->fd, UFFDIO_REGISTER, &reg));
}
FIXTURE_TEARDOWN(userfault)
{
	close(self->fd);
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static u64 next_fault(int fd)
{
	struct uffd_msg msg;

	if (read(fd, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.event != UFFD_EVENT_PAGEFAULT)
		die("no page fault was reported");
	return msg.arg.pagefault.address & ~(PAGE - 1);
}

static void fill(int fd, u64 address, u64 value)
{
	static u64 page[512] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = address, .src = (u64)page, .len = PAGE,
	};

	page[0] = value;
	if (ioctl(fd, UFFDIO_COPY, &copy))
		die("UFFDIO_COPY: %s", strerror(errno));
}

struct pager {
	int fd;
	u64 base;
};

static void *page_in(void *arg)
{
	struct pager *pager = arg;

	for (int i = 0; i < PAGES; i++) {
		u64 address = next_fault(pager->fd);

		fill(pager->fd, address, 1ull << (address - pager->base) / PAGE);
	}
	return NULL;
}

TEST_F(userfault, pages_come_on_demand)
{
	struct pager pager = { self->fd, (u64)self->memory };
	struct kvm_regs regs;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, page_in, &pager));
	run_to_halt(_metadata, &self->vcpu, LONG);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ((1u << PAGES) - 1, regs.rax);
}

struct waker {
	int fd;
	pthread_t target;
	volatile bool *gone;
};

/* The fault stays unanswered: only the signal can end the wait. */
static void *interrupt_the_wait(void *arg)
{
	struct waker *waker = arg;

	next_fault(waker->fd);
	while (!*waker->gone) {
		pthread_kill(waker->target, SIGUSR1);
		usleep(1000);
	}
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
}

TEST_F(userfault, a_signal_ends_the_wait)
{
	struct sigaction action = { .sa_handler = on_signal };
	volatile bool gone = false;
	struct waker waker = { self->fd, pthread_self(), &gone };
	struct pager pager = { self->fd, (u64)self->memory };
	struct kvm_regs regs;
	pthread_t thread;
	int ret;

	sigaction(SIGUSR1, &action, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, interrupt_the_wait, &waker));
	ret = __vcpu_run(&self->vcpu);
	gone = true;
	EXPECT_EQ(-EINTR, ret);
	EXPECT_EQ(KVM_EXIT_INTR, self->vcpu.run->exit_reason);
	ASSERT_EQ(0, pthread_join(thread, NULL));

	ASSERT_EQ(0, pthread_create(&thread, NULL, page_in, &pager));
	run_to_halt(_metadata, &self->vcpu, LONG);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ((1u << PAGES) - 1, regs.rax);
}

TEST_HARNESS_MAIN
