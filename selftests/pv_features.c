// SPDX-License-Identifier: GPL-2.0
/* KVM's paravirtual interfaces: for whom they are there, and calls that are userspace's to answer. */
#include <linux/kvm_para.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define FEATURES_LEAF	0x40000001

static volatile u32 faults;
static volatile bool amd;

GUEST_FAULT_ISR(on_gp)
{
	faults++;
	frame->ip += 2;
}

FIXTURE(pv) {
	struct machine m;
};
FIXTURE_SETUP(pv)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	machine_set_gate(&self->m, GP_VECTOR, on_gp);
	amd = host_is_amd();
}
FIXTURE_TEARDOWN(pv)
{
	machine_destroy(&self->m);
}

static const struct {
	u32 index, feature;
} msrs[] = {
	{ MSR_KVM_WALL_CLOCK, KVM_FEATURE_CLOCKSOURCE },
	{ MSR_KVM_SYSTEM_TIME, KVM_FEATURE_CLOCKSOURCE },
	{ MSR_KVM_WALL_CLOCK_NEW, KVM_FEATURE_CLOCKSOURCE2 },
	{ MSR_KVM_SYSTEM_TIME_NEW, KVM_FEATURE_CLOCKSOURCE2 },
	{ MSR_KVM_STEAL_TIME, KVM_FEATURE_STEAL_TIME },
	{ MSR_KVM_PV_EOI_EN, KVM_FEATURE_PV_EOI },
};

/* Calls that do nothing here. */
static const struct {
	u32 nr, feature;
} calls[] = {
	{ KVM_HC_KICK_CPU, KVM_FEATURE_PV_UNHALT },
	{ KVM_HC_SEND_IPI, KVM_FEATURE_PV_SEND_IPI },
	{ KVM_HC_SCHED_YIELD, KVM_FEATURE_PV_SCHED_YIELD },
};

static volatile u32 msr_faults[ARRAY_SIZE(msrs)];
static volatile long call_results[ARRAY_SIZE(calls)];

GUEST tries_all(u64 arg)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		faults = 0;
		rdmsr(msrs[i].index);
		wrmsr(msrs[i].index, 0);
		msr_faults[i] = faults;
	}
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		call_results[i] = hypercall(amd, calls[i].nr, 0, 0, 0, 0);
	guest_done();
}

static int enforce(struct vcpu *vcpu, u64 value)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { value } };

	return __fd_ioctl(vcpu->fd, KVM_ENABLE_CAP, (unsigned long)&cap);
}

static void set_features(struct vcpu *vcpu, u32 features, bool named)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(vcpu->vm->dev);

	cpuid_find(cpuid, FEATURES_LEAF, 0)->eax = features;
	if (!named)
		cpuid_find(cpuid, FEATURES_LEAF - 1, 0)->ebx = 0x12345678;
	vcpu_set_cpuid2(vcpu, cpuid);
	free(cpuid);
}

/* By userspace. Zeros are let through, for those who save all that are listed. */
static void expect_msr(struct __test_metadata *_metadata, struct vcpu *vcpu, u32 index, bool there)
{
	u64 value;

	EXPECT_EQ(there, __vcpu_set_msr(vcpu, index, 0x10000));
	EXPECT_EQ(1, __vcpu_get_msr(vcpu, index, &value));
	EXPECT_EQ(there ? 0x10000 : 0, value);
	EXPECT_EQ(1, __vcpu_set_msr(vcpu, index, 0));
}

static void expect_features(struct __test_metadata *_metadata, struct machine *m, u32 features)
{
	machine_enter_at(m, 0, tries_all, 0);
	vcpu_run_until_done(&m->vcpu[0]);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		bool there = features >> msrs[i].feature & 1;

		EXPECT_EQ(there ? 0 : 2, msr_faults[i]) {
			TH_LOG("MSR %#x", msrs[i].index);
		}
		expect_msr(_metadata, &m->vcpu[0], msrs[i].index, there);
	}
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(features >> calls[i].feature & 1 ? 0 : -KVM_ENOSYS, call_results[i]) {
			TH_LOG("call %u", calls[i].nr);
		}
	}
}

