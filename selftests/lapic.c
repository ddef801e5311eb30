// SPDX-License-Identifier: GPL-2.0
/* The local APIC as the guest sees it, through memory and as an x2APIC. */
#include <unistd.h>

#include "lib/harness.h"
#include "lib/machine.h"

#define LOW	0x41
#define MIDDLE	0x45	/* of the same class */
#define HIGH	0x51
#define TIMER	0x61

static volatile u32 taken[256];		/* by vector */
static volatile u8 order[16];		/* vectors, in the order taken */
static volatile u32 count;
static volatile u32 faults;
static volatile u64 result[32];

GUEST_INLINE void note(u8 vector)
{
	order[count++ % 16] = vector;
	taken[vector]++;
}

GUEST_INLINE void self_ipi(u8 vector)
{
	apic_icr(0, ICR_SELF | ICR_ASSERT | vector);
}

/* The handlers of plain vectors: note it, and tell the APIC. */
#define PLAIN_ISR(name, vector)						\
GUEST_ISR(name)								\
{									\
	note(vector);							\
	apic_eoi();							\
}
PLAIN_ISR(on_middle, MIDDLE)
PLAIN_ISR(on_high, HIGH)
PLAIN_ISR(on_timer, TIMER)

/* Lets others in while it is being serviced. */
GUEST_ISR(on_low)
{
	note(LOW);
	self_ipi(MIDDLE);
	take_interrupts();
	result[0] = apic_read(APIC_PPR);
	result[1] = taken[MIDDLE];
	self_ipi(HIGH);
	take_interrupts();
	result[2] = taken[HIGH];
	result[3] = apic_bit(APIC_ISR, LOW);
	result[4] = apic_bit(APIC_ISR, HIGH);
	apic_eoi();
}

/* RDMSR and WRMSR are two bytes long: go on behind them. */
GUEST_FAULT_ISR(on_gp)
{
	faults++;
	frame->ip += 2;
}

FIXTURE(apic) {
	struct machine m;
};
FIXTURE_VARIANT(apic) {
	bool x2apic;
};
FIXTURE_VARIANT_ADD(apic, xapic) { false };
FIXTURE_VARIANT_ADD(apic, x2apic) { true };
FIXTURE_SETUP(apic)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	machine_create(&self->m, KERNEL_IRQCHIP, 1);
	machine_set_gate(&self->m, LOW, on_low);
	machine_set_gate(&self->m, MIDDLE, on_middle);
	machine_set_gate(&self->m, HIGH, on_high);
	machine_set_gate(&self->m, TIMER, on_timer);
	machine_set_gate(&self->m, GP_VECTOR, on_gp);
}
FIXTURE_TEARDOWN(apic)
{
	machine_destroy(&self->m);
}

static void run_guest(struct machine *m, void (*guest)(u64), u64 arg)
{
	machine_enter_at(m, 0, guest, arg);
	vcpu_run_until_done(&m->vcpu[0]);
}

GUEST_INLINE void apic_enable(bool x2apic)
{
	if (x2apic)
		x2apic_enable();
	else
		xapic_enable();
}

GUEST self_ipis(u64 x2apic)
{
	apic_enable(x2apic);
	for (int i = 0; i < 10; i++) {
		self_ipi(HIGH);
		take_interrupts();
	}
	result[0] = apic_bit(APIC_ISR, HIGH) | apic_bit(APIC_IRR, HIGH);
	guest_done();
}

TEST_F(apic, self_ipi)
{
	run_guest(&self->m, self_ipis, variant->x2apic);
	EXPECT_EQ(10u, taken[HIGH]);
	EXPECT_EQ(0u, result[0]);
}

GUEST masks_by_priority(u64 x2apic)
{
	apic_enable(x2apic);
	apic_write(APIC_TPR, 0x50);
	self_ipi(HIGH);
	take_interrupts();
	result[0] = taken[HIGH];
	result[1] = apic_bit(APIC_IRR, HIGH);
	result[2] = apic_read(APIC_PPR);
	apic_write(APIC_TPR, 0x4f);
	take_interrupts();
	result[3] = taken[HIGH];
	result[4] = apic_bit(APIC_IRR, HIGH);
	guest_done();
}

TEST_F(apic, task_priority_masks)
{
	run_guest(&self->m, masks_by_priority, variant->x2apic);
	EXPECT_EQ(0u, result[0]);
	EXPECT_EQ(1u, result[1]);
	EXPECT_EQ(0x50u, result[2]);
	EXPECT_EQ(1u, result[3]);
	EXPECT_EQ(0u, result[4]);
}

