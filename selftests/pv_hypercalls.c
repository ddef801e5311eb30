// SPDX-License-Identifier: GPL-2.0
/* KVM's paravirtual hypercalls: IPIs to many, and waking a vCPU. */
#include <linux/kvm_para.h>
#include <sched.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define VCPUS		4
#define VECTOR		0x61
#define STOP_VECTOR	0xf1

static volatile u32 got[VCPUS];
static volatile bool stop;
static volatile u32 ready;

FIXTURE_MACHINE(pv, KERNEL_IRQCHIP, VCPUS)

GUEST_INLINE u32 this_vcpu(void)
{
	return x2apic_read(APIC_ID);
}

GUEST_ISR(on_ipi)
{
	got[this_vcpu() % VCPUS]++;
	apic_eoi();
}

GUEST_ISR(on_stop)
{
	stop = true;
	apic_eoi();
}

GUEST waits(u64 arg)
{
	(void)arg;
	x2apic_enable();
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		sti_hlt();
	guest_done();
}

/* One call: destinations from the first ID on, and what comes back. */
static const struct {
	u64 low, high, first;
	u32 icr;
	long result;
	u32 mask;	/* of vCPUs that get it */
} sends[] = {
	{ 0xe, 0, 0, VECTOR, 3, 0xe },
	{ 0x7, 0, 1, VECTOR, 3, 0xe },
	{ 0xf, 0, 0, VECTOR, 4, 0xf },
	{ 0x1, 0, 2, VECTOR, 1, 0x4 },
	{ 0, 0, 0, VECTOR, 0, 0 },
	{ 0xff0, 0, 0, VECTOR, 0, 0 },		/* nobody is there */
	{ 0, 0xf, 0, VECTOR, 0, 0 },		/* from ID 64 on */
	{ 0x6, 0, 1000, VECTOR, 0, 0 },
	{ 0x2, 0, 0, VECTOR | DEST_LOGICAL, -KVM_EINVAL, 0 },
	{ 0x2, 0, 0, VECTOR | ICR_ALL, -KVM_EINVAL, 0 },
};

static volatile long results[ARRAY_SIZE(sends)];

GUEST sends_ipis(u64 amd)
{
	x2apic_enable();
	for (u32 i = 0; i < ARRAY_SIZE(sends); i++) {
		for (u32 j = 0; j < VCPUS; j++)
			got[j] = 0;
		results[i] = hypercall(amd, KVM_HC_SEND_IPI, sends[i].low, sends[i].high,
				       sends[i].first, sends[i].icr);
		take_interrupts();
		for (u32 j = 0; j < VCPUS; j++)
			while (sends[i].mask >> j & 1 && !got[j])
				take_interrupts();
		guest_say(i);
	}
	apic_icr(0, ICR_OTHERS | ICR_ASSERT | STOP_VECTOR);
	guest_done();
}

TEST_F_TIMEOUT(pv, send_ipi, LONG_TEST_SECONDS)
{
	machine_set_gate(&self->m, VECTOR, on_ipi);
	machine_set_gate(&self->m, STOP_VECTOR, on_stop);
	for (unsigned int i = 1; i < VCPUS; i++) {
		machine_enter_at(&self->m, i, waits, 0);
		machine_start(&self->m, i);
	}
	while (ready != VCPUS - 1)
		sched_yield();
	machine_enter_at(&self->m, 0, sends_ipis, host_is_amd());
	for (u32 i = 0; i < ARRAY_SIZE(sends); i++) {
		ASSERT_EQ(i, vcpu_run_until_say(&self->m.vcpu[0]));
		EXPECT_EQ(sends[i].result, results[i]) {
			TH_LOG("call %u", i);
		}
		for (u32 j = 0; j < VCPUS; j++) {
			EXPECT_EQ(sends[i].mask >> j & 1, got[j]) {
				TH_LOG("call %u, vCPU %u", i, j);
			}
		}
	}
	vcpu_run_until_done(&self->m.vcpu[0]);
	for (unsigned int i = 1; i < VCPUS; i++)
		machine_join(&self->m, i);
}

#define KICKS 200u

static volatile u32 turn;

/* The way of a lock's waiter: nothing but the other's kick ends the HLT. */
GUEST halts(u64 arg)
{
	(void)arg;
	for (u32 i = 0; i < KICKS; i++) {
		while (turn == 2 * i)
			asm volatile("hlt" : : : "memory");
		turn++;
	}
	guest_done();
}

