// SPDX-License-Identifier: GPL-2.0
/* Old ways of KVM's: each is in effect until KVM_CAP_DISABLE_QUIRKS2 switches it off. */
#include "lib/harness.h"
#include "lib/machine.h"

#define QUIRKS (KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE | KVM_X86_QUIRK_OUT_7E_INC_RIP | \
		KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | KVM_X86_QUIRK_FIX_HYPERCALL_INSN | \
		KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | KVM_X86_QUIRK_STUFF_FEATURE_MSRS)
#define MSR_UCODE_REV		0x8b
#define MSR_PLATFORM_INFO	0xce
#define MSR_MISC_ENABLE		0x1a0
#define MISC_ENABLE_MWAIT	(1u << 18)
#define ECX_MWAIT		(1u << 3)

static int disable(struct vm *vm, u32 cap, u64 quirks)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { quirks } };

	return __vm_enable_cap(vm, &enable);
}

/* One VM has them, the other has them not. */
FIXTURE(quirks) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(quirks) {
	bool off;
};
FIXTURE_VARIANT_ADD(quirks, on) { false };
FIXTURE_VARIANT_ADD(quirks, off) { true };
FIXTURE_SETUP(quirks)
{
	SKIP_WITHOUT_CAP(KVM_CAP_DISABLE_QUIRKS2);
	vm_create(&self->vm);
	if (variant->off)
		ASSERT_EQ(0, disable(&self->vm, KVM_CAP_DISABLE_QUIRKS2, QUIRKS));
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(quirks)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

TEST_F(quirks, which_there_are)
{
	int mask = __vm_check_extension(&self->vm, KVM_CAP_DISABLE_QUIRKS2);

	EXPECT_EQ(QUIRKS, mask & QUIRKS);
	EXPECT_EQ(1, __vm_check_extension(&self->vm, KVM_CAP_DISABLE_QUIRKS));
	for (int bit = 0; bit < 64; bit++) {
		u64 quirk = 1ull << bit;

		EXPECT_EQ(quirk & mask ? 0 : -EINVAL, disable(&self->vm, KVM_CAP_DISABLE_QUIRKS2, quirk));
		EXPECT_EQ(0, disable(&self->vm, KVM_CAP_DISABLE_QUIRKS, quirk));
	}
}

GUEST_PROGRAM(out_7e, LONG, "out %al, $0x7e\n hlt");

TEST_F(quirks, rip_at_out_7e)
{
	struct kvm_regs regs;

	/* What is off stays off. */
	EXPECT_EQ(0, disable(&self->vm, KVM_CAP_DISABLE_QUIRKS2, 0));
	guest_load(&self->vcpu, &out_7e);
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + (variant->off ? 0 : 2), regs.rip);
	run_to_halt(_metadata, &self->vcpu, LONG);
}

GUEST_PROGRAM(calls_amd, LONG, "mov $11, %eax\n xor %ebx, %ebx\n vmmcall\n hlt");
GUEST_PROGRAM(calls_intel, LONG, "mov $11, %eax\n xor %ebx, %ebx\n vmcall\n hlt");
#define CALL_AT 7

/* Of the other vendor's. A yield: it takes no time, and nobody needs to be there. */
TEST_F(quirks, foreign_hypercall)
{
	const struct guest_program *own = host_is_amd() ? &calls_amd : &calls_intel;
	const struct guest_program *foreign = host_is_amd() ? &calls_intel : &calls_amd;
	const u8 *call = self->vm.ram + GUEST_CODE + CALL_AT;
	struct guest_trap trap;
	struct kvm_regs regs;

	guest_load(&self->vcpu, foreign);
	if (variant->off) {
		run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
		EXPECT_EQ(GUEST_CODE + CALL_AT, trap.rip);
	} else {
		run_to_halt(_metadata, &self->vcpu, LONG);
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(0u, regs.rax);
	}
	EXPECT_EQ(0, memcmp(call, (variant->off ? foreign : own)->start + CALL_AT, 3));
}

static u32 leaf_1_ecx(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = cpuid_alloc(100);
	u32 ecx;

	vcpu_get_cpuid2(vcpu, cpuid);
	ecx = cpuid_find(cpuid, 1, 0)->ecx;
	free(cpuid);
	return ecx;
}

GUEST_PROGRAM(cpuid_mwait, LONG, "mov $1, %eax\n xor %ecx, %ecx\n cpuid\n hlt");

