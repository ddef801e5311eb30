// SPDX-License-Identifier: GPL-2.0
/* What guests that know their host may use: steal time, TLB flushes, kicks and IPIs by call. */
#include <sched.h>
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define VECTOR		0x45
#define HC_KICK_CPU	5
#define HC_SEND_IPI	10
#define HC_UNKNOWN	0x7777
#define ENOSYS_OF_KVM	1000ull

struct steal_time {
	volatile u64 steal;
	volatile u32 version, flags;
	volatile u8 preempted, pad8[3];
	volatile u32 pad[11];
};

static struct steal_time steal __attribute__((aligned(64)));
static volatile u32 taken[8], faults;
static volatile u64 result[8];
static volatile bool stop, amd;

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
	machine_create(&self->m, KERNEL_IRQCHIP, 4);
	machine_set_gate(&self->m, GP_VECTOR, on_gp);
	amd = host_is_amd();
}
FIXTURE_TEARDOWN(pv)
{
	machine_destroy(&self->m);
}

/* Spins until some of its time was stolen; each exit is a chance to write it down. */
GUEST is_robbed(u64 arg)
{
	(void)arg;
	wrmsr(MSR_KVM_STEAL_TIME, (u64)&steal | 1);
	result[0] = rdmsr(MSR_KVM_STEAL_TIME);
	sti();
	while (!steal.steal) {
		for (int i = 0; i < 10000; i++)
			relax();
		guest_say(0);
	}
	guest_done();
}

static void *rob(void *arg)
{
	(void)arg;
	while (!stop)
		;
	return NULL;
}

static void stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("cannot stay on a CPU");
}

/* Another thread wants the same CPU: what the vCPU waits for it is stolen time. */
TEST_F_TIMEOUT(pv, steal_time, LONG_TEST_SECONDS)
{
	struct vcpu *vcpu = &self->m.vcpu[0];
	pthread_t robber;

	SKIP_WITHOUT_PV(PV_STEAL_TIME);
	stay_on_one_cpu();
	machine_enter_at(&self->m, 0, is_robbed, 0);
	ASSERT_EQ(0, pthread_create(&robber, NULL, rob, NULL));
	do {
		ASSERT_EQ(0, __vcpu_run(vcpu));
	} while (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == PORT_SAY);
	stop = true;
	pthread_join(robber, NULL);
	ASSERT_EQ(KVM_EXIT_IO, vcpu->run->exit_reason);
	EXPECT_EQ(PORT_DONE, vcpu->run->io.port);
	EXPECT_EQ((u64)&steal | 1, result[0]);
	EXPECT_EQ(0u, steal.version & 1);
	EXPECT_LT(0u, steal.version);
	EXPECT_EQ(0u, steal.flags);
}

GUEST sets_reserved_bits(u64 arg)
{
	(void)arg;
	wrmsr(MSR_KVM_STEAL_TIME, (u64)&steal | 3);
	result[0] = faults;
	wrmsr(MSR_KVM_STEAL_TIME, 0);
	result[1] = faults;
	guest_done();
}