/* Interrupts are on where it spins: see SPIN. */
GUEST kicks(u64 amd)
{
	sti();
	for (u32 i = 0; i < KICKS; i++) {
		turn++;
		if (hypercall(amd, KVM_HC_KICK_CPU, 0, 1, 0, 0))
			guest_say(i);
		while (turn != 2 * i + 2)
			relax();
	}
	if (hypercall(amd, KVM_HC_KICK_CPU, 0, 77, 0, 0))	/* nobody */
		guest_say(KICKS);
	guest_done();
}

/* With interrupts off, and also when the kick comes before the HLT that it is to end. */
TEST_F_TIMEOUT(pv, kick, LONG_TEST_SECONDS)
{
	machine_enter_at(&self->m, 1, halts, 0);
	machine_enter_at(&self->m, 0, kicks, host_is_amd());
	machine_start(&self->m, 1);
	vcpu_run_until_done(&self->m.vcpu[0]);
	machine_join(&self->m, 1);
	EXPECT_EQ(2 * KICKS, turn);
}

GUEST kicks_itself(u64 amd)
{
	hypercall(amd, KVM_HC_KICK_CPU, 0, 0, 0, 0);
	asm volatile("hlt" : : : "memory");
	guest_say(1);
	guest_done();
}

TEST_F(pv, a_kick_before_the_halt)
{
	machine_enter_at(&self->m, 0, kicks_itself, host_is_amd());
	EXPECT_EQ(1u, vcpu_run_until_say(&self->m.vcpu[0]));
	vcpu_run_until_done(&self->m.vcpu[0]);
}

GUEST halts_and_looks(u64 arg)
{
	(void)arg;
	x2apic_enable();
	guest_say(0);
	asm volatile("hlt" : : : "memory");
	take_interrupts();
	guest_done();
}

GUEST sends_and_kicks(u64 amd)
{
	x2apic_enable();
	apic_icr(1, ICR_ASSERT | VECTOR);
	guest_say(0);
	hypercall(amd, KVM_HC_KICK_CPU, 0, 1, 0, 0);
	guest_done();
}

/* An interrupt that cannot end the HLT waits until interrupts are on: another reason to go on does not lose it. */
TEST_F_TIMEOUT(pv, an_interrupt_and_a_kick, LONG_TEST_SECONDS)
{
	machine_set_gate(&self->m, VECTOR, on_ipi);
	machine_enter_at(&self->m, 1, halts_and_looks, 0);
	vcpu_run_until_say(&self->m.vcpu[1]);
	machine_enter_at(&self->m, 0, sends_and_kicks, host_is_amd());
	machine_start(&self->m, 1);
	usleep(50000);		/* for it to be asleep; what is right does not depend on it */
	vcpu_run_until_say(&self->m.vcpu[0]);
	usleep(50000);
	vcpu_run_until_done(&self->m.vcpu[0]);
	machine_join(&self->m, 1);
	EXPECT_EQ(1u, got[1]);
}

GUEST halts_once(u64 arg)
{
	(void)arg;
	guest_say(0);
	asm volatile("hlt" : : : "memory");
	guest_done();
}

GUEST kicks_once(u64 amd)
{
	hypercall(amd, KVM_HC_KICK_CPU, 0, 1, 0, 0);
	guest_done();
}

/* Userspace that saves a halted vCPU which has just been kicked saves one that runs. */
TEST_F(pv, a_kick_is_in_the_saved_state)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };
	struct vcpu *vcpu = &self->m.vcpu[1];

	machine_enter_at(&self->m, 1, halts_once, 0);
	vcpu_run_until_say(vcpu);
	vcpu_set_mp_state(vcpu, &state);
	vcpu_get_mp_state(vcpu, &state);
	EXPECT_EQ((u32)KVM_MP_STATE_HALTED, state.mp_state);
	machine_enter_at(&self->m, 0, kicks_once, host_is_amd());
	vcpu_run_until_done(&self->m.vcpu[0]);
	vcpu_get_mp_state(vcpu, &state);
	EXPECT_EQ((u32)KVM_MP_STATE_RUNNABLE, state.mp_state);
}

TEST_HARNESS_MAIN