GUEST writes_cr8(u64 x2apic)
{
	apic_enable(x2apic);
	set_cr8(7);
	result[0] = apic_read(APIC_TPR);
	apic_write(APIC_TPR, 0x3f);
	result[1] = get_cr8();
	set_cr8(5);
	self_ipi(HIGH);
	take_interrupts();
	result[2] = taken[HIGH];
	set_cr8(4);
	take_interrupts();
	result[3] = taken[HIGH];
	set_cr8(0);
	guest_done();
}

TEST_F(apic, cr8_is_the_task_priority)
{
	run_guest(&self->m, writes_cr8, variant->x2apic);
	EXPECT_EQ(0x70u, result[0]);
	EXPECT_EQ(3u, result[1]);
	EXPECT_EQ(0u, result[2]);
	EXPECT_EQ(1u, result[3]);
}

GUEST nests(u64 x2apic)
{
	apic_enable(x2apic);
	self_ipi(LOW);
	take_interrupts();
	take_interrupts();
	result[5] = taken[MIDDLE];
	guest_done();
}

TEST_F(apic, higher_classes_nest_and_others_wait_for_the_eoi)
{
	static const u8 expected[] = { LOW, HIGH, MIDDLE };

	run_guest(&self->m, nests, variant->x2apic);
	EXPECT_EQ(LOW & 0xf0u, result[0]);
	EXPECT_EQ(0u, result[1]);
	EXPECT_EQ(1u, result[2]);
	EXPECT_EQ(1u, result[3]);
	EXPECT_EQ(0u, result[4]);
	EXPECT_EQ(1u, result[5]);
	EXPECT_EQ(ARRAY_SIZE(expected), count);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		EXPECT_EQ(expected[i], order[i]);
}

GUEST pends_many(u64 x2apic)
{
	apic_enable(x2apic);
	self_ipi(MIDDLE);
	self_ipi(TIMER);
	self_ipi(HIGH);
	self_ipi(HIGH);
	for (int i = 0; i < 5; i++)
		take_interrupts();
	guest_done();
}

TEST_F(apic, pending_vectors_come_highest_first_and_merge)
{
	static const u8 expected[] = { TIMER, HIGH, MIDDLE };

	run_guest(&self->m, pends_many, variant->x2apic);
	EXPECT_EQ(ARRAY_SIZE(expected), count);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		EXPECT_EQ(expected[i], order[i]);
}

GUEST one_shot(u64 x2apic)
{
	apic_enable(x2apic);
	apic_write(APIC_TDCR, TDCR_BY_1);
	apic_write(APIC_LVTT, TIMER);
	apic_write(APIC_TMICT, 10000);
	sti();
	while (!taken[TIMER])
		relax();
	result[0] = apic_read(APIC_TMCCT);
	apic_write(APIC_TMICT, 20000);
	while (taken[TIMER] < 2)
		relax();
	/* As long again, with no leave to interrupt. */
	apic_write(APIC_LVTT, TIMER | LVT_MASKED);
	apic_write(APIC_TMICT, 10000);
	while (apic_read(APIC_TMCCT))
		relax();
	result[1] = apic_bit(APIC_IRR, TIMER);
	guest_done();
}

TEST_F(apic, one_shot_timer)
{
	run_guest(&self->m, one_shot, variant->x2apic);
	EXPECT_EQ(2u, taken[TIMER]);
	EXPECT_EQ(0u, result[0]);
	EXPECT_EQ(0u, result[1]);
}

GUEST periodic(u64 x2apic)
{
	apic_enable(x2apic);
	apic_write(APIC_TDCR, TDCR_BY_1);
	apic_write(APIC_LVTT, TIMER | LVT_PERIODIC);
	apic_write(APIC_TMICT, 1000000);
	while (taken[TIMER] < 5)
		sti_hlt();
	result[0] = apic_read(APIC_TMICT);
	apic_write(APIC_TMICT, 0);
	result[1] = apic_read(APIC_TMCCT);
	guest_done();
}

/* And each halt ends with an interrupt: the kernel does it alone. */
TEST_F(apic, periodic_timer_wakes)
{
	run_guest(&self->m, periodic, variant->x2apic);
	EXPECT_LE(5u, taken[TIMER]);
	EXPECT_EQ(1000000u, result[0]);
	EXPECT_EQ(0u, result[1]);
}

