// SPDX-License-Identifier: GPL-2.0
/*
 * Faults while an event is delivered: the second one instead, a double fault, or the
 * end. Whoever delivers the first: the CPU by itself, the CPU at an entry, or again
 * because the second-level tables had not what the delivery needs.
 */
#include "lib/harness.h"

#define TS_VECTOR	10
#define NP_VECTOR	11
#define SS_VECTOR	12
#define IRQ_VECTOR	0x40

#define NON_CANONICAL	0x8000000000000000ul
#define PAGE		0x1000ul
#define COLD_STACK	(GUEST_STACK - PAGE)
#define TSS_IST1	0x24

enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

/*
 * Who raises the first event: the guest's code; the hypervisor, for an instruction that it
 * does; userspace.
 */
enum raiser { CODE, EMULATION, EVENTS, KVM_IRQ, KVM_NMIS };

/* What is wrong with a gate, and what the CPU says of it. */
enum defect { ABSENT, NO_GATE, NO_STACK, SHORT_TSS, UNMAPPED, DEFECTS };

static const u8 second_vector[DEFECTS] = {
	[ABSENT] = NP_VECTOR, [NO_GATE] = GP_VECTOR, [NO_STACK] = SS_VECTOR,
	[SHORT_TSS] = TS_VECTOR, [UNMAPPED] = PF_VECTOR,
};

FIXTURE(first) {
	struct vm vm;
	struct vcpu vcpu;
};
FIXTURE_VARIANT(first) {
	struct guest_program program;
	struct row_regs in;
	enum raiser raiser;
	u8 vector;
	enum class class;
	struct deviation deviation;
};

/* The descriptor tables and the stack are in slots of their own. */
static const struct { u64 from, to; } pieces[] = {
	{ 0, GUEST_IDT }, { GUEST_PML4, COLD_STACK }, { GUEST_STACK, RAM_SIZE },
	{ GUEST_IDT, GUEST_PML4 }, { COLD_STACK, GUEST_STACK },
};
#define COLD_PIECES 3	/* the first that is */

static void set_piece(struct vm *vm, u32 i, bool there)
{
	vm_set_memory(vm, i, 0, pieces[i].from, there ? pieces[i].to - pieces[i].from : 0,
		      vm->ram + pieces[i].from);
}

FIXTURE_SETUP(first)
{
	vm_create(&self->vm);
	vm_set_memory(&self->vm, 0, 0, 0, 0, self->vm.ram);
	for (u32 i = 0; i < ARRAY_SIZE(pieces); i++)
		set_piece(&self->vm, i, true);
	vcpu_create(&self->vm, &self->vcpu, 0);
}
FIXTURE_TEARDOWN(first)
{
	vcpu_destroy(&self->vcpu);
	vm_destroy(&self->vm);
}

/* Nothing of them is in the second-level tables any more. */
static void make_cold(struct vm *vm)
{
	for (u32 i = COLD_PIECES; i < ARRAY_SIZE(pieces); i++) {
		set_piece(vm, i, false);
		set_piece(vm, i, true);
	}
}

