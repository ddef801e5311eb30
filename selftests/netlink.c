// SPDX-License-Identifier: GPL-2.0
/* The generic netlink family: which VMs there are, who may see them, what happens to them, and what can be tuned. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>

#include "lib/harness.h"
#include "lib/genl.h"
#include "lib/machine.h"
#include "../uapi/vmlet_netlink.h"

#define MANY	40
#define MANY_VCPUS 300	/* more than one datagram holds */
#define NOBODY	65534
#define ROUNDS	300

FIXTURE(netlink) {
	struct genl genl;
};
FIXTURE_SETUP(netlink)
{
	if (!device_is_vmlet())
		SKIP(return, "only vmlet has it");
	genl_open(&self->genl, VMLET_GENL_NAME, VMLET_GENL_EVENTS);
}
FIXTURE_TEARDOWN(netlink)
{
	genl_close(&self->genl);
}

/* What the tests ask of a VM, and of a vCPU. */
struct vm_row {
	u64 id, slot_bytes, pages;
	u32 pid, uid, vcpus, slots, irqchip;
	char comm[32];
};

struct vcpu_row {
	u64 vm, exits;
	u32 id, thread, state;
	char last_exit[32];
};

struct vms {
	unsigned int count;
	struct vm_row row[2 * MANY];
};

struct vcpus {
	unsigned int count;
	struct vcpu_row row[2 * MANY_VCPUS];
};

static void take_vm(const struct genl_message *message, void *data)
{
	struct vms *vms = data;
	struct vm_row *row = &vms->row[vms->count++];

	if (message->cmd != VMLET_CMD_VM_GET || vms->count > ARRAY_SIZE(vms->row))
		die("message %u of command %u", vms->count, message->cmd);
	*row = (struct vm_row) {
		.id = genl_u64(message, VMLET_A_VM_ID),
		.pid = genl_u32(message, VMLET_A_VM_OWNER_PID),
		.uid = genl_u32(message, VMLET_A_VM_OWNER_UID),
		.vcpus = genl_u32(message, VMLET_A_VM_VCPUS),
		.slots = genl_u32(message, VMLET_A_VM_SLOTS),
		.slot_bytes = genl_u64(message, VMLET_A_VM_SLOT_BYTES),
		.pages = genl_u64(message, VMLET_A_VM_PAGES_4K) + genl_u64(message, VMLET_A_VM_PAGES_2M) +
			 genl_u64(message, VMLET_A_VM_PAGES_1G),
		.irqchip = genl_u32(message, VMLET_A_VM_IRQCHIP),
	};
	snprintf(row->comm, sizeof(row->comm), "%s", genl_string(message, VMLET_A_VM_OWNER_COMM));
}

static void take_vcpu(const struct genl_message *message, void *data)
{
	struct vcpus *vcpus = data;
	struct vcpu_row *row = &vcpus->row[vcpus->count++];

	if (message->cmd != VMLET_CMD_VCPU_GET || vcpus->count > ARRAY_SIZE(vcpus->row))
		die("message %u of command %u", vcpus->count, message->cmd);
	*row = (struct vcpu_row) {
		.vm = genl_u64(message, VMLET_A_VCPU_VM_ID),
		.id = genl_u32(message, VMLET_A_VCPU_ID),
		.thread = genl_u32(message, VMLET_A_VCPU_THREAD),
		.state = genl_u32(message, VMLET_A_VCPU_STATE),
		.exits = genl_u64(message, VMLET_A_VCPU_EXITS),
	};
	if (row->state == VMLET_VCPU_STATE_GUEST)
		genl_u32(message, VMLET_A_VCPU_CPU);
	if (message->attr[VMLET_A_VCPU_LAST_EXIT])
		snprintf(row->last_exit, sizeof(row->last_exit), "%s", genl_string(message, VMLET_A_VCPU_LAST_EXIT));
}

/* Of one VM, or of all: 0. Files that others have closed a moment ago may end late, so that a dump may be torn. */
static int __vms_get(struct genl *genl, u64 only, struct vms *vms)
{
	struct genl_request request;

	vms->count = 0;
	genl_begin(genl, &request, VMLET_CMD_VM_GET, NLM_F_DUMP);
	if (only)
		genl_put_u64(&request, VMLET_A_VM_ID, only);
	return __genl_talk(genl, &request, take_vm, vms);
}

static void vms_get(struct genl *genl, u64 only, struct vms *vms)
{
	int ret;

	do {
		ret = __vms_get(genl, only, vms);
	} while (ret == -EAGAIN);
	if (ret)
		die("VM_GET: %s: %s", strerror(-ret), genl->text);
}

