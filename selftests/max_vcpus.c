// SPDX-License-Identifier: GPL-2.0
/* Many vCPUs in one VM, all of them running. */
#include "lib/harness.h"
#include "lib/machine.h"

#define EXITS	20

static volatile u32 exits[MACHINE_VCPUS];
static volatile u32 apic_ids[MACHINE_VCPUS];

GUEST exits_often(u64 arg)
{
	apic_ids[arg] = xapic_read(APIC_ID) >> 24;
	for (int i = 0; i < EXITS; i++) {
		u32 eax = 0, ebx, ecx = 0, edx;

		asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
		exits[arg]++;
		outb(0x80, i);
	}
	guest_done();
}

FIXTURE_MACHINE(many, KERNEL_IRQCHIP, MACHINE_VCPUS)

static void *runs(void *arg)
{
	struct vcpu *vcpu = arg;

	for (u32 i = 0; i < EXITS; i++)
		if (vcpu_run_until_out(vcpu, 0x80) != i)
			die("an exit went to another vCPU");
	vcpu_run_until_done(vcpu);
	return NULL;
}

TEST_F_TIMEOUT(many, run_at_once, LONG_TEST_SECONDS)
{
	for (u32 i = 0; i < MACHINE_VCPUS; i++)
		machine_enter_at(&self->m, i, exits_often, i);
	for (u32 i = 0; i < MACHINE_VCPUS; i++)
		ASSERT_EQ(0, pthread_create(&self->m.thread[i], NULL, runs, &self->m.vcpu[i]));
	for (u32 i = 0; i < MACHINE_VCPUS; i++)
		pthread_join(self->m.thread[i], NULL);
	for (u32 i = 0; i < MACHINE_VCPUS; i++) {
		EXPECT_EQ(EXITS, exits[i]);
		EXPECT_EQ(i, apic_ids[i]);
	}
}

#define VECTOR	0x45

static volatile u32 taken;

GUEST_ISR(on_vector)
{
	__atomic_fetch_add(&taken, 1, __ATOMIC_SEQ_CST);
	x2apic_write(APIC_EOI, 0);
}

GUEST waits(u64 arg)
{
	(void)arg;
	x2apic_enable();
	__atomic_fetch_add(&exits[0], 1, __ATOMIC_SEQ_CST);
	sti_hlt();
	guest_done();
}

GUEST tells_all(u64 arg)
{
	(void)arg;
	x2apic_enable();
	sti();		/* for Bochs' sake: see SPIN */
	while (exits[0] != MACHINE_VCPUS - 1)
		relax();
	x2apic_write(APIC_ICR, ICR_OTHERS | ICR_ASSERT | VECTOR);
	guest_done();
}

/* One broadcast wakes all. */
TEST_F_TIMEOUT(many, broadcast, LONG_TEST_SECONDS)
{
	machine_set_gate(&self->m, VECTOR, on_vector);
	machine_enter_at(&self->m, 0, tells_all, 0);
	for (u32 i = 1; i < MACHINE_VCPUS; i++)
		machine_enter_at(&self->m, i, waits, i);
	for (u32 i = 0; i < MACHINE_VCPUS; i++)
		machine_start(&self->m, i);
	for (u32 i = 0; i < MACHINE_VCPUS; i++)
		machine_join(&self->m, i);
	EXPECT_EQ(MACHINE_VCPUS - 1u, taken);
}

TEST_HARNESS_MAIN