FIXTURE_MACHINE(bus_clock, KERNEL_IRQCHIP, 0)

GUEST counts_slowly(u64 cycles)
{
	u64 start;

	x2apic_enable();
	apic_write(APIC_TDCR, TDCR_BY_1);
	apic_write(APIC_LVTT, TIMER | LVT_MASKED);
	apic_write(APIC_TMICT, 1000000);
	for (start = rdtsc(); rdtsc() - start < cycles; )
		relax();
	result[0] = apic_read(APIC_TMCCT);
	guest_done();
}

/* A quarter of an hour, where the clock that there is by default would need a millisecond. */
TEST_F(bus_clock, is_as_slow_as_userspace_wants)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { 1000000 } };

	if (!__vm_check_extension(&self->m.vm, cap.cap))
		SKIP(return, "no KVM_CAP_X86_APIC_BUS_CYCLES_NS");
	vm_enable_cap(&self->m.vm, &cap);
	machine_add_vcpu(&self->m);
	run_guest(&self->m, counts_slowly, 10 * __fd_ioctl(self->m.vcpu[0].fd, KVM_GET_TSC_KHZ, 0));
	EXPECT_LT(900000u, result[0]);
	EXPECT_GT(1000000u, result[0]);
}

GUEST counts_down(u64 x2apic)
{
	apic_enable(x2apic);
	apic_write(APIC_TDCR, TDCR_BY_1);
	apic_write(APIC_LVTT, TIMER | LVT_MASKED);
	apic_write(APIC_TMICT, 0xffffffff);
	for (int i = 0; i < 4; i++)
		result[i] = apic_read(APIC_TMCCT);
	result[4] = apic_read(APIC_TMICT);
	result[5] = apic_read(APIC_TDCR);
	guest_done();
}

TEST_F(apic, the_count_goes_down)
{
	run_guest(&self->m, counts_down, variant->x2apic);
	EXPECT_GE(0xffffffffu, result[0]);
	for (int i = 0; i < 3; i++)
		EXPECT_GE(result[i], result[i + 1]);
	EXPECT_LT(0u, result[3]);
	EXPECT_EQ(0xffffffffu, result[4]);
	EXPECT_EQ(TDCR_BY_1, result[5]);
}

GUEST deadline(u64 x2apic)
{
	u64 when;

	apic_enable(x2apic);
	wrmsr(MSR_TSC_DEADLINE, -1ul);		/* not in this mode yet */
	result[0] = rdmsr(MSR_TSC_DEADLINE);
	apic_write(APIC_LVTT, TIMER | LVT_DEADLINE);
	when = rdtsc() + 1000000;
	wrmsr(MSR_TSC_DEADLINE, when);
	sti_hlt();
	cli();
	result[1] = rdtsc() >= when;
	result[2] = rdmsr(MSR_TSC_DEADLINE);
	result[3] = taken[TIMER];
	wrmsr(MSR_TSC_DEADLINE, 1);		/* long past */
	sti();
	while (taken[TIMER] < 2)
		relax();
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ul << 40));
	result[4] = rdmsr(MSR_TSC_DEADLINE) != 0;
	wrmsr(MSR_TSC_DEADLINE, 0);
	result[5] = rdmsr(MSR_TSC_DEADLINE);
	/* A change of mode disarms, too. */
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ul << 40));
	apic_write(APIC_LVTT, TIMER);
	apic_write(APIC_LVTT, TIMER | LVT_DEADLINE);
	result[6] = rdmsr(MSR_TSC_DEADLINE);
	guest_done();
}

TEST_F(apic, tsc_deadline)
{
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	run_guest(&self->m, deadline, variant->x2apic);
	EXPECT_EQ(0u, result[0]);
	EXPECT_EQ(1u, result[1]);
	EXPECT_EQ(0u, result[2]);
	EXPECT_EQ(1u, result[3]);
	EXPECT_EQ(1u, result[4]);
	EXPECT_EQ(0u, result[5]);
	EXPECT_EQ(0u, result[6]);
	EXPECT_EQ(2u, taken[TIMER]);
}

