// SPDX-License-Identifier: GPL-2.0
/* The device's, the VM's and the vCPU's files: closed in any order, copied, inherited. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/harness.h"

GUEST_PROGRAM(count_up, LONG, "inc %rbx\n hlt");

static void make(struct vm *vm, struct vcpu *vcpu)
{
	vm_create(vm);
	vcpu_create(vm, vcpu, 0);
	guest_load(vcpu, &count_up);
}

static void expect_runs(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	struct kvm_regs before, after;

	guest_restart(vcpu);
	vcpu_get_regs(vcpu, &before);
	run_to_halt(_metadata, vcpu, LONG);
	vcpu_get_regs(vcpu, &after);
	EXPECT_EQ(before.rbx + 1, after.rbx);
}

TEST(closed_in_every_order)
{
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		struct vcpu vcpu;
		struct vm vm;
		int fds[3];

		make(&vm, &vcpu);
		fds[0] = vm.dev;
		fds[1] = vm.fd;
		fds[2] = vcpu.fd;
		for (int j = 0; j < 3; j++) {
			EXPECT_EQ(0, close(fds[orders[i][j]]));
			fds[orders[i][j]] = -1;
			if (fds[2] >= 0)
				expect_runs(_metadata, &vcpu);
		}
		EXPECT_EQ(0, munmap(vcpu.run, vcpu.run_size));
		munmap(vm.ram, RAM_SIZE);
	}
}

TEST(run_page_outlives_the_files)
{
	struct vcpu vcpu;
	struct vm vm;

	make(&vm, &vcpu);
	vcpu_run_until(&vcpu, KVM_EXIT_HLT);
	close(vcpu.fd);
	close(vm.fd);
	close(vm.dev);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu.run->exit_reason);
	memset(vcpu.run, 0x5a, vcpu.run_size);
	EXPECT_EQ(0x5a5a5a5au, vcpu.run->exit_reason);
	EXPECT_EQ(0, munmap(vcpu.run, vcpu.run_size));
}

TEST(copies_work_when_the_first_is_closed)
{
	struct vcpu vcpu;
	struct vm vm;
	int fd;

	make(&vm, &vcpu);
	fd = dup(vcpu.fd);
	ASSERT_LE(0, fd);
	close(vcpu.fd);
	vcpu.fd = fd;
	expect_runs(_metadata, &vcpu);

	fd = dup(vm.fd);
	ASSERT_LE(0, fd);
	close(vm.fd);
	vm.fd = fd;
	EXPECT_EQ(0, __vm_set_memory(&vm, 1, 0, 0x200000, 4096, pages_alloc(4096)));
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

TEST(a_new_vcpu_after_the_device_is_closed)
{
	struct kvm_regs regs;
	struct vcpu vcpu;
	struct vm vm;
	int fd;

	make(&vm, &vcpu);
	close(vm.dev);
	fd = __fd_ioctl(vm.fd, KVM_CREATE_VCPU, 1);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, __fd_ioctl(fd, KVM_GET_REGS, (unsigned long)&regs));
	close(vm.fd);
	EXPECT_EQ(0, __fd_ioctl(fd, KVM_GET_REGS, (unsigned long)&regs));
	close(fd);
	expect_runs(_metadata, &vcpu);
	vcpu_destroy(&vcpu);
}

/* In a child: everything of the parent's VM is EIO, the device itself is not. */
static int child_sees(struct vm *vm, struct vcpu *vcpu)
{
	struct kvm_regs regs;

	if (__vcpu_get_regs(vcpu, &regs) != -EIO)
		return 1;
	if (__vcpu_run(vcpu) != -EIO)
		return 2;
	if (__vm_check_extension(vm, KVM_CAP_USER_MEMORY) != -EIO)
		return 3;
	if (__vm_set_memory(vm, 1, 0, 0x200000, 4096, vm->ram) != -EIO)
		return 4;
	if (__fd_ioctl(vm->dev, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return 5;
	if (__fd_ioctl(vm->dev, KVM_CREATE_VM, 0) < 0)
		return 6;
	return 0;
}

TEST(another_address_space_gets_eio)
{
	struct vcpu vcpu;
	struct vm vm;
	int status;
	pid_t pid;

	make(&vm, &vcpu);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(child_sees(&vm, &vcpu));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	expect_runs(_metadata, &vcpu);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

/* The child keeps the files open and must not keep the parent's end waiting. */
TEST(a_child_outlives_the_vm)
{
	struct vcpu vcpu;
	struct vm vm;
	int pipefd[2];
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipefd));
	make(&vm, &vcpu);
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		close(pipefd[1]);
		_exit(read(pipefd[0], &byte, 1) == 0 ? child_sees(&vm, &vcpu) : 9);
	}
	expect_runs(_metadata, &vcpu);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
	close(pipefd[1]);
	{
		int status;

		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* Another process gets the device's, the VM's and the vCPU's file, or -1. */
static void send_files(int socket, const int *fds)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control = {
		.head = { CMSG_LEN(3 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS },
	};
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.head), fds, 3 * sizeof(int));
	if (sendmsg(socket, &msg, 0) != 1)
		die("sendmsg: %s", strerror(errno));
}

