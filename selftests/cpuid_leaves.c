// SPDX-License-Identifier: GPL-2.0
/* CPUID leaves by which a guest reads its own exits: off at first, and as the statistics have it. Of vmlet only. */
#include <stdio.h>
#include <sys/mman.h>

#include "lib/harness.h"
#include "../uapi/vmlet.h"

#define PARAMETER	"/sys/module/vmlet/parameters/cpuid_leaves"
#define TIME_OF		0x4ffffffc
#define COUNT_OF	0x4ffffffd
#define TIME		0x4ffffffe
#define COUNT		0x4fffffff
#define REASON_CPUID	10
#define REASON_IO	30
#define REASON_HLT	12
#define NO_REASON	1000
#define NO_LEAF		0x4ffffff0

/* CPUID by what is in RAX and RCX. */
GUEST_PROGRAM(asks, LONG, "cpuid\n hlt");
GUEST_PROGRAM(exits, LONG, "1: out %al, $0x10\n dec %edi\n jnz 1b\n hlt");

FIXTURE(leaves) {
	struct vm vm;
	struct vcpu vcpu;
	const struct vmlet_stats *stats;
};

static bool set(const char *value)
{
	FILE *file = fopen(PARAMETER, "w");

	if (!file)
		return false;
	fputs(value, file);
	return !fclose(file);
}

FIXTURE_SETUP(leaves)
{
	if (!device_is_vmlet())
		SKIP(return, "of vmlet only");
	if (!set("1"))
		SKIP(return, "the parameter can be set by root only");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	self->stats = mmap(NULL, sizeof(*self->stats), PROT_READ, MAP_SHARED, self->vcpu.fd, VMLET_STATS_OFFSET);
	ASSERT_NE(MAP_FAILED, self->stats);
}
FIXTURE_TEARDOWN(leaves)
{
	munmap((void *)self->stats, sizeof(*self->stats));
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
	set("0");
}

static struct kvm_regs ask(struct vcpu *vcpu, u32 leaf, u32 number)
{
	struct row_regs regs = { .rax = leaf, .rcx = number };
	struct kvm_regs answer;

	guest_load(vcpu, &asks);
	row_set_regs(vcpu, &regs);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	vcpu_get_regs(vcpu, &answer);
	return answer;
}

static void make_exits(struct vcpu *vcpu, u32 outs)
{
	struct row_regs regs = { .rdi = outs };

	guest_load(vcpu, &exits);
	row_set_regs(vcpu, &regs);
	while (outs--)
		vcpu_run_until(vcpu, KVM_EXIT_IO);
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
}

TEST_F(leaves, counts)
{
	struct vcpu *vcpu = &self->vcpu;
	u64 all, cpuids;

	make_exits(vcpu, 7);
	EXPECT_EQ(7u, ask(vcpu, COUNT_OF, REASON_IO).rax);
	EXPECT_EQ(2u, ask(vcpu, COUNT_OF, REASON_HLT).rax);
	cpuids = ask(vcpu, COUNT_OF, REASON_CPUID).rax;
	EXPECT_EQ(3u, cpuids);
	all = ask(vcpu, COUNT, 0).rax;
	EXPECT_LE(7u + 4 + cpuids + 1, all);
	EXPECT_LE(all, ask(vcpu, COUNT, 0).rax - 2);
}

TEST_F(leaves, times)
{
	struct vcpu *vcpu = &self->vcpu;
	struct kvm_regs of, all;

	if (!(self->stats->flags & VMLET_STATS_TIMES))
		SKIP(return, "the module was loaded with exit_times=0");
	make_exits(vcpu, 7);
	of = ask(vcpu, TIME_OF, REASON_IO);
	all = ask(vcpu, TIME, 0);
	EXPECT_LT(0u, of.rbx << 32 | of.rcx);
	EXPECT_LT(of.rbx << 32 | of.rcx, all.rbx << 32 | all.rcx);
	EXPECT_EQ(0u, of.rax | of.rdx);
}

TEST_F(leaves, no_such_reason)
{
	struct kvm_regs regs = ask(&self->vcpu, COUNT_OF, NO_REASON);

	EXPECT_EQ(0u, regs.rax | regs.rbx | regs.rcx);
	EXPECT_EQ(0xffffffffu, regs.rdx);
	regs = ask(&self->vcpu, TIME_OF, NO_REASON);
	EXPECT_EQ(0u, regs.rax | regs.rbx | regs.rcx);
	EXPECT_EQ(0xffffffffu, regs.rdx);
}

TEST_F(leaves, off)
{
	struct kvm_regs other, regs;

	ASSERT_TRUE(set("0"));
	make_exits(&self->vcpu, 7);
	other = ask(&self->vcpu, NO_LEAF, REASON_IO);
	regs = ask(&self->vcpu, COUNT_OF, REASON_IO);
	EXPECT_EQ(other.rax, regs.rax);
	EXPECT_EQ(other.rdx, regs.rdx);
}

TEST_HARNESS_MAIN