GUEST disables(u64 x2apic)
{
	apic_enable(x2apic);
	apic_write(APIC_LVTERR, TIMER);
	apic_write(APIC_SVR, 0xff);
	result[0] = apic_read(APIC_LVTERR);
	apic_write(APIC_LVTERR, TIMER);
	result[1] = apic_read(APIC_LVTERR);
	self_ipi(HIGH);
	take_interrupts();
	apic_write(APIC_SVR, APIC_SVR_ENABLE | 0xff);
	result[2] = apic_read(APIC_LVTERR);
	take_interrupts();
	guest_done();
}

TEST_F(apic, disabled_by_software)
{
	run_guest(&self->m, disables, variant->x2apic);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(TIMER | LVT_MASKED, result[i]);
	EXPECT_EQ(0u, count);
}

/* What is written and read back: the bits that there are. */
static const struct {
	u32 reg, written, read;
	bool xapic_only;
} storage[] = {
	{ APIC_TPR, 0xa0, 0xa0, false },
	{ APIC_LVTT, 0x200e1, 0x200e1, false },
	{ APIC_LVTTHMR, 0x104e2, 0x104e2, false },
	{ APIC_LVTPC, 0x104e2, 0x104e2, false },
	{ APIC_LVT0, 0x18700, 0x18700, false },
	{ APIC_LVT1, 0x10400, 0x10400, false },
	{ APIC_LVTERR, 0x100fe, 0x100fe, false },
	{ APIC_TDCR, 0xb, 0xb, false },
	{ APIC_TMICT, 0, 0, false },
	{ APIC_LDR, 0x5a000000, 0x5a000000, true },
	{ APIC_LDR, 0x5affffff, 0x5a000000, true },
	{ APIC_DFR, 0x0fffffff, 0x0fffffff, true },
	{ APIC_SVR, 0x1ff, 0x1ff, false },
};

GUEST stores(u64 x2apic)
{
	apic_enable(x2apic);
	for (size_t i = 0; i < ARRAY_SIZE(storage); i++) {
		if (x2apic && storage[i].xapic_only)
			continue;
		apic_write(storage[i].reg, storage[i].written);
		result[i] = apic_read(storage[i].reg);
		apic_write(APIC_TPR, 0);
	}
	guest_done();
}

TEST_F(apic, storage)
{
	run_guest(&self->m, stores, variant->x2apic);
	for (size_t i = 0; i < ARRAY_SIZE(storage); i++) {
		if (variant->x2apic && storage[i].xapic_only)
			continue;
		EXPECT_EQ(storage[i].read, result[i]) {
			TH_LOG("register %#x", storage[i].reg);
		}
	}
}

FIXTURE_MACHINE(x2apic, KERNEL_IRQCHIP, 2)

/* Each access of the guest to an MSR, and whether it faults. */
static const struct {
	u32 index;
	bool write, xapic, faults;
	u64 value;
} accesses[] = {
	{ MSR_X2APIC + 0x02, .xapic = true, .faults = true },	/* not in this mode */
	{ MSR_X2APIC + 0x08, .xapic = true, .write = true, .faults = true },
	{ MSR_X2APIC + 0x02, .faults = false },
	{ MSR_X2APIC + 0x02, .write = true, .faults = true },	/* read only */
	{ MSR_X2APIC + 0x03, .faults = false },
	{ MSR_X2APIC + 0x03, .write = true, .faults = true },
	{ MSR_X2APIC + 0x08, .faults = false },
	{ MSR_X2APIC + 0x08, .write = true, .value = 1ull << 32, .faults = true },
	{ MSR_X2APIC + 0x0b, .write = true },
	{ MSR_X2APIC + 0x0b, .faults = true },			/* write only */
	{ MSR_X2APIC + 0x0d, .faults = false },
	{ MSR_X2APIC + 0x0d, .write = true, .faults = true },
	{ MSR_X2APIC + 0x0e, .faults = true },			/* there is no DFR */
	{ MSR_X2APIC + 0x0e, .write = true, .faults = true },
	{ MSR_X2APIC + 0x10, .faults = false },
	{ MSR_X2APIC + 0x27, .faults = false },
	{ MSR_X2APIC + 0x27, .write = true, .faults = true },
	{ MSR_X2APIC + 0x28, .faults = false },
	{ MSR_X2APIC + 0x28, .write = true },
	{ MSR_X2APIC + 0x28, .write = true, .value = 1, .faults = true },
	{ MSR_X2APIC + 0x30, .faults = false },
	{ MSR_X2APIC + 0x31, .faults = true },			/* ICR is one register */
	{ MSR_X2APIC + 0x31, .write = true, .faults = true },
	{ MSR_X2APIC + 0x39, .faults = false },
	{ MSR_X2APIC + 0x39, .write = true, .faults = true },
	{ MSR_X2APIC + 0x3f, .faults = true },			/* self IPI: write only */
	{ MSR_X2APIC + 0x3f, .write = true, .value = 0x100, .faults = true },
	{ MSR_X2APIC + 0x04, .faults = true },			/* reserved */
	{ MSR_X2APIC + 0x40, .faults = true },
	{ MSR_X2APIC + 0xff, .faults = true },
};

