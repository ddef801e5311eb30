// SPDX-License-Identifier: GPL-2.0
/* Which MSRs guests may access, and accesses that userspace answers. */
#include <sched.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define R	KVM_MSR_FILTER_READ
#define W	KVM_MSR_FILTER_WRITE
#define DENY	KVM_MSR_FILTER_DEFAULT_DENY
#define INVAL	KVM_MSR_EXIT_REASON_INVAL
#define UNKNOWN	KVM_MSR_EXIT_REASON_UNKNOWN
#define FILTER	KVM_MSR_EXIT_REASON_FILTER
#define ALL	(INVAL | UNKNOWN | FILTER)

#define MAX_MSRS	(8u * KVM_MSR_FILTER_MAX_BITMAP_SIZE)

#define SYSENTER_CS	0x174
#define SYSENTER_ESP	0x175
#define SYSENTER_EIP	0x176
#define STAR		0xc0000081
#define LSTAR		0xc0000082
#define CSTAR		0xc0000083
#define SFMASK		0xc0000084
#define FS_BASE		0xc0000100
#define GS_BASE		0xc0000101
#define KERNEL_GS_BASE	0xc0000102
#define EFER		0xc0000080
#define NOWHERE		0x474f4f00
#define WRAPPED		0xffffff80

#define BEFORE	0x1230ul
#define VALUE	0x4560ul
#define ANSWER	0x0123456789abcdeful

struct range {
	u32 flags, base, nmsrs;
	u32 except;	/* the one MSR that is treated unlike the others */
	bool denies;	/* the others */
};

enum outcome { DONE, FAULT, EXIT };

