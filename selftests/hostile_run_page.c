// SPDX-License-Identifier: GPL-2.0
/*
 * The run page is userspace's to write at any moment: what the kernel needs from an
 * earlier exit it keeps for itself, and whatever stands there breaks nothing.
 */
#include <pthread.h>
#include <sched.h>

#include "lib/harness.h"

GUEST_PROGRAM(reads_port, LONG, "in $0x10, %eax\n hlt");
GUEST_PROGRAM(reads_ports, LONG,
	      "mov $0x10, %edx\n mov $0x30000, %edi\n mov $8, %ecx\n rep insb\n hlt");
GUEST_PROGRAM(reads_mmio, LONG, "mov 0xd0000, %eax\n hlt");
GUEST_PROGRAM(does_all, LONG,
	      "1: out %al, $0x10\n in $0x11, %eax\n mov %eax, 0xd0000\n mov 0xd0000, %eax\n"
	      "mov $0x12, %edx\n mov $0x30000, %edi\n mov $100, %ecx\n rep insw\n"
	      "mov $0x30000, %esi\n mov $100, %ecx\n rep outsb\n cpuid\n hlt\n jmp 1b");

FIXTURE_ONE_VCPU(hostile)

TEST_F(hostile, port_exit_edited)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;
	u32 *data;

	guest_load(&self->vcpu, &reads_port);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	data = (u32 *)((u8 *)run + run->io.data_offset);
	data[0] = 0x1234;
	data[1] = 0x5678;
	run->io.size = 8;
	run->io.count = 0x10000000;
	run->io.port = 0xffff;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.data_offset = 0xfffffffffffff000;
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x1234u, regs.rax);
}

TEST_F(hostile, string_exit_edited)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;
	u8 *memory = self->vm.ram + 0x30000;
	u64 done = 0;

	guest_load(&self->vcpu, &reads_ports);
	memset(memory, 0, 64);
	while (done < 8) {
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		memset((u8 *)run + run->io.data_offset, 0xaa, run->io.count);
		done += run->io.count;
		run->io.count = 0x7fffffff;
		run->io.data_offset = 0x7fffffff;
	}
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rcx);
	EXPECT_EQ(0x30008u, regs.rdi);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(i < 8 ? 0xaa : 0, memory[i]);
}

TEST_F(hostile, mmio_exit_edited)
{
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;

	guest_load(&self->vcpu, &reads_mmio);
	vcpu_run_until(&self->vcpu, KVM_EXIT_MMIO);
	memset(run->mmio.data, 0x77, sizeof(run->mmio.data));
	run->mmio.len = 0xffffffff;
	run->mmio.phys_addr = GUEST_CODE;
	run->mmio.is_write = 1;
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x77777777u, regs.rax);
}

struct scribbler {
	struct kvm_run *run;
	size_t size;
	volatile bool stop;
};

/* A few bytes at a time, from a generator whose seed never changes. */
static void *scribble(void *arg)
{
	struct scribbler *scribbler = arg;
	u64 state = 0x853c49e6748fea9b;

	while (!scribbler->stop) {
		for (int i = 0; i < 64; i++) {
			state = state * 6364136223846793005ull + 1442695040888963407ull;
			((volatile u8 *)scribbler->run)[(state >> 33) % 320] = state >> 56;
		}
		sched_yield();
	}
	return NULL;
}

TEST_F_TIMEOUT(hostile, scribbled_over_while_it_runs, LONG_TEST_SECONDS)
{
	struct scribbler scribbler = { self->vcpu.run, self->vcpu.run_size, false };
	struct kvm_regs regs;
	pthread_t thread;

	guest_load(&self->vcpu, &does_all);
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, &scribbler));
	for (int i = 0; i < 4000; i++) {
		int ret = __vcpu_run(&self->vcpu);

		ASSERT_TRUE(ret == 0 || ret == -EINTR || ret == -EINVAL);
		if (i % 8 == 0)
			sched_yield();
	}
	scribbler.stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));

	/* Whatever it did, the vCPU is good for another guest. */
	memset(self->vcpu.run, 0, sizeof(*self->vcpu.run));
	guest_load(&self->vcpu, &reads_port);
	while (self->vcpu.run->exit_reason != KVM_EXIT_HLT)
		ASSERT_EQ(0, __vcpu_run(&self->vcpu));
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + 3, regs.rip);
}

TEST_HARNESS_MAIN
