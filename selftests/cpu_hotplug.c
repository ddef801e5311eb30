// SPDX-License-Identifier: GPL-2.0
/* A CPU goes while it runs a vCPU, which goes on elsewhere, and comes back. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "lib/harness.h"

#define ROUNDS	8
#define COUNT	0x30000
#define STOP	0x30008

/* The former leaves the guest for an interrupt of the host's only. */
GUEST_PROGRAM(spins, LONG, SPIN "1: incq 0x30000\n cmpq $0, 0x30008\n je 1b\n hlt");
GUEST_PROGRAM(exits, LONG,
	      SPIN "1: incq 0x30000\n xor %eax, %eax\n cpuid\n out %al, $0x10\n cmpq $0, 0x30008\n je 1b\n hlt");

FIXTURE(cpu_hotplug) {
	struct vm vm;
	struct vcpu vcpu;
	pthread_t thread;
	volatile pid_t tid;
	volatile int ret;
};
FIXTURE_VARIANT(cpu_hotplug) {
	const struct guest_program *program;
};
FIXTURE_VARIANT_ADD(cpu_hotplug, spins) { &spins };
FIXTURE_VARIANT_ADD(cpu_hotplug, exits) { &exits };

static bool set_online(bool online)
{
	int fd = open("/sys/devices/system/cpu/cpu1/online", O_WRONLY);
	bool done = fd >= 0 && write(fd, online ? "1" : "0", 1) == 1;

	if (fd >= 0)
		close(fd);
	return done;
}

FIXTURE_SETUP(cpu_hotplug)
{
	if (!set_online(true))
		SKIP(return, "no second CPU that can be taken away");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, variant->program);
}
FIXTURE_TEARDOWN(cpu_hotplug)
{
	set_online(true);
}

static void *run_vcpu(void *arg)
{
	FIXTURE_DATA(cpu_hotplug) *self = arg;

	self->tid = gettid();
	do {
		self->ret = __vcpu_run(&self->vcpu);
	} while (self->ret == -EINTR || (!self->ret && self->vcpu.run->exit_reason == KVM_EXIT_IO));
	return NULL;
}

/* The CPU that the thread is on, or was last. */
static int cpu_of(pid_t tid)
{
	char name[64], stat[1024] = "", *field;
	int fd;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	fd = open(name, O_RDONLY);
	if (fd < 0 || read(fd, stat, sizeof(stat) - 1) <= 0)
		die("%s", name);
	close(fd);
	field = strrchr(stat, ')');
	for (int i = 2; field && i < 39; i++)
		field = strchr(field + 1, ' ');
	if (!field)
		die("%s: %s", name, stat);
	return atoi(field);
}

/* The guest has gone on, on this CPU; false if its run has ended. */
static bool goes_on(FIXTURE_DATA(cpu_hotplug) *self, int cpu)
{
	volatile u64 *count = (volatile u64 *)(self->vm.ram + COUNT);
	u64 seen;

	while (cpu_of(self->tid) != cpu) {
		if (self->ret)
			return false;
		sched_yield();
	}
	for (seen = *count; *count < seen + 2; sched_yield()) {
		if (self->ret)
			return false;
	}
	return true;
}

TEST_F_TIMEOUT(cpu_hotplug, goes_on_elsewhere, LONG_TEST_SECONDS)
{
	cpu_set_t second;

	CPU_ZERO(&second);
	CPU_SET(1, &second);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, run_vcpu, self));
	while (!self->tid)
		sched_yield();
	for (int round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, sched_setaffinity(self->tid, sizeof(second), &second));
		ASSERT_TRUE(goes_on(self, 1));
		ASSERT_TRUE(set_online(false));
		ASSERT_TRUE(goes_on(self, 0));
		ASSERT_TRUE(set_online(true));
	}
	*(volatile u64 *)(self->vm.ram + STOP) = 1;
	ASSERT_EQ(0, pthread_join(self->thread, NULL));
	EXPECT_EQ(0, self->ret);
	EXPECT_EQ(KVM_EXIT_HLT, self->vcpu.run->exit_reason);
}

TEST_HARNESS_MAIN
