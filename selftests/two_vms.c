// SPDX-License-Identifier: GPL-2.0
/* Several VMs and vCPUs at once keep their memory and registers apart. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/harness.h"

#define WORD 0x30000

/* Adds RBX to a word of memory, RBP times, with an exit to userspace each time. */
GUEST_PROGRAM(adds, LONG, "1: add %rbx, 0x30000\n out %al, $0x10\n dec %ebp\n jnz 1b\n hlt");
/* The same with an exit that stays in the kernel. */
GUEST_PROGRAM(adds_inside, LONG,
	      "1: lock add %rsi, 0x30000\n xor %eax, %eax\n xor %ecx, %ecx\n cpuid\n"
	      "dec %ebp\n jnz 1b\n hlt");

struct machine {
	struct vm vm;
	struct vcpu vcpu;
	u64 step, rounds;
};

static void start(struct machine *machine, const struct guest_program *program,
		  u64 step, u64 rounds)
{
	struct kvm_regs regs;

	machine->step = step;
	machine->rounds = rounds;
	guest_load(&machine->vcpu, program);
	vcpu_get_regs(&machine->vcpu, &regs);
	regs.rbx = regs.rsi = step;
	regs.rbp = rounds;
	vcpu_set_regs(&machine->vcpu, &regs);
}

static void make(struct machine *machine)
{
	vm_create(&machine->vm);
	vcpu_create(&machine->vm, &machine->vcpu, 0);
}

static u64 word(struct machine *machine)
{
	return *(volatile u64 *)(machine->vm.ram + WORD);
}

TEST(interleaved_on_one_thread)
{
	struct machine machines[3];
	const u64 rounds = 50;

	for (u64 i = 0; i < ARRAY_SIZE(machines); i++) {
		make(&machines[i]);
		start(&machines[i], &adds, i + 1, rounds);
	}
	for (u64 round = 1; round <= rounds; round++) {
		for (u64 i = 0; i < ARRAY_SIZE(machines); i++) {
			vcpu_run_until(&machines[i].vcpu, KVM_EXIT_IO);
			ASSERT_EQ((i + 1) * round, word(&machines[i]));
		}
	}
	for (u64 i = 0; i < ARRAY_SIZE(machines); i++)
		run_to_halt(_metadata, &machines[i].vcpu, LONG);
}

static void *run_machine(void *arg)
{
	struct machine *machine = arg;

	return (void *)(long)__vcpu_run(&machine->vcpu);
}

TEST(on_threads_of_their_own)
{
	struct machine machines[2];
	pthread_t threads[2];
	void *result;

	for (u64 i = 0; i < 2; i++) {
		make(&machines[i]);
		start(&machines[i], &adds_inside, i + 1, 20000);
	}
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, run_machine, &machines[i]));
	for (u64 i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &result));
		EXPECT_EQ(0, (long)result);
		EXPECT_EQ(KVM_EXIT_HLT, machines[i].vcpu.run->exit_reason);
		EXPECT_EQ((i + 1) * 20000, word(&machines[i]));
	}
}

TEST(in_processes_of_their_own)
{
	pid_t pids[2];
	int status;

	for (u64 i = 0; i < 2; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (pids[i] == 0) {
			struct machine machine;

			make(&machine);
			start(&machine, &adds_inside, i + 5, 20000);
			vcpu_run_until(&machine.vcpu, KVM_EXIT_HLT);
			_exit(word(&machine) == (i + 5) * 20000 ? 0 : 1);
		}
	}
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

TEST(two_vcpus_share_one_memory)
{
	struct machine first, second;
	pthread_t threads[2];
	void *result;

	make(&first);
	second.vm = first.vm;
	vcpu_create(&second.vm, &second.vcpu, 1);
	start(&first, &adds_inside, 1, 20000);
	start(&second, &adds_inside, 1000000, 20000);
	ASSERT_EQ(0, pthread_create(&threads[0], NULL, run_machine, &first));
	ASSERT_EQ(0, pthread_create(&threads[1], NULL, run_machine, &second));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &result));
		EXPECT_EQ(0, (long)result);
	}
	EXPECT_EQ(20000ul * 1000001, word(&first));
}

/* One memory in two VMs: a page shared on purpose is shared, and nothing else. */
TEST(one_page_in_two_vms)
{
	struct machine machines[2];
	u64 *page = pages_alloc(4096);

	for (u64 i = 0; i < 2; i++) {
		make(&machines[i]);
		vm_set_memory(&machines[i].vm, 0, 0, 0, 0, NULL);
		vm_set_memory(&machines[i].vm, 0, 0, 0, WORD, machines[i].vm.ram);
		vm_set_memory(&machines[i].vm, 1, 0, WORD, 4096, page);
		start(&machines[i], &adds, i + 1, 10);
	}
	for (u64 round = 1; round <= 10; round++) {
		vcpu_run_until(&machines[0].vcpu, KVM_EXIT_IO);
		vcpu_run_until(&machines[1].vcpu, KVM_EXIT_IO);
		ASSERT_EQ(3 * round, *page);
	}
}

TEST_HARNESS_MAIN