/* The MSR's bit is the guest's CPUID bit, or means nothing. */
TEST_F(quirks, mwait_in_cpuid)
{
	u32 before = leaf_1_ecx(&self->vcpu) & ECX_MWAIT, expected;
	struct kvm_regs regs;

	for (u64 mwait = 0; mwait < 2; mwait++) {
		ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_MISC_ENABLE, 1 | mwait * MISC_ENABLE_MWAIT));
		expected = variant->off ? mwait * ECX_MWAIT : before;
		EXPECT_EQ(expected, leaf_1_ecx(&self->vcpu) & ECX_MWAIT);
		guest_load(&self->vcpu, &cpuid_mwait);
		run_to_halt(_metadata, &self->vcpu, LONG);
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(expected, regs.rcx & ECX_MWAIT);
	}
}

GUEST_PROGRAM(monitors, LONG, "mov $0xc000, %eax\n xor %ecx, %ecx\n xor %edx, %edx\n monitor\n inc %rbx\n hlt");
GUEST_PROGRAM(mwaits, LONG, "xor %eax, %eax\n xor %ecx, %ecx\n mwait\n inc %rbx\n hlt");

/* Without the CPUID bit they are no operations, or undefined. */
TEST_F(quirks, mwait)
{
	static const struct guest_program *const programs[] = { &monitors, &mwaits };
	struct guest_trap trap;
	struct kvm_regs regs;

	for (u64 i = 0; i < 4; i++) {
		u64 mwait = i & 1 ? MISC_ENABLE_MWAIT : 0;

		ASSERT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_MISC_ENABLE, 1 | mwait));
		guest_load(&self->vcpu, programs[i / 2]);
		if (variant->off && !mwait) {
			run_to_trap(_metadata, &self->vcpu, LONG, UD_VECTOR, &trap);
			continue;
		}
		run_to_halt(_metadata, &self->vcpu, LONG);
		vcpu_get_regs(&self->vcpu, &regs);
		EXPECT_EQ(1u, regs.rbx);
	}
}

/* A CPU without SSE3 has no MWAIT to switch. */
TEST_F(quirks, mwait_needs_sse3)
{
	struct kvm_cpuid2 *cpuid = supported_cpuid(self->vm.dev);

	cpuid_find(cpuid, 1, 0)->ecx &= ~1u;
	vcpu_set_cpuid2(&self->vcpu, cpuid);
	free(cpuid);
	EXPECT_EQ(!variant->off, __vcpu_set_msr(&self->vcpu, MSR_MISC_ENABLE, 1 | MISC_ENABLE_MWAIT));
	EXPECT_EQ(1, __vcpu_set_msr(&self->vcpu, MSR_MISC_ENABLE, 0));
}

/* A vCPU begins with them as the host has them, or with nothing. */
TEST_F(quirks, feature_msrs)
{
	EXPECT_EQ(variant->off, vcpu_get_msr(&self->vcpu, MSR_UCODE_REV) == 0);
	EXPECT_EQ(variant->off ? 0 : 1u << 31, vcpu_get_msr(&self->vcpu, MSR_PLATFORM_INFO));
}

FIXTURE(apic) {
	struct machine m;
};
FIXTURE_VARIANT(apic) {
	bool off;
};
FIXTURE_VARIANT_ADD(apic, quirks_on) { false };
FIXTURE_VARIANT_ADD(apic, quirks_off) { true };
FIXTURE_SETUP(apic)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	SKIP_WITHOUT_CAP(KVM_CAP_DISABLE_QUIRKS2);
	machine_create(&self->m, KERNEL_IRQCHIP, 0);
	if (variant->off)
		ASSERT_EQ(0, disable(&self->m.vm, KVM_CAP_DISABLE_QUIRKS2, QUIRKS));
	machine_add_vcpu(&self->m);
}
FIXTURE_TEARDOWN(apic)
{
	machine_destroy(&self->m);
}

TEST_F(apic, lint0_after_reset)
{
	struct kvm_lapic_state state;

	vcpu_get_lapic(&self->m.vcpu[0], &state);
	EXPECT_EQ(variant->off ? LVT_MASKED : DM_EXTINT, lapic_reg(&state, APIC_LVT0));
}

GUEST touches_the_page(u64 arg)
{
	(void)arg;
	x2apic_enable();
	xapic_write(APIC_TPR, 0x20);
	guest_say(xapic_read(APIC_LVR));
}

/* In x2APIC mode there is a hole that reads as ones, or a device of userspace's. */
TEST_F(apic, the_page_in_x2apic_mode)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	machine_enter_at(&self->m, 0, touches_the_page, 0);
	if (variant->off) {
		struct step steps[] = {
			WRITE(APIC_GPA + APIC_TPR, 4, 0x20), READ(APIC_GPA + APIC_LVR, 4, 0x1234), {}
		};

		run_steps(_metadata, vcpu, steps);
	}
	EXPECT_EQ(variant->off ? 0x1234 : ~0u, vcpu_run_until_say(vcpu));
}

TEST_HARNESS_MAIN
