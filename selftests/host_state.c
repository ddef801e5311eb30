// SPDX-License-Identifier: GPL-2.0
/*
 * What the host's own code relies on is as it was after guests that changed it all. HOST_STATE_EXITS
 * in the environment says through how many exits; a million if it is not there.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "lib/harness.h"

#define ROUNDS 50
#define EXITS_A_ROUND 16
#define ROUNDS_A_CPU 200
#define MAX_CPUS 8
#define CR4_PKE (1ul << 22)
#define EXTENDED 0x2ff	/* x87 to PKRU */

/*
 * Its own segments and bases, descriptor tables, debug registers, SYSENTER and
 * SYSCALL MSRs, extended state and what is on of it, then fifteen exits to the kernel and one to
 * userspace, again and again.
 */
GUEST_PROGRAM(changes_all, LONG,
	      "mov $0x2b, %eax\n mov %eax, %ds\n mov %eax, %es\n mov %eax, %fs\n mov %eax, %gs\n"
	      "mov $0xc0000100, %ecx\n mov $0x11111, %eax\n xor %edx, %edx\n wrmsr\n"
	      "inc %ecx\n wrmsr\n inc %ecx\n wrmsr\n"
	      "mov $0xc0000081, %ecx\n wrmsr\n inc %ecx\n wrmsr\n inc %ecx\n wrmsr\n inc %ecx\n wrmsr\n"
	      "mov $0x174, %ecx\n wrmsr\n inc %ecx\n wrmsr\n inc %ecx\n wrmsr\n"
	      "mov $0x30000, %eax\n mov %rax, %dr0\n mov %rax, %dr1\n mov %rax, %dr2\n mov %rax, %dr3\n"
	      "mov $0x33330455, %eax\n mov %rax, %dr7\n"
	      "xor %eax, %eax\n lldt %ax\n mov %rsp, %cr2\n"
	      "fninit\n fldpi\n movl $0x5f80, 0x30100\n ldmxcsr 0x30100\n"
	      "pcmpeqd %xmm0, %xmm0\n movaps %xmm0, %xmm7\n movaps %xmm0, %xmm15\n"
	      "mov %cr4, %rbx\n xor %ecx, %ecx\n xor %edx, %edx\n"
	      "bt $18, %ebx\n jnc 1f\n mov $3, %eax\n xsetbv\n"
	      "1: bt $22, %ebx\n jnc 1f\n mov $0xc, %eax\n wrpkru\n"
	      "1: mov $15, %ebp\n 2: xor %eax, %eax\n cpuid\n dec %ebp\n jnz 2b\n out %al, $0x10\n jmp 1b");

FIXTURE(host_state) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_SETUP(host_state)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	guest_load(&self->vcpu, &changes_all);
}
FIXTURE_TEARDOWN(host_state)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static void run_guest(struct vcpu *vcpu)
{
	for (int i = 0; i < ROUNDS; i++)
		vcpu_run_until(vcpu, KVM_EXIT_IO);
}

struct segments {
	u16 cs, ds, es, fs, gs, ss;
	u64 fs_base, gs_base;
};

static struct segments read_segments(void)
{
	struct segments s = { 0 };

	asm volatile("mov %%cs, %0\n mov %%ds, %1\n mov %%es, %2\n"
		     "mov %%fs, %3\n mov %%gs, %4\n mov %%ss, %5"
		     : "=m" (s.cs), "=m" (s.ds), "=m" (s.es),
		       "=m" (s.fs), "=m" (s.gs), "=m" (s.ss));
	syscall(SYS_arch_prctl, ARCH_GET_FS, &s.fs_base);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &s.gs_base);
	return s;
}

TEST_F(host_state, segments_and_bases)
{
	struct segments before, after;

	ASSERT_EQ(0, syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456789000));
	before = read_segments();
	run_guest(&self->vcpu);
	after = read_segments();
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	EXPECT_EQ(0x123456789000u, after.gs_base);
}

/* A descriptor of the local table, in use in %gs and %es while guests run. */
TEST_F(host_state, local_descriptor_table)
{
	struct user_desc desc = {
		.entry_number = 0, .base_addr = 0, .limit = 0xfffff,
		.seg_32bit = 1, .limit_in_pages = 1, .useable = 1,
	};
	u32 *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	u16 selector = 0x07, seen;
	u32 value;

	ASSERT_NE(MAP_FAILED, (void *)low);
	desc.base_addr = (u32)(long)low;
	low[1] = 0xfeed;
	if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)))
		SKIP(return, "this kernel has no modify_ldt");
	asm volatile("mov %0, %%gs\n mov %0, %%es" : : "r" (selector));
	run_guest(&self->vcpu);
	asm volatile("mov %%es, %0\n movl %%gs:4, %1" : "=r" (seen), "=r" (value));
	asm volatile("mov %0, %%gs\n mov %0, %%es" : : "r" ((u16)0));
	EXPECT_EQ(selector, seen);
	EXPECT_EQ(0xfeedu, value);
}

