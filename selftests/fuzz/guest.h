/* SPDX-License-Identifier: GPL-2.0 */
/* The guest fuzzer's parts: what a guest executes, and the state that it begins with. */
#ifndef SELFTESTS_FUZZ_GUEST_H
#define SELFTESTS_FUZZ_GUEST_H

#include "../lib/guest.h"
#include "fuzz.h"

#define STATE_MSRS	128

/* All that userspace can save of a vCPU. */
struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[STATE_MSRS];
	} msrs;
};

/*
 * What a case may use. Tame: no state but what a CPU can have, so that entry must not
 * fail. Repeatable: nothing whose result depends on time or on the device. Kernel: no
 * way to user mode, for which the emulator is not good enough.
 */
struct limits {
	bool tame, repeatable, kernel;
};

/* Fills memory from at on with instructions for this width of code: 16, 32 or 64. */
void code_make(struct rng *rng, u8 *at, size_t size, int bits, const struct limits *limits);

/* Which MSRs the device saves; and of a vCPU with that CPUID, if it is not the device's own. */
void state_setup(struct kvm_cpuid2 *others_cpuid);
/* NULL, or the call that failed. */
const char *state_save(struct vcpu *vcpu, struct state *state);
const char *state_restore(struct vcpu *vcpu, struct state *state);
/* The first part that differs, or NULL. */
const char *state_difference(const struct state *a, const struct state *b);
/* What no CPU can be in, or NULL. */
const char *state_nonsense(const struct state *state);

/* A mode, and state of all kinds in it. Returns the width of code. */
int state_make(struct rng *rng, struct vcpu *vcpu, struct limits *limits);

#endif