FIXTURE(access) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(access) {
	u32 index;
	bool write;
	u32 exits;	/* of the capability */
	bool filter;
	u32 flags;	/* of the filter */
	struct range ranges[3];
	enum outcome outcome;
	u32 reason;
	u64 value;	/* to write, if not VALUE */
};
FIXTURE_SETUP(access)
{
	if (device_cap(KVM_CAP_X86_MSR_FILTER) <= 0)
		SKIP(return, "the device has no KVM_CAP_X86_MSR_FILTER");
	vm_create(&self->vm);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(access)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

#define ROW(id, ...) FIXTURE_VARIANT_ADD(access, id) { __VA_ARGS__ }

/* Without a filter: what the kernel does not know, and what it does not take. */
ROW(unknown_read, NOWHERE, false, UNKNOWN, .outcome = EXIT, .reason = UNKNOWN);
ROW(unknown_write, NOWHERE, true, ALL, .outcome = EXIT, .reason = UNKNOWN);
ROW(unknown_read_not_asked_for, NOWHERE, false, INVAL | FILTER, .outcome = FAULT);
ROW(unknown_write_not_asked_for, NOWHERE, true, 0, .outcome = FAULT);
ROW(invalid_write, EFER, true, ALL, .value = 2, .outcome = EXIT, .reason = INVAL);
ROW(invalid_write_not_asked_for, EFER, true, UNKNOWN | FILTER, .value = 2, .outcome = FAULT);
ROW(good_read, STAR, false, ALL);
ROW(good_write, STAR, true, ALL);

/* What guests access without an exit, as a rule. */
#define DENIED(id, msr)								\
ROW(denied_##id##_read, msr, false, ALL, true, DENY,				\
	{ { R | W, 0x10, 1 } }, EXIT, FILTER);					\
ROW(denied_##id##_write, msr, true, ALL, true, DENY,				\
	{ { R | W, 0x10, 1 } }, EXIT, FILTER);					\
ROW(allowed_##id##_read, msr, false, ALL, true, DENY,				\
	{ { R, msr, 1 } });							\
ROW(allowed_##id##_write, msr, true, ALL, true, DENY,				\
	{ { W, msr, 1 } })

DENIED(sysenter_cs, SYSENTER_CS);
DENIED(sysenter_esp, SYSENTER_ESP);
DENIED(sysenter_eip, SYSENTER_EIP);
DENIED(star, STAR);
DENIED(lstar, LSTAR);
DENIED(cstar, CSTAR);
DENIED(sfmask, SFMASK);
DENIED(fs_base, FS_BASE);
DENIED(gs_base, GS_BASE);
DENIED(kernel_gs_base, KERNEL_GS_BASE);
/* And what exits anyway. */
DENIED(power_ctl, 0x1fc);

ROW(denied_not_asked_for, FS_BASE, false, INVAL | UNKNOWN, true, DENY,
	{ { R | W, 0x10, 1 } }, FAULT);
ROW(denied_write_not_asked_for, FS_BASE, true, 0, true, DENY,
	{ { R | W, 0x10, 1 } }, FAULT);
ROW(denied_and_unknown, NOWHERE, false, ALL, true, DENY,
	{ { R | W, 0x10, 1 } }, EXIT, FILTER);
ROW(denied_and_unknown_not_asked_for, NOWHERE, false, UNKNOWN, true, DENY,
	{ { R | W, 0x10, 1 } }, FAULT);
ROW(denied_and_invalid, EFER, true, ALL, true, DENY,
	{ { R | W, 0x10, 1 } }, EXIT, FILTER, 2);
ROW(allowed_and_unknown, NOWHERE, true, ALL, true, DENY,
	{ { W, NOWHERE, 1 } }, EXIT, UNKNOWN);
ROW(allowed_and_invalid, EFER, true, ALL, true, DENY,
	{ { W, EFER, 1 } }, EXIT, INVAL, 2);

/* Reads and writes are told apart. */
ROW(read_denied_write, FS_BASE, true, ALL, true, 0, { { R, FS_BASE, 1, FS_BASE } });
ROW(read_denied_read, FS_BASE, false, ALL, true, 0,
	{ { R, FS_BASE, 1, FS_BASE } }, EXIT, FILTER);
ROW(write_denied_read, FS_BASE, false, ALL, true, 0, { { W, FS_BASE, 1, FS_BASE } });
ROW(write_denied_write, FS_BASE, true, ALL, true, 0,
	{ { W, FS_BASE, 1, FS_BASE } }, EXIT, FILTER);

/* The bitmap's ends, and what is beside it. */
ROW(first_denied, SYSENTER_CS, false, ALL, true, 0,
	{ { R, SYSENTER_CS, 3, SYSENTER_CS } }, EXIT, FILTER);
ROW(last_denied, SYSENTER_EIP, false, ALL, true, 0,
	{ { R, SYSENTER_CS, 3, SYSENTER_EIP } }, EXIT, FILTER);
ROW(before_the_first, SYSENTER_CS, false, ALL, true, 0,
	{ { R, SYSENTER_ESP, 64, .denies = true } });
ROW(behind_the_last, SYSENTER_EIP, false, ALL, true, 0,
	{ { R, SYSENTER_EIP - 64, 64, .denies = true } });
ROW(in_the_second_word, SYSENTER_EIP, false, ALL, true, 0,
	{ { R, SYSENTER_EIP - 64, 65, SYSENTER_EIP } }, EXIT, FILTER);
ROW(as_many_as_there_can_be, SYSENTER_EIP, false, ALL, true, 0,
	{ { R, 0, MAX_MSRS, SYSENTER_EIP } }, EXIT, FILTER);
ROW(last_of_as_many, NOWHERE, false, ALL, true, 0,
	{ { R, NOWHERE - MAX_MSRS + 1, MAX_MSRS, NOWHERE } }, EXIT, FILTER);
ROW(behind_as_many, NOWHERE, false, ALL, true, 0,
	{ { R, NOWHERE - MAX_MSRS, MAX_MSRS, .denies = true } }, EXIT, UNKNOWN);
ROW(a_range_that_wraps, WRAPPED, false, ALL, true, 0,
	{ { R, WRAPPED - 0x40, 0x100, .denies = true } }, EXIT, UNKNOWN);

/* The first range that has the MSR decides. */
ROW(first_of_two_allows, FS_BASE, false, ALL, true, 0,
	{ { R, FS_BASE, 2 }, { R, FS_BASE, 2, .denies = true } });
ROW(first_of_two_denies, FS_BASE, false, ALL, true, 0,
	{ { R, FS_BASE, 2, .denies = true }, { R, FS_BASE, 2 } }, EXIT, FILTER);
ROW(first_of_two_is_for_writes, FS_BASE, false, ALL, true, 0,
	{ { W, FS_BASE, 2, .denies = true }, { R, FS_BASE, 2 } });
ROW(an_empty_one_before, FS_BASE, false, ALL, true, 0,
	{ { ~0u, FS_BASE, 0 }, { 0, FS_BASE, 0 }, { R, FS_BASE, 1, FS_BASE } }, EXIT, FILTER);

/* The local APIC's cannot be filtered. There is none here, so they mean nothing. */
ROW(x2apic, 0x802, false, ALL, true, DENY,
	{ { R | W, 0x800, 0x100, .denies = true } }, EXIT, INVAL);
ROW(last_of_x2apic, 0x8ff, true, FILTER, true, DENY,
	{ { R | W, 0x800, 0x100, .denies = true } }, FAULT);
ROW(before_x2apic, 0x7ff, false, ALL, true, DENY,
	{ { R | W, 0x800, 0x100, .denies = true } }, EXIT, FILTER);
ROW(behind_x2apic, 0x900, false, ALL, true, DENY,
	{ { R | W, 0x800, 0x100, .denies = true } }, EXIT, FILTER);

OBJECT_IOCTL(vm, set_msr_filter, KVM_X86_SET_MSR_FILTER, struct kvm_msr_filter)

static u8 bitmap[3][KVM_MSR_FILTER_MAX_BITMAP_SIZE];

static struct kvm_msr_filter filter_of(u32 flags, const struct range *ranges)
{
	struct kvm_msr_filter filter = { .flags = flags };

	for (int i = 0; i < 3; i++) {
		u32 bit = ranges[i].except - ranges[i].base;

		filter.ranges[i] = (struct kvm_msr_filter_range) {
			.flags = ranges[i].flags,
			.base = ranges[i].base,
			.nmsrs = ranges[i].nmsrs,
			.bitmap = bitmap[i],
		};
		memset(bitmap[i], ranges[i].denies ? 0 : 0xff, sizeof(bitmap[i]));
		if (ranges[i].except)
			bitmap[i][bit / 8] ^= 1 << bit % 8;
	}
	return filter;
}

static void tell_accesses(struct vm *vm, u32 reasons)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { reasons },
	};

	vm_enable_cap(vm, &cap);
}