/* RDTSCP tells the CPU and its node, by what Linux stored for it. */
TEST_F(host_state, tsc_aux)
{
	struct kvm_cpuid_entry2 *ext;
	u32 before, after;
	cpu_set_t here;

	ext = cpuid_find(supported_cpuid(self->vm.dev), 0x80000001, 0);
	if (!(ext->edx & 1 << 27))
		SKIP(return, "RDTSCP is not offered");
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(here), &here));
	asm volatile("rdtscp" : "=c" (before) : : "eax", "edx");
	__vcpu_set_msr(&self->vcpu, 0xc0000103, 0x7777);
	run_guest(&self->vcpu);
	asm volatile("rdtscp" : "=c" (after) : : "eax", "edx");
	EXPECT_EQ(before, after);
}

static volatile u64 watched;

static int watch(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (u64)&watched,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* A hardware breakpoint of this process counts on while guests use theirs. */
TEST_F(host_state, debug_registers)
{
	int fd = watch();
	u64 hits = 0;

	if (fd < 0)
		SKIP(return, "no hardware breakpoints through perf_event_open here");
	for (int i = 0; i < ROUNDS; i++) {
		watched++;
		vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
		watched++;
	}
	ASSERT_EQ(8, read(fd, &hits, sizeof(hits)));
	EXPECT_EQ(2u * ROUNDS, hits);
	close(fd);
}

static long getpid_32(void)
{
	long ret = 20;	/* getpid's number for int 0x80 */

	asm volatile("int $0x80" : "+a" (ret) : : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

/* It may be an error there, or a signal. */
static bool kernel_has_32_bit_calls(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(getpid_32() < 0);
	waitpid(pid, &status, 0);
	return !status;
}

/* 32-bit system calls go through other gates and MSRs than 64-bit ones. */
TEST_F(host_state, other_ways_into_the_kernel)
{
	if (!kernel_has_32_bit_calls())
		SKIP(return, "this kernel takes no 32-bit system calls");
	run_guest(&self->vcpu);
	EXPECT_EQ(getpid(), getpid_32());
}

/* The table's limit comes back too: VT-x leaves it at the maximum. */
TEST_F(host_state, descriptor_table_limits)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdt[2], idt[2];

	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt[0]), "=m" (idt[0]));
	run_guest(&self->vcpu);
	asm volatile("sgdt %0\n sidt %1" : "=m" (gdt[1]), "=m" (idt[1]));
	EXPECT_EQ(gdt[0].limit, gdt[1].limit);
	EXPECT_EQ(idt[0].limit, idt[1].limit);
	EXPECT_EQ(0, memcmp(&idt[0], &idt[1], sizeof(idt[0])));
}

/* The CPU's own, of which the guest has others, or the kernel has others for guests. */
static const u32 host_msrs[] = {
	0x1b, 0x3a, 0x3b, 0x48, 0x174, 0x175, 0x176, 0x1a0, 0x1d9, 0x277, 0x2ff, 0x6a0, 0x6a2, 0xda0,
	0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000103,
	0xc0010010, 0xc0010015, 0xc0010114,
};

struct host_cpu {
	u64 xcr0;
	u32 pkru;
	bool there[ARRAY_SIZE(host_msrs)];
	u64 msrs[ARRAY_SIZE(host_msrs)];
};

static bool ecx_has(u32 leaf, unsigned int bit)
{
	u32 a, b, c, d;

	__cpuid_count(leaf, 0, a, b, c, d);
	return c >> bit & 1;
}

static void move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot move to CPU %d", cpu);
}

/* Returns how many MSRs could be read: none if the kernel has not the device for it. */
static int read_cpu(int cpu, struct host_cpu *host)
{
	char path[40];
	u32 high;
	int fd, count = 0;

	move_to(cpu);
	*host = (struct host_cpu){ 0 };
	asm volatile("xgetbv" : "=a" (host->xcr0), "=d" (high) : "c" (0));
	if (ecx_has(7, 4))
		asm volatile("rdpkru" : "=a" (host->pkru), "=d" (high) : "c" (0));
	snprintf(path, sizeof(path), "/dev/cpu/%d/msr", cpu);
	fd = open(path, O_RDONLY);
	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(host_msrs); i++) {
		host->there[i] = pread(fd, &host->msrs[i], sizeof(u64), host_msrs[i]) == sizeof(u64);
		count += host->there[i];
	}
	if (fd >= 0)
		close(fd);
	return count;
}

/* The registers that the host's process has; only the guest has used x87. */
static u8 kept[4096] __attribute__((aligned(64))), seen[4096] __attribute__((aligned(64)));