static void receive_files(int socket, int *fds)
{
	char byte, control[CMSG_SPACE(3 * sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		die("recvmsg: %s", strerror(errno));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), 3 * sizeof(int));
}

GUEST_PROGRAM(spins, LONG, SPIN "1: jmp 1b");

static void send_and_run(int socket)
{
	struct vcpu vcpu;
	struct vm vm;

	make(&vm, &vcpu);
	guest_load(&vcpu, &spins);
	send_files(socket, (int[]) { vm.dev, vm.fd, vcpu.fd });
	__vcpu_run(&vcpu);
	_exit(1);
}

/* The VM then belongs to an address space that is no more. */
TEST(files_outlive_the_process_that_made_them)
{
	struct vcpu vcpu;
	int pair[2], fds[3], status;
	struct vm vm;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		send_and_run(pair[1]);
	receive_files(pair[0], fds);
	vm = (struct vm) { .dev = fds[0], .fd = fds[1], .ram = pages_alloc(4096) };
	vcpu = (struct vcpu) { .vm = &vm, .fd = fds[2] };
	EXPECT_EQ(0, child_sees(&vm, &vcpu));
	EXPECT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, child_sees(&vm, &vcpu));
	vcpu.run_size = fd_ioctl(vm.dev, KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
	vcpu.run = mmap(NULL, vcpu.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)vcpu.run);
	close(vm.fd);
	EXPECT_EQ(-EIO, __vcpu_run(&vcpu));
	close(vcpu.fd);
	close(vm.dev);
	memset(vcpu.run, 0x5a, vcpu.run_size);
	EXPECT_EQ(0, munmap(vcpu.run, vcpu.run_size));
}

static const char *module_name(void)
{
	if (device_is_vmlet())
		return "vmlet";
	return host_is_amd() ? "kvm_amd" : "kvm_intel";
}

/* How often the module is in use. */
static int module_users(void)
{
	char path[64];
	int users = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module_name());
	file = fopen(path, "re");
	if (!file || fscanf(file, "%d", &users) != 1)
		die("cannot read %s", path);
	fclose(file);
	return users;
}

/*
 * In a message that nobody reads, in a socket that nothing but the message holds. The
 * kernel finds such garbage when another socket goes, and has a worker free it.
 */
TEST(files_in_a_lost_message)
{
	int users = module_users(), other = socket(AF_UNIX, SOCK_STREAM, 0);
	struct vcpu vcpu;
	struct vm vm;
	int pair[2];

	ASSERT_LE(0, other);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	make(&vm, &vcpu);
	send_files(pair[0], (int[]) { vm.fd, vcpu.fd, pair[1] });
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
	close(pair[0]);
	close(pair[1]);
	EXPECT_LT(users, module_users());
	close(other);
	while (module_users() != users)
		sched_yield();
}

/* Whatever is left of a VM holds the module. */
TEST(module_stays_while_in_use)
{
	struct vcpu vcpu;
	struct vm vm;

	make(&vm, &vcpu);
	for (int left = 4; left > 0; left--) {
		EXPECT_EQ(-1, syscall(SYS_delete_module, module_name(), O_NONBLOCK));
		EXPECT_EQ(EWOULDBLOCK, errno);
		if (left > 1)
			EXPECT_EQ(0, close(left == 4 ? vm.dev : left == 3 ? vm.fd : vcpu.fd));
	}
	EXPECT_EQ(0, vcpu.run->immediate_exit);
	munmap(vcpu.run, vcpu.run_size);
}

TEST(files_are_closed_on_exec)
{
	struct vcpu vcpu;
	struct vm vm;

	make(&vm, &vcpu);
	EXPECT_EQ(FD_CLOEXEC, fcntl(vm.fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(vcpu.fd, F_GETFD));
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

TEST(a_readonly_device_file_makes_vms)
{
	int dev = open(device_path(), O_RDONLY);
	int vm;

	ASSERT_LE(0, dev);
	vm = __fd_ioctl(dev, KVM_CREATE_VM, 0);
	EXPECT_LE(0, vm);
	close(vm);
	close(dev);
}

TEST_SIGNAL(nothing_is_mapped_after_the_run_page, SIGBUS)
{
	struct vcpu vcpu;
	struct vm vm;
	u8 *map;

	make(&vm, &vcpu);
	map = mmap(NULL, vcpu.run_size + 4096, PROT_READ, MAP_SHARED, vcpu.fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	for (size_t i = 0; i < vcpu.run_size; i += 4096)
		(void)*(volatile u8 *)(map + i);
	(void)*(volatile u8 *)(map + vcpu.run_size);
}

TEST(many_vms_in_turn)
{
	for (int i = 0; i < 20; i++) {
		struct vcpu vcpu;
		struct vm vm;

		make(&vm, &vcpu);
		expect_runs(_metadata, &vcpu);
		vcpu_destroy(&vcpu);
		vm_destroy(&vm);
	}
}

TEST_HARNESS_MAIN