GUEST_PROGRAM(reads, LONG, "rdmsr\n hlt");
GUEST_PROGRAM(writes, LONG, "wrmsr\n hlt");

#define INSN_SIZE	2
#define GARBAGE		0xaaaaaaaa00000000ul

static void begin(struct vcpu *vcpu, u32 index, bool write, u64 value)
{
	struct row_regs row = {
		.rcx = index, .rax = GARBAGE | (u32)value, .rdx = GARBAGE | value >> 32,
	};

	guest_load(vcpu, write ? &writes : &reads);
	row_set_regs(vcpu, &row);
}

static u64 result(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	if (regs.rax >> 32 || regs.rdx >> 32)
		die("rax %#llx, rdx %#llx", regs.rax, regs.rdx);
	return regs.rdx << 32 | regs.rax;
}

/* Up to the exit, which userspace has yet to answer. */
static void run_to_access(struct __test_metadata *_metadata, struct vcpu *vcpu, u32 index,
			  bool write, u32 reason, u64 value)
{
	struct kvm_run *run = vcpu->run;

	memset(&run->msr, 0xff, sizeof(run->msr));
	vcpu_run_until(vcpu, write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
	ASSERT_EQ(index, run->msr.index);
	ASSERT_EQ(reason, run->msr.reason);
	ASSERT_EQ(0, run->msr.error);
	ASSERT_EQ(write ? value : 0, run->msr.data);
}

static void run_to_fault(struct __test_metadata *_metadata, struct vcpu *vcpu)
{
	struct guest_trap trap;

	run_to_trap(_metadata, vcpu, LONG, GP_VECTOR, &trap);
	EXPECT_EQ(GUEST_CODE, trap.rip);
	EXPECT_EQ(0u, trap.error);
}

/* A guest that reads FS_BASE or the like gets the answer. */
static void expect_denied(struct __test_metadata *_metadata, struct vcpu *vcpu, u32 index)
{
	begin(vcpu, index, false, 0);
	run_to_access(_metadata, vcpu, index, false, FILTER, 0);
	vcpu->run->msr.data = ANSWER;
	run_to_halt(_metadata, vcpu, LONG);
	EXPECT_EQ(ANSWER, result(vcpu));
}

static void expect_allowed(struct __test_metadata *_metadata, struct vcpu *vcpu, u32 index)
{
	begin(vcpu, index, false, 0);
	run_to_halt(_metadata, vcpu, LONG);
	EXPECT_NE(ANSWER, result(vcpu));
}

/* What is an exit is answered in both ways; the kernel has nothing to do with either. */
static void run_access(struct __test_metadata *_metadata, struct vcpu *vcpu,
		       const FIXTURE_VARIANT(access) *row, bool fails)
{
	u64 value = row->value ?: VALUE;
	bool known;

	begin(vcpu, row->index, row->write, value);
	/* Userspace's own accesses are not filtered. */
	known = row->index != EFER && __vcpu_set_msr(vcpu, row->index, BEFORE) == 1;
	if (row->outcome == EXIT) {
		run_to_access(_metadata, vcpu, row->index, row->write, row->reason, value);
		vcpu->run->msr.data = ANSWER;
		vcpu->run->msr.error = fails ? 0x80 : 0;
	}
	if (row->outcome == FAULT || fails) {
		run_to_fault(_metadata, vcpu);
	} else {
		run_to_halt(_metadata, vcpu, LONG);
		if (!row->write)
			EXPECT_EQ(row->outcome == EXIT ? ANSWER : BEFORE, result(vcpu));
	}
	if (known)
		EXPECT_EQ(row->outcome == DONE && row->write ? value : BEFORE,
			  vcpu_get_msr(vcpu, row->index));
}

TEST_F(access, outcome)
{
	struct kvm_msr_filter filter = filter_of(variant->flags, variant->ranges);

	tell_accesses(&self->vm, variant->exits);
	if (variant->filter)
		vm_set_msr_filter(&self->vm, &filter);
	run_access(_metadata, &self->vcpu, variant, false);
	if (variant->outcome == EXIT)
		run_access(_metadata, &self->vcpu, variant, true);
}

FIXTURE(calls) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_SETUP(calls)
{
	if (device_cap(KVM_CAP_X86_MSR_FILTER) <= 0)
		SKIP(return, "the device has no KVM_CAP_X86_MSR_FILTER");
	vm_create(&self->vm);
	tell_accesses(&self->vm, FILTER);
}
FIXTURE_TEARDOWN(calls)
{
	vm_destroy(&self->vm);
}

static const struct range no_fs_base[3] = { { R | W, FS_BASE, 1, .except = FS_BASE } };

/* One of two vCPUs is there before the filter, the other comes later. */
TEST_F(calls, filter_is_of_all_vcpus)
{
	struct kvm_msr_filter filter = filter_of(0, no_fs_base), none = { 0 };
	struct vcpu vcpu[2];

	vcpu_create(&self->vm, &vcpu[0], 0);
	vm_set_msr_filter(&self->vm, &filter);
	vcpu_create(&self->vm, &vcpu[1], 1);
	for (int i = 0; i < 2; i++)
		expect_denied(_metadata, &vcpu[i], FS_BASE);
	vm_set_msr_filter(&self->vm, &none);
	for (int i = 0; i < 2; i++) {
		expect_allowed(_metadata, &vcpu[i], FS_BASE);
		vcpu_destroy(&vcpu[i]);
	}
}

TEST_F(calls, the_last_filter_counts)
{
	static const struct range no_gs_base[3] = { { R, GS_BASE, 1, .except = GS_BASE } };
	struct kvm_msr_filter filter = filter_of(0, no_fs_base), other = filter_of(0, no_gs_base);
	struct vcpu vcpu;

	vcpu_create(&self->vm, &vcpu, 0);
	vm_set_msr_filter(&self->vm, &filter);
	expect_denied(_metadata, &vcpu, FS_BASE);
	vm_set_msr_filter(&self->vm, &other);
	expect_denied(_metadata, &vcpu, GS_BASE);
	expect_allowed(_metadata, &vcpu, FS_BASE);
	vcpu_destroy(&vcpu);
}

/* KVM_RUN finishes the access even if it must not enter the guest. */
TEST_F(calls, immediate_exit)
{
	struct kvm_msr_filter filter = filter_of(0, no_fs_base);
	struct kvm_regs regs;
	struct vcpu vcpu;

	vcpu_create(&self->vm, &vcpu, 0);
	vm_set_msr_filter(&self->vm, &filter);
	begin(&vcpu, FS_BASE, false, 0);
	vcpu_run_until(&vcpu, KVM_EXIT_X86_RDMSR);
	vcpu_get_regs(&vcpu, &regs);
	EXPECT_EQ(GUEST_CODE, regs.rip);
	vcpu.run->msr.data = ANSWER;
	vcpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, __vcpu_run(&vcpu));
	vcpu_get_regs(&vcpu, &regs);
	EXPECT_EQ(GUEST_CODE + INSN_SIZE, regs.rip);
	EXPECT_EQ(ANSWER, result(&vcpu));
	vcpu_destroy(&vcpu);
}