static void vcpus_get(struct genl *genl, u64 only, struct vcpus *vcpus)
{
	struct genl_request request;
	int ret;

	do {
		vcpus->count = 0;
		genl_begin(genl, &request, VMLET_CMD_VCPU_GET, NLM_F_DUMP);
		if (only)
			genl_put_u64(&request, VMLET_A_VCPU_VM_ID, only);
		ret = __genl_talk(genl, &request, take_vcpu, vcpus);
	} while (ret == -EAGAIN);
	if (ret)
		die("VCPU_GET: %s: %s", strerror(-ret), genl->text);
}

TEST_F(netlink, no_vm)
{
	struct vcpus vcpus;
	struct vms vms;

	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(0u, vms.count);
	vcpus_get(&self->genl, 0, &vcpus);
	EXPECT_EQ(0u, vcpus.count);
}

TEST_F(netlink, one_vm)
{
	struct vms vms;
	struct vm vm;
	u64 id;

	vm_create(&vm);
	vms_get(&self->genl, 0, &vms);
	ASSERT_EQ(1u, vms.count);
	EXPECT_LT(0u, vms.row[0].id);
	EXPECT_EQ((u32)getpid(), vms.row[0].pid);
	EXPECT_EQ(geteuid(), vms.row[0].uid);
	EXPECT_STREQ("netlink", vms.row[0].comm);
	EXPECT_EQ(0u, vms.row[0].vcpus);
	EXPECT_EQ(0u, vms.row[0].pages);
	EXPECT_EQ((u32)VMLET_VM_IRQCHIP_NONE, vms.row[0].irqchip);
	id = vms.row[0].id;
	vm_destroy(&vm);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(0u, vms.count);

	vm_create(&vm);
	vms_get(&self->genl, 0, &vms);
	ASSERT_EQ(1u, vms.count);
	EXPECT_LT(id, vms.row[0].id);
	vm_destroy(&vm);
}

TEST_F(netlink, memory)
{
	struct vms vms;
	struct vm vm;
	u8 *page = pages_alloc(0x3000);

	vm_create(&vm);
	vm_set_memory(&vm, 7, 0, 0x10000000, 0x3000, page);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(2u, vms.row[0].slots);
	EXPECT_EQ(RAM_SIZE + 0x3000, vms.row[0].slot_bytes);
	vm_set_memory(&vm, 7, KVM_MEM_LOG_DIRTY_PAGES, 0x20000000, 0x3000, page);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(2u, vms.row[0].slots);
	EXPECT_EQ(RAM_SIZE + 0x3000, vms.row[0].slot_bytes);
	vm_set_memory(&vm, 7, 0, 0, 0, NULL);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(1u, vms.row[0].slots);
	EXPECT_EQ(RAM_SIZE, vms.row[0].slot_bytes);
	vm_destroy(&vm);
}

TEST_F(netlink, irqchips)
{
	static const enum irqchip kinds[] = { NO_IRQCHIP, KERNEL_IRQCHIP, SPLIT_IRQCHIP };
	static const u32 wanted[] = { VMLET_VM_IRQCHIP_NONE, VMLET_VM_IRQCHIP_KERNEL, VMLET_VM_IRQCHIP_SPLIT };
	struct machine machine;
	struct vcpus vcpus;
	struct vms vms;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		machine_create(&machine, kinds[i], 2);
		vms_get(&self->genl, 0, &vms);
		ASSERT_EQ(1u, vms.count);
		EXPECT_EQ(wanted[i], vms.row[0].irqchip);
		EXPECT_EQ(2u, vms.row[0].vcpus);
		vcpus_get(&self->genl, 0, &vcpus);
		ASSERT_EQ(2u, vcpus.count);
		EXPECT_EQ((u32)VMLET_VCPU_STATE_USER, vcpus.row[0].state);
		machine_destroy(&machine);
	}
}

GUEST_PROGRAM(exits, LONG, "mov $0, %eax\n cpuid\n mov $0, %eax\n cpuid\n out %al, $0x10\n hlt");

