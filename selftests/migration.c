// SPDX-License-Identifier: GPL-2.0
/*
 * A machine is stopped wherever it is, read out, and goes on in another VM, as
 * clients migrate: its timer ticks on, and no clock goes back.
 */
#include <sched.h>

#include "lib/harness.h"
#include "lib/machine.h"
#include "lib/pvclock.h"

#define TIMER		0x61
#define PIC_BASE	0x20
#define MOVES		6
#define LATEST		3	/* ticks between two moves */

enum timer { PERIODIC, DEADLINE, PIT };

static struct pvclock page __attribute__((aligned(64)));
static volatile u32 ticks, steps_back;
static volatile u64 last_clock, last_tsc, sum;
static volatile bool stop;

GUEST_INLINE void look(void)
{
	u64 tsc = rdtsc(), now = pvclock_read(&page);

	if (now < last_clock || tsc < last_tsc)
		steps_back++;
	last_clock = now;
	last_tsc = tsc;
}

GUEST_ISR(on_timer)
{
	ticks++;
	xapic_write(APIC_EOI, 0);
}

GUEST_ISR(on_pit)
{
	ticks++;
	outb(0x20, 0x20);
}

GUEST_INLINE void start_timer(enum timer timer)
{
	xapic_enable();
	xapic_write(APIC_TDCR, TDCR_BY_1);
	xapic_write(APIC_LVT0, timer == PIT ? DM_EXTINT : LVT_MASKED);
	if (timer == PERIODIC) {
		xapic_write(APIC_LVTT, TIMER | LVT_PERIODIC);
		xapic_write(APIC_TMICT, 2000000);
	} else if (timer == DEADLINE) {
		xapic_write(APIC_LVTT, TIMER | LVT_DEADLINE);
	} else {
		pic_init(PIC_BASE, 1);
		outb(0x43, 0x34);
		outb(0x40, 2386 & 0xff);	/* two milliseconds */
		outb(0x40, 2386 >> 8);
	}
}

/* Sleeps, works, and keeps a sum in a register that must come along. */
GUEST lives(u64 timer)
{
	u64 mine = 0;

	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u64)&page | 1);
	start_timer(timer);
	while (!stop) {
		u32 until = ticks + 1;

		if (timer == DEADLINE)
			wrmsr(MSR_TSC_DEADLINE, rdtsc() + 2000000);
		while (ticks < until)
			sti_hlt();
		for (int i = 0; i < 100; i++) {
			look();
			mine += i;
		}
		sum += 4950;
		if (mine != sum)
			steps_back++;
	}
	guest_done();
}

static const u32 msrs[] = {
	MSR_TSC, MSR_TSC_ADJUST, MSR_KVM_SYSTEM_TIME_NEW, MSR_TSC_DEADLINE,
};

/* All that a client saves of such a machine. */
struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
	u64 msrs[ARRAY_SIZE(msrs)];
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	u8 *ram;
};

static void save(struct machine *m, struct state *state)
{
	struct vcpu *vcpu = &m->vcpu[0];

	vcpu_get_mp_state(vcpu, &state->mp_state);
	vcpu_get_events(vcpu, &state->events);
	vcpu_get_regs(vcpu, &state->regs);
	vcpu_get_sregs(vcpu, &state->sregs);
	vcpu_get_xsave(vcpu, &state->xsave);
	vcpu_get_lapic(vcpu, &state->lapic);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		state->msrs[i] = vcpu_get_msr(vcpu, msrs[i]);
	for (u32 i = 0; i < 3; i++) {
		state->chips[i].chip_id = i;
		vm_get_irqchip(&m->vm, &state->chips[i]);
	}
	vm_get_pit2(&m->vm, &state->pit);
	vm_get_clock(&m->vm, &state->clock);
	memcpy(state->ram, m->vm.ram, RAM_SIZE);
}

static void restore(struct machine *m, struct state *state)
{
	struct vcpu *vcpu = &m->vcpu[0];

	memcpy(m->vm.ram, state->ram, RAM_SIZE);
	state->clock.flags = 0;
	vm_set_clock(&m->vm, &state->clock);
	for (u32 i = 0; i < 3; i++)
		vm_set_irqchip(&m->vm, &state->chips[i]);
	vm_set_pit2(&m->vm, &state->pit);
	vcpu_set_regs(vcpu, &state->regs);
	vcpu_set_xsave(vcpu, &state->xsave);
	vcpu_set_sregs(vcpu, &state->sregs);
	vcpu_set_lapic(vcpu, &state->lapic);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		if (__vcpu_set_msr(vcpu, msrs[i], state->msrs[i]) != 1)
			die("MSR %#x cannot be restored", msrs[i]);
	vcpu_set_mp_state(vcpu, &state->mp_state);
	vcpu_set_events(vcpu, &state->events);
}

static void create(struct machine *m)
{
	struct kvm_pit_config config = { 0 };

	machine_create(m, KERNEL_IRQCHIP, 1);
	vm_create_pit2(&m->vm, &config);
}

FIXTURE(migration) {
	struct machine m[2];
	struct state state;
};
FIXTURE_VARIANT(migration) {
	enum timer timer;
};
FIXTURE_VARIANT_ADD(migration, periodic) { PERIODIC };
FIXTURE_VARIANT_ADD(migration, deadline) { DEADLINE };
FIXTURE_VARIANT_ADD(migration, pit) { PIT };
FIXTURE_SETUP(migration)
{
	SKIP_WITHOUT_CHIP(KERNEL_IRQCHIP);
	SKIP_WITHOUT_PV(PV_CLOCKSOURCE2);
	if (variant->timer == DEADLINE)
		SKIP_WITHOUT_CAP(KVM_CAP_TSC_DEADLINE_TIMER);
	create(&self->m[0]);
	machine_set_gate(&self->m[0], TIMER, on_timer);
	machine_set_gate(&self->m[0], PIC_BASE, on_pit);
	self->state.ram = pages_alloc(RAM_SIZE);
}
FIXTURE_TEARDOWN(migration)
{
	machine_destroy(&self->m[MOVES % 2]);
}

static void await_ticks(u32 count)
{
	u32 until = ticks + count;

	while ((int)(until - ticks) > 0)
		sched_yield();
}

TEST_F_TIMEOUT(migration, goes_on_elsewhere, LONG_TEST_SECONDS)
{
	machine_enter_at(&self->m[0], 0, lives, variant->timer);
	for (int move = 0; move < MOVES; move++) {
		struct machine *from = &self->m[move % 2], *to = &self->m[(move + 1) % 2];

		machine_start(from, 0);
		await_ticks(1 + move % LATEST);
		machine_stop(from, 0);
		save(from, &self->state);
		machine_destroy(from);
		create(to);
		restore(to, &self->state);
	}
	machine_start(&self->m[MOVES % 2], 0);
	await_ticks(LATEST);
	stop = true;
	machine_join(&self->m[MOVES % 2], 0);
	EXPECT_EQ(0u, steps_back);
}

TEST_HARNESS_MAIN
