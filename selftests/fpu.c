// SPDX-License-Identifier: GPL-2.0
/*
 * Floating-point and vector registers belong to the guest in the guest and to the
 * host in the host, through a million exits that userspace never sees.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "lib/harness.h"

#define MILLION		1000000
#define SAVED		0x30000ul	/* where the guest stores its registers */

/* Loads XMM0..15 with patterns, CPUID in a loop of RBP rounds, stores them. */
#define EACH_XMM(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_XMM(n)	"mov $0x1111111111111111 * (" #n " % 15 + 1), %rax\n" \
			"movq %rax, %xmm" #n "\n pshufd $0x44, %xmm" #n ", %xmm" #n "\n"
#define STORE_XMM(n)	"movdqu %xmm" #n ", 0x30000 + 16 * " #n "\n"
#define CPUID_LOOP	"1: xor %eax, %eax\n cpuid\n dec %ebp\n jnz 1b\n"

GUEST_PROGRAM(keeps_sse, LONG, EACH_XMM(LOAD_XMM) CPUID_LOOP EACH_XMM(STORE_XMM) "hlt");

#define LOAD_YMM(n)	"mov $0x1111111111111111 * (" #n " % 15 + 1), %rax\n" \
			"vmovq %rax, %xmm" #n "\n" \
			"vpermq $0, %ymm" #n ", %ymm" #n "\n"
#define STORE_YMM(n)	"vmovdqu %ymm" #n ", 0x30000 + 32 * " #n "\n"

GUEST_PROGRAM(keeps_avx, LONG, EACH_XMM(LOAD_YMM) CPUID_LOOP EACH_XMM(STORE_YMM) "hlt");
GUEST_PROGRAM(keeps_x87, LONG,
	      "fninit\n fldpi\n fld1\n fldl2e\n fldln2\n" CPUID_LOOP
	      "fnstcw 0x30050\n fstpt 0x30000\n fstpt 0x30010\n"
	      "fstpt 0x30020\n fstpt 0x30030\n hlt");
GUEST_PROGRAM(keeps_control, LONG,
	      "movl $0x5f80, 0xc000\n ldmxcsr 0xc000\n movw $0x27f, 0xc004\n fldcw 0xc004\n"
	      CPUID_LOOP "stmxcsr 0x30000\n fnstcw 0x30004\n hlt");
GUEST_PROGRAM(exits_often, LONG, EACH_XMM(LOAD_XMM)
	      "1: out %al, $0x10\n dec %ebp\n jnz 1b\n" EACH_XMM(STORE_XMM) "hlt");

FIXTURE_ONE_VCPU(fpu)

static void load_rounds(struct vcpu *vcpu, const struct guest_program *program,
			u64 rounds)
{
	struct kvm_regs regs;

	guest_load(vcpu, program);
	vcpu_get_regs(vcpu, &regs);
	regs.rbp = rounds;
	vcpu_set_regs(vcpu, &regs);
}

static void expect_patterns(struct __test_metadata *_metadata, const u8 *saved,
			    size_t width)
{
	for (size_t n = 0; n < 16; n++)
		for (size_t i = 0; i < width; i++)
			ASSERT_EQ(0x11 * (n % 15 + 1), saved[n * width + i]);
}

TEST_F_TIMEOUT(fpu, sse_through_a_million_exits, LONG_TEST_SECONDS)
{
	load_rounds(&self->vcpu, &keeps_sse, MILLION);
	run_to_halt(_metadata, &self->vcpu, LONG);
	expect_patterns(_metadata, self->vm.ram + SAVED, 16);
}

TEST_F(fpu, x87)
{
	load_rounds(&self->vcpu, &keeps_x87, 1000);
	run_to_halt(_metadata, &self->vcpu, LONG);
	/* ln 2, log2 e, 1 and pi: exponents and upper bits of the mantissas. */
	EXPECT_EQ(0x3ffe, *(u16 *)(self->vm.ram + SAVED + 8));
	EXPECT_EQ(0xb17217f7d1cf79acul, *(u64 *)(self->vm.ram + SAVED));
	EXPECT_EQ(0x3fff, *(u16 *)(self->vm.ram + SAVED + 0x18));
	EXPECT_EQ(0xb8aa3b295c17f0bcul, *(u64 *)(self->vm.ram + SAVED + 0x10));
	EXPECT_EQ(0x8000000000000000ul, *(u64 *)(self->vm.ram + SAVED + 0x20));
	EXPECT_EQ(0xc90fdaa22168c235ul, *(u64 *)(self->vm.ram + SAVED + 0x30));
	EXPECT_EQ(0x37f, *(u16 *)(self->vm.ram + SAVED + 0x50));
}