TEST_F(pv, are_for_all)
{
	set_features(&self->m.vcpu[0], 0, true);
	expect_features(_metadata, &self->m, ~0u);
}

TEST_F(pv, are_for_those_that_are_told)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	SKIP_WITHOUT_CAP(KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	set_features(vcpu, 1u << KVM_FEATURE_CLOCKSOURCE2 | 1u << KVM_FEATURE_PV_SEND_IPI, true);
	ASSERT_EQ(0, enforce(vcpu, 1));
	expect_features(_metadata, &self->m, 1u << KVM_FEATURE_CLOCKSOURCE2 | 1u << KVM_FEATURE_PV_SEND_IPI);
	ASSERT_EQ(0, enforce(vcpu, 0));
	expect_features(_metadata, &self->m, ~0u);
}

TEST_F(pv, follow_cpuid_that_comes_later)
{
	SKIP_WITHOUT_CAP(KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	set_features(&self->m.vcpu[0], 0, true);
	ASSERT_EQ(0, enforce(&self->m.vcpu[0], 1));
	set_features(&self->m.vcpu[0], 1u << KVM_FEATURE_PV_EOI | 1u << KVM_FEATURE_PV_SCHED_YIELD, true);
	expect_features(_metadata, &self->m, 1u << KVM_FEATURE_PV_EOI | 1u << KVM_FEATURE_PV_SCHED_YIELD);
}

/* The leaf of another hypervisor says nothing. */
TEST_F(pv, of_a_host_with_another_name)
{
	SKIP_WITHOUT_CAP(KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	machine_add_vcpu(&self->m);
	ASSERT_EQ(0, enforce(&self->m.vcpu[1], 1));
	set_features(&self->m.vcpu[1], 0, true);
	set_features(&self->m.vcpu[1], ~0u, false);
	expect_msr(_metadata, &self->m.vcpu[1], MSR_KVM_STEAL_TIME, false);
}

TEST_F(pv, errors)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP };
	int fd = self->m.vcpu[0].fd;

	SKIP_WITHOUT_CAP(KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
	EXPECT_EQ(-EINVAL, __fd_ioctl(fd, KVM_ENABLE_CAP, (unsigned long)&cap));
	cap = (struct kvm_enable_cap) { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .flags = 1 };
	EXPECT_EQ(-EINVAL, __fd_ioctl(fd, KVM_ENABLE_CAP, (unsigned long)&cap));
	EXPECT_EQ(-EFAULT, __fd_ioctl(fd, KVM_ENABLE_CAP, 0x10));
}

/* Calls that leave for userspace: arguments in RBX, RCX, RDX. */
GUEST_PROGRAM(call_amd, LONG, "nop\n nop\n vmmcall\n hlt");
GUEST_PROGRAM(call_intel, LONG, "nop\n nop\n vmcall\n hlt");
GUEST_PROGRAM(call32_amd, PAGED, "nop\n nop\n vmmcall\n hlt");
GUEST_PROGRAM(call32_intel, PAGED, "nop\n nop\n vmcall\n hlt");
#define CALL_AT		2

FIXTURE(map) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(map) {
	const struct guest_program *amd, *intel;
};
FIXTURE_VARIANT_ADD(map, in_64_bits) { &call_amd, &call_intel };
FIXTURE_VARIANT_ADD(map, in_32_bits) { &call32_amd, &call32_intel };
FIXTURE_SETUP(map)
{
	SKIP_WITHOUT_CAP(KVM_CAP_EXIT_HYPERCALL);
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(map)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static int exit_at(struct vm *vm, u64 hypercalls)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { hypercalls } };

	return __vm_enable_cap(vm, &cap);
}

static void load_call(struct vcpu *vcpu, const struct guest_program *program, const u64 *args)
{
	struct row_regs row = {
		.rax = KVM_HC_MAP_GPA_RANGE, .rbx = args[0], .rcx = args[1], .rdx = args[2], .rsi = 4, .rdi = 5,
	};

	guest_load(vcpu, program);
	row_set_regs(vcpu, &row);
}

