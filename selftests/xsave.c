// SPDX-License-Identifier: GPL-2.0
/* KVM_{GET,SET}_XSAVE, FPU and XCRS: three views of one state, and what they refuse. */
#include "lib/harness.h"

/* Offsets in the standard format, in bytes. */
#define MXCSR		24
#define XMM0		160
#define XSTATE_BV	512
#define XCOMP_BV	520
#define XHEADER_REST	528

GUEST_PROGRAM(reads_xmm0, LONG, "movq %xmm0, %rax\n fnstcw 0xc000\n stmxcsr 0xc004\n"
	      "mov 0xc000, %bx\n mov 0xc004, %ecx\n hlt");
GUEST_PROGRAM(writes_xmm0, LONG, "mov $0x1122334455667788, %rax\n movq %rax, %xmm0\n hlt");

FIXTURE(xsave) {
	struct vm vm;
	struct vcpu vcpu;
	struct kvm_xsave area;
	u8 *bytes;
};
FIXTURE_SETUP(xsave)
{
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
	vcpu_get_xsave(&self->vcpu, &self->area);
	self->bytes = (u8 *)self->area.region;
}
FIXTURE_TEARDOWN(xsave)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

static u64 *field(u8 *bytes, size_t offset)
{
	return (u64 *)(bytes + offset);
}

TEST_F(xsave, set_is_what_the_guest_has)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &reads_xmm0);
	*field(self->bytes, XMM0) = 0x8877665544332211;
	*(u16 *)self->bytes = 0x27f;
	*(u32 *)(self->bytes + MXCSR) = 0x3f80;
	*field(self->bytes, XSTATE_BV) = 3;
	vcpu_set_xsave(&self->vcpu, &self->area);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x8877665544332211u, regs.rax);
	EXPECT_EQ(0x27fu, regs.rbx);
	EXPECT_EQ(0x3f80u, regs.rcx);
}

TEST_F(xsave, the_guests_state_is_what_get_returns)
{
	struct kvm_fpu fpu;

	guest_load(&self->vcpu, &writes_xmm0);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_xsave(&self->vcpu, &self->area);
	EXPECT_EQ(0x1122334455667788u, *field(self->bytes, XMM0));
	EXPECT_EQ(2u, *field(self->bytes, XSTATE_BV) & 2);
	EXPECT_EQ(0u, *field(self->bytes, XCOMP_BV));
	vcpu_get_fpu(&self->vcpu, &fpu);
	EXPECT_EQ(0x1122334455667788u, *(u64 *)fpu.xmm[0]);
	EXPECT_EQ(0x37f, fpu.fcw);
}

TEST_F(xsave, a_clear_bit_means_the_initial_state)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &reads_xmm0);
	*field(self->bytes, XMM0) = 0x8877665544332211;
	*field(self->bytes, XSTATE_BV) = 1;
	vcpu_set_xsave(&self->vcpu, &self->area);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0u, regs.rax);
}

GUEST_PROGRAM(uses_both, LONG, "fninit\n fld1\n mov $1, %eax\n movq %rax, %xmm0\n hlt");

/* KVM loads what SET_FPU brings only for parts that are in use already. */
TEST_F(xsave, fpu_is_the_same_state)
{
	struct kvm_fpu fpu = { .fcw = 0x27f, .mxcsr = 0x1f80 };
	struct kvm_regs regs;

	guest_load(&self->vcpu, &uses_both);
	run_to_halt(_metadata, &self->vcpu, LONG);
	guest_load(&self->vcpu, &reads_xmm0);
	*(u64 *)fpu.xmm[0] = 0x42;
	vcpu_set_fpu(&self->vcpu, &fpu);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(0x42u, regs.rax);
	EXPECT_EQ(0x27fu, regs.rbx);
	vcpu_get_xsave(&self->vcpu, &self->area);
	EXPECT_EQ(0x42u, *field(self->bytes, XMM0));
}

TEST_F(xsave, what_was_got_can_be_set)
{
	struct kvm_xsave after;

	guest_load(&self->vcpu, &writes_xmm0);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_xsave(&self->vcpu, &self->area);
	vcpu_set_xsave(&self->vcpu, &self->area);
	vcpu_get_xsave(&self->vcpu, &after);
	EXPECT_EQ(0, memcmp(&self->area, &after, sizeof(after)));
}

TEST_F(xsave, unknown_components)
{
	*field(self->bytes, XSTATE_BV) |= 1ull << 62;
	EXPECT_EQ(-EINVAL, __vcpu_set_xsave(&self->vcpu, &self->area));
}