GUEST accesses_msrs(u64 xapic)
{
	if (!xapic)
		x2apic_enable();
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		if (accesses[i].xapic != xapic)
			continue;
		faults = 0;
		if (accesses[i].write)
			wrmsr(accesses[i].index, accesses[i].value);
		else
			rdmsr(accesses[i].index);
		result[i] = faults;
	}
	guest_done();
}

TEST_F(x2apic, msr_accesses)
{
	machine_set_gate(&self->m, GP_VECTOR, on_gp);
	_Static_assert(ARRAY_SIZE(accesses) <= ARRAY_SIZE(result), "each has a result");
	run_guest(&self->m, accesses_msrs, true);
	run_guest(&self->m, accesses_msrs, false);
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		EXPECT_EQ(accesses[i].faults, result[i]) {
			TH_LOG("MSR %#x, write %d", accesses[i].index, accesses[i].write);
		}
	}
}

GUEST sends_to_itself(u64 arg)
{
	(void)arg;
	x2apic_enable();
	x2apic_write(APIC_SELF_IPI, HIGH);
	take_interrupts();
	guest_done();
}

TEST_F(x2apic, self_ipi_register)
{
	machine_set_gate(&self->m, HIGH, on_high);
	run_guest(&self->m, sends_to_itself, 0);
	EXPECT_EQ(1u, taken[HIGH]);
}

#define BASE_OFF	APIC_GPA
#define BASE_XAPIC	(APIC_GPA | APICBASE_ENABLE)
#define BASE_X2APIC	(APIC_GPA | APICBASE_ENABLE | APICBASE_X2APIC)

/* One after the other, by the guest. */
static const struct {
	u64 base;
	bool faults;
} transitions[] = {
	{ BASE_XAPIC, false },
	{ BASE_XAPIC | 1, true },		/* reserved */
	{ BASE_XAPIC | 1ull << 63, true },
	{ BASE_OFF | APICBASE_X2APIC, true },
	{ BASE_X2APIC, false },
	{ BASE_X2APIC, false },
	{ BASE_XAPIC, true },			/* only through off */
	{ BASE_OFF, false },
	{ BASE_X2APIC, true },			/* only through xAPIC */
	{ BASE_OFF, false },
	{ BASE_XAPIC, false },
	{ BASE_X2APIC, false },
};

GUEST changes_modes(u64 arg)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
		faults = 0;
		wrmsr(MSR_APICBASE, transitions[i].base | APICBASE_BSP);
		result[i] = faults;
	}
	guest_done();
}

TEST_F(x2apic, transitions_by_the_guest)
{
	machine_set_gate(&self->m, GP_VECTOR, on_gp);
	run_guest(&self->m, changes_modes, 0);
	for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
		EXPECT_EQ(transitions[i].faults, result[i]) {
			TH_LOG("transition %zu", i);
		}
	}
	EXPECT_EQ(BASE_X2APIC | APICBASE_BSP, vcpu_get_msr(&self->m.vcpu[0], MSR_APICBASE));
}

/* Userspace may go from any mode to any, but not to what is no mode. */
TEST_F(x2apic, transitions_by_userspace)
{
	static const u64 modes[] = { BASE_OFF, BASE_XAPIC, BASE_X2APIC };
	struct vcpu *vcpu = &self->m.vcpu[0];

	for (size_t from = 0; from < ARRAY_SIZE(modes); from++) {
		for (size_t to = 0; to < ARRAY_SIZE(modes); to++) {
			ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_APICBASE, modes[from]));
			ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_APICBASE, modes[to]));
			ASSERT_EQ(modes[to], vcpu_get_msr(vcpu, MSR_APICBASE));
		}
	}
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_APICBASE, BASE_OFF | APICBASE_X2APIC));
	EXPECT_EQ(0, __vcpu_set_msr(vcpu, MSR_APICBASE, BASE_XAPIC | 2));
}

