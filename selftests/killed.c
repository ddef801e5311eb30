// SPDX-License-Identifier: GPL-2.0
/* Whatever a vCPU's thread is at, in the guest or in the kernel: SIGKILL ends its process. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define LATE_GPA	0x200000ul
#define THREADS		4

GUEST_PROGRAM(spins, LONG, SPIN "1: jmp 1b");
GUEST_PROGRAM(exits, LONG, SPIN "1: xor %eax, %eax\n cpuid\n jmp 1b");
GUEST_PROGRAM(reads_late_memory, LONG, "mov 0x200000, %rax\n hlt");
GUEST_PROGRAM(sends_late_memory, LONG, "mov $0x200000, %esi\n mov $0x80, %edx\n mov $8, %ecx\n rep outsb\n hlt");
GUEST_PROGRAM(no_idt, LONG, "1: lidt 0x3000\n ud2");

static struct machine machine;

static void one_vcpu(const struct guest_program *program)
{
	vm_create(&machine.vm);
	vcpu_create(&machine.vm, &machine.vcpu[0], 0);
	guest_load(&machine.vcpu[0], program);
}

/* KVM_RUN returns to go on at once, or not at all. */
static void *runs(void *arg)
{
	while (__vcpu_run(arg) == 0)
		;
	return NULL;
}

static void run_spinning(void)
{
	one_vcpu(&spins);
	runs(&machine.vcpu[0]);
}

static void run_exiting(void)
{
	one_vcpu(&exits);
	runs(&machine.vcpu[0]);
}

static void run_shutting_down(void)
{
	one_vcpu(&no_idt);
	runs(&machine.vcpu[0]);
}

/* Memory that userfaultfd was to fill in. Nobody does. */
static void run_waiting(const struct guest_program *program)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING, .range.len = 4096 };
	struct uffdio_api api = { .api = UFFD_API };
	void *memory = pages_alloc(4096);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	reg.range.start = (u64)memory;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		die("no userfaultfd");
	one_vcpu(program);
	vm_set_memory(&machine.vm, 1, 0, LATE_GPA, 4096, memory);
	runs(&machine.vcpu[0]);
}

static void run_waiting_for_page(void)
{
	run_waiting(&reads_late_memory);
}

static void run_emulating(void)
{
	run_waiting(&sends_late_memory);
}

GUEST halts(u64 arg)
{
	(void)arg;
	for (;;)
		asm volatile("hlt");
}

static void run_halted(void)
{
	machine_create(&machine, KERNEL_IRQCHIP, 1);
	machine_enter_at(&machine, 0, halts, 0);
	runs(&machine.vcpu[0]);
}

static void run_waiting_for_start(void)
{
	machine_create(&machine, KERNEL_IRQCHIP, 2);
	runs(&machine.vcpu[1]);
}

/* One runs the vCPU, the others wait for it. */
static void wait_for_vcpu(void)
{
	pthread_t thread;

	one_vcpu(&spins);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, runs, &machine.vcpu[0]);
	runs(&machine.vcpu[0]);
}

static void run_many(void)
{
	pthread_t thread;

	one_vcpu(&spins);
	for (u32 i = 1; i < THREADS; i++) {
		vcpu_create(&machine.vm, &machine.vcpu[i], i);
		guest_load(&machine.vcpu[i], i % 2 ? &exits : &spins);
		pthread_create(&thread, NULL, runs, &machine.vcpu[i]);
	}
	runs(&machine.vcpu[0]);
}

FIXTURE(killed) {
	pid_t child;
};
FIXTURE_VARIANT(killed) {
	void (*state)(void);
	enum irqchip chip;
};
FIXTURE_SETUP(killed)
{
	SKIP_WITHOUT_CHIP(variant->chip);
	self->child = fork();
	ASSERT_LE(0, self->child);
	if (self->child == 0) {
		variant->state();
		_exit(1);
	}
}
FIXTURE_TEARDOWN(killed)
{
}

#define KILL_ROW(function, ...) FIXTURE_VARIANT_ADD(killed, function) { function, __VA_ARGS__ }

KILL_ROW(run_spinning);
KILL_ROW(run_exiting);
KILL_ROW(run_shutting_down);
KILL_ROW(run_waiting_for_page);
KILL_ROW(run_emulating);
KILL_ROW(run_halted, KERNEL_IRQCHIP);
KILL_ROW(run_waiting_for_start, KERNEL_IRQCHIP);
KILL_ROW(wait_for_vcpu);
KILL_ROW(run_many);

/* It has been there for a while, most likely; and may be killed at any moment. */
TEST_F(killed, ends)
{
	int status;

	usleep(200000);
	ASSERT_EQ(0, waitpid(self->child, &status, WNOHANG));
	ASSERT_EQ(0, kill(self->child, SIGKILL));
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_HARNESS_MAIN