TEST_F(netlink, a_vcpu_that_runs)
{
	struct vcpus vcpus;
	struct vcpu vcpu;
	struct vms vms;
	struct vm vm;

	vm_create(&vm);
	vcpu_create(&vm, &vcpu, 5);
	guest_load(&vcpu, &exits);
	vcpus_get(&self->genl, 0, &vcpus);
	ASSERT_EQ(1u, vcpus.count);
	EXPECT_EQ(5u, vcpus.row[0].id);
	EXPECT_EQ(0u, vcpus.row[0].exits);
	EXPECT_EQ(0u, vcpus.row[0].thread);
	EXPECT_STREQ("", vcpus.row[0].last_exit);

	vcpu_run_until(&vcpu, KVM_EXIT_IO);
	vcpus_get(&self->genl, 0, &vcpus);
	EXPECT_LE(3u, vcpus.row[0].exits);
	EXPECT_EQ((u32)gettid(), vcpus.row[0].thread);
	EXPECT_EQ((u32)VMLET_VCPU_STATE_USER, vcpus.row[0].state);
	EXPECT_STREQ("io", vcpus.row[0].last_exit);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(vms.row[0].id, vcpus.row[0].vm);
	EXPECT_EQ(1u, vms.row[0].vcpus);
	EXPECT_LT(0u, vms.row[0].pages);
	run_to_halt(_metadata, &vcpu, LONG);
	vcpus_get(&self->genl, 0, &vcpus);
	EXPECT_STREQ("hlt", vcpus.row[0].last_exit);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

static void *run_once(void *vcpu)
{
	vcpu_run_until(vcpu, KVM_EXIT_IO);
	return (void *)(long)gettid();
}

/* The thread that ran it, and no longer when it has ended. */
TEST_F(netlink, a_thread_that_ends)
{
	struct vcpus vcpus;
	pthread_t thread;
	struct vcpu vcpu;
	struct vm vm;
	void *tid;

	vm_create(&vm);
	vcpu_create(&vm, &vcpu, 0);
	guest_load(&vcpu, &exits);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_once, &vcpu));
	ASSERT_EQ(0, pthread_join(thread, &tid));
	/* It has been joined before the kernel is done with it. */
	do {
		vcpus_get(&self->genl, 0, &vcpus);
		ASSERT_TRUE(vcpus.row[0].thread == 0 || vcpus.row[0].thread == (u32)(long)tid);
	} while (vcpus.row[0].thread);
	run_to_halt(_metadata, &vcpu, LONG);
	vcpus_get(&self->genl, 0, &vcpus);
	EXPECT_EQ((u32)gettid(), vcpus.row[0].thread);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

GUEST waits(u64 unused)
{
	(void)unused;
	for (;;)
		asm volatile("sti\n hlt");
}

GUEST turns(u64 unused)
{
	(void)unused;
	asm volatile("sti");
	for (;;)
		;
}

/* In a halt, in the guest, and not started at all: until each is seen. */
TEST_F(netlink, states)
{
	u32 wanted[] = { VMLET_VCPU_STATE_HALTED, VMLET_VCPU_STATE_GUEST, VMLET_VCPU_STATE_STOPPED };
	struct machine machine;
	struct vcpus vcpus;

	/* Who asks on the CPU where the guest would run has stopped it. */
	if (sysconf(_SC_NPROCESSORS_ONLN) == 1)
		wanted[1] = VMLET_VCPU_STATE_KERNEL;
	machine_create(&machine, KERNEL_IRQCHIP, 3);
	machine_enter_at(&machine, 0, waits, 0);
	machine_enter_at(&machine, 1, turns, 0);
	fd_ioctl(machine.vcpu[2].fd, KVM_SET_MP_STATE,
		 (unsigned long)&(struct kvm_mp_state) { KVM_MP_STATE_UNINITIALIZED }, "KVM_SET_MP_STATE");
	machine_start(&machine, 0);
	machine_start(&machine, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(wanted); i++) {
		do {
			vcpus_get(&self->genl, 0, &vcpus);
			ASSERT_EQ(3u, vcpus.count);
		} while (vcpus.row[i].state != wanted[i]);
	}
	machine_stop(&machine, 0);
	machine_stop(&machine, 1);
	machine_destroy(&machine);
}

TEST_F(netlink, many_vms)
{
	struct vm vm[MANY];
	struct vcpus vcpus;
	struct vms vms;

	for (int i = 0; i < MANY; i++) {
		vm_create_bare(&vm[i]);
		for (int j = 0; j < i % 3; j++)
			fd_ioctl(vm[i].fd, KVM_CREATE_VCPU, j, "KVM_CREATE_VCPU");
	}
	vms_get(&self->genl, 0, &vms);
	ASSERT_EQ((u32)MANY, vms.count);
	for (int i = 0; i < MANY; i++) {
		if (i)
			EXPECT_LT(vms.row[i - 1].id, vms.row[i].id);
		EXPECT_EQ(i % 3u, vms.row[i].vcpus);
	}
	vcpus_get(&self->genl, 0, &vcpus);
	EXPECT_EQ(MANY - 1u, vcpus.count);
	vcpus_get(&self->genl, vms.row[5].id, &vcpus);
	ASSERT_EQ(2u, vcpus.count);
	EXPECT_EQ(vms.row[5].id, vcpus.row[1].vm);
	EXPECT_EQ(1u, vcpus.row[1].id);
	vms_get(&self->genl, vms.row[5].id, &vms);
	EXPECT_EQ(1u, vms.count);
	vms_get(&self->genl, 1ull << 60, &vms);
	EXPECT_EQ(0u, vms.count);
}