static volatile u32 cpuid_edx[3];

GUEST_INLINE u32 leaf_1_edx(void)
{
	u32 eax = 1, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "+c"(ecx), "=d"(edx) : : "rbx");
	return edx;
}

GUEST looks_at_the_page(u64 arg)
{
	(void)arg;
	result[0] = xapic_read(APIC_LVR);
	cpuid_edx[0] = leaf_1_edx();
	wrmsr(MSR_APICBASE, BASE_OFF | APICBASE_BSP);
	result[1] = xapic_read(APIC_LVR);
	cpuid_edx[1] = leaf_1_edx();
	wrmsr(MSR_APICBASE, BASE_XAPIC | APICBASE_BSP);
	x2apic_enable();
	result[2] = xapic_read(APIC_LVR);
	cpuid_edx[2] = leaf_1_edx();
	guest_done();
}

/* KVM's quirk, which is on by default: the page stays a hole. */
TEST_F(x2apic, the_page_exists_in_xapic_mode_only)
{
	run_guest(&self->m, looks_at_the_page, 0);
	EXPECT_EQ(0x14u, result[0] & 0xff);
	EXPECT_EQ(0xffffffffu, result[1]);
	EXPECT_EQ(0xffffffffu, result[2]);
	EXPECT_EQ(1u << 9, cpuid_edx[0] & 1u << 9);
	EXPECT_EQ(0u, cpuid_edx[1] & 1u << 9);
	EXPECT_EQ(1u << 9, cpuid_edx[2] & 1u << 9);
}

TEST_F(x2apic, ids_in_the_state_page)
{
	struct kvm_lapic_state state;

	for (u32 id = 0; id < 2; id++) {
		struct vcpu *vcpu = &self->m.vcpu[id];

		ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_APICBASE, BASE_X2APIC));
		vcpu_get_lapic(vcpu, &state);
		EXPECT_EQ(id << 24, lapic_reg(&state, APIC_ID));
		EXPECT_EQ(1u << id, lapic_reg(&state, APIC_LDR));
		EXPECT_EQ(0, __vcpu_set_lapic(vcpu, &state));
		vcpu_get_lapic(vcpu, &state);
		EXPECT_EQ(id << 24, lapic_reg(&state, APIC_ID));
	}
}

static const struct {
	u32 reg, value;
} reset_page[] = {
	{ APIC_TPR, 0 }, { APIC_PPR, 0 }, { APIC_LDR, 0 }, { APIC_DFR, 0xffffffff },
	{ APIC_SVR, 0xff }, { APIC_ISR, 0 }, { APIC_TMR, 0 }, { APIC_IRR, 0 },
	{ APIC_ESR, 0 }, { APIC_ICR, 0 }, { APIC_ICR2, 0 }, { APIC_LVTT, 0x10000 },
	{ APIC_LVTTHMR, 0x10000 }, { APIC_LVTPC, 0x10000 }, { APIC_LVT1, 0x10000 },
	{ APIC_LVTERR, 0x10000 }, { APIC_TMICT, 0 }, { APIC_TMCCT, 0 }, { APIC_TDCR, 0 },
};

TEST_F(x2apic, reset_page)
{
	struct kvm_lapic_state state;

	for (u32 id = 0; id < 2; id++) {
		vcpu_get_lapic(&self->m.vcpu[id], &state);
		EXPECT_EQ(id << 24, lapic_reg(&state, APIC_ID));
		EXPECT_EQ(0x14u, lapic_reg(&state, APIC_LVR) & 0xff);
		EXPECT_LE(5u, lapic_reg(&state, APIC_LVR) >> 16 & 0xff);
		EXPECT_EQ(id ? 0x10000u : 0x700u, lapic_reg(&state, APIC_LVT0));
		for (size_t i = 0; i < ARRAY_SIZE(reset_page); i++) {
			EXPECT_EQ(reset_page[i].value, lapic_reg(&state, reset_page[i].reg)) {
				TH_LOG("register %#x", reset_page[i].reg);
			}
		}
	}
}

GUEST waits_for_the_timer(u64 again)
{
	while (taken[TIMER] <= again)
		sti_hlt();
	guest_done();
}

