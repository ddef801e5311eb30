// SPDX-License-Identifier: GPL-2.0
/* Memory slots that come, go and move while vCPUs write to them all the time. */
#include <sched.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define SLOT	5
#define GPA	0x10000000ul
#define PAGE	4096ul
#define PAGES	8ul
#define SIZE	(PAGES * PAGE)
#define VCPUS	2
#define ROUNDS	40

static volatile bool stop;
static volatile u64 writes[VCPUS];

/* Each vCPU has a word of its own in every page. */
GUEST stamps(u64 me)
{
	u64 value = 0;

	sti();
	while (!stop) {
		value++;
		for (u64 page = 0; page < 2 * PAGES; page++)
			*(volatile u64 *)(GPA + page * PAGE + 8 * me) = value;
		writes[me] = value;
	}
	guest_done();
}

FIXTURE(slots) {
	struct machine m;
	u8 *memory[2];
	pthread_t thread[VCPUS];
};

/* A write where no memory is, is an exit like any other: go on. */
static void *run(void *arg)
{
	struct vcpu *vcpu = arg;

	for (;;) {
		int ret = __vcpu_run(vcpu);

		if (ret)
			die("KVM_RUN: %s", strerror(-ret));
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO && vcpu->run->mmio.is_write &&
		    vcpu->run->mmio.phys_addr >= GPA && vcpu->run->mmio.phys_addr < GPA + 2 * SIZE)
			continue;
		if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == PORT_DONE)
			return NULL;
		die("exit %s", exit_name(vcpu->run->exit_reason));
	}
}

#define BOCHS_HANGS "the lab host hangs in Bochs, under stock KVM too"

FIXTURE_SETUP(slots)
{
	static const struct deviation hangs = {
		.bochs_amd = BOCHS_HANGS, .bochs_intel = BOCHS_HANGS,
	};

	if (skip_here(_metadata, &hangs))
		return;
	machine_create(&self->m, NO_IRQCHIP, VCPUS);
	for (int i = 0; i < 2; i++)
		self->memory[i] = pages_alloc(SIZE);
	for (u32 i = 0; i < VCPUS; i++) {
		machine_enter_at(&self->m, i, stamps, i);
		ASSERT_EQ(0, pthread_create(&self->thread[i], NULL, run, &self->m.vcpu[i]));
	}
}
FIXTURE_TEARDOWN(slots)
{
	stop = true;
	for (u32 i = 0; i < VCPUS; i++)
		pthread_join(self->thread[i], NULL);
	machine_destroy(&self->m);
}

/* All vCPUs have been through all pages once more. */
static void await_writes(void)
{
	for (u32 i = 0; i < VCPUS; i++) {
		u64 seen = writes[i];

		while (writes[i] < seen + 2)
			sched_yield();
	}
}

static u64 sum(const u8 *memory)
{
	u64 sum = 0;

	for (u64 page = 0; page < PAGES; page++)
		for (u64 i = 0; i < VCPUS; i++)
			sum += ((const volatile u64 *)(memory + page * PAGE))[i];
	return sum;
}

/* Memory that is taken away has seen its last write when the call returns. */
TEST_F_TIMEOUT(slots, deleted_and_made_anew, LONG_TEST_SECONDS)
{
	for (int round = 0; round < ROUNDS; round++) {
		u8 *memory = self->memory[round % 2];
		u64 before = sum(memory);

		vm_set_memory(&self->m.vm, SLOT, 0, GPA, SIZE, memory);
		await_writes();
		ASSERT_LT(before, sum(memory));
		vm_set_memory(&self->m.vm, SLOT, 0, GPA, 0, NULL);
		before = sum(memory);
		if (round % 10 == 0)
			await_writes();
		ASSERT_EQ(before, sum(memory));
	}
}

TEST_F_TIMEOUT(slots, moved, LONG_TEST_SECONDS)
{
	for (int round = 0; round < ROUNDS; round++) {
		u64 before = sum(self->memory[0]);

		vm_set_memory(&self->m.vm, SLOT, 0, round % 2 ? GPA : GPA + SIZE, SIZE,
			      self->memory[0]);
		await_writes();
		ASSERT_LT(before, sum(self->memory[0]));
	}
}

/* Logging comes and goes; a page that was written is in the log, or was before. */
TEST_F_TIMEOUT(slots, logging_comes_and_goes, LONG_TEST_SECONDS)
{
	struct kvm_dirty_log log = { .slot = SLOT };
	u64 bitmap;

	log.dirty_bitmap = &bitmap;
	vm_set_memory(&self->m.vm, SLOT, 0, GPA, SIZE, self->memory[0]);
	for (int round = 0; round < ROUNDS / 4; round++) {
		if (__vm_set_memory(&self->m.vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE,
				    self->memory[0]))
			SKIP(return, "the device does not log");
		await_writes();
		vm_get_dirty_log(&self->m.vm, &log);
		ASSERT_EQ((1u << PAGES) - 1, bitmap);
		vm_set_memory(&self->m.vm, SLOT, 0, GPA, SIZE, self->memory[0]);
	}
}

/* Slots beside it come and go; this one must not even flicker. */
TEST_F_TIMEOUT(slots, neighbours_come_and_go, LONG_TEST_SECONDS)
{
	u64 last = 0;

	vm_set_memory(&self->m.vm, SLOT, 0, GPA, SIZE, self->memory[0]);
	await_writes();
	for (int round = 0; round < ROUNDS; round++) {
		vm_set_memory(&self->m.vm, SLOT + 1, 0, GPA + SIZE, SIZE, self->memory[1]);
		vm_set_memory(&self->m.vm, SLOT + 1, 0, GPA + SIZE, 0, NULL);
		await_writes();
		ASSERT_LT(last, sum(self->memory[0]));
		last = sum(self->memory[0]);
	}
}

TEST_HARNESS_MAIN