/* Of one VM, in several datagrams: none is left out and none is told twice. */
TEST_F(netlink, many_vcpus)
{
	static struct vcpus vcpus;
	struct vm vm, second;

	vm_create_bare(&vm);
	vm_create_bare(&second);
	for (int i = 0; i < MANY_VCPUS; i++)
		fd_ioctl(vm.fd, KVM_CREATE_VCPU, MANY_VCPUS - i, "KVM_CREATE_VCPU");
	fd_ioctl(second.fd, KVM_CREATE_VCPU, 1, "KVM_CREATE_VCPU");
	vcpus_get(&self->genl, 0, &vcpus);
	ASSERT_EQ(MANY_VCPUS + 1u, vcpus.count);
	for (u32 i = 0; i < MANY_VCPUS; i++)
		ASSERT_EQ(MANY_VCPUS - i, vcpus.row[i].id);
	EXPECT_LT(vcpus.row[0].vm, vcpus.row[MANY_VCPUS].vm);
}

/* Runs in a child, which is @uid from when it says so; 0: as it ought to be, else which line was not. */
static void expect_in_child(struct __test_metadata *_metadata, int (*fn)(struct genl *genl), struct genl *genl)
{
	pid_t child = fork();
	int status;

	ASSERT_LE(0, child);
	if (!child)
		_exit(fn(genl));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status)) TH_LOG("step %d", WEXITSTATUS(status));
}

static int __tunable_set(struct genl *genl, const char *name, u64 value)
{
	struct genl_request request;

	genl_begin(genl, &request, VMLET_CMD_TUNABLE_SET, NLM_F_ACK);
	genl_put_string(&request, VMLET_A_TUNABLE_NAME, name);
	genl_put_u64(&request, VMLET_A_TUNABLE_VALUE, value);
	return __genl_talk(genl, &request, NULL, NULL);
}

/* A VM of its own, beside that of root. */
static int as_nobody(struct genl *genl)
{
	int dev = dev_open();
	struct genl own;
	struct vms vms;

	if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
		return 1;
	genl_open(&own, VMLET_GENL_NAME, VMLET_GENL_EVENTS);
	vms_get(&own, 0, &vms);
	if (vms.count != 0)
		return 2;
	if (__fd_ioctl(dev, KVM_CREATE_VM, 0) < 0)
		return 3;
	vms_get(&own, 0, &vms);
	if (vms.count != 1 || vms.row[0].uid != NOBODY || vms.row[0].pid != (u32)getpid())
		return 4;
	vms_get(&own, vms.row[0].id - 1, &vms);
	if (vms.count != 0)
		return 5;
	/* This socket is another user's. */
	vms_get(genl, 0, &vms);
	if (vms.count != 0)
		return 6;
	if (__genl_join(&own) != -EPERM)
		return 7;
	if (__tunable_set(&own, "halt_poll_ns", 0) != -EPERM || !strstr(own.text, "CAP_SYS_ADMIN"))
		return 8;
	return __tunable_set(genl, "halt_poll_ns", 0) != -EPERM ? 9 : 0;
}

TEST_F(netlink, others_see_their_own)
{
	struct vms vms;
	struct vm vm;

	if (geteuid())
		SKIP(return, "needs root");
	vm_create(&vm);
	expect_in_child(_metadata, as_nobody, &self->genl);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(1u, vms.count);
	vm_destroy(&vm);
}

/* The number of a process that is not in there is 0, and its own is as it knows it. */
static int in_pid_namespace(struct genl *genl)
{
	struct vms vms;
	struct vm vm;

	if (unshare(CLONE_NEWPID))
		return 1;
	if (fork()) {
		int status;

		return wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
	}
	vm_create_bare(&vm);
	vms_get(genl, 0, &vms);
	if (vms.count != 2)
		_exit(3);
	_exit(vms.row[0].pid != 0 || vms.row[1].pid != 1 ? 4 : 0);
}

TEST_F(netlink, pid_namespace)
{
	struct vm vm;

	if (geteuid())
		SKIP(return, "needs root");
	vm_create(&vm);
	expect_in_child(_metadata, in_pid_namespace, &self->genl);
	vm_destroy(&vm);
}

static int in_net_namespace(struct genl *genl)
{
	struct genl own;

	(void)genl;
	return unshare(CLONE_NEWNET) || __genl_open(&own, VMLET_GENL_NAME, NULL) != -ENOENT;
}

TEST_F(netlink, not_in_other_network_namespaces)
{
	if (geteuid())
		SKIP(return, "needs root");
	expect_in_child(_metadata, in_net_namespace, &self->genl);
}

