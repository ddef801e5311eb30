// SPDX-License-Identifier: GPL-2.0
/* Signals end KVM_RUN with EINTR and KVM_EXIT_INTR; the guest loses nothing by it. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>

#include "lib/harness.h"

#define COUNTER 0x30000

GUEST_PROGRAM(counts, LONG, SPIN "1: incq 0x30000\n jmp 1b");

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
	handled = signal;
}

FIXTURE(signals) {
	struct vm vm;
	struct vcpu vcpu;
	volatile u64 *counter;
};
FIXTURE_SETUP(signals)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &counts);
	self->counter = (volatile u64 *)(self->vm.ram + COUNTER);
	handled = 0;
}
FIXTURE_TEARDOWN(signals)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

struct poker {
	pthread_t target;
	volatile u64 *counter;
	u64 seen;
};

/* Waits until the guest has moved on, then interrupts it. */
static void *poke(void *arg)
{
	struct poker *poker = arg;

	while (*poker->counter == poker->seen)
		sched_yield();
	pthread_kill(poker->target, SIGUSR1);
	return NULL;
}

TEST_F(signals, interrupt_a_running_guest)
{
	struct poker poker = { pthread_self(), self->counter, 0 };
	pthread_t thread;

	for (int round = 0; round < 5; round++) {
		poker.seen = *self->counter;
		handled = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, poke, &poker));
		ASSERT_EQ(-EINTR, __vcpu_run(&self->vcpu));
		EXPECT_EQ(KVM_EXIT_INTR, self->vcpu.run->exit_reason);
		EXPECT_EQ(SIGUSR1, handled);
		EXPECT_LT(poker.seen, *self->counter);
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
}

/* Nothing that a guest does keeps its process alive. */
TEST_F(signals, a_guest_that_never_exits_can_be_killed)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (pid == 0) {
		struct vcpu vcpu;
		struct vm vm;

		vm_create(&vm);
		vcpu_create(&vm, &vcpu, 0);
		guest_load(&vcpu, &counts);
		__vcpu_run(&vcpu);
		_exit(1);
	}
	usleep(100000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	EXPECT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

static void block_usr1(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGUSR1);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static int set_mask(struct vcpu *vcpu, u32 len, u64 mask)
{
	union {
		struct kvm_signal_mask head;
		u8 space[sizeof(struct kvm_signal_mask) + sizeof(u64)];
	} arg = { .head.len = len };

	memcpy(arg.head.sigset, &mask, sizeof(mask));
	return __vcpu_set_signal_mask(vcpu, &arg.head);
}

/* The mask holds in KVM_RUN alone: the signal ends it, and is still pending after it. */
TEST_F(signals, mask_for_the_run)
{
	sigset_t set, pending;

	block_usr1(&set);
	raise(SIGUSR1);
	ASSERT_EQ(0, set_mask(&self->vcpu, 8, 0));
	ASSERT_EQ(-EINTR, __vcpu_run(&self->vcpu));
	EXPECT_EQ(KVM_EXIT_INTR, self->vcpu.run->exit_reason);
	EXPECT_EQ(0, handled);
	sigpending(&pending);
	EXPECT_EQ(1, sigismember(&pending, SIGUSR1));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EXPECT_EQ(SIGUSR1, handled);
}

GUEST_PROGRAM(halts, LONG, "hlt");

TEST_F(signals, a_blocked_signal_does_not_end_the_run)
{
	sigset_t set;

	block_usr1(&set);
	raise(SIGUSR1);
	guest_load(&self->vcpu, &halts);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	ASSERT_EQ(0, set_mask(&self->vcpu, 8, 1ull << (SIGUSR1 - 1)));
	guest_restart(&self->vcpu);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
	EXPECT_EQ(0, handled);
}

TEST_F(signals, mask_taken_back)
{
	sigset_t set;

	block_usr1(&set);
	raise(SIGUSR1);
	ASSERT_EQ(0, set_mask(&self->vcpu, 8, 0));
	EXPECT_EQ(0, __vcpu_set_signal_mask(&self->vcpu, NULL));
	guest_load(&self->vcpu, &halts);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HLT);
}

TEST_F(signals, mask_of_wrong_length)
{
	EXPECT_EQ(-EINVAL, set_mask(&self->vcpu, 4, 0));
	EXPECT_EQ(-EINVAL, set_mask(&self->vcpu, 16, 0));
	EXPECT_EQ(-EINVAL, set_mask(&self->vcpu, 0, 0));
}

TEST_HARNESS_MAIN
