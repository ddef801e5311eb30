/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a test file includes: the kernel's harness, a VM with one vCPU as a
 * fixture, and rows of guest programs with the exits that they must cause.
 */
#ifndef SELFTESTS_HARNESS_H
#define SELFTESTS_HARNESS_H

#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "guest.h"

/* Emulators are slow, those on a busy machine slower, and a hang must end before the run script's limit. */
#define LONG_TEST_SECONDS 240
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 120

enum step_kind { STEP_END, STEP_OUT, STEP_IN, STEP_WRITE, STEP_READ };

/* One exit to userspace: what it must say and what it is answered with. */
struct step {
	enum step_kind kind;
	u64 address;	/* port or guest-physical address */
	u32 size;
	u64 data;	/* expected of a write, given to a read */
};

#define OUT(port, size, data)	{ STEP_OUT, port, size, data }
#define IN(port, size, data)	{ STEP_IN, port, size, data }
#define WRITE(gpa, size, data)	{ STEP_WRITE, gpa, size, data }
#define READ(gpa, size, data)	{ STEP_READ, gpa, size, data }

/* The general registers that a row sets and checks. */
struct row_regs {
	u64 rax, rbx, rcx, rdx, rsi, rdi;
};

static inline void row_set_regs(struct vcpu *vcpu, const struct row_regs *row)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = row->rax;
	regs.rbx = row->rbx;
	regs.rcx = row->rcx;
	regs.rdx = row->rdx;
	regs.rsi = row->rsi;
	regs.rdi = row->rdi;
	vcpu_set_regs(vcpu, &regs);
}

static inline void row_expect_regs(struct __test_metadata *_metadata,
				   struct vcpu *vcpu, const struct row_regs *row)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(row->rax, regs.rax);
	EXPECT_EQ(row->rbx, regs.rbx);
	EXPECT_EQ(row->rcx, regs.rcx);
	EXPECT_EQ(row->rdx, regs.rdx);
	EXPECT_EQ(row->rsi, regs.rsi);
	EXPECT_EQ(row->rdi, regs.rdi);
}

static inline void run_io_step(struct __test_metadata *_metadata,
			       struct vcpu *vcpu, const struct step *step)
{
	struct kvm_run *run = vcpu->run;
	bool out = step->kind == STEP_OUT;
	u64 data = 0;

	vcpu_run_until(vcpu, KVM_EXIT_IO);
	ASSERT_EQ(out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN, run->io.direction);
	ASSERT_EQ(step->address, run->io.port);
	ASSERT_EQ(step->size, run->io.size);
	ASSERT_EQ(1u, run->io.count);
	ASSERT_LE(run->io.data_offset + step->size, vcpu->run_size);
	if (out) {
		memcpy(&data, (u8 *)run + run->io.data_offset, step->size);
		ASSERT_EQ(step->data, data);
	} else {
		memcpy((u8 *)run + run->io.data_offset, &step->data, step->size);
	}
}

static inline void run_mmio_step(struct __test_metadata *_metadata,
				 struct vcpu *vcpu, const struct step *step)
{
	struct kvm_run *run = vcpu->run;
	bool write = step->kind == STEP_WRITE;
	u64 data = 0;

	vcpu_run_until(vcpu, KVM_EXIT_MMIO);
	ASSERT_EQ(write, run->mmio.is_write);
	ASSERT_EQ(step->address, run->mmio.phys_addr);
	ASSERT_EQ(step->size, run->mmio.len);
	if (write) {
		memcpy(&data, run->mmio.data, step->size);
		ASSERT_EQ(step->data, data);
	} else {
		memcpy(run->mmio.data, &step->data, step->size);
	}
}

/* Runs through the steps, up to the first that is STEP_END. */
static inline void run_steps(struct __test_metadata *_metadata,
			     struct vcpu *vcpu, const struct step *steps)
{
	for (; steps->kind != STEP_END; steps++) {
		if (steps->kind == STEP_OUT || steps->kind == STEP_IN)
			run_io_step(_metadata, vcpu, steps);
		else
			run_mmio_step(_metadata, vcpu, steps);
	}
}

