// SPDX-License-Identifier: GPL-2.0
/* The states of a vCPU: without an in-kernel local APIC it is runnable, and nothing else. */
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"

FIXTURE_ONE_VCPU(mp_state)

TEST_F(mp_state, is_runnable)
{
	struct kvm_mp_state state = { .mp_state = 99 };

	vcpu_get_mp_state(&self->vcpu, &state);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	EXPECT_EQ(0, __vcpu_set_mp_state(&self->vcpu, &state));
}

TEST_F(mp_state, second_vcpu_is_runnable_too)
{
	struct kvm_mp_state state;
	struct vcpu second;

	vcpu_create(&self->vm, &second, 1);
	vcpu_get_mp_state(&second, &state);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	vcpu_destroy(&second);
}

TEST_F(mp_state, other_states_need_an_apic)
{
	for (u32 value = 1; value < 12; value++) {
		struct kvm_mp_state state = { .mp_state = value };

		EXPECT_EQ(-EINVAL, __vcpu_set_mp_state(&self->vcpu, &state));
	}
}

FIXTURE_MACHINE(with_apic, KERNEL_IRQCHIP, 2)

/* What is set, on vCPU 1, and what is seen afterwards. */
static const struct {
	u32 set;
	int result;
	u32 get;
} states[] = {
	{ KVM_MP_STATE_RUNNABLE, 0, KVM_MP_STATE_RUNNABLE },
	{ KVM_MP_STATE_HALTED, 0, KVM_MP_STATE_HALTED },
	{ KVM_MP_STATE_UNINITIALIZED, 0, KVM_MP_STATE_UNINITIALIZED },
	{ KVM_MP_STATE_INIT_RECEIVED, 0, KVM_MP_STATE_INIT_RECEIVED },
	{ KVM_MP_STATE_SIPI_RECEIVED, 0, KVM_MP_STATE_RUNNABLE },	/* it has started */
	{ KVM_MP_STATE_STOPPED, -EINVAL, KVM_MP_STATE_RUNNABLE },
	{ KVM_MP_STATE_CHECK_STOP, -EINVAL, KVM_MP_STATE_RUNNABLE },
	{ KVM_MP_STATE_OPERATING, -EINVAL, KVM_MP_STATE_RUNNABLE },
	{ 1000, -EINVAL, KVM_MP_STATE_RUNNABLE },
};

TEST_F(with_apic, set_and_get)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct kvm_mp_state state = { .mp_state = states[i].set };

		EXPECT_EQ(states[i].result, __vcpu_set_mp_state(&self->m.vcpu[1], &state));
		vcpu_get_mp_state(&self->m.vcpu[1], &state);
		EXPECT_EQ(states[i].get, state.mp_state) {
			TH_LOG("row %zu", i);
		}
	}
}

TEST_F(with_apic, the_first_vcpu_is_runnable)
{
	struct kvm_mp_state state;

	vcpu_get_mp_state(&self->m.vcpu[0], &state);
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, state.mp_state);
	vcpu_get_mp_state(&self->m.vcpu[1], &state);
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, state.mp_state);
}

#define VECTOR 0x45

static volatile u32 taken;

GUEST_ISR(on_vector)
{
	taken++;
	xapic_write(APIC_EOI, 0);
}

static volatile bool resumed;

GUEST goes_on(u64 arg)
{
	(void)arg;
	xapic_enable();
	sti();
	guest_say(0);
	resumed = true;
	guest_done();
}

/* Userspace restores a halted vCPU: it stays asleep until there is an interrupt. */
TEST_F(with_apic, a_halted_vcpu_wakes_by_an_interrupt)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };

	machine_set_gate(&self->m, VECTOR, on_vector);
	machine_enter_at(&self->m, 0, goes_on, 0);
	vcpu_run_until_say(&self->m.vcpu[0]);
	vcpu_set_mp_state(&self->m.vcpu[0], &state);
	machine_start(&self->m, 0);
	usleep(50000);
	EXPECT_FALSE(resumed);
	EXPECT_EQ(1, __vm_signal_msi(&self->m.vm, MSI_ADDRESS(0), VECTOR));
	machine_join(&self->m, 0);
	EXPECT_EQ(1u, taken);
	EXPECT_TRUE(resumed);
}

TEST_HARNESS_MAIN
