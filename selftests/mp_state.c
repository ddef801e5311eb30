// SPDX-License-Identifier: GPL-2.0
/* Without an in-kernel local APIC every vCPU is runnable, and nothing else. */
#include "lib/harness.h"

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

TEST_HARNESS_MAIN