TEST_F(pv, steal_time_has_reserved_bits)
{
	SKIP_WITHOUT_PV(PV_STEAL_TIME);
	machine_enter_at(&self->m, 0, sets_reserved_bits, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(1u, result[0]);
	EXPECT_EQ(1u, result[1]);
}

GUEST_ISR(on_vector)
{
	taken[0]++;
	apic_eoi();
}

#define PREEMPTED	1
#define FLUSH_TLB	2
#define WINDOW		0x3fe01000ul	/* entry 1 of a table of its own */

GUEST_INLINE u64 look_through_window(void)
{
	return *(volatile u64 *)WINDOW;
}

GUEST halts_for_a_while(u64 arg)
{
	(void)arg;
	xapic_enable();
	wrmsr(MSR_KVM_STEAL_TIME, (u64)&steal | 1);
	result[0] = look_through_window();
	guest_say(0);
	result[1] = steal.preempted;
	sti_hlt();
	result[2] = steal.preempted;
	result[3] = look_through_window();
	guest_done();
}

static void open_window(u8 *ram, u64 gpa)
{
	((u64 *)(ram + GUEST_PD))[511] = GUEST_PT | PTE_P | PTE_W;
	((u64 *)(ram + GUEST_PT))[1] = gpa | PTE_P | PTE_W;
	*(u64 *)(ram + gpa) = gpa;
}

/* True as soon as the vCPU has said that it is away; KVM's says so only where an interrupt of the host's took it away. */
static bool leave_note(void)
{
	for (int i = 0; i < 1000; i++) {
		u8 note = PREEMPTED;

		if (__atomic_compare_exchange_n(&steal.preempted, &note, PREEMPTED | FLUSH_TLB, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
		usleep(1000);
	}
	return false;
}

/* As Linux does it: a vCPU that is away flushes when it is back, and need neither be interrupted nor waited for. */
TEST_F(pv, tlb_flush)
{
	struct vcpu *vcpu = &self->m.vcpu[0];
	bool told;

	SKIP_WITHOUT_PV(PV_TLB_FLUSH);
	machine_set_gate(&self->m, VECTOR, on_vector);
	open_window(self->m.vm.ram, 0x30000);
	machine_enter_at(&self->m, 0, halts_for_a_while, 0);
	vcpu_run_until_say(vcpu);
	machine_start(&self->m, 0);
	open_window(self->m.vm.ram, 0x31000);
	told = leave_note();
	EXPECT_EQ(1, __vm_signal_msi(&self->m.vm, MSI_ADDRESS(0), VECTOR));
	machine_join(&self->m, 0);
	if (!told)
		SKIP(return, "the device does not say that a vCPU that halts is away");
	EXPECT_EQ(1u, taken[0]);
	EXPECT_EQ(0x30000u, result[0]);
	EXPECT_EQ(0u, result[1]);
	EXPECT_EQ(0u, result[2]);
	EXPECT_EQ(0x31000u, result[3]);
}

GUEST kicks(u64 arg)
{
	(void)arg;
	result[0] = hypercall(amd, HC_KICK_CPU, 0, 1, 0, 0);
	guest_done();
}

GUEST is_kicked(u64 arg)
{
	(void)arg;
	guest_say(0);
	asm volatile("hlt");		/* with interrupts off */
	guest_done();
}

/* A spinning lock's waiter halts with interrupts off; the call wakes it. */
TEST_F(pv, kick)
{
	SKIP_WITHOUT_PV(PV_UNHALT);
	machine_enter_at(&self->m, 1, is_kicked, 0);
	vcpu_run_until_say(&self->m.vcpu[1]);
	machine_start(&self->m, 1);
	machine_enter_at(&self->m, 0, kicks, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	machine_join(&self->m, 1);
	EXPECT_EQ(0u, result[0]);
}

GUEST_ISR(on_ipi)
{
	u32 me = xapic_read(APIC_ID) >> 24;

	taken[me % 8]++;
	apic_eoi();
}

GUEST sends_by_call(u64 arg)
{
	(void)arg;
	xapic_enable();
	result[0] = hypercall(amd, HC_SEND_IPI, 0x5, 0, 1, VECTOR);	/* IDs 1 and 3 */
	guest_done();
}

GUEST waits_for_one(u64 arg)
{
	(void)arg;
	xapic_enable();
	guest_say(0);
	take_interrupts();
	guest_done();
}

TEST_F(pv, send_ipi)
{
	SKIP_WITHOUT_PV(PV_SEND_IPI);
	machine_set_gate(&self->m, VECTOR, on_ipi);
	for (u32 i = 1; i < 4; i++) {
		machine_enter_at(&self->m, i, waits_for_one, 0);
		vcpu_run_until_say(&self->m.vcpu[i]);
	}
	machine_enter_at(&self->m, 0, sends_by_call, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	for (u32 i = 1; i < 4; i++)
		vcpu_run_until_done(&self->m.vcpu[i]);
	EXPECT_EQ(2u, result[0]);
	EXPECT_EQ(0u, taken[0]);
	EXPECT_EQ(1u, taken[1]);
	EXPECT_EQ(0u, taken[2]);
	EXPECT_EQ(1u, taken[3]);
}

GUEST calls_what_is_not_there(u64 arg)
{
	(void)arg;
	result[0] = hypercall(amd, HC_UNKNOWN, 0, 0, 0, 0);
	guest_done();
}

TEST_F(pv, unknown_call)
{
	machine_enter_at(&self->m, 0, calls_what_is_not_there, 0);
	vcpu_run_until_done(&self->m.vcpu[0]);
	EXPECT_EQ(-ENOSYS_OF_KVM, result[0]);
}

TEST_HARNESS_MAIN