static void expect_rax(struct __test_metadata *_metadata, struct vcpu *vcpu, enum guest_mode mode, u64 rax)
{
	struct kvm_regs regs;

	run_to_halt(_metadata, vcpu, mode);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(mode == LONG ? rax : (u32)rax, regs.rax);
	EXPECT_EQ(GUEST_CODE + CALL_AT + 4, regs.rip);
}

static const struct {
	u64 args[3];
	long result;	/* 0: leaves */
} ranges[] = {
	{ { 0x1000, 1, 0x10 }, 0 },
	{ { 0, 512, 1 }, 0 },
	{ { 0xfffff000, 1, 0xfff }, 0 },
	{ { 0x1800, 1, 0 }, -KVM_EINVAL },
	{ { 0x1000, 0, 0 }, -KVM_EINVAL },
};

TEST_F(map, ranges)
{
	const struct guest_program *program = host_is_amd() ? variant->amd : variant->intel;
	struct kvm_run *run = self->vcpu.run;
	struct kvm_regs regs;

	ASSERT_EQ(0, exit_at(&self->vm, 1u << KVM_HC_MAP_GPA_RANGE));
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		u64 answer = ranges[i].result;

		load_call(&self->vcpu, program, ranges[i].args);
		if (!answer) {
			vcpu_run_until(&self->vcpu, KVM_EXIT_HYPERCALL);
			EXPECT_EQ(KVM_HC_MAP_GPA_RANGE, run->hypercall.nr);
			EXPECT_EQ(0, memcmp(run->hypercall.args, ranges[i].args, sizeof(ranges[i].args)));
			EXPECT_EQ(program->mode == LONG ? KVM_EXIT_HYPERCALL_LONG_MODE : 0, run->hypercall.flags);
			vcpu_get_regs(&self->vcpu, &regs);
			EXPECT_EQ(GUEST_CODE + CALL_AT, regs.rip);
			run->hypercall.ret = answer = 0x1234567890ull + i;
		}
		expect_rax(_metadata, &self->vcpu, program->mode, answer);
	}
}

/* Beyond what 32 bits can say. */
TEST_F(map, wide_ranges)
{
	static const u64 wraps[3] = { 0x1000, ~0ull, 0 }, wide[3] = { 1ull << 40, 1ull << 36, 1ull << 63 };

	if (variant->amd->mode != LONG)
		SKIP(return, "registers have 32 bits");
	ASSERT_EQ(0, exit_at(&self->vm, 1u << KVM_HC_MAP_GPA_RANGE));
	load_call(&self->vcpu, host_is_amd() ? variant->amd : variant->intel, wide);
	vcpu_run_until(&self->vcpu, KVM_EXIT_HYPERCALL);
	EXPECT_EQ(0, memcmp(self->vcpu.run->hypercall.args, wide, sizeof(wide)));
	expect_rax(_metadata, &self->vcpu, LONG, self->vcpu.run->hypercall.ret);
	load_call(&self->vcpu, host_is_amd() ? variant->amd : variant->intel, wraps);
	expect_rax(_metadata, &self->vcpu, LONG, -KVM_EINVAL);
}

TEST_F(map, switched)
{
	const struct guest_program *program = host_is_amd() ? variant->amd : variant->intel;

	EXPECT_EQ(1 << KVM_HC_MAP_GPA_RANGE, __vm_check_extension(&self->vm, KVM_CAP_EXIT_HYPERCALL));
	EXPECT_EQ(-EINVAL, exit_at(&self->vm, 1u << KVM_HC_KICK_CPU));
	for (u64 on = 0; on < 3; on++) {
		ASSERT_EQ(0, exit_at(&self->vm, on % 2 << KVM_HC_MAP_GPA_RANGE));
		load_call(&self->vcpu, program, ranges[0].args);
		if (on == 1) {
			vcpu_run_until(&self->vcpu, KVM_EXIT_HYPERCALL);
			self->vcpu.run->hypercall.ret = 0;
		}
		expect_rax(_metadata, &self->vcpu, program->mode, on == 1 ? 0 : -KVM_ENOSYS);
	}
}

TEST_HARNESS_MAIN