/* Userspace restores a timer that runs, and it goes on. */
TEST_F(x2apic, set_lapic_starts_the_timer)
{
	struct kvm_lapic_state state;

	machine_set_gate(&self->m, TIMER, on_timer);
	vcpu_get_lapic(&self->m.vcpu[0], &state);
	lapic_set_reg(&state, APIC_SVR, 0x1ff);
	lapic_set_reg(&state, APIC_LVTT, TIMER);
	lapic_set_reg(&state, APIC_TDCR, TDCR_BY_1);
	lapic_set_reg(&state, APIC_TMICT, 1000000);
	lapic_set_reg(&state, APIC_TMCCT, 500000);
	vcpu_set_lapic(&self->m.vcpu[0], &state);
	run_guest(&self->m, waits_for_the_timer, 0);
	EXPECT_EQ(1u, taken[TIMER]);
}

/* The rest of its count is not known: a period that begins now, or a count that is over. Not every client saves it. */
TEST_F(x2apic, set_lapic_without_a_current_count)
{
	struct kvm_lapic_state state;

	machine_set_gate(&self->m, TIMER, on_timer);
	for (u32 mode = 0; mode < 2; mode++) {
		taken[TIMER] = 0;
		vcpu_get_lapic(&self->m.vcpu[0], &state);
		lapic_set_reg(&state, APIC_SVR, 0x1ff);
		lapic_set_reg(&state, APIC_LVTT, TIMER | mode * LVT_PERIODIC);
		lapic_set_reg(&state, APIC_TDCR, TDCR_BY_1);
		lapic_set_reg(&state, APIC_TMICT, 1000000);
		lapic_set_reg(&state, APIC_TMCCT, 0);
		vcpu_set_lapic(&self->m.vcpu[0], &state);
		run_guest(&self->m, waits_for_the_timer, 2 * mode);
		EXPECT_LT(2 * mode, taken[TIMER]);
	}
}

TEST_F(x2apic, set_lapic_keeps_the_id)
{
	struct vcpu *vcpu = &self->m.vcpu[1];
	struct kvm_lapic_state state;

	ASSERT_EQ(1, __vcpu_set_msr(vcpu, MSR_APICBASE, BASE_X2APIC));
	vcpu_get_lapic(vcpu, &state);
	lapic_set_reg(&state, APIC_ID, 7u << 24);
	EXPECT_EQ(0, __vcpu_set_lapic(vcpu, &state));
	vcpu_get_lapic(vcpu, &state);
	EXPECT_EQ(1u << 24, lapic_reg(&state, APIC_ID));
	EXPECT_EQ(2u, lapic_reg(&state, APIC_LDR));
}

/* Reserved bits, too: only the delivery status is not the guest's, and there is no room for more than a destination. */
GUEST writes_icr(u64 arg)
{
	(void)arg;
	xapic_enable();
	xapic_write(APIC_ICR2, 0xa5a5a5a5);
	xapic_write(APIC_ICR, 0xa5a5b5a5);
	guest_done();
}

TEST_F(x2apic, icr_is_storage_in_xapic_mode)
{
	struct kvm_lapic_state state;

	run_guest(&self->m, writes_icr, 0);
	vcpu_get_lapic(&self->m.vcpu[0], &state);
	EXPECT_EQ(0xa5a5a5a5u, lapic_reg(&state, APIC_ICR));
	EXPECT_EQ(0xa5000000u, lapic_reg(&state, APIC_ICR2));
}

GUEST sends_behind_icr(u64 arg)
{
	(void)arg;
	x2apic_enable();
	wrmsr(0x800 + APIC_ICR / 16, 3ull << 32 | LOW);
	x2apic_write(APIC_SELF_IPI, HIGH);
	result[0] = rdmsr(0x800 + APIC_ICR / 16);
	guest_done();
}

TEST_F(x2apic, self_ipi_leaves_icr_alone)
{
	run_guest(&self->m, sends_behind_icr, 0);
	EXPECT_EQ(3ull << 32 | LOW, result[0]);
}

/* A count is not for this mode: it neither stays nor stops the deadline. */
GUEST counts_in_deadline_mode(u64 arg)
{
	(void)arg;
	x2apic_enable();
	x2apic_write(APIC_LVTT, TIMER | LVT_DEADLINE);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ull << 40));
	x2apic_write(APIC_TMICT, 1000);
	result[0] = rdmsr(MSR_TSC_DEADLINE);
	result[1] = x2apic_read(APIC_TMICT);
	guest_done();
}