TEST_F(calls, reasons_that_are_none)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR };

	for (int i = 0; i < 64; i++) {
		cap.args[0] = 1ul << i;
		EXPECT_EQ(cap.args[0] & ALL ? 0 : -EINVAL, __vm_enable_cap(&self->vm, &cap));
	}
}

TEST_F(calls, flags_that_are_none)
{
	struct kvm_msr_filter filter = filter_of(0, no_fs_base);

	for (int i = 0; i < 32; i++) {
		filter.flags = 1u << i;
		EXPECT_EQ(filter.flags == DENY ? 0 : -EINVAL, __vm_set_msr_filter(&self->vm, &filter));
	}
	filter.flags = 0;
	for (int i = 0; i < 32; i++) {
		filter.ranges[0].flags = 1u << i;
		EXPECT_EQ(filter.ranges[0].flags & (R | W) ? 0 : -EINVAL,
			  __vm_set_msr_filter(&self->vm, &filter));
	}
	filter.ranges[0].flags = 0;
	EXPECT_EQ(-EINVAL, __vm_set_msr_filter(&self->vm, &filter));
}

TEST_F(calls, sizes)
{
	static const struct range longest[3] = { { R | W, FS_BASE, MAX_MSRS, .denies = true } };
	struct kvm_msr_filter filter = filter_of(0, longest), empty = { 0 };

	EXPECT_EQ(0, __vm_set_msr_filter(&self->vm, &filter));
	filter.ranges[0].nmsrs++;
	EXPECT_EQ(-EINVAL, __vm_set_msr_filter(&self->vm, &filter));
	filter.ranges[0].nmsrs = ~0u;
	EXPECT_EQ(-EINVAL, __vm_set_msr_filter(&self->vm, &filter));
	EXPECT_EQ(0, __vm_set_msr_filter(&self->vm, &empty));
	empty.flags = DENY;
	EXPECT_EQ(-EINVAL, __vm_set_msr_filter(&self->vm, &empty));
	EXPECT_EQ(-EFAULT, __fd_ioctl(self->vm.fd, KVM_X86_SET_MSR_FILTER, 8));
}