/* What is said of one of them. */
struct tunable_row {
	unsigned int count;
	u64 value, least, most;
};

static void take_tunable(const struct genl_message *message, void *data)
{
	struct tunable_row *row = data;

	if (strcmp(genl_string(message, VMLET_A_TUNABLE_NAME), "halt_poll_ns"))
		return;
	if (strcmp(genl_string(message, VMLET_A_TUNABLE_UNIT), "ns"))
		die("halt_poll_ns in %s", genl_string(message, VMLET_A_TUNABLE_UNIT));
	row->count++;
	row->value = genl_u64(message, VMLET_A_TUNABLE_VALUE);
	row->least = genl_u64(message, VMLET_A_TUNABLE_LEAST);
	row->most = genl_u64(message, VMLET_A_TUNABLE_MOST);
}

static struct tunable_row halt_poll(struct genl *genl)
{
	struct tunable_row row = { 0 };
	struct genl_request request;
	int ret;

	genl_begin(genl, &request, VMLET_CMD_TUNABLE_GET, NLM_F_DUMP);
	ret = __genl_talk(genl, &request, take_tunable, &row);
	if (ret || row.count != 1)
		die("TUNABLE_GET: %s, %u of halt_poll_ns", strerror(-ret), row.count);
	return row;
}

static u64 parameter(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long value = 0;

	if (!file || fscanf(file, "%llu", &value) != 1)
		die("cannot read %s", path);
	fclose(file);
	return value;
}

TEST_F(netlink, tunables)
{
	struct genl *genl = &self->genl;
	struct tunable_row row;
	u64 before;

	if (geteuid())
		SKIP(return, "needs root");
	row = halt_poll(genl);
	before = row.value;
	EXPECT_LT(row.least, row.most);
	EXPECT_EQ(0, __tunable_set(genl, "halt_poll_ns", row.most));
	EXPECT_EQ(row.most, halt_poll(genl).value);
	EXPECT_EQ(row.most, parameter("/sys/module/vmlet/parameters/halt_poll_ns"));
	EXPECT_EQ(-ERANGE, __tunable_set(genl, "halt_poll_ns", row.most + 1));
	EXPECT_NE(0, genl->text[0]);
	EXPECT_EQ(-ERANGE, __tunable_set(genl, "halt_poll_ns", 1ull << 32));
	EXPECT_EQ(-ENOENT, __tunable_set(genl, "halt_poll", 1));
	EXPECT_NE(0, genl->text[0]);
	EXPECT_EQ(row.most, halt_poll(genl).value);
	EXPECT_EQ(0, __tunable_set(genl, "halt_poll_ns", before));
	EXPECT_EQ(before, halt_poll(genl).value);
}

/* One attribute more than nothing: @size bytes of type @type. */
static int __bad(struct genl *genl, u8 cmd, u16 flags, u16 type, size_t size)
{
	static const u8 zeros[64];
	struct genl_request request;

	genl_begin(genl, &request, cmd, flags);
	genl_put(&request, type, zeros, size);
	return __genl_talk(genl, &request, NULL, NULL);
}

TEST_F(netlink, bad_attributes)
{
	static const struct { u8 cmd; u16 flags, type; size_t size; int error; } bad[] = {
		{ VMLET_CMD_VM_GET, NLM_F_DUMP, VMLET_A_VM_ID, 4, -EINVAL },
		{ VMLET_CMD_VM_GET, NLM_F_DUMP, VMLET_A_VM_ID, 8, -ERANGE },
		{ VMLET_CMD_VM_GET, NLM_F_DUMP, VMLET_A_VM_VCPUS, 4, -EINVAL },
		{ VMLET_CMD_VCPU_GET, NLM_F_DUMP, VMLET_A_VCPU_VM_ID, 2, -EINVAL },
		{ VMLET_CMD_VCPU_GET, NLM_F_DUMP, 1000, 8, -EINVAL },
		{ VMLET_CMD_TUNABLE_GET, NLM_F_DUMP, VMLET_A_TUNABLE_NAME, 1, -EINVAL },
		{ VMLET_CMD_TUNABLE_SET, NLM_F_ACK, VMLET_A_TUNABLE_NAME, 1, -EINVAL },
		{ VMLET_CMD_TUNABLE_SET, NLM_F_ACK, VMLET_A_TUNABLE_NAME, 64, -EINVAL },
		{ VMLET_CMD_TUNABLE_SET, NLM_F_ACK, VMLET_A_TUNABLE_VALUE, 8, -EINVAL },
		{ VMLET_CMD_TUNABLE_SET, NLM_F_ACK, VMLET_A_TUNABLE_VALUE, 4, -EINVAL },
		{ VMLET_CMD_TUNABLE_SET, NLM_F_ACK, VMLET_A_TUNABLE_LEAST, 8, -EINVAL },
	};

	if (geteuid())
		SKIP(return, "needs root");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(bad[i].error, __bad(&self->genl, bad[i].cmd, bad[i].flags, bad[i].type, bad[i].size))
			TH_LOG("row %zu: %s", i, self->genl.text);
		EXPECT_NE(0, self->genl.text[0])
			TH_LOG("row %zu: nothing said", i);
	}
}

