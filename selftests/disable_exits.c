// SPDX-License-Identifier: GPL-2.0
/* Guests that wait by HLT, MWAIT and PAUSE without an exit. */
#include <signal.h>
#include <sys/time.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define HLT	KVM_X86_DISABLE_EXITS_HLT
#define MWAIT	KVM_X86_DISABLE_EXITS_MWAIT
#define PAUSE	KVM_X86_DISABLE_EXITS_PAUSE

#define VECTOR	0x41
#define ROUNDS	200u

#define KVM_FEATURES	0x40000001
#define PV_UNHALT	(1u << 7)

static volatile u32 waiting, taken;
static volatile bool kernel_apic;
static u64 line __attribute__((aligned(64)));

GUEST_ISR(on_irq)
{
	taken++;
	if (kernel_apic)
		apic_eoi();
}

GUEST_INLINE void sti_mwait(void)
{
	asm volatile("monitor" : : "a"(&line), "c"(0), "d"(0));
	asm volatile("sti; mwait" : : "a"(0), "c"(0) : "memory");
}

/* For so many interrupts, which are off between the look and the wait only. */
GUEST_INLINE void wait_for(u32 count, u32 exit)
{
	waiting = 1;
	sti();
	while (taken < count) {
		if (exit == PAUSE) {
			relax();
			continue;
		}
		cli();
		if (taken < count && exit == HLT)
			sti_hlt();
		else if (taken < count)
			sti_mwait();
		sti();
	}
	guest_done();
}

GUEST waits(u64 exit)
{
	wait_for(1, exit);
}

GUEST is_woken(u64 exit)
{
	x2apic_enable();
	wait_for(ROUNDS, exit);
}

GUEST wakes(u64 exit)
{
	(void)exit;
	sti();
	x2apic_enable();
	while (!waiting)
		relax();
	for (u32 round = 0; round < ROUNDS; round++) {
		apic_icr(1, VECTOR);
		while (taken == round)
			relax();
	}
	guest_done();
}

static int __disable(struct vm *vm, u64 exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { exits } };

	return __vm_enable_cap(vm, &cap);
}

FIXTURE(exits) {
	struct machine m;
};
FIXTURE_VARIANT(exits) {
	u32 exit;
};
FIXTURE_SETUP(exits)
{
	if (!(device_cap(KVM_CAP_X86_DISABLE_EXITS) & variant->exit))
		SKIP(return, "the device has this exit always");
}
FIXTURE_TEARDOWN(exits)
{
	machine_destroy(&self->m);
}
FIXTURE_VARIANT_ADD(exits, hlt) { HLT };
FIXTURE_VARIANT_ADD(exits, mwait) { MWAIT };
FIXTURE_VARIANT_ADD(exits, pause) { PAUSE };

static void create(struct machine *m, enum irqchip kind, u32 exits, int vcpus)
{
	int ret;

	machine_create(m, kind, 0);
	ret = __disable(&m->vm, exits);
	if (ret)
		die("KVM_CAP_X86_DISABLE_EXITS, %#x: %s", exits, strerror(-ret));
	while (vcpus--)
		machine_add_vcpu(m);
	machine_set_gate(m, VECTOR, on_irq);
}

/* Signals come all the time, so that the call returns. */
static void set_ticks(long usec)
{
	struct itimerval timer = { { 0, usec }, { 0, usec } };
	struct sigaction action = { .sa_handler = SIG_DFL };

	if (usec)
		sigaction(SIGUSR1, NULL, &action);
	else
		action.sa_handler = SIG_IGN;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* Userspace has the interrupt controller: nothing but its interrupt ends the wait. */
TEST_F(exits, userspace_interrupts)
{
	struct kvm_interrupt irq = { VECTOR };
	struct vcpu *vcpu = &self->m.vcpu[0];
	int ret;

	create(&self->m, NO_IRQCHIP, variant->exit, 1);
	machine_enter_at(&self->m, 0, waits, variant->exit);
	vcpu->run->request_interrupt_window = 1;
	do {
		ASSERT_EQ(0, __vcpu_run(vcpu));
		ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vcpu->run->exit_reason);
	} while (!waiting);
	vcpu->run->request_interrupt_window = 0;
	set_ticks(20000);
	for (int i = 0; i < 10; i++) {
		ret = __vcpu_run(vcpu);
		if (ret != -EINTR)
			die("KVM_RUN: %d, exit %s", ret, exit_name(vcpu->run->exit_reason));
	}
	set_ticks(0);
	vcpu->run->request_interrupt_window = 1;
	ASSERT_EQ(0, __vcpu_run(vcpu));
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vcpu->run->exit_reason);
	vcpu->run->request_interrupt_window = 0;
	vcpu_interrupt(vcpu, &irq);
	vcpu_run_until_done(vcpu);
	EXPECT_EQ(1u, taken);
}