TEST_F(fpu, control_words)
{
	load_rounds(&self->vcpu, &keeps_control, 1000);
	run_to_halt(_metadata, &self->vcpu, LONG);
	EXPECT_EQ(0x5f80u, *(u32 *)(self->vm.ram + SAVED));
	EXPECT_EQ(0x27f, *(u16 *)(self->vm.ram + SAVED + 4));
}

static bool enable_avx(struct vm *vm, struct vcpu *vcpu)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = 7 };
	struct kvm_cpuid2 *cpuid = supported_cpuid(vm->dev);
	struct kvm_sregs sregs;

	if (!(cpuid_find(cpuid, 1, 0)->ecx & 1 << 28) ||
	    !(cpuid_find(cpuid, 7, 0)->ebx & 1 << 5))
		return false;
	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr4 |= CR4_OSXSAVE;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_set_xcrs(vcpu, &xcrs);
	return true;
}

TEST_F_TIMEOUT(fpu, avx, LONG_TEST_SECONDS)
{
	load_rounds(&self->vcpu, &keeps_avx, MILLION / 100);
	if (!enable_avx(&self->vm, &self->vcpu))
		SKIP(return, "no AVX2 is offered");
	run_to_halt(_metadata, &self->vcpu, LONG);
	expect_patterns(_metadata, self->vm.ram + SAVED, 32);
}

/* Runs the guest with the host's own XMM registers loaded, and reads them back. */
static long run_with_xmm(int fd, const u8 *in, u8 *out)
{
	register long ret asm("rax") = SYS_ioctl;

#define HOST_LOAD(n)	"movdqu 16 * " #n "(%[in]), %%xmm" #n "\n"
#define HOST_STORE(n)	"movdqu %%xmm" #n ", 16 * " #n "(%[out])\n"
	asm volatile(EACH_XMM(HOST_LOAD) "syscall\n" EACH_XMM(HOST_STORE)
		     : "+r" (ret)
		     : "D" ((long)fd), "S" ((long)KVM_RUN), "d" (0l),
		       [in] "r" (in), [out] "r" (out)
		     : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3",
		       "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
		       "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return ret;
}

TEST_F(fpu, the_hosts_registers_are_undisturbed)
{
	u8 in[256], out[256];
	const int rounds = 500;

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = i * 13 + 7;
	load_rounds(&self->vcpu, &exits_often, rounds);
	for (int i = 0; i < rounds; i++) {
		memset(out, 0, sizeof(out));
		ASSERT_EQ(0, run_with_xmm(self->vcpu.fd, in, out));
		ASSERT_EQ(KVM_EXIT_IO, self->vcpu.run->exit_reason);
		ASSERT_EQ(0, memcmp(in, out, sizeof(in)));
	}
	run_to_halt(_metadata, &self->vcpu, LONG);
	expect_patterns(_metadata, self->vm.ram + SAVED, 16);
}

/* Another thread uses the same registers while this one's guest is preempted. */
static void *churn(void *arg)
{
	volatile int *stop = arg;
	u8 pattern[16];

	while (!*stop) {
		memset(pattern, 0xee, sizeof(pattern));
		asm volatile("movdqu %0, %%xmm3\n movdqu %0, %%xmm9"
			     : : "m" (pattern) : "xmm3", "xmm9");
		sched_yield();
	}
	return NULL;
}

TEST_F_TIMEOUT(fpu, survives_preemption, LONG_TEST_SECONDS)
{
	pthread_t thread;
	int stop = 0;

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &stop));
	load_rounds(&self->vcpu, &keeps_sse, MILLION / 20);
	run_to_halt(_metadata, &self->vcpu, LONG);
	stop = 1;
	pthread_join(thread, NULL);
	expect_patterns(_metadata, self->vm.ram + SAVED, 16);
}

TEST_HARNESS_MAIN
