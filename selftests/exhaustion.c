// SPDX-License-Identifier: GPL-2.0
/*
 * What a program can take of the host by VMs: kernel memory is charged to its memory
 * cgroup and ends at its limit, and what it does wrong does not fill the log.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/harness.h"
#include "lib/genl.h"
#include "../uapi/vmlet_netlink.h"

#define CGROUP	"/sys/fs/cgroup/"
#define GROUP	CGROUP "vmlet-selftest/"
#define SPREAD	(2ul << 20)	/* a page of each has a page table of its own */
#define FIRST	(16ul << 20)
#define VCPUS	128
#define PAGES	256
#define LARGE	(64ul << 30)	/* its dirty log takes 2 MiB */

static bool put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	bool done = fd >= 0 && write(fd, value, strlen(value)) > 0;

	close(fd);
	return done;
}

static u64 charged(void)
{
	FILE *file = fopen(GROUP "memory.current", "re");
	unsigned long long bytes;

	if (!file || fscanf(file, "%llu", &bytes) != 1)
		die("cannot read " GROUP "memory.current");
	fclose(file);
	return bytes;
}

/* What costs memory, in one go: 0 or -errno. */

static int create_vcpus(struct vm *vm)
{
	int ret = 0;

	for (u32 i = 0; ret >= 0 && i < VCPUS; i++)
		ret = __fd_ioctl(vm->fd, KVM_CREATE_VCPU, i + 1);
	return ret < 0 ? ret : 0;
}

/* The same page of ours, in many places of the guest's. */
GUEST_PROGRAM(touches_pages, LONG, "mov $0x1000000, %edi\n mov $256, %ecx\n"
	      "1: incb (%rdi)\n add $0x200000, %edi\n loop 1b\n hlt");

static struct vcpu vcpu;

static void add_slots(struct vm *vm)
{
	u8 *page = pages_alloc(4096);

	vcpu_create(vm, &vcpu, 0);
	guest_load(&vcpu, &touches_pages);
	for (u32 i = 0; i < PAGES; i++)
		vm_set_memory(vm, i + 1, 0, FIRST + i * SPREAD, 4096, page);
}

static int touch_slots(struct vm *vm)
{
	int ret = __vcpu_run(&vcpu);

	(void)vm;
	return ret == 0 && vcpu.run->exit_reason != KVM_EXIT_HLT ? -EPROTO : ret;
}

static int log_slot(struct vm *vm)
{
	void *memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap of 64 GiB: %s", strerror(errno));
	return __vm_set_memory(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 4ul << 30, LARGE, memory);
}

/* A call, and the bytes that it must cost at least. */
struct cost {
	void (*before)(struct vm *vm);
	int (*call)(struct vm *vm);
	u64 least;
};

FIXTURE(cgroup) { };
FIXTURE_VARIANT(cgroup) {
	struct cost cost;
};
FIXTURE_SETUP(cgroup)
{
	if (!put(CGROUP "cgroup.subtree_control", "+memory"))
		SKIP(return, "no memory cgroups here");
	mkdir(GROUP, 0755);
	if (access(GROUP "memory.current", R_OK))
		SKIP(return, "no cgroup can be made here");
}
FIXTURE_TEARDOWN(cgroup)
{
	rmdir(GROUP);
}

FIXTURE_VARIANT_ADD(cgroup, vcpus) { { NULL, create_vcpus, VCPUS * 2 * 4096 } };
FIXTURE_VARIANT_ADD(cgroup, page_tables) { { add_slots, touch_slots, PAGES * 4096 } };
FIXTURE_VARIANT_ADD(cgroup, dirty_log) { { NULL, log_slot, LARGE / 4096 / 8 } };

/* In a child, which is alone in the cgroup. Its wait status. */
static int in_cgroup(void (*function)(const struct cost *cost), const struct cost *cost)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (!put(GROUP "cgroup.procs", "0"))
			die("cannot join the cgroup");
		function(cost);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid: %s", strerror(errno));
	return status;
}

/* A part of it may have been charged in advance. */
static void expect_charge(const struct cost *cost)
{
	struct vm vm;
	u64 before;
	int ret;

	vm_create(&vm);
	if (cost->before)
		cost->before(&vm);
	before = charged();
	ret = cost->call(&vm);
	if (ret)
		die("%s", strerror(-ret));
	if (charged() < before + cost->least / 2)
		die("%llu bytes charged before, %llu after", (unsigned long long)before,
		    (unsigned long long)charged());
}

TEST_F(cgroup, is_charged)
{
	EXPECT_EQ(0, in_cgroup(expect_charge, &variant->cost));
}

static void exceed(const struct cost *cost)
{
	char limit[24];
	struct vm vm;
	int ret;

	vm_create(&vm);
	if (cost->before)
		cost->before(&vm);
	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)(charged() + cost->least / 4));
	if (!put(GROUP "memory.max", limit))
		die("cannot set memory.max");
	ret = cost->call(&vm);
	if (ret != -ENOMEM)
		die("at the limit: %s", strerror(-ret));
}

static void note_pressure(const struct genl_message *message, void *data)
{
	*(bool *)data |= message->cmd == VMLET_CMD_MEMORY_PRESSURE_NTF;
}

/* Either the call fails, or its process is killed. vmlet tells of it in any case. */
TEST_F(cgroup, ends_at_its_limit)
{
	bool listens = device_is_vmlet() && !geteuid(), told = false;
	struct genl genl;
	int status;

	if (listens) {
		genl_open(&genl, VMLET_GENL_NAME, VMLET_GENL_EVENTS);
		ASSERT_EQ(0, __genl_join(&genl));
	}
	status = in_cgroup(exceed, &variant->cost);
	EXPECT_TRUE(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	if (!listens)
		return;
	while (!__genl_next(&genl, note_pressure, &told))
		;
	EXPECT_TRUE(told);
	genl_close(&genl);
}

/* New records of the kernel's log. */
static unsigned int log_records(int fd)
{
	char record[2048];
	unsigned int n = 0;

	while (read(fd, record, sizeof(record)) > 0)
		n++;
	return n;
}

#define TIMES		1000
#define NO_MSR		0x12345678
#define FEW_RECORDS	100	/* KVM's log has a rate limit, vmlet's has no lines for such */

GUEST_PROGRAM(writes_no_msr, LONG, "mov $0x12345678, %ecx\n wrmsr\n hlt");

FIXTURE_ONE_VCPU(log)

TEST_F(log, is_not_filled)
{
	struct kvm_userspace_memory_region region = { .slot = ~0u, .flags = ~0u };
	int fds[] = { self->vm.dev, self->vm.fd, self->vcpu.fd };
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (log < 0 || lseek(log, 0, SEEK_END) < 0)
		SKIP(return, "the kernel's log is not for us");
	guest_load(&self->vcpu, &writes_no_msr);
	for (u32 i = 0; i < TIMES; i++) {
		__fd_ioctl(fds[i % 3], _IO(KVMIO, 0xff), i);
		__fd_ioctl(self->vm.fd, KVM_SET_USER_MEMORY_REGION, (u64)&region);
		__vcpu_set_msr(&self->vcpu, NO_MSR, i);
		guest_restart(&self->vcpu);
		__vcpu_run(&self->vcpu);
	}
	EXPECT_GT(FEW_RECORDS, log_records(log));
}

TEST_HARNESS_MAIN