/* The ranges are looked at in their order, and what fails leaves the old filter. */
TEST_F(calls, a_failure_changes_nothing)
{
	struct kvm_msr_filter filter = filter_of(0, no_fs_base), bad = { .flags = DENY };
	struct vcpu vcpu;

	vcpu_create(&self->vm, &vcpu, 0);
	vm_set_msr_filter(&self->vm, &filter);
	bad.ranges[0] = (struct kvm_msr_filter_range) { R, 64, GS_BASE, (void *)8 };
	bad.ranges[15] = (struct kvm_msr_filter_range) { 0, 64, GS_BASE, bitmap[0] };
	EXPECT_EQ(-EFAULT, __vm_set_msr_filter(&self->vm, &bad));
	bad.ranges[0].bitmap = bitmap[0];
	EXPECT_EQ(-EINVAL, __vm_set_msr_filter(&self->vm, &bad));
	expect_denied(_metadata, &vcpu, FS_BASE);
	expect_allowed(_metadata, &vcpu, GS_BASE);
	vcpu_destroy(&vcpu);
}

/* A filter that comes and goes while guests run. */
#define VCPUS	2
#define ROUNDS	20

static volatile bool stop;
static volatile u64 answered[VCPUS], direct[VCPUS];

GUEST reads_fs_base(u64 me)
{
	sti();
	while (!stop) {
		if (rdmsr(FS_BASE) == ANSWER)
			answered[me]++;
		else
			direct[me]++;
	}
	guest_done();
}