/* Commands that there are not, or not so. */
TEST_F(netlink, bad_commands)
{
	EXPECT_EQ(-EOPNOTSUPP, __bad(&self->genl, VMLET_CMD_VM_GET, NLM_F_ACK, VMLET_A_VM_ID, 8));
	EXPECT_EQ(-EOPNOTSUPP, __bad(&self->genl, VMLET_CMD_TUNABLE_SET, NLM_F_DUMP, VMLET_A_TUNABLE_NAME, 8));
	EXPECT_EQ(-EOPNOTSUPP, __bad(&self->genl, VMLET_CMD_VM_CREATED_NTF, NLM_F_ACK, VMLET_A_EVENT_VM_ID, 8));
	EXPECT_EQ(-EOPNOTSUPP, __bad(&self->genl, VMLET_CMD_MAX + 1, NLM_F_ACK, 1, 8));
}

struct event {
	u8 cmd;
	u64 vm, hw_reason, value;
	u32 pid, vcpu, suberror, lost;
	bool has_vcpu;
	char field[32];
};

static void take_event(const struct genl_message *message, void *data)
{
	struct event *event = data;

	*event = (struct event) {
		.cmd = message->cmd,
		.vm = genl_u64(message, VMLET_A_EVENT_VM_ID),
		.pid = genl_u32(message, VMLET_A_EVENT_OWNER_PID),
		.has_vcpu = message->attr[VMLET_A_EVENT_VCPU_ID],
	};
	genl_u32(message, VMLET_A_EVENT_OWNER_UID);
	if (strcmp(genl_string(message, VMLET_A_EVENT_OWNER_COMM), "netlink"))
		die("a VM of %s", genl_string(message, VMLET_A_EVENT_OWNER_COMM));
	if (event->has_vcpu)
		event->vcpu = genl_u32(message, VMLET_A_EVENT_VCPU_ID);
	if (event->cmd == VMLET_CMD_ENTRY_FAILED_NTF)
		event->hw_reason = genl_u64(message, VMLET_A_EVENT_HW_REASON);
	if (message->attr[VMLET_A_EVENT_CHECK]) {
		snprintf(event->field, sizeof(event->field), "%s", genl_string(message, VMLET_A_EVENT_FIELD));
		event->value = genl_u64(message, VMLET_A_EVENT_VALUE);
	}
	if (event->cmd == VMLET_CMD_INTERNAL_ERROR_NTF)
		event->suberror = genl_u32(message, VMLET_A_EVENT_SUBERROR);
	if (message->attr[VMLET_A_EVENT_LOST])
		event->lost = genl_u32(message, VMLET_A_EVENT_LOST);
}

/* It was sent before the call that caused it returned. */
static void expect_event(struct __test_metadata *_metadata, struct genl *genl, u8 cmd, struct event *event)
{
	ASSERT_EQ(0, __genl_next(genl, take_event, event));
	EXPECT_EQ(cmd, event->cmd);
}

TEST_F(netlink, events_of_life)
{
	struct event created, destroyed;
	struct vms vms;
	struct vm vm;

	if (geteuid())
		SKIP(return, "needs root");
	vm_create(&vm);
	vm_destroy(&vm);
	ASSERT_EQ(0, __genl_join(&self->genl));
	EXPECT_EQ(-EAGAIN, __genl_next(&self->genl, take_event, &created));
	vm_create(&vm);
	expect_event(_metadata, &self->genl, VMLET_CMD_VM_CREATED_NTF, &created);
	vms_get(&self->genl, 0, &vms);
	EXPECT_EQ(vms.row[0].id, created.vm);
	EXPECT_EQ((u32)getpid(), created.pid);
	EXPECT_FALSE(created.has_vcpu);
	EXPECT_EQ(0u, created.lost);
	vm_destroy(&vm);
	expect_event(_metadata, &self->genl, VMLET_CMD_VM_DESTROYED_NTF, &destroyed);
	EXPECT_EQ(created.vm, destroyed.vm);
	EXPECT_EQ(-EAGAIN, __genl_next(&self->genl, take_event, &created));
}