/* Runs the guest up to its HLT, which must be its own and not a trap's. */
static inline void run_to_halt(struct __test_metadata *_metadata,
			       struct vcpu *vcpu, enum guest_mode mode)
{
	struct guest_trap trap;

	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	if (guest_trap(vcpu, mode, &trap) < 0)
		return;
	TH_LOG("vector %d, error %#llx, at rip %#llx", trap.vector,
	       (unsigned long long)trap.error, (unsigned long long)trap.rip);
	_metadata->exit_code = KSFT_FAIL;
	abort();
}

/* Runs the guest up to a trap with this vector. */
static inline void run_to_trap(struct __test_metadata *_metadata,
			       struct vcpu *vcpu, enum guest_mode mode,
			       int vector, struct guest_trap *trap)
{
	vcpu_run_until(vcpu, KVM_EXIT_HLT);
	guest_trap(vcpu, mode, trap);
	ASSERT_EQ(vector, trap->vector);
}

/* Skips the test where this host's CPU cannot show what it is about. */
static inline bool skip_here(struct __test_metadata *_metadata,
			     const struct deviation *deviation)
{
	const char *reason = deviation_here(deviation);

	if (!reason)
		return false;
	SKIP(return true, "%s", reason);
}

static inline void expect_cr2(struct __test_metadata *_metadata, struct vcpu *vcpu, u64 address)
{
	static const struct deviation lost = {
		.bochs_amd = BOCHS_CR2,
	};
	struct kvm_sregs sregs;

	if (deviation_here(&lost)) {
		TH_LOG("%s: CR2 not looked at", deviation_here(&lost));
		return;
	}
	vcpu_get_sregs(vcpu, &sregs);
	EXPECT_EQ(address, sregs.cr2);
}

static inline void run_row(struct __test_metadata *_metadata, struct vcpu *vcpu,
			   enum guest_mode mode, const struct row_regs *in,
			   const struct step *steps, const struct row_regs *out)
{
	row_set_regs(vcpu, in);
	run_steps(_metadata, vcpu, steps);
	run_to_halt(_metadata, vcpu, mode);
	row_expect_regs(_metadata, vcpu, out);
}

/*
 * Rows: FIXTURE guest, one variant a row, and one test that runs it. The file
 * says TEST_GUEST_ROWS once and then GUEST_ROW(name, mode, code, fields...).
 */
#define ROW_STEPS 8

#define TEST_GUEST_ROWS							\
FIXTURE(guest) {							\
	struct vm vm;							\
	struct vcpu vcpu;						\
};									\
FIXTURE_VARIANT(guest) {						\
	struct guest_program program;					\
	struct row_regs in, out;					\
	struct step steps[ROW_STEPS + 1];				\
	struct deviation deviation;					\
};									\
FIXTURE_SETUP(guest)							\
{									\
	vm_create(&self->vm);						\
	vcpu_create(&self->vm, &self->vcpu, 0);				\
	guest_load(&self->vcpu, &variant->program);			\
}									\
FIXTURE_TEARDOWN(guest)							\
{									\
	vcpu_destroy(&self->vcpu);					\
	vm_destroy(&self->vm);						\
}									\
TEST_F(guest, exits_and_registers)					\
{									\
	if (!skip_here(_metadata, &variant->deviation))			\
		run_row(_metadata, &self->vcpu, variant->program.mode,	\
			&variant->in, variant->steps, &variant->out);	\
}

#define GUEST_ROW(id, guest_mode, insns, ...)				\
GUEST_CODE_BYTES(id, BITS_##guest_mode, insns "\n hlt");		\
FIXTURE_VARIANT_ADD(guest, id) {					\
	.program = { guest_mode, id##_start, id##_end }, __VA_ARGS__	\
}

/* The fixture of tests that are not rows: a VM, a vCPU and nothing loaded. */
#define FIXTURE_ONE_VCPU(name)						\
FIXTURE(name) {								\
	struct vm vm;							\
	struct vcpu vcpu;						\
};									\
FIXTURE_SETUP(name)							\
{									\
	vm_create(&self->vm);						\
	vcpu_create(&self->vm, &self->vcpu, 0);				\
}									\
FIXTURE_TEARDOWN(name)							\
{									\
	vcpu_destroy(&self->vcpu);					\
	vm_destroy(&self->vm);						\
}

#endif