static void fill_extended(void)
{
	u8 *avx = kept + 576;

	asm volatile("xsave64 %0" : "+m" (kept) : "a" (EXTENDED), "d" (0));
	*(u64 *)(kept + 512) |= ecx_has(1, 28) ? 7 : 3;
	for (int i = 0; i < 256; i++) {
		kept[160 + i] = i * 13 + 7;
		avx[i] = i * 11 + 3;
	}
}

static long run_with_extended(int fd)
{
	long ret = SYS_ioctl;

	asm volatile("mov %[all], %%eax\n xor %%edx, %%edx\n xrstor64 %[kept]\n xsave64 %[kept]\n"
		     "mov %[ioctl], %%eax\n mov %[run], %%esi\n xor %%edx, %%edx\n syscall\n mov %%rax, %%r8\n"
		     "mov %[all], %%eax\n xor %%edx, %%edx\n xsave64 %[seen]\n mov %%r8, %%rax"
		     : "=&a" (ret), [kept] "+m" (kept), [seen] "+m" (seen)
		     : "D" ((long)fd), [all] "i" (EXTENDED), [run] "i" (KVM_RUN), [ioctl] "i" (SYS_ioctl)
		     : "rcx", "rdx", "rsi", "r8", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
		       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return ret;
}

/* The guest may have what it switches on itself, and has what it cannot set everywhere. */
static void offer_all(struct vm *vm, struct vcpu *vcpu)
{
	static const struct kvm_msr_entry others[] = {
		{ .index = 0x277, .data = 0x0606060606060606 },
		{ .index = 0xc0000103, .data = 0x7777 },
		{ .index = 0x48, .data = 4 },
	};
	struct kvm_cpuid2 *cpuid = supported_cpuid(vm->dev);
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	if (cpuid_find(cpuid, 1, 0)->ecx & 1 << 26)
		sregs.cr4 |= CR4_OSXSAVE;
	if (cpuid_find(cpuid, 7, 0)->ecx & 1 << 3)
		sregs.cr4 |= CR4_PKE;
	vcpu_set_sregs(vcpu, &sregs);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		__vcpu_set_msr(vcpu, others[i].index, others[i].data);
}

static u64 exits_wanted(void)
{
	static const struct deviation bochs = { .bochs_amd = "slow", .bochs_intel = "slow" };
	const char *text = getenv("HOST_STATE_EXITS");

	return text ? strtoull(text, NULL, 0) : deviation_here(&bochs) ? 20000 : 1000000;
}

static int list_cpus(int cpus[MAX_CPUS])
{
	cpu_set_t set;
	int count = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE && count < MAX_CPUS; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[count++] = cpu;
	return count;
}

static void expect_same_cpu(struct __test_metadata *_metadata, int cpu, const struct host_cpu *before)
{
	struct host_cpu after;

	read_cpu(cpu, &after);
	EXPECT_EQ(before->xcr0, after.xcr0);
	EXPECT_EQ(before->pkru, after.pkru);
	for (size_t i = 0; i < ARRAY_SIZE(host_msrs); i++) {
		EXPECT_EQ(before->there[i], after.there[i]);
		EXPECT_EQ(before->msrs[i], after.msrs[i])
			TH_LOG("MSR %#x of CPU %d", host_msrs[i], cpu);
	}
}

/* The thread goes from CPU to CPU meanwhile. */
TEST_F_TIMEOUT(host_state, a_million_exits, LONG_TEST_SECONDS)
{
	struct host_cpu before[MAX_CPUS];
	u64 rounds = exits_wanted() / EXITS_A_ROUND;
	struct segments segments = read_segments();
	int cpus[MAX_CPUS], count = list_cpus(cpus), readable = 0;

	if (!ecx_has(1, 27))
		SKIP(return, "this host has no XSAVE");
	for (int i = 0; i < count; i++)
		readable = read_cpu(cpus[i], &before[i]);
	TH_LOG("%d CPUs, %d MSRs, %llu exits", count, readable, (unsigned long long)rounds * EXITS_A_ROUND);
	offer_all(&self->vm, &self->vcpu);
	fill_extended();
	for (u64 i = 0; i < rounds; i++) {
		if (i % ROUNDS_A_CPU == 0)
			move_to(cpus[i / ROUNDS_A_CPU % count]);
		ASSERT_EQ(0, run_with_extended(self->vcpu.fd));
		ASSERT_EQ(KVM_EXIT_IO, self->vcpu.run->exit_reason);
		ASSERT_EQ(0, memcmp(kept, seen, sizeof(seen)));
	}
	for (int i = 0; i < count; i++)
		expect_same_cpu(_metadata, cpus[i], &before[i]);
	EXPECT_EQ(0, memcmp(&segments, &(struct segments[]){ read_segments() }, sizeof(segments)));
}

TEST_HARNESS_MAIN