GUEST_PROGRAM(jumps_nowhere, LONG, "mov $0x3f000000, %eax\n jmp *%rax");

TEST_F(netlink, internal_error)
{
	struct event event;
	struct vcpu vcpu;
	struct vm vm;

	if (geteuid())
		SKIP(return, "needs root");
	vm_create(&vm);
	vcpu_create(&vm, &vcpu, 3);
	guest_load(&vcpu, &jumps_nowhere);
	ASSERT_EQ(0, __genl_join(&self->genl));
	vcpu_run_until(&vcpu, KVM_EXIT_INTERNAL_ERROR);
	expect_event(_metadata, &self->genl, VMLET_CMD_INTERNAL_ERROR_NTF, &event);
	EXPECT_EQ(3u, event.vcpu);
	EXPECT_EQ(vcpu.run->internal.suberror, event.suberror);
	EXPECT_EQ(-EAGAIN, __genl_next(&self->genl, take_event, &event));
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

/* Who fails all the time is told of ten times a second, and how often he was not. */
TEST_F(netlink, failures_are_limited)
{
	unsigned int told = 0, failed = 0;
	struct event event;
	struct vcpu vcpu;
	struct vm vm;
	u64 lost = 0;

	if (geteuid())
		SKIP(return, "needs root");
	vm_create(&vm);
	vcpu_create(&vm, &vcpu, 0);
	guest_load(&vcpu, &jumps_nowhere);
	ASSERT_EQ(0, __genl_join(&self->genl));
	while (!lost) {
		vcpu_run_until(&vcpu, KVM_EXIT_INTERNAL_ERROR);
		failed++;
		while (!__genl_next(&self->genl, take_event, &event)) {
			told++;
			lost += event.lost;
		}
	}
	EXPECT_LE(10u, told - 1);
	EXPECT_EQ(failed, told + lost);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

struct stats_row {
	u64 id, cpuid, io;
	u32 vcpus;
};

struct stats {
	unsigned int count;
	struct stats_row row[2 * MANY];
};

static void take_exit(struct stats_row *row, const struct nlattr *nest)
{
	struct genl_message exit;
	u64 count;

	genl_nested(&exit, nest);
	count = genl_u64(&exit, VMLET_A_EXIT_COUNT);
	if (!count)
		die("a reason that there was not");
	if (!strcmp(genl_string(&exit, VMLET_A_EXIT_NAME), "cpuid"))
		row->cpuid = count;
	else if (!strcmp(genl_string(&exit, VMLET_A_EXIT_NAME), "io"))
		row->io = count;
}

static void take_stats(const struct genl_message *message, void *data)
{
	struct stats *stats = data;
	struct stats_row *row = &stats->row[stats->count++];

	if (message->cmd != VMLET_CMD_STATS_GET || stats->count > ARRAY_SIZE(stats->row))
		die("message %u of command %u", stats->count, message->cmd);
	*row = (struct stats_row) {
		.id = genl_u64(message, VMLET_A_STATS_VM_ID),
		.vcpus = genl_u32(message, VMLET_A_STATS_VCPUS),
	};
	for (const struct nlattr *nest = NULL; (nest = genl_each(message, VMLET_A_STATS_EXIT, nest)); )
		take_exit(row, nest);
}

static void stats_get(struct genl *genl, u64 only, struct stats *stats)
{
	struct genl_request request;
	int ret;

	do {
		stats->count = 0;
		genl_begin(genl, &request, VMLET_CMD_STATS_GET, NLM_F_DUMP);
		if (only)
			genl_put_u64(&request, VMLET_A_STATS_VM_ID, only);
		ret = __genl_talk(genl, &request, take_stats, stats);
	} while (ret == -EAGAIN);
	if (ret)
		die("STATS_GET: %s: %s", strerror(-ret), genl->text);
}

/* CPUID @rdi times, then OUT. */
GUEST_PROGRAM(counts, LONG, "1: xor %eax, %eax\n cpuid\n dec %edi\n jnz 1b\n out %al, $0x10\n hlt");

static void run_counts(struct vcpu *vcpu, u64 cpuids)
{
	struct row_regs regs = { .rdi = cpuids };

	guest_load(vcpu, &counts);
	row_set_regs(vcpu, &regs);
	vcpu_run_until(vcpu, KVM_EXIT_IO);
}

TEST_F(netlink, statistics)
{
	struct genl *genl = &self->genl;
	static struct stats before, after;
	struct vcpu vcpu[2];
	struct vms vms;
	struct vm vm;
	u64 id;

	if (geteuid())
		SKIP(return, "needs root");
	stats_get(genl, 0, &before);
	ASSERT_EQ(1u, before.count);
	EXPECT_EQ(0u, before.row[0].id);
	EXPECT_EQ(0u, before.row[0].vcpus);

	vm_create(&vm);
	for (int i = 0; i < 2; i++) {
		vcpu_create(&vm, &vcpu[i], i);
		run_counts(&vcpu[i], 10 + i);
	}
	vms_get(genl, 0, &vms);
	ASSERT_EQ(1u, vms.count);
	id = vms.row[0].id;
	stats_get(genl, 0, &after);
	ASSERT_EQ(2u, after.count);
	EXPECT_EQ(id, after.row[1].id);
	for (int i = 0; i < 2; i++) {
		u64 old = i ? 0 : before.row[0].cpuid, old_io = i ? 0 : before.row[0].io;

		EXPECT_EQ(2u, after.row[i].vcpus);
		EXPECT_EQ(21u, after.row[i].cpuid - old);
		EXPECT_EQ(2u, after.row[i].io - old_io);
	}
	stats_get(genl, id, &after);
	ASSERT_EQ(1u, after.count);
	EXPECT_EQ(21u, after.row[0].cpuid);
	stats_get(genl, id + 1, &after);
	EXPECT_EQ(0u, after.count);

	/* What has gone stays in the sum. */
	for (int i = 0; i < 2; i++)
		vcpu_destroy(&vcpu[i]);
	vm_destroy(&vm);
	do
		stats_get(genl, 0, &after);
	while (after.count > 1);	/* its file may be closed late */
	EXPECT_EQ(21u, after.row[0].cpuid - before.row[0].cpuid);
	EXPECT_EQ(0u, after.row[0].vcpus);
}

static const struct deviation hangs = {
	.bochs_amd = "Bochs hangs after a VMRUN that fails",
};

TEST_F(netlink, entry_that_fails)
{
	struct kvm_sregs sregs;
	struct event event;
	struct vcpu vcpu;
	struct vm vm;

	if (geteuid())
		SKIP(return, "needs root");
	if (skip_here(_metadata, &hangs))
		return;
	vm_create(&vm);
	vcpu_create(&vm, &vcpu, 0);
	guest_load(&vcpu, &exits);
	vcpu_get_sregs(&vcpu, &sregs);
	sregs.cs.db = 1;
	vcpu_set_sregs(&vcpu, &sregs);
	ASSERT_EQ(0, __genl_join(&self->genl));
	vcpu_run_until(&vcpu, KVM_EXIT_FAIL_ENTRY);
	expect_event(_metadata, &self->genl, VMLET_CMD_ENTRY_FAILED_NTF, &event);
	EXPECT_EQ(0u, event.vcpu);
	EXPECT_EQ(vcpu.run->fail_entry.hardware_entry_failure_reason, event.hw_reason);
	EXPECT_STREQ("CS access rights", event.field);
	EXPECT_NE(0u, event.value);
	vcpu_destroy(&vcpu);
	vm_destroy(&vm);
}

static volatile bool enough;

static void *make_and_destroy(void *unused)
{
	(void)unused;
	while (!enough) {
		struct vcpu vcpu[2];
		struct vm vm[2];

		for (int i = 0; i < 2; i++) {
			vm_create(&vm[i]);
			vcpu_create_bare(&vm[i], &vcpu[i], 0);
		}
		for (int i = 0; i < 2; i++) {
			vcpu_destroy(&vcpu[i]);
			vm_destroy(&vm[i]);
		}
	}
	return NULL;
}

/* Those that stay are in each dump that is whole, once, whatever comes and goes meanwhile. */
TEST_F(netlink, while_vms_come_and_go)
{
	static struct vcpus vcpus;
	struct vm vm[MANY];
	pthread_t thread;
	struct vms vms;
	int ret;

	for (int i = 0; i < MANY; i++)
		vm_create_bare(&vm[i]);
	for (int i = 0; i < MANY_VCPUS; i++)
		fd_ioctl(vm[7].fd, KVM_CREATE_VCPU, i, "KVM_CREATE_VCPU");
	ASSERT_EQ(0, pthread_create(&thread, NULL, make_and_destroy, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		ret = __vms_get(&self->genl, 0, &vms);
		ASSERT_TRUE(ret == 0 || ret == -EAGAIN);
		ASSERT_LE((u32)MANY, vms.count);
		if (!ret)
			ASSERT_GE(MANY + 2u, vms.count);
		for (u32 j = 1; j < vms.count; j++)
			ASSERT_LT(vms.row[j - 1].id, vms.row[j].id);
		if (i % 16)
			continue;
		vcpus_get(&self->genl, vms.row[7].id, &vcpus);
		ASSERT_EQ((u32)MANY_VCPUS, vcpus.count);
	}
	enough = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
}

TEST_HARNESS_MAIN
