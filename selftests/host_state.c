// SPDX-License-Identifier: GPL-2.0
/* What the host's own code relies on is as it was after guests that changed it all. */
#include <sched.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "lib/harness.h"

#define ROUNDS 50

/*
 * Its own segments and bases, descriptor tables, debug registers, SYSENTER and
 * SYSCALL MSRs, then exits to the kernel and to userspace.
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
	      "1: xor %eax, %eax\n cpuid\n out %al, $0x10\n jmp 1b");

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

/* 32-bit system calls go through other gates and MSRs than 64-bit ones. */
TEST_F(host_state, other_ways_into_the_kernel)
{
	long pid = getpid(), ret = 20;	/* getpid's number for int 0x80 */

	run_guest(&self->vcpu);
	asm volatile("int $0x80" : "+a" (ret) : : "memory", "r8", "r9", "r10", "r11");
	if (ret < 0)
		SKIP(return, "this kernel takes no 32-bit system calls");
	EXPECT_EQ(pid, ret);
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

TEST_HARNESS_MAIN