TEST_F(x2apic, no_count_in_deadline_mode)
{
	SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	run_guest(&self->m, counts_in_deadline_mode, 0);
	EXPECT_NE(0u, result[0]);
	EXPECT_EQ(0u, result[1]);
}

GUEST arms_and_stops(u64 ticks)
{
	x2apic_enable();
	x2apic_write(APIC_LVTT, TIMER | LVT_DEADLINE);
	result[0] = rdtsc() + ticks;
	wrmsr(MSR_TSC_DEADLINE, result[0]);
	guest_say(0);
	while (!taken[TIMER])
		take_interrupts();
	result[1] = rdmsr(MSR_TSC_DEADLINE);
	guest_done();
}

/* Who saves the vCPU finds the interrupt in IRR, or the deadline, if he reads IRR first. The guest finds 0. */
TEST_F(x2apic, a_deadline_that_passes_while_stopped_is_not_lost)
{
	struct vcpu *vcpu = &self->m.vcpu[0];
	struct kvm_lapic_state state;

	SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	machine_set_gate(&self->m, TIMER, on_timer);
	machine_enter_at(&self->m, 0, arms_and_stops, 50000000);
	vcpu_run_until_say(vcpu);
	vcpu_get_lapic(vcpu, &state);
	while (vcpu_get_msr(vcpu, MSR_TSC) < result[0] + 10000000)
		usleep(1000);
	EXPECT_TRUE(lapic_reg(&state, APIC_IRR + TIMER / 32 * 0x10) ||
		    vcpu_get_msr(vcpu, MSR_TSC_DEADLINE) == result[0]);
	vcpu_run_until_done(vcpu);
	EXPECT_EQ(1u, taken[TIMER]);
	EXPECT_EQ(0u, result[1]);
	EXPECT_EQ(0u, vcpu_get_msr(vcpu, MSR_TSC_DEADLINE));
}

TEST_F(x2apic, set_lapic_restores_what_is_pending)
{
	struct kvm_lapic_state state;

	machine_set_gate(&self->m, TIMER, on_timer);
	vcpu_get_lapic(&self->m.vcpu[0], &state);
	lapic_set_reg(&state, APIC_SVR, 0x1ff);
	lapic_set_reg(&state, APIC_IRR + TIMER / 32 * 0x10, 1u << TIMER % 32);
	vcpu_set_lapic(&self->m.vcpu[0], &state);
	run_guest(&self->m, waits_for_the_timer, 0);
	EXPECT_EQ(1u, taken[TIMER]);
}

GUEST looks_at_priority(u64 arg)
{
	(void)arg;
	result[0] = xapic_read(APIC_PPR);
	xapic_write(APIC_EOI, 0);
	result[1] = xapic_read(APIC_PPR);
	guest_done();
}

TEST_F(x2apic, set_lapic_restores_what_is_in_service)
{
	struct kvm_lapic_state state;

	vcpu_get_lapic(&self->m.vcpu[0], &state);
	lapic_set_reg(&state, APIC_SVR, 0x1ff);
	lapic_set_reg(&state, APIC_TPR, 0x20);
	lapic_set_reg(&state, APIC_ISR + TIMER / 32 * 0x10, 1u << TIMER % 32);
	vcpu_set_lapic(&self->m.vcpu[0], &state);
	run_guest(&self->m, looks_at_priority, 0);
	EXPECT_EQ(TIMER & 0xf0u, result[0]);
	EXPECT_EQ(0x20u, result[1]);
}

TEST_F(x2apic, state_round_trip)
{
	struct kvm_lapic_state set, got;

	vcpu_get_lapic(&self->m.vcpu[1], &set);
	lapic_set_reg(&set, APIC_SVR, 0x1ef);
	lapic_set_reg(&set, APIC_TPR, 0x30);
	lapic_set_reg(&set, APIC_PPR, 0x30);
	lapic_set_reg(&set, APIC_LDR, 0x04000000);
	lapic_set_reg(&set, APIC_LVT0, 0x10031);
	lapic_set_reg(&set, APIC_LVTERR, 0xfe);
	lapic_set_reg(&set, APIC_ICR2, 0x01000000);
	vcpu_set_lapic(&self->m.vcpu[1], &set);
	vcpu_get_lapic(&self->m.vcpu[1], &got);
	EXPECT_EQ(0, memcmp(&set, &got, sizeof(set)));
}

TEST_HARNESS_MAIN