/* A vCPU that waits in the guest gets what another one sends. */
TEST_F_TIMEOUT(exits, interrupts_of_another_vcpu, LONG_TEST_SECONDS)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	kernel_apic = true;
	create(&self->m, KERNEL_IRQCHIP, variant->exit, 2);
	machine_enter_at(&self->m, 0, wakes, variant->exit);
	machine_enter_at(&self->m, 1, is_woken, variant->exit);
	machine_start(&self->m, 1);
	vcpu_run_until_done(&self->m.vcpu[0]);
	machine_join(&self->m, 1);
	EXPECT_EQ(ROUNDS, taken);
}

/* Who has been given other registers does not wait any more. */
TEST_F(exits, new_registers)
{
	struct vcpu *vcpu = &self->m.vcpu[0];

	create(&self->m, NO_IRQCHIP, variant->exit, 1);
	machine_enter_at(&self->m, 0, waits, variant->exit);
	set_ticks(20000);
	do {
		ASSERT_EQ(-EINTR, __vcpu_run(vcpu));
	} while (!waiting);
	ASSERT_EQ(-EINTR, __vcpu_run(vcpu));
	set_ticks(0);
	taken = 1;
	machine_enter_at(&self->m, 0, waits, variant->exit);
	vcpu_run_until_done(vcpu);
}

FIXTURE(calls) {
	struct vm vm;
};
FIXTURE_SETUP(calls)
{
	if (!device_cap(KVM_CAP_X86_DISABLE_EXITS))
		SKIP(return, "the device has no KVM_CAP_X86_DISABLE_EXITS");
	vm_create(&self->vm);
}
FIXTURE_TEARDOWN(calls)
{
	vm_destroy(&self->vm);
}

TEST_F(calls, exits_that_are_none)
{
	EXPECT_EQ(0, device_cap(KVM_CAP_X86_DISABLE_EXITS) & ~15);
	EXPECT_EQ(0, __disable(&self->vm, device_cap(KVM_CAP_X86_DISABLE_EXITS)));
	EXPECT_EQ(0, __disable(&self->vm, 0));
	for (int i = 4; i < 64; i++)
		EXPECT_EQ(-EINVAL, __disable(&self->vm, 1ul << i));
}

/* Newer KVMs refuse it. */
TEST_F(calls, when_there_are_vcpus)
{
	struct vcpu vcpu;
	int ret;

	vcpu_create(&self->vm, &vcpu, 0);
	ret = __disable(&self->vm, PAUSE);
	if (device_is_vmlet() || ret != -EINVAL)
		EXPECT_EQ(0, ret);
	vcpu_destroy(&vcpu);
}

static u32 kvm_features(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid = cpuid_alloc(256);
	struct kvm_cpuid_entry2 *entry;
	u32 features;

	vcpu_get_cpuid2(vcpu, cpuid);
	entry = cpuid_find(cpuid, KVM_FEATURES, 0);
	features = entry ? entry->eax : 0;
	free(cpuid);
	return features;
}

/* The hypercall that ends another vCPU's halt has nothing to end. */
TEST_F(calls, unhalt_is_not_offered)
{
	struct vcpu vcpu;
	struct vm other;

	if (!(device_cap(KVM_CAP_X86_DISABLE_EXITS) & HLT))
		SKIP(return, "the device has this exit always");
	vcpu_create(&self->vm, &vcpu, 0);
	if (!(kvm_features(&vcpu) & PV_UNHALT))
		SKIP(return, "the device has no PV_UNHALT");
	vcpu_destroy(&vcpu);
	vm_create(&other);
	ASSERT_EQ(0, __disable(&other, HLT));
	vcpu_create(&other, &vcpu, 0);
	EXPECT_NE(0u, kvm_features(&vcpu));
	EXPECT_EQ(0u, kvm_features(&vcpu) & PV_UNHALT);
	vcpu_destroy(&vcpu);
	vm_destroy(&other);
}

TEST_HARNESS_MAIN