static void *answer(void *arg)
{
	struct vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;

	for (;;) {
		int ret = __vcpu_run(vcpu);

		if (ret)
			die("KVM_RUN: %s", strerror(-ret));
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_DONE)
			return NULL;
		if (run->exit_reason != KVM_EXIT_X86_RDMSR || run->msr.index != FS_BASE)
			die("exit %s", exit_name(run->exit_reason));
		run->msr.data = ANSWER;
	}
}

static void await(const volatile u64 *count)
{
	u64 seen = *count;

	while (*count < seen + 2)
		sched_yield();
}

/* All guests' accesses are of this kind now, and none is of the other. */
static void expect_only(struct __test_metadata *_metadata, const volatile u64 *now,
			const volatile u64 *no_more)
{
	for (int i = 0; i < VCPUS; i++)
		await(&now[i]);
	for (int i = 0; i < VCPUS; i++) {
		u64 seen = no_more[i];

		await(&now[i]);
		EXPECT_EQ(seen, no_more[i]);
	}
}

FIXTURE_MACHINE(running, NO_IRQCHIP, VCPUS)

TEST_F_TIMEOUT(running, filter_comes_and_goes, LONG_TEST_SECONDS)
{
	struct kvm_msr_filter filter = filter_of(0, no_fs_base), none = { 0 };
	pthread_t thread[VCPUS];

	SKIP_WITHOUT_CAP(KVM_CAP_X86_MSR_FILTER);
	tell_accesses(&self->m.vm, FILTER);
	for (u32 i = 0; i < VCPUS; i++) {
		machine_enter_at(&self->m, i, reads_fs_base, i);
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, answer, &self->m.vcpu[i]));
	}
	expect_only(_metadata, direct, answered);
	for (int round = 0; round < ROUNDS; round++) {
		vm_set_msr_filter(&self->m.vm, &filter);
		expect_only(_metadata, answered, direct);
		vm_set_msr_filter(&self->m.vm, &none);
		expect_only(_metadata, direct, answered);
	}
	stop = true;
	for (u32 i = 0; i < VCPUS; i++)
		pthread_join(thread[i], NULL);
}

TEST_HARNESS_MAIN