TEST_F(xsave, compacted_format)
{
	*field(self->bytes, XCOMP_BV) = 1ull << 63;
	EXPECT_EQ(-EINVAL, __vcpu_set_xsave(&self->vcpu, &self->area));
}

TEST_F(xsave, reserved_header_bytes)
{
	self->bytes[XHEADER_REST + 8] = 1;
	EXPECT_EQ(-EINVAL, __vcpu_set_xsave(&self->vcpu, &self->area));
}

TEST_F(xsave, reserved_mxcsr_bits)
{
	*field(self->bytes, XSTATE_BV) |= 2;
	*(u32 *)(self->bytes + MXCSR) = 0x80000000;
	EXPECT_EQ(-EINVAL, __vcpu_set_xsave(&self->vcpu, &self->area));
}

FIXTURE_ONE_VCPU(xcrs)

static int set_xcr0(struct vcpu *vcpu, u64 value)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = value };

	return __vcpu_set_xcrs(vcpu, &xcrs);
}

TEST_F(xcrs, at_first_x87_alone)
{
	struct kvm_xcrs xcrs;

	vcpu_get_xcrs(&self->vcpu, &xcrs);
	EXPECT_EQ(1u, xcrs.nr_xcrs);
	EXPECT_EQ(0u, xcrs.flags);
	EXPECT_EQ(0u, xcrs.xcrs[0].xcr);
	EXPECT_EQ(1u, xcrs.xcrs[0].value);
}

TEST_F(xcrs, set_and_get)
{
	struct kvm_xcrs xcrs;

	EXPECT_EQ(0, set_xcr0(&self->vcpu, 3));
	vcpu_get_xcrs(&self->vcpu, &xcrs);
	EXPECT_EQ(3u, xcrs.xcrs[0].value);
}

TEST_F(xcrs, bad_values)
{
	struct kvm_xcrs xcrs;

	EXPECT_EQ(0, set_xcr0(&self->vcpu, 3));
	EXPECT_EQ(-EINVAL, set_xcr0(&self->vcpu, 0));
	EXPECT_EQ(-EINVAL, set_xcr0(&self->vcpu, 2));
	EXPECT_EQ(-EINVAL, set_xcr0(&self->vcpu, 5));
	EXPECT_EQ(-EINVAL, set_xcr0(&self->vcpu, 1ull << 62 | 3));
	vcpu_get_xcrs(&self->vcpu, &xcrs);
	EXPECT_EQ(3u, xcrs.xcrs[0].value);
}

TEST_F(xcrs, bad_shape)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 1, .flags = 1 };

	EXPECT_EQ(-EINVAL, __vcpu_set_xcrs(&self->vcpu, &xcrs));
	xcrs.flags = 0;
	xcrs.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT_EQ(-EINVAL, __vcpu_set_xcrs(&self->vcpu, &xcrs));
}

GUEST_PROGRAM(reads_xcr0, LONG,
	      "mov %cr4, %rax\n or $0x40000, %eax\n mov %rax, %cr4\n xgetbv\n hlt");

TEST_F(xcrs, the_guest_reads_what_was_set)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &reads_xcr0);
	ASSERT_EQ(0, set_xcr0(&self->vcpu, 3));
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(3u, regs.rax);
}

/* Without CR4.OSXSAVE the guest has no use for XCR0; it has it again when it sets the bit. */
GUEST_PROGRAM(leaves_and_comes_back, LONG,
	      "mov %cr4, %rbx\n or $0x40000, %ebx\n mov %rbx, %cr4\n xgetbv\n mov %eax, %esi\n"
	      "btr $18, %rbx\n mov %rbx, %cr4\n out %al, $0x80\n"
	      "bts $18, %rbx\n mov %rbx, %cr4\n xgetbv\n hlt");

TEST_F(xcrs, kept_while_the_guest_does_without)
{
	struct kvm_regs regs;

	guest_load(&self->vcpu, &leaves_and_comes_back);
	ASSERT_EQ(0, set_xcr0(&self->vcpu, 3));
	vcpu_run_until(&self->vcpu, KVM_EXIT_IO);
	run_to_halt(_metadata, &self->vcpu, LONG);
	vcpu_get_regs(&self->vcpu, &regs);
	EXPECT_EQ(3u, regs.rsi);
	EXPECT_EQ(3u, regs.rax);
}

TEST_HARNESS_MAIN
