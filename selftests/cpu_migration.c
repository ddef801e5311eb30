// SPDX-License-Identifier: GPL-2.0
/* A vCPU goes on as if nothing had happened when its thread moves to another CPU. */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "lib/harness.h"

#define ROUNDS 60

/* Counts in a register, in memory, in XMM0 and in a stored MSR's place: GS_BASE. */
GUEST_PROGRAM(counts, LONG,
	      "mov $0xc0000101, %r8d\n"
	      "1: inc %rbx\n incq 0x30000\n movq %rbx, %xmm0\n"
	      "mov %r8d, %ecx\n mov %ebx, %eax\n xor %edx, %edx\n wrmsr\n"
	      "out %al, $0x10\n"
	      "movq %xmm0, %rsi\n mov %r8d, %ecx\n rdmsr\n mov %rax, %rdi\n"
	      "out %al, $0x11\n jmp 1b");
GUEST_PROGRAM(spins, LONG, SPIN "1: incq 0x30000\n cmpq $0, 0x30008\n je 1b\n hlt");

FIXTURE(migration) {
	struct vm vm;
	struct vcpu vcpu;
	cpu_set_t all;
	int cpus[2];
};
FIXTURE_SETUP(migration)
{
	int found = 0;

	sched_getaffinity(0, sizeof(self->all), &self->all);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &self->all))
			self->cpus[found++] = cpu;
	if (found < 2)
		SKIP(return, "needs two CPUs");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(migration)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static void move_to(int cpu, pid_t thread)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(thread, sizeof(set), &set))
		die("cannot move to CPU %d", cpu);
}

TEST_F(migration, between_exits)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &counts);
	for (u64 round = 1; round <= ROUNDS; round++) {
		move_to(self->cpus[round % 2], 0);
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		move_to(self->cpus[(round + round / 2) % 2], 0);
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		vcpu_get_regs(&self->vcpu, &regs);
		ASSERT_EQ(round, regs.rbx);
		ASSERT_EQ(round, regs.rsi);
		ASSERT_EQ(round, regs.rdi);
		ASSERT_EQ(round, *(u64 *)(self->vm.ram + 0x30000));
	}
}

/* Registers are read on another CPU than the one that holds them. */
TEST_F(migration, state_is_read_elsewhere)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &counts);
	for (u64 round = 1; round <= ROUNDS / 2; round++) {
		move_to(self->cpus[0], 0);
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		move_to(self->cpus[1], 0);
		vcpu_get_regs(&self->vcpu, &regs);
		ASSERT_EQ(round, regs.rbx);
		vcpu_get_sregs(&self->vcpu, &sregs);
		ASSERT_EQ(round, sregs.gs.base);
		ASSERT_EQ(round, vcpu_get_msr(&self->vcpu, 0xc0000101));
		vcpu_set_sregs(&self->vcpu, &sregs);
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	}
}

struct mover {
	pid_t target;
	int *cpus;
	volatile u64 *counter, *stop;
};

/* Pulls the running thread from CPU to CPU, each time after it has moved on. */
static void *pull(void *arg)
{
	struct mover *mover = arg;

	for (int round = 0; round < ROUNDS; round++) {
		u64 seen = *mover->counter;

		move_to(mover->cpus[round % 2], mover->target);
		while (*mover->counter == seen)
			sched_yield();
	}
	*mover->stop = 1;
	return NULL;
}

TEST_F_TIMEOUT(migration, while_the_guest_runs, LONG_TEST_SECONDS)
{
	struct mover mover = {
		.target = gettid(),
		.cpus = self->cpus,
		.counter = (volatile u64 *)(self->vm.ram + 0x30000),
		.stop = (volatile u64 *)(self->vm.ram + 0x30008),
	};
	pthread_t thread;

	guest_load(&self->vcpu, &spins);
	ASSERT_EQ(0, pthread_create(&thread, NULL, pull, &mover));
	run_to_halt(_metadata, &self->vcpu, LONG);
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_HARNESS_MAIN