#define FIRST_ROW(id, insns, ...)					\
GUEST_CODE_BYTES(id, "64", insns "\n hlt");				\
FIXTURE_VARIANT_ADD(first, id) {					\
	.program = { LONG, id##_start, id##_end }, __VA_ARGS__		\
}

FIRST_ROW(de, "div %ecx", .vector = DE_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(db, "pushf\n orl $0x100, (%rsp)\n popf\n nop", .vector = DB_VECTOR);
FIRST_ROW(bp, "int3", .vector = BP_VECTOR);
FIRST_ROW(ud, "ud2", .vector = UD_VECTOR);
FIRST_ROW(np, "mov %ecx, %ds", .in.rcx = SEL_CODE16, .vector = NP_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(ss, "mov %ecx, %ss", .in.rcx = SEL_CODE16, .vector = SS_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(gp, "mov (%rcx), %eax", .in.rcx = NON_CANONICAL, .vector = GP_VECTOR,
	  .class = CONTRIBUTORY);
FIRST_ROW(pf, "mov (%rcx), %eax", .in.rcx = UNMAPPED_GVA, .vector = PF_VECTOR,
	  .class = PAGE_FAULT);
FIRST_ROW(software, "int $0x40", .vector = IRQ_VECTOR, .deviation.bochs_amd = BOCHS_SOFT);
FIRST_ROW(gp_emulated, "rdmsr", .in.rcx = 0x12345678, .raiser = EMULATION, .vector = GP_VECTOR,
	  .class = CONTRIBUTORY);
FIRST_ROW(pf_emulated, "mov (%rcx), %rax", .in.rcx = UNMAPPED_GVA - 4, .raiser = EMULATION,
	  .vector = PF_VECTOR, .class = PAGE_FAULT);
FIRST_ROW(de_injected, "nop", .raiser = EVENTS, .vector = DE_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(ud_injected, "nop", .raiser = EVENTS, .vector = UD_VECTOR);
FIRST_ROW(ts_injected, "nop", .raiser = EVENTS, .vector = TS_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(np_injected, "nop", .raiser = EVENTS, .vector = NP_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(ss_injected, "nop", .raiser = EVENTS, .vector = SS_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(gp_injected, "nop", .raiser = EVENTS, .vector = GP_VECTOR, .class = CONTRIBUTORY);
FIRST_ROW(pf_injected, "nop", .raiser = EVENTS, .vector = PF_VECTOR, .class = PAGE_FAULT);
FIRST_ROW(mf_injected, "nop", .raiser = EVENTS, .vector = 16);
FIRST_ROW(ac_injected, "nop", .raiser = EVENTS, .vector = 17);
FIRST_ROW(interrupt, "sti\n nop\n nop", .raiser = KVM_IRQ, .vector = IRQ_VECTOR);
FIRST_ROW(nmi, "nop", .raiser = KVM_NMIS, .vector = NMI_VECTOR);

static bool doubles(enum class first, enum defect second)
{
	return first == PAGE_FAULT || (first == CONTRIBUTORY && second != UNMAPPED);
}

static void spoil(struct vcpu *vcpu, u8 vector, enum defect defect)
{
	u8 *gate = vcpu->vm->ram + GUEST_IDT + 16 * vector;

	if (defect == ABSENT)
		gate[5] &= 0x7f;
	else if (defect == NO_GATE)
		gate[5] &= 0xf0;
	else
		gate[4] = 1;	/* the stack that IST1 names */
}

static void prepare(struct vcpu *vcpu, const FIXTURE_VARIANT(first) *variant,
		    enum defect defect)
{
	u64 *not_present = (u64 *)(vcpu->vm->ram + GUEST_GDT + SEL_CODE16);
	u64 *ist1 = (u64 *)(vcpu->vm->ram + GUEST_TSS + TSS_IST1);
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;

	vcpu_get_events(vcpu, &events);
	events.nmi.masked = 0;
	vcpu_set_events(vcpu, &events);
	guest_load(vcpu, &variant->program);
	row_set_regs(vcpu, &variant->in);
	*not_present = 0x00cf13000000ffff;
	*ist1 = defect == NO_STACK ? NON_CANONICAL : UNMAPPED_GVA + PAGE;
	vcpu_get_sregs(vcpu, &sregs);
	if (defect == SHORT_TSS)
		sregs.tr.limit = TSS_IST1 - 1;
	vcpu_set_sregs(vcpu, &sregs);
}

static void inject(struct vcpu *vcpu, u8 vector)
{
	struct kvm_vcpu_events events;

	vcpu_get_events(vcpu, &events);
	events.exception.injected = 1;
	events.exception.nr = vector;
	events.exception.has_error_code = vector_has_error_code(vector);
	vcpu_set_events(vcpu, &events);
}

static void raise_first(struct vcpu *vcpu, enum raiser raiser, u8 vector)
{
	struct kvm_interrupt irq = { vector };
	struct kvm_regs regs;

	switch (raiser) {
	case CODE:
	case EMULATION:
		break;
	case EVENTS:
		inject(vcpu, vector);
		break;
	case KVM_IRQ:
		vcpu_get_regs(vcpu, &regs);
		regs.rflags |= RFLAGS_IF;
		vcpu_set_regs(vcpu, &regs);
		vcpu_interrupt(vcpu, &irq);
		break;
	case KVM_NMIS:
		vcpu_nmi(vcpu, NULL);
	}
}

static const char *const defects[DEFECTS] = {
	[ABSENT] = "absent gate", [NO_GATE] = "no gate", [NO_STACK] = "non-canonical stack",
	[SHORT_TSS] = "short TSS", [UNMAPPED] = "unmapped stack",
};

/*
 * The gates of @depth events in a row cannot be used: the first one's has the defect, the
 * others are absent. Without any, what delivery needs is touched at least.
 */
static void run_chain(struct __test_metadata *_metadata, struct vcpu *vcpu,
		      const FIXTURE_VARIANT(first) *variant, enum defect defect, int depth, bool cold)
{
	u8 second = doubles(variant->class, defect) ? DF_VECTOR : second_vector[defect];
	const int chain[] = { variant->vector, second, second == DF_VECTOR ? -1 : DF_VECTOR, -1 };
	struct guest_trap trap;

	prepare(vcpu, variant, defect);
	for (int i = 0; i < depth; i++)
		spoil(vcpu, chain[i], i ? ABSENT : defect);
	if (cold)
		make_cold(vcpu->vm);
	raise_first(vcpu, variant->raiser, variant->vector);
	ASSERT_EQ(0, __vcpu_run(vcpu));
	if (chain[depth] < 0) {
		EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu->run->exit_reason) {
			TH_LOG("%s, %d deep", defects[defect], depth);
		}
		return;
	}
	EXPECT_EQ(KVM_EXIT_HLT, vcpu->run->exit_reason);
	EXPECT_EQ(chain[depth], guest_trap(vcpu, LONG, &trap)) {
		TH_LOG("%s, %d deep", defects[defect], depth);
	}
	if (chain[depth] == DF_VECTOR)
		EXPECT_EQ(0u, trap.error);
}

static const struct deviation forgets = {
	.qemu = "QEMU forgets which fault it delivers, if it was injected",
};

static void run_all(struct __test_metadata *_metadata, struct vcpu *vcpu,
		    const FIXTURE_VARIANT(first) *variant, bool cold)
{
	if (skip_here(_metadata, &variant->deviation))
		return;
	if (variant->class != BENIGN && (cold || variant->raiser) && skip_here(_metadata, &forgets))
		return;
	for (enum defect defect = 0; defect < DEFECTS; defect++) {
		int end = doubles(variant->class, defect) ? 2 : 3;

		for (int depth = 0; depth <= end; depth++)
			run_chain(_metadata, vcpu, variant, defect, depth, cold);
	}
}

TEST_F(first, faults)
{
	run_all(_metadata, &self->vcpu, variant, false);
}

TEST_F(first, faults_behind_violations)
{
	run_all(_metadata, &self->vcpu, variant, true);
}

TEST_HARNESS_MAIN
